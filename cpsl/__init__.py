"""Lightweight Python client for apps deployed on Capsule.

Examples
--------
::

    import cpsl

    client = cpsl.Client()
    reply = client.chat("support-ops", "How many threads are waiting for review?")
    print(reply.text)
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, which takes longer to import than all of this
if TYPE_CHECKING:
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
        StreamInterrupted,
        StreamTimedOut,
        TimedOutError,
        TLSError,
        TooLargeError,
    )
    from cpsl.models import ChatResponse, StreamChunk
    from cpsl.stream import Stream
    from cpsl.timeouts import Seconds

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
    "Seconds",
    "Stream",
    "StreamChunk",
    "StreamInterrupted",
    "StreamTimedOut",
    "TLSError",
    "TimedOutError",
    "TooLargeError",
]

__version__ = "0.1.0"

# Imported at the first access, so that the command line starts fast and handles Ctrl-C while it loads.
_MODULES = {
    "ChatResponse": "models",
    "Client": "client",
    "Seconds": "timeouts",
    "Stream": "stream",
    "StreamChunk": "models",
}


if not TYPE_CHECKING:  # otherwise a type checker would accept every name

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
        globals()[name] = value = getattr(module, name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
