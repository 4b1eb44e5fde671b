"""gRPC to the gateway: which apps there are, and the browser login."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import grpc

from cpsl.config import Settings, is_loopback
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    GatewayError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    TimedOutError,
)
from cpsl.messages import SERVICE, message
from cpsl.status import one_line, refused_token
from cpsl.transport import Timeout, ca_bundle

__all__ = ["call", "list_apps"]

_LARGEST_ANSWER = 64 * 1024 * 1024
_FIRST_DELAY = 0.5  # seconds


def list_apps(
    settings: Settings, timeout: Timeout, max_retries: int, allow_insecure: bool
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
    for tried in range(max_retries + 1):
        error, answer = call(settings, "ListApps", {}, timeout, allow_insecure)
        if error is None:
            break
        if tried == max_retries or not isinstance(error, CannotConnectError | RateLimitedError):
            raise error
        time.sleep(random.uniform(0, _FIRST_DELAY * 2**tried))  # noqa: S311 - full jitter
    if not answer.ok:
        raise GatewayError(f"The gateway did not list the apps: {one_line(answer.err_msg)}")
    return [{"id": app.id, "name": app.name, "hostname": app.hostname} for app in answer.apps]


def call(
    settings: Settings,
    method: str,
    fields: dict[str, Any],
    timeout: Timeout,
    allow_insecure: bool,
) -> tuple[CapsuleError | None, Any]:
    """Make one unary call; return what went wrong, or ``None`` and the answer.

    The error is returned, for the caller to raise: outside this function's frames, which hold the
    token among their variables.
    """
    if not _secure(settings) and not is_loopback(_host(settings)) and not allow_insecure:
        return _in_the_clear(settings), None
    metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else ()
    try:
        with _channel(settings) as channel:
            rpc: Any = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=message(f"{method}Response").FromString,
            )
            request = message(f"{method}Request")(**fields)
            return None, rpc(request, metadata=metadata, timeout=timeout.connect + timeout.read)
    except grpc.RpcError as caught:
        return _error_from(caught, settings), None


def _channel(settings: Settings) -> grpc.Channel:
    options = [
        ("grpc.max_receive_message_length", _LARGEST_ANSWER),
        ("grpc.enable_http_proxy", 0 if is_loopback(_host(settings)) else 1),
    ]
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


def _error_from(caught: grpc.RpcError, settings: Settings) -> CapsuleError:
    code, target = caught.code(), settings.grpc_target
    said = one_line(caught.details() or "")
    if settings.token:
        said = said.replace(settings.token, "[token]")
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return refused_token(settings)
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDeniedError(f"The token may not list apps: {said}", status=403)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RateLimitedError(f"{target} asks for fewer requests: {said}", status=429)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOutError(f"{target} did not answer in time: try again.")
    if code is grpc.StatusCode.UNAVAILABLE:
        return CannotConnectError(
            f"No gRPC gateway answers at {target}: check that it is running, the address and the "
            "network."
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ProtocolError(f"{target} is no Capsule gateway: check the address.")
    return GatewayError(f"The gateway failed ({code.name}): {said}. Try again in a while.")
