"""What can be said to ``%capsule`` and ``%%capsule``: the words, and the help for them."""

from __future__ import annotations

import argparse
import contextlib
import textwrap
from dataclasses import dataclass
from datetime import date
from typing import Any

from cpsl_notebook.settings import LONGEST_SILENCE

__all__ = ["CELL", "COMMANDS", "Argument", "Command", "overview"]


class Argument:
    """A word or an option; ``settings`` are those of ``ArgumentParser.add_argument``."""

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names = names
        self.settings = settings

    @property
    def described(self) -> str:
        """The line about an option in a help text; empty for a plain word."""
        if not self.names[0].startswith("-"):
            return ""
        names = ", ".join(self.names)
        title = f"{names} {self.settings['metavar']}" if "metavar" in self.settings else names
        return f"  {title:<20} {self.settings['help']}\n"


@dataclass(frozen=True)
class Command:
    """One subcommand of ``%capsule``, or the cell magic.

    Attributes
    ----------
    call
        How it is written, before its words.
    usage
        Its words.
    says
        What it does, in a line.
    arguments
        What it takes.
    examples
        Lines that work as they are on the local workspace.
    more
        What else there is to know.
    """

    call: str
    usage: str
    says: str
    examples: str
    arguments: tuple[Argument, ...] = ()
    more: str = ""

    @property
    def help(self) -> str:
        """The whole help text."""
        options = "".join(argument.described for argument in (*self.arguments, _TRACEBACK))
        parts = [f"{self.call} {self.usage}".rstrip() + f"\n\n{self.says}\n"]
        parts += [f"{self.more.strip()}\n"] if self.more else []
        examples = textwrap.indent(self.examples.strip(), "    ")
        return "\n".join([*parts, options, f"Examples:\n{examples}\n"])


def seconds(value: str) -> float:
    """Read a number of seconds."""
    with contextlib.suppress(ValueError):
        if 0 < float(value) <= LONGEST_SILENCE:
            return float(value)
    raise argparse.ArgumentTypeError(f"{value!r} is no number of seconds")


def day(value: str) -> date:
    """Read a date."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no day such as 2026-10-31") from None


_TRACEBACK = Argument("--traceback", action="store_true", help="show where an error comes from")
_APP = Argument("app")
_APPS = Argument("apps", nargs="*")
_NAME = Argument(
    *("-s", "--session"),
    metavar="NAME",
    default="",
    help="a further conversation of this notebook, by name",
)
_ASKING = (
    Argument(
        *("-n", "--new"),
        action="store_true",
        help="start a new conversation; without it, the last one goes on",
    ),
    Argument(
        "--once",
        action="store_true",
        help="ask in a throw-away conversation, and leave the notebook's where it is",
    ),
    _NAME,
    Argument("-o", "--out", metavar="NAME", help="store the Reply in a variable, and show it too"),
    Argument("-q", "--quiet", action="store_true", help="show nothing"),
    Argument(
        "--json", dest="form", action="store_const", const="json", help="the answer must be JSON"
    ),
    Argument(
        "--table",
        dest="form",
        action="store_const",
        const="table",
        help="the answer must hold a table; only that is shown",
    ),
    Argument("--raw", action="store_true", help="leave {{ }} alone"),
    Argument(
        "--dry-run",
        action="store_true",
        help="show what would be sent, and in which conversation; send nothing",
    ),
    Argument("--no-stream", dest="stream", action="store_false", help="wait for the whole reply"),
    Argument("--timeout", metavar="SECONDS", type=seconds, help="the longest silence to bear"),
)

CELL = Command(
    "%%capsule",
    "[APP] [options]",
    "Send the cell's text to an app and show its reply as it arrives.",
    examples="""\
%%capsule support-ops -o answer
How many threads are waiting for review right now?

%%capsule
Shorten this to one sentence: {{ answer }}""",
    arguments=(Argument("app", nargs="?", default=""), *_ASKING),
    more="""
APP defaults to that of `%capsule use`, or to the only one that this notebook has used.

{{ name }}, {{ table.head(3) }}: an expression of the notebook, in Jinja's syntax or in Python's, is
filled in. A DataFrame becomes a Markdown table, a Reply its text. A name that is missing is an
error. All else is sent as it stands, {{ }} without an expression too; {{ "{{" }} gives two braces.

