"""A running local workspace: its two servers, and what a program does with it."""

from __future__ import annotations

import asyncio
import atexit
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from cpsl_notebook.errors import UserError
from cpsl_notebook.local import grpc_server as rpc
from cpsl_notebook.local.apps import Apps
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.folder import Folder
from cpsl_notebook.local.http_server import make_app
from cpsl_notebook.local.pending_logins import PendingLogins
from cpsl_notebook.local.samples.ledger import TODAY
from cpsl_notebook.local.session import Answer
from cpsl_notebook.paths import capsule_home

if TYPE_CHECKING:
    from cpsl_notebook.client import Client

__all__ = ["Workspace", "running", "start"]

_HOST = "127.0.0.1"
_PATIENCE = 10.0  # seconds for a server to start or to end
_running: list[Workspace] = []


def start(
    data: str | Path | None = None,
    *,
    port: int = 0,
    pace: float = 0.02,
    today: date | str = TODAY,
    on_login: Callable[[str], None] | None = None,
) -> Workspace:
    """Start a local workspace in this process.

    Parameters
    ----------
    data
        The folder of its state; by default ``local`` in ``CAPSULE_HOME`` or ``~/.capsule``.
    port
        The gRPC port; HTTP is on the next one. 0 picks a free pair.
    pace
        Seconds between two words of a sample app's streamed reply.
    today
        The day on which the history of payments ends, such as ``"2026-10-31"``. Another day has
        other payments; apps and exchanges are the same. What `Workspace.client` reads, it reads
        at that day's end.
    on_login
        Called with the link of each login that is asked for, which carries the secret that
        confirms it.

    Returns
    -------
    Workspace
        Also a context manager that stops it.

    Raises
    ------
    UserError
        The folder or the port cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, start(folder) as workspace:
    ...     with workspace.client() as client:
    ...         print(client.list_apps()["name"].to_list())
    ['deal-desk', 'diet-coach', 'support-ops']
    """
    folder = Folder(Path(data) if data else capsule_home() / "local")
    workspace = Workspace(folder, port, pace, today, on_login)
    _running.append(workspace)
    return workspace


def running() -> Workspace | None:
    """Return the workspace that was started last in this process and still runs."""
    return _running[-1] if _running else None


