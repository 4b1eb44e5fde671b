"""``ask``, the cell magic as a function, and the errors that users see."""

import threading

import pytest
from shells import new_shell

from cpsl_notebook import UserError, ask

PICTURE = "https://pictures.example/cat.png"


@pytest.fixture
def shell(workspace):
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local\nfrom cpsl_notebook import ask")
        yield started


def test_ask_follows_the_settings(shell, workspace):
    workspace.app("painter")(lambda session, text: f"![cat]({PICTURE})")
    assert "![cat]" in shell.run("ask('x', app='painter');").text
    shown = shell.run("ask('x', app='painter', quiet=True)").value._repr_mimebundle_()
    assert "remote image, not loaded" in shown["text/html"]
    shell.run("%config CapsuleMagics.remote_images = True\n%capsule use painter")
    shown = shell.run("ask('x', quiet=True)").value._repr_mimebundle_()
    assert f'<img src="{PICTURE}"' in shown["text/html"]


def test_ask_uses_the_timeout_of_the_settings(shell, workspace):
    finish = threading.Event()

    @workspace.app("silent")
    def silent(session, text):
        finish.wait(20)
        yield "late"

    shell.run("%config CapsuleMagics.timeout = 0.3")
    try:
        assert "sent nothing for 0.3 s" in str(shell.try_to_run("ask('x', app='silent')").error)
    finally:
        finish.set()


def test_reply_in_the_last_line_of_its_cell_is_shown_once(shell):
    shell.run("%config CapsuleMagics.display = 'html'")

    def shown(cell):
        ran = shell.run(cell)  # in a terminal, the value of a cell's last line is shown as text
        displayed = [one for one in ran.outputs if "text/html" in one.data and not one.update]
        return len(displayed) + ran.text.count("| egg |")

    assert shown("ask('an egg', app='diet-coach')") == 1
    assert shown("kept = ask('an egg', app='diet-coach')\nkept") == 1
    assert shown("kept") == 1
    assert shown("ask('an egg', app='diet-coach', quiet=True)") == 1
    assert shown("ask('an egg', app='diet-coach', quiet=True);") == 0


INVALID = {
    "a number as the text": (
        {"text": 3},
        "The text must be a string, not int. Convert it with str().",
    ),
    "a number as the app": (
        {"text": "x", "app": 3},
        "The app must be a string, not int. Convert it with str().",
    ),
    "an unknown form": (
        {"text": "x", "form": "xml"},
        "Invalid form: 'xml'. Use 'json' or 'table'.",
    ),
    "a negative timeout": (
        {"text": "x", "timeout": -1},
        "Invalid timeout: -1. Use a number of seconds above 0, up to 1,000,000.",
    ),
    "a timeout in words": (
        {"text": "x", "timeout": "soon"},
        "Invalid timeout: 'soon'. Use a number of seconds above 0, up to 1,000,000.",
    ),
    "an infinite timeout": (
        {"text": "x", "timeout": float("inf")},
        "Invalid timeout: inf. Use a number of seconds above 0, up to 1,000,000.",
    ),
    "no text": ({"text": " \n"}, "The prompt is empty. Write it below the %%capsule line."),
    "once with a name": (
        {"text": "x", "once": True, "session": "y"},
        "Cannot combine once with new or session. Leave out one of them.",
    ),
}


@pytest.mark.parametrize(("options", "message"), INVALID.values(), ids=INVALID)
def test_invalid_request_is_one_line_and_nothing_is_sent(shell, options, message):
    with pytest.raises(UserError) as caught:
        ask(**{"app": "diet-coach"} | options)
    assert str(caught.value) == message
    assert len(shell.run("%capsule history").value) == 0
