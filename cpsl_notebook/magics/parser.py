"""The words after ``%capsule`` and ``%%capsule``: what they mean, and what is wrong with them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import keyword
import re
import shlex
from collections.abc import Mapping
from typing import Any, NoReturn

from cpsl_notebook.errors import UsageError, UserError, did_you_mean
from cpsl_notebook.magics.line import Line
from cpsl_notebook.magics.subcommands import CELL, COMMANDS, Command, parser_arguments

__all__ = ["asking", "cell_options", "line_options", "parser_of"]

_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")
_OPTION = re.compile(r"-(?!\d|-?$)")  # a number, and a dash alone, are words of the text


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line for the notebook."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `%capsule help` shows how it goes.")


@functools.cache
def parser_of(command: Command) -> Parser:
    """Return what reads the words of a command."""
    parser = Parser(prog=command.call, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true", help=argparse.SUPPRESS)
    for argument in parser_arguments(command):
        parser.add_argument(*argument.names, **argument.settings)
    return parser


def cell_options(text: str, namespace: Mapping[str, Any]) -> argparse.Namespace:
    """Read the line of ``%%capsule``.

    Raises
    ------
    UserError
        It has an unknown option, or a word too many.
    """
    line = Line(text, namespace)
    options = _parsed(CELL, line.words())
    options.quiet = options.quiet or line.quiet
    return options


def line_options(text: str, namespace: Mapping[str, Any]) -> tuple[str, argparse.Namespace]:
    """Read the line of ``%capsule``: return the subcommand and its options.

    Raises
    ------
    UserError
        There is no such subcommand, or its words are wrong.
    """
    name = (text.split() or [""])[0]
    if name == "ask":
        options = _ask_options(Line(text, namespace, prose=True))
        return "help" if options.help else "ask", options
    line = Line(text, namespace)
    name, *words = line.words() or ["help"]
    if name in ("-h", "--help"):
        name = "help"
    command = COMMANDS[known_command(name)]
    if {"-h", "--help"} & set(words):
        return "help", argparse.Namespace(subcommand=name)
    options = _parsed(command, words)
    options.semicolon = line.quiet
    return name, options


def known_command(name: str) -> str:
    """Return the name of a subcommand that there is.

    Raises
    ------
    UserError
        There is none of this name.
    """
    if name in COMMANDS:
        return name
    choice = did_you_mean(
        name,
        COMMANDS,
        f"there are {', '.join(COMMANDS)}. To ask an app, write `%capsule ask APP TEXT`, or "
        "begin a cell with %%capsule APP and write the prompt below it.",
    )
    raise UsageError(f"There is no `%capsule {name}`: {choice}")


def asking(app: str, text: str) -> str:
    """Return what sends a text as it stands: a line, or a cell where a line would read it otherwise.

    Examples
    --------
    >>> print(asking("support-ops", "Which are urgent?"))
    %capsule ask support-ops Which are urgent?
    >>> print(asking("support-ops", "What does $HOME hold?"))
    %%capsule support-ops --raw
    What does $HOME hold?
    """
    line = f"ask {app} {text}"
    # The text is an app's: what it holds in braces must not be computed, not even to see what it is.
    # And after a backslash, the line would go on below.
    if "{{" not in line and len(text.splitlines()) == 1 and not text.endswith("\\"):
        with contextlib.suppress(UserError):
            name, options = line_options(line, {})
            if (name, options.app, options.text, options.quiet) == ("ask", app, text, False):
                return f"%capsule {line}"
    return f"%%capsule {shlex.quote(app)} --raw\n{text}"


def _ask_options(line: Line) -> argparse.Namespace:
    """Read ``ask``: options, the app, options, and then the text to the end of the line."""
    command = COMMANDS["ask"]
    actions = parser_of(command)._option_string_actions
    words, app, start = [], "", len(line.text)
    waiting = False  # for the value of an option
    for word in itertools.islice(_WORD.finditer(line.text), 1, None):
        if waiting or _OPTION.match(word[0]):
            words.append(word[0])
            action = actions.get(word[0])
            waiting = not waiting and action is not None and action.nargs != 0
        elif not app:
            app = word[0]
        else:
            start = word.start()
            break
    options = _parsed(command, line.words(" ".join(words)))
    text = line.text[start:]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        text = text[1:-1]
    options.app, options.subcommand = " ".join(line.words(app)), "ask"
    options.template = line.source(text)
    options.text = options.template if options.raw else line.filled(text)
    options.quiet = options.quiet or line.quiet
    if not (options.text.strip() or options.help):
        raise UsageError("It is `%capsule ask APP TEXT`: name the app, then say it.")
    return options


def _parsed(command: Command, words: list[str]) -> argparse.Namespace:
    parser = parser_of(command)
    options, unknown = parser.parse_known_args(words)
    for word in unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        otherwise = "`%capsule help` shows what there is."
        hint = did_you_mean(word.partition("=")[0], known, otherwise, most=1)
        what = "has no option" if word.startswith("-") else "has no use for the word"
        raise UsageError(f"{parser.prog} {what} {word}: {hint}")
    if {"--json", "--table"} <= set(words):
        raise UsageError("An answer is --json or --table, not both: leave one out.")
    out = getattr(options, "out", None)
    if out is not None and (not out.isidentifier() or keyword.iskeyword(out)):
        raise UsageError(f"--out {out!r} is no name of a variable.")
    return options
