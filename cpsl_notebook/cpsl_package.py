"""Which ``cpsl`` is installed: `cpsl-client`, or the official SDK."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpsl_notebook.errors import UserError

__all__ = ["check_installed", "make_client", "same_class", "takes"]


def check_installed() -> None:
    """Make sure that there is one ``cpsl`` to work with.

    Raises
    ------
    UserError
        There is none, or there are two that overwrite each other's files.
    """
    if importlib.util.find_spec("cpsl") is None:
        raise UserError(
            "There is no cpsl package: run `pip install ./cpsl` in a clone of this project, or "
            "`pip install cpsl` for the official SDK, and restart the kernel."
        )
    if _installed("cpsl") and _installed("cpsl-client"):
        raise UserError(
            "Both cpsl and cpsl-client are installed and overwrite each other's files: run "
            "`pip uninstall cpsl cpsl-client`, install one again, and restart the kernel."
        )


def make_client(**options: Any) -> Any:
    """Return a `cpsl.Client`; options that are ``None`` are left out."""
    check_installed()
    import cpsl

    return cpsl.Client(**{name: value for name, value in options.items() if value is not None})


def takes(method: Callable[..., Any], option: str) -> bool:
    """Say whether a method of the client at hand takes an option beyond the documented ones."""
    return option in inspect.signature(method).parameters


def same_class(documented: Callable[..., Any], bonus: Callable[..., Any] | None) -> bool:
    """Say whether a method beyond the documented ones is there, and of the same class.

    Somebody's own client that overrides the documented one must not be passed by.
    """
    homes = {
        getattr(method, "__qualname__", "").rpartition(".")[0] for method in (documented, bonus)
    }
    return bonus is not None and len(homes) == 1


def _installed(name: str) -> bool:
    """Look for a distribution's mark; importlib.metadata would take longer than all the rest."""
    mark = f"{name.replace('-', '_')}-*.dist-info"
    return any(True for place in sys.path for _ in Path(place).glob(mark))
