"""Starting, using and stopping a local workspace."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.local import grpc_server as rpc
from cpsl_notebook.local.apps import Apps
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.folder import DATABASE, Folder
from cpsl_notebook.local.forks import close_sockets, watch_forks
from cpsl_notebook.local.http_server import make_app
from cpsl_notebook.local.ids import Ids
from cpsl_notebook.local.payments import Payments
from cpsl_notebook.local.pending_logins import PendingLogins
from cpsl_notebook.local.recorded_workspace import recorded_running, start_recorded
from cpsl_notebook.local.samples.ledger import TODAY
from cpsl_notebook.local.session import Answer
from cpsl_notebook.paths import capsule_home
from cpsl_notebook.reproducible import is_reproducible

if TYPE_CHECKING:
    from cpsl_notebook.client import Client

__all__ = ["Workspace", "running", "start"]

_HOST = "127.0.0.1"
_TIMEOUT = 10.0  # seconds for a server to start or stop
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

    If outputs are reproducible (``CAPSULE_REPRODUCIBLE=1``), its ids come from a seed, so they are the
    same in every execution, and its conversations are not kept when it stops.

    Parameters
    ----------
    data : str or pathlib.Path, optional
        The workspace's folder; by default ``local`` in ``CAPSULE_HOME`` or in ``~/.capsule``.
    port : int
        The gRPC port; HTTP uses the next one. 0 picks a free pair.
    pace : float
        Seconds between two words of a sample app's streamed reply.
    today : datetime.date or str
        The last day with payments, such as ``"2026-10-31"``. Each day has its own payments; apps
        and conversations are the same for all days. The clients of `Workspace.client` read
        payments as of the end of this day.
    on_login : callable, optional
        Called with a link for each login request. Anyone who has the link can confirm the login.

    Returns
    -------
    Workspace
        The running workspace. As a context manager, it stops at the end of the block.

    Raises
    ------
    UserError
        The folder or the port cannot be used, or an argument is invalid.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, start(folder) as workspace:
    ...     with workspace.client() as client:
    ...         print(client.list_apps()["name"].to_list())
    ['deal-desk', 'diet-coach', 'support-ops']
    """
    _check_arguments(data, port, pace)
    recorded: Workspace | None = start_recorded()
    if recorded is not None:
        return recorded
    folder = Folder(Path(data) if data else capsule_home() / "local")
    workspace = Workspace(folder, port, pace, today, on_login)
    _running.append(workspace)
    return workspace


def _check_arguments(data: Any, port: Any, pace: Any) -> None:
    if data is not None and not isinstance(data, str | Path):
        raise UsageError(f"data must be a folder, not {data!r}.", label="TypeError")
    if type(port) is not int:
        raise UsageError(f"port must be an integer, not {port!r}.", label="TypeError")
    if type(pace) not in (int, float) or not 0 <= pace < float("inf"):
        raise UsageError(f"pace must be a number of seconds of at least 0, not {pace!r}.")


def running() -> Workspace | None:
    """Return the workspace that was started last in this process.

    Returns
    -------
    Workspace or None
        ``None`` if no workspace is running.
    """
    recorded: Workspace | None = recorded_running()
    return recorded or (_running[-1] if _running else None)


def _release_in_child() -> None:
    """Release the workspaces in a forked child, which has their sockets but not their threads."""
    for workspace in _running:
        workspace._files.release()
    if _running:
        close_sockets(_HOST, {port for workspace in _running for port in workspace._ports})
    _running.clear()


