"""The installed ``cpsl`` package: cpsl-client or the official SDK."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpsl_notebook.errors import UserError

__all__ = [
    "check_installed",
    "client_distribution",
    "cpsl_class",
    "make_client",
    "same_class",
    "takes",
    "token_source",
]


def check_installed() -> None:
    """Check that exactly one ``cpsl`` package is installed.

    Raises
    ------
    UserError
        None is installed, or cpsl-client and the official SDK both are.
    """
    if importlib.util.find_spec("cpsl") is None:
        raise UserError(
            "The package cpsl is not installed. Run `pip install ./cpsl` in a clone of this project, "
            "or `pip install cpsl` for the official SDK, and restart the kernel."
        )
    if _installed("cpsl") and _installed("cpsl-client"):
        raise UserError(
            "Both cpsl and cpsl-client are installed and overwrite each other's files. Run "
            "`pip uninstall -y cpsl cpsl-client`, install one again, and restart the kernel."
        )


def make_client(**options: Any) -> Any:
    """Return a ``cpsl.Client``; options that are ``None`` are omitted."""
    check_installed()
    import cpsl

    return cpsl.Client(**{name: value for name, value in options.items() if value is not None})


@functools.cache
def cpsl_class(name: str) -> Any:
    """Return a class of the installed ``cpsl`` by its name; ``None`` if it has no such class."""
    check_installed()
    import cpsl

    # The official SDK has its response classes only in the module `cpsl.client`.
    client_module = getattr(cpsl, "client", None)
    return getattr(cpsl, name, None) or getattr(client_module, name, None)


def client_distribution() -> str:
    """Return the name of the distribution that provides ``cpsl``; empty if there is none."""
    return next((name for name in ("cpsl-client", "cpsl") if _installed(name)), "")


def token_source(client: Any) -> str | None:
    """Return where the token of a ``cpsl.Client`` comes from; ``None`` if it is not known."""
    if hasattr(client, "token_source"):
        source: str = client.token_source
        return source
    if client_distribution() != "cpsl":
        return None
    # The official SDK reads its file, and the environment only if the file does not exist.
    path = Path(os.environ.get("CONFIG_PATH") or Path.home() / ".capsule" / "config.ini")
    return str(path) if path.exists() else "CAPSULE_TOKEN"


def takes(method: Callable[..., Any], option: str) -> bool:
    """Return whether a client's method accepts an undocumented option."""
    return option in inspect.signature(method).parameters


def same_class(documented: Callable[..., Any], extra: Callable[..., Any] | None) -> bool:
    """Return whether an extra method exists in the class that defines a documented one.

    If a subclass overrides the documented method only, the extra method must not bypass it.
    """
    classes = {
        getattr(method, "__qualname__", "").rpartition(".")[0] for method in (documented, extra)
    }
    return extra is not None and len(classes) == 1


def _installed(name: str) -> bool:
    """Return whether a distribution is installed; importlib.metadata is too slow for this."""
    folder = f"{name.replace('-', '_')}-*.dist-info"
    return any(True for path in sys.path for _ in Path(path).glob(folder))
