"""Reproducible outputs: without times, ids, ports and folders, so they are the same everywhere.

Turned on by ``%config CapsuleMagics.reproducible = True`` in a notebook, or by the environment
variable ``CAPSULE_REPRODUCIBLE=1`` for scripts and notebooks that should not be edited. The setting
holds for the whole process. Code that shows one of these values asks `is_reproducible` first.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

__all__ = ["hide_values", "is_reproducible", "local_url", "set_reproducible", "shown_path", "warn"]

_PORT = re.compile(r"(https?://(?:127\.0\.0\.1|localhost):)\d+")
_setting: bool | None = None  # what the notebook has set; None: use the environment variable


def is_reproducible() -> bool:
    """Return whether outputs leave out what differs between two executions."""
    if _setting is not None:
        return _setting
    return os.environ.get("CAPSULE_REPRODUCIBLE", "") not in ("", "0")


def set_reproducible(value: bool | None) -> None:
    """Turn reproducible outputs on or off; ``None`` uses ``CAPSULE_REPRODUCIBLE``."""
    global _setting
    _setting = value


def shown_path(path: Path) -> str:
    """Return a path to print: only the file name if outputs are reproducible."""
    return path.name if is_reproducible() else str(path)


class _LocalUrl(str):
    """A URL of the local workspace that is shown with an ellipsis instead of its port."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(_PORT.sub(r"\1…", self, count=1)) if is_reproducible() else super().__repr__()


def local_url(url: str) -> str:
    """Return a URL; that of a port of this machine is shown without it in reproducible outputs."""
    return _LocalUrl(url) if _PORT.match(url) else url


def hide_values(columns: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return columns of which those with the given names are missing if outputs are reproducible."""
    if not is_reproducible():
        return columns
    import pandas as pd

    series = {name: pd.Series(columns[name]) for name in names}
    return columns | {name: each.where(each.isna()).array for name, each in series.items()}


def warn(message: str, stacklevel: int) -> None:
    """Issue a warning as `warnings.warn` does; for reproducible outputs, without a line of code.

    The file of a notebook's cell has the id of the kernel's process in its name.
    """
    if is_reproducible():
        warnings.warn_explicit(message, UserWarning, "cpsl_notebook", 0)
    else:
        warnings.warn(message, stacklevel=stacklevel + 1)
