"""Old versions of other packages and missing parts of platforms, simulated one by one."""

import _thread
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from types import SimpleNamespace

import ipykernel
import pytest
from gateway import APP, HOLD, TEST_TIMEOUT, TOKEN, Gateway, event, stalled, streamed
from ipywidgets import widgets
from ipywidgets.widgets import HTML, widget_description, widget_string

import cpsl
from cpsl_notebook import Client, Reply, compat
from cpsl_notebook.conversation.transmission import receive, sender
from cpsl_notebook.display.displays import choose
from cpsl_notebook.display.interrupt import Stopper
from cpsl_notebook.display.panel import Panel

OLD_COMPLETER = """
    from IPython.core import completer
    from IPython.core.interactiveshell import InteractiveShell

    for name in ("CompletionContext", "SimpleCompletion", "SimpleMatcherResult", "context_matcher"):
        vars(completer).pop(name, None)
    shell = InteractiveShell.instance()
    shell.run_cell("%load_ext cpsl_notebook").raise_error()
    shell.run_cell("%capsule help").raise_error()
    assert shell.Completer.custom_matchers == []
    shell.run_cell("%unload_ext cpsl_notebook").raise_error()
"""


def test_extension_loads_without_completion_where_ipython_cannot_complete_a_line():
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OLD_COMPLETER)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_cell_has_a_name_where_ipython_does_not_know_its_number():
    compiler = SimpleNamespace(format_code_name=lambda path: {"3.py": ("Cell", "In[3]")}.get(path))
    assert compat.cell_name(SimpleNamespace(compile=compiler), "3.py") == "Cell In[3]"
    assert compat.cell_name(SimpleNamespace(compile=compiler), "app.py") == ""
    old = SimpleNamespace(compile=SimpleNamespace())
    assert compat.cell_name(old, "<ipython-input-3-0123456789ab>") == "a cell"
    assert (
        compat.cell_name(old, f"{tempfile.gettempdir()}/ipykernel_{os.getpid()}/12.py") == "a cell"
    )
    assert compat.cell_name(old, "app.py") == ""


def test_html_style_without_its_class_is_that_of_any_description(monkeypatch):
    assert type(compat.html_style()) is type(HTML().style)
    monkeypatch.delattr(widget_string, "HTMLStyle", raising=False)
    assert type(compat.html_style()) is widget_description.DescriptionStyle


@pytest.mark.filterwarnings("error:Widget.widgets")
def test_live_widgets_are_those_not_closed(monkeypatch):
    html = HTML()
    assert html in compat.live_widgets()
    html.close()
    assert html not in compat.live_widgets()
    old = SimpleNamespace(Widget=SimpleNamespace(widgets={"id": html}))
    monkeypatch.setattr(widgets, "widget", old)
    assert compat.live_widgets() == [html]


@pytest.mark.parametrize(("version", "buttons"), [((6, 31, 0), 0), ((7, 0, 0), 1), ((7, 4, 0), 1)])
def test_panel_has_a_stop_button_where_clicks_are_delivered_and_closes_it(
    monkeypatch, version, buttons
):
    monkeypatch.setattr(ipykernel, "version_info", version)
    before = compat.live_widgets()
    panel = Panel(Reply("shop", "x"), lambda: None)
    made = [type(each).__name__ for each in compat.live_widgets() if each not in before]
    assert made.count("Button") == buttons
    panel.close()
    assert [each for each in compat.live_widgets() if each not in before] == []


def test_messages_of_a_comm_are_handled_at_once():
    comm = SimpleNamespace(_reply_subshell_for=lambda data, default: "busy")
    compat.deliver_at_once(comm)
    assert comm._reply_subshell_for({}, "idle") == "idle"
    other = SimpleNamespace()
    compat.deliver_at_once(other)
    assert vars(other) == {}


def test_unknown_parent_message_is_empty():
    message = {"header": {"msg_id": "1"}}
    assert compat.parent_message(SimpleNamespace(get_parent=lambda: message)) is message
    assert compat.parent_message(SimpleNamespace(get_parent=lambda: None)) == {}
    assert compat.parent_message(SimpleNamespace()) == {}


@pytest.fixture
def interrupts_end_no_wait(monkeypatch):
    """Remove what Windows does not have: `_thread.interrupt_main` does not end a wait."""
    monkeypatch.delattr(signal, "pthread_kill")


