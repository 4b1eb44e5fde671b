"""The request to an app: a prompt, its conversation, and the expected format of the reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.settings import MAX_TIMEOUT

__all__ = ["Request"]

_MAX_SHOWN = 40  # characters of a placeholder in the notice


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt and how to send it.

    Attributes
    ----------
    text : str
        The text to send.
    app : str
        Name or id of the app; empty for the default.
    template : str
        The prompt before it was filled; empty if it was not.
    unfilled : tuple of str
        The double braces in the text without an expression.
    session : str
        The name of a separate conversation; empty for the notebook's own.
    new : bool
        Whether to start a new conversation.
    once : bool
        Whether to use a temporary conversation.
    stream : bool
        Whether to show the reply as it arrives.
    timeout : float or None
        Read timeout, in seconds; ``None`` for the default.
    form : {"json", "table"} or None
        The expected format of the reply; ``None`` for any.
    cell_id : str
        The id of the cell; empty if it is not known.
    execution_count : int or None
        The execution count of the cell; ``None`` outside IPython.

    Examples
    --------
    >>> Request(text="How many?", app="support-ops").check()
    """

    text: str
    app: str = ""
    template: str = ""
    unfilled: tuple[str, ...] = ()
    session: str = ""
    new: bool = False
    once: bool = False
    stream: bool = True
    timeout: float | None = None
    form: Literal["json", "table"] | None = None
    cell_id: str = ""
    execution_count: int | None = None

    def check(self) -> None:
        """Check the request before it is sent.

        Raises
        ------
        UserError
            The text is empty, a value is invalid, or options contradict each other.
        """
        for name in ("text", "app", "session"):
            value = getattr(self, name)
            if not isinstance(value, str):
                kind = type(value).__name__
                raise UsageError(
                    f"The {name} must be a string, not {kind}. Convert it with str().",
                    label="TypeError",
                )
        if not self.text.strip():
            raise UserError("The prompt is empty. Write the text to send.")
        if self.form not in (None, "json", "table"):
            raise UserError(f"Invalid form: {self.form!r}. Use 'json' or 'table'.")
        if self.timeout is not None and not _is_timeout(self.timeout):
            raise UserError(
                f"Invalid timeout: {self.timeout!r}. Use a number of seconds above 0, up to 1,000,000."
            )
        if self.once and (self.new or self.session):
            raise UserError("Cannot combine once with new or session. Leave out one of them.")
        if any("\ud800" <= character <= "\udfff" for character in self.text):
            raise UserError("The prompt contains a lone surrogate. Remove it.")

    @property
    def notice(self) -> str:
        """A line about double braces that were not filled; empty if there are none."""
        if not self.unfilled:
            return ""
        first = " ".join(self.unfilled[0].split())
        first = first if len(first) <= _MAX_SHOWN else f"{first[:_MAX_SHOWN]}…"
        if len(self.unfilled) == 1:
            return f"Sent unchanged, because it is not a Python expression: {first}"
        others = len(self.unfilled) - 1
        return (
            f"Sent unchanged, because they are not Python expressions: {first} and {others:,} more"
        )


def _is_timeout(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= MAX_TIMEOUT
