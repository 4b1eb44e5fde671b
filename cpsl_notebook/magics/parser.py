"""Parsing the line of ``%capsule`` and ``%%capsule`` with argparse, and the help texts."""

from __future__ import annotations

import argparse
import functools
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NoReturn

from cpsl_notebook.errors import UsageError, did_you_mean
from cpsl_notebook.magics.line import read_line
from cpsl_notebook.magics.subcommands import CELL, LINE, Command
from cpsl_notebook.printing import print_text
from cpsl_notebook.reply.cell_source import cell_source
from cpsl_notebook.sanitize import brief

__all__ = ["help_text", "parse_cell_line", "parse_line"]

_WIDTH = 100  # characters of a line of the notes in a help text
_ASK = re.compile(
    r"""ask\s+(?:(?P<quote>["'])(?P<quoted>.+?)(?P=quote)|(?P<app>[^-"'\s]\S*))\s+(?P<text>[^-].*)""",
    re.DOTALL,
)


def parse_cell_line(text: str, namespace: Mapping[str, Any]) -> argparse.Namespace | None:
    """Parse the line of ``%%capsule``.

    Parameters
    ----------
    text : str
        The line without the magic's name.
    namespace : mapping of str to object
        The notebook's variables.

    Returns
    -------
    argparse.Namespace or None
        The options; ``None`` if the line asked for help, which has been printed.

    Raises
    ------
    UserError
        The line has unknown or invalid arguments.
    """
    if "--each" in text:
        from cpsl_notebook.sweeps.cell import check_each

        check_each(text, namespace)
    line = read_line(text, namespace)
    options = _parse(_cell_parser(), CELL, [CELL.name], line.words)
    if options is not None:
        options.quiet = options.quiet or line.semicolon
    return options


def parse_line(text: str, namespace: Mapping[str, Any]) -> argparse.Namespace | None:
    """Parse the line of ``%capsule``.

    Parameters
    ----------
    text : str
        The line without the magic's name.
    namespace : mapping of str to object
        The notebook's variables.

    Returns
    -------
    argparse.Namespace or None
        The options, with the subcommand's handler as ``run``; ``None`` if the line asked for help,
        which has been printed.

    Raises
    ------
    UserError
        There is no such subcommand, or the line has unknown or invalid arguments.
    """
    if text.split(maxsplit=1)[:1] == ["ask"]:
        raise _ask_error(text)
    words = read_line(text, namespace).words
    if words[:1] in ([], ["help"]) and not _asks_for_help(words):
        words = [*words[1:], "--help"]  # `help payments` is the same as `payments --help`
    command, path, rest = _resolve(words)
    return _parse(_line_parser(), command, [LINE.name, *path], [*path, *rest])


def help_text() -> str:
    """Return the help of both magics."""
    return _line_parser().format_help()


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors as one line for the notebook."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **settings,
        )
        self.color = False  # Python 3.14 would add escape sequences to the docstring

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {brief(message)}. {_help_hint(self.prog.split())}")


@functools.cache
def _cell_parser() -> _Parser:
    return _with_arguments(_Parser(prog=CELL.name, **_help_texts(CELL)), CELL)


@functools.cache
def _line_parser() -> _Parser:
    texts = _help_texts(LINE)
    texts["epilog"] += f"\n\n{_cell_parser().format_help()}"
    return _with_arguments(_Parser(prog=LINE.name, **texts), LINE)


def _help_texts(command: Command) -> dict[str, Any]:
    summary = command.summary[0].upper() + command.summary[1:].rstrip(".") + "."
    examples = f"examples:\n{textwrap.indent(command.examples, '  ')}"
    notes = command.notes.split("\n\n") if command.notes else []
    paragraphs = (textwrap.fill(text, _WIDTH, break_on_hyphens=False) for text in notes)
    return {"description": summary, "epilog": "\n\n".join([*paragraphs, examples])}


def _with_arguments(parser: _Parser, command: Command) -> _Parser:
    """Add a command's arguments and subcommands to its parser."""
    if command.subcommands:
        group = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
        for each in command.subcommands:
            _with_arguments(
                group.add_parser(each.name, help=each.summary, **_help_texts(each)), each
            )
        return parser
    parser.set_defaults(run=command.run)
    exclusive: dict[str, Any] = {}
    for argument in command.all_arguments:
        target: Any = parser
        if argument.excludes:
            if argument.excludes not in exclusive:
                exclusive[argument.excludes] = parser.add_mutually_exclusive_group()
            target = exclusive[argument.excludes]
        settings = dict(argument.settings)
        if "help" in settings:
            settings["help"] = settings["help"].replace("%", "%%")
        target.add_argument(*argument.names, **settings)
    return parser


def _resolve(words: list[str]) -> tuple[Command, list[str], list[str]]:
    """Return the subcommand that a line names, its path, and the words after that."""
    command, path, rest = LINE, list[str](), words
    while command.subcommands:
        if rest and not rest[0].startswith("-"):
            name, *rest = rest
        elif _asks_for_help(rest):
            break
        elif command.default:
            name = command.default
        else:
            raise UsageError(
                f"{LINE.name}: put the subcommand before its options. {_help_hint([])}"
            )
        known = {each.name: each for each in command.subcommands}
        if name not in known:
            raise _unknown_subcommand([LINE.name, *path], name, list(known))
        command, path = known[name], [*path, name]
    return command, path, rest


def _asks_for_help(words: list[str]) -> bool:
    return bool({"-h", "--help"} & set(words))


def _parse(
    parser: _Parser, command: Command, call: list[str], words: list[str]
) -> argparse.Namespace | None:
    try:
        options, unknown = parser.parse_known_args(words)
    except SystemExit:  # after the help has been printed
        return None
    for word in unknown:
        known = [name for argument in command.all_arguments for name in argument.names]
        kind = "option" if word.startswith("-") else "argument"
        otherwise = _help_hint(call)
        if kind == "argument":
            quotes = "quotes around a value with spaces"
            otherwise = f"Put {quotes}, or run {_help_call(call)}."
            if command is CELL:
                otherwise = f"Put the prompt below this line, and {quotes}."
        hint = did_you_mean(word.partition("=")[0], known, otherwise, limit=1)
        if kind == "argument" and vars(options).get("each"):
            hint = 'Put quotes around an expression with spaces, as in --each "df[df.n > 2]".'
        raise UsageError(f"{' '.join(call)}: unknown {kind}: {brief(word)}. {hint}")
    return options


def _unknown_subcommand(call: list[str], name: str, known: list[str]) -> UsageError:
    otherwise = _help_hint(call)
    if call == [LINE.name]:
        otherwise += " To send a prompt to an app, begin a cell with %%capsule APP."
    hint = did_you_mean(name, known, otherwise)
    return UsageError(f"There is no subcommand `{' '.join([*call, brief(name)])}`. {hint}")


def _ask_error(text: str) -> UsageError:
    """Return the error for ``%capsule ask APP TEXT``; print the cell that sends the same."""
    words = _ASK.fullmatch(text.strip())
    if words is None:
        return UsageError("There is no `%capsule ask`. Begin a cell with %%capsule APP.")
    print_text(cell_source(words["app"] or words["quoted"], words["text"]))
    return UsageError("There is no `%capsule ask`. Use the cell above, or ask() in Python.")


def _help_hint(call: list[str]) -> str:
    return f"Run {_help_call(call)}."


def _help_call(call: list[str]) -> str:
    return f"`{' '.join(['%capsule help', *call[1:]])}`"
