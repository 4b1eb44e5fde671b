"""Exceptions of the network libraries, mapped to those of this package by a table of classes.

The exceptions of requests wrap those of urllib3, which wrap those of `ssl` and `socket`. The first
row of the table that matches an exception, or one that it wraps, decides.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions

from cpsl.call import Call
from cpsl.config import Settings, proxy_refused
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    InvalidRequestError,
    ProtocolError,
    TimedOutError,
    TLSError,
)
from cpsl.sanitize import brief
from cpsl.timeouts import Timeout
from cpsl.tracebacks import without_frames

__all__ = [
    "CLIENT_CERTIFICATE",
    "NO_TLS",
    "TIMEOUTS",
    "UNTRUSTED",
    "call_timed_out",
    "connect_timed_out",
    "connection_broken",
    "map_exception",
    "read_timed_out",
    "safe_cause",
    "set_proxy_status",
]

# Not urllib3's ConnectTimeoutError, which is also the base class of refused connections.
TIMEOUTS = (TimeoutError, urllib3.exceptions.ReadTimeoutError, requests.Timeout)

_CONNECT_TIMED_OUT = (
    "{where} did not accept a connection within {timeout.connect:g} s: check the address and the "
    "network."
)
_READ_TIMED_OUT = "{where} sent nothing for {timeout.read:g} s: try again, or use a longer timeout."
_BROKEN = "The connection to {where} broke before the response was complete: try again."

CLIENT_CERTIFICATE = (
    "{where} refused the TLS handshake ({reason}); it may require a client certificate, which this "
    "client cannot send: connect through a proxy or sidecar that sends one."
)

NO_TLS = "{where} does not use TLS ({reason}): check the scheme and port of the gateway's address."
UNTRUSTED = (
    "Cannot verify the TLS certificate of {where} ({reason}): check the address, or set "
    "REQUESTS_CA_BUNDLE to your CA's certificates."
)

# Rows: caught exception classes, a pattern in the text, the class to raise, the message.
_Table = tuple[tuple[tuple[type[BaseException], ...], str, type[CapsuleError], str], ...]
_BEFORE_SENDING: _Table = (
    (TIMEOUTS, "", TimedOutError, _CONNECT_TIMED_OUT),
    (
        (requests.exceptions.ProxyError,),
        "",
        CannotConnectError,
        "Cannot connect to a gateway at {where} through the proxy ({reason}): check the gateway's "
        "address, the proxy settings and the network.",
    ),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError),
        "",
        CannotConnectError,
        "{where} closed the connection during the TLS handshake: try again.",
    ),
    (
        (ssl.SSLError,),
        "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST",
        TLSError,
        NO_TLS,
    ),
    ((ssl.SSLError,), "CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE", TLSError, CLIENT_CERTIFICATE),
    (
        (ssl.SSLError, requests.exceptions.SSLError),
        "",
        TLSError,
        UNTRUSTED,
    ),
    (
        (requests.exceptions.InvalidSchema,),
        "SOCKS",
        InvalidRequestError,
        "A SOCKS proxy is set, but PySocks is not installed: run `pip install pysocks`, or unset "
        "the proxy variable.",
    ),
    (
        (
            requests.exceptions.InvalidHeader,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
        ),
        "",
        InvalidRequestError,
        "Cannot make a request to {where} ({name}): check the gateway's address and the proxy "
        "settings.",
    ),
    (
        (Exception,),
        "",
        CannotConnectError,
        "Cannot connect to a gateway at {where} ({reason}): check that it is running, and check "
        "the address and the network.",
    ),
)
_AFTER_SENDING: _Table = (
    (TIMEOUTS, "", TimedOutError, _READ_TIMED_OUT),
    (
        (requests.exceptions.InvalidHeader,),  # for example two different lengths
        "",
        ProtocolError,
        "The response from {where} is not valid HTTP ({name}): check the gateway's address.",
    ),
    (
        (urllib3.exceptions.DecodeError,),
        "",
        ProtocolError,
        "Cannot decompress the response from {where}: check the gateway's address.",
    ),
    # With TLS 1.3, the refusal arrives after the handshake.
    ((ssl.SSLError,), "CERTIFICATE_REQUIRED", TLSError, CLIENT_CERTIFICATE),
    ((Exception,), "", CannotConnectError, _BROKEN),
)


def map_exception(caught: Exception, settings: Settings, call: Call) -> CapsuleError:
    """Return the error of this package for an exception of a network library.

    Parameters
    ----------
    caught : Exception
        An exception of requests, urllib3 or the standard library.
    settings : Settings
        The gateway, for the message.
    call : Call
        The call that failed.

    Returns
    -------
    CapsuleError
        The error, to be raised by the caller. Its ``__cause__`` is that of `safe_cause`.
    """
    wrapped = list(_wrapped(caught))
    kind, message, exception = next(
        (kind, message, exception)
        for classes, pattern, kind, message in (_AFTER_SENDING if call.sent else _BEFORE_SENDING)
        for exception in wrapped
        if isinstance(exception, classes) and re.search(pattern, str(exception))
    )
    reason = _reason(wrapped[-1], settings)
    if not call.sent and "Tunnel connection failed: 407" in reason:
        error: CapsuleError = proxy_refused(settings.http_url, settings.http_url, reason)
    else:
        error = kind(
            message.format(
                where=settings.http_url,
                timeout=call.timeout,
                name=type(exception).__name__,
                reason=reason,
            )
        )
    if isinstance(error, CannotConnectError | TimedOutError):
        error.sent = call.sent
    if not call.sent:
        set_proxy_status(error, reason)
    error.__cause__ = safe_cause(caught, settings)
    return error


_SAFE_MODULES = ("builtins", "socket", "ssl")  # exceptions of other modules may refer to a request


def safe_cause(caught: BaseException, settings: Settings) -> BaseException:
    """Return the innermost exception that another one wraps, without anything that holds the token.

    It has no frames. An exception that may refer to a request is replaced by one with its text.
    """
    *_, cause = _wrapped(caught)
    safe = type(cause).__module__ in _SAFE_MODULES and settings.redact(str(cause)) == str(cause)
    if safe:
        return without_frames(cause)
    return Exception(_reason(cause, settings))


def _reason(exception: BaseException, settings: Settings) -> str:
    """Return the text of an exception as one line."""
    text = (
        getattr(exception, "verify_message", "")
        or getattr(exception, "strerror", "")
        or str(exception)
    )
    return brief(settings.redact(str(text))) or type(exception).__name__


def set_proxy_status(error: CapsuleError, reason: str) -> None:
    """Set the status and detail of an error if a proxy's response caused it."""
    found = re.search(r"(?:Tunnel connection failed: |response code )([0-9]{3})\b(.*)", reason)
    if found:
        error.status = int(found[1])
        error.detail = found[2].strip() or error.detail


