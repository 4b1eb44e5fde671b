"""One call of a client, and the seven documented methods as calls."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

from cpsl_notebook.connected import connected_client
from cpsl_notebook.cpsl_package import make_client, takes
from cpsl_notebook.errors import UsageError, UserError

__all__ = ["METHODS", "Call", "DocumentedMethods", "LiveClient"]

METHODS = {
    "list_apps": (),
    "get_app": ("app",),
    "create_checkout": ("app", "return_url"),
    "list_payments": ("app",),
    "get_earnings": ("app",),
    "chat": ("app", "text", "session_id"),
    "stream": ("app", "text", "session_id"),
}
"""The documented methods of `cpsl.Client`, with the fields of `Call` that are their arguments."""


@dataclass(frozen=True)
class Call:
    """A method of `cpsl.Client` and its arguments; arguments that it does not have are empty."""

    method: str
    app: str = ""
    text: str = ""
    session_id: str | None = None
    return_url: str = ""

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Return the call that a line of a recording describes; other fields are ignored."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields})

    def fields(self) -> dict[str, Any]:
        """Return the method and the arguments that are not empty."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        return f"{self.method} of {self.app}" if self.app else self.method


class DocumentedMethods(abc.ABC):
    """The documented methods of `cpsl.Client`, each passed to `answer` as a `Call`.

    Like the methods of ``cpsl-client``, each accepts a *timeout* in seconds.

    Attributes
    ----------
    is_replay : bool
        Whether the answers come from a recording and not from the service.
    """

    is_replay = False

    @abc.abstractmethod
    def answer(self, call: Call, timeout: Any = None) -> Any:
        """Return what the method returns, or raise what it raises."""

    def list_apps(self, *, timeout: Any = None) -> list[dict[str, Any]]:
        """List the apps of the workspace."""
        apps: list[dict[str, Any]] = self.answer(Call("list_apps"), timeout)
        return apps

    def get_app(self, name_or_id: str, *, timeout: Any = None) -> dict[str, Any]:
        """Return the metadata of one app."""
        app: dict[str, Any] = self.answer(Call("get_app", name_or_id), timeout)
        return app

    def create_checkout(self, app: str, return_url: str = "", *, timeout: Any = None) -> str:
        """Create a checkout and return its URL."""
        call = Call("create_checkout", app, return_url=return_url)
        url: str = self.answer(call, timeout)
        return url

    def list_payments(self, app: str, *, timeout: Any = None) -> list[dict[str, Any]]:
        """Return the payments of an app."""
        payments: list[dict[str, Any]] = self.answer(Call("list_payments", app), timeout)
        return payments

    def get_earnings(self, app: str, *, timeout: Any = None) -> dict[str, Any]:
        """Return the earnings summary of an app."""
        earnings: dict[str, Any] = self.answer(Call("get_earnings", app), timeout)
        return earnings

    def chat(
        self, app: str, text: str, session_id: str | None = None, *, timeout: Any = None
    ) -> Any:
        """Send a message and wait for the whole reply, a ``ChatResponse``."""
        return self.answer(Call("chat", app, text, session_id), timeout)

    def stream(
        self, app: str, text: str, session_id: str | None = None, *, timeout: Any = None
    ) -> Any:
        """Send a message and return an iterator of the reply's ``StreamChunk`` objects."""
        return self.answer(Call("stream", app, text, session_id), timeout)


class LiveClient:
    """A client of the live service, and the lookup of its apps.

    Parameters
    ----------
    core : cpsl.Client, optional
        The client; by default ``cpsl.Client()``, created when it is needed.
    reference : callable, optional
        Function that returns the name or id by which *core* finds an app.
    directory : callable, optional
        Function that lists the apps, to use instead of ``core.list_apps``.
    """

    def __init__(
        self,
        core: Any = None,
        reference: Callable[[str], str] | None = None,
        directory: Callable[[], list[dict[str, Any]]] | None = None,
    ) -> None:
        self._core = core
        self._reference = reference
        self._directory = directory
        self._lock = threading.Lock()

    @classmethod
    def of(cls, client: Any) -> LiveClient:
        """Return the live client of a `cpsl.Client`, of a `cpsl_notebook.Client`, or of ``None``.

        ``None`` stands for the client that the notebook is connected to, or was before it replayed a
        recording; outside a notebook, for ``cpsl.Client()``.

        Raises
        ------
        UsageError
            If *client* is neither, or replays a recording.
        """
        if client is None:
            return cls._of_notebook()
        if not any(hasattr(client, method) for method in METHODS):
            raise UsageError(
                f"client must be a cpsl.Client or a cpsl_notebook.Client, not {client!r}."
            )
        live: LiveClient = client.live() if hasattr(client, "live") else cls(client)
        if live.is_replay:
            raise UsageError(f"{live.core!r} is not a live client. Pass a client of the service.")
        return live

    @classmethod
    def _of_notebook(cls) -> LiveClient:
        client = connected_client()
        if client is not None and client.live().is_replay:
            client = client.live().core.before
        return cls() if client is None else client.live()

    @property
    def is_replay(self) -> bool:
        """Whether the client answers from a recording."""
        return isinstance(self._core, DocumentedMethods) and self._core.is_replay

    @property
    def core(self) -> Any:
        """The client."""
        with self._lock:
            if self._core is None:
                self._core = make_client()
            return self._core

    def with_core(self, core: Any) -> LiveClient:
        """Return a copy with another client."""
        return LiveClient(core, self._reference, self._directory)

    def send(self, call: Call, timeout: Any = None) -> Any:
        """Make a call and return what the client returns.

        Raises
        ------
        UserError
            *timeout* is set, but the client has no such option.
        Exception
            What the client raises.
        """
        if call.method == "list_apps" and self._directory is not None:
            return self._directory()
        method = getattr(self.core, call.method)
        arguments = {name: getattr(call, name) for name in METHODS[call.method]}
        if self._reference is not None and "app" in arguments:
            arguments["app"] = self._reference(call.app)
        if timeout is None:
            return method(*arguments.values())
        if not takes(method, "timeout"):
            raise UserError(
                "The official SDK has no timeout setting. Use cpsl-client, or omit the timeout."
            )
        return method(*arguments.values(), timeout=timeout)
