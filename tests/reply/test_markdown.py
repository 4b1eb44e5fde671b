"""Markdown as HTML, and finding the part of a growing text that is final."""

import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replies import reply_with

from cpsl_notebook.reply.markdown import settled_length, to_html
from cpsl_notebook.reply.rendering import html

BLOCKS = [
    "A paragraph\nof two lines.",
    "- a\n- b\n\n  more of b",
    "1. one\n2. two",
    "```python\nx = 1\n\ny = 2\n```",
    "| a |\n|---|\n| 1 |",
    "# Heading",
    "> quoted\ncontinued",
    "Title\n---",
    "***",
    "    indented",
    "\\[\nx_1\n- y\n\\]",
    "$$ a_1 $$",
]


def test_markdown_is_formatted_and_dollars_are_not_formulas():
    shown = html(reply_with("**$5** and $10\n\n1. one\n2. two\n\n| a |\n|---|\n| b |"))
    assert 'class="capsule-reply mathjax_ignore tex2jax_ignore"' in shown
    for piece in ("<strong>$5</strong> and $10", ">two</li>", ">b</td>"):
        assert piece in shown


def test_links_open_in_a_new_tab_without_referrer():
    shown = to_html("[site](https://ok.example/a?b=c)")
    assert 'href="https://ok.example/a?b=c"' in shown
    assert 'rel="noopener noreferrer"' in shown and 'target="_blank"' in shown


@pytest.mark.parametrize("depth", [15, 60])
def test_deeply_nested_list_is_shown_completely(depth):
    text = "\n".join(f"{'  ' * level}- level {level};" for level in range(depth))
    shown = to_html(text)
    assert [level for level in range(depth) if f"level {level};" not in shown] == []


def test_deeply_nested_quote_is_shown_as_it_came():
    assert to_html(f"{'>' * 200} the end").endswith(f">{'&gt;' * 200} the end</pre>\n")


@given(st.lists(st.sampled_from(BLOCKS), max_size=6), st.data())
def test_settled_text_renders_the_same_whatever_follows(blocks, data):
    text = "\n\n".join(blocks)
    part = text[: data.draw(st.integers(0, len(text)))]
    length = settled_length(part)
    assert to_html(text) == to_html(text[:length]) + to_html(text[length:])


def test_line_breaks_are_kept():
    assert to_html("one\ntwo") == '<p dir="auto">one<br />\ntwo</p>\n'


def test_task_list_has_check_boxes():
    shown = to_html("- [x] done\n- [ ] open\n- [y] other\n\n[x] no item")
    for piece in (">☑ done</li>", ">☐ open</li>", ">[y] other</li>", ">[x] no item</p>"):
        assert piece in shown


def test_every_block_has_its_own_text_direction():
    shown = to_html("# one\n\ntwo\n\n- three\n\n| four |\n|---|\n| five |")
    for tag in ("h1", "p", "li", "th", "td"):
        assert f'<{tag} dir="auto"' in shown


def test_code_scrolls_sideways():
    shown = to_html("```\nlong line\n```")
    assert "white-space:pre;overflow-wrap:normal" in shown and "overflow-x:auto" in shown


FORMULAS = [r"\[ x_1 * y_1 * z \]", r"\( a_1 * b_1 * c \)", "$$ x_1 * y_1 * z $$"]
LONG_FORMULAS = ["\\[\na_1\n- b_1\n= c\n\\]", "$$\na &lt; b\n+ c\n$$"]
AROUND = ["so {} holds", "- {}", "> {}", "**a** {}"]


@pytest.mark.parametrize(
    ("formula", "around"),
    [*itertools.product(FORMULAS, AROUND), *itertools.product([*FORMULAS, *LONG_FORMULAS], ["{}"])],
)
def test_formula_arrives_undamaged_and_is_typeset_if_wanted(formula, around):
    source = formula.replace("&lt;", "<")
    assert formula in to_html(around.format(source))
    marked = f'<span class="tex2jax_process mathjax_process">{formula}</span>'
    assert marked in to_html(around.format(source), math=True)


@pytest.mark.parametrize(
    "text", [r"$5 and $10", r"\( unfinished", r"a \] b \[ c", "```\n\\( code \\)\n```", r"\(\)"]
)
def test_other_text_is_not_typeset(text):
    assert "mathjax_process" not in to_html(text, math=True)


@pytest.mark.parametrize(
    "command",
    r"\def \newcommand \let \require \href \html \htmlData \includegraphics \rule \unicode".split(),
)
def test_formula_with_other_than_mathematics_stays_text(command):
    formula = rf"\( {command}{{x}} \)"
    assert to_html(formula, math=True) == f'<p dir="auto">{formula}</p>\n'


def test_no_line_of_the_html_is_blank():
    reply = reply_with(
        "# a\n\ntext\n\n```python\nx = 1\n\n  \n\ny = 2\n```\n\n> b\n\n\n| c |\n|---|"
    )
    assert [line for line in html(reply).splitlines() if not line.strip()] == []
    assert "1</span>&#10;\n" in html(reply) or "1</span>&#10;" in html(reply)


def test_debug_logging_stays_readable(caplog):
    caplog.set_level(logging.DEBUG)
    to_html("- a\n\n| b |\n|---|\n\n```\nc\n```")
    assert caplog.records == []
