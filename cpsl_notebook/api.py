"""``ask``: the cell magic as a function."""

from __future__ import annotations

from typing import Any, Literal

from IPython.core.getipython import get_ipython

from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.conversation.exchange import send
from cpsl_notebook.prompt.request import Request
from cpsl_notebook.reply.model import Reply

__all__ = ["ask", "place"]


def ask(
    text: str,
    app: str = "",
    *,
    session: str = "",
    new: bool = False,
    once: bool = False,
    quiet: bool = False,
    stream: bool = True,
    timeout: float | None = None,
    form: Literal["json", "table"] | None = None,
) -> Reply:
    """Ask an app; the cell magic ``%%capsule`` as a function, for loops and functions.

    The text is sent as it is: it is Python's to fill, with an f-string for example.

    Parameters
    ----------
    text
        The prompt.
    app
        Name or id; by default the app of ``%capsule use``, or the only one in use.
    session
        The name of a further conversation of this notebook.
    new
        Start a new conversation.
    once
        Ask in a throw-away conversation and leave the notebook's where it is.
    quiet
        Show nothing.
    stream
        Show the reply as it arrives.
    timeout
        The longest silence to bear, in seconds.
    form
        What the answer must be, ``"json"`` or ``"table"``; it is shown as such.

    Returns
    -------
    Reply
        The reply; ``str(reply)`` is its text. As the last line of its cell it is not shown again.

    Raises
    ------
    UserError
        There is nothing to send, nobody to send it to, the reply was stopped, or it is not of the
        form that it must have.
    Exception
        What the client raises; what had arrived is shown, and kept in ``%capsule history``.

    Examples
    --------
    ::

        for queue in ["billing", "security"]:
            ask(f"How many open threads are there in {queue}?", app="support-ops")
    """
    from cpsl_notebook.display.displays import choose

    at = current_context()
    question = Request(
        text=text,
        app=app,
        session=session,
        new=new,
        once=once,
        stream=stream,
        timeout=timeout,
        form=form,
        **place(),
    )
    reply = send(at, question, choose("quiet" if quiet else at.settings.display))
    if reply.error is not None:
        raise reply.error
    reply.shown = not quiet
    return reply


def place() -> dict[str, Any]:
    """Return which cell runs, as far as the front end says."""
    shell: Any = get_ipython()
    if shell is None:
        return {}
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return {
        "cell_id": (parent or {}).get("metadata", {}).get("cellId", ""),
        "execution_count": shell.execution_count,
    }
