"""gRPC to the gateway: which apps there are, and the browser login."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from requests.utils import get_environ_proxies, select_proxy

from cpsl.config import Settings, Token, is_loopback
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    GatewayError,
    ProtocolError,
    TLSError,
    TooLargeError,
)
from cpsl.messages import SERVICE, message
from cpsl.network import Timeout, broken, never_accepted, silent
from cpsl.responses import error_of_status, seconds_to_wait
from cpsl.retry import Failure, with_retries, without_frames
from cpsl.sanitize import brief
from cpsl.transport import ca_bundle

__all__ = ["call", "list_apps"]

_LARGEST_ANSWER = 64 * 1024 * 1024  # bytes
_LARGEST_POSSIBLE = (1 << 31) - 1  # bytes or milliseconds; gRPC counts both in 32 bits
_UNTRUSTED = re.compile("SSL_ERROR_SSL|Hostname Verification Check|security handshaker")
_NEVER_CONNECTED = re.compile("failed to connect|resolv|resolution", re.IGNORECASE)
# What google/rpc/code.proto says of each code; what is not here is a failure of the gateway's own.
_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
}


def list_apps(
    settings: Settings,
    timeout: Timeout,
    max_retries: int,
    allow_insecure: bool,
    limit: int = _LARGEST_ANSWER,
) -> list[dict[str, Any]]:
    """Ask the gateway for the workspace's apps.

    Returns
    -------
    list of dict
        ``id``, ``name`` and ``hostname`` of each app.

    Raises
    ------
    CapsuleError
        As `cpsl.CapsuleError` describes them.
    """

    def attempt() -> Any:
        error, answer = call(settings, "ListApps", {}, timeout, allow_insecure, limit)
        if error is None and not answer.ok:
            said = brief(settings.without_token(answer.err_msg)) or "no reason was given"
            error = GatewayError(
                f"The gateway did not list the apps: {said}. Try again in a while.", detail=said
            )
        if error is None:
            return answer
        acted = getattr(error, "sent", True)
        return Failure(error, acted, retry_after=getattr(error, "retry_after", None))

    answer = with_retries(attempt, max_retries, repeatable=True)
    return [{"id": app.id, "name": app.name, "hostname": app.hostname} for app in answer.apps]


def call(
    settings: Settings,
    method: str,
    fields: dict[str, Any],
    timeout: Timeout,
    allow_insecure: bool,
    limit: int = _LARGEST_ANSWER,
) -> tuple[CapsuleError | None, Any]:
    """Make one unary call; return what went wrong, or ``None`` and the answer.

    The error is returned, for the caller to raise: outside this function's frames, which hold the
    token among their variables.
    """
    if not _secure(settings) and not is_loopback(_host(settings)) and not allow_insecure:
        return _in_the_clear(settings), None
    metadata = (("authorization", Token(f"Bearer {settings.token}")),) if settings.token else ()
    began = time.monotonic()
    try:
        # In a thread of its own: while gRPC itself waits, an interrupt can get lost. When one comes,
        # the channel is closed, which ends the call.
        with ThreadPoolExecutor(1) as pool, _channel(settings, limit, timeout) as channel:
            rpc: Any = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=message(f"{method}Response").FromString,
            )
            request = message(f"{method}Request")(**fields)
            patience = timeout.connect + timeout.read
            return None, pool.submit(rpc, request, metadata=metadata, timeout=patience).result()
    except grpc.RpcError as caught:
        return _error_from(caught, settings, timeout, time.monotonic() - began), None
    except CapsuleError as caught:
        return without_frames(caught), None
    except BaseException as caught:  # an interrupt, for one
        escaped = without_frames(caught)
    raise escaped


def _channel(settings: Settings, limit: int, timeout: Timeout) -> grpc.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", min(limit, _LARGEST_POSSIBLE)),
        # Which is also what bounds an attempt to connect.
        ("grpc.min_reconnect_backoff_ms", min(int(timeout.connect * 1000), _LARGEST_POSSIBLE)),
    ]
    # Chosen here, as for HTTP: gRPC itself knows the variables' names in lower case only.
    url = f"https://{settings.grpc_target}"
    proxy = None if is_loopback(_host(settings)) else select_proxy(url, get_environ_proxies(url))
    options.append(("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0))
    if not _secure(settings):
        return grpc.insecure_channel(settings.grpc_target, options)
    bundle = ca_bundle()
    roots = Path(bundle).read_bytes() if bundle and Path(bundle).is_file() else None
    return grpc.secure_channel(
        settings.grpc_target, grpc.ssl_channel_credentials(root_certificates=roots), options
    )


def _secure(settings: Settings) -> bool:
    return settings.grpc_target.endswith(":443")


def _host(settings: Settings) -> str:
    return settings.grpc_target.rpartition(":")[0]


def _in_the_clear(settings: Settings) -> CredentialsError:
    return CredentialsError(
        f"{settings.grpc_target} would carry the token in the clear: use port 443, or pass "
        "allow_insecure=True if that network is trusted."
    )


def _error_from(
    caught: grpc.RpcError, settings: Settings, timeout: Timeout, seconds: float
) -> CapsuleError:
    code, target, told = caught.code(), settings.grpc_target, caught.details() or ""
    said = brief(settings.without_token(told))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" in said:
        return TooLargeError(f"The answer of {target} is too large; allow more ({said}).")
    if code is grpc.StatusCode.UNAVAILABLE and _UNTRUSTED.search(told):
        return TLSError(
            f"The certificate of {target} could not be verified: check the address, or name your "
            "authority's certificates in REQUESTS_CA_BUNDLE."
        )
    if code is grpc.StatusCode.UNAVAILABLE and _NEVER_CONNECTED.search(told):
        if seconds >= timeout.connect:
            return never_accepted(target, timeout)
        return CannotConnectError(
            f"No gRPC gateway answers at {target}: check that it is running, the address and the "
            "network."
        )
    error = _reported(code, said, caught, settings, timeout)
    error.detail = said or None
    return error


def _reported(
    code: grpc.StatusCode, said: str, caught: grpc.RpcError, settings: Settings, timeout: Timeout
) -> CapsuleError:
    """Return the error of a call that got as far as the gateway."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return silent(settings.grpc_target, timeout)
    if code is grpc.StatusCode.UNAVAILABLE:
        return broken(settings.grpc_target)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ProtocolError(f"{settings.grpc_target} is no Capsule gateway: check the address.")
    waits = [m.value for m in caught.trailing_metadata() or () if m.key == "retry-after"]
    status = _STATUS.get(code, 500)
    named = f": {code.name}, {said}" if status == 500 else f": {said}" if said else ""
    error = error_of_status(status, named, seconds_to_wait(str(*waits[:1])), settings)
    error.status = status
    return error
