"""Claims of tasks on a Dask scheduler, so that a task that Dask runs again is not sent again.

If a worker dies, Dask reruns its tasks: those in flight, and finished tasks whose results were
still on that worker. A task therefore claims its name on the scheduler before it sends anything.
"""

from __future__ import annotations

import contextlib
import sys
import uuid
from typing import Any

__all__ = ["claim", "forget"]

_ROOT = "capsule-sweeps"


def claim(run: str, task: str) -> bool:
    """Return whether this execution of a task may send its requests.

    Outside a Dask worker, this is always true.
    """
    if not _on_dask_worker():
        return True
    from distributed import get_client

    # The scheduler cannot test and set in one step. Every execution adds its own mark and then
    # reads all marks: at most one execution can find only its own mark.
    client: Any = get_client()
    mark = uuid.uuid4().hex
    client.set_metadata([_ROOT, run, task, mark], True)
    return set(client.get_metadata([_ROOT, run, task])) == {mark}


def forget(run: str) -> None:
    """Delete the claims of a run that has ended; called on a Dask worker."""
    if _on_dask_worker():
        from distributed import get_client

        client: Any = get_client()
        with contextlib.suppress(OSError):
            client.set_metadata([_ROOT, run], None)


def _on_dask_worker() -> bool:
    if "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True
