"""Errors for users of the notebook: one line that says what failed and what to do next."""

from __future__ import annotations

import reprlib
import traceback
from collections.abc import Iterable
from typing import Any

from cpsl_notebook.sanitize import clean
from cpsl_notebook.suggestions import close_names

__all__ = [
    "ClientError",
    "PromptError",
    "StoppedError",
    "UsageError",
    "UserError",
    "as_user_error",
    "check_type",
    "did_you_mean",
    "shown",
]

_LONGEST_VALUE = 80  # characters of a value in an error message


class UserError(Exception):
    """An error shown as one line that says what failed and what to do next.

    IPython shows only that line, as an error output, and Run All stops. The errors can be pickled
    and copied.

    Parameters
    ----------
    message : str
        The line.
    label : str, optional
        The name before the line, such as ``"NameError"``; by default, the class's label. Plain
        advice has none.

    Attributes
    ----------
    show_traceback : bool
        Whether to show the whole traceback instead of the line.
    """

    label = ""
    show_traceback = False

    def __init__(self, message: str = "", *, label: str | None = None) -> None:
        super().__init__(clean(message))
        if label is not None:
            self.label = label

    def _render_traceback_(self) -> list[str]:
        if self.show_traceback:
            return clean("".join(traceback.format_exception(self))).splitlines()
        return [f"{self.label}: {self}" if self.label else str(self)]


class UsageError(UserError):
    """The line of a magic, or an argument of a function, is invalid."""

    label = "UsageError"


class StoppedError(UserError):
    """The user stopped a reply or a login."""

    label = "Stopped"


class PromptError(UserError):
    """A prompt could not be filled; the label names the Python exception."""


class ClientError(UserError):
    """The client or the service failed; the label names the client's exception."""


def as_user_error(error: Exception) -> UserError:
    """Return an error as a `UserError`; one that already is a `UserError` is returned unchanged."""
    if isinstance(error, UserError):
        return error
    message = " ".join(str(error).split()) or "no message"
    # Errors of cpsl say what to do. For other errors, the traceback may help.
    of_client = type(error).__module__.partition(".")[0] == "cpsl"
    hint = "" if of_client else " (use --traceback to see where)"
    return ClientError(message + hint, label=type(error).__name__)


def shown(value: Any) -> str:
    """Return a value of any type for an error message: on one line and shortened.

    Examples
    --------
    >>> shown("yes"), shown(range(10))
    ("'yes'", 'range(0, 10)')
    """
    text = repr(value)
    if "\n" in text or isinstance(value, bytes):  # such as a DataFrame, or an encoded secret
        return type(value).__name__
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def check_type(is_valid: bool, name: str, value: object, advice: str) -> None:
    """Raise `UsageError` with advice unless the type of an argument is valid."""
    if not is_valid:
        raise UsageError(f"Invalid {name}: {reprlib.repr(value)}. {advice}", label="TypeError")


def did_you_mean(word: str, known: Iterable[Any], otherwise: str = "", limit: int = 3) -> str:
    """Return a question that suggests the known names close to a misspelled one.

    Parameters
    ----------
    word : str
        The misspelled name.
    known : iterable
        The known names. Those that begin with an underscore, and values other than strings, are
        not suggested.
    otherwise : str
        The text to return if no name is close.
    limit : int
        The largest number of names to suggest.

    Returns
    -------
    str
        The question, or *otherwise*.

    Examples
    --------
    >>> did_you_mean("PAYMENT", ["payments", "earnings"])
    "Did you mean 'payments'?"
    >>> did_you_mean("x", ["payments"], "Run `%capsule help`.")
    'Run `%capsule help`.'
    """
    names = (name for name in known if isinstance(name, str) and not name.startswith("_"))
    found = close_names(word, names, limit)
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else otherwise