On the line, $name and {{ name }} are filled, `# comment` is left out, and `;` at the end is -q.""",
)


def _command(name: str, usage: str, says: str, *arguments: Argument, **texts: str) -> Command:
    examples = texts.pop("examples", f"%capsule {name}")
    return Command(f"%capsule {name}", usage, says, examples, arguments, **texts)


COMMANDS = {
    "local": _command(
        "local",
        "[stop|status] [--today DATE]",
        "use the built-in workspace: no account, no network",
        Argument("action", nargs="?", choices=["stop", "status"]),
        Argument("--today", metavar="DATE", type=day, help="the day on which its payments end"),
        examples="%capsule local\n%capsule local status",
    ),
    "ask": _command(
        "ask",
        "APP TEXT ...",
        "ask an app in one line",
        Argument("app", nargs="?", default=""),
        *_ASKING,
        examples="""\
%capsule ask support-ops How many threads are waiting for review?
%capsule ask support-ops -o answer Which queue looks busiest?""",
        more="It takes the options of %%capsule, before the text. The text is sent as it stands.",
    ),
    "use": _command(
        "use",
        "APP",
        "the app that cells without one talk to",
        _APP,
        examples="%capsule use support-ops",
    ),
    "apps": _command("apps", "", "the apps of the workspace"),
    "app": _command("app", "APP", "one app's metadata", _APP, examples="%capsule app support-ops"),
    "payments": _command(
        "payments",
        "[APP ...] [--month MONTH]",
        "payments of these apps, or of all",
        _APPS,
        Argument("--month", metavar="MONTH", help="only those of a month, such as 2025-10"),
        Argument("--since", metavar="DAY", help="only those from this day or time on"),
        Argument("--until", metavar="DAY", help="only those before this day or time"),
        Argument("--tz", metavar="ZONE", default="UTC", help="the time zone of these; UTC"),
        examples="""\
payments = %capsule payments support-ops
october = %capsule payments --month 2025-10 --tz America/New_York
payments.groupby("payout_state", observed=True)["net_cents"].sum()""",
    ),
    "earnings": _command(
        "earnings",
        "[APP ...]",
        "earnings, one row per app",
        _APPS,
        examples="earnings = %capsule earnings",
    ),
    "checkout": _command(
        "checkout",
        "APP [--return-url URL]",
        "a checkout URL of a paid app",
        _APP,
        Argument("--return-url", metavar="URL", default="", help="where the payer goes afterwards"),
        examples="url = %capsule checkout deal-desk",
    ),
    "session": _command(
        "session",
        "[list|new|resume|use|forget]",
        "this notebook's conversations",
        Argument("action", nargs="?", default="list"),
        Argument("words", nargs="*", default=[]),
        _NAME,
        Argument("--all", action="store_true", help="list: of every notebook; forget: every one"),
        examples="""\
%capsule session
%capsule session new support-ops
%capsule session list --all""",
        more="""
%capsule session [list] [--all]    a table of the conversations
%capsule session new [APP]         the next cell starts a new one
%capsule session resume [APP]      go on where an earlier kernel was
%capsule session use ID [APP]      go on with the conversation of this session id
%capsule session forget ID ...     take conversations out of the table, or --all of this notebook

The first letters of an ID are enough for a conversation that is in the table. What is forgotten
here is still known to the service.""",
    ),
    "history": _command(
        "history",
        "[--save FILE]",
        "the prompts and replies of this kernel",
        Argument("--save", metavar="FILE", help="write them to FILE: .jsonl, .parquet or .md"),
        Argument("-f", "--force", action="store_true", help="replace a FILE that is there"),
        examples="history = %capsule history\n%capsule history --save answers.md",
    ),
    "last": _command("last", "", "the last Reply", examples="reply = %capsule last"),
    "login": _command("login", "", "log in with the browser"),
    "status": _command("status", "", "what this notebook is connected to"),
    "help": _command(
        "help",
        "[SUBCOMMAND]",
        "this text and that of %%capsule, or that of a subcommand",
        Argument("subcommand", nargs="?", default=""),
        examples="%capsule help payments",
    ),
}


def overview() -> str:
    """Return what ``%capsule help`` shows."""
    lines = [f"{f'{c.call} {c.usage}'.rstrip():<45} {c.says}\n" for c in COMMANDS.values()]
    first = "Work with Capsule apps. What is a table comes back as a DataFrame, so that\n"
    return f"{first}`x = %capsule payments APP` works.\n\n{''.join(lines)}\n{CELL.help}"


def parser_arguments(command: Command) -> tuple[Argument, ...]:
    """Return all that a command's parser takes."""
    return (*command.arguments, _TRACEBACK)
