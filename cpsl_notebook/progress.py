"""Progress bar for reading payments, shown only if reading is slow and the output is visible."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from cpsl_notebook.front_end import front_end
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["ReadingProgress", "reading_progress"]

_OPTIONS: dict[str, Any] = {
    "delay": 1.0,  # seconds before the bar appears
    "miniters": 0,  # update however few bytes arrived
    "unit": "B",
    "unit_scale": True,
}


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0  # no monitor thread: a process with threads gets a warning when it forks


class ReadingProgress:
    """Progress of reading, part by part.

    Parameters
    ----------
    bar : tqdm.tqdm
        Bar that shows the progress.
    parts : int
        Number of parts.
    """

    def __init__(self, bar: _Bar, parts: int) -> None:
        self._bar = bar
        self._parts = parts
        self._begun = 0

    def begin(self, part: str) -> None:
        """Start the next part."""
        self._begun += 1
        position = f" ({self._begun} of {self._parts})" if self._parts > 1 else ""
        self._bar.set_description_str(f"Reading {part}{position}", refresh=False)
        self.update(0, None)

    def update(self, size: int, total: int | None) -> None:
        """Set the number of bytes received of this part, and its size if that is known."""
        self._bar.total = total
        self._bar.update(size - self._bar.n)


@contextlib.contextmanager
def reading_progress(parts: int) -> Iterator[ReadingProgress]:
    """Show a progress bar while the block reads.

    The bar is text, because a widget does not work in a saved notebook. It is removed from a
    terminal at the end.

    Parameters
    ----------
    parts : int
        Number of parts to read, such as apps.

    Yields
    ------
    ReadingProgress
        Progress to report to.
    """
    options: dict[str, dict[str, Any]] = {
        "captured": {"disable": True},
        "headless": {"disable": True},
        "text": {"disable": None, "leave": False},  # None disables it if stderr is not a terminal
        # Notebooks show stderr like an error. Whether the bar appears depends on the time.
        "widget": {"file": sys.stdout, "disable": is_reproducible()},
    }
    with _Bar(**_OPTIONS, **options[front_end()]) as bar:
        yield ReadingProgress(bar, parts)
