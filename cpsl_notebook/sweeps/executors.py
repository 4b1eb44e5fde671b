"""Where the rows of a sweep run, and with which client."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from cpsl_notebook.errors import UsageError, shown
from cpsl_notebook.sweeps.dask_claims import forget
from cpsl_notebook.sweeps.worker import Plan, Task, run_task

__all__ = ["DEFAULT_ACTIVE", "Runner", "client_for"]

DEFAULT_ACTIVE = 8  # tasks in flight
_READY = 4  # a quarter of the tasks wait in the pool, so that no thread is idle during a write


class Runner:
    """Runs tasks on the caller's executor, or on its own thread pool.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None
        The caller's executor, of which only ``submit(fn, *args)`` is used; it is not shut down.
    max_active : int
        The largest number of tasks in flight.

    Attributes
    ----------
    in_process : bool
        Whether tasks run in this process.
    owns_pool : bool
        Whether it has its own thread pool.
    ready : int
        The number of tasks that may wait in the pool in addition to those in flight.
    """

    def __init__(self, executor: Executor | None, max_active: int) -> None:
        can_submit = callable(getattr(executor, "submit", None)) and not isinstance(executor, type)
        if executor is not None and not can_submit:
            raise UsageError(
                f"executor must be a concurrent.futures.Executor, not {shown(executor)}. "
                "For Dask, pass client.get_executor().",
                label="TypeError",
            )
        self.in_process = executor is None or isinstance(executor, ThreadPoolExecutor)
        self.owns_pool = executor is None
        self.ready = max_active // _READY if executor is None else 0
        self._own: ThreadPoolExecutor | None = None
        if executor is None:
            self._own = ThreadPoolExecutor(max_active, thread_name_prefix="capsule-sweep")
        self._executor: Executor = executor or self._own  # type: ignore[assignment]

    def submit(self, plan: Plan, task: Task) -> Future[Any]:
        """Run a task."""
        return self._executor.submit(run_task, plan, task)

    def cancel_waiting(self, future: Future[Any]) -> bool:
        """Cancel a task that has not started; return whether it was cancelled.

        Only our own pool reliably reports whether a task has started: a Dask future can always be
        cancelled, even while its task runs.
        """
        return self._own is not None and future.cancel()

    def close(self, plan: Plan, *, abandon: bool) -> None:
        """End the run; shut down the pool if it is our own.

        Parameters
        ----------
        plan : Plan
            The run that ends.
        abandon : bool
            Whether to return without waiting for tasks in flight.
        """
        if self._own is not None:
            self._own.shutdown(wait=not abandon, cancel_futures=True)
        elif not self.in_process and not abandon:
            with contextlib.suppress(Exception):  # the executor may be broken
                self._executor.submit(forget, plan.run)


def client_for(core: Any, *, in_process: bool, send_token: bool) -> Any:
    """Return the client that tasks use, in the form that a `Plan` needs.

    It does not retry: the sweep retries, at one pace for all rows.

    Parameters
    ----------
    core : cpsl.Client
        The client of this process.
    in_process : bool
        Whether tasks run in this process.
    send_token : bool
        Whether the token may be sent to worker processes.
    """
    has_options = hasattr(core, "with_options")
    if in_process:
        return core.with_options(max_retries=0) if has_options else core
    if has_options:
        return pickle.dumps(core.with_options(max_retries=0, pickle_token=send_token))
    return pickle.dumps(core) if send_token else None
