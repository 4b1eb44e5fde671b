"""Cleaning text from apps, also while it arrives in pieces."""

import re
import time

import pytest

from cpsl_notebook.sanitize import clean, split_whole

SEQUENCES = (
    "start \x1b(0lqk\x1b(B mid \x1b[1;31mred\x1b[0m "
    "\x1b]8;;https://a.example\x1b\\link\x1b]8;;\x07 😀 end"
)


def test_clean_keeps_letters_of_wrongly_decoded_text():
    wrong = "Die Straße am Ende: Über “hello” 500".encode().decode("latin-1")
    assert clean(wrong) == re.sub("[\x80-\x9f]", "", wrong)


def test_cleaned_text_does_not_depend_on_the_pieces():
    halves = SEQUENCES.encode("utf-16-le", "surrogatepass")
    pieces = [
        halves[n : n + 2].decode("utf-16-le", "surrogatepass") for n in range(0, len(halves), 2)
    ]
    shown, incomplete = "", ""
    for piece in pieces:
        complete, incomplete = split_whole(incomplete + piece)
        shown += clean(complete)
    assert shown + clean(incomplete) == "start lqk mid red link 😀 end" == clean(SEQUENCES)


@pytest.mark.parametrize(
    "hostile", ["\x9d", "\x1b]", "\x1b[", "\x1b[0;", "\x1b]8;;x", "\ud83d", "\r"]
)
def test_clean_takes_linear_time(hostile):
    started = time.monotonic()
    clean(hostile * 500_000)
    split_whole(hostile * 500_000)
    assert time.monotonic() - started < 10  # quadratic time would be an hour


def test_unterminated_title_does_not_hold_text_back():
    complete, incomplete = split_whole("\x1b]this is not a title, " + "but a text " * 40)
    assert incomplete == "" and clean(complete).startswith("]this is not a title")
