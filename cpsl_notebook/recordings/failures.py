"""Errors in a recording: described as JSON, and raised again as the same kind of error."""

from __future__ import annotations

import builtins
from typing import Any

from cpsl_notebook import errors
from cpsl_notebook.cpsl_package import cpsl_class

__all__ = ["describe_error", "make_error"]

# The attributes of `cpsl-client` errors.
_ATTRIBUTES = (
    *("status", "request_id", "detail", "retry_after", "sent", "text", "matches"),
    "from_gateway",
)
# The built-in kinds, most specific first.
_KINDS = ("ConnectionError", "TimeoutError", "OSError", "ValueError", "LookupError", "TypeError")
# Which class of `cpsl-client` stands for an HTTP status that the official SDK reported.
_OF_STATUS = {
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    429: "RateLimitedError",
}


def describe_error(error: Exception) -> dict[str, Any]:
    """Return an error as JSON: ``type``, ``bases``, ``message`` and the attributes it has."""
    bases = [base.__name__ for base in type(error).__mro__ if base not in (object, BaseException)]
    described: dict[str, Any] = {"type": bases[0], "bases": bases[1:], "message": str(error)}
    if isinstance(error, errors.UserError):
        return described | {"label": error.label}
    known = {name: getattr(error, name, None) for name in _ATTRIBUTES}
    known["status"] = _status(error)
    return described | {name: value for name, value in known.items() if value is not None}


def make_error(described: dict[str, Any]) -> Exception:
    """Return the error that `describe_error` described.

    With ``cpsl-client`` it has the same class. With the official SDK, or if the error was recorded
    with the official SDK, it has the nearest class: that of ``cpsl-client`` for the HTTP status,
    else a built-in class.
    """
    message = str(described.get("message", ""))
    names = [str(described.get("type", "")), *described.get("bases", [])]
    if "UserError" in names:
        of_ours: type[errors.UserError] = getattr(errors, names[0], errors.UserError)
        return of_ours(message, label=str(described.get("label", "")))
    error = _error_class(names, described.get("status"))(message)
    for name in _ATTRIBUTES:
        if name in described:
            value = described[name]
            setattr(error, name, tuple(value) if name == "matches" else value)
    return error


def _error_class(names: list[str], status: Any) -> type[Exception]:
    found: list[Any] = [cpsl_class(name) for name in names]
    if isinstance(status, int) and status >= 400:
        of_range = "GatewayError" if status >= 500 else "InvalidRequestError"
        found.append(cpsl_class(_OF_STATUS.get(status, of_range)))
    for candidate in found:
        if isinstance(candidate, type) and issubclass(candidate, Exception):
            return candidate
    name = next((kind for kind in _KINDS if kind in names), "RuntimeError")
    built_in: type[Exception] = getattr(builtins, name)
    return built_in


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error; the official SDK has it in the cause of its error."""
    for candidate in (error, error.__cause__):
        for name in ("status", "code"):
            value = getattr(candidate, name, None)
            if type(value) is int:
                return value
    return None
