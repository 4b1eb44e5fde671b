"""Text from apps is cleaned in linear time, even if it was chosen to be slow."""

import time

import pytest

from cpsl_notebook.sanitize import clean, split_complete


@pytest.mark.parametrize(
    "hostile", ["\x9d", "\x1b]", "\x1b[", "\x1b[0;", "\x1b]8;;x", "\ud83d", "\r"]
)
def test_clean_takes_linear_time(hostile):
    started = time.monotonic()
    clean(hostile * 500_000)
    split_complete(hostile * 500_000)
    assert time.monotonic() - started < 10  # quadratic time would be an hour
