"""Names that are close to a misspelled one, for "did you mean" in messages.

This module imports nothing from its package: `cpsl_notebook`, which must also work alongside
another ``cpsl``, carries a generated copy of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["close_names"]

_CUTOFF = 0.65  # of `difflib.SequenceMatcher.ratio`


def close_names(word: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Return the known names that are close to a misspelled one, without regard to case.

    If names begin with the word, they are returned. Otherwise, names of a similar length are
    compared. A word of one character is close to no name. Hyphens at the start do not count.

    Parameters
    ----------
    word : str
        The misspelled name.
    known : iterable of str
        The known names.
    limit : int
        The largest number of names to return.

    Returns
    -------
    list of str
        The names, the closest first.

    Examples
    --------
    >>> close_names("PAYMENT", ["payments", "earnings"])
    ['payments']
    >>> close_names("dealer", ["deal-desk", "sales"])
    []
    """
    names = {name.lstrip("-").casefold(): name for name in known}
    typed = word.lstrip("-").casefold()
    if len(typed) < 2:
        return []
    begun = [name for name in names if len(typed) > 2 and name.startswith(typed)]
    similar = [name for name in names if abs(len(name) - len(typed)) <= max(1, len(typed) // 4)]
    found = begun or difflib.get_close_matches(typed, similar, n=limit, cutoff=_CUTOFF)
    return [names[name] for name in found[:limit]]
