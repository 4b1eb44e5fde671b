"""``sweep``: one prompt over many rows."""

from __future__ import annotations

import contextlib
import statistics
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from IPython.core.getipython import get_ipython

from cpsl_notebook.client import Client
from cpsl_notebook.cpsl_package import takes
from cpsl_notebook.errors import UserError
from cpsl_notebook.printing import print_text
from cpsl_notebook.reproducible import warn
from cpsl_notebook.sweeps.answer_frame import Answers, Form, check_names
from cpsl_notebook.sweeps.answer_store import AnswerStore, store_path, stored_outcomes
from cpsl_notebook.sweeps.arguments import check_arguments
from cpsl_notebook.sweeps.executors import DEFAULT_ACTIVE, Runner, client_for
from cpsl_notebook.sweeps.filling import fill_prompts
from cpsl_notebook.sweeps.input_rows import InputRows
from cpsl_notebook.sweeps.interrupts import interrupts_call
from cpsl_notebook.sweeps.outcomes import ANSWERED
from cpsl_notebook.sweeps.preview import preview
from cpsl_notebook.sweeps.rate_limit import RateLimit
from cpsl_notebook.sweeps.scheduling import Scheduler
from cpsl_notebook.sweeps.sweep_progress import SweepProgress
from cpsl_notebook.sweeps.variants import KEY_BYTES, Prompts, Requests, named_prompts
from cpsl_notebook.sweeps.worker import Plan

if TYPE_CHECKING:
    from cpsl_notebook.conversation.context import NotebookContext

__all__ = ["SweepError", "sweep"]


class SweepError(UserError):
    """A row failed in a sweep with ``on_error="raise"``.

    Attributes
    ----------
    answers : pandas.DataFrame
        The answers so far, as `sweep` returns them.
    """

    label = "SweepError"
    answers: pd.DataFrame


