"""Detecting the front end of the running cell."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, Literal

from IPython.core.getipython import get_ipython

from cpsl_notebook.compat import live_widgets, parent_message

__all__ = ["FrontEnd", "front_end"]

FrontEnd = Literal["widget", "console", "text", "captured", "headless", "marimo"]


def front_end() -> FrontEnd:
    """Return the kind of front end that shows the output of the running cell.

    Returns
    -------
    str
        ``"widget"`` for a notebook; ``"console"`` for a front end that may ignore updates of its
        outputs, such as ``jupyter console``, qtconsole and Spyder; ``"text"`` for a terminal;
        ``"captured"`` for an ipywidgets ``Output``, which ignores updates too; ``"headless"`` for a
        non-interactive run; or ``"marimo"`` for a cell of a marimo notebook.

    Examples
    --------
    >>> front_end()
    'text'
    """
    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return "marimo" if _is_marimo() else "text"
    if threading.current_thread() is not threading.main_thread():
        return "headless"  # another thread has no cell whose output it could update
    parent = parent_message(shell)
    if _is_captured(parent.get("header", {}).get("msg_id")):
        return "captured"
    # nbclient and similar tools do not allow input.
    if parent.get("content", {}).get("allow_stdin") is False:
        return "headless"
    return "widget" if _is_notebook(shell, parent) else "console"


def _is_notebook(shell: Any, request: dict[str, Any]) -> bool:
    """Return whether the front end that sent a request is known to show updates of outputs.

    Requests from notebooks contain the cell id. For a request without one, look for signs of Jupyter
    Server, VS Code and Colab in the kernel, unless the request comes from jupyter_client: ``jupyter
    console``, qtconsole and Spyder can connect to the kernel of a notebook.
    """
    if "cellId" in request.get("metadata", {}):
        return True
    if _is_from_jupyter_client(request.get("header", {})):
        return False
    return (
        bool(os.environ.get("JPY_SESSION_NAME"))
        or "__vsc_ipynb_file__" in shell.user_ns
        or "google.colab" in sys.modules
    )


def _is_from_jupyter_client(header: dict[str, Any]) -> bool:
    """Return whether a message was sent by Python's jupyter_client.

    Its message ids are the session id and a number; front ends in a browser use random ids.
    """
    session = str(header.get("session", ""))
    return bool(session) and str(header.get("msg_id", "")).startswith(f"{session}_")


def _is_marimo() -> bool:
    """Return whether this thread runs a cell of a marimo notebook."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def _is_captured(message_id: Any) -> bool:
    """Return whether an ``Output`` widget captures the output of the running cell or callback."""
    if "ipywidgets" not in sys.modules:
        return False
    from ipywidgets import Output

    outputs = [widget for widget in live_widgets() if isinstance(widget, Output)]
    return any(output.msg_id == message_id for output in outputs)
