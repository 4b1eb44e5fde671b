"""Replies in other front ends and kernels: ``jupyter console``, ipykernel 6 and 7.0.1."""

import os
import threading

import pytest
from environments import CI, NotInstalledError, environment
from front_ends import Frontend
from jupyter_client.manager import start_new_kernel
from terminal import Terminal

CELL = "%%capsule gated\nx"


def path_with(name, package):
    """Return a PYTHONPATH with one more package, whose requirements are installed already."""
    try:
        python = environment(name, "--no-deps", package)
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))
    (packages,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def resume(workspace):
    """An event for which the app "gated" waits in the middle of its reply."""
    event = threading.Event()

    @workspace.app("gated")
    def gated(session, text):
        yield "first part"
        yield {"type": "activity", "payload": {"label": "Looked it up"}}
        event.wait(60)
        yield "second part"

    yield event
    event.set()


@pytest.fixture
def console():
    """The environment of a kernel or a front end in which ``jupyter console`` is installed."""
    return {"PYTHONPATH": path_with("jupyter-console", "jupyter-console==6.6.3")}


# A line that prints until a file exists. The text it prints differs from what is typed.
PRINT_UNTIL = (
    "import pathlib, time; [print('con' 'nected', flush=True) or time.sleep(0.05)"
    " for _ in iter(pathlib.Path({!r}).exists, True)];\n"
)


def wait_for_connection(terminal, end):
    """Wait until ``jupyter console`` shows output; it never ends a cell whose end it missed.

    It shows its prompt when it can send cells, which can be before it receives output.
    """
    terminal.read_until("In [1]: ")
    terminal.type(PRINT_UNTIL.format(str(end)))
    terminal.read_until("connected")
    end.touch()
    terminal.read_until("In [2]: ")


def check_console(terminal, resume, path):
    """Show a reply in ``jupyter console`` while it streams, and read payments."""
    wait_for_connection(terminal, path / "end")
    terminal.type("%load_ext cpsl_notebook\n")
    terminal.read_until("In [3]: ")
    terminal.type("get_ipython().run_cell_magic('capsule', 'gated', 'x')\n")
    shown = terminal.read_until("Looked it up")
    assert "first part" in shown and "second part" not in shown
    resume.set()
    shown = terminal.read_until("In [4]: ")
    assert "second part" in shown and "[gated · conversation " in shown
    terminal.type("payments = %capsule payments support-ops\n")
    terminal.read_until("In [5]: ")
    terminal.type("print('payments:', len(payments))\n")
    terminal.read_until("payments: ")


CONSOLE = ["--simple-prompt", "--no-confirm-exit", "--ZMQTerminalInteractiveShell.banner=''"]


def test_jupyter_console_shows_text_as_it_arrives_and_the_whole_reply(
    workspace, resume, console, tmp_path
):
    environ = console | {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": ""} | workspace.environ
    with Terminal("-m", "jupyter_console", *CONSOLE, **environ) as terminal:
        check_console(terminal, resume, tmp_path)


def test_jupyter_console_attached_to_the_kernel_of_a_notebook_shows_the_whole_reply(
    workspace, resume, console, tmp_path
):
    of_notebook = {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": str(tmp_path / "a.ipynb")}
    environ = console | of_notebook | workspace.environ
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | environ)
    existing = ["--existing", manager.connection_file]
    try:
        with Terminal("-m", "jupyter_console", *CONSOLE, *existing, **console) as terminal:
            check_console(terminal, resume, tmp_path)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_front_end_that_ignores_updates_shows_the_reply_once(workspace, resume, tmp_path):
    """As qtconsole and Spyder do, also when they are attached to the kernel of a notebook."""
    environ = {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": "a.ipynb"} | workspace.environ
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | environ)
    shown = []

    def look(message):
        content = message["content"]
        if message["msg_type"] in ("display_data", "execute_result"):
            shown.append(content["data"]["text/plain"])
        elif message["msg_type"] == "stream":
            shown.append(content["text"])
        if "Looked it up" in "".join(shown):
            resume.set()

    try:
        frontend = Frontend(client, look)
        frontend.run("%load_ext cpsl_notebook")
        kinds = {message["msg_type"] for message in frontend.run(CELL)}
        assert resume.is_set() and not kinds & {"update_display_data", "comm_open"}
        text = "".join(shown)
        assert [text.count(part) for part in ("first part", "Looked it up", "second part")] == [
            1
        ] * 3
        assert "[gated · conversation " in text and "…" not in text
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


LIVE_WIDGETS = """import ipykernel, ipywidgets.widgets.widget as widget
live = widget._instances if hasattr(widget, "_instances") else widget.Widget.widgets"""


@pytest.mark.parametrize("version", ["7.0.1", "6.29.5"])
def test_partial_reply_is_painted_with_older_kernels(workspace, resume, tmp_path, version):
    environ = {"PYTHONPATH": path_with(f"ipykernel-{version}", f"ipykernel=={version}")}
    environ |= {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": "test.ipynb"} | workspace.environ
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | environ)
    try:
        seen, streams = [], []

        def look(message):
            content = message["content"]
            seen.append(str(content))
            if "Looked it up" in seen[-1]:
                resume.set()
            if message["msg_type"] == "stream":
                streams.append(content["text"])

        frontend = Frontend(client, look)
        frontend.run("%load_ext cpsl_notebook")
        kinds = {message["msg_type"] for message in frontend.run(CELL, cellId="a")}
        assert "error" not in kinds and resume.is_set() and streams == []
        assert any("second part" in text and "capsule-footer" in text for text in seen)

        frontend.run(f"{LIVE_WIDGETS}\nprint(ipykernel.__version__, len(live))")
        assert "".join(streams).split() == [version, "0"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