def sweep(
    data: Any,
    prompt: Prompts,
    app: str | Sequence[str] = "",
    *,
    session: str | None = None,
    json: bool = False,
    table: bool = False,
    repeat: int = 1,
    keep: bool = False,
    prefix: str = "",
    store: str | Path | None = None,
    resend_unknown: bool = False,
    resend_unparsed: bool = False,
    executor: Executor | None = None,
    max_active: int = DEFAULT_ACTIVE,
    rpm: float | None = None,
    on_error: Literal["continue", "raise"] = "continue",
    max_failures: int | None = None,
    stream: bool = True,
    timeout: float | None = None,
    client: Any = None,
    send_token: bool = False,
    namespace: Mapping[str, Any] | None = None,
    raw: bool = False,
    progress: bool = True,
    dry_run: bool = False,
) -> pd.DataFrame | None:
    """Send one prompt for each row of a table, and return the answers as a DataFrame.

    Every prompt is filled before the first one is sent. Rows run at the same time; each has its own
    conversation unless *session* groups them. Each row is sent once: it is retried only after a
    429, and never if the service may have acted on it.

    After an interrupt, no more rows are sent, those in flight finish, and the answers so far are
    returned. After a second interrupt, rows in flight are not awaited and become ``unknown``.

    Parameters
    ----------
    data : DataFrame, Series, Arrow stream or iterable
        The rows. Columns whose names are identifiers are variables of the prompt and take
        precedence over others; ``row["First name"]`` is any column. The values of a Series and
        the items of an iterable are called ``value``; items that are mappings are rows. A missing
        value in a prompt is an error; a conversion, as in ``{{ n!s }}``, sends it as text.
    prompt : str, list of str or dict of str
        The prompt with its ``{{ }}``. With several prompts, each row is sent with each of them; the
        column ``variant`` has the position in the list or the key.
    app : str or list of str, optional
        Name or id; by default, the app of ``%capsule use`` or the only one in use. With several
        apps, each row is sent to each of them; the column ``app`` has the name.
    session : str, optional
        A column: rows with the same value are the turns of one conversation, in their order, and
        run as one task. A row with a missing value has its own conversation.
    json, table : bool
        Parse the answers into columns: the keys of a JSON object (anything else is the column
        ``value``), or the columns of the only table. If a table has several rows, cells are lists,
        for `pandas.DataFrame.explode`. An answer that cannot be parsed is ``unparsed``.
    repeat : int
        Send each prompt this many times; the column ``repeat`` counts from 0.
    keep : bool
        Whether to include the columns of the input, before those of the answers.
    prefix : str
        The prefix of the names of the answers' columns.
    store : str or Path, optional
        A SQLite file that records each row before it is sent and after it is answered. A sweep with
        the same file sends only rows that are new: the key is the workspace, the app, the filled
        prompt, the conversation with its earlier prompts, and the number of equal rows before it.
        Prompts and replies are in this file; its folder must exist. Several sweeps may use it at the
        same time.
    resend_unknown : bool
        Whether to resend rows that the service may have acted on without a complete answer: rows
        that are ``unknown``, and rows for which the service returned an error.
    resend_unparsed : bool
        Whether to resend rows whose answer in the store cannot be parsed.
    executor : concurrent.futures.Executor, optional
        Where the rows run, such as a ``ProcessPoolExecutor``, or ``client.get_executor()`` of a
        Dask client; by default a thread pool. It is not shut down. The clients of
        other processes use the credentials of those processes.
    max_active : int
        The number of tasks in flight; for an executor, use its number of workers.
    rpm : float, optional
        The largest number of requests per minute.
    on_error : {"continue", "raise"}
        Whether the first row that fails ends the sweep with an error.
    max_failures : int, optional
        The number of failed rows after which no more are sent.
    stream : bool
        Whether replies are streamed, which is needed to measure the time of the first text.
    timeout : float, optional
        The read timeout of each request, in seconds.
    client : cpsl_notebook.Client or cpsl.Client, optional
        The client to use; by default the notebook's client.
    send_token : bool
        Include the token in the client that is sent to other processes.
    namespace : mapping, optional
        The other variables of the prompt; by default the notebook's variables.
    raw : bool
        Send ``{{ }}`` unchanged. Otherwise, double braces without an expression are an error.
    progress : bool
        Show a progress bar, or one line per minute where a bar cannot be shown.
    dry_run : bool
        Print what would be sent and how long it may take; send nothing, and return ``None``.

    Returns
    -------
    pandas.DataFrame
        A row for each input row and variant, in the order and with the index of the input. Columns:
        ``variant``, ``app`` and ``repeat``, if there are several, ``prompt``, ``reply``, ``error``,
        ``session_id`` and ``request_id`` (string), ``status`` (category), ``attempts`` (int64),
        ``first_text_s`` and ``total_s`` (Float64, seconds).

        ``status`` is one of:

        - ``ok``.
        - ``error``: the row was refused, or the service returned an error.
        - ``unparsed``: the answer, in ``reply``, is not the JSON or table that was requested.
        - ``stopped``: not sent.
        - ``unknown``: sent without a complete answer, so the service may have acted on it.

        With a store, the next sweep resends rows that are ``stopped``, and rows with an ``error``
        that the service cannot have acted on.

    Raises
    ------
    UsageError
        An argument is invalid.
    UserError
        A prompt cannot be filled or a value in it is missing, an app does not exist, or the store
        cannot be used. Nothing has been sent.
    SweepError
        A row failed and *on_error* is ``"raise"``; its ``answers`` are the answers so far.

    Warns
    -----
    UserWarning
        The sweep ended early.

    Examples
    --------
    >>> import tempfile
    >>> from cpsl_notebook import local
    >>> with tempfile.TemporaryDirectory() as folder, local.start(folder) as workspace:
    ...     with workspace.client() as client:
    ...         answers = sweep(
    ...             ["billing", "security"],
    ...             "How many threads are in {{ value }}?",
    ...             app="support-ops",
    ...             client=client,
    ...             progress=False,
    ...         )
    >>> answers["status"].tolist()
    ['ok', 'ok']
    """
    if not isinstance(app, str) and isinstance(app, Iterable):
        app = list(app)
    check_arguments(
        app=app,
        session=session,
        json=json,
        table=table,
        repeat=repeat,
        keep=keep,
        prefix=prefix,
        resend_unknown=resend_unknown,
        resend_unparsed=resend_unparsed,
        max_active=max_active,
        rpm=rpm,
        on_error=on_error,
        max_failures=max_failures,
        stream=stream,
        timeout=timeout,
        client=client,
        send_token=send_token,
        namespace=namespace,
        raw=raw,
        progress=progress,
        dry_run=dry_run,
    )
    form: Form | None = "json" if json else "table" if table else None
    prompts = named_prompts(prompt)
    path = None if store is None else store_path(store)
    runner = Runner(executor, max_active)
    rows = InputRows(data)
    connected = _connected(client)
    apps = [_default_app(app)] if isinstance(app, str) else list(app)
    shell: Any = get_ipython()
    if namespace is None:
        namespace = {} if shell is None else shell.user_ns
    filled = [fill_prompts(text, rows, namespace, raw=raw) for text in prompts.values()]
    sessions = None if session is None else rows.sessions(session)
    requests = Requests(filled, apps, repeat, sessions)
    labels: dict[str, list[Any]] = {}
    if not isinstance(prompt, str):
        labels["variant"] = list(prompts)
    if not isinstance(app, str):
        labels["app"] = apps
    if repeat > 1:
        labels["repeat"] = list(range(repeat))
    if keep:
        check_names(rows, labels, prefix)
    answers = Answers(len(requests), form)
    show = SweepProgress(len(requests), max_active, rpm, shown=progress and not dry_run)
    with contextlib.closing(show):
        keys = b"" if path is None else requests.keys(connected.scope)
        settled, resend = _known(
            answers,
            show,
            requests,
            path,
            keys,
            resend_unknown=resend_unknown,
            again=resend_unparsed,
        )
        if dry_run:
            pending = [position for position, known in enumerate(settled) if not known]
            seconds = _estimate_seconds(answers, apps)
            text = preview(requests, pending, max_active=max_active, rpm=rpm, seconds=seconds)
            print_text(text)
            return None
        reason, failed = "", None
        if not all(settled):
            reason, failed = _send(
                requests,
                answers,
                show,
                connected,
                runner,
                RateLimit(max_active, rpm),
                settled=settled,
                resend=resend,
                path=path,
                keys=keys,
                resend_unknown=resend_unknown,
                max_failures=1 if on_error == "raise" else max_failures,
                send_token=send_token,
                stream=stream,
                timeout=timeout,
            )
    answers.stop_rest(reason)
    frame = answers.frame(rows, requests, labels, keep=keep, prefix=prefix)
    if on_error == "raise" and failed is not None:
        position, problem = failed
        name = rows.name(requests.place(position)[0])
        error = SweepError(f"{name}: {problem} `error.answers` has the answers so far.")
        error.answers = frame
        raise error
    if reason:
        unsent = int((frame[f"{prefix}status"] == "stopped").sum())
        warn(f"{reason} {unsent:,} rows were not sent.", stacklevel=2)
    return frame