class Workspace:
    """A local workspace; `start` creates one.

    It processes up to 200 messages at once; others wait. A request may have up to 16 MiB.

    A forked child process has no workspace; it can use its parent's through the addresses. gRPC, with
    which `cpsl.Client` looks up the names of apps, does not work there: use ids.

    Attributes
    ----------
    folder : pathlib.Path
        The folder of its database, token and login secret.
    grpc_address : str
        The address of its gRPC server, such as ``"127.0.0.1:50051"``.
    http_url : str
        The URL of its HTTP server.
    token : str
        The token that both servers require.
    config_path : pathlib.Path
        A ``config.ini`` with the token and the addresses, for the official client.

    Examples
    --------
    ::

        with start() as workspace:
            workspace.client().chat("support-ops", "How many threads are open?").text
    """

    def __init__(
        self,
        folder: Folder,
        port: int,
        pace: float,
        today: date | str,
        on_login: Callable[[str], None] | None,
    ) -> None:
        self._payments = Payments(today)
        self._initial_today = self._payments.today
        ids = Ids(seeded=is_reproducible())
        # Other processes would create the same ids from the seed, so nothing is shared with them.
        self._scratch = Path(tempfile.mkdtemp(prefix="capsule-")) if ids.seeded else None
        try:
            self._database = Database((self._scratch or folder.path) / DATABASE, ids)
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"Cannot use the workspace in {folder.path}: {error}. Remove or rename the "
                "folder, or use another one."
            ) from None
        self.folder = folder.path
        self.token = folder.token
        self._files = folder
        self._apps = Apps(self._database)
        self._secret = folder.login_secret
        announce = (lambda login: on_login(self.login_link(login))) if on_login else None
        self._logins = PendingLogins(self._secret, announce)
        try:
            self._grpc, self._socket, grpc_port = self._bind(port)
        except BaseException:
            self._remove_scratch()
            raise
        self._ports = (grpc_port, grpc_port + 1)
        self.grpc_address = f"{_HOST}:{grpc_port}"
        self.http_url = f"http://{_HOST}:{grpc_port + 1}"
        self._grpc.start()
        try:
            self.config_path = folder.add_config(grpc_port)
            self._server, self._thread = self._serve(grpc_port + 1, pace)
        except BaseException:
            self._grpc.stop(None).wait(_TIMEOUT)
            self._socket.close()
            folder.release()
            self._remove_scratch()
            raise
        atexit.register(self.stop)

    def __repr__(self) -> str:
        state = "running" if self in _running else "stopped"
        return f"<local workspace, {state}: {', '.join(app['name'] for app in self._apps.all())}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables that connect any Capsule client to this workspace."""
        return {
            "CAPSULE_GATEWAY_URL": self.grpc_address,
            "CAPSULE_HTTP_URL": self.http_url,
            "CAPSULE_TOKEN": self.token,
            # The official client prefers config.ini to the variables: hide the user's login.
            "CONFIG_PATH": str(self.config_path),
        }

    @property
    def today(self) -> date:
        """The last day with payments; setting it changes the payments."""
        return self._payments.today

    @today.setter
    def today(self, day: date | str) -> None:
        self._payments.today = day

    def app(
        self, name: str, price_in_cents: int = 0, pricing_type: str = "one_time"
    ) -> Callable[[Answer], Answer]:
        """Return a decorator that adds an app to the workspace.

        The decorated function takes the `Session` and the text of the message. It yields text and
        blocks (dicts with ``type`` and ``payload``), which are streamed as they are yielded; a text
        or a block that it returns is sent last. ``session.history`` has the earlier turns, and
        ``session.data`` is a dict that is kept between turns. If the function raises an error, the
        client's error includes the line. The function runs in this process, in a thread; other
        processes that use the same folder do not have the app.

        Parameters
        ----------
        name : str
            Lower-case letters, digits and dashes. An existing app of this name is replaced, and its
            conversations continue with the new function.
        price_in_cents : int
            The price in US cents; 0 for a free app.
        pricing_type : str
            ``"one_time"`` or ``"monthly"``.

        Returns
        -------
        callable
            The decorator; it returns the function unchanged.

        Raises
        ------
        ValueError
            The name, the price or the pricing type is invalid.
        TypeError
            *name* is not given, or the decorated object is not a function ``(session, text)``.
        UserError
            The workspace is stopped.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, start(folder) as workspace:
        ...     @workspace.app("echo")
        ...     def echo(session, text):
        ...         yield f"You said {text!r} in turn {len(session.history) + 1}."
        ...     with workspace.client() as client:
        ...         print(client.chat("echo", "hello").text)
        You said 'hello' in turn 1.
        """
        if callable(name):
            raise TypeError('The decorator needs the app\'s name: write @workspace.app("name").')
        if self not in _running:
            raise UserError(
                "This workspace is stopped. Start one, in a notebook with `workspace = %capsule local`."
            )

        def add(answer: Answer) -> Answer:
            self._apps.add(name, answer, price_in_cents, pricing_type)
            return answer

        return add

    def list_apps(self) -> list[dict[str, Any]]:
        """Return the apps, by name.

        Returns
        -------
        list of dict
            ``id``, ``name`` and ``hostname`` of each app.
        """
        return [{key: app[key] for key in ("id", "name", "hostname")} for app in self._apps.all()]

    def reset(self) -> None:
        """Restore the initial state: the sample apps, no conversations, and the initial `today`.

        Apps that were added are removed; run their definitions again. The token, the addresses and
        connected clients stay valid. Other processes that use the same folder keep
        their apps, but all conversations are deleted.

        Raises
        ------
        UserError
            The folder cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, start(folder) as workspace:
        ...     echo = workspace.app("echo")(lambda session, text: text)
        ...     workspace.reset()
        ...     [app["name"] for app in workspace.list_apps()]
        ['deal-desk', 'diet-coach', 'support-ops']
        """
        try:
            self._database.reset()
        except sqlite3.Error as error:
            raise UserError(
                f"Cannot reset the workspace in {self.folder}: {error}. Try again later."
            ) from None
        self._apps.reset()
        self._payments.today = self._initial_today

    def client(self, **options: Any) -> Client:
        r"""Return a client for this workspace.

        Parameters
        ----------
        \**options : object
            Passed to `cpsl.Client`.

        Returns
        -------
        cpsl_notebook.Client
            A client that reads payments as of the end of `today`.
        """
        from cpsl_notebook.client import connect  # a gateway does not need pandas

        return connect(
            directory=self.list_apps,
            scope=self._scope,
            clock=self._end_of_today,
            token=self.token,
            gateway_url=self.http_url,
            **options,
        )

    @property
    def _scope(self) -> str:
        """What the workspace is called where conversations and the answers of sweeps are kept."""
        scope = f"local:{self._database.workspace_id}"
        if self.keeps_data:
            return scope
        # All ids from the seed are the same, but the answers of one workspace are not another's.
        folder = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()
        return f"{scope}:{folder[:16]}"

    def _end_of_today(self) -> datetime:
        """Return the time at which the sample payments are read, the end of `today`."""
        return datetime.combine(self.today, clock_time(23, 59, 59), UTC)

    def login_link(self, login_id: str) -> str:
        """Return the link to the page that confirms a login request.

        Parameters
        ----------
        login_id : str
            The id of the request.

        Returns
        -------
        str
            A URL that contains the login secret.
        """
        return f"{self.http_url}/login/{login_id}?secret={self._secret}"

    def stop(self) -> None:
        """Stop both servers and keep the data. Does nothing if it is already stopped."""
        if self not in _running:
            return
        _running.remove(self)
        atexit.unregister(self.stop)
        stopped = self._grpc.stop(grace=0.5)
        self._server.should_exit = True
        self._thread.join(_TIMEOUT)
        stopped.wait(_TIMEOUT)
        self._database.close()
        self._files.remove_config(self.config_path)
        self._remove_scratch()

    @property
    def keeps_data(self) -> bool:
        """Whether its data stays in the folder after it stops.

        It does not if outputs were reproducible when the workspace started.
        """
        return self._scratch is None

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _bind(self, port: int) -> tuple[Any, socket.socket, int]:
        """Bind gRPC to a port and HTTP to the next one; return both servers and the gRPC port."""
        if port and str(port).endswith("443"):
            raise UserError(f"Port {port} ends in 443, where clients expect TLS. Use another port.")
        if not 0 <= port < 65535:
            raise UserError(f"Invalid port {port}: use 1 to 65534, or 0 for a free pair.")
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
                pass  # the gRPC port is in use
            web.close()
        if port:
            raise UserError(
                f"Port {port} (gRPC) or {port + 1} (HTTP) is in use. Use another port, or 0 for a "
                "free pair."
            )
        raise UserError("No free pair of ports was found. Choose a port with port=.")

    def _grpc_server(self, port: int) -> Any:
        with _listening(port):
            pass  # tried first, because gRPC writes to stderr if the port is in use
        url = f"http://{_HOST}:{port + 1}/login/"
        server = rpc.make_server(
            self._database, self._apps, self._logins, self.token, lambda login: url + login
        )
        server.add_insecure_port(f"{_HOST}:{port}")
        return server

    def _serve(self, port: int, pace: float) -> tuple[uvicorn.Server, threading.Thread]:
        app = make_app(
            self._database, self._apps, self._payments, self._logins, self.token, port, pace
        )
        config = uvicorn.Config(
            app,
            http="h11",  # the same server wherever httptools is installed
            lifespan="off",
            log_config=None,
            access_log=False,  # it would print prompts, which are in the URL
            log_level="critical",  # a reply that stop() interrupts is not an error
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[self._socket])),
            name="capsule-local-http",
            daemon=True,
        )
        thread.start()
        deadline = time.monotonic() + _TIMEOUT
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise UserError(
                    f"The local workspace did not start within {_TIMEOUT:.0f} s. Try again."
                )
            time.sleep(0.002)
        return server, thread


def _listening(port: int) -> socket.socket:
    """Return a socket that listens on a loopback port; 0 picks a free one."""
    # With the protocol named, asyncio sets TCP_NODELAY; without it, each answer is 40 ms late.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # On Windows, SO_REUSEADDR would let another process take over the port.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        option = socket.SO_REUSEADDR if exclusive is None else exclusive
        listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind((_HOST, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


watch_forks(serving=lambda: bool(_running), in_child=_release_in_child)
