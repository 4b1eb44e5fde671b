"""The main loop of a sweep: claim, submit, record, slow down, stop."""

from __future__ import annotations

import itertools
import pickle
import queue
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.sweeps.answer_frame import Answers
from cpsl_notebook.sweeps.answer_store import AnswerStore, Claim, Turn
from cpsl_notebook.sweeps.executors import Runner
from cpsl_notebook.sweeps.outcomes import RATE_LIMITED, REFUSED, UNKNOWN, Outcome
from cpsl_notebook.sweeps.rate_limit import LONGEST_PAUSE, RateLimit
from cpsl_notebook.sweeps.sweep_progress import SweepProgress, duration
from cpsl_notebook.sweeps.variants import KEY_BYTES, Requests
from cpsl_notebook.sweeps.worker import Plan, Task

__all__ = ["MAX_ATTEMPTS", "Scheduler"]

MAX_ATTEMPTS = 20  # times that a row is sent in one sweep while the service answers 429
_GATHER = 0.002  # seconds in which more messages arrive, because each wake-up costs CPU time
_TICK = 0.25  # seconds between progress updates, and between checks of another sweep's rows
_NOT_RUN = (ImportError, pickle.PicklingError)  # raised by an executor before a task runs


@dataclass
class _Active:
    """A task that is not finished: its rows and its state."""

    positions: tuple[int, ...]
    session_id: str = ""
    tries: int = 0
    not_before: float = 0.0
    claimed: bool = False
    future: Future[Any] | None = None
    submitted_at: float = 0.0


