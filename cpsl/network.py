"""The network's part: how long to wait for it, and what its failures mean to the user."""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass
from typing import Any, TypeAlias

import requests
from urllib3.exceptions import DecodeError, ReadTimeoutError

from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    InvalidRequestError,
    ProtocolError,
    TimedOutError,
    TLSError,
)
from cpsl.sanitize import brief

__all__ = [
    "Seconds",
    "Timeout",
    "broken",
    "error_from_exception",
    "framed",
    "never_accepted",
    "silent",
]

Seconds: TypeAlias = float | tuple[float, float]  # of silence, or to connect and of silence


@dataclass(frozen=True)
class Timeout:
    """Seconds to wait: for a connection, and for the next byte once connected."""

    connect: float = 5.0
    read: float = 120.0

    @classmethod
    def of(cls, value: Seconds | None, default: Timeout) -> Timeout:
        """Read what a user gave: seconds of silence, or seconds to connect and of silence."""
        if value is None:
            return default
        connect, read = value if isinstance(value, tuple) else (min(default.connect, value), value)
        if not (0 < connect < math.inf and 0 < read < math.inf):
            raise ValueError(f"timeout={value!r}: give seconds above 0, or (connect, read).")
        return cls(connect, read)


def error_from_exception(caught: Exception, url: str, waits: Timeout, sent: bool) -> CapsuleError:
    """Say in our own terms what broke below us."""
    reason = getattr(caught.args[0], "reason", None) if caught.args else None
    if isinstance(caught, requests.exceptions.SSLError) and not sent:
        return _tls_error(reason, url)
    if isinstance(caught, requests.RequestException) and isinstance(caught, ValueError):
        if sent:  # then it is the answer that has, say, two lengths
            return ProtocolError(
                f"The answer of {url} is no valid HTTP ({type(caught).__name__}): check "
                "gateway_url."
            )
        return InvalidRequestError(
            f"A request to {url} cannot be made ({type(caught).__name__}): check gateway_url and "
            "the proxy settings."
        )
    if isinstance(caught, requests.exceptions.ContentDecodingError | DecodeError):
        return ProtocolError(f"The answer of {url} is badly compressed: check gateway_url.")
    if isinstance(caught, requests.ConnectTimeout) or ("timed out" in str(caught) and not sent):
        return never_accepted(url, waits)
    if isinstance(caught, requests.Timeout | ReadTimeoutError | TimeoutError) or (
        isinstance(reason, ReadTimeoutError) or "timed out" in str(caught)
    ):
        return silent(url, waits)
    if sent:
        return broken(url)
    through = " through the proxy" if isinstance(caught, requests.exceptions.ProxyError) else ""
    return CannotConnectError(
        f"No gateway answers at {url}{through}: check that it is running, the address and the "
        "network."
    )


def never_accepted(where: str, waits: Timeout) -> TimedOutError:
    """Return the error of a connection that was not made in time."""
    error = TimedOutError(
        f"{where} did not accept a connection within {waits.connect:g} s: check the address and "
        "the network."
    )
    error.sent = False
    return error


def silent(where: str, waits: Timeout) -> TimedOutError:
    """Return the error of an answer that did not come in time."""
    return TimedOutError(
        f"{where} was silent for {waits.read:g} s: try again, or allow more with timeout=."
    )


def broken(where: str) -> CannotConnectError:
    """Return the error of an answer that ended before its end."""
    error = CannotConnectError(
        f"The connection to {where} broke before the answer was whole: try again."
    )
    error.sent = True
    return error


def framed(response: requests.Response) -> bool:
    """Say whether an answer tells where it ends, or just ends when the connection does."""
    return bool(response.raw.chunked) or "Content-Length" in response.headers


def _tls_error(reason: Any, url: str) -> CapsuleError:
    cause = reason.args[0] if getattr(reason, "args", None) else None
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return CannotConnectError(f"{url} hung up while connecting: try again.")
    why = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "no trust"
    return TLSError(
        f"No trusted connection to {url} ({brief(str(why))}): check the address, or name your "
        "authority's certificates in REQUESTS_CA_BUNDLE."
    )
