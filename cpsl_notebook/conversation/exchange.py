"""One exchange with an app: choose the conversation, send the prompt, keep what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpsl_notebook.conversation.registry import ConversationRecord
from cpsl_notebook.conversation.transmission import receive, sender
from cpsl_notebook.display.interrupt import Stopper
from cpsl_notebook.errors import ClientError, StoppedError
from cpsl_notebook.reply.expected_format import format_error
from cpsl_notebook.reply.model import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cpsl_notebook.conversation.context import NotebookContext
    from cpsl_notebook.display.displays import Display
    from cpsl_notebook.prompt.request import Request

__all__ = ["preview", "send"]


def send(context: NotebookContext, request: Request, display: Display) -> Reply:
    """Send a prompt, show the reply as it arrives, and return it.

    Parameters
    ----------
    context : NotebookContext
        The notebook.
    request : Request
        The prompt and its options.
    display : Display
        What shows the reply.

    Returns
    -------
    Reply
        The reply. An error after sending is its ``error``, for the caller to raise, so that what
        has arrived is never lost.

    Raises
    ------
    UserError
        The prompt cannot be sent.
    """
    reply, conversation = _prepare(context, request, is_preview=False)
    send_prompt = _sender(context, request, reply, conversation)
    with Stopper() as stopper:
        receive(reply, display, send_prompt, stopper)
        try:
            _settle(context, reply, conversation, once=request.once)
        finally:
            context.replies.append(reply)
            display.finish(reply)
    _save(context, reply, conversation)
    return reply


def preview(context: NotebookContext, request: Request) -> str:
    """Return what `send` would send, and in which conversation; nothing is sent or changed.

    Raises
    ------
    UserError
        The prompt cannot be sent.
    """
    reply, conversation = _prepare(context, request, is_preview=True)
    _sender(context, request, reply, conversation)
    if request.once:
        where = "a temporary conversation"
    elif conversation.session_id:
        where = f"turn {reply.turn} of conversation {reply.conversation}"
    else:
        where = f"a new conversation {reply.conversation}".rstrip()
    size = f"{len(reply.prompt):,} characters, {len(reply.prompt.encode()):,} bytes"
    lines = [f"Not sent: a prompt for {reply.app}, {where}; {size}.", *reply.notices]
    return "\n".join([*lines, "", reply.prompt])


def _prepare(
    context: NotebookContext, request: Request, *, is_preview: bool
) -> tuple[Reply, ConversationRecord]:
    """Return an empty reply, and the conversation it belongs to."""
    request.check()
    app = context.choose_app(request.app)
    context.client.reference(app)  # raises for an unknown app before anything is shown
    reply = Reply(
        app,
        request.text,
        template=request.template or request.text,
        form=request.form,
        remote_images=context.settings.remote_images,
        cell_id=request.cell_id,
        execution_count=request.execution_count,
    )
    if request.notice:
        reply.notices.append(request.notice)
    conversation = _choose_conversation(context, request, reply, is_preview=is_preview)
    reply.conversation, reply.turn = conversation.label, conversation.turns + 1
    return reply, conversation


def _choose_conversation(
    context: NotebookContext, request: Request, reply: Reply, *, is_preview: bool
) -> ConversationRecord:
    """Return the conversation to use; an earlier one that could be resumed becomes a notice."""
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
    earlier = known.earlier(reply.app, request.session)
    if earlier is None:
        return new
    resume = context.settings.resume
    if resume and (is_preview or known.resume_if_free(earlier)):
        reply.notices.append(f"{'Resumes' if is_preview else 'Resumed'} {earlier.description}.")
        return earlier
    held = ", in use by another kernel" if resume else ""
    reply.notices.append(
        f"This notebook has {earlier.description}{held}. To resume it, run `%capsule session "
        f"resume {earlier.arguments}`."
    )
    return new


def _sender(
    context: NotebookContext, request: Request, reply: Reply, conversation: ConversationRecord
) -> Callable[[], Any]:
    timeout = request.timeout or context.settings.timeout
    return sender(
        context.client, reply, conversation.session_id, stream=request.stream, timeout=timeout
    )


def _settle(
    context: NotebookContext, reply: Reply, conversation: ConversationRecord, *, once: bool
) -> None:
    """Check the reply, and record what the service returned about the conversation."""
    if reply.status == "complete" and reply.form:
        reply.error = format_error(reply)
    if not (reply.session_id or reply.text):  # nothing came back: the conversation is unchanged
        reply.error = _explain_unknown_session(reply.error, conversation)
        return
    known = context.conversations
    known.note_used(reply.app)
    if once:
        return
    requested = conversation.label
    if not (reply.session_id or conversation.session_id):
        known.start_new(reply.app, conversation.name)
        reply.lost_conversation = (
            "The service returned no session id, so the next cell starts a new conversation."
        )
    elif known.record_turn(conversation, reply.session_id):
        reply.lost_conversation = (
            f"The service did not continue conversation {requested} but started a new one, which "
            "does not have the context of the earlier turns."
        )
    if reply.lost_conversation:
        reply.notices.append(reply.lost_conversation)
    reply.conversation, reply.turn = conversation.label, conversation.turns or 1
    reply.turn_before = _earlier_turn(context.replies, reply)


def _save(context: NotebookContext, reply: Reply, conversation: ConversationRecord) -> None:
    """Store the conversation for later kernels, if it is one of the notebook's."""
    known = context.conversations
    try:
        # The conversations of a replay cannot be resumed, even if the service answered.
        lasts = conversation.session_id and not context.client.live().is_replay
        if lasts and known.is_current(conversation):
            known.save(conversation)
    except KeyboardInterrupt:
        reply.error = StoppedError(
            "the reply is complete, but its conversation is not saved for later kernels."
        )


def _earlier_turn(replies: list[Reply], reply: Reply) -> int | None:
    """Return which turn of the conversation the same cell was when it ran before."""
    for earlier in reversed(replies):
        is_same_cell = (earlier.cell_id, earlier.session_id) == (reply.cell_id, reply.session_id)
        is_other_run = earlier.execution_count != reply.execution_count
        if is_same_cell and reply.cell_id and is_other_run:
            return earlier.turn
    return None


def _explain_unknown_session(
    error: Exception | None, conversation: ConversationRecord
) -> Exception | None:
    """Return a 404 with its likely cause: the app exists, because its name was looked up."""
    if type(error).__name__ != "NotFoundError" or not conversation.session_id:
        return error
    return ClientError(
        f"{error} The service may no longer have conversation {conversation.label}. To start a new "
        f"one, run `%capsule session new {conversation.arguments}`.",
        label="NotFoundError",
    )
