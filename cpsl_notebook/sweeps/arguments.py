"""Checks of the arguments of a sweep, made before anything is sent or stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cpsl_notebook.errors import UsageError, shown
from cpsl_notebook.prompt.request import check_timeout

__all__ = ["check_arguments"]


def check_arguments(**arguments: Any) -> None:
    """Check the arguments of `sweep` by name; the data, the prompts and the store are not checked.

    Raises
    ------
    UsageError
        An argument has a wrong type or value, or two of them contradict each other.

    Examples
    --------
    >>> check_arguments(repeat=0)
    Traceback (most recent call last):
    ...
    cpsl_notebook.errors.UsageError: repeat must be an integer of at least 1, not 0.
    """
    for name, value in arguments.items():
        if name in _FLAGS and not isinstance(value, bool):
            raise UsageError(f"{name} must be True or False, not {shown(value)}.")
        is_valid, wanted = _RULES.get(name, (None, ""))
        if is_valid is not None and not is_valid(value):
            raise UsageError(f"{name} must be {wanted}, not {shown(value)}.")
    check_timeout(arguments.get("timeout"))
    if arguments.get("json") and arguments.get("table"):
        raise UsageError("json= and table= cannot be combined: omit one of them.")
    if arguments.get("resend_unparsed") and arguments.get("session") is not None:
        raise UsageError("resend_unparsed= cannot be combined with session=: omit one of them.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_rate(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and 0 < float(value) < float("inf"))  # type: ignore[arg-type]


def _are_apps(value: object) -> bool:
    if isinstance(value, str):
        return True  # empty for the default
    if not isinstance(value, list) or not all(isinstance(app, str) and app for app in value):
        return False
    return 0 < len(value) == len(set(value))


def _is_client(value: object) -> bool:
    methods = (getattr(value, name, None) for name in ("stream", "chat"))
    return value is None or (not isinstance(value, type) and any(map(callable, methods)))


_FLAGS = {
    *("json", "table", "keep", "resend_unknown", "resend_unparsed", "stream", "send_token", "raw"),
    *("progress", "dry_run"),
}
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "app": (_are_apps, "the name or id of an app, or a list of different ones"),
    "session": (lambda value: value is None or isinstance(value, str | int), "a column's name"),
    "repeat": (_is_count, "an integer of at least 1"),
    "max_active": (_is_count, "an integer of at least 1"),
    "max_failures": (lambda value: value is None or _is_count(value), "an integer of at least 1"),
    "rpm": (_is_rate, "a number above 0"),
    "prefix": (lambda value: isinstance(value, str), "a string"),
    "on_error": (
        lambda value: isinstance(value, str) and value in ("continue", "raise"),
        "'continue' or 'raise'",
    ),
    "client": (_is_client, "a cpsl_notebook.Client or cpsl.Client"),
    "namespace": (
        lambda value: value is None or isinstance(value, Mapping),
        "a mapping of names to values",
    ),
}
