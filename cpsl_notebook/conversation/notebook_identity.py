"""Which notebook this kernel belongs to: a hint that front ends give in different ways."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["notebook_name"]

_this_process = f"kernel {uuid.uuid4().hex[:12]}"


def notebook_name(
    namespace: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> tuple[str, bool]:
    """Return the notebook's path, and whether it is one.

    VS Code puts the path into the namespace, Jupyter Server into the environment; under nbclient,
    papermill and in plain Python there is none, and the process stands in for it. A notebook that
    was renamed while its kernel runs keeps its old name here.

    Examples
    --------
    >>> notebook_name({"__vsc_ipynb_file__": "/home/a/report.ipynb"})
    ('/home/a/report.ipynb', True)
    """
    for name in (namespace.get("__vsc_ipynb_file__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(name, str) and name:
            return _absolute(name, namespace), True
    return _this_process, False


def _absolute(name: str, namespace: Mapping[str, Any]) -> str:
    """Return a path that no other notebook has: a relative one is relative to the server's root.

    A kernel starts in the notebook's folder, and IPython keeps the folders it was in, the first one
    first.
    """
    path = Path(name)
    if path.is_absolute():
        return name
    folders = namespace.get("_dh")
    start = Path(folders[0]) if isinstance(folders, list) and folders else Path.cwd()
    return str(start / path.name)
