"""The live reply in a real kernel, whose messages are read as a front end reads them."""

import contextlib
import os
import random
import threading
import time
from collections import Counter

import pytest
from front_ends import Frontend
from jupyter_client.manager import KernelManager

from cpsl_notebook import local

WIDGET = "application/vnd.jupyter.widget-view+json"
PARAGRAPH = "Some **bold** words of a paragraph that is not very long.\n\n"


class Front(Frontend):
    """A notebook's front end, and its kernel."""

    def __init__(self, manager, client) -> None:
        super().__init__(client)
        self.manager = manager

    def send(self, code, **metadata):
        """Send a cell, by default with the metadata of a notebook."""
        return super().send(code, **(metadata or {"cellId": "a"}))

    def value(self, expression):
        """Return an expression's printed value in the kernel."""
        messages = self.run(f"print({expression})")
        streams = [m["content"]["text"] for m in messages if m["msg_type"] == "stream"]
        return "".join(streams).strip()

    def open_widgets(self):
        """Return the number of widgets in the kernel."""
        return int(self.value("len(__import__('cpsl_notebook').compat.live_widgets())"))


@pytest.fixture(scope="module")
def gate():
    return threading.Event()


@pytest.fixture(scope="module")
def front(tmp_path_factory, gate):
    folder = tmp_path_factory.mktemp("live")
    with local.start(folder / "data", pace=0) as workspace, contextlib.ExitStack() as stack:

        @workspace.app("long")
        def long(session, text):
            for _ in range(2_000):
                yield PARAGRAPH

        @workspace.app("gated")
        def gated(session, text):
            yield {"type": "notification", "payload": {"text": "Reading…"}}
            if "silent" not in text:
                yield "first part "
            gate.wait(60)
            yield "second part"

        @workspace.app("writer")
        def writer(session, text):
            yield PARAGRAPH * 400
            yield {"type": "activity", "payload": {"label": "Looked it up"}}
            yield "The end."

        @workspace.app("greeter")
        def greeter(session, text):
            yield "Hello world"

        @workspace.app("busy")
        def busy(session, text):
            payload = {"url": f"data:image/png;base64,{'A' * 100_000}", "alt": "a chart"}
            yield {"id": "chart", "type": "image", "payload": payload}
            for number in range(150):
                yield {"type": "activity", "payload": {"label": f"Step {number} of many"}}
                yield {"id": "last", "type": "task_card", "payload": {"message": str(number)}}
                time.sleep(0.01)  # lets the panel repaint in between

        @workspace.app("broken")
        def broken(session, text):
            yield "the first part"
            raise ValueError("the archive is closed")

        manager = KernelManager(kernel_name="python3")
        home = {"CAPSULE_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
        manager.start_kernel(env=os.environ | workspace.environ | home)
        stack.callback(manager.shutdown_kernel, now=True)
        client = manager.client()
        client.start_channels()
        stack.callback(client.stop_channels)
        client.wait_for_ready(timeout=60)
        opened = Front(manager, client)
        opened.run("%load_ext cpsl_notebook\nimport ipywidgets")
        yield opened


@pytest.fixture(autouse=True)
def closed_gate(gate):
    gate.clear()
    yield
    gate.set()


def types(messages):
    return [message["msg_type"] for message in messages]


def until_shown(messages, text):
    """Return the messages up to the one that shows a text."""
    seen = []
    for message in messages:
        seen.append(message)
        if text in str(message["content"].get("data")):
            return seen
    raise AssertionError(f"{text!r} was not shown: {seen}")


def data_of(messages, message_type):
    return [m["content"]["data"] for m in messages if m["msg_type"] == message_type]


def test_panel_is_replaced_by_static_output_and_leaves_no_widget(front):
    messages = front.run("%%capsule support-ops\nHow many threads are waiting?")
    (panel,) = data_of(messages, "display_data")
    assert set(panel) == {WIDGET, "text/plain"}
    (final,) = data_of(messages, "update_display_data")
    assert set(final) == {"text/html", "text/plain"}
    assert types(messages).count("comm_open") == types(messages).count("comm_close") > 0
    assert front.open_widgets() == 0


def test_traffic_is_proportional_to_the_reply(front):
    messages = front.run("%%capsule long\nx")
    comms = [m for m in messages if m["msg_type"].startswith("comm_")]
    sent = sum(len(str(m["content"])) for m in comms)
    assert sent < 12 * 2_000 * len(PARAGRAPH)
    assert not any("text/markdown" in data for data in data_of(messages, "display_data"))


def test_unchanged_blocks_are_not_sent_again(front):
    messages = front.run("%%capsule busy\nx")
    comms = "".join(str(m["content"]) for m in messages if m["msg_type"].startswith("comm_"))
    assert comms.count("A" * 100_000) == 1
    assert len(comms) < 100_000 + 40 * 150 * len("Step 100 of many")
    (final,) = data_of(messages, "update_display_data")
    assert "Step 149" in final["text/html"] and "Step 149" in final["text/plain"]
    assert front.open_widgets() == 0


@pytest.mark.parametrize("kind", ["widget", "html", "text"])
def test_display_that_fails_does_not_affect_the_reply(front, kind):
    front.run(
        "from cpsl_notebook.display import displays, panel\n"
        "original = displays.bundle, displays.plain, panel.Panel.paint, displays.split_complete\n"
        "displays.bundle = displays.plain = panel.Panel.paint = displays.split_complete = None\n"
        f"%config CapsuleMagics.display = {kind!r}"
    )
    messages = front.run("%%capsule greeter -o answer\nx")
    front.run(
        "displays.bundle, displays.plain, panel.Panel.paint, displays.split_complete = original\n"
        "%config CapsuleMagics.display = 'auto'"
    )
    assert front.value("answer, answer.status") == "Hello world complete"
    assert "error" not in types(messages)
    if kind == "widget":
        (final,) = data_of(messages, "update_display_data")
        assert final["text/plain"].startswith("Hello world\n\nFormatting failed (TypeError: ")
    assert front.open_widgets() == 0


def test_unknown_front_end_gets_text_and_the_footer(front):
    sent = front.send("%%capsule support-ops\nHow many threads are waiting?", other="x")
    messages = list(front.messages(sent))
    shown = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert "threads" in shown and shown.endswith(" s]\n")
    assert not {"display_data", "update_display_data", "comm_open"} & set(types(messages))


def test_interrupt_while_formatting_leaves_the_plain_text(front):
    front.run(
        "import time\nfrom cpsl_notebook.display import displays\noriginal = displays.bundle\n"
        "def slow(reply):\n    print('formatting', flush=True)\n    while True: time.sleep(0.01)\n"
        "displays.bundle = slow"
    )
    sent = front.send("%%capsule greeter -o answer\nx")
    messages = front.messages(sent)
    seen = next(m for m in messages if "formatting" in str(m["content"].get("text")))
    assert seen["msg_type"] == "stream"
    front.manager.interrupt_kernel()
    rest = list(messages)
    front.run("displays.bundle = original")
    (final,) = data_of(rest, "update_display_data")
    assert final == {
        "text/plain": "Hello world\n\nFormatting was interrupted, so the reply is shown as plain text."
    }
    (error,) = [m["content"] for m in rest if m["msg_type"] == "error"]
    assert error["ename"] == "StoppedError"
    assert front.value("answer.status") == "complete" and front.open_widgets() == 0


def test_output_widget_shows_the_finished_reply_once(front):
    messages = front.run(
        "from cpsl_notebook import ask\nout = ipywidgets.Output()\n"
        "with out:\n    ask('x', app='greeter')\nout.close(); out.layout.close()"
    )
    assert "update_display_data" not in types(messages)
    (shown,) = data_of(messages, "display_data")
    assert "Hello world" in shown["text/html"]


@pytest.mark.parametrize(("prompt", "seen"), [("x", "first part"), ("silent", "Reading…")])
def test_partial_reply_is_shown_while_the_service_pauses(front, gate, prompt, seen):
    messages = front.messages(front.send(f"%%capsule gated\n{prompt}"))
    shown = until_shown(messages, seen)
    assert "second part" not in str(shown)
    gate.set()
    (final,) = data_of(messages, "update_display_data")
    assert "second part" in final["text/plain"]


@pytest.mark.parametrize(("prompt", "seen"), [("x", "first part"), ("silent", "Reading…")])
@pytest.mark.parametrize("times", [1, 3])
def test_interrupt_keeps_partial_reply_and_stops_queued_cells(front, gate, prompt, seen, times):
    sent = front.send(f"%%capsule gated --new\n{prompt}")
    queued = front.send("print('never')")
    messages = front.messages(sent)
    until_shown(messages, seen)
    for _ in range(times):
        front.manager.interrupt_kernel()
    rest = list(messages)
    (final,) = data_of(rest, "update_display_data")
    assert "stopped" in final["text/html"]
    assert ("first part" in final["text/plain"]) == (prompt == "x")
    (error,) = [m["content"] for m in rest if m["msg_type"] == "error"]
    assert error["ename"] == "StoppedError" and len(error["traceback"]) == 1
    assert "stream" not in types(front.messages(queued))
    assert front.open_widgets() == 0
    gate.set()
    (final,) = data_of(front.run("%%capsule gated\nagain"), "update_display_data")
    assert final["text/plain"] == "first part second part"


def test_interrupt_at_any_moment_leaves_a_consistent_notebook(front):
    front.run("%%capsule writer\nx")  # imports take their time only once
    begun = time.monotonic()
    front.run("%%capsule writer\nx")
    duration = time.monotonic() - begun
    moments = random.Random(7)
    outcomes, widgets = Counter(), front.open_widgets()
    for _ in range(300):
        timer = threading.Timer(moments.uniform(0, duration), front.manager.interrupt_kernel)
        sent = front.send("%%capsule writer\nx")
        timer.start()
        messages = list(front.messages(sent))
        timer.join()
        errors = [m["content"]["ename"] for m in messages if m["msg_type"] == "error"]
        finals = data_of(messages, "update_display_data")
        opened = data_of(messages, "display_data")
        assert set(errors) <= {"StoppedError", "KeyboardInterrupt"} and len(errors) <= 1
        assert len(finals) == len(opened) or errors == ["KeyboardInterrupt"]
        for final in finals:
            assert WIDGET not in final
            is_complete = final["text/plain"].startswith(f"{PARAGRAPH * 400}".strip())
            assert is_complete or final["text/plain"] in (PARAGRAPH * 400 + "…", "")
        kind = "none" if not finals else "page" if "text/html" in finals[0] else "plain"
        outcomes[kind, *errors] += 1
    assert outcomes["plain", "StoppedError"] and outcomes["page", "StoppedError"], outcomes
    assert front.open_widgets() == widgets
    (final,) = data_of(front.run("%%capsule writer\nx"), "update_display_data")
    assert final["text/plain"].endswith("The end.")


def test_failure_keeps_partial_reply_and_names_the_reason_once(front):
    messages = front.run("%%capsule broken\nx")
    (final,) = data_of(messages, "update_display_data")
    assert final["text/plain"] == "the first part"
    assert " · failed</div>" in final["text/html"]
    assert "the archive is closed" not in final["text/html"]
    (error,) = [m["content"] for m in messages if m["msg_type"] == "error"]
    assert "the archive is closed" in error["traceback"][0]
    assert front.open_widgets() == 0


def test_html_display_needs_no_widgets(front):
    front.run('%config CapsuleMagics.display = "html"')
    messages = front.run("%%capsule support-ops\nHow many threads are waiting?")
    front.run('%config CapsuleMagics.display = "auto"')
    assert not [name for name in types(messages) if name.startswith("comm_")]
    final = data_of(messages, "update_display_data")[-1]
    assert "threads" in final["text/plain"] and "capsule-footer" in final["text/html"]


def test_headless_run_opens_no_widget(front):
    sent = front.client.execute("%%capsule support-ops\nHow many?", allow_stdin=False)
    messages = list(front.messages(sent))
    assert not [name for name in types(messages) if name.startswith("comm_")]
    (final,) = data_of(messages, "display_data")
    assert set(final) == {"text/html", "text/plain"}


def test_ask_in_another_thread_shows_the_finished_reply(front):
    messages = front.run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from cpsl_notebook import ask\n"
        "with ThreadPoolExecutor(2) as pool:\n"
        "    replies = list(pool.map(lambda app: ask('How many?', app=app),"
        " ['support-ops', 'deal-desk']))\n"
        "print([reply.status for reply in replies])"
    )
    assert not [name for name in types(messages) if name.startswith("comm_")]
    assert "['complete', 'complete']" in str([m["content"] for m in messages])


def test_progress_bar_is_text_and_only_shown_for_long_reads(front):
    read = "%capsule payments support-ops deal-desk;"
    assert not [m for m in front.run(read) if m["msg_type"] == "stream"]
    front.run(
        "from cpsl_notebook import progress\nprogress._OPTIONS |= dict(delay=0, mininterval=0)"
    )
    shown = [m["content"] for m in front.run(read) if m["msg_type"] == "stream"]
    assert {content["name"] for content in shown} == {"stdout"}
    lines = "".join(content["text"] for content in shown).split("\r")
    assert "Reading payments: 100%" in lines[-1] and "2/2" in lines[-1]
    assert lines[-1].endswith("\n")
    silent = front.client.execute(read, allow_stdin=False)  # as a scheduled notebook runs
    assert not [m for m in front.messages(silent) if m["msg_type"] == "stream"]
    assert front.open_widgets() == 0
