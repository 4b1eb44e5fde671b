"""``CAPSULE_REPLAY=FILE``: replay a recording in an unedited notebook or script."""

from __future__ import annotations

import functools
import os

from cpsl_notebook.recordings.replayer import ReplayClient, replay

__all__ = ["replay_from_environment"]


def replay_from_environment() -> ReplayClient | None:
    """Return the client of this process that replays ``CAPSULE_REPLAY``; ``None`` if it is not set.

    Raises
    ------
    UserError
        The file cannot be read or is not a recording.
    """
    file = os.environ.get("CAPSULE_REPLAY")
    return _shared(file) if file else None


@functools.cache
def _shared(file: str) -> ReplayClient:
    """Return one client per file, so that all clients of the process share its order."""
    client = replay(file)
    client.how_to_ask = "unset CAPSULE_REPLAY before the kernel starts"
    return client