@pytest.mark.parametrize("moment", ["before the headers", "after the first chunk"])
@pytest.mark.parametrize("client", ["cpsl-client", "a generator"])
def test_stop_ends_a_silent_reply_where_signals_end_no_wait(interrupts_end_no_wait, moment, client):
    with Gateway() as gateway:
        begun = [event({"text": "Begun."})] if moment == "after the first chunk" else []
        gateway.on("stream", stalled(streamed(*begun), 0) if not begun else streamed(*begun, HOLD))
        core = cpsl.Client(token=TOKEN, gateway_url=gateway.url)
        if client == "a generator":
            core = Documented(core)
        reply = Reply(APP, "x")
        send = sender(Client(core), reply, "", stream=True, timeout=None)
        with Stopper() as stopper:
            stop = threading.Thread(target=stop_when_silent, args=(gateway, reply, begun, stopper))
            stop.start()
            receive(reply, choose("quiet"), send, stopper)
            stop.join(TEST_TIMEOUT)
        assert (reply.status, reply.text) == ("stopped", "Begun." if begun else "")


class Documented:
    """A client without closable streams, such as the official SDK."""

    def __init__(self, core):
        self._core = core

    def stream(self, app, text, session_id=None):
        yield from self._core.stream(app, text, session_id)


def stop_when_silent(gateway, reply, begun, stopper):
    gateway.wait_for(lambda: gateway.count("stream"))
    while len(reply.pieces) < len(begun):
        time.sleep(0.01)
    time.sleep(0.2)  # the main thread waits for the next chunk
    stopper.stop()


def test_answer_that_comes_after_an_interrupt_is_closed(interrupts_end_no_wait):
    may_end, closed = threading.Event(), threading.Event()

    def answer():
        threading.Timer(0.05, _thread.interrupt_main).start()
        may_end.wait(TEST_TIMEOUT)
        return SimpleNamespace(close=closed.set)

    with pytest.raises(KeyboardInterrupt):
        compat.interruptible(answer)
    may_end.set()
    assert closed.wait(TEST_TIMEOUT)


def test_results_and_errors_pass_where_signals_end_no_wait(interrupts_end_no_wait):
    assert compat.interruptible(lambda: 5) == 5
    assert list(compat.interruptible_iterator(iter("abc"))) == ["a", "b", "c"]
    with pytest.raises(TimeoutError, match="of the client"):
        compat.interruptible(failing)


def failing():
    raise TimeoutError("of the client")


IGNORING_WAIT = """
    import signal, sys, threading

    original = threading.Event.wait

    def wait(self, timeout=None):
        if timeout is None:  # Windows ignores Ctrl-C in a wait without a timeout
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        return original(self, timeout)

    threading.Event.wait = wait
    from cpsl_notebook.local.__main__ import main
    sys.exit(main())
"""


def test_workspace_stops_on_ctrl_c_where_an_endless_wait_ignores_it(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(IGNORING_WAIT), "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            while "Ctrl-C" not in process.stdout.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(TEST_TIMEOUT) == 0
        finally:
            process.kill()


def test_ports_are_exclusive_where_an_address_can_be_taken_over(monkeypatch):
    from cpsl_notebook.local import workspace

    # On Windows, SO_REUSEADDR allows that and this option, here one that Linux has, forbids it.
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with workspace._listening(0) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


ON_PYODIDE = """
    import sys

    for name in ("grpc", "psutil", "starlette", "uvicorn"):
        sys.modules[name] = None  # importing it fails
    import cpsl, cpsl_notebook
    from cpsl_notebook import Client, Reply, frames
    from cpsl_notebook.conversation import kernels

    reply = Reply("shop", "x")
    reply.add_event({"text": "Hello"})
    assert "Hello" in reply._repr_mimebundle_()["text/html"]
    row = {"payer": "ann", "fee_cents": 490, "paid_at": "2026-01-31", "kind": "monthly"}
    row["gross_cents"] = 4900
    payments = frames.payments_frame([("shop", [row])])
    import cpsl_notebook.earnings.accessor
    assert len(payments.capsule.mrr(as_of="2026-02")) == 2
    assert not kernels.is_running_elsewhere(kernels.this_kernel())
    assert cpsl.Client(token="x", gateway_url="http://127.0.0.1:1") is not None
"""


def test_replies_frames_and_earnings_work_without_the_packages_that_pyodide_does_not_have():
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ON_PYODIDE)],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
