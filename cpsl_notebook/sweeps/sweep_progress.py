"""The progress of a sweep: a bar where one can be shown, otherwise one line per minute."""

from __future__ import annotations

import sys
import time
from typing import Any

from cpsl_notebook.front_end import front_end
from cpsl_notebook.printing import print_text
from cpsl_notebook.progress import Bar
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["SweepProgress", "duration"]

LINE_INTERVAL = 60.0  # seconds between lines of text
_BAR_INTERVAL = 0.1  # seconds between updates of the bar
# Above this ratio of the time in flight to the time of the request, a row waited for a worker.
_QUEUED = 1.2
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} rows{postfix}"


class SweepProgress:
    """Counts rows and shows the progress of a sweep.

    Parameters
    ----------
    total : int
        The number of rows.
    slots : int
        The number of tasks in flight at full pace.
    rpm : float or None
        The largest number of requests per minute.
    shown : bool
        Whether to show anything.

    Attributes
    ----------
    note : str
        What the sweep is waiting for, such as a rate limit; empty for nothing.
    """

    def __init__(self, total: int, slots: int, rpm: float | None = None, *, shown: bool) -> None:
        self.done = self.failed = 0
        self.note = ""
        self.paused = False
        self._total = total
        self._slots = slots
        self._rpm = rpm
        self._sent = 0  # rows that were sent and have their outcome
        self._took = 0.0  # seconds that their requests took
        self._flights = 0.0  # seconds since they were submitted
        self._began = self._shown_at = self._line_at = time.monotonic()
        where = front_end()
        file = sys.stdout if where == "widget" else sys.stderr
        watched = where == "widget" or (where == "text" and file is not None and file.isatty())
        self._lines = shown and not watched
        self._bar = (
            Bar(desc="Sweep", total=total, file=file, bar_format=_BAR, leave=where == "widget")
            if shown and watched and total
            else None
        )

    def known(self, failed: bool) -> None:
        """Count a row whose outcome was already known."""
        self.done += 1
        self.failed += failed

    def start(self) -> None:
        """Start the clock when the first rows are sent."""
        self._began = time.monotonic()

    def finished(self, failed: bool, took: float, flight: float) -> None:
        """Count a row that was sent.

        Parameters
        ----------
        failed : bool
            Whether it has no answer.
        took : float
            Seconds that its request took.
        flight : float
            Seconds since it was submitted, including the wait for a worker.
        """
        self.known(failed)
        self._sent += 1
        self._took += took
        self._flights += flight

    @property
    def rate(self) -> float:
        """Rows per second; 0 while no row that was sent has its outcome."""
        if not self._sent:
            return 0.0
        if self.paused or self._flights > _QUEUED * self._took:
            # The pace depends on pauses, or on an executor with fewer workers than slots.
            rate = self._sent / max(time.monotonic() - self._began, 1e-9)
        else:
            rate = self._slots * self._sent / max(self._took, 1e-9)
        return min(rate, self._rpm / 60.0) if self._rpm else rate

    @property
    def seconds_left(self) -> float | None:
        """The time until the end, in seconds; ``None`` until it can be estimated."""
        return (self._total - self.done) / self.rate if self._sent else None

    @property
    def text(self) -> str:
        """The numbers as text; without times if outputs are reproducible."""
        parts = [f"{self.failed:,} failed"] if self.failed else []
        if self._sent and not is_reproducible():
            parts += [f"{self.rate:.3g} rows/s", f"{duration(self.seconds_left or 0.0)} left"]
        return ", ".join([*parts, *([self.note] if self.note else [])])

    def show(self) -> None:
        """Show the numbers, unless the last update was too recent."""
        now = time.monotonic()
        if self._bar is not None and now - self._shown_at >= _BAR_INTERVAL:
            self._shown_at = now
            self._draw(self._bar)
        if self._lines and now - self._line_at >= LINE_INTERVAL:
            self._line_at = now
            numbers = f"{self.done:,} of {self._total:,} rows, {self.text}"
            print_text(f"Sweep: {numbers}", "stderr")

    def close(self) -> None:
        """Show the final numbers and close the bar; an open bar would move later bars down."""
        if self._bar is not None:
            self._draw(self._bar)
            self._bar.close()

    def _draw(self, bar: Any) -> None:
        bar.set_postfix_str(self.text, refresh=False)
        bar.n = self.done
        bar.refresh()


def duration(seconds: float) -> str:
    """Return a duration as readable text.

    Examples
    --------
    >>> duration(8.2), duration(95), duration(7260)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
