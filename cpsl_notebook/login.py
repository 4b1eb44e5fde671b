"""``%capsule login``: log in with the browser, with a link and a status line."""

from __future__ import annotations

from html import escape
from typing import Any

from IPython.display import display

from cpsl_notebook.errors import StoppedError, UserError
from cpsl_notebook.front_end import front_end
from cpsl_notebook.printing import print_text

__all__ = ["log_in"]


def log_in() -> None:
    """Log in to the gateway of the environment, or else to the live service.

    Raises
    ------
    UserError
        The run is non-interactive, or the installed client has no login.
    StoppedError
        The user interrupted the login.
    """
    if front_end() == "headless":
        raise UserError(
            "This run is non-interactive, so nobody can confirm the login. Set CAPSULE_TOKEN instead."
        )
    begin = _begin()
    login = begin()
    link = f"Open {login.url} and confirm the login to {login.gateway}."
    anchor = (
        f'<a href="{escape(login.url)}" target="_blank" rel="noopener noreferrer">this link</a>'
    )
    status = _Status(link, f"Open {anchor} and confirm the login to {escape(login.gateway)}.")
    try:
        path = login.wait(
            on_tick=lambda left: status.show(f"Waiting for confirmation, {left:.0f} s left.")
        )
    except KeyboardInterrupt:
        path = None
    if path is None:
        status.end("Stopped.")
        raise StoppedError("the login was not completed. Earlier credentials are unchanged.")
    status.end(f"Logged in. The token is stored in {path}.")


def _begin() -> Any:
    try:
        from cpsl.login import begin
    except ImportError:
        raise UserError(
            "The official SDK logs in from a terminal. Run `capsule login` there."
        ) from None
    return begin


class _Status:
    """The link and a status line below it; only notebooks show updates of the line.

    The link is an output of its own: a click during which it is updated would be lost.
    """

    def __init__(self, text: str, html: str) -> None:
        self._handle: Any = None
        if front_end() != "widget":
            print_text(text)
            return
        display({"text/html": f"<div>{html}</div>", "text/plain": text}, raw=True)
        waiting = _bundle("Waiting for confirmation.")
        self._handle = display(waiting, raw=True, display_id=True)

    def show(self, line: str) -> None:
        if self._handle is not None:
            self._handle.update(_bundle(line), raw=True)

    def end(self, line: str) -> None:
        self.show(line)
        if self._handle is None:
            print_text(line)


def _bundle(line: str) -> dict[str, str]:
    return {"text/html": f'<div role="status">{escape(line)}</div>', "text/plain": line}
