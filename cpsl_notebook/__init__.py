"""Capsule apps in notebooks: ``%%capsule`` cells, streamed replies, payments as DataFrames.

Examples
--------
In a notebook::

    %load_ext cpsl_notebook
    %capsule local

    %%capsule support-ops
    How many threads are waiting for review right now?

    payments = %capsule payments support-ops

Without magics::

    from cpsl_notebook import Client, Conversation, ask

    ask("How many threads are waiting for review?", app="support-ops")
    triage = Conversation("support-ops")
    triage.ask("How many threads are waiting for review?")
    triage.ask("Turn that into a two-step triage plan.")
    payments = Client().list_payments("support-ops")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpsl_notebook import local
    from cpsl_notebook.api import Conversation, ask
    from cpsl_notebook.client import Client
    from cpsl_notebook.errors import UserError
    from cpsl_notebook.recordings.replayer import replay
    from cpsl_notebook.recordings.running import recording
    from cpsl_notebook.reply.model import Reply
    from cpsl_notebook.sweeps.sweep import sweep

__all__ = [
    "Client",
    "Conversation",
    "Reply",
    "UserError",
    "ask",
    "load_ipython_extension",
    "local",
    "recording",
    "replay",
    "sweep",
]

_MODULES = {
    "Client": "cpsl_notebook.client",
    "Conversation": "cpsl_notebook.api",
    "Reply": "cpsl_notebook.reply.model",
    "UserError": "cpsl_notebook.errors",
    "ask": "cpsl_notebook.api",
    "sweep": "cpsl_notebook.sweeps.sweep",
    "recording": "cpsl_notebook.recordings.running",
    "replay": "cpsl_notebook.recordings.replayer",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, because importing pandas is slow."""
    if name == "local":
        return importlib.import_module("cpsl_notebook.local")
    if name == "Client":  # its users may also read payments from a file
        importlib.import_module("cpsl_notebook.earnings")  # adds payments.capsule
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; ``%load_ext cpsl_notebook`` calls this."""
    from cpsl_notebook.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics; ``%unload_ext cpsl_notebook`` calls this."""
    from cpsl_notebook.magics.extension import unload

    unload(shell)
