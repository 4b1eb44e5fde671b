"""The words after ``%capsule`` and ``%%capsule``: what they mean, and help when they are wrong."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import keyword
import shlex
from datetime import date
from typing import Any, NoReturn

from cpsl_notebook.errors import UserError

__all__ = ["CELL_HELP", "LINE_HELP", "SUBCOMMANDS", "cell_options", "line_options"]

CELL_HELP = """\
Send the cell's text to an app and show its reply as it arrives.

%%capsule [APP] [options]     APP defaults to that of `%capsule use`, or the only one in use

  -n, --new            start a new conversation; without it, the cell continues the last one
  --once               ask in a throw-away conversation, and leave the notebook's where it is
  -s, --session NAME   use a further conversation of this notebook, by name
  -o, --out NAME       store the Reply in a variable
  -q, --quiet          show nothing
  --no-stream          wait for the whole reply
  --timeout SECONDS    the longest silence to bear
  --traceback          show where an error comes from

Example:
    %%capsule support-ops -o answer
    How many threads are waiting for review right now?
"""

LINE_HELP = """\
Work with Capsule apps. What is a table comes back as a DataFrame: x = %capsule payments APP

%capsule local [stop|status]       use the built-in workspace: no account, no network
                                   (--today DATE: the day on which its payments end)
%capsule use APP                   the app that cells without one talk to
%capsule apps                      the apps of the workspace
%capsule app APP                   one app's metadata
%capsule payments [APP ...]        payments of these apps, or of all
%capsule earnings [APP ...]        earnings, one row per app
%capsule checkout APP [--return-url URL]
                                   a checkout URL of a paid app
%capsule session                   this notebook's conversations
%capsule session new|resume [APP]  start anew, or go on where an earlier kernel was
%capsule session use ID [APP]      go on with the conversation of this session id
%capsule history                   the prompts and replies of this kernel
%capsule last                      the last Reply
%capsule login                     log in with the browser
%capsule status                    what this notebook is connected to
%capsule help                      this text, and that of %%capsule
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line for the notebook."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; `%capsule help` shows how it goes.", "UsageError")


def _parser(name: str) -> _Parser:
    return _Parser(prog=name, add_help=False, allow_abbrev=False)


def _cell_parser() -> _Parser:
    parser = _parser("%%capsule")
    parser.add_argument("app", nargs="?", default="")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-n", "--new", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("-s", "--session", default="")
    parser.add_argument("-o", "--out")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("--no-stream", dest="stream", action="store_false")
    parser.add_argument("--timeout", type=_seconds)
    parser.add_argument("--traceback", action="store_true")
    return parser


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no day such as 2026-10-31") from None


def _line_parsers() -> dict[str, _Parser]:
    """Build a parser for each subcommand."""
    arguments: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "app": [("app", {})],
        "apps": [],
        "checkout": [("app", {}), ("--return-url", {"default": ""})],
        "earnings": [("apps", {"nargs": "*"})],
        "help": [],
        "history": [],
        "last": [],
        "login": [],
        "local": [
            ("action", {"nargs": "?", "choices": ["stop", "status"]}),
            ("--today", {"type": _day}),
        ],
        "payments": [("apps", {"nargs": "*"})],
        "session": [("words", {"nargs": "*"})],
        "status": [],
        "use": [("app", {})],
    }
    parsers = {}
    for name, given in arguments.items():
        parsers[name] = _parser(f"%capsule {name}")
        parsers[name].add_argument("--traceback", action="store_true")
        for argument, settings in given:
            parsers[name].add_argument(argument, **settings)
    return parsers


_PARSERS = _line_parsers()
SUBCOMMANDS = tuple(_PARSERS)


def cell_options(line: str) -> argparse.Namespace:
    """Read the line of ``%%capsule``.

    Raises
    ------
    UserError
        It has an unknown option, or a word too many.
    """
    options = _parse(_cell_parser(), _words(line))
    if options.help:
        return options
    out = options.out
    if out is not None and (not out.isidentifier() or keyword.iskeyword(out)):
        raise UserError(f"--out {options.out!r} is no name of a variable.", "UsageError")
    return options


def line_options(line: str) -> tuple[str, argparse.Namespace]:
    """Read the line of ``%capsule``: return the subcommand and its options.

    Raises
    ------
    UserError
        There is no such subcommand, or its words are wrong.
    """
    name, *words = _words(line) or ["help"]
    if {"-h", "--help"} & {name, *words}:
        name, words = "help", []
    if name not in _PARSERS:
        near = difflib.get_close_matches(name, SUBCOMMANDS, n=1)
        choice = (
            f"did you mean {near[0]}?"
            if near
            else f"there are {', '.join(SUBCOMMANDS)}. To ask an app, begin a cell with %%capsule "
            "APP and write the prompt below it."
        )
        raise UserError(f"There is no `%capsule {name}`: {choice}", "UsageError")
    return name, _parse(_PARSERS[name], words)


def _parse(parser: _Parser, words: list[str]) -> argparse.Namespace:
    options, unknown = parser.parse_known_args(words)
    for word in unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else "`%capsule help` shows what there is."
        what = "has no option" if word.startswith("-") else "has no use for the word"
        raise UserError(f"{parser.prog} {what} {word}: {hint}", "UsageError")
    return options


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line.strip().removesuffix(";"))
    except ValueError as error:
        raise UserError(f"The line cannot be read ({error}): mind the quotes.") from None


def _seconds(value: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(value) < float("inf"):
            return float(value)
    raise argparse.ArgumentTypeError(f"{value!r} is no number of seconds")
