"""The command line of ``cpsl``: parse it, then run a command.

Help, the version and usage errors appear immediately, because this module has no slow imports:
`cpsl.commands`, which imports the client, is imported after the command line is parsed.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
from collections.abc import Sequence

from cpsl import __version__, completion

TYPE_CHECKING = False  # as in `cpsl`
if TYPE_CHECKING:
    from typing import Any, NoReturn, TextIO

__all__ = ["parse", "parsers", "run"]

_FAILED = 1
_PIPE_CLOSED = 141  # the exit status of a shell command that SIGPIPE ended

_EPILOG = """\
examples:
  cpsl login                                  log in with the browser
  cpsl chat support-ops "How many threads are waiting for review?"
  git diff | cpsl chat reviewer -             read the message from standard input
  cpsl payments support-ops --csv > payments.csv
  cpsl smoke support-ops --max-seconds 30     test a deployed app, for cron and CI
  eval "$(cpsl completion bash)"              complete commands, in ~/.bashrc

environment:
  CAPSULE_TOKEN, CAPSULE_GATEWAY_URL and CAPSULE_HTTP_URL take precedence over the login in
  ~/.capsule/config.ini (or in the file that CONFIG_PATH names).

exit status:
  0  success
  1  the service or the app failed
  2  nothing was sent to the app: no credentials, no connection, no such app, or invalid arguments
  130  interrupted
"""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status that `cpsl.launcher.main` describes."""
    for stream in (sys.stdout, sys.stderr):
        _replace_unencodable(stream)
    try:
        try:
            status = _run_command(parse(arguments))
        except SystemExit as ended:  # --help, --version, or an invalid command line
            status = int(ended.code or 0)
        sys.stdout.flush()
    except OSError as error:
        # Python flushes standard output again at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _PIPE_CLOSED
        from cpsl.cli_output import print_note

        print_note(f"Cannot read or write ({error.strerror}): check standard input and output.")
        return _FAILED
    return status


def _run_command(options: argparse.Namespace) -> int:
    if options.command == "help":
        parse([options.topic, "--help"] if options.topic else ["--help"])
    elif options.command == "completion":
        print(completion.script(options.shell, parsers()[1]), end="")  # noqa: T201
    else:
        from cpsl import commands

        return commands.run(options)
    return 0


