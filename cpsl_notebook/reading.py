"""Reading several apps at the same time, with one progress bar."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from cpsl_notebook.progress import Bar, progress_bar

__all__ = ["MAX_READS", "Report", "read_apps"]

T = TypeVar("T")

MAX_READS = 8  # apps that are read at the same time
_REFRESH = 0.1  # seconds between two updates of the bar

Report = Callable[[int, int | None], None]
"""Called with the number of bytes of a response so far, and its total size if it is known."""


class _Progress:
    """Progress of reading, reported by any thread and shown by the thread that created it.

    For one app, it shows bytes; for several, the number of apps.
    """

    def __init__(self, bar: Bar, count: int) -> None:
        self.stopped = False
        self._bar = bar
        self._counts_apps = count > 1
        self._apps = 0
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._size: int | None = None
        self._lock = threading.Lock()
        self._thread = threading.get_ident()

    def report(self, app: str, size: int, total: int | None) -> None:
        """Record the bytes read of an app; raise an error to end a read that was cancelled."""
        if self.stopped:
            raise RuntimeError("reading was stopped")
        with self._lock:
            self._bytes += size - self._sizes.get(app, 0)
            self._sizes[app] = size
            self._size = total
        if threading.get_ident() == self._thread:
            self.show()

    def finish_app(self) -> None:
        """Count an app whose response is complete."""
        self._apps += 1
        self.show()

    def show(self) -> None:
        """Update the bar."""
        if self._counts_apps:
            if self._bytes:
                self._bar.set_postfix_str(f"{self._bytes / 1e6:,.1f} MB", refresh=False)
            self._bar.update(self._apps - self._bar.n)
        else:
            self._bar.total = self._size
            self._bar.update(self._bytes - self._bar.n)


@contextlib.contextmanager
def read_apps(
    names: Sequence[str], read: Callable[[str, Report], T], what: str
) -> Iterator[Iterator[tuple[str, T]]]:
    """Read several apps at the same time, and show a progress bar.

    The calling thread reads the first app before the others: looking up its name often finds the
    other names too. Then up to `MAX_READS` apps are read at the same time. At most as many responses
    are held until the caller takes them.

    The bar is text, because a widget does not work in a saved notebook. It is removed from a
    terminal at the end.

    Parameters
    ----------
    names : sequence of str
        Names or ids of the apps.
    read : callable
        Called with an app and a `Report`, also from other threads. Returns the response.
    what : str
        What is read, such as ``"payments"``.

    Yields
    ------
    iterator of (str, object)
        Each app and its response, in the order of *names*. The error of an app that cannot be read is
        raised when the iterator reaches it.

    Examples
    --------
    >>> with read_apps(["shop", "blog"], lambda app, report: len(app), "lengths") as answers:
    ...     list(answers)
    [('shop', 4), ('blog', 4)]
    """
    units: dict[str, Any] = {"total": len(names), "unit": " apps", "desc": f"Reading {what}"}
    if len(names) == 1:
        units = {"unit": "B", "unit_scale": True, "desc": f"Reading {names[0]}"}
    with progress_bar(**units) as bar:
        progress = _Progress(bar, len(names))
        with contextlib.closing(_in_order(names, read, progress)) as answers:
            yield answers


def _in_order(
    names: Sequence[str], read: Callable[[str, Report], T], progress: _Progress
) -> Generator[tuple[str, T]]:
    reads: SimpleQueue[tuple[Future[T], str] | None] = SimpleQueue()
    waiting: deque[tuple[str, Future[T]]] = deque()
    rest = iter(names[1:])
    threads = min(MAX_READS, len(names) - 1)

    def read_all() -> None:
        while (taken := reads.get()) is not None:
            future, app = taken
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(read(app, partial(progress.report, app)))
                except BaseException as error:
                    future.set_exception(error)

    def start(count: int) -> None:
        for app in islice(rest, count):
            waiting.append((app, Future()))
            reads.put((waiting[-1][1], app))

    try:
        for app in names[:1]:
            answer = read(app, partial(progress.report, app))
            progress.finish_app()
            for _ in range(threads):
                # Daemon threads, because an abandoned read must not keep Python from exiting.
                threading.Thread(target=read_all, name="capsule-read", daemon=True).start()
            start(threads)
            yield app, answer
        while waiting:
            app, future = waiting.popleft()
            while not wait([future], _REFRESH).done:
                progress.show()
            start(1)
            answer = future.result()
            progress.finish_app()
            yield app, answer
    finally:
        progress.stopped = True
        for _, future in waiting:
            future.cancel()
        for _ in range(threads):
            reads.put(None)
