"""Detecting which kind of front end shows the output of the running cell."""

from __future__ import annotations

import sys
import threading
from typing import Any, Literal

from IPython.core.getipython import get_ipython

from cpsl_notebook.compat import live_widgets, parent_message

__all__ = ["FrontEnd", "front_end"]

FrontEnd = Literal["widget", "text", "captured", "headless"]


def front_end() -> FrontEnd:
    """Return what shows the output of the running cell.

    Returns
    -------
    str
        ``"widget"`` for a notebook, ``"text"`` for a terminal, ``"captured"`` for an ipywidgets
        ``Output``, which ignores updates of its outputs, or ``"headless"`` for a run that nobody
        watches.

    Examples
    --------
    >>> front_end()
    'text'
    """
    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return "text"
    if threading.current_thread() is not threading.main_thread():
        return "headless"  # another thread has no cell whose output it could update
    parent = parent_message(shell)
    if _is_captured(parent.get("header", {}).get("msg_id")):
        return "captured"
    # nbclient and similar runners do not allow input, because there is nobody to ask.
    return "headless" if parent.get("content", {}).get("allow_stdin") is False else "widget"


def _is_captured(message_id: Any) -> bool:
    """Return whether an ``Output`` widget captures the output of the running cell or callback."""
    if "ipywidgets" not in sys.modules:
        return False
    from ipywidgets import Output

    outputs = [widget for widget in live_widgets() if isinstance(widget, Output)]
    return any(output.msg_id == message_id for output in outputs)
