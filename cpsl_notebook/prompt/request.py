"""The request to an app: a prompt, its conversation, and the expected format of the reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cpsl_notebook.errors import UsageError, UserError, check_type
from cpsl_notebook.settings import MAX_TIMEOUT

if TYPE_CHECKING:
    from cpsl_notebook.prompt.template import Placeholder

__all__ = ["Request", "check_timeout"]

_MAX_REASONS = 3  # reasons in the notice


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
        The prompt before it was filled; empty if it was not filled.
    unfilled : tuple of Placeholder
        The double braces in the text that do not contain an expression.
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
    unfilled: tuple[Placeholder, ...] = ()
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
            check_type(isinstance(value, str), name, value, "It must be a string.")
        if not self.text.strip():
            raise UserError("The prompt is empty. Write the text to send.")
        if self.form not in (None, "json", "table"):
            raise UserError(f"Invalid form: {self.form!r}. Use 'json' or 'table'.")
        check_timeout(self.timeout)
        if self.once and (self.new or self.session):
            raise UserError("Cannot combine --once with --new or --session. Use only one of them.")
        for name, text in (("prompt", self.text), ("app", self.app), ("session", self.session)):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise UserError(f"The {name} contains a lone surrogate. Remove it.")

    @property
    def notice(self) -> str:
        """A line about unfilled double braces, with the reasons; empty if there are none."""
        by_reason: dict[str, list[str]] = {}
        for found in self.unfilled:
            by_reason.setdefault(found.reason, []).append(found.label)
        parts = []
        for reason, labels in list(by_reason.items())[:_MAX_REASONS]:
            others = f" and {len(labels) - 1:,} more" if len(labels) > 1 else ""
            parts.append(f"{labels[0]}{others} ({reason})")
        if len(by_reason) > _MAX_REASONS:
            parts.append(f"others for {len(by_reason) - _MAX_REASONS:,} more reasons")
        return f"Sent unchanged: {'; '.join(parts)}." if parts else ""


def check_timeout(timeout: object) -> None:
    """Check a read timeout.

    Raises
    ------
    UsageError
        It is neither ``None`` nor a number of seconds in the allowed range.
    """
    if timeout is None:
        return
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, int | float)
        or not 0 < timeout <= MAX_TIMEOUT
    ):
        raise UsageError(
            f"Invalid timeout: {timeout!r}. Use a number of seconds above 0, up to "
            f"{MAX_TIMEOUT:,.0f}."
        )
