"""The client for apps deployed on Capsule."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

import requests

from cpsl.call import Call
from cpsl.config import Token, insecure_allowed, load, require_token_type
from cpsl.errors import (
    AppNotFoundError,
    CredentialsError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
)
from cpsl.models import ChatResponse
from cpsl.options import Options
from cpsl.responses import require_field, require_json
from cpsl.sanitize import brief
from cpsl.stream import Stream
from cpsl.suggestions import close_names
from cpsl.timeouts import Seconds, Timeout, check_seconds
from cpsl.transport import Progress, Transport, percent_encode

__all__ = ["Client"]

T = TypeVar("T")

_MAX_NAMED = 10  # names or ids in an error message


class Client:
    """A client of one Capsule workspace.

    A client is safe to share between threads. It may also be used after a fork, with one exception:
    a child process may call `list_apps`, or use an app's name for the first time, only if no other
    thread of the parent was doing so during the fork (a limitation of gRPC).

    Parameters
    ----------
    token : str or callable, optional
        The workspace token, or a function without arguments that returns it; by default
        ``CAPSULE_TOKEN``, else the token that ``cpsl login`` or ``capsule login`` stored. If the
        gateway refuses the token, the client calls the function again, or reads the variable or
        file again, and repeats the request if the token has changed.
    gateway_url : str, optional
        The gateway's HTTP base URL; by default from the same source as the token.
    grpc_target : str, optional
        ``host:port`` of the gRPC gateway; by default derived from `gateway_url`.
    timeout : float or tuple of float, optional
        The read timeout or ``(connect, read)``, in seconds; by default ``(5, 120)``. The read
        timeout limits the wait for the next byte, not the whole call. Every method accepts a
        timeout for a single call. Time limits are above 0 and at most 1,000,000 seconds.
    max_retries : int
        The maximum number of retries of a request. A message or a checkout is retried only if the
        service cannot have acted on it.
    max_answer_bytes : int
        The largest response of a method other than `chat` and `stream`, in bytes.
    max_reply_bytes : int
        The largest reply of an app, in bytes for `chat` and in characters for `stream`.
    max_event_bytes : int
        The largest event of a stream, in characters.
    max_url_bytes : int
        The longest URL that `stream` may use to send a message, in bytes.
    allow_insecure : bool, optional
        Whether the token may be sent unencrypted to another machine. By default, it may if
        ``CAPSULE_ALLOW_INSECURE`` is ``1``.
    pickle_token : bool
        Whether a pickled client contains the token, and the function for the token if that can be
        pickled. Without it, an unpickled client reads the credentials of its own process, which must
        belong to the same gateway.
    user_agent : str
        The name of your program, such as ``my-service/1.2``. It precedes the name of this client in
        the ``User-Agent`` header.

    Raises
    ------
    CredentialsError
        There is no token, or it belongs to another gateway.
    InvalidRequestError
        An address or an option is invalid; it is also a ``ValueError``.

    See Also
    --------
    CapsuleError : The base class of the errors that every method raises.

    Notes
    -----
    The client implements the page "Client" of Capsule's documentation. Apps are given by name or
    id; the client looks up each name once.

    Examples
    --------
    ::

        with cpsl.Client() as client:
            first = client.chat("support-ops", "How many threads are waiting for review?")
            for chunk in client.stream("support-ops", "Make a plan.", first.session_id):
                print(chunk.text, end="")
    """

    def __init__(
        self,
        token: str | Callable[[], str] | None = None,
        gateway_url: str | None = None,
        *,
        grpc_target: str | None = None,
        timeout: Seconds | None = None,
        max_retries: int = 2,
        max_answer_bytes: int = 1 << 30,
        max_reply_bytes: int = 1 << 26,
        max_event_bytes: int = 1 << 24,
        max_url_bytes: int = 8192,
        allow_insecure: bool | None = None,
        pickle_token: bool = False,
        user_agent: str = "",
    ) -> None:
        self._gateway_url = ""  # repr() must work before the settings are loaded
        for name, address in (("gateway_url", gateway_url), ("grpc_target", grpc_target)):
            if address is not None:
                _require_text(name, address)
        kind = type(token)
        if token is not None and not callable(token):
            token = Token(token)  # a traceback must not show it
            require_token_type(kind)
        self._options = Options(
            timeout=Timeout.parse(timeout, Timeout()),
            max_retries=max_retries,
            max_answer_bytes=max_answer_bytes,
            max_reply_bytes=max_reply_bytes,
            max_event_bytes=max_event_bytes,
            max_url_bytes=max_url_bytes,
            allow_insecure=insecure_allowed(allow_insecure),
            pickle_token=pickle_token,
            user_agent=user_agent,
        )
        read = functools.partial(load, token, gateway_url, grpc_target=grpc_target)
        settings = read()
        self._gateway_url, self._grpc_target = settings.http_url, settings.grpc_target
        self._connected: Transport | None = Transport(
            settings, self._options, None if isinstance(token, str) else read
        )
        self._ids: dict[str, tuple[str, ...]] = {}  # by name

    def __repr__(self) -> str:
        return f"Client(gateway_url={self._gateway_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "options": self._options,
            "gateway_url": self._gateway_url,
            "grpc_target": self._grpc_target,
        }
        if self._options.pickle_token:
            state["settings"] = self._transport.settings
            with contextlib.suppress(Exception):  # pickle raises errors of many classes
                pickle.dumps(self._transport.reload)
                state["reload"] = self._transport.reload
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._options = state["options"]
        self._gateway_url, self._grpc_target = state["gateway_url"], state["grpc_target"]
        self._ids = {}
        # Without a token, the credentials are read at the first use: an error while unpickling
        # would break a whole pool of processes.
        self._connected = None
        if "settings" in state:
            self._connected = Transport(state["settings"], self._options, state.get("reload"))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copy made through pickling would lack the token

    @property
    def gateway_url(self) -> str:
        """The HTTP base URL of the gateway."""
        return self._gateway_url

    @property
    def token_source(self) -> str:
        """Where the token comes from, such as the path of ``config.ini``."""
        return self._transport.settings.source

    def close(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        if self._connected is not None:
            self._connected.close()

    def with_options(
        self, *, max_retries: int | None = None, pickle_token: bool | None = None
    ) -> Self:
        """Return a client with the same token, gateway and other options.

        Parameters
        ----------
        max_retries : int, optional
            The maximum number of retries of a request; by default this client's value.
        pickle_token : bool, optional
            Whether a pickled client contains the token; by default this client's value.

        Returns
        -------
        Client
            A client of the same class.

        Examples
        --------
        ::

            patient = client.with_options(max_retries=10)
        """
        options = self._options
        if max_retries is not None:
            options = dataclasses.replace(options, max_retries=max_retries)
        if pickle_token is not None:
            options = dataclasses.replace(options, pickle_token=pickle_token)
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._options, other._ids = options, {}
        other._connected = self._transport.with_options(options)
        return other

    def list_apps(
        self, *, timeout: Seconds | None = None, max_seconds: float | None = None
    ) -> list[dict[str, Any]]:
        """List the apps of the workspace.

        Parameters
        ----------
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        list of dict
            ``id``, ``name`` and ``hostname`` of each app.

        Raises
        ------
        CapsuleError
            The gateway cannot be reached, or could not list the apps.

        Warns
        -----
        UserWarning
            Two apps have the same name, or an app has no valid id.

        Examples
        --------
        ::

            names = [app["name"] for app in client.list_apps()]
        """
        with self._start(timeout, max_seconds) as call:
            apps = self._list_apps(call)
        doubtful = [
            name
            for name, ids in sorted(self._ids.items())
            if len(ids) > 1 or not _is_path_segment(ids[0])
        ]
        if doubtful:
            shown = ", ".join(repr(brief(name)) for name in doubtful[:_MAX_NAMED])
            warnings.warn(
                f"The gateway lists apps with the same name or without a valid id: {shown}. They "
                "cannot be used by name.",
                stacklevel=2,
            )
        return apps

    def get_app(
        self, name_or_id: str, *, timeout: Seconds | None = None, max_seconds: float | None = None
    ) -> dict[str, Any]:
        """Return the metadata of an app.

        Parameters
        ----------
        name_or_id : str
            Name or id of the app.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        dict
            The metadata as the service sends it, including ``id``, ``name``, ``price_in_cents``
            and ``pricing_type``.

        Raises
        ------
        AppNotFoundError
            The workspace has no such app.
        CapsuleError
            The request failed.

        Examples
        --------
        ::

            cents = client.get_app("support-ops").get("price_in_cents", 0)
        """
        with self._start(timeout, max_seconds) as call:
            return self._get_app(name_or_id, call)

    def create_checkout(
        self,
        app: str,
        return_url: str = "",
        *,
        timeout: Seconds | None = None,
        max_seconds: float | None = None,
    ) -> str:
        """Create a checkout for a paid app.

        Parameters
        ----------
        app : str
            Name or id of a paid app.
        return_url : str
            The URL to which the payer returns afterwards.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of each of the two requests, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        str
            The URL of the checkout.

        Raises
        ------
        InvalidRequestError
            The app is free.
        CapsuleError
            A request failed.

        Examples
        --------
        ::

            print("Pay at", client.create_checkout("support-ops"))
        """
        _require_text("return_url", return_url)
        with self._start(timeout, max_seconds) as call:
            metadata = self._get_app(app, call)
            if not metadata.get("price_in_cents"):
                name = metadata.get("name") or app
                raise InvalidRequestError(
                    f"App {name!r} is free; checkout is only available for paid apps: set a price "
                    "first."
                )
            data, _ = self._transport.json(
                "POST",
                f"/api/v1/checkout/{self._id(app, call)}",
                check=lambda data: require_field(data, "checkout", "checkout_url", str),
                body={"return_url": return_url} if return_url else {},
                limit=self._options.max_answer_bytes,
                call=call,
            )
        url: str = data["checkout_url"]
        return url

    def list_payments(
        self, app: str, *, timeout: Seconds | None = None, max_seconds: float | None = None
    ) -> list[dict[str, Any]]:
        """Return the payments of an app.

        Parameters
        ----------
        app : str
            Name or id of the app.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        list of dict
            The payments as the service sends them.

        Raises
        ------
        AppNotFoundError
            The workspace has no such app.
        CapsuleError
            The request failed.

        See Also
        --------
        read_payments : The same as undecoded JSON, for large ledgers.

        Examples
        --------
        ::

            payments = client.list_payments("support-ops")
        """
        with self._start(timeout, max_seconds) as call:
            payments: list[dict[str, Any]] = self._get_json(
                app, "/payments", call, lambda data: require_json(data, "payments", (dict, list))
            )
        return payments

    def read_payments(
        self,
        app: str,
        *,
        timeout: Seconds | None = None,
        max_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> bytearray:
        """Return the payments of an app as the bytes of the service's JSON.

        Decoding these bytes into columns needs a fraction of the memory that the objects of
        `list_payments` need.

        Parameters
        ----------
        app : str
            Name or id of the app.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.
        progress : callable, optional
            Called as the response arrives with the number of bytes so far and the total, ``None`` if
            it is unknown.

        Returns
        -------
        bytearray
            The JSON, undecoded.

        Raises
        ------
        AppNotFoundError
            The workspace has no such app.
        CapsuleError
            The request failed.

        Examples
        --------
        ::

            table = polars.read_json(bytes(client.read_payments("support-ops")))
        """
        if not (progress is None or callable(progress)):
            raise InvalidRequestError(f"Invalid progress {progress!r}: pass a function.")
        limit = self._options.max_answer_bytes
        with self._start(timeout, max_seconds) as call:
            return self._get(
                app,
                "/payments",
                call,
                lambda path: self._transport.body(path, limit=limit, call=call, progress=progress),
            )

    def get_earnings(
        self, app: str, *, timeout: Seconds | None = None, max_seconds: float | None = None
    ) -> dict[str, Any]:
        """Return the earnings summary of an app.

        Parameters
        ----------
        app : str
            Name or id of the app.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        dict
            The summary as the service sends it.

        Raises
        ------
        AppNotFoundError
            The workspace has no such app.
        CapsuleError
            The request failed.

        Examples
        --------
        ::

            earnings = client.get_earnings("support-ops")
        """
        with self._start(timeout, max_seconds) as call:
            earnings: dict[str, Any] = self._get_json(
                app, "/earnings", call, lambda data: require_json(data, "earnings")
            )
        return earnings

    def chat(
        self,
        app: str,
        text: str,
        session_id: str | None = None,
        *,
        timeout: Seconds | None = None,
        max_seconds: float | None = None,
    ) -> ChatResponse:
        """Send a message and wait for the whole reply.

        Parameters
        ----------
        app : str
            Name or id of the app.
        text : str
            The message; it may be empty.
        session_id : str, optional
            The session to continue; by default a new one is started.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        ChatResponse
            The reply and its ids.

        Raises
        ------
        CapsuleError
            The message could not be sent, or the reply is not complete.

        Examples
        --------
        ::

            first = client.chat("support-ops", "How many threads are waiting for review?")
            second = client.chat("support-ops", "Make a plan.", session_id=first.session_id)
        """
        body = _message(text, session_id)
        with self._start(timeout, max_seconds) as call, self._located(app, call) as app_id:
            data, header_id = self._transport.json(
                "POST",
                f"/api/v1/app/{app_id}/chat",
                check=lambda data: require_field(data, "chat", "replies", list),
                body=body,
                limit=self._options.max_reply_bytes,
                call=call,
            )
        replies = [reply for reply in data["replies"] if isinstance(reply, dict)]
        texts = [reply["text"] for reply in replies if isinstance(reply.get("text"), str)]
        return ChatResponse(
            text="\n\n".join(filter(None, texts)),
            session_id=str(data.get("session_id") or ""),
            request_id=str(data.get("request_id") or header_id),
            raw=data,
        )

    def stream(
        self,
        app: str,
        text: str,
        session_id: str | None = None,
        *,
        timeout: Seconds | None = None,
        max_seconds: float | None = None,
    ) -> Stream:
        """Send a message and iterate over the reply as it arrives.

        Parameters
        ----------
        app : str
            Name or id of the app.
        text : str
            The message; it may be empty.
        session_id : str, optional
            The session to continue; by default a new one is started.
        timeout : float or tuple of float, optional
            The read timeout or ``(connect, read)`` of this call, in seconds. The read timeout
            limits the wait for each chunk.
        max_seconds : float, optional
            Time limit of the whole call, in seconds; by default there is none.

        Returns
        -------
        Stream
            An iterator of `StreamChunk`; close it or read it to its end.

        Raises
        ------
        InvalidRequestError
            The message is too long for the URL in which a stream sends it.
        CapsuleError
            The app was not found.

        Examples
        --------
        ::

            with client.stream("support-ops", "Summarize the riskiest threads.") as stream:
                for chunk in stream:
                    print(chunk.text, end="", flush=True)
        """
        fields = _message(text, session_id).items()
        query = "&".join(f"{name}={percent_encode(value)}" for name, value in fields)
        call = self._start(timeout, max_seconds)
        try:
            path = f"/api/v1/app/{self._id(app, call)}/stream?{query}"
            size, limit = len(self._gateway_url + path), self._options.max_url_bytes
            if size > limit:
                raise InvalidRequestError(
                    f"The message needs a URL of {size:,} bytes, but the limit for a stream is "
                    f"{limit:,}: use chat() instead."
                )
        except BaseException:
            call.finish()
            raise
        transport = self._transport

        def open_response() -> requests.Response:
            with self._located(app, call):
                return transport.open_stream(path, call)

        return Stream(open_response, transport, call)

    @property
    def _transport(self) -> Transport:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> Transport:
        """Return the transport of a client that was unpickled without its token."""
        read = functools.partial(load, None, self._gateway_url, grpc_target=self._grpc_target)
        try:
            return Transport(read(), self._options, read)
        except CredentialsError as caught:
            problem = str(caught)
        reason = "" if problem.startswith("No credentials") else f" {problem}"
        raise CredentialsError(
            f"This client was pickled without its token, and this process has none for "
            f"{self._gateway_url}: set CAPSULE_TOKEN and CAPSULE_HTTP_URL here, or pickle a "
            f"Client(pickle_token=True).{reason}"
        )

    def _start(self, timeout: Seconds | None, max_seconds: float | None) -> Call:
        """Return a call with the time limits of a method's arguments."""
        if max_seconds is not None:
            check_seconds("max_seconds", max_seconds)
        return Call(Timeout.parse(timeout, self._options.timeout), max_seconds)

    def _id(self, app: str, call: Call) -> str:
        """Return an app's id, percent-encoded for a path; a name is looked up once."""
        _require_text("app", app)
        if not _is_path_segment(app.strip()):
            raise InvalidRequestError(f"Invalid app {brief(app)!r}: use the name or id of an app.")
        if len(app) == 36 and app.count("-") == 4:
            return percent_encode(app)
        if app not in self._ids:
            self._list_apps(call)
        ids = self._ids.get(app, ())
        if len(ids) > 1:
            raise InvalidRequestError(
                f"{len(ids)} apps are named {brief(app)!r}: use an id instead, one of "
                f"{', '.join(map(brief, ids[:_MAX_NAMED]))}."
            )
        if not ids:
            names = sorted(map(brief, self._ids))
            matches = tuple(close_names(brief(app), names))
            quoted = " or ".join(map(repr, matches))
            hint = f"did you mean {quoted}?" if matches else _available(names)
            message = f"No app {brief(app)!r} in this workspace: {hint}"
            raise AppNotFoundError(message, matches=matches)
        if not _is_path_segment(ids[0]):
            raise ProtocolError(
                f"The gateway lists {brief(app)!r} with the invalid id {brief(ids[0])!r}: check "
                "the gateway's address."
            )
        return percent_encode(ids[0])

    @contextlib.contextmanager
    def _located(self, app: str, call: Call) -> Iterator[str]:
        """Yield an app's id; forget it after a 404, because a new deployment has a new id."""
        try:
            yield self._id(app, call)
        except NotFoundError:
            self._ids.pop(app, None)
            raise

    def _list_apps(self, call: Call) -> list[dict[str, Any]]:
        # Importing gRPC takes as long as importing everything else, and few programs need it.
        from cpsl import grpc_client

        transport = self._transport
        apps = transport.with_renewed_token(
            lambda: grpc_client.list_apps(transport.settings, self._options, call)
        )
        ids: dict[str, list[str]] = {}
        for app in apps:
            ids.setdefault(app["name"], []).append(app["id"])
        self._ids = {name: tuple(dict.fromkeys(found)) for name, found in ids.items()}
        return apps

    def _get_app(self, app: str, call: Call) -> dict[str, Any]:
        data: dict[str, Any] = self._get_json(app, "", call, lambda data: require_json(data, "app"))
        found = data.get("app")
        return found if isinstance(found, dict) else data

    def _get_json(self, app: str, suffix: str, call: Call, check: Callable[[Any], object]) -> Any:
        limit = self._options.max_answer_bytes
        data, _ = self._get(
            app,
            suffix,
            call,
            lambda path: self._transport.json("GET", path, check=check, limit=limit, call=call),
        )
        return data

    def _get(self, app: str, suffix: str, call: Call, fetch: Callable[[str], T]) -> T:
        """Fetch a resource of an app; a 404 means that there is no such app."""
        try:
            with self._located(app, call) as app_id:
                return fetch(f"/api/v1/apps/{app_id}{suffix}")
        except AppNotFoundError:
            raise
        except NotFoundError as caught:
            request_id, detail = caught.request_id, caught.detail
        raise AppNotFoundError(
            f"No app {brief(app)!r} in this workspace: list its apps to see their names and ids.",
            request_id=request_id,
            detail=detail,
        )


def _available(names: list[str]) -> str:
    if not names:
        return "it has no apps; deploy one first."
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return f"it has {', '.join(map(repr, names[:_MAX_NAMED]))}{more}."


def _is_path_segment(app_id: str) -> bool:
    """Return whether an id can be a segment of a path: ``..`` would lead to another path."""
    return app_id not in ("", ".", "..")


def _message(text: str, session_id: str | None) -> dict[str, str]:
    """Return the fields of a message; both `chat` and `stream` send them."""
    _require_text("text", text)
    if session_id is not None:
        _require_text("session_id", session_id)
    return {"text": text} | ({"session_id": session_id} if session_id else {})


def _require_text(name: str, value: object) -> None:
    """Raise `InvalidRequestError` unless an argument is a str that can be sent."""
    if not isinstance(value, str):
        raise InvalidRequestError(
            f"Invalid {name}: it must be a str, not {type(value).__name__}. Pass a str."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        surrogate = error.object[error.start]
    else:
        return
    raise InvalidRequestError(
        f"Invalid {name}: it contains a lone surrogate ({surrogate!a}), which cannot be sent. "
        "Remove it."
    )
