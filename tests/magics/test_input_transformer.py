"""Questions on a line, ``%capsule ask APP TEXT``, in a real shell; and the suggestions of replies."""

import html
from textwrap import dedent
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from shells import new_shell

from cpsl_notebook import Reply
from cpsl_notebook.magics import input_transformer as typed
from cpsl_notebook.magics.parser import asking, line_options
from cpsl_notebook.reply.blocks import block_html, block_text


@pytest.fixture
def shell(workspace, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


def test_a_line_asks_wherever_a_statement_can_stand_and_its_reply_is_a_value(shell, workspace):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "ok")
    shell.run(
        "if True:\n    %capsule ask noting one?\n    for n in 'ab':\n"
        "        reply = %capsule ask noting $n?\n"
        "%capsule ask noting \\\n  three?"
    )
    assert got == ["one?", "a?", "b?", "three?"]
    assert str(shell.variables["reply"]) == "ok"
    for alone in ("%capsule ask noting x?", "%capsule  ask noting x;", "capsule ask noting x"):
        assert shell.run(alone).value is None
    assert isinstance(shell.run("reply = %capsule ask noting x\nreply").value, Reply)
    shell.run("%capsule ask noting x\nreply = %capsule ask noting x")
    assert isinstance(shell.variables["reply"], Reply)
    shell.run("%capsule apps;\napps = %capsule apps;")
    assert "noting" in set(shell.variables["apps"]["name"])
    assert shell.run("%capsule apps;").value is None
    assert shell.run("%time %capsule ask noting once").text.count("conversation") == 1


def test_a_question_mark_asks_for_help_on_all_other_lines(shell):
    pager = []
    shell.shell.set_hook("show_in_pager", lambda _, data, **rest: pager.append(data))
    for line in ("%capsule?", "len?", "x = 1\nx?"):
        shell.run(line)
    assert len(pager) == 3
    assert "nobody?" in shell.error("%capsule payments nobody?")
    assert "write `%capsule ask APP TEXT`" in shell.error("%capsule support-ops How many?")


def test_a_cell_that_is_typed_in_a_terminal_is_complete_at_its_empty_line(shell):
    complete = shell.shell.input_transformer_manager.check_complete
    assert complete("%%capsule support-ops")[0] == "incomplete"
    assert complete("%%capsule support-ops\n>>> 1 + 1")[0] == "incomplete"
    assert complete("%%capsule support-ops\n>>> 1 + 1\n\n")[0] == "complete"


def test_ask_on_a_line_sends_its_text_as_it_stands(shell, workspace):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "ok")
    shell.run("n = 3\napp = 'noting'")
    lines = {
        "noting What's up,  and  is #5 done?": "What's up,  and  is #5 done?",
        "$app -o kept How many of $n, {{ n + 1 }} and $5?": "How many of 3, 4 and $5?",
        "-q --new noting -5 or 5? # really": "-5 or 5?",
        "noting - is a dash": "- is a dash",
        '-s "two words" "noting" Really?': "Really?",
        "noting What is this??": "What is this??",
        "noting Is n?": "Is n?",
        "noting (which one": "(which one",
        'noting "quoted # and ; whole";': "quoted # and ; whole",
        "noting --raw {{ n }} and $n": "{{ n }} and $n",
        'noting say "yes" or "no"': 'say "yes" or "no"',
    }
    for line, text in lines.items():
        shell.run(f"%capsule ask {line}")
        assert got.pop() == text
    assert "did you mean --new?" in shell.error("%capsule ask noting --nwe x")
    assert shell.variables["kept"].template == "How many of $n, {{ n + 1 }} and $5?"
    assert shell.run("%capsule ask noting --dry-run x").text.startswith("Not sent")


SUGGESTED = [
    "Which queue looks busiest?",
    "What does $HOME hold?",
    "Fill {{ name }} and {{ 1 + 1 }}",
    "Is it done; or not;",
    "Number #5 # with a comment",
    "-5 or --new?",
    "--help",
    '"quoted" and "quoted"',
    "'all quoted'",
    "it's a \\",
    "!ls ?",
    '""" (((',
    "é 🎉 %%capsule",
]


def suggested(text):
    """Return what a reply's suggestion says, as it would be copied from the page and from text."""
    block = {"type": "suggestions", "payload": {"suggestions": [{"label": "Try", "value": text}]}}
    page = block_html(block, "noting").partition('pre-wrap">')[2].partition("</code>")[0]
    return html.unescape(page), dedent(block_text(block, "noting").partition("Try:")[2]).strip(
        "\n "
    )


@pytest.mark.parametrize("text", SUGGESTED)
def test_a_suggestion_that_is_pasted_asks_what_it_says(shell, workspace, text):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "ok")
    shell.variables["name"] = "never"
    for pasted in suggested(text):
        shell.run(pasted)
    assert got == [text] * 2


WORDS = st.text(
    st.one_of(st.characters(exclude_categories=["C", "Z"]), st.sampled_from(" ?;#$\"'{}\\-%!()[]n"))
).map(lambda text: " ".join(text.split()))


@settings(deadline=None)
@given(WORDS.filter(bool))
def test_whatever_is_suggested_is_read_as_it_stands(text):
    """As IPython reads it, and then the magic; nothing is sent."""
    said = []
    manager = TransformerManager()
    typed.install(SimpleNamespace(input_transformer_manager=manager))
    reads = SimpleNamespace(
        run_line_magic=lambda name, line: said.append(line_options(line, {})[1].text),
        run_cell_magic=lambda name, line, body: said.append(body.removesuffix("\n")),
    )
    exec(manager.transform_cell(asking("noting", text)), {"get_ipython": lambda: reads})
    assert said == [text]


def test_a_plain_suggestion_is_one_line():
    assert asking("support-ops", "Which are urgent?") == (
        "%capsule ask support-ops Which are urgent?"
    )
    assert asking("support ops", "Which?") == "%%capsule 'support ops' --raw\nWhich?"
