"""Run the local workspace from a shell: ``python -m cpsl_notebook.local``."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from datetime import date
from pathlib import Path

from cpsl_notebook.errors import UserError
from cpsl_notebook.files import write_private
from cpsl_notebook.local.samples.ledger import TODAY
from cpsl_notebook.local.workspace import Workspace, start

_POLL = 0.5  # seconds


def main() -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    options = _options()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with start(
            options.data, port=options.port, today=options.today, on_login=_show_login
        ) as workspace:
            if options.env_file:
                _write_environment(options.env_file, workspace)
            _show(workspace, options.env_file)
            while not stopped.wait(_POLL):  # without a timeout, Windows would ignore Ctrl-C
                pass
            if options.env_file:
                options.env_file.unlink(missing_ok=True)  # the server is gone
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cpsl_notebook.local",
        description="Run a Capsule workspace with sample apps on this computer, without an account or "
        "a network.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="gRPC port; HTTP uses the next one (default: 0, which picks a free pair)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of the workspace (default: local in $CAPSULE_HOME or ~/.capsule)",
    )
    parser.add_argument(
        "--today",
        type=_day,
        default=TODAY,
        metavar="DATE",
        help=f"last day with payments (default: {TODAY})",
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="PATH",
        help="write a shell script that sets the environment variables for clients, including the "
        "token; the file is removed on exit",
    )
    return parser.parse_args()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid date {text!r}: use 2026-10-31") from None


def _write_environment(path: Path, workspace: Workspace) -> None:
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in workspace.environ.items()]
    try:
        write_private(path, "".join(lines))
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}. Use another --env-file.") from None


def _show(workspace: Workspace, env_file: Path | None) -> None:
    print(f"The local workspace is running. Its data is in {workspace.folder}.")  # noqa: T201
    for name, value in workspace.environ.items():
        if name != "CAPSULE_TOKEN":
            print(f"  {name}={value}")  # noqa: T201
    if env_file:
        print(f"To use it in another shell, run: . {shlex.quote(str(env_file))}")  # noqa: T201
    print("Press Ctrl-C to stop.", flush=True)  # noqa: T201


def _show_login(link: str) -> None:
    print(f"A program has requested a login. To confirm it, open {link}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
