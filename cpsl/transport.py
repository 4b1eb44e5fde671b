"""HTTP to the gateway: one pooled session per thread, the token, time-outs, errors."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from requests.auth import AuthBase
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from cpsl.cancellation import Abort, AbortableAdapter
from cpsl.config import Settings, Token, is_loopback
from cpsl.errors import (
    CapsuleError,
    CredentialsError,
    InvalidRequestError,
    ProtocolError,
    TLSError,
    TooLargeError,
)
from cpsl.network import Timeout, broken, error_from_exception, framed
from cpsl.responses import (
    LARGEST_ERROR,
    about,
    content_type,
    failure_from_response,
    reported_error,
    request_id,
)
from cpsl.retry import Failure, with_retries, without_frames

__all__ = ["Progress", "Timeout", "Transport", "ca_bundle", "quoted"]

T = TypeVar("T")
Progress = Callable[[int, int | None], object]


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Know of no redirect: else the next request is prepared though it is never sent."""


_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "cpsl-client/0.1"}


class _Bearer(AuthBase):
    """Sets the token; as an auth object, so that requests never takes a netrc entry instead."""

    def __init__(self, settings: Settings, allow_insecure: bool) -> None:
        self._settings = settings
        self._allow_insecure = allow_insecure
        self._host = parse_url(settings.http_url).host

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self.check(request.url or "")
        request.headers["Authorization"] = Token(f"Bearer {self._settings.token}")
        return request

    def check(self, url: str) -> None:
        """Refuse to send the token to another host, or in the clear to another machine."""
        parts = parse_url(url)
        if parts.host != self._host:
            raise CredentialsError(
                f"The token is for {self._host}; it is not sent to {parts.host}."
            )
        if parts.scheme != "https" and not is_loopback(parts.host) and not self._allow_insecure:
            raise CredentialsError(
                f"{self._settings.http_url} would carry the token in the clear: use https://, or "
                "pass allow_insecure=True if that network is trusted."
            )


