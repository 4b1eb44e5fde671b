"""Progress bars, shown only if the work is slow and the output is visible."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from cpsl_notebook.front_end import FrontEnd, front_end
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["Bar", "progress_bar", "row_progress"]

_OPTIONS: dict[str, Any] = {
    "delay": 1.0,  # seconds before the bar appears
    "miniters": 0,  # update after any number of bytes
}


class Bar(tqdm):  # type: ignore[type-arg]
    """A progress bar of text."""

    monitor_interval = 0  # no monitor thread: a process with threads gets a warning when it forks


def progress_bar(**options: Any) -> Bar:
    r"""Return a progress bar for this front end, which appears after a second.

    The bar is text, because a widget does not work in a saved notebook. It is removed from a
    terminal at the end.

    Parameters
    ----------
    \**options : object
        Options of `tqdm.tqdm`, such as ``total`` and ``unit``.

    Returns
    -------
    Bar
        The bar, which is hidden if the output is not visible.
    """
    by_front_end: dict[FrontEnd, dict[str, Any]] = {
        "text": {"disable": None, "leave": False},  # None disables it if stderr is not a terminal
        # Notebooks show stderr like an error. Whether the bar appears depends on the time.
        "widget": {"file": sys.stdout, "disable": is_reproducible()},
        "console": {"file": sys.stdout},
    }
    return Bar(**_OPTIONS, **by_front_end.get(front_end(), {"disable": True}), **options)


@contextlib.contextmanager
def row_progress(description: str, rows: int) -> Iterator[Callable[[int], object]]:
    """Show a progress bar while the block handles rows.

    Parameters
    ----------
    description : str
        What the block does, such as ``"Writing"``.
    rows : int
        Number of rows.

    Yields
    ------
    callable
        Function to call with the number of rows that have been handled since the last call.
    """
    with progress_bar(unit=" rows", unit_scale=True, desc=description, total=rows) as bar:
        yield bar.update
