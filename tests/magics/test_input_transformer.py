"""How IPython reads the cells and lines of the magics before the magics run."""

import pytest
from shells import new_shell

from cpsl_notebook import UserError
from cpsl_notebook.reply.cell_source import cell_source


@pytest.fixture
def shell(workspace):
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


@pytest.fixture
def received(workspace):
    """The texts that the app ``recorder`` has received."""
    texts = []
    workspace.app("recorder")(lambda session, text: texts.append(text) or "ok")
    return texts


@pytest.mark.parametrize(
    "text",
    [
        ">>> 1 + 1\n2",
        "In [1]: foo\nOut[1]: bar",
        "Which one?",
        "What does $HOME contain?",
        "Fill {{ name }} and {{ 1 + 1 }}",
        "one; two;",
        "#5 # not a comment",
        "--help",
        "it's a \\",
        "!ls ?",
        '""" (((',
        "é 🎉 %%capsule",
    ],
)
def test_cell_of_a_suggestion_sends_its_text_unchanged(shell, received, text):
    shell.variables["name"] = "not inserted"
    shell.run(cell_source("recorder", text))
    assert received == [text]


def test_cell_of_one_line_says_where_the_prompt_belongs(shell, received):
    for cell, message in [
        ("%%capsule recorder hello", "unknown argument: hello. Write the prompt below the first"),
        ("%%capsule recorder", "The prompt is empty. Write the text to send."),
    ]:
        with pytest.raises(UserError, match=message):
            shell.run(cell)
    assert received == []


def test_question_mark_still_shows_help_of_variables_and_magics(shell):
    pages = []
    shell.shell.set_hook("show_in_pager", lambda _, data, **rest: pages.append(data))
    for line in ("%capsule?", "%%capsule?", "len?"):
        shell.run(line)
    assert len(pages) == 3


def test_cell_in_a_terminal_is_complete_at_its_empty_line(shell):
    complete = shell.shell.input_transformer_manager.check_complete
    assert complete("%%capsule support-ops")[0] == "incomplete"
    assert complete("%%capsule support-ops\n>>> 1 + 1")[0] == "incomplete"
    assert complete("%%capsule support-ops\n>>> 1 + 1\n\n")[0] == "complete"
