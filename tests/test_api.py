"""``ask``, the cell magic as a function: the same settings, the same display."""

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


def test_ask_is_shown_as_the_settings_say(shell, workspace):
    workspace.app("painter")(lambda session, text: f"![cat]({PICTURE})")
    assert "![cat]" in shell.run("ask('x', app='painter');").text
    shown = shell.run("ask('x', app='painter', quiet=True)").value._repr_mimebundle_()
    assert "remote image, not loaded" in shown["text/html"]
    shell.run("%config CapsuleMagics.remote_images = True\n%capsule use painter")
    shown = shell.run("ask('x', quiet=True)").value._repr_mimebundle_()
    assert f'<img src="{PICTURE}"' in shown["text/html"]


def test_ask_obeys_the_timeout_of_the_settings(shell, workspace):
    over = threading.Event()

    @workspace.app("silent")
    def silent(session, text):
        over.wait(20)
        yield "late"

    shell.run("%config CapsuleMagics.timeout = 0.3")
    try:
        assert "sent nothing for 0.3 s" in str(shell.try_to_run("ask('x', app='silent')").error)
    finally:
        over.set()


def test_a_reply_that_ends_its_cell_is_shown_once(shell):
    shell.run("%config CapsuleMagics.display = 'html'")

    def shown(cell):
        ran = shell.run(cell)  # in a terminal, what a cell's last line comes to is text
        displayed = [one for one in ran.outputs if "text/html" in one.data and not one.update]
        return len(displayed) + ran.text.count("| egg |")

    assert shown("ask('an egg', app='diet-coach')") == 1
    assert shown("kept = ask('an egg', app='diet-coach')\nkept") == 1
    assert shown("kept") == 1
    assert shown("ask('an egg', app='diet-coach', quiet=True)") == 1
    assert shown("ask('an egg', app='diet-coach', quiet=True);") == 0


WRONG = {
    "a text that is none": ({"text": 3}, "The text must be a string, no int"),
    "an app that is none": ({"text": "x", "app": 3}, "The app must be a string"),
    "a form that there is not": ({"text": "x", "form": "xml"}, "name json or table"),
    "no seconds": ({"text": "x", "timeout": -1}, "above 0"),
    "words for seconds": ({"text": "x", "timeout": "soon"}, "above 0"),
    "endless seconds": ({"text": "x", "timeout": float("inf")}, "up to a million"),
    "no text": ({"text": " \n"}, "The prompt is empty"),
    "once and named": (
        {"text": "x", "once": True, "session": "y"},
        "leave out --new and --session",
    ),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_asked_is_one_line_and_nothing_is_sent(shell, options, said):
    with pytest.raises(UserError, match=said):
        ask(**{"app": "diet-coach"} | options)
    assert len(shell.run("%capsule history").value) == 0
