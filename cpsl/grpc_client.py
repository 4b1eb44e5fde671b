"""The gateway over gRPC: the list of apps, and the login."""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from requests.utils import get_environ_proxies, select_proxy

from cpsl.call import Call
from cpsl.config import Settings, Token, ca_bundle, is_loopback, proxy_refused
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    GatewayError,
    ProtocolError,
    TimedOutError,
    TLSError,
    TooLargeError,
)
from cpsl.messages import SERVICE, message
from cpsl.network_errors import (
    CLIENT_CERTIFICATE,
    NO_TLS,
    UNTRUSTED,
    call_timed_out,
    connect_timed_out,
    connection_broken,
    read_timed_out,
    set_proxy_status,
)
from cpsl.options import AGENT, Options
from cpsl.responses import error_from_status, parse_retry_after
from cpsl.retry import Failure, with_retries
from cpsl.sanitize import brief
from cpsl.timeouts import Timeout
from cpsl.tracebacks import without_frames


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    """Silence the log of gRPC, unless the user has set its variable.

    Its messages on standard error would repeat the errors of this package. gRPC reads the
    variable once: when it is imported, or up to version 1.70 when the first channel is created.
    """
    if "GRPC_VERBOSITY" in os.environ:
        yield
        return
    os.environ["GRPC_VERBOSITY"] = "NONE"
    try:
        yield
    finally:
        os.environ.pop("GRPC_VERBOSITY", None)


with _without_log_lines():
    import grpc

__all__ = ["call", "list_apps"]

_MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_MAX_INT32 = (1 << 31) - 1  # gRPC's largest option, in bytes or milliseconds
# gRPC has no codes for these: only the details of UNAVAILABLE distinguish them. The last row also has
# the texts of versions before 1.78.
_TLS_FAILURES = (
    (re.compile("WRONG_VERSION_NUMBER|HTTP_REQUEST"), NO_TLS),
    # With TLS 1.3, the refusal arrives after the handshake, and gRPC cannot decrypt it.
    (re.compile("HANDSHAKE_FAILURE|CERTIFICATE_REQUIRED|Unwrap failed"), CLIENT_CERTIFICATE),
    (
        re.compile(
            "SSL_ERROR_SSL|Hostname Verification Check|security handshaker"
            "|is not in peer certificate"  # another host
            "|empty address list"  # the certificate file is invalid
        ),
        UNTRUSTED,
    ),
)
_NOT_CONNECTED = re.compile("failed to connect|resolv|resolution", re.IGNORECASE)
# From google/rpc/code.proto; every other code is a failure of the gateway.
_HTTP_STATUS = {
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


def list_apps(settings: Settings, options: Options, limits: Call) -> list[dict[str, Any]]:
    """Return the ``id``, ``name`` and ``hostname`` of every app of the workspace.

    Raises
    ------
    CapsuleError
        The gateway cannot be reached, or could not list the apps.
    """

    def attempt() -> Any:
        limits.repeatable = True
        seconds = max(0.0, limits.seconds_left)
        error, response = call(
            settings,
            "ListApps",
            {},
            limits.timeout,
            options.allow_insecure,
            options.max_answer_bytes,
            seconds,
            options.agent,
        )
        if isinstance(error, TimedOutError) and limits.seconds_left <= 0:
            limits.sent = error.sent
            error = call_timed_out(settings.grpc_target, limits)
        if error is None and not response.ok:
            reason = brief(settings.redact(response.err_msg)) or "no reason was given"
            error = GatewayError(
                f"The gateway could not list the apps: {reason}. Try again later.", detail=reason
            )
        if error is None:
            return response
        may_have_acted = getattr(error, "sent", True)
        return Failure(error, may_have_acted, retry_after=getattr(error, "retry_after", None))

    response = with_retries(attempt, options.max_retries, limits)
    return [{"id": app.id, "name": app.name, "hostname": app.hostname} for app in response.apps]


def call(
    settings: Settings,
    method: str,
    fields: dict[str, Any],
    timeout: Timeout,
    allow_insecure: bool,
    limit: int = _MAX_RESPONSE_BYTES,
    max_seconds: float = math.inf,
    agent: str = AGENT,
) -> tuple[CapsuleError | None, Any]:
    """Make one unary call.

    Parameters
    ----------
    settings : Settings
        The gateway, and the token to send unless it is empty.
    method : str
        The name of the method.
    fields : dict
        The fields of the request.
    timeout : Timeout
        The time limits.
    allow_insecure : bool
        Whether the token may be sent unencrypted to another machine.
    limit : int
        The largest response, in bytes.
    max_seconds : float
        A further limit of the whole call, in seconds.
    agent : str
        The prefix of gRPC's user agent.

    Returns
    -------
    error : CapsuleError or None
        The error. The caller raises it, because the frames of this function hold the token.
    response : object
        The response message; ``None`` after an error.
    """
    if not _is_secure(settings) and not is_loopback(_host(settings)) and not allow_insecure:
        return CredentialsError(
            f"{settings.grpc_target} would receive the token unencrypted: use port 443, or set "
            "CAPSULE_ALLOW_INSECURE=1 if you trust that network."
        ), None
    metadata = (("authorization", Token(f"Bearer {settings.token}")),) if settings.token else ()
    began = time.monotonic()
    try:
        # In a thread: gRPC can lose an interrupt that arrives while it waits. Leaving the block
        # closes the channel, which ends the call.
        with ThreadPoolExecutor(1) as pool, _channel(settings, limit, timeout, agent) as channel:
            rpc: Any = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=message(f"{method}Response").FromString,
            )
            request = message(f"{method}Request")(**fields)
            seconds = min(timeout.connect + timeout.read, max_seconds)
            return None, pool.submit(rpc, request, metadata=metadata, timeout=seconds).result()
    except grpc.RpcError as caught:
        error = _map_error(caught, settings, timeout, time.monotonic() - began)
        if isinstance(error, CannotConnectError | TimedOutError | TLSError):
            # Not the caught exception, whose frames and text may hold the token.
            details = brief(settings.redact(caught.details() or ""))
            error.__cause__ = grpc.RpcError(f"{caught.code().name}: {details}")
        return error, None
    except CapsuleError as caught:
        return without_frames(caught), None
    except BaseException as caught:  # for example an interrupt
        escaped = without_frames(caught)
    raise escaped


