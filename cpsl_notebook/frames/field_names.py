"""Splitting field names into words, in any naming style."""

from __future__ import annotations

import re
from collections.abc import Hashable

__all__ = ["last_word", "words"]

# A word with at most a first capital, an acronym that ends before such a word, or digits.
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+")


def words(name: Hashable) -> list[str]:
    """Split a field name into lower-case words.

    Parameters
    ----------
    name : hashable
        Name in snake, kebab, camel or dotted style.

    Returns
    -------
    list of str
        The words. Acronyms and runs of digits are separate words.

    Examples
    --------
    >>> words("amounts.grossUSDCents")
    ['amounts', 'gross', 'usd', 'cents']
    >>> words("paid_at_2")
    ['paid', 'at', '2']
    """
    return [word.lower() for word in _WORD.findall(str(name))]


def last_word(name: Hashable) -> str:
    """Return the last word of a field name, or an empty string.

    Parameters
    ----------
    name : hashable
        Name in snake, kebab, camel or dotted style.

    Returns
    -------
    str
        The last of its `words`.

    Examples
    --------
    >>> last_word("paidUTCTime"), last_word("gross_cents"), last_word("_")
    ('time', 'cents', '')
    """
    found = words(name)
    return found[-1] if found else ""
