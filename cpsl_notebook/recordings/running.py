"""`recording`: record every client of this process for a while."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.recordings.calls import LiveClient
from cpsl_notebook.recordings.environment import replay_from_environment
from cpsl_notebook.recordings.file_format import RecordingFile
from cpsl_notebook.recordings.recorder import Clock, Log, RecordingClient
from cpsl_notebook.recordings.redaction import SHORTEST_TOKEN

__all__ = ["Recording", "current_recording", "in_use", "recording"]

_running: list[Recording] = []  # at most one
_changing = threading.Lock()


def recording(
    file: str | os.PathLike[str],
    client: Any = None,
    *,
    mask: bool | str = False,
    secrets: str | Iterable[str] = (),
) -> Recording:
    """Record what the service answers, to replay it with `replay`.

    Use it in a ``with`` statement. Within the block, every `cpsl_notebook.Client` is recorded: the
    magics, `ask`, `sweep` and clients of your own, on all threads. The value of the ``with``
    statement is a client with the methods of `cpsl.Client` that is recorded too.

    Recorded are the answers of all documented methods, streams chunk by chunk with their times, and
    errors; and with each, the id of the cell or the row of the sweep that asked. Each answer is
    written when it is complete. Answers to other processes, such as those of a process pool, are not
    recorded, and neither are those of a client that replays a recording. While ``CAPSULE_REPLAY`` is
    set, nothing is recorded.

    Parameters
    ----------
    file : str or Path
        The file, ``.jsonl`` by convention. An earlier recording is replaced; any other file is not.
    client : cpsl.Client or cpsl_notebook.Client, optional
        The client that the value of the ``with`` statement uses; by default, the one to which
        ``%capsule local`` has connected the notebook, or else ``cpsl.Client()``, created at its
        first call.
    mask : bool or str, default False
        Whether to replace payers with pseudonyms: the fields of payments and earnings that identify a
        person, also in what the caller receives, and, in the file, email addresses everywhere. A
        string is the key of the pseudonyms; `True` uses the key of this machine.
    secrets : str or iterable of str, optional
        A further text that the file must not contain, or several, each of at least 4 characters:
        shorter ones would match ordinary text. White space around them is ignored. Workspace tokens
        and texts that look like secrets are always replaced by ``[redacted]``;
        `cpsl_notebook.recordings.redaction.Redactor` lists what these are.

    Returns
    -------
    Recording
        The context manager; it also has the methods ``start()`` and ``stop()``.

    Raises
    ------
    UserError
        If an argument is invalid. When the recording is started: if the file cannot be written, is
        not a recording, another kernel records to it, another recording is running in this process,
        or *client* replays a recording.

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
        Turns calls into its lines.
    """

    def __init__(
        self, file: RecordingFile, client: Any, *, mask: bool | str, secrets: str | Iterable[str]
    ) -> None:
        if not isinstance(mask, bool) and not (isinstance(mask, str) and mask.strip()):
            raise UsageError(f"mask must be True, False or a key that is not blank, not {mask!r}.")
        self.file = file
        self.log = Log(file.append, mask=mask, secrets=_checked(secrets))
        self._client = client

    def __repr__(self) -> str:
        state = "recording" if self in _running else "stopped"
        return f"<recording {self.file.shown}, {state}, {self.file.appended} calls>"

    def __enter__(self) -> Any:
        replayed = replay_from_environment()
        if replayed is not None:
            return replayed
        self.start()
        return RecordingClient(self.log, LiveClient.of(self._client))

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create the file and record every `cpsl_notebook.Client` from now on.

        While ``CAPSULE_REPLAY`` is set, this has no effect.

        Raises
        ------
        UserError
            If the file cannot be written or is not a recording, another kernel records to it,
            another recording is running in this process, or the client replays a recording.
        """
        if replay_from_environment() is not None:
            return
        LiveClient.of(self._client)  # raises if the client replays a recording
        with _changing:
            if _running:
                raise UserError(
                    f"A recording to {_running[0].file.shown} is running. Stop it first with "
                    "`%capsule record --stop` or its stop() method."
                )
            self.file.create(**self.log.header())
            _running.append(self)

    def stop(self) -> None:
        """Stop recording; calling it again has no effect."""
        with _changing:
            if self in _running:
                _running.remove(self)
                self.file.release()


def _checked(secrets: Any) -> list[str]:
    """Return the secrets without white space around them; they are not shown in errors."""
    texts = [secrets] if isinstance(secrets, str) else secrets
    if not isinstance(texts, Iterable):
        raise UsageError(
            f"secrets must be a str or an iterable of str, not {type(texts).__name__}."
        )
    found = []
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"Each of the secrets must be a str, not {type(text).__name__}.")
        if len(text.strip()) < SHORTEST_TOKEN:
            raise UsageError(
                f"A secret is too short: each must have at least {SHORTEST_TOKEN} characters, "
                "because shorter ones would match ordinary text."
            )
        found.append(text.strip())
    return found


def current_recording() -> Recording | None:
    """Return the recording that is running, if there is one."""
    return next(iter(_running), None)


def in_use(live: LiveClient, clock: Clock | None = None) -> Any:
    """Return the client to call: that of *live* or, during a recording, one that is recorded.

    A client that replays a recording is not recorded.
    """
    running = current_recording()
    if running is None or live.is_replay or isinstance(live.core, RecordingClient):
        return live.core
    return RecordingClient(running.log, live, clock)
