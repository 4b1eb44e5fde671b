"""The client: talk to apps deployed on Capsule."""

from __future__ import annotations

import contextlib
import difflib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

import requests

from cpsl.cancellation import Abort
from cpsl.config import Token, insecure_allowed, load
from cpsl.errors import (
    AppNotFoundError,
    CredentialsError,
    InvalidRequestError,
    NotFoundError,
)
from cpsl.models import ChatResponse
from cpsl.network import Seconds, Timeout
from cpsl.options import Options
from cpsl.responses import required, whole
from cpsl.stream import Stream
from cpsl.transport import Progress, Transport, quoted

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """A client of one Capsule workspace.

    Parameters
    ----------
    token
        The workspace token; by default ``CAPSULE_TOKEN``, else what ``capsule login`` stored.
    gateway_url
        The gateway's HTTP base URL; by default that of the token's source.
    grpc_target
        ``host:port`` of the gateway's gRPC side; by default what belongs to ``gateway_url``.
    timeout
        Seconds of silence to bear, 120 by default, or ``(connect, silence)``; connecting has 5.
        Every method takes one for its own call.
    max_retries
        How often a request is sent again where that cannot make anything happen twice.
    max_answer_bytes, max_reply_bytes, max_event_bytes
        The largest answer (of `list_payments`, say), reply of an app, and event of a stream.
    max_url_bytes
        The longest URL that `stream` sends a message in.
    allow_insecure
        Send the token in the clear to another machine than this one; by default what
        ``CAPSULE_ALLOW_INSECURE=1`` says.
    pickle_token
        Let a pickled copy carry the token. Without it a copy has none: it reads the credentials of
        the process that it wakes up in, which must be for the same gateway.

    Raises
    ------
    CredentialsError
        There is no token, or it belongs to another gateway.
    InvalidRequestError
        An address is none.

    Notes
    -----
    Implements the documentation page "Client" of Capsule. Safe to share between threads. Safe to
    share over a fork too, but for gRPC: in a child, call `list_apps`, or look a name up, only where
    no other thread of the parent was in such a call at the fork. An app is given by name or id; a
    name is looked up once. Every method raises a `CapsuleError`, which describes all of them.

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
        token: str | None = None,
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
    ) -> None:
        self._gateway_url = gateway_url or ""  # for a repr while nothing else is there
        is_text = token is None or isinstance(token, str)
        token = None if token is None else Token(token)  # so that no traceback of ours shows it
        if not is_text:
            raise CredentialsError("The token is no str: decode it first, as in token.decode().")
        self._options = Options(
            timeout=Timeout.of(timeout, Timeout()),
            max_retries=max_retries,
            max_answer_bytes=max_answer_bytes,
            max_reply_bytes=max_reply_bytes,
            max_event_bytes=max_event_bytes,
            max_url_bytes=max_url_bytes,
            allow_insecure=insecure_allowed(allow_insecure),
            pickle_token=pickle_token,
        )
        settings = load(token, gateway_url, grpc_target=grpc_target)
        self._gateway_url, self._grpc_target = settings.http_url, settings.grpc_target
        self._connected: Transport | None = self._options.transport(settings)
        self._ids: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Client(gateway_url={self._gateway_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "options": self._options,
            "token": self._transport.settings.token if self._options.pickle_token else None,
            "gateway_url": self._gateway_url,
            "grpc_target": self._grpc_target,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._options = state["options"]
        self._gateway_url, self._grpc_target = state["gateway_url"], state["grpc_target"]
        self._ids = {}
        # Without a token the credentials are read at the first use: an error while unpickling
        # would take a whole pool of processes down.
        self._connected = self._connect(state["token"]) if state["token"] else None

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # as a copy within the process would come without its token

    @property
    def gateway_url(self) -> str:
        """The HTTP base URL of the gateway."""
        return self._gateway_url

    def close(self) -> None:
        """Close the pooled connections; the client opens new ones if it is used again."""
        if self._connected is not None:
            self._connected.close()

    def list_apps(self, *, timeout: Seconds | None = None) -> list[dict[str, Any]]:
        """List the apps of the workspace.

        Parameters
        ----------
        timeout
            For this call, as for the client.

        Returns
        -------
        list of dict
            ``id``, ``name`` and ``hostname`` of each app.

        Examples
        --------
        ::

            names = [app["name"] for app in client.list_apps()]
        """
        from cpsl import (
            grpc_client as directory,  # gRPC takes as long to import as all else, and few need it
        )

        transport = self._transport
        apps = directory.list_apps(
            transport.settings,
            Timeout.of(timeout, transport.timeout),
            transport.max_retries,
            transport.allow_insecure,
            self._options.max_answer_bytes,
        )
        self._ids = {app["name"]: app["id"] for app in apps}
        return apps

    def get_app(self, name_or_id: str, *, timeout: Seconds | None = None) -> dict[str, Any]:
        """Return the metadata of one app, as the service gives them.

        Among them ``id``, ``name``, ``price_in_cents`` and ``pricing_type``.

        Parameters
        ----------
        name_or_id
            Name or id of the app.
        timeout
            For this call, as for the client.

        Raises
        ------
        AppNotFoundError
            The workspace has no such app.

        Examples
        --------
        ::

            cents = client.get_app("support-ops").get("price_in_cents", 0)
        """
        answer: dict[str, Any] = self._get(
            name_or_id, "", timeout, functools.partial(whole, what="app")
        )
        app = answer.get("app")
        return app if isinstance(app, dict) else answer

    def create_checkout(
        self,
        app: str,
        return_url: str = "",
        *,
        timeout: Seconds | None = None,
    ) -> str:
        """Create a checkout and return its URL.

        Parameters
        ----------
        app
            Name or id of a paid app.
        return_url
            Where the payer is sent afterwards.
        timeout
            For each of the two requests of this call, as for the client.

        Raises
        ------
        InvalidRequestError
            The app is free.

        Examples
        --------
        ::

            print("Pay at", client.create_checkout("support-ops"))
        """
        if not self.get_app(app, timeout=timeout).get("price_in_cents"):
            raise InvalidRequestError(
                "App is free; checkout is only available for paid apps: give it a price first."
            )
        answer, _ = self._transport.json(
            "POST",
            f"/api/v1/checkout/{self._id(app)}",
            check=functools.partial(required, key="checkout_url", kind=str, what="checkout"),
            body={"return_url": return_url} if return_url else {},
            repeatable=False,
            limit=self._options.max_answer_bytes,
            timeout=Timeout.of(timeout, self._transport.timeout),
        )
        url: str = answer["checkout_url"]
        return url

    def list_payments(self, app: str, *, timeout: Seconds | None = None) -> list[dict[str, Any]]:
        """Return the payments of an app, as the service gives them.

        Parameters
        ----------
        app
            Name or id of the app.
        timeout
            For this call, as for the client.

        Examples
        --------
        ::

            payments = client.list_payments("support-ops")
        """
        payments: list[dict[str, Any]] = self._get(
            app, "/payments", timeout, functools.partial(whole, what="payments", kind=(dict, list))
        )
        return payments

    def read_payments(
        self,
        app: str,
        *,
        timeout: Seconds | None = None,
        progress: Progress | None = None,
    ) -> bytearray:
        """Return the payments of an app as the bytes of the service's JSON.

        For long ledgers: a decoder that makes columns of them needs a fraction of the memory that
        the objects of `list_payments` take. An answer that is an error is raised as one.

        Parameters
        ----------
        app
            Name or id of the app.
        timeout
            For this call, as for the client.
        progress
            Called as the answer arrives, with the bytes so far and, where the service says it,
            how many there will be, else ``None``.

        Examples
        --------
        ::

            table = polars.read_json(bytes(client.read_payments("support-ops")))
        """
        read = functools.partial(self._transport.body, progress=progress)
        return self._got(app, "/payments", timeout, read)

    def get_earnings(self, app: str, *, timeout: Seconds | None = None) -> dict[str, Any]:
        """Return the earnings summary of an app, as the service gives it.

        Parameters
        ----------
        app
            Name or id of the app.
        timeout
            For this call, as for the client.

        Examples
        --------
        ::

            earnings = client.get_earnings("support-ops")
        """
        earnings: dict[str, Any] = self._get(
            app, "/earnings", timeout, functools.partial(whole, what="earnings")
        )
        return earnings

    def chat(
        self,
        app: str,
        text: str,
        session_id: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> ChatResponse:
        """Send a message and wait for the whole reply.

        Parameters
        ----------
        app
            Name or id of the app.
        text
            The message.
        session_id
            The conversation to continue; by default a new one is started.
        timeout
            For this call, as for the client.

        Examples
        --------
        ::

            first = client.chat("support-ops", "How many threads are waiting for review?")
            second = client.chat("support-ops", "Make a plan.", session_id=first.session_id)
        """
        body = {"text": text}
        if session_id:
            body["session_id"] = session_id
        with self._located(app) as app_id:
            answer, header_id = self._transport.json(
                "POST",
                f"/api/v1/app/{app_id}/chat",
                check=functools.partial(required, key="replies", kind=list, what="chat"),
                body=body,
                repeatable=False,
                limit=self._options.max_reply_bytes,
                timeout=Timeout.of(timeout, self._transport.timeout),
            )
        replies = [reply for reply in answer["replies"] if isinstance(reply, dict)]
        texts = [reply["text"] for reply in replies if isinstance(reply.get("text"), str)]
        return ChatResponse(
            text="\n\n".join(filter(None, texts)),
            session_id=str(answer.get("session_id") or ""),
            request_id=str(answer.get("request_id") or header_id),
            raw=answer,
        )

    def stream(
        self,
        app: str,
        text: str,
        session_id: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> Stream:
        """Send a message and iterate over the reply as it arrives.

        Parameters
        ----------
        app, text, session_id
            As for `chat`.
        timeout
            For this call; the seconds are the longest silence between two chunks.

        Returns
        -------
        Stream
            An iterator of `StreamChunk`, to be closed or read to its end.

        Raises
        ------
        InvalidRequestError
            The message is too long for the URL that a stream sends it in.

        Examples
        --------
        ::

            with client.stream("support-ops", "Summarize the riskiest threads.") as stream:
                for chunk in stream:
                    print(chunk.text, end="", flush=True)
        """
        path = f"/api/v1/app/{self._id(app)}/stream?text={quoted(text)}"
        if session_id:
            path += f"&session_id={quoted(session_id)}"
        size, limit = len(self._gateway_url + path), self._options.max_url_bytes
        if size > limit:
            raise InvalidRequestError(
                f"The message makes a URL of {size:,} bytes, and a stream takes {limit:,}: "
                "send it with chat()."
            )
        transport = self._transport
        waits = Timeout.of(timeout, transport.timeout)

        def open_response(abort: Abort) -> requests.Response:
            with self._located(app):
                return transport.open_stream(path, abort, waits)

        return Stream(open_response, transport.settings, self._options, waits.read)

    @property
    def _transport(self) -> Transport:
        if self._connected is None:
            self._connected = self._connect(None)
        return self._connected

    def _connect(self, token: str | None) -> Transport:
        """Connect a copy that woke up in another process."""
        settings = load(token, self._gateway_url, grpc_target=self._grpc_target)
        return self._options.transport(settings)

    def _id(self, app: str) -> str:
        """Return an app's id, as it stands in a path; a name is looked up, once."""
        if len(app) == 36 and app.count("-") == 4:
            return quoted(app)
        if app not in self._ids:
            self.list_apps()
        if app not in self._ids:
            names = sorted(self._ids)
            near = tuple(difflib.get_close_matches(app, names, cutoff=0.5))
            known = f"did you mean {' or '.join(near)}?" if near else _listing(names)
            raise AppNotFoundError(f"No app {app!r} in this workspace: {known}", matches=near)
        return quoted(self._ids[app])

    @contextlib.contextmanager
    def _located(self, app: str) -> Iterator[str]:
        """Give an app's id; forget it where nothing is found, as a new deployment has a new one."""
        try:
            yield self._id(app)
        except NotFoundError:
            self._ids.pop(app, None)
            raise

    def _get(
        self, app: str, rest: str, timeout: Seconds | None, check: Callable[[Any], object]
    ) -> Any:
        read = functools.partial(self._transport.json, check=check)
        return self._got(app, rest, timeout, read)[0]

    def _got(self, app: str, rest: str, timeout: Seconds | None, read: Callable[..., T]) -> T:
        try:
            with self._located(app) as app_id:
                return read(
                    "GET",
                    f"/api/v1/apps/{app_id}{rest}",
                    repeatable=True,
                    limit=self._options.max_answer_bytes,
                    timeout=Timeout.of(timeout, self._transport.timeout),
                )
        except AppNotFoundError:
            raise
        except NotFoundError as caught:
            missing = caught
        raise AppNotFoundError(
            f"No app {app!r} in this workspace: list_apps() names those that it has.",
            request_id=missing.request_id,
            detail=missing.detail,
        )


def _listing(names: list[str]) -> str:
    return f"it has {', '.join(names[:10])}." if names else "it has none; deploy one first."
