"""Sending the rows of one task: the code that runs in a worker thread or process, or on a cluster.

This module imports neither IPython nor pandas, so that worker processes start fast.
"""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cpsl_notebook.cpsl_package import make_client
from cpsl_notebook.recordings.callers import calling
from cpsl_notebook.sweeps.dask_claims import claim
from cpsl_notebook.sweeps.outcomes import (
    ANSWERED,
    FAILED,
    RATE_LIMITED,
    REFUSED,
    UNKNOWN,
    Outcome,
)

__all__ = ["MAX_URL_BYTES", "Plan", "Task", "run_task"]

MAX_URL_BYTES = 7_000  # of the encoded prompt; a stream sends it in its URL, longer ones use chat
_WORKER_DIED = "This row was on a worker that died; it may have been sent."
_NO_SESSION = "The service sent no session id, so the conversation cannot continue."
_SEND_TOKEN = (
    "Or pass send_token=True to sweep(), to send the token of this process to the workers."  # noqa: S105
)
_NOT_SENT = {"CredentialsError", "TLSError", "InvalidRequestError", "AppNotFoundError"}
_ANSWERED_BADLY = {"GatewayError", "ProtocolError", "TooLargeError"}


@dataclass(frozen=True, slots=True)
class Plan:
    """The data that all tasks of a run share.

    Attributes
    ----------
    run : str
        The id of the run.
    client : object
        A client, a pickled client as bytes, or ``None`` for a client with the worker's own
        credentials.
    gateway_url : str
        The gateway that a client with the worker's own credentials must use; empty for any.
    stream : bool
        Whether to stream replies, so that the time of the first text is known.
    options : tuple of tuple
        Keyword arguments of ``chat`` and ``stream``, such as ``("timeout", 30.0)``.
    """

    run: str
    client: Any = None
    gateway_url: str = ""
    stream: bool = True
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One request, or the turns of one conversation in their order.

    Attributes
    ----------
    name : str
        Its name, unique in the run; a resent row needs a new name.
    app : str
        The app's id.
    session_id : str
        The conversation to continue; empty to start one.
    prompts : tuple of str
        What to send.
    """

    name: str
    app: str
    session_id: str
    prompts: tuple[str, ...]


def run_task(plan: Plan, task: Task) -> list[Outcome]:
    """Send a task's prompts, and stop at the first that is not answered.

    Parameters
    ----------
    plan : Plan
        What all tasks of the run share.
    task : Task
        What to send.

    Returns
    -------
    list of Outcome
        One for each prompt that was sent; all errors are outcomes.
    """
    _ignore_interrupts()
    try:
        if not claim(plan.run, task.name):
            return [Outcome(UNKNOWN, error=_WORKER_DIED) for _ in task.prompts]
        client = plan.client
        if client is None or isinstance(client, bytes):
            client = _client(client, plan.gateway_url)
    except Exception as error:
        return [Outcome(REFUSED, error=_described(error, plan))]
    outcomes: list[Outcome] = []
    session_id = task.session_id
    row = f"row {task.name.partition('-')[0]}"
    for prompt in task.prompts:
        with calling(row, plan.run):
            outcome = _ask(client, plan, task.app, prompt, session_id)
        outcomes.append(outcome)
        if outcome.kind != ANSWERED:
            break
        if session_id and outcome.session_id not in ("", session_id):
            outcome.kind = FAILED
            outcome.error = "The service did not continue the conversation and started another."
            break
        session_id = session_id or outcome.session_id
        if not session_id and len(outcomes) < len(task.prompts):
            outcomes.append(Outcome(REFUSED, error=_NO_SESSION))
            break
    return outcomes


def _ask(client: Any, plan: Plan, app: str, prompt: str, session_id: str) -> Outcome:
    outcome = Outcome()
    began = time.perf_counter()
    arguments, options = (app, prompt, session_id or None), dict(plan.options)
    try:
        if plan.stream and len(quote(prompt, safe="")) <= MAX_URL_BYTES:
            _read(client.stream(*arguments, **options), outcome, began)
        else:
            response = client.chat(*arguments, **options)
            outcome.session_id = str(response.session_id or "")
            names = ("text", "session_id", "request_id", "raw")
            outcome.payload = {"whole": {name: getattr(response, name, "") for name in names}}
    except BaseException as error:  # even after an interrupt, the row may have been answered
        outcome.kind, outcome.retry_after = _classify(error)
        outcome.error = _described(error, plan)
    outcome.total_s = time.perf_counter() - began
    if outcome.first_text_s is None and "whole" in outcome.payload:
        outcome.first_text_s = outcome.total_s
    return outcome


def _read(stream: Any, outcome: Outcome, began: float) -> None:
    """Read a stream into an outcome; consecutive texts become one event."""
    events: list[list[Any]] = []
    outcome.payload = {"events": events}
    pieces: list[str] = []
    done = False
    try:
        for chunk in stream:
            text, data = chunk.text, chunk.data
            if text and outcome.first_text_s is None:
                outcome.first_text_s = time.perf_counter() - began
            done = chunk.done
            if text and len(data) == 1 and not done:
                pieces.append(text)
                continue
            _flush(pieces, events)
            events.append([chunk.event, data])
            outcome.session_id = str(data.get("session_id") or outcome.session_id)
    finally:
        _flush(pieces, events)
    if not done:
        outcome.kind = UNKNOWN
        outcome.error = "The stream ended without a final event: the reply may be incomplete."


def _flush(pieces: list[str], events: list[list[Any]]) -> None:
    if pieces:
        events.append(["message", {"text": "".join(pieces)}])
        pieces.clear()


def _classify(error: BaseException) -> tuple[str, float | None]:
    """Return the kind of the outcome for an error, and the seconds to wait if rate-limited."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = _status(error)
    if status == 429:
        return RATE_LIMITED, _retry_after(error)
    if getattr(error, "sent", None) is False or kinds & _NOT_SENT:
        return REFUSED, None
    if status is not None and 400 <= status < 500:
        return REFUSED, None
    if kinds & _ANSWERED_BADLY or (status is not None and status >= 500):
        return FAILED, None
    return UNKNOWN, None


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error; errors of the official SDK have it in their cause."""
    for found in (error, error.__cause__):
        for name in ("status", "code"):
            value = getattr(found, name, None)
            if isinstance(value, int):
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    value = getattr(error, "retry_after", None)
    for found in (error, error.__cause__):
        headers = getattr(found, "headers", None)
        if value is None and headers is not None:
            value = headers.get("Retry-After")
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):  # an HTTP date, which only cpsl-client reads
        return None


def _described(error: BaseException, plan: Plan) -> str:
    message = " ".join(str(error).split()) or "no message"
    name = type(error).__name__
    reads_own_credentials = plan.client is None or isinstance(plan.client, bytes)
    advice = f" {_SEND_TOKEN}" if name == "CredentialsError" and reads_own_credentials else ""
    return f"{name}: {message}{advice}"


@functools.cache
def _client(pickled: bytes | None, gateway_url: str) -> Any:
    """Return this process's client; its connections are used by all tasks of the process."""
    if pickled is not None:
        return pickle.loads(pickled)  # noqa: S301 - made by the process that runs the sweep
    return make_client(gateway_url=gateway_url or None)


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C, which reaches every process of the group, so that rows in flight finish."""
    in_worker_process = multiprocessing.parent_process() is not None
    if in_worker_process and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