class Transport:
    """Requests to one gateway with one token; safe to share between threads and over a fork."""

    def __init__(
        self, settings: Settings, timeout: Timeout, max_retries: int, allow_insecure: bool
    ) -> None:
        self.settings = settings
        self.timeout = timeout
        self.max_retries = max_retries
        self.allow_insecure = allow_insecure
        self._bearer = _Bearer(settings, allow_insecure)
        self._bearer.check(settings.http_url)
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()

    def json(
        self,
        method: str,
        path: str,
        *,
        check: Callable[[Any], object],
        body: dict[str, Any] | None = None,
        repeatable: bool,
        limit: int,
        timeout: Timeout | None = None,
    ) -> tuple[Any, str]:
        """Send a request and read a JSON answer; return it with the request id of its headers.

        Parameters
        ----------
        check
            Raises where the answer is not what the protocol says.
        repeatable
            Whether the request may be sent again though the service may have acted on it.
        limit
            The largest answer, in bytes.
        """

        def read(response: requests.Response) -> tuple[Any, str]:
            body = _body(response, self.settings.http_url, limit)
            answer = self._parsed(body, response)
            check(answer)
            return answer, request_id(response, self.settings)

        return with_retries(
            lambda: self._attempt(method, path, read, Abort(), body=body, timeout=timeout),
            self.max_retries,
            repeatable=repeatable,
        )

    def body(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        limit: int,
        timeout: Timeout | None = None,
        progress: Progress | None = None,
    ) -> bytearray:
        """Send a request and return a JSON answer as it came, for a decoder of the caller's.

        Parameters
        ----------
        repeatable, limit
            As for `json`.
        progress
            Called as the answer arrives, with the bytes so far and, where it is known, their sum.
        """

        def read(response: requests.Response) -> bytearray:
            body = _body(response, self.settings.http_url, limit, progress)
            if len(body) <= LARGEST_ERROR:
                self._parsed(body, response)  # raises what the service reports
            return body

        return with_retries(
            lambda: self._attempt(method, path, read, Abort(), timeout=timeout),
            self.max_retries,
            repeatable=repeatable,
        )

    def open_stream(self, path: str, abort: Abort, timeout: Timeout) -> requests.Response:
        """Send a message by GET and return the answer with its headers read, its body not."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}

        def unread(response: requests.Response) -> requests.Response:
            return response

        return with_retries(
            lambda: self._attempt("GET", path, unread, abort, headers=headers, timeout=timeout),
            self.max_retries,
            repeatable=False,
            wait=abort.wait,
        )

    def close(self) -> None:
        """Close every pooled connection."""
        for session in list(self._sessions):
            session.close()

    def _attempt(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response], T],
        abort: Abort,
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout: Timeout | None = None,
    ) -> T | Failure:
        waits = timeout or self.timeout
        response: requests.Response | None = None
        escaped: BaseException | None = None
        try:
            request = requests.Request(
                method,
                self.settings.http_url + path,
                headers=_HEADERS | (headers or {}),
                json=body,
                auth=self._bearer,
            )
            with abort.watching():
                # Not session.request(): it merges settings of the session that there are none of.
                response = self._session().send(
                    request.prepare(),
                    timeout=(waits.connect, waits.read),
                    allow_redirects=False,
                    stream=True,
                )
            if 200 <= response.status_code < 300:
                return read(response)
            failure = failure_from_response(response, self.settings)
        except CapsuleError as caught:
            failure = Failure(without_frames(caught), may_have_acted=abort.sent)
        except (requests.RequestException, HTTPError, OSError) as caught:
            error = error_from_exception(caught, self.settings.http_url, waits, abort.sent)
            failure = Failure(error, may_have_acted=abort.sent)
        except BaseException as caught:  # an interrupt, for one
            escaped = without_frames(caught)
        if response is not None:
            response.close()
        if escaped is not None:
            raise escaped
        if response is not None:
            about(failure.error, response, self.settings)
        return failure

    def _session(self) -> requests.Session:
        """Return this thread's session; a forked process does not share its parent's."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.session = self._new_session()
        session: requests.Session = self._local.session
        return session

    def _new_session(self) -> requests.Session:
        session = _Session()
        adapter = AbortableAdapter()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.trust_env = False  # netrc must not replace the token; what is wanted comes below
        session.verify = ca_bundle() or True
        if not is_loopback(parse_url(self.settings.http_url).host):
            session.proxies.update(get_environ_proxies(self.settings.http_url))
        self._sessions.add(session)
        # A thread that ends takes its idle connections with it, though a response that somebody
        # still refers to (an error's traceback does) would keep their pool alive.
        weakref.finalize(session, adapter.close).atexit = False
        return session

    def _parsed(self, body: bytes | bytearray, response: requests.Response) -> Any:
        answer: Any = None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            kind = content_type(response, self.settings)
            error: CapsuleError | None = ProtocolError(
                f"The answer of {self.settings.http_url} is not JSON ({kind}): check gateway_url."
            )
        else:
            error = reported_error(answer, self.settings)
        if error is None:
            return answer
        about(error, response, self.settings, answer)
        raise error


def ca_bundle() -> str | None:
    """Return the path of the certificates that the environment asks for.

    Raises
    ------
    TLSError
        There is nothing at that path.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        path = os.environ.get(name)
        if path and not Path(path).exists():
            raise TLSError(f"{name} names {path}, which does not exist: mend or unset it.")
        if path:
            return path
    return None


def quoted(text: str) -> str:
    """Percent-encode a value as the protocol does: everything, a space as ``%20``.

    Raises
    ------
    InvalidRequestError
        It is no text: half of a character (a lone surrogate) is in it.
    """
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        half = error.object[error.start]
    raise InvalidRequestError(
        f"Half of a character ({half!a}) cannot be sent: mend the text first."
    )


def _body(
    response: requests.Response, url: str, limit: int, progress: Progress | None = None
) -> bytearray:
    """Read a whole body of bounded size."""
    body = bytearray()  # not a list of pieces: joining them would need the memory twice
    for piece in response.iter_content(1 << 16):
        if len(body) + len(piece) > limit:
            raise TooLargeError(f"The answer is larger than {limit:,} bytes: ask for less at once.")
        body += piece
        if progress is not None:
            left = response.raw.length_remaining
            progress(len(body), None if left is None else len(body) + left)
    # What broke off within the headers looks like an answer that is empty.
    if response.raw.length_remaining or not (body or framed(response)):
        raise broken(url)
    return body
