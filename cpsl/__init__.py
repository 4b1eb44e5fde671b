"""cpsl: the light Python client for apps deployed on Capsule.

Examples
--------
::

    import cpsl

    client = cpsl.Client()
    reply = client.chat("support-ops", "How many threads are waiting for review?")
    print(reply.text)
"""

from cpsl.client import Client
from cpsl.errors import (
    AppNotFoundError,
    AuthenticationError,
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    StreamInterruptedError,
    StreamTimedOutError,
    TimedOutError,
    TLSError,
    TooLargeError,
)
from cpsl.models import ChatResponse, StreamChunk
from cpsl.stream import Stream

__all__ = [
    "AppNotFoundError",
    "AuthenticationError",
    "CannotConnectError",
    "CapsuleError",
    "ChatResponse",
    "Client",
    "CredentialsError",
    "GatewayError",
    "InvalidRequestError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitedError",
    "Stream",
    "StreamChunk",
    "StreamInterruptedError",
    "StreamTimedOutError",
    "TLSError",
    "TimedOutError",
    "TooLargeError",
]