def _channel(settings: Settings, limit: int, timeout: Timeout, agent: str) -> grpc.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", agent),
        ("grpc.max_receive_message_length", min(limit, _MAX_INT32)),
        # This also limits an attempt to connect.
        ("grpc.min_reconnect_backoff_ms", min(int(timeout.connect * 1000), _MAX_INT32)),
    ]
    # Chosen as for HTTP: gRPC itself reads only the lower-case variables.
    url = f"https://{settings.grpc_target}"
    proxy = None if is_loopback(_host(settings)) else select_proxy(url, get_environ_proxies(url))
    options.append(("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0))
    with _without_log_lines():
        if not _is_secure(settings):
            return grpc.insecure_channel(settings.grpc_target, options)
        bundle = ca_bundle()
        roots = _certificates(Path(bundle)) if bundle else None
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
        return grpc.secure_channel(settings.grpc_target, credentials, options)


def _certificates(path: Path) -> bytes | None:
    """Return the certificates of a file, or of every file in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    # Each once: `openssl rehash` adds links to the files.
    pems = {file.resolve(): None for file in files if file.is_file()}
    return b"\n".join(file.read_bytes() for file in pems) or None


def _is_secure(settings: Settings) -> bool:
    return settings.grpc_target.endswith(":443")


def _host(settings: Settings) -> str:
    return settings.grpc_target.rpartition(":")[0]


def _map_error(
    caught: grpc.RpcError, settings: Settings, timeout: Timeout, seconds: float
) -> CapsuleError:
    """Return this package's error for a gRPC error that was raised after *seconds*."""
    code, target, details = caught.code(), settings.grpc_target, caught.details() or ""
    detail = brief(settings.redact(details))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" in detail:
        return TooLargeError(
            f"The response from {target} is too large ({detail}): raise max_answer_bytes."
        )
    reason = detail.rpartition("last error: ")[2]
    for pattern, text in _TLS_FAILURES:
        if code is grpc.StatusCode.UNAVAILABLE and pattern.search(details):
            return TLSError(text.format(where=target, reason=reason), detail=detail)
    if code is grpc.StatusCode.UNAVAILABLE and _NOT_CONNECTED.search(details):
        if seconds >= timeout.connect:
            return connect_timed_out(target, timeout)
        if "response code 407" in reason:
            unreachable = proxy_refused(f"https://{target}", target, reason)
        else:
            unreachable = CannotConnectError(
                f"Cannot connect to a gRPC gateway at {target} ({reason}): check that it is running, "
                "and check the address and the network."
            )
        unreachable.detail = detail or None
        set_proxy_status(unreachable, reason)
        return unreachable
    error = _error_from_status(code, detail, caught, settings, timeout)
    error.detail = detail or None
    return error


def _error_from_status(
    code: grpc.StatusCode, detail: str, caught: grpc.RpcError, settings: Settings, timeout: Timeout
) -> CapsuleError:
    """Return the error of a call that reached the gateway."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return read_timed_out(settings.grpc_target, timeout)
    if code is grpc.StatusCode.UNAVAILABLE:
        return connection_broken(settings.grpc_target)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ProtocolError(f"{settings.grpc_target} is not a Capsule gateway: check the address.")
    waits = [m.value for m in caught.trailing_metadata() or () if m.key == "retry-after"]
    status = _HTTP_STATUS.get(code, 500)
    if status == 500:
        detail = f"{code.name}, {detail}"
    retry_after = parse_retry_after(str(waits[0])) if waits else None
    error = error_from_status(status, detail, retry_after, settings)
    error.status = status
    return error
