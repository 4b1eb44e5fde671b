"""Exceptions of the network libraries, mapped to those of this package by a table of classes.

The exceptions of requests wrap those of urllib3, which wrap those of `ssl` and `socket`. The first
row of the table that matches an exception, or one that it wraps, decides.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions

from cpsl.call import Call
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

__all__ = [
    "TIMEOUTS",
    "call_timed_out",
    "connect_timed_out",
    "connection_broken",
    "map_exception",
    "read_timed_out",
]

# Not urllib3's ConnectTimeoutError, which is also the base class of refused connections.
TIMEOUTS = (TimeoutError, urllib3.exceptions.ReadTimeoutError, requests.Timeout)

_CONNECT_TIMED_OUT = (
    "{where} did not accept a connection within {timeout.connect:g} s: check the address and the "
    "network."
)
_READ_TIMED_OUT = (
    "{where} sent nothing for {timeout.read:g} s: try again, or allow a longer timeout."
)
_BROKEN = "The connection to {where} broke before the answer was complete: try again."

# Rows: classes of what was raised, class of the error, message.
_Table = tuple[tuple[tuple[type[BaseException], ...], type[CapsuleError], str], ...]
_BEFORE_SENDING: _Table = (
    (TIMEOUTS, TimedOutError, _CONNECT_TIMED_OUT),
    (
        (requests.exceptions.ProxyError,),
        CannotConnectError,
        "No gateway answers at {where} through the proxy: check the gateway's address, the proxy "
        "settings and the network.",
    ),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError),
        CannotConnectError,
        "{where} closed the connection during the TLS handshake: try again.",
    ),
    (
        (ssl.SSLError, requests.exceptions.SSLError),
        TLSError,
        "Cannot make a trusted connection to {where} ({reason}): check the address, or set "
        "REQUESTS_CA_BUNDLE to your authority's certificates.",
    ),
    (
        (
            requests.exceptions.InvalidHeader,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
        ),
        InvalidRequestError,
        "Cannot make a request to {where} ({name}): check the gateway's address and the proxy "
        "settings.",
    ),
    (
        (Exception,),
        CannotConnectError,
        "No gateway answers at {where}: check that it is running, the address and the network.",
    ),
)
_AFTER_SENDING: _Table = (
    (TIMEOUTS, TimedOutError, _READ_TIMED_OUT),
    (
        (requests.exceptions.InvalidHeader,),  # for example two different lengths
        ProtocolError,
        "The answer of {where} is not valid HTTP ({name}): check the gateway's address.",
    ),
    (
        (urllib3.exceptions.DecodeError,),
        ProtocolError,
        "The answer of {where} is not compressed correctly: check the gateway's address.",
    ),
    ((Exception,), CannotConnectError, _BROKEN),
)


def map_exception(caught: Exception, where: str, timeout: Timeout, *, sent: bool) -> CapsuleError:
    """Return the error of this package for an exception of a network library.

    Parameters
    ----------
    caught : Exception
        An exception of requests, urllib3 or the standard library.
    where : str
        The gateway's address, for the message.
    timeout : Timeout
        The time limits of the request.
    sent : bool
        Whether any of the request may have reached the service.

    Returns
    -------
    CapsuleError
        The error, to be raised by the caller.
    """
    kind, message, exception = next(
        (kind, message, exception)
        for classes, kind, message in (_AFTER_SENDING if sent else _BEFORE_SENDING)
        for exception in _wrapped(caught)
        if isinstance(exception, classes)
    )
    reason = getattr(exception, "verify_message", "") or getattr(exception, "reason", "")
    error = kind(
        message.format(
            where=where,
            timeout=timeout,
            name=type(exception).__name__,
            reason=brief(str(reason or exception)),
        )
    )
    if isinstance(error, CannotConnectError | TimedOutError):
        error.sent = sent
    return error


def connect_timed_out(where: str, timeout: Timeout) -> TimedOutError:
    """Return the error of a connection that was not made in time."""
    error = TimedOutError(_CONNECT_TIMED_OUT.format(where=where, timeout=timeout))
    error.sent = False
    return error


def read_timed_out(where: str, timeout: Timeout) -> TimedOutError:
    """Return the error of an answer that did not arrive in time."""
    return TimedOutError(_READ_TIMED_OUT.format(where=where, timeout=timeout))


def call_timed_out(where: str, call: Call) -> TimedOutError:
    """Return the error of a call that took longer than its ``max_seconds``."""
    error = TimedOutError(
        f"{where} did not answer completely within {call.max_seconds:g} s: try again, or raise "
        "max_seconds."
    )
    error.sent = call.sent
    return error


def connection_broken(where: str) -> CannotConnectError:
    """Return the error of a connection that ended before the answer was complete."""
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
