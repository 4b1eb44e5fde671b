"""Errors from answers: what one that is no success means to the user."""

from __future__ import annotations

import email.utils
import json
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
from cpsl.retry import Failure
from cpsl.sanitize import brief

__all__ = [
    "LARGEST_ERROR",
    "about",
    "content_type",
    "error_of_status",
    "failure_from_response",
    "rate_limited",
    "refused_token",
    "reported_error",
    "request_id",
    "required",
    "seconds_to_wait",
    "service_message",
    "whole",
]

LARGEST_ERROR = 64 * 1024  # bytes
_MESSAGES = ("error", "message", "detail", "err_msg")
_ONLY_IN_ERRORS = frozenset({*_MESSAGES, "ok", "status", "code", "type", "request_id"})


def failure_from_response(response: requests.Response, settings: Settings) -> Failure:
    """Return what an answer with a status of 300 or more stands for."""
    status = response.status_code
    answer = _answer(response)
    detail = service_message(answer, settings)
    retry_after = seconds_to_wait(response.headers.get("Retry-After", ""))
    error = error_of_status(status, f": {detail}" if detail else "", retry_after, settings)
    error.detail = detail or None
    about(error, response, settings, answer)
    return Failure(error, may_have_acted=status != 429, retry_after=retry_after)


def about(
    error: CapsuleError, response: requests.Response, settings: Settings, answer: Any = None
) -> None:
    """Give an error the status and the request id of the answer that it is about."""
    error.status = error.status or response.status_code
    error.request_id = error.request_id or request_id(response, settings, answer) or None


def request_id(response: requests.Response, settings: Settings, answer: Any = None) -> str:
    """Return the request id of an answer's headers, else of its JSON; empty where there is none."""
    found = response.headers.get("X-Request-Id")
    if not found and isinstance(answer, dict):
        found = answer.get("request_id")
    return brief(settings.without_token(str(found or "")))


def content_type(response: requests.Response, settings: Settings) -> str:
    """Return the content type of an answer, to be shown."""
    return brief(settings.without_token(response.headers.get("Content-Type", "no content type")))


def reported_error(answer: Any, settings: Settings) -> GatewayError | None:
    """Return the error that an answer with a status of success consists of, if it does."""
    said = service_message(answer, settings)
    if not said or not answer.keys() <= _ONLY_IN_ERRORS:
        return None
    return GatewayError(
        f"The service reported an error: {said}. Try again in a while.", detail=said
    )


def refused_token(settings: Settings) -> AuthenticationError:
    """Return the error of a token that the gateway does not accept."""
    return AuthenticationError(
        f"{settings.http_url} refused the token from {settings.source}: run `cpsl login`, or "
        "give a valid one.",
        status=401,
    )


def rate_limited(said: str, retry_after: float | None) -> RateLimitedError:
    """Return the error of a request that was refused for now."""
    when = "in a while" if retry_after is None else f"in {retry_after:g} s"
    error = RateLimitedError(
        f"The gateway asks for fewer requests{said}. Try again {when}.", status=429
    )
    error.retry_after = retry_after
    return error


def seconds_to_wait(value: str) -> float | None:
    """Read the seconds or the HTTP date of a ``Retry-After`` (RFC 9110, section 10.2.3)."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def service_message(answer: Any, settings: Settings) -> str:
    """Find the service's own message in a JSON answer; empty where there is none."""
    if not isinstance(answer, dict):
        return ""
    values = [answer.get(key) for key in _MESSAGES]
    values += [_listed(value) for value in values if isinstance(value, list)]
    values += [value.get(key) for value in values if isinstance(value, dict) for key in _MESSAGES]
    said = next((value for value in values if isinstance(value, str) and value), "")
    return brief(settings.without_token(said))


def _listed(faults: list[Any]) -> str:
    """Read what FastAPI says of a request: ``[{"loc": …, "msg": …}, …]``."""
    said = [fault.get("msg") for fault in faults if isinstance(fault, dict)]
    return "; ".join(message for message in said if isinstance(message, str))


def whole(answer: Any, what: str, kind: type | tuple[type, ...] = dict) -> None:
    """Refuse an answer that is no JSON object, or nothing else that it may be."""
    if not isinstance(answer, kind):
        raise ProtocolError(f"The {what} answer is no JSON object: check gateway_url.")


def required(answer: Any, key: str, kind: type, what: str) -> None:
    """Refuse an answer without a field that it must have."""
    whole(answer, what)
    if not isinstance(answer.get(key), kind):
        raise ProtocolError(f"The {what} answer has no valid {key!r}: check gateway_url.")


def error_of_status(
    status: int, said: str, retry_after: float | None, settings: Settings
) -> CapsuleError:
    """Return the error that an HTTP status stands for, with what the service said of it."""
    if status == 401:
        return refused_token(settings)
    if status == 403:
        return PermissionDeniedError(
            f"The token may not do this{said}. Use one of the app's workspace."
        )
    if status == 404:
        return NotFoundError(f"Not found{said}. list_apps() names what is there.")
    if status == 429:
        return rate_limited(said, retry_after)
    if status >= 500:
        return GatewayError(f"The gateway failed ({status}){said}. Try again in a while.")
    if status >= 400:
        return InvalidRequestError(
            f"The gateway refused the request ({status}){said}. Check what was sent."
        )
    return ProtocolError(
        f"{settings.http_url} answered with a redirect ({status}), which is not followed: "
        "check gateway_url."
    )


def _answer(response: requests.Response) -> Any:
    """Read the JSON of an answer that is no success; plain text counts as its message."""
    try:
        body = response.raw.read(LARGEST_ERROR, decode_content=True)
    except (HTTPError, OSError):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        plain = response.headers.get("Content-Type", "").startswith("text/plain")
        return {"message": body.decode("utf-8", "replace")} if plain else None
