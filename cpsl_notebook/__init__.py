"""Capsule in notebooks: a ``%%capsule`` cell magic, streamed replies, payments as DataFrames.

Examples
--------
In a notebook::

    %load_ext cpsl_notebook
    %capsule local

    %%capsule support-ops
    How many threads are waiting for review right now?

    payments = %capsule payments support-ops

Without magics::

    from cpsl_notebook import Client, ask

    ask("How many threads are waiting for review?", app="support-ops")
    payments = Client().list_payments("support-ops")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpsl_notebook import local
    from cpsl_notebook.api import ask
    from cpsl_notebook.client import Client
    from cpsl_notebook.errors import UserError
    from cpsl_notebook.reply.model import Reply

__all__ = ["Client", "Reply", "UserError", "ask", "load_ipython_extension", "local"]

_HOMES = {
    "Client": "cpsl_notebook.client",
    "Reply": "cpsl_notebook.reply.model",
    "UserError": "cpsl_notebook.errors",
    "ask": "cpsl_notebook.api",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: pandas and the rest take their time."""
    if name == "local":
        return importlib.import_module("cpsl_notebook.local")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and their completion; what ``%load_ext cpsl_notebook`` calls."""
    import warnings

    from traitlets import TraitError

    from cpsl_notebook.cpsl_package import check_installed
    from cpsl_notebook.magics import input_transformer as typed
    from cpsl_notebook.magics.capsule_magics import CapsuleMagics
    from cpsl_notebook.magics.completion import Completion

    check_installed()
    unload_ipython_extension(shell)  # loaded twice, nothing is there twice
    try:
        shell.register_magics(CapsuleMagics)
    except TraitError as error:
        # What `%config` has refused stays in the shell's configuration all the same.
        del shell.config.CapsuleMagics
        warnings.warn_explicit(f"Settings were left out: {error}", UserWarning, __name__, 0)
        load_ipython_extension(shell)
        return
    Completion(shell).install()
    typed.install(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove what was registered; what ``%unload_ext cpsl_notebook`` calls.

    The conversations and settings of this kernel are kept, for the extension may be loaded again.
    """
    from cpsl_notebook.magics import input_transformer as typed
    from cpsl_notebook.magics.completion import Completion

    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("capsule", None)
    shell.magics_manager.registry.pop("CapsuleMagics", None)
    configurables = shell.configurables
    configurables[:] = [one for one in configurables if type(one).__name__ != "CapsuleMagics"]
    Completion.remove_from(shell)
    typed.remove_from(shell)
