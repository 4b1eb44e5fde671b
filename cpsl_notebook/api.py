"""Asking without magics: ``ask`` for one question, `Conversation` for several."""

from __future__ import annotations

import reprlib
import threading
from typing import Any, Literal, Self

from IPython.core.getipython import get_ipython

from cpsl_notebook.compat import parent_message
from cpsl_notebook.conversation import exchange
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.conversation.registry import ConversationRecord
from cpsl_notebook.errors import UsageError, UserError, check_type
from cpsl_notebook.prompt.request import Request
from cpsl_notebook.reply.model import Reply

__all__ = ["Conversation", "ask", "running_cell", "send"]

Form = Literal["json", "table"]


def ask(
    text: str,
    *unexpected: object,
    app: str | None = None,
    quiet: bool = False,
    stream: bool = True,
    timeout: float | None = None,
    form: Form | None = None,
) -> Reply:
    r"""Send one question to an app and show its reply.

    Each call uses a new conversation: the app does not see earlier questions, and the notebook's
    conversations do not change. To continue, use a `Conversation`. The text is sent unchanged; use an
    f-string to insert values.

    Parameters
    ----------
    text : str
        The prompt.
    \*unexpected : object
        Not allowed; raises an error that shows how to pass the app.
    app : str, optional
        Name or id of the app. By default, the last app named by ``%capsule use`` or a cell.
    quiet : bool
        Whether to hide the reply.
    stream : bool
        Whether to show the reply as it arrives.
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
        The client's error. The partial reply is shown and kept in ``%capsule history``.

    See Also
    --------
    Conversation : Several questions that build on each other.

    Examples
    --------
    ::

        for queue in ["billing", "security"]:
            ask(f"How many open threads are there in {queue}?", app="support-ops")
    """
    if unexpected:
        raise UsageError(
            f"ask() does not take a second positional argument: {reprlib.repr(unexpected[0])}. Name "
            "the app: ask('How many threads are open?', app='support-ops').",
            label="TypeError",
        )
    return _ask(
        Request(
            text=text,
            app="" if app is None else app,
            once=True,
            stream=stream,
            timeout=timeout,
            form=form,
            **running_cell(),
        ),
        quiet=quiet,
    )


class Conversation:
    """A conversation with an app, in which each question can build on the earlier ones.

    Every object is a separate conversation, so a web service or a marimo app creates one for each
    visitor. The turns of one object run one after another, even if several threads call it.

    Parameters
    ----------
    app : str
        Name or id of the app.
    session_id : str, optional
        The service's id of a conversation to continue, such as the `session_id` of an earlier object.
        By default, a new conversation starts with the first question.

    See Also
    --------
    ask : One question without a conversation.

    Examples
    --------
    ::

        triage = Conversation("support-ops")
        triage.ask("How many threads are waiting for review?")
        triage.ask("Turn that into a two-step triage plan.")
    """

    def __init__(self, app: str, *, session_id: str | None = None) -> None:
        if not isinstance(app, str) or not app:
            raise UsageError(
                f"Invalid app: {app!r}. Name one: Conversation('support-ops').", label="TypeError"
            )
        is_valid = session_id is None or isinstance(session_id, str)
        check_type(is_valid, "session_id", session_id, "It must be a string.")
        self._record = ConversationRecord(app, session_id=session_id or "")
        self._is_current = False
        self._turn = threading.Lock()

    @classmethod
    def current(cls, app: str | None = None, *, name: str = "") -> Self:
        """Return the notebook's conversation with an app, which its cells continue.

        Parameters
        ----------
        app : str, optional
            Name or id of the app. By default, the last app named by ``%capsule use`` or a cell.
        name : str
            The name of a separate conversation, as for ``--session``.

        Returns
        -------
        Conversation
            The notebook's conversation. After ``--new`` in a cell, it is the new one.

        Raises
        ------
        UserError
            No app can be chosen, or this is not a Jupyter notebook: the visitors of a web service or
            a marimo app would share the conversation.
        """
        check_type(isinstance(name, str), "name", name, "It must be a string.")
        context = current_context()
        if not context.is_notebook:
            raise UserError(
                "This is not a Jupyter notebook, so it has no conversation. Create one: "
                "Conversation('support-ops')."
            )
        current = cls(context.choose_app() if app in (None, "") else app)
        current._record.name, current._is_current = name, True
        return current

    def __repr__(self) -> str:
        label = f" {self._known_record().label}".rstrip()
        turns = f"{self.turns} turn{'' if self.turns == 1 else 's'}"
        return f"<Conversation{label} with {self.app}, {turns}>"

    @property
    def app(self) -> str:
        """The app."""
        return self._record.app

    @property
    def session_id(self) -> str:
        """The service's id of the conversation; empty before the first reply."""
        return self._known_record().session_id

    @property
    def turns(self) -> int:
        """The number of replies."""
        return self._known_record().turns

    def ask(
        self,
        text: str,
        *,
        quiet: bool = False,
        stream: bool = True,
        timeout: float | None = None,
        form: Form | None = None,
    ) -> Reply:
        """Send the next prompt of the conversation and show its reply.

        Parameters
        ----------
        text : str
            The prompt.
        quiet : bool
            Whether to hide the reply.
        stream : bool
            Whether to show the reply as it arrives.
        timeout : float, optional
            Read timeout, in seconds: stop if the app sends nothing for this long.
        form : {"json", "table"}, optional
            The expected format of the reply, which is shown in that format.

        Returns
        -------
        Reply
            The reply; ``str(reply)`` is its text.

        Raises
        ------
        UserError
            The request is invalid, the reply was stopped, or it is not in the expected format.
        Exception
            The client's error; the conversation can continue.
        """
        request = Request(
            text=text,
            app=self.app,
            session=self._record.name,
            stream=stream,
            timeout=timeout,
            form=form,
            **running_cell(),
        )
        with self._turn:
            return _ask(
                request, quiet=quiet, conversation=None if self._is_current else self._record
            )

    def _known_record(self) -> ConversationRecord:
        if not self._is_current:
            return self._record
        known = current_context().conversations
        return known.current(self.app, self._record.name) or self._record


def send(request: Request, *, quiet: bool, conversation: ConversationRecord | None = None) -> Reply:
    """Send a request and show its reply according to the settings; errors are in ``reply.error``."""
    from cpsl_notebook.display.displays import choose

    context = current_context()
    display = choose("quiet" if quiet else context.settings.display)
    reply = exchange.send(context, request, display, conversation)
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


def _ask(request: Request, *, quiet: bool, conversation: ConversationRecord | None = None) -> Reply:
    reply = send(request, quiet=quiet, conversation=conversation)
    if reply.error is not None:
        raise reply.error
    return reply
