"""Markdown as HTML, and finding the part of a growing text that is final."""

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
]


def test_markdown_is_formatted_and_dollars_are_not_formulas():
    shown = html(reply_with("**$5** and $10\n\n1. one\n2. two\n\n| a |\n|---|\n| b |"))
    assert 'class="capsule-reply mathjax_ignore tex2jax_ignore"' in shown
    for piece in ("<strong>$5</strong> and $10", "<li>two</li>", "<td>b</td>"):
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
    assert to_html(f"{'>' * 200} the end") == f"<pre>{'&gt;' * 200} the end</pre>"


@given(st.lists(st.sampled_from(BLOCKS), max_size=6), st.data())
def test_settled_text_renders_the_same_whatever_follows(blocks, data):
    text = "\n\n".join(blocks)
    part = text[: data.draw(st.integers(0, len(text)))]
    length = settled_length(part)
    assert to_html(text) == to_html(text[:length]) + to_html(text[length:])
