"""The replacement for the local workspace while ``CAPSULE_REPLAY`` replays a recording."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Self

from cpsl_notebook.recordings.environment import replay_from_environment
from cpsl_notebook.recordings.replayer import ReplayClient

if TYPE_CHECKING:
    from cpsl_notebook.client import Client

__all__ = ["recorded_running", "start_recorded"]

_running: list[RecordedWorkspace] = []  # at most one


class RecordedWorkspace:
    """A workspace without servers, so that a notebook with a local workspace runs unedited.

    It has the public attributes of `Workspace`. Its apps never run: the recording has their replies.

    Parameters
    ----------
    replayed : ReplayClient
        The client of the recording.
    """

    keeps_data = False

    def __init__(self, replayed: ReplayClient) -> None:
        self._replayed = replayed
        self.folder = self.config_path = replayed.file.path
        self.token = ""
        self.environ: dict[str, str] = {}
        self.http_url = self.grpc_address = replayed.gateway_url
        self.today: date | str = replayed.began.date()

    def __repr__(self) -> str:
        return f"<recorded workspace, {self.folder.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def app(self, name: str, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Return a decorator that returns the function unchanged."""
        return lambda answer: answer

    def list_apps(self) -> list[dict[str, Any]]:
        """Return the recorded list of apps."""
        return self._replayed.list_apps()

    def client(self, **options: Any) -> Client:
        """Return a client of the recording; the options of a live client are ignored."""
        from cpsl_notebook.client import Client

        return Client(self._replayed)

    def login_link(self, login_id: str) -> str:
        """Return an empty string: no login is needed."""
        return ""

    def stop(self) -> None:
        """Stop; calling it again has no effect."""
        if self in _running:
            _running.remove(self)

    def reset(self) -> None:
        """Do nothing: a recording has no state."""


def start_recorded() -> Any:
    """Return a workspace for the recording in ``CAPSULE_REPLAY``; ``None`` if that is not set."""
    replayed = replay_from_environment()
    if replayed is None:
        return None
    _running[:] = [RecordedWorkspace(replayed)]
    return _running[0]


def recorded_running() -> Any:
    """Return the workspace that `start_recorded` returned, until it is stopped."""
    return _running[0] if _running else None
