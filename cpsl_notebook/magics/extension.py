"""Loading and unloading the IPython extension."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import TYPE_CHECKING

from traitlets import TraitError

from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.cpsl_package import check_installed
from cpsl_notebook.magics import completion, input_transformer
from cpsl_notebook.magics.capsule_magics import CapsuleMagics
from cpsl_notebook.printing import print_text

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

__all__ = ["load", "unload"]


def load(shell: InteractiveShell) -> None:
    """Register the magics, and print one line if the notebook has earlier conversations.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell.

    Raises
    ------
    UserError
        No ``cpsl`` package is installed, or two are.
    """
    check_installed()
    unload(shell)  # loading twice registers everything once
    try:
        shell.register_magics(CapsuleMagics)
    except TraitError as error:
        # IPython keeps a value in its configuration even if `%config` has refused it.
        del shell.config.CapsuleMagics
        message = (
            f"Invalid settings of CapsuleMagics were ignored: {error}. `%config CapsuleMagics` shows "
            "the valid ones."
        )
        warnings.warn_explicit(message, UserWarning, __name__, 0)
        shell.register_magics(CapsuleMagics)
    completion.install(shell)
    input_transformer.install(shell)
    shell.events.register("pre_run_cell", _add_accessor)
    if hint := current_context().pop_resume_hint():
        print_text(hint)


def unload(shell: InteractiveShell) -> None:
    """Remove what `load` has registered; the kernel's conversations and settings are kept.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell.
    """
    manager = shell.magics_manager
    for magics in manager.magics.values():
        magics.pop("capsule", None)
    manager.registry.pop("CapsuleMagics", None)
    shell.configurables[:] = [
        each for each in shell.configurables if type(each).__name__ != "CapsuleMagics"
    ]
    completion.remove(shell)
    input_transformer.remove(shell)
    callbacks = shell.events.callbacks["pre_run_cell"]
    callbacks[:] = [each for each in callbacks if getattr(each, "__module__", "") != __name__]


def _add_accessor(info: ExecutionInfo) -> None:
    """Add ``payments.capsule`` to the user's own frames; import pandas only if the cell needs it.

    Called before each cell, which may import pandas itself and use the accessor at once.
    """
    if "pandas" in sys.modules or ".capsule" in (info.raw_cell or ""):
        importlib.import_module("cpsl_notebook.earnings")
