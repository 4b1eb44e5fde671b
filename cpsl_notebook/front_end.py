"""Which kind of front end shows the output of the running cell."""

from __future__ import annotations

import sys
import threading
from typing import Any

from IPython.core.getipython import get_ipython

__all__ = ["front_end"]


def front_end() -> str:
    """Return what shows the output.

    ``widget``; ``text``, a terminal; ``captured``, an ``Output`` widget, which shows no update of
    what it was given; or ``headless``, nobody.
    """
    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return "text"
    if threading.current_thread() is not threading.main_thread():
        return "headless"  # there is no cell to show it in while it grows
    parent = shell.get_parent()
    if _is_captured(parent.get("header", {}).get("msg_id")):
        return "captured"
    # Under nbclient and its like there is nobody who could be asked for input.
    return "headless" if parent.get("content", {}).get("allow_stdin") is False else "widget"


def _is_captured(message_id: Any) -> bool:
    """Say whether an ``Output`` widget takes what the running cell or callback shows."""
    if "ipywidgets" not in sys.modules:
        return False
    from ipywidgets import Output
    from ipywidgets.widgets.widget import _instances

    outputs = [widget for widget in list(_instances.values()) if isinstance(widget, Output)]
    return any(output.msg_id == message_id for output in outputs)
