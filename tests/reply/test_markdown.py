"""Markdown as HTML, and finding the part of a growing text that is final."""

import itertools
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replies import reply_with

from cpsl_notebook.reply.markdown import last_block, to_html
from cpsl_notebook.reply.rendering import html
from cpsl_notebook.reply.style import SHEET, TABLE

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
    for piece in (
        "<b>$5</b> and $10",
        ">two</ol>",
        "<td style=text-align:start>b",
    ):
        assert piece in shown


def test_links_open_in_a_new_tab_without_referrer():
    shown = to_html("[site](https://ok.example/a?b=c)")
    assert 'href="https://ok.example/a?b=c"' in shown
    assert "target=_blank rel=noreferrer>" in shown


@pytest.mark.parametrize("depth", [15, 60])
def test_deeply_nested_list_is_shown_completely(depth):
    text = "\n".join(f"{'  ' * level}- level {level};" for level in range(depth))
    shown = to_html(text)
    assert [level for level in range(depth) if f"level {level};" not in shown] == []


def test_deeply_nested_quote_is_shown_as_it_came():
    assert to_html(f"{'>' * 200} the end").endswith(f">{'&gt;' * 200} the end</pre>")


@given(st.lists(st.sampled_from(BLOCKS), max_size=6), st.data())
def test_settled_text_renders_the_same_whatever_follows(blocks, data):
    text = "\n\n".join(blocks)
    part = text[: data.draw(st.integers(0, len(text)))]
    length = last_block(part).start
    assert to_html(text) == to_html(text[:length]) + to_html(text[length:])


def test_line_breaks_are_kept():
    assert to_html("one\ntwo") == "<p>one<br>two"


def test_task_list_has_check_boxes():
    shown = to_html("- [x] done\n- [ ] open\n- [y] other\n\n[x] no item")
    for piece in (">☑ done<li", ">☐ open<li", ">[y] other</ul>", ">[x] no item"):
        assert piece in shown


@pytest.mark.parametrize("word", ["שלום", "مرحبا", "\U0001e900"])
def test_every_block_with_right_to_left_text_has_its_own_direction(word):
    text = f"# {word}\n\n{word}, one\n\n- {word}\n\n| a | {word} |\n|---|---|\n| b {word} | c |"
    shown = html(reply_with(text))
    for tag in ("h1", "p", "li"):
        assert f"<{tag} dir=auto>" in shown
    assert re.findall(r"<t[hd]\b[^>]*>", shown) == [
        "<th style=text-align:start>",
        "<th dir=auto style=text-align:start>",
        "<td dir=auto style=text-align:start>",
        "<td style=text-align:start>",
    ]
    # Without right-to-left text, the direction of the whole reply is the same as that of each part.
    assert shown.startswith("<div dir=ltr ") and html(reply_with("# one")).startswith(
        "<div dir=ltr "
    )


def test_code_scrolls_sideways():
    shown = to_html("```\nlong line\n```")
    assert "overflow:auto;white-space:pre>" in shown


FORMULAS = [r"\[ x_1 * y_1 * z \]", r"\( a_1 * b_1 * c \)", "$$ x_1 * y_1 * z $$"]
LONG_FORMULAS = ["\\[\na_1\n- b_1\n= c\n\\]", "$$\na &lt; b\n+ c\n$$"]
AROUND = ["so {} holds", "- {}", "> {}", "**a** {}"]


@pytest.mark.parametrize(
    ("formula", "around"),
    [*itertools.product(FORMULAS, AROUND), *itertools.product([*FORMULAS, *LONG_FORMULAS], ["{}"])],
)
def test_formula_arrives_undamaged_and_is_typeset_if_wanted(formula, around):
    source = formula.replace("&lt;", "<")
    arrived = formula.replace("\n", "&#10;")
    assert arrived in to_html(around.format(source))
    marked = f'<span class="tex2jax_process mathjax_process">{arrived}</span>'
    assert marked in to_html(around.format(source), math=True)


@pytest.mark.parametrize(
    "text", [r"$5 and $10", r"\( unfinished", r"a \] b \[ c", "```\n\\( code \\)\n```", r"\(\)"]
)
def test_other_text_is_not_typeset(text):
    assert "mathjax_process" not in to_html(text, math=True)


