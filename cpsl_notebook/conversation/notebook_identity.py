"""Detecting which notebook this kernel belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PROCESS_NAMES", "notebook_name"]

PROCESS_NAMES = "kernel "
"""The prefix of the names of processes without a notebook."""

_process_name = f"{PROCESS_NAMES}{os.urandom(6).hex()}"


def notebook_name(
    namespace: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> tuple[str, bool]:
    """Return the notebook's path, and whether it is known.

    VS Code stores the path in the namespace, Jupyter Server in the environment. Under nbclient,
    papermill and in plain Python there is none, and a name for this process is returned instead.
    After a notebook is renamed, its running kernel still has the old path.

    Parameters
    ----------
    namespace : mapping
        The notebook's variables.
    environ : mapping
        The environment variables.

    Returns
    -------
    tuple of (str, bool)
        The path or the process's name, and whether it is a path.

    Examples
    --------
    >>> notebook_name({"__vsc_ipynb_file__": "/home/a/report.ipynb"})
    ('/home/a/report.ipynb', True)
    """
    for name in (namespace.get("__vsc_ipynb_file__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(name, str) and name:
            return _absolute(name, namespace), True
    return _process_name, False


def _absolute(name: str, namespace: Mapping[str, Any]) -> str:
    """Return an absolute path.

    A relative path is relative to the server's root, which is unknown here. But a kernel starts in
    the notebook's folder, and IPython keeps a list of its working directories, oldest first.
    """
    path = Path(name)
    if path.is_absolute():
        return name
    folders = namespace.get("_dh")
    start = Path(folders[0]) if isinstance(folders, list) and folders else Path.cwd()
    return str(start / path.name)
