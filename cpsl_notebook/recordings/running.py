"""`recording`: record every client of this process for a while."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

from cpsl_notebook.errors import UserError
from cpsl_notebook.recordings.calls import LiveClient
from cpsl_notebook.recordings.environment import replay_from_environment
from cpsl_notebook.recordings.file_format import RecordingFile
from cpsl_notebook.recordings.recorder import Clock, Log, RecordingClient

__all__ = ["Recording", "current_recording", "in_use", "recording"]

_running: list[Recording] = []  # at most one
_changing = threading.Lock()


def recording(
    file: str | os.PathLike[str],
    client: Any = None,
    *,
    mask: bool | str = False,
    secrets: Iterable[str] = (),
) -> Recording:
    """Record what the service answers, to replay it with `replay`.

    Use it in a ``with`` statement. Within the block, every `cpsl_notebook.Client` is recorded: the
    magics, `ask`, `sweep` and clients of your own, on all threads. The value of the ``with``
    statement is a client with the methods of `cpsl.Client` that is recorded too.

    The recording contains the answers of all documented methods, streams chunk by chunk with their
    times, and errors. Each answer is written when it is complete. Calls of other processes, such as
    those of a process pool, are not recorded. While ``CAPSULE_REPLAY`` is set, nothing is recorded.

    Parameters
    ----------
    file : str or Path
        The file, ``.jsonl`` by convention. An earlier recording is replaced; any other file is not.
    client : cpsl.Client or cpsl_notebook.Client, optional
        The client that the value of the ``with`` statement uses; by default ``cpsl.Client()``,
        created at its first call.
    mask : bool or str, default False
        Whether to replace payers with pseudonyms: the fields of payments and earnings that identify a
        person, also in what the caller receives, and, in the file, email addresses everywhere. A
        string is the key of the pseudonyms; `True` uses the key of this machine.
    secrets : iterable of str, optional
        Further texts that the file must not contain. Workspace tokens and texts that look like
        secrets are always replaced by ``[redacted]``;
        `cpsl_notebook.recordings.redaction.Redactor` lists what these are.

    Returns
    -------
    Recording
        The context manager; it also has the methods ``start()`` and ``stop()``.

    Raises
    ------
    UserError
        When it is started: if the file cannot be written, is not a recording, or another recording
        is running.

    See Also
    --------
    replay : A client that answers from the file.

    Examples
    --------
    >>> import tempfile
    >>> from cpsl_notebook import local, recording, replay
    >>> with tempfile.TemporaryDirectory() as folder, local.start(folder) as workspace:
    ...     with recording(f"{folder}/apps.jsonl", workspace.client()) as client:
    ...         names = [app["name"] for app in client.list_apps()]
    ...     print(names == [app["name"] for app in replay(f"{folder}/apps.jsonl").list_apps()])
    True
    """
    return Recording(RecordingFile(file), client, mask=mask, secrets=secrets)


class Recording:
    """A recording; `recording` creates it, and its ``with`` statement starts and stops it.

    Attributes
    ----------
    file : RecordingFile
        The file that is written.
    log : Log
        What writes it.
    """

    def __init__(
        self, file: RecordingFile, client: Any, *, mask: bool | str, secrets: Iterable[str]
    ) -> None:
        self.file = file
        self.log = Log(file.append, mask=mask, secrets=secrets)
        self._live = LiveClient.of(client)

    def __repr__(self) -> str:
        state = "recording" if self in _running else "stopped"
        return f"<recording {self.file.path}, {state}, {self.file.appended} calls>"

    def __enter__(self) -> Any:
        replayed = replay_from_environment()
        if replayed is not None:
            return replayed
        self.start()
        return RecordingClient(self.log, self._live)

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create the file and record every `cpsl_notebook.Client` from now on.

        Raises
        ------
        UserError
            If the file cannot be written or another recording is running.
        """
        with _changing:
            if _running:
                raise UserError(
                    f"A recording to {_running[0].file.path} is running. Stop it first with "
                    "`%capsule record --stop` or its stop() method."
                )
            self.file.create(**self.log.header())
            _running.append(self)

    def stop(self) -> None:
        """Stop recording; calling it again has no effect."""
        with _changing:
            if self in _running:
                _running.remove(self)


def current_recording() -> Recording | None:
    """Return the recording that is running, if there is one."""
    return next(iter(_running), None)


def in_use(live: LiveClient, clock: Clock | None = None) -> Any:
    """Return the client to call: that of *live* or, during a recording, one that is recorded."""
    running = current_recording()
    if running is None or isinstance(live.core, RecordingClient):
        return live.core
    return RecordingClient(running.log, live, clock)
