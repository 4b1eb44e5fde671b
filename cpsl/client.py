"""The client: talk to apps deployed on Capsule."""

from __future__ import annotations

import difflib
import os
from types import TracebackType
from typing import Any, Self

from cpsl import directory
from cpsl.config import load
from cpsl.errors import AppNotFoundError, InvalidRequestError, ProtocolError
from cpsl.models import ChatResponse
from cpsl.sse import DEFAULT_LIMIT
from cpsl.stream import Stream
from cpsl.transport import Timeout, Transport, quoted

__all__ = ["Client"]

_LARGEST_ANSWER = 1 << 30  # bytes
_LARGEST_REPLY = 1 << 26  # bytes
_LONGEST_URL = 8192  # bytes; what servers commonly take


class Client:
    """A client of one Capsule workspace.

    Parameters
    ----------
    token
        The workspace token; by default ``CAPSULE_TOKEN``, else what ``capsule login`` stored.
    gateway_url
        The gateway's HTTP base URL; by default that of the token's source.
    timeout
        Seconds of silence to bear, 120 by default, or ``(connect, silence)``; connecting has 5.
    max_retries
        How often a request is sent again where that cannot make anything happen twice.
    allow_insecure
        Send the token in the clear to another machine than this one; by default what
        ``CAPSULE_ALLOW_INSECURE=1`` says.

    Raises
    ------
    CredentialsError
        There is no token, or it belongs to another gateway.

    Notes
    -----
    Implements the documentation page "Client" of Capsule. Safe to share between threads. An app is
    given by name or id; a name is looked up once.

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
        timeout: float | tuple[float, float] | None = None,
        max_retries: int = 2,
        allow_insecure: bool | None = None,
    ) -> None:
        if allow_insecure is None:
            allow_insecure = os.environ.get("CAPSULE_ALLOW_INSECURE") == "1"
        self._settings = load(token, gateway_url)
        self._allow_insecure = allow_insecure
        self._transport = Transport(
            self._settings, Timeout.of(timeout, Timeout()), max_retries, allow_insecure
        )
        self._ids: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Client(gateway_url={self._settings.http_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def gateway_url(self) -> str:
        """The HTTP base URL of the gateway."""
        return self._settings.http_url

    def close(self) -> None:
        """Close the pooled connections; the client opens new ones if it is used again."""
        self._transport.close()

    def list_apps(self) -> list[dict[str, Any]]:
        """List the apps of the workspace.

        Returns
        -------
        list of dict
            ``id``, ``name`` and ``hostname`` of each app.
        """
        apps = directory.list_apps(
            self._settings,
            self._transport.timeout,
            self._transport.max_retries,
            self._allow_insecure,
        )
        self._ids = {app["name"]: app["id"] for app in apps}
        return apps

    def get_app(self, name_or_id: str) -> dict[str, Any]:
        """Return the metadata of one app, as the service gives them.

        Among them ``id``, ``name``, ``price_in_cents`` and ``pricing_type``.
        """
        answer = _an_object(self._get(name_or_id, ""), "app")
        app = answer.get("app")
        return app if isinstance(app, dict) else answer

    def create_checkout(self, app: str, return_url: str = "") -> str:
        """Create a checkout and return its URL.

        Parameters
        ----------
        app
            Name or id of a paid app.
        return_url
            Where the payer is sent afterwards.

        Raises
        ------
        InvalidRequestError
            The app is free.
        """
        if not self.get_app(app).get("price_in_cents"):
            raise InvalidRequestError(
                f"App is free; checkout is only available for paid apps, and {app!r} has no price."
            )
        body = {"return_url": return_url} if return_url else {}
        answer = self._post(f"/api/v1/checkout/{self._id(app)}", body)
        return str(_required(answer, "checkout_url", "checkout"))

    def list_payments(self, app: str) -> list[dict[str, Any]]:
        """Return the payments of an app, as the service gives them."""
        payments: list[dict[str, Any]] = self._get(app, "/payments")
        return payments

    def get_earnings(self, app: str) -> dict[str, Any]:
        """Return the earnings summary of an app, as the service gives it."""
        return _an_object(self._get(app, "/earnings"), "earnings")

    def chat(
        self,
        app: str,
        text: str,
        session_id: str | None = None,
        *,
        timeout: float | tuple[float, float] | None = None,
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
        """
        body = {"text": text}
        if session_id:
            body["session_id"] = session_id
        answer, header_id = self._transport.json(
            "POST",
            f"/api/v1/app/{self._id(app)}/chat",
            body=body,
            repeatable=False,
            limit=_LARGEST_REPLY,
            timeout=Timeout.of(timeout, self._transport.timeout),
        )
        replies = _required(answer, "replies", "chat")
        texts = [
            r["text"] for r in replies if isinstance(r, dict) and isinstance(r.get("text"), str)
        ]
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
        timeout: float | tuple[float, float] | None = None,
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
        """
        path = f"/api/v1/app/{self._id(app)}/stream?text={quoted(text)}"
        if session_id:
            path += f"&session_id={quoted(session_id)}"
        size = len(self._settings.http_url + path)
        if size > _LONGEST_URL:
            raise InvalidRequestError(
                f"The message makes a URL of {size:,} bytes, and a stream takes {_LONGEST_URL:,}: "
                "send it with chat()."
            )
        waits = Timeout.of(timeout, self._transport.timeout)
        return Stream(
            lambda abort: self._transport.open_stream(path, abort, waits), limit=DEFAULT_LIMIT
        )

    def _id(self, app: str) -> str:
        """Return an app's id; a name is looked up in the directory, once."""
        if len(app) == 36 and app.count("-") == 4:
            return app
        if app not in self._ids:
            self.list_apps()
        if app not in self._ids:
            names = sorted(self._ids)
            near = tuple(difflib.get_close_matches(app, names, cutoff=0.5))
            known = f"did you mean {' or '.join(near)}?" if near else _listing(names)
            raise AppNotFoundError(f"No app {app!r} in this workspace: {known}", matches=near)
        return self._ids[app]

    def _get(self, app: str, rest: str) -> Any:
        return self._transport.json(
            "GET", f"/api/v1/apps/{self._id(app)}{rest}", repeatable=True, limit=_LARGEST_ANSWER
        )[0]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._transport.json(
            "POST", path, body=body, repeatable=False, limit=_LARGEST_ANSWER
        )[0]


def _listing(names: list[str]) -> str:
    return f"it has {', '.join(names[:10])}." if names else "it has none; deploy one first."


def _an_object(answer: Any, what: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ProtocolError(f"The {what} answer is no JSON object: check gateway_url.")
    return answer


def _required(answer: Any, key: str, what: str) -> Any:
    if key not in _an_object(answer, what):
        raise ProtocolError(f"The {what} answer has no {key!r}: check gateway_url.")
    return answer[key]
