"""The exceptions of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "AppNotFoundError",
    "AuthenticationError",
    "CannotConnectError",
    "CapsuleError",
    "CredentialsError",
    "GatewayError",
    "InvalidRequestError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitedError",
    "StreamInterrupted",
    "StreamTimedOut",
    "TLSError",
    "TimedOutError",
    "TooLargeError",
]


class CapsuleError(RuntimeError):
    """Base class of the errors that this package raises.

    The class tree, with further base classes in brackets::

        CapsuleError [RuntimeError]
        ├── CredentialsError          no token, or a token that belongs to another gateway
        ├── AuthenticationError       401: the gateway refused the token
        ├── PermissionDeniedError     403: the token does not allow the request
        ├── NotFoundError             404
        │   └── AppNotFoundError      no app with this name or id [ValueError]
        ├── RateLimitedError          429, after the allowed retries
        ├── InvalidRequestError       any other 4xx, or an invalid argument [ValueError]
        ├── GatewayError              5xx, or an error in the service's response
        ├── CannotConnectError        no connection, or it broke [ConnectionError]
        ├── TimedOutError             no connection or no data in time [TimeoutError]
        ├── TLSError                  the gateway's certificate could not be verified
        ├── ProtocolError             a response that violates the protocol
        ├── TooLargeError             a response above the size limit
        └── StreamInterrupted         a stream that broke after it had started
            └── StreamTimedOut        no data of a stream in time [TimedOutError]

    Parameters
    ----------
    message : str
        One line that says what failed and what to do.
    status : int, optional
        The HTTP status of the response, or the one that corresponds to its gRPC code.
    request_id : str, optional
        The service's id of the request.
    detail : str, optional
        The service's own message.

    Examples
    --------
    >>> error = AuthenticationError("The gateway refused the token.", status=401)
    >>> isinstance(error, RuntimeError), error.status
    (True, 401)
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.detail = detail


class CredentialsError(CapsuleError):
    """There is no token, or it belongs to another gateway."""


class AuthenticationError(CapsuleError):
    """The gateway refused the token (401)."""


class PermissionDeniedError(CapsuleError):
    """The token is valid but does not allow the request (403)."""


class NotFoundError(CapsuleError):
    """The gateway did not find what was requested (404)."""


class AppNotFoundError(NotFoundError, ValueError):
    """The workspace has no app with this name or id.

    Attributes
    ----------
    matches : tuple of str
        Names of apps that are similar, without control characters.
    """

    def __init__(
        self,
        message: str = "",
        *,
        matches: tuple[str, ...] = (),
        request_id: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, status=404, request_id=request_id, detail=detail)
        self.matches = matches


class RateLimitedError(CapsuleError):
    """The gateway refused the request because there were too many (429).

    Attributes
    ----------
    retry_after : float or None
        Seconds that the gateway asked to wait.
    """

    retry_after: float | None = None


class InvalidRequestError(CapsuleError, ValueError):
    """The gateway refused the request (4xx), or an argument or setting is invalid."""


class GatewayError(CapsuleError):
    """The service failed (5xx), or reported an error in its response."""


class CannotConnectError(CapsuleError, ConnectionError):
    """The client could not connect, or the connection broke before the response was complete.

    Attributes
    ----------
    sent : bool
        Whether any part of the request may have reached the service. If not, the service cannot have
        acted on it.
    """

    if not TYPE_CHECKING:  # tblib, for example, looks up `__new__` to copy an error
        __new__ = ConnectionError.__new__

    sent: bool = False


class TimedOutError(CapsuleError, TimeoutError):
    """The gateway did not accept a connection, or did not respond, in time.

    Attributes
    ----------
    sent : bool
        Whether any part of the request may have reached the service. If not, the service cannot have
        acted on it.
    """

    if not TYPE_CHECKING:  # tblib, for example, looks up `__new__` to copy an error
        __new__ = TimeoutError.__new__

    sent: bool = True


class TLSError(CapsuleError):
    """The gateway's certificate could not be verified."""


class ProtocolError(CapsuleError):
    """The response violates the protocol, for example because it is not JSON or lacks a field.

    Attributes
    ----------
    from_gateway : bool
        Whether the response may come from a gateway. A redirect or a web page does not: it may come
        from the login page of a network, for example.
    """

    from_gateway: bool = True


class TooLargeError(CapsuleError):
    """The response, or one event of a stream, is larger than the limit."""


class StreamInterrupted(CapsuleError):  # noqa: N818 - as in KeyboardInterrupt
    """A stream broke before its end.

    Attributes
    ----------
    text : str
        The part of the reply that had arrived.
    """

    text: str = ""


class StreamTimedOut(StreamInterrupted, TimedOutError):  # noqa: N818
    """No data of a stream arrived in time.

    Attributes
    ----------
    text : str
        The part of the reply that had arrived.
    """