def _connected(client: Any) -> Client:
    if client is None:
        return _context().client
    return client if isinstance(client, Client) else Client(client)


def _default_app(app: str) -> str:
    return app or _context().choose_app()


def _context() -> NotebookContext:
    from cpsl_notebook.conversation.context import current_context

    return current_context()


def _known(
    answers: Answers,
    progress: SweepProgress,
    requests: Requests,
    path: Path | None,
    keys: bytes,
    *,
    resend_unknown: bool,
    again: bool,
) -> tuple[bytearray, frozenset[int]]:
    """Load the answers in the store; return which requests are done, and which to resend."""
    settled = bytearray(len(requests))
    resend = set()
    if path is None:
        return settled, frozenset()
    single = (keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES))
    for position, outcome in enumerate(stored_outcomes(path, single)):
        if outcome is None or (outcome.kind != ANSWERED and resend_unknown):
            continue
        if again and outcome.kind == ANSWERED and not answers.can_parse(outcome):
            resend.add(position)
            continue
        settled[position] = True
        status = answers.set(position, outcome)
        progress.known(status in ("error", "unknown"))
    return settled, frozenset(resend)


def _send(
    requests: Requests,
    answers: Answers,
    progress: SweepProgress,
    client: Client,
    runner: Runner,
    pace: RateLimit,
    *,
    settled: bytearray,
    resend: frozenset[int],
    path: Path | None,
    keys: bytes,
    resend_unknown: bool,
    max_failures: int | None,
    send_token: bool,
    stream: bool,
    timeout: float | None,
) -> tuple[str, tuple[int, str] | None]:
    """Send the remaining requests; return why the sweep ended early, and the first failure."""
    options: tuple[tuple[str, Any], ...] = ()
    if timeout is not None:
        if not takes(client.core.stream if stream else client.core.chat, "timeout"):
            raise UserError(
                "The official SDK has no timeout setting. Use cpsl-client, or omit the timeout."
            )
        options = (("timeout", timeout),)
    ids = [_app_id(client, app) for app in requests.apps]
    sender = client_for(client.core, in_process=runner.in_process, send_token=send_token)
    gateway = str(getattr(client.core, "gateway_url", ""))
    plan = Plan(uuid.uuid4().hex, sender, gateway, stream, options)
    scheduler = Scheduler(
        requests, ids, answers, plan, runner, pace, progress, max_failures=max_failures
    )
    database = (
        None
        if path is None
        else AnswerStore(path, scheduler.deliver, resend_unknown=resend_unknown)
    )
    tasks = (task for task in requests.tasks() if not all(settled[place] for place in task))
    try:
        with interrupts_call(scheduler.stop, scheduler.abandon):
            scheduler.run(tasks, database, keys, resend)
    finally:
        runner.close(plan, abandon=scheduler.abandoned)
        if database is not None:
            # A store that failed has stopped the sweep, but its answers must not be lost.
            with contextlib.suppress(UserError):
                database.close()
    return scheduler.stopped, scheduler.first_failure


def _app_id(client: Client, app: str) -> str:
    """Return an app's id; look it up before anything is sent, to report a wrong name early."""
    if len(app) == 36 and app.count("-") == 4:
        return client.reference(app)
    return str(client.get_app(app).get("id") or client.reference(app))


def _estimate_seconds(answers: Answers, apps: list[str]) -> float | None:
    """Return the time for a reply, from the replies in the store or else in this notebook."""
    seconds = answers.seconds()
    if not seconds:
        with contextlib.suppress(RuntimeError, UserError):
            seconds = [
                reply.total_s
                for reply in _context().replies
                if reply.app in apps and reply.total_s is not None
            ]
    return statistics.median(seconds) if seconds else None