class Scheduler:
    """Sends the requests of a sweep, each once.

    Parameters
    ----------
    requests : Requests
        What to send.
    app_ids : list of str
        The id of each app of *requests*.
    answers : Answers
        Where the answers go.
    plan : Plan
        What all tasks share.
    runner : Runner
        Where tasks run.
    pace : RateLimit
        How many tasks run at the same time.
    progress : SweepProgress
        Where progress is shown.
    max_failures : int or None
        The number of failed rows that ends the sweep.

    Attributes
    ----------
    stopped : str
        Why the sweep ended early; empty if it did not.
    abandoned : bool
        Whether the sweep ended without waiting for rows in flight.
    failures : int
        The number of rows that failed in this run.
    first_failure : tuple of (int, str) or None
        The position and the error of the first of them.
    """

    def __init__(
        self,
        requests: Requests,
        app_ids: list[str],
        answers: Answers,
        plan: Plan,
        runner: Runner,
        pace: RateLimit,
        progress: SweepProgress,
        *,
        max_failures: int | None = None,
    ) -> None:
        self.stopped = ""
        self.abandoned = False
        self.failures = 0
        self.first_failure: tuple[int, str] | None = None
        self._requests = requests
        self._app_ids = app_ids
        self._answers = answers
        self._plan = plan
        self._runner = runner
        self._pace = pace
        self._progress = progress
        self._max_failures = max_failures
        self._inbox: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._store: AnswerStore | None = None
        self._keys = b""
        self._resend: frozenset[int] = frozenset()
        self._waiting: Iterator[tuple[int, ...]] = iter(())
        self._resubmit: deque[_Active] = deque()  # to be claimed (again) and submitted
        self._active: dict[int, _Active] = {}
        self._numbers = itertools.count()

    def deliver(self, kind: str, number: Any, content: Any) -> None:
        """Queue a message for the main loop; any thread may call this."""
        self._inbox.put((kind, number, content))

    def stop(self) -> None:
        """Stop sending rows and wait for those in flight; safe in a signal handler."""
        self.stopped = self.stopped or "Stopped by an interrupt."
        self.deliver("wake", None, None)

    def abandon(self) -> None:
        """Stop without waiting for rows in flight; safe in a signal handler."""
        self.abandoned = True
        self.deliver("wake", None, None)

    def run(
        self,
        tasks: Iterator[tuple[int, ...]],
        store: AnswerStore | None = None,
        keys: bytes = b"",
        resend: frozenset[int] = frozenset(),
    ) -> None:
        """Send tasks until all have their outcome or the sweep is stopped.

        Parameters
        ----------
        tasks : iterator of tuple of int
            The positions of each task, in order.
        store : AnswerStore, optional
            Where rows are claimed and recorded.
        keys : bytes, optional
            The keys of all positions in the store, one after the other.
        resend : frozenset of int, optional
            The positions to send again even if they have an answer.
        """
        self._waiting, self._store = tasks, store
        self._keys, self._resend = keys, resend
        self._progress.start()
        while not self.abandoned:
            wait = self._start_tasks()
            if not self._active and wait is None:
                break
            self._progress.show()
            try:
                message = self._inbox.get(timeout=_TICK if wait is None else min(wait, _TICK))
            except queue.Empty:
                continue
            self._handle_message(*message)
            if self._runner.ready:  # tasks that wait in the pool keep its threads busy
                time.sleep(_GATHER)
            while not self._inbox.empty():
                self._handle_message(*self._inbox.get())
        if self.abandoned:
            self._abandon_in_flight()

    def _start_tasks(self) -> float | None:
        """Start the tasks that may start; return the seconds until the next may, if there is one."""
        if self.stopped:
            self._cancel_waiting()
            for waiting in self._resubmit:
                self._release(waiting.positions if waiting.claimed else ())
            self._resubmit.clear()
            return None
        while True:
            now = time.monotonic()
            task = self._next_task(now)
            if task is None:
                return _TICK if self._resubmit else None
            throttled = self._pace.next_start > now
            ready = self._runner.ready if self._pace.is_free else 0
            if throttled or len(self._active) >= self._pace.active + ready:
                self._resubmit.appendleft(task)
                return max(self._pace.next_start - now, 0.001) if throttled else _TICK
            self._set_note("")
            self._pace.started(len(task.positions), now)
            number = next(self._numbers)
            self._active[number] = task
            if self._store is None or task.claimed:
                self._submit(number, task)
            else:
                self._store.claim(number, [self._turn(position) for position in task.positions])

    def _next_task(self, now: float) -> _Active | None:
        if self._resubmit and self._resubmit[0].not_before <= now:
            return self._resubmit.popleft()
        positions = next(self._waiting, None)
        return None if positions is None else _Active(positions)

    def _turn(self, position: int) -> Turn:
        app = self._requests.apps[self._requests.app(position)]
        prompt = self._requests.prompt(position)
        return Turn(self._key(position), app, prompt, position in self._resend)

    def _submit(self, number: int, task: _Active) -> None:
        app = self._app_ids[self._requests.app(task.positions[0])]
        prompts = tuple(map(self._requests.prompt, task.positions))
        task.submitted_at = time.monotonic()
        name = f"{task.positions[0]}-{number}"
        try:
            future = self._runner.submit(self._plan, Task(name, app, task.session_id, prompts))
        except Exception as error:  # a broken executor, or one that was shut down
            self._stop_early(f"The executor cannot run more rows ({error}). Pass a new one.")
            self._release(self._active.pop(number).positions)
            return
        task.future = future
        future.add_done_callback(lambda done: self.deliver("done", number, done))

    def _handle_message(self, kind: str, number: Any, content: Any) -> None:
        if kind == "claimed":
            self._handle_claim(number, content)
        elif kind == "store failed":
            self._store = None
            # Claims that are not on disk are refused; rows in flight may finish.
            for unsent in [key for key, task in self._active.items() if task.future is None]:
                del self._active[unsent]
            self._stop_early(content)
        elif kind == "done" and number in self._active:
            self._handle_outcomes(self._active.pop(number), content)

    def _handle_claim(self, number: int, claim: Claim) -> None:
        task = self._active.pop(number)
        if claim.elsewhere:
            task.not_before = time.monotonic() + _TICK
            self._resubmit.append(task)
            self._set_note("waiting for another sweep that uses this store")
            return
        for position, outcome in zip(task.positions, claim.known, strict=False):
            status = self._answers.set(position, outcome)
            self._progress.known(status in ("error", "unknown"))
            task.session_id = outcome.session_id or task.session_id
        rest = task.positions[len(claim.known) :]
        task.positions, unsent = rest[: len(claim.attempts)], rest[len(claim.attempts) :]
        self._skip(unsent)
        for position, attempts in zip(task.positions, claim.attempts, strict=True):
            self._answers.attempts[position] = max(self._answers.attempts[position], attempts)
        task.claimed = True
        if self.stopped:
            self._release(task.positions)
        elif task.positions:
            self._active[number] = task
            self._submit(number, task)

    def _handle_outcomes(self, task: _Active, future: Future[Any]) -> None:
        try:
            outcomes = future.result()
        except CancelledError:  # this loop or the caller cancelled it
            outcomes = [Outcome(UNKNOWN, error="The executor cancelled this row.")]
        except Exception as error:
            kind = REFUSED if isinstance(error, _NOT_RUN) else UNKNOWN
            described = f"{type(error).__name__}: {' '.join(str(error).split())}"
            outcomes = [Outcome(kind, error=described) for _ in task.positions]
            if isinstance(error, BrokenExecutor):
                self._stop_early(f"The executor is broken ({described}). Pass a new one.")
        now = time.monotonic()
        flight = (now - task.submitted_at) / len(outcomes)
        for position, outcome in zip(task.positions, outcomes, strict=False):
            self._answers.attempts[position] += 1
            outcome.attempts = self._answers.attempts[position]
            if outcome.kind == RATE_LIMITED and self._retry_later(task, position, outcome, now):
                return
            self._finish(position, outcome, flight)
            task.session_id = outcome.session_id or task.session_id
        self._skip(task.positions[len(outcomes) :])

    def _finish(self, position: int, outcome: Outcome, flight: float) -> None:
        if self._store is not None:
            self._store.record(self._key(position), outcome)
        status = self._answers.set(position, outcome)
        failed = status in ("error", "unknown")
        took = flight if outcome.total_s is None else outcome.total_s
        # In our own pool, rows are queued to keep the threads busy, so the wait does not count.
        self._progress.finished(failed, took, took if self._runner.owns_pool else flight)
        if outcome.kind != RATE_LIMITED:
            self._pace.answered()
        if failed:
            self.failures += 1
            if self.first_failure is None:
                self.first_failure = position, outcome.error
            if self.failures == self._max_failures:
                rows = "row" if self.failures == 1 else "rows"
                self._stop_early(f"Stopped after {self.failures:,} failed {rows}.")

    def _retry_later(self, task: _Active, position: int, outcome: Outcome, now: float) -> bool:
        """Slow down after a 429; return whether the row and those after it will be retried."""
        self._pace.limited(task.submitted_at, now, outcome.retry_after)
        self._progress.paused = True
        pause = self._pace.next_start - now
        if pause > LONGEST_PAUSE:
            self._stop_early(f"The service requested a pause of {duration(pause)}.")
        if task.tries + 1 >= MAX_ATTEMPTS:
            return False
        self._set_note(f"rate limited, waiting {duration(pause)}" if pause >= 1 else "rate limited")
        if self._store is not None:
            self._store.record(self._key(position), outcome)
        rest = task.positions[task.positions.index(position) :]
        self._release(rest[1:])
        self._resubmit.appendleft(_Active(rest, task.session_id, task.tries + 1))
        self._cancel_waiting()
        return True

    def _cancel_waiting(self) -> None:
        """Cancel tasks that wait in our own pool; their claims are kept unless the sweep stops."""
        for number, task in list(self._active.items()):
            if task.future is not None and self._runner.cancel_waiting(task.future):
                del self._active[number]
                if self.stopped:
                    self._release(task.positions)
                else:
                    task.future = None
                    self._resubmit.append(task)

    def _abandon_in_flight(self) -> None:
        """Mark rows in flight as unknown, because their answers are no longer awaited."""
        self._cancel_waiting()
        for task in self._active.values():
            for position in task.positions if task.future is not None else ():
                self._answers.attempts[position] += 1
                outcome = Outcome(UNKNOWN, error="The sweep was abandoned with this row in flight.")
                outcome.attempts = self._answers.attempts[position]
                self._answers.set(position, outcome)

    def _skip(self, positions: tuple[int, ...]) -> None:
        """Skip the rest of a conversation after a turn that was not answered."""
        self._release(positions)
        for position in positions:
            self._answers.stop(position, "An earlier row of this session was not answered.")

    def _release(self, positions: tuple[int, ...]) -> None:
        """Release the claims of rows that were not sent."""
        if self._store is not None and positions:
            self._store.release([self._key(position) for position in positions])

    def _key(self, position: int) -> bytes:
        return self._keys[KEY_BYTES * position : KEY_BYTES * (position + 1)]

    def _stop_early(self, reason: str) -> None:
        self.stopped = self.stopped or reason

    def _set_note(self, text: str) -> None:
        self._progress.note = text
