"""What pages take from the code: commands, settings, errors, docstrings, and the list of tutorials.

The pages contain lines such as ``<!-- generate: settings -->``. `pages` replaces each of them by the
Markdown that the function of that name returns, and adds a page for each answer of
``payments.capsule``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cpsl
from cpsl import cli
from cpsl_notebook import errors
from cpsl_notebook.earnings.accessor import Earnings
from cpsl_notebook.earnings.plots.plotter import Plots
from cpsl_notebook.magics.capsule_magics import CapsuleMagics
from cpsl_notebook.magics.subcommands import CELL, COMMANDS, Argument, Command
from cpsl_notebook.recordings.replayer import NotRecordedError
from cpsl_notebook.sweeps.sweep import SweepError

__all__ = ["AUTO", "NOTEBOOKS", "documented", "find", "pages", "public_methods"]

AUTO = re.compile(r"^\s*\.\. auto\w+:: (\S+)(.*(?:\n\s+:members:)?)", re.MULTILINE)
"""A directive that shows a docstring: the name, and whether its members are shown, too."""

NOTEBOOKS = {
    "quickstart": ("first-cell", "Your first cell", "ask, continue, stream, read payments"),
    "earnings": ("monthly-close", "Close a month", "from payments to MRR, churn and payouts"),
    "exploring": ("explore-an-app", "Explore an app", "vary a prompt, insert a result, compare"),
    "sweeps": ("evaluate-a-prompt", "Evaluate a prompt over a table", "count, compare, resume"),
    "teaching": ("teach", "Teach with it", "a lesson in which students write small apps"),
}
"""The tutorial that each notebook is: its page, its title and what it is about."""

_DOCS = Path(__file__).parent
_MARK = re.compile(r"^<!-- generate: (\w+)(?: (\S+))? -->$", re.MULTILINE)
# Sentences that the code does not have. A name that is missing there stops the build.
_TEXTS = tomllib.loads((_DOCS / "advice.toml").read_text(encoding="utf-8"))
_WIDTH = 88  # characters of the help of shell commands
_ACCESSOR = "cpsl_notebook.earnings.accessor.Earnings"
_PLOTS = "cpsl_notebook.earnings.plots.plotter.Plots"


def pages() -> dict[str, str]:
    """Return the generated pages, in MyST Markdown, by their paths in ``docs``."""
    found = {}
    for path in sorted(_DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _MARK.search(text):
            found[path.relative_to(_DOCS).as_posix()] = _MARK.sub(_fragment, text)
    for name in _answers():
        title = f"# `payments.capsule.{name}`"
        found[f"reference/payments/{name}.md"] = f"{title}\n\n{_auto('method', _ACCESSOR, name)}\n"
    return found


def documented() -> list[str]:
    """Return the full names of everything whose docstring is in the reference."""
    found = []
    for name, members in AUTO.findall("\n".join(pages().values())):
        found.append(name)
        if ":members:" in members:
            found += [f"{name}.{each}" for each in public_methods(find(name))]
    return list(dict.fromkeys(found))


def find(name: str) -> Any:
    """Return the module, class, function or method with a full name."""
    try:
        return importlib.import_module(name)
    except ImportError:
        parent, _, last = name.rpartition(".")
        return getattr(find(parent), last)


def public_methods(cls: type) -> list[str]:
    """Return the public methods and properties of a class, in their order in its source."""
    return [name for name in vars(cls) if not name.startswith("_")]


def _fragment(mark: re.Match[str]) -> str:
    lines = _FRAGMENTS[mark[1]](*filter(None, [mark[2]]))
    return "\n".join(lines).rstrip("\n")


def _table(*rows: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a Markdown table; the first row is its head."""
    for number, row in enumerate(rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        if number == 0:
            yield f"| {' | '.join(['---'] * len(row))} |"
    yield ""


def _auto(kind: str, owner: str, name: str, *options: str) -> str:
    lines = [f".. auto{kind}:: {owner}.{name}", *(f"   :{option}:" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```", ""])


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _with_code(text: str) -> str:
    """Mark options, magics, formulas and double braces in a help text as code."""
    text = re.sub(r"(\$\$…\$\$|\\\[…\\\]|\\\(…\\\))", r"`\1`", text)
    text = re.sub(r"(?<!`)(\{\{ \"\{\{\" \}\}|\{\{.*?\}\})(?!`)", r"`\1`", text)
    text = re.sub(r"(?<!`)(\$name|(?<= )[#;](?=\s))", r"`\1`", text)
    option = r"--?[a-z][\w-]*(?: \"[^\"]*\")?"  # with a value in quotes
    return re.sub(rf"(?<![`\w-])({option}|%capsule \w+)(?![`\w])", r"`\1`", text)


def _tutorials() -> Iterator[str]:
    found = [
        each
        for name, each in NOTEBOOKS.items()
        if (_DOCS.parent / "notebooks" / f"{name}.ipynb").exists()
    ]
    yield from (f"1. [{title}]({page}.ipynb): {about}" for page, title, about in found)
    yield from ("", "```{toctree}", ":hidden:", "")
    yield from (f"{title} <{page}>" for page, title, _ in found)
    yield "```"


# Magics.


def _cell_magic() -> Iterator[str]:
    yield from _command(CELL, CELL.name)


def _subcommands() -> Iterator[str]:
    links = ((f"[`{name}`](#capsule-{name})", each.summary) for name, each in COMMANDS.items())
    yield from _table(("subcommand", "what it does"), *links)
    for name, command in COMMANDS.items():
        yield from (f"(capsule-{name})=", f"### `%capsule {name}`", "")
        yield from (_sentence(command.summary), "")
        yield from _command(command, f"%capsule {name}")


def _command(command: Command, shown: str) -> Iterator[str]:
    for each in command.subcommands:
        default = " (default)" if each.name == command.default else ""
        yield from (f"**`{shown} {each.name}`**{default}: {_sentence(each.summary)}", "")
        yield from _arguments(each)
    if not command.subcommands:
        yield from _arguments(command)
    for example in filter(None, command.examples.split("\n\n")):  # one cell each
        yield from ("```ipython", example, "```", "")
    if command.notes:
        yield from (_with_code(command.notes), "")


def _arguments(command: Command) -> Iterator[str]:
    rows = ((_names(each), _about(each)) for each in command.all_arguments)
    yield from _table(("argument", "meaning"), *rows)


def _names(argument: Argument) -> str:
    metavar = argument.settings.get("metavar") or ""
    if not argument.is_option:
        return f"`{metavar or argument.names[0]}`"
    value = f" {metavar}" if metavar and argument.takes_value else ""
    return ", ".join(f"`{name}{value}`" for name in argument.names)


def _about(argument: Argument) -> str:
    text = _with_code(str(argument.settings.get("help", "")))
    choices = argument.settings.get("choices")
    return f"one of {', '.join(f'`{each}`' for each in choices)}; {text}" if choices else text


# Settings and errors.


def _settings() -> Iterator[str]:
    rows = []
    for name, trait in CapsuleMagics.class_own_traits(config=True).items():
        values = getattr(trait, "values", None)
        allowed = f" One of {', '.join(f'`{value!r}`' for value in values)}." if values else ""
        rows.append((f"`{name}`", f"`{trait.default()!r}`", _with_code(trait.help) + allowed))
    yield from _table(("setting", "default", "meaning"), *rows)


def _environment() -> Iterator[str]:
    rows = ((f"`{name}`", text) for name, text in _TEXTS["environment"].items())
    yield from _table(("variable", "meaning"), *rows)


def _notebook_errors() -> Iterator[str]:
    kinds = (getattr(errors, name) for name in errors.__all__)
    kinds = [each for each in kinds if inspect.isclass(each)]
    rows = []
    for kind in (*kinds, NotRecordedError, SweepError):
        entry = _TEXTS["notebook_errors"][kind.__name__]
        shown = entry.get("shown") or (f"`{kind.label}`" if kind.label else "nothing")
        rows.append((shown, f"`{kind.__name__}`", entry["advice"]))
    yield from _table(("shown before the line", "class", "what to do"), *rows)


def _client_errors() -> Iterator[str]:
    found = (name for name in cpsl.__all__ if _is_error(getattr(cpsl, name)))
    for name in sorted(found, key=lambda name: (name != "CapsuleError", name)):
        yield from (f"### `{name}`", "", _auto("exception", "cpsl", name, "show-inheritance"))
        yield from (f"**What to do.** {_TEXTS['client_errors'][name]}", "")


def _is_error(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


# The command line.


def _shell_commands() -> Iterator[str]:
    parser, by_name = cli.parsers()  # those of `cpsl help`
    yield from _usage(parser)
    for name, each in by_name.items():
        yield from (f"## `cpsl {name}`", "", *_usage(each))


def _usage(parser: Any) -> Iterator[str]:
    plain = argparse.RawDescriptionHelpFormatter
    parser.formatter_class = lambda prog: plain(prog, width=_WIDTH)  # not that of the terminal
    yield from ("```text", parser.format_help().rstrip(), "```", "")


def _local_command() -> Iterator[str]:
    environ = os.environ | {"COLUMNS": str(_WIDTH), "PYTHONPATH": str(_DOCS.parent)}
    command = [sys.executable, "-m", "cpsl_notebook.local", "--help"]
    usage = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)  # noqa: S603
    yield from ("```text", usage.stdout.rstrip(), "```", "")


# Docstrings.


def _module(name: str) -> Iterator[str]:
    package, _, last = name.rpartition(".")
    yield _auto("module", package, last, "no-members")


def _api(package: str) -> Iterator[str]:
    """Yield the classes and functions of a package; errors have a page of their own."""
    names = find(package).__all__
    if package == "cpsl_notebook":  # what people look for first
        first = ["ask", "Conversation", "Reply", "Client", "sweep", "recording", "replay"]
        names = [*first, *(name for name in names if name not in first)]
    for name in names:
        value = getattr(find(package), name)
        if _is_error(value) or name in ("Seconds", "local", "load_ipython_extension"):
            continue
        is_class = inspect.isclass(value)
        options = ("members",) if is_class else ()
        yield from (f"## `{name}`", "")
        yield _auto("class" if is_class else "function", package, name, *options)


def _login() -> Iterator[str]:
    for name in ("begin", "Login", "store_token", "forget"):
        is_class = name == "Login"
        yield from (f"## `{name}`", "")
        options = ("members",) if is_class else ()
        yield _auto("class" if is_class else "function", "cpsl.login", name, *options)


def _answers() -> list[str]:
    return [name for name in public_methods(Earnings) if name not in ("roles", "plot")]


def _answer_table() -> Iterator[str]:
    rows = []
    for name in _answers():
        summary = " ".join((inspect.getdoc(getattr(Earnings, name)) or "").split("\n\n")[0].split())
        plot = "yes" if hasattr(Plots, name) else ""
        rows.append((f"[`{name}`](payments/{name}.md)", summary, plot))
    yield from _table(("answer", "what it does", "plot"), *rows)
    toctree = (f"{name} <payments/{name}>" for name in _answers())
    yield from ("```{toctree}", ":hidden:", "", *toctree, "```", "")


def _accessor() -> Iterator[str]:
    yield _auto("class", *_ACCESSOR.rsplit(".", 1))
    yield _auto("property", _ACCESSOR, "roles")


def _plots() -> Iterator[str]:
    yield _auto("class", *_PLOTS.rsplit(".", 1))
    for name in public_methods(Plots):
        yield _auto("method", _PLOTS, name)


_FRAGMENTS: dict[str, Callable[..., Iterator[str]]] = {
    "accessor": _accessor,
    "answers": _answer_table,
    "api": _api,
    "cell_magic": _cell_magic,
    "client_errors": _client_errors,
    "environment": _environment,
    "local_command": _local_command,
    "login": _login,
    "module": _module,
    "notebook_errors": _notebook_errors,
    "plots": _plots,
    "settings": _settings,
    "shell_commands": _shell_commands,
    "subcommands": _subcommands,
    "tutorials": _tutorials,
}
