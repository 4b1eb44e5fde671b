"""HTTP responses: their errors, ids and messages, and checks of what they contain."""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import Any

import requests
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from cpsl.config import Settings, proxy_refused
from cpsl.errors import (
    AuthenticationError,
    CapsuleError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
)
from cpsl.retry import Failure
from cpsl.sanitize import brief

__all__ = [
    "MAX_ERROR_BYTES",
    "NETWORK_LOGIN",
    "add_ids",
    "check_encoding",
    "content_type",
    "error_from_status",
    "failure_from_response",
    "has_known_end",
    "is_chunked",
    "no_content",
    "parse_retry_after",
    "refused_token",
    "reported_error",
    "request_id",
    "require_field",
    "require_json",
    "service_message",
]

MAX_ERROR_BYTES = 64 * 1024
NETWORK_LOGIN = 511  # the HTTP status of a network whose login page comes first
_MESSAGE_KEYS = ("error", "message", "detail", "err_msg")
_ERROR_KEYS = frozenset({*_MESSAGE_KEYS, "ok", "status", "code", "type", "request_id"})


def failure_from_response(response: requests.Response, settings: Settings) -> Failure:
    """Return the failure that a response with a status of 300 or more describes."""
    data = _read_error(response)
    detail = service_message(data, settings)
    retry_after = parse_retry_after(response.headers.get("Retry-After", ""))
    if response.status_code == 407:  # a proxy that forwards requests refuses them with a response
        detail = detail or brief(settings.redact(response.reason or ""))
        error: CapsuleError = proxy_refused(settings.http_url, settings.http_url, f"407 {detail}")
        error.__cause__ = requests.exceptions.ProxyError(f"407 {detail}")
    else:
        error = error_from_status(response.status_code, detail, retry_after, settings)
    error.detail = detail or None
    add_ids(error, response, settings, data)
    may_have_acted = response.status_code not in (407, 429)
    return Failure(error, may_have_acted, retry_after=retry_after)


def add_ids(
    error: CapsuleError, response: requests.Response, settings: Settings, data: Any = None
) -> None:
    """Set the attributes of an error from its response, unless they are already set."""
    error.status = error.status or response.status_code
    error.request_id = error.request_id or request_id(response, settings, data) or None
    if isinstance(error, ProtocolError):
        page = response.headers.get("Content-Type", "").lower().startswith("text/html")
        error.from_gateway = not page and not 300 <= response.status_code < 400


def request_id(response: requests.Response, settings: Settings, data: Any = None) -> str:
    """Return the request id of a response's headers, else of its JSON, else an empty string."""
    found = response.headers.get("X-Request-Id")
    if not found and isinstance(data, dict):
        found = data.get("request_id")
    return brief(settings.redact(str(found or "")))


def content_type(response: requests.Response, settings: Settings) -> str:
    """Return the content type of a response, for a message."""
    return brief(settings.redact(response.headers.get("Content-Type", "no content type")))


def has_known_end(response: requests.Response) -> bool:
    """Return whether the headers define where the body ends; else it ends with the connection."""
    return is_chunked(response) or "Content-Length" in response.headers


def is_chunked(response: requests.Response) -> bool:
    """Return whether the body is chunked; responses that tools recorded lack this attribute."""
    return bool(getattr(response.raw, "chunked", False))


def no_content(url: str) -> ProtocolError:
    """Return the error for a response with status 204."""
    return ProtocolError(f"{url} returned no content (204): check the gateway's address.")


def check_encoding(response: requests.Response, settings: Settings) -> None:
    """Raise `ProtocolError` if the body is compressed in a way that cannot be decoded here."""
    encodings = response.headers.get("Content-Encoding", "").lower().split(",")
    known = {"", "identity", *BaseHTTPResponse.CONTENT_DECODERS}
    for encoding in map(str.strip, encodings):
        if encoding not in known:
            shown = brief(settings.redact(encoding))
            raise ProtocolError(
                f"The response is compressed as {shown!r}, which was not requested and cannot be "
                "decoded: check the gateway's address and your proxies."
            )