class Workspace:
    """A workspace that is running; `start` makes it.

    Attributes
    ----------
    folder
        Where its state is.
    grpc_address, http_url
        Where its gateway answers.
    token
        The token that it asks for.
    """

    def __init__(
        self,
        folder: Folder,
        port: int,
        pace: float,
        today: date | str,
        on_login: Callable[[str], None] | None,
    ) -> None:
        try:
            self._database = Database(folder.database, today)
        except sqlite3.Error as error:
            raise UserError(
                f"The workspace in {folder.path} cannot be read ({error}): move that folder away, "
                "or name another."
            ) from None
        self.folder = folder.path
        self.token = folder.token
        self._files = folder
        self._apps = Apps(self._database)
        self._secret = folder.login_secret
        announce = (lambda login: on_login(self.login_link(login))) if on_login else None
        self._logins = PendingLogins(self._secret, announce)
        self._grpc, self._socket, grpc_port = self._bind(port)
        self.grpc_address = f"{_HOST}:{grpc_port}"
        self.http_url = f"http://{_HOST}:{grpc_port + 1}"
        self._server, self._thread = self._serve(grpc_port + 1, pace)
        self._grpc.start()
        self.config_path = folder.add_config(grpc_port)
        atexit.register(self.stop)

    def __repr__(self) -> str:
        state = self.http_url if self in _running else "stopped"
        return f"<local workspace {state}, data in {self.folder}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which any Capsule client talks to this workspace."""
        return {
            "CAPSULE_GATEWAY_URL": self.grpc_address,
            "CAPSULE_HTTP_URL": self.http_url,
            "CAPSULE_TOKEN": self.token,
            # The official client reads a config.ini first: without this, the real login's.
            "CONFIG_PATH": str(self.config_path),
        }

    @property
    def today(self) -> date:
        """The day on which the history of payments ends; setting it changes the payments."""
        return self._database.today

    @today.setter
    def today(self, day: date | str) -> None:
        self._database.today = day

    def app(
        self, name: str, price_in_cents: int = 0, pricing_type: str = "one_time"
    ) -> Callable[[Answer], Answer]:
        """Add an app: decorate a generator function ``(session, text)``; its yields are streamed.

        It yields text, or blocks: dicts with ``type`` and ``payload``. ``session.history`` has the
        earlier turns (``prompt``, ``reply``), ``session.state`` is a dict that is kept between
        them. The function runs in this process; other processes on the same data list the app but
        cannot answer for it.

        Parameters
        ----------
        name
            Lower-case letters, digits and dashes.
        price_in_cents
            0 for a free app.
        pricing_type
            ``"one_time"`` or ``"monthly"``.

        Examples
        --------
        ::

            @workspace.app("echo")
            def echo(session, text):
                yield f"You said {text!r}; message {len(session.history) + 1}."
        """
        if callable(name):
            raise TypeError('The decorator takes the app\'s name: write @workspace.app("name").')

        def add(answer: Answer) -> Answer:
            self._apps.add(name, answer, price_in_cents, pricing_type)
            return answer

        return add

    def list_apps(self) -> list[dict[str, Any]]:
        """Return ``id``, ``name`` and ``hostname`` of each app."""
        return [
            {key: app[key] for key in ("id", "name", "hostname")} for app in self._database.apps()
        ]

    def client(self, **options: Any) -> Client:
        """Return a `cpsl_notebook.Client` of this workspace; `options` go to `cpsl.Client`."""
        from cpsl_notebook.client import connect  # here: the gateway itself needs no client

        return connect(
            directory=self.list_apps,
            scope=f"local:{self._database.workspace_id}",
            clock=self._end_of_today,
            token=self.token,
            gateway_url=self.http_url,
            **options,
        )

    def _end_of_today(self) -> datetime:
        """Tell the time of the sample payments, which stands still at the end of their last day."""
        return datetime.combine(self.today, clock_time(23, 59, 59), UTC)

    def login_link(self, login_id: str) -> str:
        """Return the link that confirms a login at the press of a button."""
        return f"{self.http_url}/login/{login_id}?secret={self._secret}"

    def stop(self) -> None:
        """Stop both servers; the data stay. Doing it twice is harmless."""
        if self not in _running:
            return
        _running.remove(self)
        atexit.unregister(self.stop)
        stopped = self._grpc.stop(grace=0.5)
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
        stopped.wait(_PATIENCE)
        self._files.remove_config(self.config_path)

    def _bind(self, port: int) -> tuple[Any, socket.socket, int]:
        """Take a port for gRPC and the next one for HTTP."""
        if port and str(port).endswith("443"):
            raise UserError(f"Port {port}: clients take a gRPC port that ends in 443 for TLS.")
        if not 0 <= port < 65535:
            raise UserError(f"Port {port}: give 1 to 65534, or 0 for a free pair.")
        for _ in range(1 if port else 100):
            try:
                web = _listening(port + 1 if port else 0)
            except OSError:
                break
            try:
                grpc_port = web.getsockname()[1] - 1
                if port or not str(grpc_port).endswith("443"):
                    return self._grpc_server(grpc_port), web, grpc_port
            except (OSError, RuntimeError):
                pass  # the one for gRPC is taken
            web.close()
        if port:
            raise UserError(
                f"Port {port} (gRPC) or {port + 1} (HTTP) is in use: give another, or 0 for a free "
                "pair."
            )
        raise UserError("No free pair of ports was found: give one with port=.")

    def _grpc_server(self, port: int) -> Any:
        with _listening(port):
            pass  # tried first, because gRPC writes to stderr where a port is taken
        url = f"http://{_HOST}:{port + 1}/login/"
        server = rpc.make_server(
            self._database, self._logins, self.token, lambda login: url + login
        )
        server.add_insecure_port(f"{_HOST}:{port}")
        return server

    def _serve(self, port: int, pace: float) -> tuple[uvicorn.Server, threading.Thread]:
        config = uvicorn.Config(
            make_app(self._database, self._apps, self._logins, self.token, port, pace),
            lifespan="off",
            log_config=None,
            access_log=False,  # it would print the prompts, which are in the URL
            log_level="critical",  # nor is a reply that is cut off by the end an error
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[self._socket])),
            name="capsule-local-http",
            daemon=True,
        )
        thread.start()
        deadline = time.monotonic() + _PATIENCE
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise UserError("The local workspace did not start: try again.")
            time.sleep(0.002)
        return server, thread


def _listening(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine; 0 takes a free one."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_HOST, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening
