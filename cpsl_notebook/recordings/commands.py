"""What ``%capsule record`` and ``%capsule replay`` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.recordings.environment import replay_from_environment
from cpsl_notebook.recordings.replayer import ReplayClient, replay
from cpsl_notebook.recordings.running import current_recording, recording
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["live_client", "record", "replaying", "start_replay", "stop_replay", "verify"]

_REPLAY_USAGE = "Usage: `%capsule replay FILE` or `%capsule replay --stop`."


def record(file: str = "", client: Any = None, *, stop: bool = False, mask: bool = False) -> str:
    """Start or stop a recording, and return the line to print.

    Recording to the same file again replaces the recording, so that a cell can be run twice.

    Parameters
    ----------
    file : str
        The file to record to.
    client : cpsl_notebook.Client or None
        The notebook's client.
    stop : bool
        Stop the recording that is running.
    mask : bool
        Replace payers by pseudonyms.

    Returns
    -------
    str
        What happened.

    Raises
    ------
    UserError
        If there is neither a file nor *stop*, the file cannot be written, another recording is
        running, or the notebook replays a recording.
    """
    if bool(file) == stop:
        raise UsageError("Usage: `%capsule record FILE` or `%capsule record --stop`.")
    from_environment = replay_from_environment()
    if from_environment is not None:
        return f"Not recording: CAPSULE_REPLAY replays {from_environment.file.shown}."
    running = current_recording()
    if stop:
        if running is None:
            return "No recording is running."
        running.stop()
        calls = f"{running.file.appended} call{'' if running.file.appended == 1 else 's'}"
        return f"Recorded {calls} in {running.file.shown}."
    replayed = replaying(client)
    if replayed is not None:
        raise UserError(
            f"This notebook replays {replayed.file.shown}. Stop that first, with "
            "`%capsule replay --stop`."
        )
    if running is not None and running.file.path == Path(file).expanduser().absolute():
        running.stop()
    started = recording(file, mask=mask)
    started.start()
    return f"Recording to {started.file.shown}. Stop with `%capsule record --stop`."


def live_client(client: Any) -> Any:
    """Return a notebook's client or, if it replays a recording, the one that it had before."""
    replayed = replaying(client)
    return client if replayed is None else replayed.before


def replaying(client: Any) -> ReplayClient | None:
    """Return what a notebook's client answers from, if that is a recording."""
    core = None if client is None else client.live().core
    return core if isinstance(core, ReplayClient) else None


def start_replay(
    file: str, before: Any, *, speed: float, missing: Literal["error", "live"], strict: bool
) -> tuple[ReplayClient, str]:
    """Return a client that replays a file, and the line to print.

    Parameters
    ----------
    file : str
        The recording.
    before : cpsl_notebook.Client or None
        The client that the notebook had before; the live client for ``missing="live"``.
    speed : float
        How fast answers arrive; 0 for at once.
    missing : {"error", "live"}
        What to do with a request that was not recorded.
    strict : bool
        Whether each recorded answer is given only once.

    Returns
    -------
    tuple of (ReplayClient, str)
        The client, and what happened.

    Raises
    ------
    UserError
        If the file cannot be read or is not a recording, or a recording is running.
    """
    running = current_recording()
    if running is not None:
        raise UserError(
            f"{running.file.shown} is being recorded. Stop that first, with `%capsule record --stop`."
        )
    client = replay(_required(file), speed=speed, missing=missing, strict=strict, client=before)
    client.before = before
    when = "" if is_reproducible() else f", recorded {client.began:%Y-%m-%d}"
    shown = client.file.shown if is_reproducible() else file
    return client, f"Replaying {shown}{when}. Stop with `%capsule replay --stop`."


def stop_replay(file: str, client: Any) -> tuple[Any, str]:
    """Return the client that a notebook had before it replayed a recording, and the line to print.

    Parameters
    ----------
    file : str
        The file on the line, which must be empty.
    client : cpsl_notebook.Client or None
        The notebook's client.

    Returns
    -------
    tuple of (cpsl_notebook.Client or None, str)
        The client, and what happened.

    Raises
    ------
    UsageError
        If there is a file.
    """
    if file:
        raise UsageError(_REPLAY_USAGE)
    before, replayed = live_client(client), replaying(client)
    if replayed is not None:
        replayed.file.release()
    still = replay_from_environment() if before is None else None
    if still is not None:
        line = (
            f"Still replaying {still.file.shown}, because CAPSULE_REPLAY is set. To stop, "
            "restart the kernel without it."
        )
    elif replayed is None:
        line = "Nothing is being replayed."
    else:
        line = "Stopped replaying."
    return before, line


def verify(file: str, before: Any) -> str:
    """Return a report on what the live service answers differently now."""
    return str(replay(_required(file)).verify(before))


def _required(file: str) -> str:
    if not file:
        raise UsageError(_REPLAY_USAGE)
    return file
