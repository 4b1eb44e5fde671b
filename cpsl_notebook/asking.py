"""Asking an app: prompt in, reply out, in the conversation of this notebook."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from IPython.core.getipython import get_ipython

from cpsl_notebook.conversation import Conversation, Conversations, default_store
from cpsl_notebook.core import takes
from cpsl_notebook.errors import UserError
from cpsl_notebook.notebook import notebook_name
from cpsl_notebook.reply import Reply
from cpsl_notebook.stopping import Stopper

if TYPE_CHECKING:
    from cpsl_notebook.client import Client
    from cpsl_notebook.display import Display

__all__ = ["Desk", "ask", "desk"]

_LONGEST_IN_URL = 7_000  # bytes of prompt; a stream sends it in its URL, and servers take some 8 kB


class Desk:
    """What the cells of one notebook share: the client, the conversations, the replies.

    Parameters
    ----------
    namespace
        The notebook's variables, which may tell which notebook it is.

    Attributes
    ----------
    default_app
        The app to talk to where none is named; empty for none.
    replies
        Every reply so far, oldest first.
    """

    def __init__(self, namespace: dict[str, Any] | None = None) -> None:
        self.default_app = ""
        self.replies: list[Reply] = []
        self._client: Client | None = None
        self._namespace = namespace if namespace is not None else {}
        self._conversations: dict[str, Conversations] = {}

    @property
    def client(self) -> Client:
        """The client in use; the first time, one with the user's own credentials."""
        if self._client is None:
            from cpsl_notebook.client import Client

            try:
                self._client = Client()
            except RuntimeError as error:  # either client's way to say that there is no login
                raise UserError(
                    f"{error} Here, `%capsule login` logs in; `%capsule local` needs no login.",
                    "CredentialsError",
                ) from None
        return self._client

    def connect(self, client: Client | None) -> None:
        """Talk to another workspace from now on; ``None`` is the user's own."""
        self._client = client

    @property
    def conversations(self) -> Conversations:
        """The notebook's conversations with the workspace in use."""
        scope = self.client.scope
        if scope not in self._conversations:
            name, _ = self.notebook
            self._conversations[scope] = Conversations(default_store(), name, scope)
        return self._conversations[scope]

    @property
    def notebook(self) -> tuple[str, bool]:
        """The notebook's path, and whether that is known; see `notebook_name`."""
        return notebook_name(self._namespace)

    def choose_app(self, app: str = "") -> str:
        """Return the app to talk to: the one named, the default, or the only one in use.

        Raises
        ------
        UserError
            It is not clear which.
        """
        used = self.conversations.apps()
        if app or self.default_app:
            return app or self.default_app
        if len(used) == 1:
            return used[0]
        if used:
            raise UserError(f"Which app? This notebook talks to {', '.join(used)}: name one.")
        raise UserError("Which app? Name one (%%capsule APP); `%capsule apps` lists them.")

    def ask(
        self,
        text: str,
        app: str = "",
        *,
        display: Display,
        session: str = "",
        new: bool = False,
        once: bool = False,
        resume: bool = False,
        stream: bool = True,
        timeout: float | None = None,
        remote_images: bool = False,
        cell_id: str = "",
        execution_count: int | None = None,
    ) -> Reply:
        """Send a prompt, show the reply as it comes, and return it.

        What goes wrong once it is sent is the reply's ``error``, for the caller to raise: so that
        what had arrived is never lost.

        Raises
        ------
        UserError
            There is nothing to send, or nobody to send it to.
        """
        if not isinstance(text, str) or not text.strip():
            raise UserError("The prompt is empty: write it below the %%capsule line.")
        if once and (new or session):
            raise UserError("--once is a conversation of its own: leave out --new and --session.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError("The prompt has half of a character (a lone surrogate): take it out.")
        app = self.choose_app(app)
        self.client.reference(app)  # a name that is wrong is said before anything is shown
        reply = Reply(app, text, cell_id=cell_id, execution_count=execution_count)
        reply.remote_images = remote_images
        conversation = self._conversation(reply, session, new=new, once=once, resume=resume)
        send = self._sender(reply, conversation, stream, timeout)
        reply.conversation, reply.turn = conversation.label, conversation.turns + 1
        with Stopper() as stopper:
            _receive(reply, display, send, stopper)
            self._settle(reply, conversation, once)
            self.replies.append(reply)
            display.finish(reply)
        return reply

    def _conversation(
        self, reply: Reply, name: str, *, new: bool, once: bool, resume: bool
    ) -> Conversation:
        """Return the conversation to ask in, and tell the reply about an earlier one."""
        if once:
            return Conversation(reply.app, name or "once")
        known = self.conversations
        if new:
            return Conversation(reply.app, name)  # the old one goes on if nothing comes back
        if not known.has_current(reply.app, name):
            earlier = known.earlier(reply.app, name)
            if earlier is not None and resume:
                reply.notices.append(f"Resumed {earlier.described}.")
                return known.use(reply.app, earlier.session_id, name)
            if earlier is not None:
                reply.notices.append(
                    f"This notebook has {earlier.described}: `%capsule session resume "
                    f"{reply.app}` goes on with it."
                )
        return known.current(reply.app, name)

    def _sender(
        self, reply: Reply, conversation: Conversation, stream: bool, timeout: float | None
    ) -> Callable[[], Any]:
        """Return what sends the prompt: a call that gives the stream, or the whole answer."""
        too_long = len(quote(reply.prompt, safe="")) > _LONGEST_IN_URL
        if stream and too_long:
            reply.notices.append("The prompt is too long to be streamed; it was sent whole.")
        method = self.client.stream if stream and not too_long else self.client.chat
        options: dict[str, Any] = {}
        if timeout is not None:
            if not takes(getattr(self.client.core, method.__name__), "timeout"):
                raise UserError("The official SDK has no time-out to set: install cpsl-client.")
            options["timeout"] = timeout
        return lambda: method(reply.app, reply.prompt, conversation.session_id or None, **options)

    def _settle(self, reply: Reply, conversation: Conversation, once: bool) -> None:
        """Keep what the service said about the conversation."""
        if once:
            reply.conversation, reply.turn = conversation.name, 1
            return
        if not (reply.session_id or reply.text):
            return  # nothing came back: the conversation stands where it was
        asked = conversation.label
        if self.conversations.answered(conversation, reply.session_id):
            reply.notices.append(
                f"The service did not go on with conversation {asked} and started another: it does "
                "not know what was said before."
            )
        reply.conversation, reply.turn = conversation.label, conversation.turns


def _receive(reply: Reply, display: Display, send: Callable[[], Any], stopper: Stopper) -> None:
    """Read the answer into the reply; what ends it early is the reply's error."""
    answer: Any = None
    display.start(reply, stopper.stop)
    started = time.perf_counter()
    try:
        try:
            stopper.listen()
            answer = send()
            if hasattr(answer, "raw"):
                reply.take_whole(answer)
                reply.status = "complete"
            else:
                _read(reply, answer, display, started)
        except Exception as error:
            reply.status = "failed"
            reply.error = error
        stopper.over()
    except KeyboardInterrupt:
        if reply.status == "running":
            reply.status = "stopped"
            reply.error = UserError("what had arrived is kept.", "Stopped")
    finally:
        if hasattr(answer, "close"):
            answer.close()
    reply.total_s = time.perf_counter() - started


def _read(reply: Reply, chunks: Any, display: Display, started: float) -> None:
    for chunk in chunks:
        if reply.first_chunk_s is None and (chunk.text or chunk.event == "block"):
            reply.first_chunk_s = time.perf_counter() - started
        reply.take(chunk.event, chunk.data)
        display.update(reply)
        if chunk.done:
            reply.status = "complete"
    if reply.status != "complete":
        reply.status = "incomplete"


_desks: weakref.WeakKeyDictionary[Any, Desk] = weakref.WeakKeyDictionary()
_no_shell = Desk()  # plain Python has one desk for the process


def desk() -> Desk:
    """Return the desk of the running IPython shell, or of plain Python."""
    shell = get_ipython()
    if shell is None:
        return _no_shell
    if shell not in _desks:
        _desks[shell] = Desk(shell.user_ns)
    return _desks[shell]


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
) -> Reply:
    """Ask an app; the cell magic ``%%capsule`` as a function, for loops and functions.

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

    Returns
    -------
    Reply
        The reply; ``str(reply)`` is its text.

    Raises
    ------
    UserError
        There is nothing to send, nobody to send it to, or the reply was stopped.
    Exception
        What the client raises; what had arrived is shown, and kept in ``%capsule history``.

    Examples
    --------
    ::

        for queue in ["billing", "security"]:
            ask(f"How many open threads are there in {queue}?", app="support-ops")
    """
    from cpsl_notebook.display import choose

    reply = desk().ask(
        text,
        app,
        display=choose("quiet" if quiet else "auto"),
        session=session,
        new=new,
        once=once,
        stream=stream,
        timeout=timeout,
    )
    if reply.error is not None:
        raise reply.error
    return reply
