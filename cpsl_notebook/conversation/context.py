"""Asking an app: prompt in, reply out, in the conversation of this notebook."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from IPython.core.getipython import get_ipython

from cpsl_notebook.conversation.notebook_identity import notebook_name
from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry
from cpsl_notebook.conversation.store import Store, default_store
from cpsl_notebook.cpsl_package import takes
from cpsl_notebook.display.interrupt import Stopper
from cpsl_notebook.errors import ClientError, StoppedError, UserError
from cpsl_notebook.prompt.request import Request
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.settings import Settings

if TYPE_CHECKING:
    from cpsl_notebook.client import Client
    from cpsl_notebook.display.displays import Display

__all__ = ["NotebookContext", "current_context"]

_LONGEST_IN_URL = 7_000  # bytes of prompt; a stream sends it in its URL, and servers take some 8 kB


class NotebookContext:
    """What the cells of one notebook share: the client, the conversations, the replies.

    Parameters
    ----------
    namespace
        The notebook's variables, which may tell which notebook it is.

    Attributes
    ----------
    settings
        The notebook's defaults.
    replies
        Every reply so far, oldest first.
    """

    def __init__(self, namespace: dict[str, Any] | None = None) -> None:
        self.settings = Settings()
        self.replies: list[Reply] = []
        self._client: Client | None = None
        self._namespace = namespace if namespace is not None else {}
        self._conversations: dict[str, ConversationRegistry] = {}

    @property
    def client(self) -> Client:
        """The client in use; the first time, one with the user's own credentials."""
        if self._client is None:
            from cpsl_notebook.client import Client

            try:
                self._client = Client()
            except RuntimeError as error:  # either client's way to say that there is no login
                raise ClientError(
                    f"{error} Here, `%capsule login` logs in; `%capsule local` needs no login.",
                    label="CredentialsError",
                ) from None
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether there is a client already; asking for one may look for credentials."""
        return self._client is not None

    def connect(self, client: Client | None) -> None:
        """Talk to another workspace from now on; ``None`` is the user's own."""
        self._client = client

    @property
    def conversations(self) -> ConversationRegistry:
        """The notebook's conversations with the workspace in use."""
        scope = self.client.scope
        if scope not in self._conversations:
            name, _ = self.notebook
            self._conversations[scope] = ConversationRegistry(Store(default_store()), name, scope)
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
        if app or self.settings.app:
            return app or self.settings.app
        used = self.conversations.apps()
        if len(used) == 1:
            return used[0]
        if used:
            raise UserError(f"Which app? This notebook talks to {', '.join(used)}: name one.")
        raise UserError("Which app? Name one (%%capsule APP); `%capsule apps` lists them.")

    def existing_app(self, app: str = "") -> str:
        """Return the app to talk to; one that the workspace does not have is noticed now."""
        app = self.choose_app(app)
        self.client.get_app(app)
        return app

    def ask(self, question: Request, display: Display) -> Reply:
        """Send a prompt, show the reply as it comes, and return it.

        What goes wrong once it is sent is the reply's ``error``, for the caller to raise: so that
        what had arrived is never lost.

        Raises
        ------
        UserError
            There is nothing to send, or nobody to send it to.
        """
        reply, conversation = self._prepared(question, claims=True)
        send = self._sender(reply, conversation, question)
        with Stopper() as stopper:
            _receive(reply, display, send, stopper)
            try:
                self._settle(reply, conversation, question.once)
            finally:
                self.replies.append(reply)
                display.finish(reply)
        self._keep(reply, conversation)
        return reply

    def preview(self, question: Request) -> str:
        """Return what would be sent, and where to; nothing is sent, and nothing changes.

        Raises
        ------
        UserError
            It could not be sent.
        """
        reply, conversation = self._prepared(question, claims=False)
        self._sender(reply, conversation, question)
        if question.once:
            where = "a throw-away conversation"
        elif conversation.session_id:
            where = f"turn {reply.turn} of conversation {reply.conversation}"
        else:
            where = f"a new conversation {reply.conversation}".rstrip()
        size = f"{len(reply.prompt):,} characters, {len(reply.prompt.encode()):,} bytes"
        lines = [f"Not sent: a prompt for {reply.app}, {where}; {size}.", *reply.notices]
        return "\n".join([*lines, "", reply.prompt])

    def _prepared(self, question: Request, *, claims: bool) -> tuple[Reply, ConversationRecord]:
        """Return a reply that is still empty, and the conversation that it belongs to."""
        question.check()
        app = self.choose_app(question.app)
        self.client.reference(app)  # a name that is wrong is said before anything is shown
        reply = Reply(
            app,
            question.text,
            template=question.template or question.text,
            form=question.form,
            remote_images=self.settings.remote_images,
            cell_id=question.cell_id,
            execution_count=question.execution_count,
        )
        reply.notices += filter(None, [question.notice])
        conversation = self._conversation(reply, question, claims=claims)
        reply.conversation, reply.turn = conversation.label, conversation.turns + 1
        return reply, conversation

    def _conversation(self, reply: Reply, question: Request, *, claims: bool) -> ConversationRecord:
        """Return the conversation to ask in, and tell the reply about an earlier one."""
        name = question.session
        if question.once:
            return ConversationRecord(reply.app, "once")
        known = self.conversations
        if question.new:
            return ConversationRecord(reply.app, name)  # the old one goes on if nothing comes back
        if known.has_current(reply.app, name):
            return known.current(reply.app, name)
        earlier = known.earlier(reply.app, name)
        if earlier is None:
            return ConversationRecord(reply.app, name)
        if self.settings.resume and (not claims or known.resume_unless_held(earlier)):
            reply.notices.append(f"{'Resumed' if claims else 'Resumes'} {earlier.described}.")
            return earlier
        held = "; another kernel has it" if self.settings.resume else ""
        reply.notices.append(
            f"This notebook has {earlier.described}{held}: `%capsule session resume "
            f"{earlier.words}` goes on with it."
        )
        return ConversationRecord(reply.app, name)

    def _sender(
        self, reply: Reply, conversation: ConversationRecord, question: Request
    ) -> Callable[[], Any]:
        """Return what sends the prompt: a call that gives the stream, or the whole answer."""
        too_long = len(quote(reply.prompt, safe="")) > _LONGEST_IN_URL
        if question.stream and too_long:
            reply.notices.append("Too long for a stream's URL, the prompt goes through chat.")
        client = self.client
        method = client.stream if question.stream and not too_long else client.chat
        timeout = question.timeout or self.settings.timeout
        options: dict[str, Any] = {}
        if timeout is not None:
            if not takes(getattr(client.core, method.__name__), "timeout"):
                raise UserError("The official SDK has no time-out to set: install cpsl-client.")
            options["timeout"] = timeout
        return lambda: method(reply.app, reply.prompt, conversation.session_id or None, **options)

    def _settle(self, reply: Reply, conversation: ConversationRecord, once: bool) -> None:
        """Keep what the service said about the conversation."""
        if reply.status == "complete" and reply.form:
            from cpsl_notebook.reply.expected_format import misfit

            reply.error = misfit(reply)
        if not (reply.session_id or reply.text):
            reply.error = _unknown_session(reply.error, conversation)
            return  # nothing came back: the conversation stands where it was
        self.conversations.has_used(reply.app)
        asked = conversation.label
        if once:
            return
        if not (reply.session_id or conversation.session_id):
            self.conversations.start_anew(reply.app, conversation.name)
            reply.lost = "The service named no session: the next cell starts another conversation."
        elif self.conversations.answered(conversation, reply.session_id):
            reply.lost = (
                f"The service did not go on with conversation {asked} and started another: it does "
                "not know what was said before."
            )
        reply.notices += filter(None, [reply.lost])
        reply.conversation, reply.turn = conversation.label, conversation.turns or 1
        reply.turn_before = self._turn_before(reply)

    def _keep(self, reply: Reply, conversation: ConversationRecord) -> None:
        """Keep the conversation for a later kernel, if it is one of this notebook's."""
        try:
            if conversation.session_id and self.conversations.is_current(conversation):
                self.conversations.keep(conversation)
        except KeyboardInterrupt:
            said = "the reply is whole, but its conversation is not kept for a later kernel."
            reply.error = StoppedError(said)

    def _turn_before(self, reply: Reply) -> int | None:
        """Return which turn of its conversation the reply's cell was when it ran before."""
        for earlier in reversed(self.replies):
            same = (earlier.cell_id, earlier.session_id) == (reply.cell_id, reply.session_id)
            if same and reply.cell_id and earlier.execution_count != reply.execution_count:
                return earlier.turn
        return None


def _unknown_session(error: Exception | None, conversation: ConversationRecord) -> Exception | None:
    """Say what a 404 may mean: the app is there, for its name was looked up."""
    if type(error).__name__ != "NotFoundError" or not conversation.session_id:
        return error
    return ClientError(
        f"{error} The service may no longer know conversation {conversation.label}: `%capsule "
        f"session new {conversation.words}` lets the next cell start another.",
        label=type(error).__name__,
    )


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
            reply.error = StoppedError("what had arrived is kept.")
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


_desks: weakref.WeakKeyDictionary[Any, NotebookContext] = weakref.WeakKeyDictionary()
_no_shell = NotebookContext()  # plain Python has one context for the process


def current_context() -> NotebookContext:
    """Return the context of the running IPython shell, or of plain Python."""
    shell = get_ipython()
    if shell is None:
        return _no_shell
    if shell not in _desks:
        _desks[shell] = NotebookContext(shell.user_ns)
    return _desks[shell]
