"""Replies in IPython, in a real terminal."""

import threading

import pytest
from terminal import Terminal


@pytest.fixture
def ipython(workspace, tmp_path):
    """IPython in a terminal, with the extension loaded."""
    options = ["--no-banner", "--simple-prompt", "--colors=nocolor", "--no-confirm-exit"]
    environ = workspace.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}
    with Terminal("-m", "IPython", *options, **environ) as terminal:
        terminal.read_until("In [1]: ")
        terminal.type("%load_ext cpsl_notebook\n")
        terminal.read_until("In [2]: ")
        yield terminal


def test_reply_is_written_as_it_arrives_and_never_redrawn(ipython, workspace):
    resume = threading.Event()

    @workspace.app("gradual")
    def gradual(session, text):
        yield "**first**\x1b[2J words\u202e"
        yield "\x1b]0;a ti"
        yield "tle\x07\x1b[3"
        yield "1m"
        resume.wait(30)
        yield ", last words"

    try:
        ipython.type("%%capsule gradual\nhi\n\n\n")
        shown = ipython.read_until("words")
        assert "\rWaiting for gradual…\r" in shown
        assert "last words" not in shown
    finally:
        resume.set()
    shown = ipython.read_until("In [3]: ")
    shown = shown[shown.index("**first**") :]
    reply, footer = shown.split("\r\n")[:2]
    assert reply == "**first** words, last words"
    assert footer.startswith("[gradual · conversation ")
    assert not set("\x1b\b\u202e") & set(shown)


def test_ctrl_c_stops_reply_and_conversation_continues(ipython, workspace):
    resume = threading.Event()

    @workspace.app("thinker")
    def thinker(session, text):
        yield f"Turn {len(session.history) + 1}: "
        if text.strip() == "think":  # in a terminal, the text ends with the empty line
            resume.wait(30)

    try:
        ipython.type("%%capsule thinker\nthink\n\n\n")
        ipython.read_until("Turn 1: ")
        ipython.type("\x03")
        shown = ipython.read_until("In [3]: ")
    finally:
        resume.set()
    assert "stopped" in shown
    assert "Stopped: the text received so far is kept." in shown and "Traceback" not in shown
    ipython.type("%%capsule thinker\nagain\n\n\n")
    assert "Turn 2: " in ipython.read_until("In [4]: ")
