"""What can go wrong, as exceptions."""

from __future__ import annotations

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
    """Base of every error that this package raises.

    The whole tree (in brackets, what a class is besides)::

        CapsuleError [RuntimeError]
        ├── CredentialsError          no token, or a token and a gateway that do not belong together
        ├── AuthenticationError       401: the gateway refused the token
        ├── PermissionDeniedError     403: the token may not do this
        ├── NotFoundError             404
        │   └── AppNotFoundError      no app of that name or id [ValueError]
        ├── RateLimitedError          429, after the retries that were allowed
        ├── InvalidRequestError       any other 4xx, or a request that cannot be made
        ├── GatewayError              5xx, or an error that the service reported in its answer
        ├── CannotConnectError        no connection, or it broke [ConnectionError]
        ├── TimedOutError             no connection or no byte in time [TimeoutError]
        ├── TLSError                  the gateway's certificate could not be verified
        ├── ProtocolError             an answer that is not what the protocol says
        ├── TooLargeError             an answer above the size limit
        └── StreamInterrupted         a stream that broke off after it had begun
            └── StreamTimedOut        by a silence longer than was allowed [TimedOutError]

    Parameters
    ----------
    message
        One line that says what happened and what to do next.
    status
        The HTTP status, where there was an answer; of gRPC, the one that its code stands for.
    request_id
        The service's id of the request, where it gave one.
    detail
        The service's own message, where it gave one.

    Notes
    -----
    A `CannotConnectError` and a `TimedOutError` say in ``sent`` whether any of the request may have
    reached the service; where none has, it cannot have acted on it.

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
    """There is no token, or it does not belong to the gateway that was asked for."""


class AuthenticationError(CapsuleError):
    """The gateway refused the token (401)."""


class PermissionDeniedError(CapsuleError):
    """The token is valid but may not do this (403)."""


class NotFoundError(CapsuleError):
    """The gateway knows no such thing (404)."""


class AppNotFoundError(NotFoundError, ValueError):
    """The workspace has no app of that name or id; ``matches`` names the nearest ones."""

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
    """The gateway refused the request for now (429); ``retry_after`` is in seconds, if it said."""

    retry_after: float | None = None


class InvalidRequestError(CapsuleError):
    """The gateway refused the request as it is (4xx), or it cannot be made at all."""


class GatewayError(CapsuleError):
    """The service failed (5xx), or reported an error in its answer."""


class CannotConnectError(CapsuleError, ConnectionError):
    """No connection to the gateway could be made, or it broke before the answer was whole.

    ``sent`` is true where any of the request may have reached the service.
    """

    sent: bool = False


class TimedOutError(CapsuleError, TimeoutError):
    """The gateway did not connect or answer in time.

    ``sent`` is true where any of the request may have reached the service.
    """

    sent: bool = True


class TLSError(CapsuleError):
    """The gateway's certificate could not be verified."""


class ProtocolError(CapsuleError):
    """The answer is not what the protocol says: not JSON, not an event stream, a missing field."""


class TooLargeError(CapsuleError):
    """The answer, or one event of a stream, is larger than the limit."""


class StreamInterrupted(CapsuleError):  # noqa: N818 - no error of the caller's, as KeyboardInterrupt
    """A stream broke off before its end; ``text`` is what had arrived."""

    text: str = ""


class StreamTimedOut(StreamInterrupted, TimedOutError):  # noqa: N818
    """A stream was silent for longer than was allowed; ``text`` is what had arrived."""
