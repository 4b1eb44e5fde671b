"""A bar for a reading that takes long; none for a short one, nor where nobody looks."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from cpsl_notebook.front_end import front_end

__all__ = ["Reading", "reading"]

_OPTIONS: dict[str, Any] = {
    "delay": 1.0,  # seconds before it appears
    "miniters": 0,  # however few bytes have come since
    "unit": "B",
    "unit_scale": True,
}


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0  # else tqdm starts a thread, and a program that forks is warned of it


class Reading:
    """What is being read, and how far it is.

    Parameters
    ----------
    bar
        The bar that shows it.
    parts
        How many parts there are.
    """

    def __init__(self, bar: _Bar, parts: int) -> None:
        self._bar = bar
        self._parts = parts
        self._begun = 0

    def begin(self, part: str) -> None:
        """Go on to the next part."""
        self._begun += 1
        which = f" ({self._begun} of {self._parts})" if self._parts > 1 else ""
        self._bar.set_description_str(f"Reading {part}{which}", refresh=False)
        self.received(0, None)

    def received(self, size: int, total: int | None) -> None:
        """Take note of how many bytes of this part are there, and of how many there will be."""
        self._bar.total = total
        self._bar.update(size - self._bar.n)


@contextlib.contextmanager
def reading(parts: int) -> Iterator[Reading]:
    """Show a bar while something is read.

    It is text, so that it stays readable in a saved notebook, where a widget would be dead. A
    terminal is cleared of it in the end.

    Parameters
    ----------
    parts
        How many parts there are; apps, say.
    """
    shown: dict[str, dict[str, Any]] = {
        "captured": {"disable": True},
        "headless": {"disable": True},
        "text": {"disable": None, "leave": False},  # None: unless it is no terminal
        "widget": {"file": sys.stdout},  # what goes to stderr looks like an error there
    }
    with _Bar(**_OPTIONS, **shown[front_end()]) as bar:
        yield Reading(bar, parts)
