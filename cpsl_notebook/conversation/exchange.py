"""One exchange with an app: choose the conversation, send the prompt, store the result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry
from cpsl_notebook.conversation.transmission import receive, sender
from cpsl_notebook.display.interrupt import Stopper
from cpsl_notebook.errors import ClientError, StoppedError
from cpsl_notebook.reply.model import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cpsl_notebook.conversation.context import NotebookContext
    from cpsl_notebook.display.base import Display
    from cpsl_notebook.prompt.request import Request

__all__ = ["preview", "send"]


def send(
    context: NotebookContext,
    request: Request,
    display: Display,
    conversation: ConversationRecord | None = None,
) -> Reply:
    """Send a prompt, show the reply as it arrives, and return it.

    Parameters
    ----------
    context : NotebookContext
        The notebook.
    request : Request
        The prompt and its options.
    display : Display
        The display that shows the reply.
    conversation : ConversationRecord, optional
        A conversation that does not belong to the notebook. By default, the notebook's conversation
        that the request names.

    Returns
    -------
    Reply
        The reply. An error after sending is stored in its ``error`` for the caller to raise, so
        that a partial reply is never lost.

    Raises
    ------
    UserError
        The prompt cannot be sent.
    """
    reply = _prepare(context, request)
    # Only the notebook's own conversations are registered and stored.
    known = None if conversation or request.once else context.conversations
    conversation = conversation or _choose_conversation(context, request, reply, is_preview=False)
    reply.conversation, reply.turn = conversation.label, conversation.turns + 1
    send_prompt = _sender(context, request, reply, conversation)
    with Stopper() as stopper:
        receive(reply, display, send_prompt, stopper)
        try:
            _record_result(context, reply, conversation, known, once=request.once)
        finally:
            context.add_reply(reply)
            display.finish(reply)
    if known is not None:
        _save(context, reply, conversation, known)
    return reply


def preview(context: NotebookContext, request: Request) -> str:
    """Return what `send` would send, and in which conversation; nothing is sent or changed.

    Raises
    ------
    UserError
        The prompt cannot be sent.
    """
    reply = _prepare(context, request)
    conversation = _choose_conversation(context, request, reply, is_preview=True)
    _sender(context, request, reply, conversation)
    if request.once:
        where = "a temporary conversation"
    elif conversation.session_id:
        where = f"turn {conversation.turns + 1} of {conversation.title}"
    else:
        where = f"a new conversation {conversation.label}".rstrip()
    size = f"{len(reply.prompt):,} characters, {len(reply.prompt.encode()):,} bytes"
    lines = [f"Not sent: a prompt for {reply.app}, {where}; {size}.", *reply.notices]
    return "\n".join([*lines, "", reply.prompt])


def _prepare(context: NotebookContext, request: Request) -> Reply:
    """Check a request, and return its empty reply."""
    request.check()
    app = context.choose_app(request.app)
    context.client.reference(app)  # raises for an unknown app before anything is shown
    reply = Reply(
        app,
        request.text,
        template=request.template or request.text,
        form=request.form,
        remote_images=context.settings.remote_images,
        math=context.settings.math,
        cell_id=request.cell_id,
        execution_count=request.execution_count,
    )
    if request.notice:
        reply.notices.append(request.notice)
    return reply


def _choose_conversation(
    context: NotebookContext, request: Request, reply: Reply, *, is_preview: bool
) -> ConversationRecord:
    """Return the notebook's conversation to use, or a temporary one."""
    if request.once:
        return ConversationRecord(reply.app, "once")
    # A new conversation replaces the current one only if the app replies.
    new = ConversationRecord(reply.app, request.session)
    if request.new:
        return new
    known = context.conversations
    current = known.current(reply.app, request.session)
    if current is not None:
        return current
    earlier = known.earlier(reply.app, request.session) if context.settings.resume else None
    if earlier is None:
        return new
    if is_preview or known.resume_if_free(earlier):
        reply.notices.append(f"{'Resumes' if is_preview else 'Resumed'} {earlier.description}.")
        return earlier
    reply.notices.append(
        f"Not resumed, because another kernel is using it: {earlier.description}. To share it, run "
        f"`%capsule session resume {earlier.arguments}`."
    )
    return new


def _sender(
    context: NotebookContext, request: Request, reply: Reply, conversation: ConversationRecord
) -> Callable[[], Any]:
    timeout = request.timeout or context.settings.timeout
    return sender(
        context.client, reply, conversation.session_id, stream=request.stream, timeout=timeout
    )


def _record_result(
    context: NotebookContext,
    reply: Reply,
    conversation: ConversationRecord,
    known: ConversationRegistry | None,
    *,
    once: bool,
) -> None:
    """Check the reply, and record what the service returned about the conversation."""
    if not (reply.session_id or reply.text):  # there is no reply: the conversation is unchanged
        reply.error = _explain_unknown_session(reply.error, conversation, in_notebook=bool(known))
        return
    if once:
        return
    requested = conversation.title
    record_turn = partial(known.record_turn, conversation) if known else conversation.add_turn
    if not (reply.session_id or conversation.session_id):
        if known:
            known.start_new(reply.app, conversation.name)
        reply.lost_conversation = (
            "The service returned no session id, so the next prompt starts a new conversation."
        )
    elif record_turn(reply.session_id):
        reply.lost_conversation = (
            f"The service did not continue {requested} but started a new one, which "
            "does not have the context of the earlier turns."
        )
    if reply.lost_conversation:
        reply.notices.append(reply.lost_conversation)
    reply.conversation, reply.turn = conversation.label, conversation.turns or 1
    reply.turn_before = context.earlier_turn(reply)


def _save(
    context: NotebookContext,
    reply: Reply,
    conversation: ConversationRecord,
    known: ConversationRegistry,
) -> None:
    """Store one of the notebook's conversations for later kernels."""
    try:
        # The conversations of a replay cannot be resumed, even if the service answered.
        lasts = conversation.session_id and not context.client.live().is_replay
        if lasts and known.is_current(conversation):
            known.save(conversation)
    except KeyboardInterrupt:
        reply.error = StoppedError(
            "the reply is complete, but its conversation is not saved for later kernels."
        )


def _explain_unknown_session(
    error: Exception | None, conversation: ConversationRecord, *, in_notebook: bool
) -> Exception | None:
    """Return a 404 with its likely cause: the app exists, because its name was looked up."""
    if type(error).__name__ != "NotFoundError" or not conversation.session_id:
        return error
    start = f"run `%capsule session new {conversation.arguments}`"
    return ClientError(
        f"{error} The service may no longer have {conversation.title}. To start a new "
        f"one, {start if in_notebook else f'create a Conversation({conversation.app!r})'}.",
        label="NotFoundError",
    )
