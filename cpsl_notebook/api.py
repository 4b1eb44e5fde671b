"""``ask``: the cell magic as a function."""

from __future__ import annotations

from typing import Any, Literal

from IPython.core.getipython import get_ipython

from cpsl_notebook.compat import parent_message
from cpsl_notebook.conversation import exchange
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.prompt.request import Request
from cpsl_notebook.reply.model import Reply

__all__ = ["ask", "running_cell", "send"]


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
    """Send a prompt to an app and show its reply, like the cell magic ``%%capsule``.

    The text is sent unchanged. To insert values, use an f-string.

    Parameters
    ----------
    text : str
        The prompt.
    app : str
        Name or id of the app. By default, the app of ``%capsule use``, or the only one used so far.
    session : str
        The name of a separate conversation of this notebook.
    new : bool
        Start a new conversation.
    once : bool
        Use a temporary conversation; the notebook's conversation does not change.
    quiet : bool
        Do not show the reply.
    stream : bool
        Show the reply as it arrives.
    timeout : float, optional
        Read timeout, in seconds: stop if the app sends nothing for this long.
    form : {"json", "table"}, optional
        The expected format of the reply, which is shown in that format.

    Returns
    -------
    Reply
        The reply; ``str(reply)`` is its text. It is not shown again if the call is the last line
        of its cell.

    Raises
    ------
    UserError
        The request is invalid, no app can be chosen, the reply was stopped, or it is not in the
        expected format.
    Exception
        The client's error. What had arrived is shown and kept in ``%capsule history``.

    Examples
    --------
    ::

        for queue in ["billing", "security"]:
            ask(f"How many open threads are there in {queue}?", app="support-ops")
    """
    request = Request(
        text=text,
        app=app,
        session=session,
        new=new,
        once=once,
        stream=stream,
        timeout=timeout,
        form=form,
        **running_cell(),
    )
    reply = send(request, quiet=quiet)
    if reply.error is not None:
        raise reply.error
    return reply


def send(request: Request, *, quiet: bool) -> Reply:
    """Send a request and show its reply as the settings say; errors are in ``reply.error``."""
    from cpsl_notebook.display.displays import choose

    context = current_context()
    reply = exchange.send(context, request, choose("quiet" if quiet else context.settings.display))
    reply.shown = not quiet and reply.error is None
    return reply


def running_cell() -> dict[str, Any]:
    """Return the id and execution count of the running cell, if the front end provides them."""
    shell: Any = get_ipython()
    if shell is None:
        return {}
    return {
        "cell_id": parent_message(shell).get("metadata", {}).get("cellId", ""),
        "execution_count": shell.execution_count,
    }
