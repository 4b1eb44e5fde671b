"""Workarounds for versions of other packages and for platforms, with the reason for each.

Hosted notebooks preinstall old versions of the packages that this extension runs in, and installing it
must not replace them. Remove a workaround when no supported version needs it.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any

from IPython.core import completer

__all__ = [
    "cell_name",
    "context_matcher",
    "deliver_at_once",
    "delivers_clicks",
    "html_style",
    "interrupt_main_thread",
    "interruptible",
    "interruptible_iterator",
    "live_widgets",
    "parent_message",
]

context_matcher: Any = getattr(completer, "context_matcher", None)
"""IPython's decorator for completion that sees the whole line.

``None`` before IPython 8.6 (Colab and Kaggle have 7.34); the magics are not completed there.
"""


def cell_name(shell: Any, path: str) -> str:
    """Return how a traceback names a cell, from the path of its code; empty for another file.

    IPython before 8 (Colab and Kaggle have 7.34) does not know which cell has a path, so the name
    has no number there.
    """
    if hasattr(shell.compile, "format_code_name"):
        return " ".join(shell.compile.format_code_name(path) or ())
    is_cell = path.startswith("<ipython-input-") or f"ipykernel_{os.getpid()}" in path
    return "a cell" if is_cell else ""


def html_style() -> Any:
    """Return a new style for `ipywidgets.HTML`.

    ipywidgets 7 (Colab and Databricks) has no ``HTMLStyle`` and uses the style of every widget with
    a description.
    """
    from ipywidgets.widgets import widget_description, widget_string

    if hasattr(widget_string, "HTMLStyle"):
        return widget_string.HTMLStyle()
    return widget_description.DescriptionStyle()


def live_widgets() -> list[Any]:
    """Return the widgets that exist and are not closed.

    ipywidgets 8 keeps them in a private dict of the module, and the public ``Widget.widgets`` is
    deprecated. ipywidgets 7 has only the latter.
    """
    from ipywidgets.widgets import widget

    instances = widget._instances if hasattr(widget, "_instances") else widget.Widget.widgets
    return list(instances.values())


def delivers_clicks() -> bool:
    """Return whether a click on a widget arrives while the cell runs.

    ipykernel before 7 handles all messages after the running cell, so there is no Stop button.
    """
    import ipykernel

    return ipykernel.version_info >= (7,)  # type: ignore[attr-defined]


def deliver_at_once(comm: Any) -> None:
    """Make the messages of a widget arrive while the cell runs.

    ipykernel 7.4 and later handle a comm's messages in the subshell that last wrote to the comm,
    which is the one that is busy with the cell. There is no public setting for that. 7.0 to 7.3
    deliver them anyway.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


def parent_message(shell: Any) -> dict[str, Any]:
    """Return the message that made the kernel run the current cell; empty if it is unknown.

    ipykernel before 6 and kernels of other projects have no ``get_parent``. ipykernel before 7 has
    no message before the first cell.
    """
    return (shell.get_parent() if hasattr(shell, "get_parent") else None) or {}


def interrupt_main_thread() -> None:
    """Raise an interrupt in the main thread, which ends its current wait.

    Windows has no `signal.pthread_kill`. There the interrupt is handled after the wait; see
    `interruptible`.
    """
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


_POLL = 0.1  # seconds; the largest delay of an interrupt where signals do not end a wait
_END = object()


def interruptible(function: Callable[[], Any]) -> Any:
    """Return what a function returns; an interrupt of the main thread ends the wait for it.

    Windows has no `signal.pthread_kill`, and an interrupt does not end a read from a socket there.
    The function therefore runs in another thread, and the main thread waits in short steps, between
    which Python handles interrupts. If the function returns after an interrupt, its result is closed.
    """
    if not _needs_polling():
        return function()
    result: Future[Any] = Future()
    threading.Thread(target=_set_result, args=(result, function), daemon=True).start()
    try:
        while not wait_for([result], _POLL).done:
            pass
    except KeyboardInterrupt:
        result.add_done_callback(_close_result)
        raise
    return result.result()


def interruptible_iterator(iterator: Iterator[Any]) -> Iterator[Any]:
    """Return an iterator whose items are produced by `interruptible`."""
    if not _needs_polling():
        return iterator
    return iter(lambda: interruptible(lambda: next(iterator, _END)), _END)


def _needs_polling() -> bool:
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and not hasattr(signal, "pthread_kill")


def _set_result(result: Future[Any], function: Callable[[], Any]) -> None:
    try:
        result.set_result(function())
    except BaseException as error:
        result.set_exception(error)


def _close_result(result: Future[Any]) -> None:
    if result.exception() is None and hasattr(result.result(), "close"):
        result.result().close()
