"""HTTP to the gateway: pooled sessions, the token, timeouts, retries and errors."""

from __future__ import annotations

import json
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import quote

import requests
from requests.auth import AuthBase
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from cpsl.call import Call
from cpsl.config import Settings, ca_bundle, is_loopback
from cpsl.connections import CancellableAdapter, finish
from cpsl.errors import (
    AuthenticationError,
    CapsuleError,
    CredentialsError,
    ProtocolError,
    TooLargeError,
)
from cpsl.network_errors import call_timed_out, connection_broken, map_exception
from cpsl.options import Options
from cpsl.responses import (
    MAX_ERROR_BYTES,
    add_ids,
    content_type,
    failure_from_response,
    has_known_end,
    no_content,
    reported_error,
    request_id,
)
from cpsl.retry import Failure, with_retries
from cpsl.sanitize import brief
from cpsl.tracebacks import without_frames

__all__ = ["Progress", "Transport", "percent_encode"]

_log = logging.getLogger("cpsl")

T = TypeVar("T")
Progress = Callable[[int, int | None], object]

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}
_STREAM_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Ignore redirects: requests would prepare the next request even if it is not sent."""


class _BearerAuth(AuthBase):
    """Adds the token; a netrc entry would replace a plain header, but not an auth object."""

    def __init__(self, settings: Settings, allow_insecure: bool) -> None:
        self._settings = settings
        self._allow_insecure = allow_insecure
        self._host = parse_url(settings.http_url).host

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self.check(request.url or "")
        # A plain str, which tools that record requests can write to a file.
        request.headers["Authorization"] = f"Bearer {self._settings.token}"
        return request

    def check(self, url: str) -> None:
        """Refuse to send the token to another host, or unencrypted to another machine."""
        parts = parse_url(url)
        if parts.host != self._host:
            raise CredentialsError(
                f"The token belongs to {self._host} and is not sent to {parts.host}: check "
                "the gateway's address."
            )
        if parts.scheme != "https" and not is_loopback(parts.host) and not self._allow_insecure:
            raise CredentialsError(
                f"{self._settings.http_url} would receive the token unencrypted: use https://, or "
                "set CAPSULE_ALLOW_INSECURE=1 if you trust that network."
            )


class Transport:
    """Requests to one gateway with one token; safe to share between threads and across a fork.

    Parameters
    ----------
    settings : Settings
        The token and the gateway.
    options : Options
        The options of the client.
    reload : callable, optional
        Reads the settings again; ``None`` if their source cannot change.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        reload: Callable[[], Settings] | None = None,
    ) -> None:
        self.settings: Settings = settings
        self.options = options
        self.reload = reload
        self._auth = _BearerAuth(settings, options.allow_insecure)
        self._auth.check(settings.http_url)
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()

    def json(
        self,
        method: str,
        path: str,
        *,
        check: Callable[[Any], object],
        limit: int,
        call: Call,
        body: dict[str, Any] | None = None,
    ) -> tuple[Any, str]:
        """Send a request and read a JSON response.

        Parameters
        ----------
        method : str
            The HTTP method. A ``GET`` is repeated even if the service may have acted on it.
        path : str
            The path below the gateway's base URL.
        check : callable
            Raises an error if the response violates the protocol.
        limit : int
            The largest response, in bytes.
        call : Call
            The time limits.
        body : dict, optional
            The JSON to send.

        Returns
        -------
        data : object
            The decoded JSON.
        request_id : str
            The request id in the headers; empty if there is none.
        """

        def read(response: requests.Response) -> tuple[Any, str]:
            data = self._decode(_read_body(response, self.settings.http_url, limit), response)
            check(data)
            return data, request_id(response, self.settings)

        return self._send(
            lambda: self._attempt(method, path, read, call, method == "GET", body=body), call
        )

    def body(
        self, path: str, *, limit: int, call: Call, progress: Progress | None = None
    ) -> bytearray:
        """Send a ``GET`` and return the bytes of its JSON response.

        Parameters
        ----------
        path : str
            The path below the gateway's base URL.
        limit : int
            The largest response, in bytes.
        call : Call
            The time limits.
        progress : callable, optional
            Called as the response arrives with the number of bytes so far and the total, ``None`` if
            it is unknown.

        Returns
        -------
        bytearray
            The response, undecoded.
        """

        def read(response: requests.Response) -> bytearray:
            body = _read_body(response, self.settings.http_url, limit, progress)
            if len(body) <= MAX_ERROR_BYTES:
                self._decode(body, response)  # raises the error that the service reports
            return body

        return self._send(lambda: self._attempt("GET", path, read, call, True), call)

    def open_stream(self, path: str, call: Call) -> requests.Response:
        """Send a message by ``GET`` and return the response before its body is read."""
        return self._send(
            lambda: self._attempt("GET", path, None, call, False, _STREAM_HEADERS), call
        )

    def with_options(self, options: Options) -> Transport:
        """Return a transport for the same gateway that renews its token from the same source."""
        return Transport(self.settings, options, self.reload)

    def with_renewed_token(self, request: Callable[[], T]) -> T:
        """Make a request; repeat it after a 401 if the token has changed at its source.

        The service has not acted on a request whose token it refused, so even a message is repeated.
        """
        used = self.settings.token
        try:
            return request()
        except AuthenticationError as caught:
            refused = caught
        failed = None
        if self.settings.token == used:  # otherwise another thread has renewed it
            failed = self._renew()
        if self.settings.token == used:
            if failed is not None:
                reason = brief(f"{type(failed).__name__}: {failed}")
                refused.args = (f"{refused} Reading the token again failed ({reason}).",)
            try:
                raise refused from failed
            finally:
                del refused  # a cycle with its own frame would keep the connections open
        _log.info("the token from %s has changed; trying again", self.settings.source)
        return request()

    def _renew(self) -> Exception | None:
        """Read the settings again, and use them if they are for the same gateway.

        Return the error if they cannot be read, for example after a logout; it does not hold the token.
        """
        if self.reload is None:
            return None
        try:
            settings = self.reload()
        except Exception as caught:  # a token function may raise any exception
            text = self.settings.redact(str(caught))
            return without_frames(caught) if text == str(caught) else Exception(text)
        if settings.http_url == self.settings.http_url:
            self._auth = _BearerAuth(settings, self.options.allow_insecure)
            self.settings = settings
        return None

    def close(self) -> None:
        """Close every pooled connection."""
        for session in list(self._sessions):
            session.close()

    def _send(self, attempt: Callable[[], T | Failure], call: Call) -> T:
        return self.with_renewed_token(
            lambda: with_retries(attempt, self.options.max_retries, call)
        )

    def _attempt(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response], T] | None,
        call: Call,
        repeatable: bool,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> T | Failure:
        """Send a request once; return what ``read`` returns, or the unread response without it."""
        response: requests.Response | None = None
        connection: Any = None
        escaped: BaseException | None = None
        try:
            request = requests.Request(
                method,
                self.settings.http_url + path,
                headers={**_HEADERS, "User-Agent": self.options.agent, **(headers or {})},
                json=body,
                auth=self._auth,
            )
            with call.watch(repeatable=repeatable):
                # Not session.request(), which merges settings that this session does not have.
                response = self._session().send(
                    request.prepare(),
                    timeout=(call.timeout.connect, call.timeout.read),
                    allow_redirects=False,
                    stream=True,
                )
            connection = getattr(response.raw, "connection", None)
            if 200 <= response.status_code < 300:
                if read is None:
                    return cast("T", response)
                result = read(response)
                finish(connection, response, complete=True)
                return result
            failure = failure_from_response(response, self.settings)
        except CapsuleError as caught:
            failure = Failure(without_frames(caught), may_have_acted=call.sent)
        except (requests.RequestException, HTTPError, OSError) as caught:
            error = map_exception(caught, self.settings, call)
            failure = Failure(error, may_have_acted=call.sent)
        except BaseException as caught:  # for example an interrupt
            escaped = without_frames(caught)
        if response is not None:
            response.close()
            finish(connection, response, complete=False)
        if escaped is not None:
            try:
                raise escaped
            finally:
                del escaped  # a cycle with this frame would keep the connections open
        if call.expired:  # this replaces the error that shutting the connection down caused
            error = call_timed_out(self.settings.http_url, call)
            failure = Failure(error, may_have_acted=call.sent)
        if response is not None:
            add_ids(failure.error, response, self.settings)
        return failure

    def _session(self) -> requests.Session:
        """Return this thread's session; a forked process gets its own sessions."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.session = self._new_session()
        session: requests.Session = self._local.session
        return session

    def _new_session(self) -> requests.Session:
        session = _Session()
        adapter = CancellableAdapter()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.trust_env = False  # no netrc; certificates and proxies are set here
        session.verify = ca_bundle() or True
        if not is_loopback(parse_url(self.settings.http_url).host):
            session.proxies.update(get_environ_proxies(self.settings.http_url))
        self._sessions.add(session)
        # Close the idle connections of a thread that has ended, although a response that is still
        # referenced (for example by an error's traceback) keeps their pool alive.
        weakref.finalize(session, adapter.close).atexit = False
        return session

    def _decode(self, body: bytes | bytearray, response: requests.Response) -> Any:
        """Decode a JSON response; raise the error that the service reports in it."""
        data: Any = None
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            kind = content_type(response, self.settings)
            error: CapsuleError | None = ProtocolError(
                f"The response from {self.settings.http_url} is not JSON ({kind}): check the gateway's "
                "address."
            )
        else:
            error = reported_error(data, self.settings)
        if error is None:
            return data
        add_ids(error, response, self.settings, data)
        raise error


def percent_encode(text: str) -> str:
    """Percent-encode a value for a URL as the protocol requires: ``/`` too, and a space as ``%20``."""
    return quote(text, safe="")


def _read_body(
    response: requests.Response, url: str, limit: int, progress: Progress | None = None
) -> bytearray:
    """Read a whole body, up to a size limit."""
    if response.status_code == 204:
        raise no_content(url)
    body = bytearray()  # joining a list of pieces would need twice the memory
    for piece in response.raw.stream(1 << 16, decode_content=True):
        if len(body) + len(piece) > limit:
            raise TooLargeError(
                f"The response is larger than {limit:,} bytes: raise max_answer_bytes, or "
                "max_reply_bytes for a chat."
            )
        body += piece
        if progress is not None:
            left = response.raw.length_remaining
            progress(len(body), None if left is None else len(body) + left)
    # A connection that broke within the headers looks like an empty response.
    if response.raw.length_remaining or not (body or has_known_end(response)):
        raise connection_broken(url)
    return body
