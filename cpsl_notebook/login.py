"""``%capsule login``: the browser login, with a link to click and a live status."""

from __future__ import annotations

from html import escape
from typing import Any

from IPython.display import display

from cpsl_notebook.errors import StoppedError, UserError
from cpsl_notebook.front_end import front_end

__all__ = ["log_in"]


def log_in() -> None:
    """Log in to the gateway that the environment names, else to the live service.

    Raises
    ------
    UserError
        Nobody is there to confirm it, it was interrupted, or the client at hand has no login.
    """
    if front_end() == "headless":
        raise UserError(
            "Nobody is here to confirm a login: set CAPSULE_TOKEN for this run instead."
        )
    begin = _begin()
    login = begin()
    link = f"Open {login.url} and confirm the login to {login.gateway}."
    anchor = (
        f'<a href="{escape(login.url)}" target="_blank" rel="noopener noreferrer">this link</a>'
    )
    status = _Status(link, f"Open {anchor} and confirm the login to {escape(login.gateway)}.")
    try:
        path = login.wait(on_tick=lambda left: status.show(f"Waiting; {left:.0f} s are left."))
    except KeyboardInterrupt:
        path = None
    if path is None:
        status.end("Stopped.")
        raise StoppedError("the login was not finished; an earlier one stands.")
    status.end(f"Logged in; the token is in {path}.")


def _begin() -> Any:
    try:
        from cpsl.login import begin
    except ImportError:
        raise UserError(
            "The official SDK logs in from a shell: run `capsule login` there."
        ) from None
    return begin


class _Status:
    """The link, and a line below it that changes; a terminal, which cannot repaint, shows less."""

    def __init__(self, text: str, html: str) -> None:
        self._text, self._html = text, html
        self._handle: Any = None
        if front_end() == "text":
            print(text)  # noqa: T201
        else:
            self._handle = display(self._bundle("Waiting."), raw=True, display_id=True)

    def show(self, line: str) -> None:
        if self._handle is not None:
            self._handle.update(self._bundle(line), raw=True)

    def end(self, line: str) -> None:
        self.show(line)
        if self._handle is None:
            print(line)  # noqa: T201

    def _bundle(self, line: str) -> dict[str, str]:
        return {
            "text/html": f'<div>{self._html}</div><div role="status">{escape(line)}</div>',
            "text/plain": f"{self._text}\n{line}",
        }