MATHEMATICS = [
    r"\int_0^1 \frac{x}{\sqrt{2}} \,dx = \left( \alpha \right] \! + \mathbb{R}",
    r"\begin{aligned} a &= b \\ c &\le 5\% \end{aligned}",
    r"\begin{array}{l|c} a & b \\ \hline c & \text{for all } d \end{array}",
    "\\begin{pmatrix} 1 & 2 \\\\\n 3 & 4 \\end{pmatrix}",
]


@pytest.mark.parametrize("formula", MATHEMATICS)
def test_mathematics_is_typeset(formula):
    assert "mathjax_process" in to_html(f"$${formula}$$", math=True)


OTHER = r"""
    \def \Def \DEF \newcommand \let \require \href \HREF \html \htmlData \includegraphics \rule \Rule
    \Space \hspace \hskip \mspace \kern \mkern \hphantom \phantom \vphantom \raise \lower \moveleft
    \raisebox \llap \rlap \mathllap \smash \color \colorbox \fcolorbox \bbox \style \class \cssId
    \unicode \char \label \tag \ref \eqref \mmlToken \enclose \newenvironment \begingroup \vcenter
    \large \Huge \@
""".split()
TRICKS = [
    r"a \\[900em] b",
    r"a \\ * [900em] b",
    r"\begin{array}{p{900em}} a \end{array}",
    r"\begin{array}{@{\alpha}c} a \end{array}",
    "\\begin{array}%\n{p{900em}} a \\end{array}",
    r"\begin {array}{c} a \end{array}",
    r"\begin{CD} a \end{CD}",
    r"\begin\alpha{array} a",
    r"a \! \! \! \! \! b",
    "a % b",
    "x" * 5_001,
]


@pytest.mark.parametrize("content", [*(f"{name}{{x}}" for name in OTHER), *TRICKS])
def test_formula_with_other_than_mathematics_stays_text(content):
    assert "mathjax_process" not in to_html(rf"\( {content} \)", math=True)


def test_html_is_one_line():
    reply = reply_with(
        "# a\n\ntext\n\n```python\nx = 1\n\n  \n\ny = 2\n```\n\n"
        "> b\n\n\n| c |\n|---|\n\n- d\n  - e\n\n***"
    )
    assert "\n" not in html(reply)
    assert "1&#10;&#10;  &#10;&#10;y" in html(reply)


def test_first_line_of_code_may_be_blank():
    # Browsers drop a line end after <pre>.
    assert ">&#10;&#10;x&#10;</pre>" in to_html("```\n\nx\n```")


def test_cells_are_aligned_as_the_markdown_says():
    shown = html(
        reply_with("| a | b | c | d | e |\n|---|:--|:-:|--:|---|\n| x | 2 | 3 | 4 | 5 % |")
    )
    assert re.findall("<td ([^>]*)>", shown) == [
        "style=text-align:start",
        "style=text-align:left",
        "style=text-align:center",
        "align=right",
        "align=right",
    ]


def test_long_table_has_one_short_style_sheet_instead_of_many_styles():
    short, long = (html(reply_with("| a |\n|---|\n" + "| x |\n" * rows)) for rows in (100, 1_000))
    assert "<style>" not in short and short.count("<td style=text-align:start>") == 100
    assert long.count(f"<style>{SHEET}</style>") == 1 and long.count("<td>") == 1_000
    assert len(SHEET) < 500


def test_columns_of_a_long_table_are_aligned_by_the_style_sheet():
    rows = "| x | 2 | ש | 4 | 5 % |\n" * 200
    shown = html(
        reply_with(f"| a | b | c | d | e |\n|---|:--|:-:|--:|---|\n{rows}\n\n| f |\n|---|")
    )
    assert re.findall(r"\.(\w+) :is\(td,th\):nth-child\((\d)\){text-align:(\w+)", shown) == [
        ("left2", "2", "left"),
        ("center3", "3", "center"),
        ("right4", "4", "right"),
        ("right5", "5", "right"),
    ]
    assert f'<table class="left2 center3 right4 right5" style={TABLE}>' in shown
    assert f"<table style={TABLE}><thead><tr><th>f" in shown
    assert set(re.findall("<td([^>]*)>", shown)) == {"", " dir=auto"}


def test_debug_logging_stays_readable(caplog):
    caplog.set_level(logging.DEBUG)
    to_html("- a\n\n| b |\n|---|\n\n```\nc\n```")
    assert caplog.records == []