def _replace_unencodable(stream: TextIO) -> None:
    """Print a question mark for each character that the stream's encoding does not support."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Without a width, argparse always imports shutil to get it, which is slow.
    try:
        width = os.get_terminal_size().columns
    except OSError:  # not a terminal
        width = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=width - 2)


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error as one line, and accepts no abbreviations of options.

    With abbreviations, ``--tok=SECRET`` would match ``--token-stdin``, whose error shows the value.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_formatter, **options)

    def error(self, message: str) -> NoReturn:
        from cpsl.sanitize import one_line

        self.exit(2, f"cpsl: {one_line(message)} (see `{self.prog} --help`)\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; exit with status 2 and one line if it is invalid."""
    parser, commands = parsers()
    given = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if any(re.match("--token(=|$)", argument) for argument in given):
        parser.error(
            "a token on the command line is visible to other users: pipe it into "
            "`cpsl login --token-stdin`, or set CAPSULE_TOKEN"
        )
    options, extra = parser.parse_known_args(arguments)
    if extra:  # the message does not repeat their values, which may be secret
        names = [argument.split("=")[0] for argument in extra if argument.startswith("-")]
        commands.get(options.command, parser).error(
            f"unknown option {names[0]}"
            if names
            else "too many arguments: put the message in quotes"
            if "text" in options
            else "too many arguments"
        )
    if options.command is None:
        parser.error("no command given: try `cpsl apps`")
    return options


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of the command line, and those of the commands."""
    parser = _Parser(
        prog="cpsl",
        description="Talk to the apps of a Capsule workspace.",
        epilog=_EPILOG,
    )
    parser.set_defaults(command=None)
    parser.add_argument("--version", action="version", version=f"cpsl-client {__version__}")
    _add_verbose(parser, default=False)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands_by_name: dict[str, argparse.ArgumentParser] = {}

    def add(name: str, about: str, app: bool = False) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=about, description=f"{about.capitalize()}.")
        commands_by_name[name] = added
        added.set_defaults(command=name)
        _add_verbose(added, default=argparse.SUPPRESS)  # keeps the value given before the command
        if app:
            added.add_argument("app", metavar="APP", type=_text, help="name or id of the app")
        return added

    added = add("login", "log in to a workspace and store its token")
    added.add_argument(
        "--no-browser", action="store_true", help="print the link without opening it"
    )
    added.add_argument(
        "--token-stdin", action="store_true", help="store the token from standard input"
    )
    added.add_argument(
        "--gateway",
        metavar="HOST[:PORT]",
        default="",
        help="the gRPC gateway (default: CAPSULE_GATEWAY_URL, else the live service)",
    )
    add("logout", "remove the stored token")
    add("status", "show the workspace and check the token")
    added = add("apps", "list the apps in the workspace")
    added.add_argument("--json", action="store_true", help="print JSON")

    added = add("chat", "send a message and print the reply", app=True)
    added.add_argument(
        "text", metavar="TEXT", type=_text, help="the message; - reads standard input"
    )
    added.add_argument("--session", metavar="ID", type=_text, help="the session to continue")
    added.add_argument("--json", action="store_true", help="print the whole reply as JSON")

    added = add("payments", "list the payments of an app", app=True)
    form = added.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV with every field")
    form.add_argument("--json", action="store_true", help="print the service's JSON")
    added = add("earnings", "show the earnings of an app", app=True)
    added.add_argument("--json", action="store_true", help="print the service's JSON")

    added = add(
        "smoke",
        "ask an app two questions in one session and check the answers",
        app=True,
    )
    added.add_argument("--prompt", type=_text, help="the first question")
    added.add_argument("--then", type=_text, help="the second question")
    added.add_argument(
        "--max-seconds",
        metavar="N",
        type=_seconds,
        help="time limit for each answer, in seconds (default: 120)",
    )
    added.add_argument(
        "--expect",
        metavar="REGEX",
        type=_regex,
        help="a regular expression to find in one of the answers",
    )
    added.add_argument("--json", action="store_true", help="print the checks and answers as JSON")

    added = add("help", "show the usage of a command")
    added.add_argument("topic", metavar="COMMAND", nargs="?", help="a command")
    added = add("completion", "print a script that completes commands in a shell")
    added.add_argument(
        "shell", metavar="SHELL", choices=completion.SHELLS, help="bash, zsh or fish"
    )
    return parser, commands_by_name


def _add_verbose(parser: argparse.ArgumentParser, default: object) -> None:
    about = "report retries on standard error"
    parser.add_argument("--verbose", action="store_true", default=default, help=about)


def _text(value: str) -> str:
    try:
        # If the locale's encoding cannot decode an argument, Python stores its bytes as surrogates.
        escaped = re.search("[\udc80-\udcff]", value)
        value = os.fsencode(value).decode() if escaped else value
        value.encode()
    except UnicodeError:
        raise argparse.ArgumentTypeError("the text is not valid UTF-8") from None
    if not value.strip():
        raise argparse.ArgumentTypeError("the text is empty")
    return value


def _seconds(value: str) -> float:
    with contextlib.suppress(ValueError):
        seconds = float(value)
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    raise argparse.ArgumentTypeError(f"{value!r} is not a number of seconds above 0")


def _regex(value: str) -> re.Pattern[str]:
    try:
        return re.compile(_text(value))
    except re.error as error:
        raise argparse.ArgumentTypeError(f"invalid regular expression {value!r}: {error}") from None
