"""Errors for users of the notebook."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from typing import Self

from cpsl_notebook.text import clean

__all__ = ["UserError", "did_you_mean", "told"]


class UserError(Exception):
    """One line that says what is wrong and what to do next.

    IPython shows it as that line alone, as a proper error output, and Run All stops.

    Parameters
    ----------
    message
        The line.
    kind
        The name shown before it: that of the exception it stands for.

    Attributes
    ----------
    full
        Whether to show the whole traceback instead.
    """

    full = False

    def __new__(cls, message: str = "", kind: str = "UserError") -> Self:
        """Make it of a class of that name, which is what a saved notebook keeps of an error."""
        named = cls if kind == cls.__name__ else type(kind, (cls,), {})
        return super().__new__(named, message)

    def __init__(self, message: str = "", kind: str = "UserError") -> None:
        super().__init__(clean(message))

    def _render_traceback_(self) -> list[str]:
        if self.full:
            return clean("".join(traceback.format_exception(self))).splitlines()
        return [f"{type(self).__name__}: {self}"]


def told(error: Exception) -> UserError:
    """Return an error as a line for the user; one that is a line already stays as it is."""
    if isinstance(error, UserError):
        return error
    said = " ".join(str(error).split()) or "no message"
    # The client's own errors say what to do; of any other one, the place may matter.
    of_client = type(error).__module__.partition(".")[0] == "cpsl"
    hint = "" if of_client else " (--traceback shows where)"
    return UserError(said + hint, type(error).__name__)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "", most: int = 3) -> str:
    """Ask whether one of the nearest names is meant; say something else where none is near.

    Parameters
    ----------
    word
        What was typed.
    known
        The names that there are.
    otherwise
        What to say where none of them is near.
    most
        How many to name.

    Examples
    --------
    >>> did_you_mean("PAYMENT", ["payments", "earnings"])
    'did you mean payments?'
    >>> did_you_mean("x", ["payments"], "there is only payments.")
    'there is only payments.'
    """
    names = {name.casefold(): name for name in known}
    typed = word.casefold()
    begun = [name for name in names if typed and name.startswith(typed)]
    found = begun or difflib.get_close_matches(typed, names)
    if not found:
        return otherwise
    return f"did you mean {' or '.join(names[name] for name in found[:most])}?"
