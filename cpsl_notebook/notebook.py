"""Which notebook this kernel belongs to: a hint that front ends give in different ways."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
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
            return name, True
    return _this_process, False
