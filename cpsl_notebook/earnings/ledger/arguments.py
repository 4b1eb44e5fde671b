"""Checks of the types of arguments, so that a wrong one is one readable line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cpsl_notebook.errors import UserError, shown

__all__ = ["as_path", "check_flag", "check_mapping"]


def check_flag(name: str, value: Any) -> None:
    """Raise an error unless the value of a parameter is true or false."""
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} must be True or False, not {shown(value)}.")


def check_mapping(name: str, value: Any, example: str) -> None:
    """Raise an error unless the value of a parameter is a mapping with strings as keys, or ``None``."""
    is_mapping = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if value is not None and not is_mapping:
        raise UserError(f"{name} must be a dict such as {example}, not {shown(value)}.")


def as_path(value: Any, example: str) -> Path:
    """Return a file as a path.

    Examples
    --------
    >>> str(as_path("closed.parquet", "2026-10.parquet"))
    'closed.parquet'
    """
    if isinstance(value, str | os.PathLike) and str(value).strip() and "\0" not in str(value):
        with contextlib.suppress(RuntimeError):  # no such user in "~user"
            return Path(value).expanduser()
    raise UserError(f"path must be the path of a file, such as {example!r}, not {shown(value)}.")
