"""``cpsl`` and ``python -m cpsl``; what takes long to import comes once Ctrl-C can be answered."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command line without the program's name; by default the process's own.

    Returns
    -------
    int
        The exit status: 0 where all went well, 1 where the service or the app failed, 2 where it
        could not be asked, 130 after an interrupt.
    """
    _open_closed_streams()
    try:
        from cpsl.cli import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        over = "\r" if sys.stderr.isatty() else ""  # the ^C that the terminal shows
        sys.stderr.write(f"{over}cpsl: interrupted\n")
        return _INTERRUPTED


def _open_closed_streams() -> None:
    """Take a standard stream that whoever started us closed for the null device."""
    # In this order, and before anything else is opened, each gets the descriptor that it had.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    sys.exit(main())
