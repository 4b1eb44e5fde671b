"""The command line of ``cpsl``: read it, run a command, turn what goes wrong into one line."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import NoReturn, TextIO

from cpsl import cli_output as output
from cpsl import commands as cli
from cpsl import smoke
from cpsl.errors import CapsuleError
from cpsl.sanitize import one_line

__all__ = ["run"]

Command = Callable[[argparse.Namespace], int]

_FAILED, _NOT_ASKED, _PIPE_CLOSED = 1, 2, 141

# What the library tells a program to do, and what that is in a shell.
_IN_A_SHELL = (
    ("set CAPSULE_TOKEN, or pass token=.", "or set CAPSULE_TOKEN."),
    ("pass allow_insecure=True", "set CAPSULE_ALLOW_INSECURE=1"),
    (", or allow more with timeout=.", "."),
    ("check gateway_url", "check the gateway's address"),
    ("list_apps() names", "`cpsl apps` names"),
)

_EPILOG = """\
examples:
  cpsl login                                  log in with the browser
  cpsl chat support-ops "How many threads are waiting for review?"
  git diff | cpsl chat reviewer -             read the message from standard input
  cpsl payments support-ops --csv > payments.csv
  cpsl smoke support-ops --max-seconds 30     test a deployed app, for cron and CI

environment:
  CAPSULE_TOKEN, CAPSULE_GATEWAY_URL, CAPSULE_HTTP_URL come before what `cpsl login` stored in
  ~/.capsule/config.ini (or the file that CONFIG_PATH names).

exit status:
  0 done; 1 the service or the app failed; 2 it could not be asked: no credentials, no connection,
  no such app, or a wrong command line; 130 interrupted.
"""


def run(arguments: Sequence[str]) -> int:
    """Run one command; return the exit status, as `cpsl.__main__.main` describes it."""
    with _one_line_warnings():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    was_asked = smoke.was_asked
    try:
        try:
            options = _parsed(arguments)
            was_asked = options.was_asked
            status: int = options.command(options)
        except SystemExit as ended:  # --help, --version, or a wrong command line
            status = int(ended.code or 0)
        sys.stdout.flush()
    except CapsuleError as error:
        output.note(_in_a_shell(str(error)))
        return _FAILED if was_asked(error) else _NOT_ASKED
    except OSError as error:
        # Python flushes once more at its end, and must not fail there again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _PIPE_CLOSED
        output.note(
            f"Reading or writing failed ({error.strerror}): check standard input and output."
        )
        return _FAILED
    return status


def _in_a_shell(message: str) -> str:
    for library, shell in _IN_A_SHELL:
        message = message.replace(library, shell)
    return message


def _never_fail_to_encode(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


@contextlib.contextmanager
def _one_line_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: output.note(f"warning: {message}")
        yield


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"cpsl: {one_line(message)} (see `{self.prog} --help`)\n")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line; leave with status 2 and one line where it is wrong."""
    parser = _parser()
    given = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if any(re.match("--token(=|$)", argument) for argument in given):
        parser.error(
            "a token is never taken from the command line, where others can read it: pipe it into "
            "`cpsl login --token-stdin`, or set CAPSULE_TOKEN"
        )
    options, extra = parser.parse_known_args(arguments)
    if extra:  # their values are not repeated: one could be a secret
        names = [argument.split("=")[0] for argument in extra if argument.startswith("-")]
        parser.error(
            f"unknown option {names[0]}" if names else "too many arguments: quote a longer text"
        )
    if options.command is None:
        parser.error("name a command, such as `cpsl apps`")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cpsl",
        description="Talk to the apps of a Capsule workspace.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=None, was_asked=smoke.was_asked)
    parser.add_argument("--version", action="version", version=f"cpsl-client {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, command: Command, about: str, app: bool = False) -> argparse.ArgumentParser:
        # With abbreviations, --tok=SECRET would be --token-stdin, and an error that repeats it.
        added = commands.add_parser(
            name, help=about, description=f"{about.capitalize()}.", allow_abbrev=False
        )
        added.set_defaults(command=command)
        if app:
            added.add_argument("app", metavar="APP", type=_text, help="name or id of the app")
        return added

    chosen = add("login", cli.log_in, "log in to a workspace and store its token")
    chosen.add_argument("--no-browser", action="store_true", help="only show the link")
    chosen.add_argument(
        "--token-stdin", action="store_true", help="store the token that standard input gives"
    )
    chosen.add_argument(
        "--gateway",
        metavar="HOST[:PORT]",
        default="",
        help="the gateway's gRPC side (default: CAPSULE_GATEWAY_URL, else the live service)",
    )
    add("logout", cli.log_out, "forget the stored token")
    add("status", cli.status, "show which workspace commands talk to, and test the token")
    chosen = add("apps", cli.apps, "list the apps of the workspace")
    chosen.add_argument("--json", action="store_true", help="as JSON")

    chosen = add("chat", cli.chat, "send a message and show the reply", app=True)
    chosen.add_argument(
        "text", metavar="TEXT", type=_text, help="the message; - reads standard input"
    )
    chosen.add_argument("--session", metavar="ID", type=_text, help="the conversation to continue")
    chosen.add_argument("--json", action="store_true", help="the whole answer, as JSON")

    chosen = add("payments", cli.payments, "list the payments of an app", app=True)
    form = chosen.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="as CSV, with every field")
    form.add_argument("--json", action="store_true", help="as JSON, as the service gave them")
    chosen = add("earnings", cli.earnings, "show what an app has earned", app=True)
    chosen.add_argument("--json", action="store_true", help="as JSON, as the service gave them")

    chosen = add(
        "smoke", cli.smoke_test, "ask an app twice in one conversation, and check", app=True
    )
    chosen.set_defaults(was_asked=lambda error: False)  # what escapes the test says so by that
    chosen.add_argument("--prompt", type=_text, default=smoke.PROMPT, help="the first question")
    chosen.add_argument("--then", type=_text, default=smoke.THEN, help="the second question")
    chosen.add_argument(
        "--max-seconds",
        metavar="N",
        type=_seconds,
        default=smoke.MAX_SECONDS,
        help="what an answer may take (default: %(default)g)",
    )
    chosen.add_argument(
        "--expect", metavar="REGEX", type=_regex, help="what one of the answers must contain"
    )
    chosen.add_argument("--json", action="store_true", help="the checks and the answers, as JSON")
    return parser


def _version() -> str:
    try:
        return metadata.version("cpsl-client")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("this is not UTF-8 text") from None
    if not value.strip():
        raise argparse.ArgumentTypeError("this is empty")
    return value


def _seconds(value: str) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError("give seconds above 0")
    return seconds


def _regex(value: str) -> re.Pattern[str]:
    try:
        return re.compile(_text(value))
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{value!r} does not compile: {error}") from None
