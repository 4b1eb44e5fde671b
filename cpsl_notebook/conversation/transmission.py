"""Sending a prompt with the client, and reading the answer into a reply."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cpsl_notebook.compat import interruptible, interruptible_iterator
from cpsl_notebook.cpsl_package import takes
from cpsl_notebook.errors import StoppedError, UserError
from cpsl_notebook.recordings.callers import calling
from cpsl_notebook.reply.expected_format import format_error

if TYPE_CHECKING:
    from cpsl_notebook.client import Client
    from cpsl_notebook.display.base import Display
    from cpsl_notebook.display.interrupt import Stopper
    from cpsl_notebook.reply.model import Reply

__all__ = ["receive", "sender"]

# Bytes of the encoded prompt; a stream sends it in its URL, for which servers allow 8 kB.
_MAX_URL_LENGTH = 7_000


def sender(
    client: Client, reply: Reply, session_id: str, *, stream: bool, timeout: float | None
) -> Callable[[], Any]:
    """Return a function that sends the prompt and returns a stream or a whole response.

    Parameters
    ----------
    client : Client
        The client.
    reply : Reply
        The reply, with its app and prompt; it gets a notice if the prompt cannot be streamed.
    session_id : str
        The session to continue; empty for a new one.
    stream : bool
        Whether to stream the reply.
    timeout : float, optional
        Read timeout, in seconds.

    Raises
    ------
    UserError
        There is a timeout, but the installed client does not support one.
    """
    if stream and len(quote(reply.prompt, safe="")) > _MAX_URL_LENGTH:
        stream = False
        reply.notices.append("The prompt is too long for streaming, so the reply is not streamed.")
    method = client.stream if stream else client.chat
    options: dict[str, Any] = {}
    if timeout is not None:
        if not takes(getattr(client.core, method.__name__), "timeout"):
            raise UserError(
                "The official SDK has no timeout setting. Use cpsl-client, or omit the timeout."
            )
        options["timeout"] = timeout

    def send() -> Any:
        with calling(reply.cell_id, reply.execution_count):
            answer = method(reply.app, reply.prompt, session_id or None, **options)
        reply.recorded_at = getattr(client.core, "recorded_at", None)
        return answer

    return send


def receive(reply: Reply, display: Display, send: Callable[[], Any], stopper: Stopper) -> None:
    """Send the prompt and read the answer into a reply; an early error becomes ``reply.error``."""
    answer: Any = None
    display.start(reply, stopper)
    started = time.perf_counter()
    try:
        try:
            stopper.arm()
            answer = interruptible(send)
            if hasattr(answer, "raw"):
                reply.add_response(answer)
                reply.status = "complete"
            else:
                _read(reply, answer, display, started)
            if reply.status == "complete" and reply.form:
                reply.error = format_error(reply)
        except Exception as error:
            # A replayed reply ends with a StoppedError if it was stopped during the recording.
            reply.status = "stopped" if isinstance(error, StoppedError) else "failed"
            reply.error = error
        stopper.disarm()
    except KeyboardInterrupt:
        stopper.disarm()
        if reply.status == "running":
            reply.status = "stopped"
        kept = "text received so far" if reply.status == "stopped" else "reply is complete and"
        reply.error = StoppedError(f"the {kept} is kept.")
    finally:
        if hasattr(answer, "close"):
            # A generator cannot be closed while another thread waits for its next chunk.
            with contextlib.suppress(ValueError):
                answer.close()
    reply.total_s = time.perf_counter() - started


def _read(reply: Reply, chunks: Any, display: Display, started: float) -> None:
    for chunk in interruptible_iterator(iter(chunks)):
        if reply.first_chunk_s is None and chunk.text:
            reply.first_chunk_s = time.perf_counter() - started
        reply.add_event(chunk.data)
        display.update(reply)
        if chunk.done:
            reply.status = "complete"
    if reply.status != "complete":
        reply.status = "incomplete"
