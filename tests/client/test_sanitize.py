"""Foreign text on a terminal: only what can be read of it stays."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpsl.sanitize import Pieces, brief, one_line, plain

CLEANED = {
    "a colour": ("\x1b[31mred\x1b[0m", "red"),
    "many colours": ("\x1b[1;38;5;196mred\x1b[m and \x1b[4:3mcurly", "red and curly"),
    "a link": ("\x1b]8;id=1;https://a.example\x1b\\here\x1b]8;;\x1b\\", "here"),
    "a link that ends in BEL": ("\x1b]8;;https://ä.example\x07here\x1b]8;;\x07", "here"),
    "a title": ("\x1b]0;owned\x07text", "text"),
    "a question to the terminal": ("\x1bP+q544e\x1b\\text\x1b[>0c", "text"),
    "letters that were decoded wrongly": ("Stra\xc3\x9fe, \xc3\x9cber", "Stra\xc3e, \xc3ber"),
    "a character set": ("\x1b(Btext\x1b7\x1b8\x1bM", "text"),
    "the cursor": ("text\x1b[2J\x1b[H\x1b[?25l", "text"),
    "a colour that does not end": ("text\x1b[31", "text[31"),
    "a title that does not end": ("\x1b]0;title\ntext", "]0;title\ntext"),
    "an escape at the end": ("text\x1b", "text"),
    "tabs and lines": ("a\tb\n\r\nc", "a\tb\n\nc"),
}


@pytest.mark.parametrize(("text", "shown"), CLEANED.values(), ids=CLEANED)
def test_escape_sequences_go_whole_and_the_text_stays(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize(("text", "shown"), CLEANED.values(), ids=CLEANED)
def test_a_text_that_comes_a_character_at_a_time_is_the_same(text, shown):
    pieces = Pieces()
    assert "".join(map(pieces.feed, text)) + pieces.end() == shown


ANY = st.text(st.sampled_from("\x1b\x9b\x9d\x9c\x07[]\\;?0 mHa\n\ud83dé") | st.characters())


@given(st.lists(ANY))
def test_the_result_does_not_depend_on_how_a_text_is_cut(texts):
    pieces = Pieces()
    shown = "".join(map(pieces.feed, texts)) + pieces.end()
    assert shown == plain("".join(texts))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", shown)


def test_what_never_ends_is_not_waited_for():
    pieces = Pieces()
    shown = "".join(map(pieces.feed, ["\x1b]0;", *["all the text "] * 1000]))
    assert len(shown) > 12_000


def test_one_line_is_one_line():
    assert one_line(" a\r\nb\u2028c\x85d\t\x1b[1me\x1b[0m ") == "a b c d e"
    assert len(brief("long " * 100)) == 300
