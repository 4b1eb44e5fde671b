"""The entry point of ``cpsl`` and ``python -m cpsl``.

Slow imports happen inside `main`, where Ctrl-C is handled. The official SDK is also imported as
``cpsl`` and overwrites some of our files, such as ``__main__``, but has no module with this name.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_NOT_SENT = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; by default, the process's own.

    Returns
    -------
    int
        The exit status: 0 for success, 1 if the service or the app failed, 2 if nothing was sent to
        the app, 130 after an interrupt.
    """
    _open_closed_streams()
    try:
        if _sdk_is_installed():
            sys.stderr.write(
                "cpsl: the packages cpsl and cpsl-client are both installed and overwrite each other's "
                "files: run `pip uninstall -y cpsl cpsl-client` and install one of them again\n"
            )
            return _NOT_SENT
        from cpsl.cli import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        start = "\r" if sys.stderr.isatty() else ""  # overwrites the ^C that the terminal echoes
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{start}cpsl: interrupted\n")
        return _INTERRUPTED


def _open_closed_streams() -> None:
    """Replace closed standard streams with the null device."""
    # In this order and before any other file is opened, each stream gets its own descriptor again.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _sdk_is_installed() -> bool:
    """Return whether the official SDK is also installed; importlib.metadata is slow to import."""
    for path in sys.path:
        with contextlib.suppress(OSError):  # some entries are not folders, or cannot be read
            if any(n.startswith("cpsl-") and n.endswith(".dist-info") for n in os.listdir(path)):  # noqa: PTH208
                return True
    return False
