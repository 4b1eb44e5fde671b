"""HTTP to the gateway: one pooled session per thread, the token, time-outs, retries, errors."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from requests.auth import AuthBase
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.util import parse_url

from cpsl.abort import Abort, AbortableAdapter
from cpsl.config import Settings, is_loopback
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    ProtocolError,
    RateLimitedError,
    TimedOutError,
    TLSError,
    TooLargeError,
)
from cpsl.status import error_from_response

__all__ = ["Timeout", "Transport", "ca_bundle", "quoted", "request_id"]

T = TypeVar("T")

LONGEST_RETRY_AFTER = 60.0  # seconds; a longer one is the caller's to wait for
_FIRST_DELAY = 0.5  # seconds
_PASSING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Timeout:
    """Seconds to wait: for a connection, and for the next byte once connected."""

    connect: float = 5.0
    read: float = 120.0

    @classmethod
    def of(cls, value: float | tuple[float, float] | None, default: Timeout) -> Timeout:
        """Read what a user gave: seconds of silence, or seconds to connect and of silence."""
        if value is None:
            return default
        connect, read = value if isinstance(value, tuple) else (default.connect, value)
        if not (connect > 0 and read > 0):
            raise ValueError(f"timeout={value!r}: give seconds above 0, or (connect, read).")
        return cls(min(connect, read), read)


class _Bearer(AuthBase):
    """Sets the token; as an auth object, so that requests never takes a netrc entry instead."""

    def __init__(self, settings: Settings, check: Callable[[str], None]) -> None:
        self._settings = settings
        self._check = check

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._check(request.url or "")
        request.headers["Authorization"] = f"Bearer {self._settings.token}"
        return request


@dataclass(frozen=True)
class _Failure:
    """An attempt that failed, and whether the service may have acted on it."""

    error: CapsuleError
    may_have_acted: bool = True


class Transport:
    """Requests to one gateway with one token; safe to share between threads and over a fork."""

    def __init__(
        self, settings: Settings, timeout: Timeout, max_retries: int, allow_insecure: bool
    ) -> None:
        self.settings = settings
        self.timeout = timeout
        self.max_retries = max_retries
        self._allow_insecure = allow_insecure
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._host = parse_url(settings.http_url).host
        self._check(settings.http_url)

    def json(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        repeatable: bool,
        limit: int,
        timeout: Timeout | None = None,
    ) -> tuple[Any, str]:
        """Send a request and read a JSON answer; return it with the request id of its headers.

        Parameters
        ----------
        repeatable
            Whether the request may be sent again though the service may have acted on it.
        limit
            The largest answer, in bytes.
        """

        def read(response: requests.Response) -> tuple[Any, str]:
            return _parsed(_body(response, limit), response), request_id(response)

        return self._with_retries(
            lambda: self._attempt(method, path, read, body=body, timeout=timeout), repeatable
        )

    def open_stream(self, path: str, abort: Abort, timeout: Timeout) -> requests.Response:
        """Send a message by GET and return the answer with its headers read, its body not."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return self._with_retries(
            lambda: self._attempt(
                "GET",
                path,
                lambda response: response,
                headers=headers,
                timeout=timeout,
                abort=abort,
            ),
            repeatable=False,
        )

    def close(self) -> None:
        """Close every pooled connection."""
        for session in list(self._sessions):
            session.close()

    def _with_retries(self, attempt: Callable[[], T | _Failure], repeatable: bool) -> T:
        for tried in itertools.count():
            outcome = attempt()
            if not isinstance(outcome, _Failure):
                return outcome
            delay = self._delay(outcome, tried, repeatable)
            if delay is None:
                # Raised here, outside any except block: the library's own exception has frames
                # whose variables hold the token.
                raise outcome.error
            time.sleep(delay)
        raise AssertionError("unreachable")

    def _delay(self, failure: _Failure, tried: int, repeatable: bool) -> float | None:
        """Return the seconds to wait before the next attempt; ``None`` to give up."""
        error = failure.error
        passing = error.status in _PASSING or isinstance(error, CannotConnectError | TimedOutError)
        if tried >= self.max_retries or not passing:
            return None
        if failure.may_have_acted and not repeatable:
            return None
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            return error.retry_after if error.retry_after <= LONGEST_RETRY_AFTER else None
        return random.uniform(0, _FIRST_DELAY * 2**tried)  # noqa: S311 - full jitter

    def _attempt(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response], T],
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout: Timeout | None = None,
        abort: Abort | None = None,
    ) -> T | _Failure:
        waits = timeout or self.timeout
        interrupted = False
        failure: _Failure | None = None
        response: requests.Response | None = None
        try:
            with (abort or Abort()).watching():
                response = self._session().request(
                    method,
                    self.settings.http_url + path,
                    json=body,
                    headers=headers,
                    timeout=(waits.connect, waits.read),
                    allow_redirects=False,
                    stream=True,
                )
            if 200 <= response.status_code < 300:
                return read(response)
            error = error_from_response(response, self.settings)
            failure = _Failure(error, may_have_acted=response.status_code != 429)
        except (requests.RequestException, HTTPError, OSError) as caught:
            failure = _failure_from(caught, self.settings.http_url, waits)
        except CapsuleError as caught:
            failure = _Failure(caught.with_traceback(None))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if response is not None and (failure is not None or interrupted):
                response.close()
        if failure is None:
            raise KeyboardInterrupt  # afresh, like the errors: without the library's frames
        return failure

    def _session(self) -> requests.Session:
        """Return this thread's session; a forked process does not share its parent's."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.session = self._new_session()
        session: requests.Session = self._local.session
        return session

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        adapter = AbortableAdapter()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.trust_env = False  # netrc must not replace the token; what is wanted comes below
        session.auth = _Bearer(self.settings, self._check)
        session.headers["Accept-Encoding"] = "identity"
        session.headers["User-Agent"] = "cpsl-client/0.1"
        session.verify = ca_bundle() or True
        if not is_loopback(self._host):
            session.proxies.update(get_environ_proxies(self.settings.http_url))
        self._sessions.add(session)
        return session

    def _check(self, url: str) -> None:
        """Refuse to send the token to another host, or in the clear to another machine."""
        parts = parse_url(url)
        if parts.host != self._host:
            raise CredentialsError(
                f"The token is for {self._host}; it is not sent to {parts.host}."
            )
        if parts.scheme != "https" and not is_loopback(parts.host) and not self._allow_insecure:
            raise CredentialsError(
                f"{self.settings.http_url} would carry the token in the clear: use https://, or "
                "pass allow_insecure=True if that network is trusted."
            )


def ca_bundle() -> str | None:
    """Return the path of the certificates that the environment asks for."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def request_id(response: requests.Response) -> str:
    """Return the request id of an answer's headers; empty where there is none."""
    return str(response.headers.get("X-Request-Id", ""))