def reported_error(data: Any, settings: Settings) -> GatewayError | None:
    """Return the error in a JSON response with status 200, if it contains one."""
    detail = service_message(data, settings)
    if not detail or not data.keys() <= _ERROR_KEYS:
        return None
    return GatewayError(f"The service reported an error: {detail}. Try again later.", detail=detail)


def refused_token(settings: Settings) -> AuthenticationError:
    """Return the error for a token that the gateway does not accept."""
    return AuthenticationError(
        f"{settings.http_url} refused the token from {settings.source}: {settings.advice}.",
        status=401,
    )


def parse_retry_after(value: str) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, section 10.2.3), if it is valid."""
    if re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]+)?\s*", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def service_message(data: Any, settings: Settings) -> str:
    """Return the service's own error message in a JSON response; empty if there is none."""
    if not isinstance(data, dict):
        return ""
    values = [data.get(key) for key in _MESSAGE_KEYS]
    values += [_validation_message(value) for value in values if isinstance(value, list)]
    values += [
        value.get(key) for value in values if isinstance(value, dict) for key in _MESSAGE_KEYS
    ]
    message = next((value for value in values if isinstance(value, str) and value), "")
    return brief(settings.redact(message))


def _validation_message(errors: list[Any]) -> str:
    """Join the messages of FastAPI's validation errors: ``[{"loc": …, "msg": …}, …]``."""
    messages = [error.get("msg") for error in errors if isinstance(error, dict)]
    return "; ".join(message for message in messages if isinstance(message, str))


def require_json(data: Any, what: str, kind: type | tuple[type, ...] = dict) -> None:
    """Raise `ProtocolError` unless a response is a JSON object, or a value of type `kind`."""
    if not isinstance(data, kind):
        raise ProtocolError(
            f"The {what} response is not a JSON object: check the gateway's address."
        )


def require_field(data: Any, what: str, key: str, kind: type) -> None:
    """Raise `ProtocolError` unless a response is a JSON object with a field of this type."""
    require_json(data, what)
    if not isinstance(data.get(key), kind):
        raise ProtocolError(
            f"The {what} response has no valid {key!r}: check the gateway's address."
        )


def error_from_status(
    status: int, detail: str, retry_after: float | None, settings: Settings
) -> CapsuleError:
    """Return the error for an HTTP status, with the service's message if there is one."""
    reason = f": {detail}" if detail else ""
    if status == 401:
        return refused_token(settings)
    if status == 403:
        return PermissionDeniedError(
            f"The token does not allow this{reason}. Use a token for the app's workspace."
        )
    if status == 404:
        return NotFoundError(f"Not found{reason}. List the workspace's apps to see what exists.")
    if status == 429:
        when = "later" if retry_after is None else f"in {retry_after:g} s"
        limited = RateLimitedError(f"Too many requests{reason}. Try again {when}.", status=429)
        limited.retry_after = retry_after
        return limited
    if status == NETWORK_LOGIN:
        return GatewayError(
            f"The network requires a login (511){reason}. Open a web page in a browser to log in."
        )
    if status >= 500:
        return GatewayError(f"The gateway failed ({status}){reason}. Try again later.")
    if status >= 400:
        return InvalidRequestError(
            f"The gateway refused the request ({status}){reason}. Check the arguments."
        )
    return ProtocolError(
        f"{settings.http_url} returned a redirect ({status}), which is not followed: check "
        "the gateway's address."
    )


def _read_error(response: requests.Response) -> Any:
    """Return the JSON of an error response; plain text counts as its message."""
    try:
        body = response.raw.read(MAX_ERROR_BYTES, decode_content=True)
    except (HTTPError, OSError):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        plain = response.headers.get("Content-Type", "").startswith("text/plain")
        return {"message": body.decode("utf-8", "replace")} if plain else None
