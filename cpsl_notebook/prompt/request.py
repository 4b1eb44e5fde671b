"""What is asked: a prompt, of whom, in which conversation, and what the answer shall be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.settings import LONGEST_SILENCE

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt and how it is to be asked.

    Attributes
    ----------
    text
        The prompt as it shall be sent.
    app
        Name or id; empty for the default.
    template
        The prompt before it was filled, where it was.
    left
        Its double braces that hold no expression.
    session, new, once
        The conversation: a named one, a new one, one that is thrown away.
    stream
        Whether to show the reply as it arrives.
    timeout
        The longest silence to bear, in seconds.
    form
        What the answer is meant to be: ``"json"``, ``"table"``, or ``None`` for anything.
    cell_id, execution_count
        The cell that asks.

    Examples
    --------
    >>> Request(text="How many?", app="support-ops").check()
    """

    text: str
    app: str = ""
    template: str = ""
    left: tuple[str, ...] = ()
    session: str = ""
    new: bool = False
    once: bool = False
    stream: bool = True
    timeout: float | None = None
    form: Literal["json", "table"] | None = None
    cell_id: str = ""
    execution_count: int | None = None

    def check(self) -> None:
        """Make sure that it can be asked.

        Raises
        ------
        UserError
            There is nothing to send, or the words contradict each other.
        """
        for name in ("text", "app", "session"):
            value = getattr(self, name)
            if not isinstance(value, str):
                kind = type(value).__name__
                raise UsageError(
                    f"The {name} must be a string, no {kind}: give str(…).", label="TypeError"
                )
        if not self.text.strip():
            raise UserError("The prompt is empty: write it below the %%capsule line.")
        if self.form not in (None, "json", "table"):
            raise UserError(f"An answer cannot be of the form {self.form!r}: name json or table.")
        if self.timeout is not None and not _is_silence(self.timeout):
            raise UserError(f"timeout={self.timeout!r}: give seconds, above 0 and up to a million.")
        if self.once and (self.new or self.session):
            raise UserError("--once is a conversation of its own: leave out --new and --session.")
        if any("\ud800" <= character <= "\udfff" for character in self.text):
            raise UserError("The prompt has half of a character (a lone surrogate): take it out.")

    @property
    def notice(self) -> str:
        """What to say about braces that were left as they are; empty for none."""
        if not self.left:
            return ""
        first = " ".join(self.left[0].split())
        first = first if len(first) <= 40 else f"{first[:40]}…"
        if len(self.left) == 1:
            return f"{first} stays as it is: it holds no expression of this notebook."
        more = f"{len(self.left) - 1:,} more"
        return f"{first} and {more} stay as they are: they hold no expression of this notebook."


def _is_silence(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= LONGEST_SILENCE
