"""Replies in other front ends and kernels: ``jupyter console``, ipykernel 6 and 7.0.1."""

import os
import threading

import pytest
from environments import CI, NotInstalledError, environment
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


def test_jupyter_console_shows_text_as_it_arrives_and_the_whole_reply(workspace, resume, tmp_path):
    environ = {"PYTHONPATH": path_with("jupyter-console", "jupyter-console==6.6.3")}
    environ |= {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": ""} | workspace.environ
    options = ["--simple-prompt", "--no-confirm-exit", "--ZMQTerminalInteractiveShell.banner=''"]
    with Terminal("-m", "jupyter_console", *options, **environ) as terminal:
        terminal.read_until("In [1]: ")
        terminal.type("%load_ext cpsl_notebook\n")
        terminal.read_until("In [2]: ")
        terminal.type("get_ipython().run_cell_magic('capsule', 'gated', 'x')\n")
        shown = terminal.read_until("Looked it up")
        assert "first part" in shown and "second part" not in shown
        resume.set()
        shown = terminal.read_until("In [3]: ")
        assert "second part" in shown and "[gated · conversation " in shown


@pytest.mark.parametrize("version", ["7.0.1", "6.29.5"])
def test_partial_reply_is_painted_with_older_kernels(workspace, resume, tmp_path, version):
    environ = {"PYTHONPATH": path_with(f"ipykernel-{version}", f"ipykernel=={version}")}
    environ |= {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": "test.ipynb"} | workspace.environ
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | environ)
    try:
        client.execute_interactive("%load_ext cpsl_notebook", timeout=60)
        seen, streams = [], []

        def look(message):
            content = message["content"]
            seen.append(str(content))
            if "Looked it up" in seen[-1]:
                resume.set()
            if message["msg_type"] == "stream":
                streams.append(content["text"])

        ran = client.execute_interactive(CELL, timeout=60, output_hook=look, allow_stdin=True)
        assert ran["content"]["status"] == "ok" and resume.is_set() and streams == []
        assert any("second part" in text and "capsule-footer" in text for text in seen)

        code = "import ipykernel, ipywidgets; from ipywidgets.widgets.widget import _instances"
        show = "print(ipykernel.__version__, len(_instances))"
        client.execute_interactive(f"{code}\n{show}", timeout=60, output_hook=look)
        assert "".join(streams).split() == [version, "0"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
