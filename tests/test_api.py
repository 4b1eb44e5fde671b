"""Asking without magics: ``ask``, `Conversation`, and the errors that users see."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from shells import new_shell

from cpsl_notebook import Conversation, UserError, ask
from cpsl_notebook.conversation.context import current_context

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
        "Invalid text: 3. It must be a string.",
    ),
    "a number as the app": (
        {"text": "x", "app": 3},
        "Invalid app: 3. It must be a string.",
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
    "a lone surrogate in a name": (
        {"text": "x", "app": "\ud800"},
        "The app contains a lone surrogate. Remove it.",
    ),
    "no text": ({"text": " \n"}, "The prompt is empty. Write the text to send."),
}


@pytest.mark.parametrize(("options", "message"), INVALID.values(), ids=INVALID)
def test_invalid_request_is_one_line_and_nothing_is_sent(shell, options, message):
    with pytest.raises(UserError) as caught:
        ask(**{"app": "diet-coach"} | options)
    assert str(caught.value) == message
    assert len(shell.run("%capsule history").value) == 0


def test_second_positional_argument_gets_a_helpful_error(shell):
    with pytest.raises(UserError) as caught:
        ask("support-ops", "How many threads are open?")
    assert caught.value._render_traceback_() == [
        "TypeError: ask() does not take a second positional argument: 'How many threads are open?'. "
        "Name the app: ask('How many threads are open?', app='support-ops')."
    ]
    assert len(shell.run("%capsule history").value) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conversation(None), "Invalid app: None. Name one: Conversation('support-ops')."),
        (
            lambda: Conversation("memory", session_id=0),
            "Invalid session_id: 0. It must be a string.",
        ),
        (
            lambda: Conversation.current(0),
            "Invalid app: 0. Name one: Conversation('support-ops').",
        ),
        (
            lambda: Conversation("memory", session_id=5),
            "Invalid session_id: 5. It must be a string.",
        ),
        (lambda: Conversation.current(5), "Invalid app: 5. Name one: Conversation('support-ops')."),
        (lambda: Conversation.current("a", name=5), "Invalid name: 5. It must be a string."),
    ],
)
def test_conversation_refuses_wrong_types(shell, make, message):
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value) == message and caught.value.label == "TypeError"


@pytest.fixture
def memory(workspace):
    """An app that replies with all prompts of its session."""

    @workspace.app("memory")
    def memory(session, text):
        return ", ".join([*(turn.prompt for turn in session.history), text])


def test_ask_has_no_memory(shell, memory, capsys):
    shell.run("%%capsule memory\na")
    for text in "bc":
        reply = ask(text, app="memory")
        assert (reply.text, reply.turn) == (text, 1)
        assert reply.text in capsys.readouterr().out
    shell.run("%%capsule memory -o last\nd")
    assert shell.variables["last"].text == "a, d"
    assert len(shell.run("%capsule session").value) == 1
    assert len(shell.run("%capsule history").value) == 4


def test_conversation_continues_and_is_separate_from_others(shell, memory):
    shell.run("%%capsule memory\na")
    first, second = Conversation("memory"), Conversation("memory")
    assert repr(first) == "<Conversation with memory, 0 turns>"
    for conversation, text, expected in [
        (first, "b", "b"),
        (second, "c", "c"),
        (first, "d", "b, d"),
        (second, "e", "c, e"),
    ]:
        assert conversation.ask(text, quiet=True).text == expected
    assert first.turns == 2
    assert repr(first) == f"<Conversation {first.session_id[:8]} with memory, 2 turns>"
    later = Conversation("memory", session_id=first.session_id)
    assert later.ask("f", quiet=True).text == "b, d, f"
    assert len(shell.run("%capsule session").value) == 1


def test_current_conversation_is_the_one_of_cells(shell, memory):
    shell.run("%%capsule memory\na")
    current = Conversation.current()
    assert (current.app, current.turns) == ("memory", 1)
    assert current.ask("b", quiet=True).text == "a, b"
    shell.run("%%capsule -o last\nc")
    last = shell.variables["last"]
    assert last.text == "a, b, c"
    assert (current.session_id, current.turns) == (last.session_id, 3)
    shell.run("%%capsule --new\nd")
    assert current.ask("e", quiet=True).text == "d, e"
    shell.run("%%capsule -s side\nf")
    assert Conversation.current(name="side").ask("g", quiet=True).text == "f, g"


def test_conversation_of_threads_and_tasks_is_their_own(shell, memory):
    barrier = threading.Barrier(8)

    def visit(name):
        conversation = Conversation("memory")
        barrier.wait(30)
        alone = ask(f"{name} alone", app="memory", quiet=True).text
        return alone, *(conversation.ask(f"{name}{n}", quiet=True).text for n in range(3))

    async def visit_all():
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            return await asyncio.gather(*(loop.run_in_executor(pool, visit, n) for n in "abcdefgh"))

    for name, replies in zip("abcdefgh", asyncio.run(visit_all()), strict=True):
        turns = [f"{name}{n}" for n in range(3)]
        assert replies == (f"{name} alone", *(", ".join(turns[: n + 1]) for n in range(3)))


def test_turns_of_one_conversation_in_threads_follow_each_other(shell, memory):
    conversation = Conversation("memory")
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda n: conversation.ask(n, quiet=True).text, "abcd"))
    assert sorted(text.count(",") for text in texts) == [0, 1, 2, 3]
    assert conversation.turns == 4


def test_lost_conversation_is_reported_by_the_reply(shell, memory):
    gone = Conversation("memory", session_id="00000000-0000-0000-0000-000000000000")
    reply = gone.ask("a", quiet=True)
    assert reply.lost_conversation.startswith("The service did not continue conversation 00000000")
    assert gone.session_id == reply.session_id and gone.turns == 1


@pytest.mark.parametrize("app", ["", None, 3])
def test_invalid_app_of_a_conversation_is_one_line(app):
    with pytest.raises(UserError) as caught:
        Conversation(app)
    assert str(caught.value) == f"Invalid app: {app!r}. Name one: Conversation('support-ops')."


SCRIPT = """
import cpsl_notebook
from cpsl_notebook import Conversation, UserError, ask
from cpsl_notebook.conversation.context import current_context
triage = Conversation("memory")
texts = [triage.ask(n, quiet=True).text for n in "ab"] + [ask("c", app="memory", quiet=True).text]
print(texts, current_context().replies)
for call in (Conversation.current, lambda: ask("x")):
    try:
        call()
    except UserError as error:
        print(error)
"""


def test_process_without_a_notebook_keeps_nothing(memory, workspace, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | workspace.environ,
    )
    assert ran.stdout.splitlines() == [
        "['a', 'a, b', 'c'] []",
        "This is not a Jupyter notebook, so it has no conversation. Create one: "
        "Conversation('support-ops').",
        "No app is chosen. Name one: %%capsule APP in a cell, app='APP' in a function call.",
    ]
    assert not list((tmp_path / "capsule").glob("conversations*"))


def test_two_shells_have_two_contexts(shell):
    first = current_context()
    with new_shell():
        assert current_context() is not first
