"""Paths of the files that the extension keeps."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["capsule_home"]


def capsule_home() -> Path:
    """Return the folder with the user's Capsule files.

    Returns
    -------
    pathlib.Path
        The value of ``CAPSULE_HOME``, or ``~/.capsule`` if it is unset or empty. The folder may not
        exist.
    """
    home = os.environ.get("CAPSULE_HOME")
    return Path(home).expanduser() if home else Path.home() / ".capsule"
