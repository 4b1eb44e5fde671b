"""Untrusted text is shown without anything that controls a terminal or misleads a reader."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpsl.sanitize import brief, clean, escape_json, join_surrogates, one_line, split_complete

PROBES = {
    "colour": ("\x1b[31mred\x1b[0m", "red"),
    "several colours": ("\x1b[1;38;5;196mred\x1b[m and \x1b[4:3mcurly", "red and curly"),
    "link": ("\x1b]8;id=1;https://a.example\x1b\\here\x1b]8;;\x1b\\", "here"),
    "link that ends with BEL": ("\x1b]8;;https://ä.example\x07here\x1b]8;;\x07", "here"),
    "title": ("\x1b]0;owned\x07text", "text"),
    "terminal query": ("\x1bP+q544e\x1b\\text\x1b[>0c", "text"),
    "character set": ("\x1b(Btext\x1b7\x1b8\x1bM", "text"),
    "cursor": ("text\x1b[2J\x1b[H\x1b[?25l", "text"),
    "unfinished colour": ("text\x1b[31", "text[31"),
    "unfinished title": ("\x1b]0;title\ntext", "]0;title\ntext"),
    "escape at the end": ("text\x1b", "text"),
    "wrongly decoded letters": ("Stra\xc3\x9fe, \xc3\x9cber", "Stra\xc3e, \xc3ber"),
    "C0 and C1 controls": ("be\x07ll\x00, \x9b2J, de\x7fl", "bell, 2J, del"),
    "tabs and lines": ("a\tb\n\r\nc", "a\tb\n\nc"),
    "carriage return": ("over\rwritten", "over\nwritten"),
    "Unicode line separators": ("a\u2028b\u2029c", "a\nb\nc"),
    "bidirectional override": ("\u202egnp.exe\u202c\u2066x\u2069", "gnp.exex"),
    "invisible characters": ("a\u2060b\ufeffc\u200ed", "abcd"),
    "zero-width space and soft hyphen": ("a\u200bb\xadc\u206fd", "abcd"),
    "fillers": ("a\u115f\u1160b\u3164c\uffa0d\u180ee\u034f", "abcde"),
    "tags": ("a\U000e0001\U000e0061\U000e007fb\udb40\udc61c", "abc"),
    "letters of Persian": ("می\u200cخواهم", "می\u200cخواهم"),
    "coloured emoji": ("❤\ufe0f", "❤\ufe0f"),
    "joined emoji": ("👩\u200d👧", "👩\u200d👧"),
    "surrogate pair": ("\ud83d\ude00", "😀"),
    "lone surrogates": ("\ude00a\ud83d", "\ufffda\ufffd"),
}


def clean_pieces(pieces):
    """Clean a text that arrives in pieces."""
    shown, pending = "", ""
    for piece in pieces:
        complete, pending = split_complete(pending + piece)
        shown += clean(complete)
    return shown + clean(pending)


@pytest.mark.parametrize("module", ["sanitize.py", "suggestions.py"])
def test_both_packages_have_the_same_copy(root, module):
    copies = [Path(root, package, module) for package in ("cpsl", "cpsl_notebook")]
    assert copies[0].read_bytes() == copies[1].read_bytes()


@pytest.mark.parametrize(("text", "shown"), PROBES.values(), ids=PROBES)
def test_clean_removes_whole_sequences_and_keeps_text(text, shown):
    assert clean(text) == shown
    assert clean_pieces(text) == shown


ANY = st.text(st.sampled_from("\x1b\x9b\x9d\x9c\x07[]\\;?0 mHa\r\n\ud83d\ude00é") | st.characters())


@given(st.lists(ANY))
def test_result_does_not_depend_on_where_text_is_cut(pieces):
    shown = clean_pieces(pieces)
    assert shown == clean("".join(pieces))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", shown)


def test_sequence_that_never_ends_is_shown_as_text():
    complete, pending = split_complete("\x1b]0;" + "all the text " * 1000)
    assert (len(clean(complete)), pending) == (13_003, "")


def test_one_line_replaces_line_ends_with_spaces():
    assert one_line(" a\r\nb\u2028c\x85d\t\x1b[1me\x1b[0m ") == "a b c d e"


def test_brief_shortens_long_text():
    assert brief("long " * 100) == ("long " * 60)[:299] + "…"
    assert brief("short\n") == "short"


def test_lone_surrogate_can_be_kept():
    assert join_surrogates("é\ud83d\ude00\ud83d", lone="surrogatepass") == "é😀\ud83d"


def test_escaped_json_contains_no_character_that_clean_would_change():
    text = '"Grüße 👋 \x9b \u202e \ud83d \u2028 \U000e0061"'
    escaped = '"Grüße 👋 \\u009b \\u202e \\ud83d \\u2028 \\udb40\\udc61"'
    assert escape_json(text) == escaped
    assert json.loads(escaped) == json.loads(text)
