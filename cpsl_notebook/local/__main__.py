"""``python -m cpsl_notebook.local``: the local workspace from a shell."""

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


def main() -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    options = _options()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with start(
            options.data, port=options.port, today=options.today, on_login=_show_login
        ) as workspace:
            if options.env_file:
                _write_environment(options.env_file, workspace)
            _show(workspace, options.env_file)
            ended.wait()
            if options.env_file:
                options.env_file.unlink(missing_ok=True)  # nothing answers there any more
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cpsl_notebook.local",
        description="A Capsule workspace on this machine: no account, no network, scripted apps.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="the gRPC port; HTTP is on the next one (default: 0, a free pair)",
    )
    parser.add_argument("--data", type=Path, help="the folder of its state")
    parser.add_argument(
        "--today",
        type=date.fromisoformat,
        default=TODAY,
        metavar="DATE",
        help=f"the day on which its history of payments ends (default: {TODAY})",
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="PATH",
        help="once ready, write the variables that point a client here, the token included",
    )
    return parser.parse_args()


def _write_environment(path: Path, workspace: Workspace) -> None:
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in workspace.environ.items()]
    try:
        write_private(path, "".join(lines))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): name another.") from None


def _show(workspace: Workspace, env_file: Path | None) -> None:
    print(f"The local workspace is ready; its data are in {workspace.folder}.")  # noqa: T201
    for name, value in workspace.environ.items():
        if name != "CAPSULE_TOKEN":
            print(f"  {name}={value}")  # noqa: T201
    if env_file:
        print(f"In another shell: . {shlex.quote(str(env_file))}")  # noqa: T201
    print("Ctrl-C stops it.", flush=True)  # noqa: T201


def _show_login(link: str) -> None:
    print(f"A login was asked for. To confirm it, open {link}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
