"""The entry point of ``cpsl`` and ``python -m cpsl``.

Slow imports happen inside `main`, where Ctrl-C is handled.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130
_OVERWRITTEN = (
    "cpsl: both cpsl and cpsl-client are installed and overwrite each other's files. Run "
    "`pip uninstall cpsl cpsl-client` and install one again.\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; by default, the process's own.

    Returns
    -------
    int
        The exit status: 0 for success, 1 if the service or the app failed, 2 if the app was not
        asked, 130 after an interrupt.
    """
    _open_closed_streams()
    try:
        if _is_overwritten():
            sys.stderr.write(_OVERWRITTEN)
            return 2
        from cpsl.cli import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        start = "\r" if sys.stderr.isatty() else ""  # overwrites the ^C that the terminal echoes
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{start}cpsl: interrupted\n")
        return _INTERRUPTED


def _is_overwritten() -> bool:
    """Return whether the official SDK is installed as well, whose package has the same name."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version("cpsl") and version("cpsl-client"))
    except PackageNotFoundError:
        return False


def _open_closed_streams() -> None:
    """Replace closed standard streams with the null device."""
    # In this order and before any other file is opened, each stream gets its own descriptor again.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    sys.exit(main())