def connect_timed_out(where: str, timeout: Timeout) -> TimedOutError:
    """Return the error for a connect timeout."""
    error = TimedOutError(_CONNECT_TIMED_OUT.format(where=where, timeout=timeout))
    error.sent = False
    return error


def read_timed_out(where: str, timeout: Timeout) -> TimedOutError:
    """Return the error for a read timeout."""
    return TimedOutError(_READ_TIMED_OUT.format(where=where, timeout=timeout))


def call_timed_out(where: str, call: Call) -> TimedOutError:
    """Return the error for a call that took longer than its ``max_seconds``."""
    error = TimedOutError(
        f"{where} did not respond completely within {call.max_seconds:g} s: try again, or raise "
        "max_seconds."
    )
    error.sent = call.sent
    return error


def connection_broken(where: str) -> CannotConnectError:
    """Return the error for a connection that broke before the response was complete."""
    error = CannotConnectError(_BROKEN.format(where=where))
    error.sent = True
    return error


def _wrapped(exception: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it wraps.

    They are the explicit cause, one of the arguments, or the ``reason`` of a ``MaxRetryError``. The
    implicit ``__context__`` does not count: it may be an exception that the caller is handling.
    """
    while exception is not None:
        yield exception
        candidates = (exception.__cause__, getattr(exception, "reason", None), *exception.args)
        exception = next((c for c in candidates if isinstance(c, BaseException)), None)