def quoted(text: str) -> str:
    """Percent-encode a value as the protocol does: everything, a space as ``%20``."""
    return quote(text, safe="")


def _failure_from(caught: Exception, url: str, waits: Timeout) -> _Failure:
    """Say in our own terms what broke below us."""
    never_sent = isinstance(caught, requests.ConnectTimeout | requests.exceptions.ProxyError)
    reason = getattr(caught.args[0], "reason", None) if caught.args else None
    never_sent = never_sent or isinstance(reason, NewConnectionError)
    if isinstance(caught, requests.exceptions.SSLError):
        error: CapsuleError = TLSError(
            f"The certificate of {url} could not be verified: check the address, or name your "
            "authority's certificates in REQUESTS_CA_BUNDLE."
        )
    elif isinstance(caught, requests.ConnectTimeout):
        error = TimedOutError(
            f"{url} did not accept a connection within {waits.connect:g} s: check the address and "
            "the network."
        )
    elif isinstance(caught, requests.Timeout | ReadTimeoutError | TimeoutError) or (
        isinstance(reason, ReadTimeoutError) or "timed out" in str(caught)
    ):
        error = TimedOutError(
            f"{url} was silent for {waits.read:g} s: try again, or allow more with timeout=."
        )
    elif never_sent:
        error = CannotConnectError(
            f"No gateway answers at {url}: check that it is running, the address and the network."
        )
    else:
        error = CannotConnectError(
            f"The connection to {url} broke before the answer was whole: try again."
        )
    return _Failure(error, may_have_acted=not never_sent)


def _body(response: requests.Response, limit: int) -> bytes:
    """Read a whole body of bounded size."""
    pieces, size = [], 0
    for piece in response.iter_content(1 << 16):
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"The answer is larger than {limit:,} bytes: ask for less at once.")
        pieces.append(piece)
    if response.raw.length_remaining:
        raise CannotConnectError("The connection broke before the answer was whole: try again.")
    return b"".join(pieces)


def _parsed(body: bytes, response: requests.Response) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        kind = response.headers.get("Content-Type", "no content type")
    raise ProtocolError(
        f"The answer of {response.url.split('?')[0]} is not JSON ({kind}): check gateway_url.",
        status=response.status_code,
    )
