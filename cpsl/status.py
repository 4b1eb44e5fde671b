"""Errors from status codes: what an answer that is no success means to the user."""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from cpsl.config import Settings
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

__all__ = ["error_from_response", "one_line", "refused_token", "service_message"]

_LONGEST_DETAIL = 300  # characters of the service's own message
_LARGEST_ERROR = 64 * 1024  # bytes


def error_from_response(response: requests.Response, settings: Settings) -> CapsuleError:
    """Return the error that an answer with a status of 300 or more stands for."""
    status = response.status_code
    detail = _detail(response).replace(settings.token, "[token]")
    said = f": {detail}" if detail else ""
    error: CapsuleError
    if status == 401:
        error = refused_token(settings)
    elif status == 403:
        error = PermissionDeniedError(
            f"The token may not do this{said}. Use one of the app's workspace."
        )
    elif status == 404:
        error = NotFoundError(f"Not found{said}. list_apps() names what is there.")
    elif status == 429:
        error = _rate_limited(response, said)
    elif status >= 500:
        error = GatewayError(f"The gateway failed ({status}){said}. Try again in a while.")
    elif status >= 400:
        error = InvalidRequestError(f"The gateway refused the request ({status}){said}")
    else:
        error = ProtocolError(
            f"{settings.http_url} answered with a redirect ({status}), which is not followed: "
            "check gateway_url."
        )
    error.status = status
    error.request_id = response.headers.get("X-Request-Id")
    error.detail = detail or None
    return error


def refused_token(settings: Settings) -> AuthenticationError:
    """Return the error of a token that the gateway does not accept."""
    return AuthenticationError(
        f"{settings.http_url} refused the token from {settings.source}: run `capsule login`, or "
        "give a valid one.",
        status=401,
    )


def service_message(answer: Any) -> str:
    """Find the service's own message in a JSON answer; empty where there is none."""
    if not isinstance(answer, dict):
        return ""
    for key in ("error", "message", "detail", "err_msg"):
        value = answer.get(key)
        if isinstance(value, str) and value:
            return one_line(value)
        if isinstance(value, dict) and (inner := service_message(value)):
            return inner
    return ""


def one_line(text: str) -> str:
    """Bring foreign text to one short line without control characters."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", " ", text).split())
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def _detail(response: requests.Response) -> str:
    try:
        body = response.raw.read(_LARGEST_ERROR, decode_content=True)
    except (HTTPError, OSError):
        return ""
    try:
        return service_message(json.loads(body))
    except ValueError:
        plain = response.headers.get("Content-Type", "").startswith("text/plain")
        return one_line(body.decode("utf-8", "replace")) if plain else ""


def _rate_limited(response: requests.Response, said: str) -> RateLimitedError:
    seconds = _retry_after(response.headers.get("Retry-After", ""))
    when = "in a while" if seconds is None else f"in {seconds:g} s"
    error = RateLimitedError(f"The gateway asks for fewer requests{said}. Try again {when}.")
    error.retry_after = seconds
    return error


def _retry_after(value: str) -> float | None:
    """Read seconds or an HTTP date (RFC 9110, section 10.2.3)."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
