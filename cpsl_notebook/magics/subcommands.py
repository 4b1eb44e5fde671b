"""The table of subcommands: parsers, help texts and completion are made from it.

To add a subcommand, write its handler in `handlers` and add an entry to `COMMANDS`.
"""

from __future__ import annotations

import argparse
import contextlib
import keyword
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from cpsl_notebook.conversation.registry import MAX_STORED
from cpsl_notebook.magics import handlers, session_command
from cpsl_notebook.settings import MAX_TIMEOUT

__all__ = ["CELL", "COMMANDS", "LINE", "Argument", "Command"]

Completes = Literal["", "app", "conversation", "session", "subcommand", "variable"]


class Argument:
    r"""A positional argument or an option.

    Parameters
    ----------
    \*names : str
        The names for ``ArgumentParser.add_argument``.
    completes : str
        What Tab suggests for its value: ``"app"``, ``"conversation"`` (names given with
        ``--session``), ``"session"`` (session ids), ``"subcommand"``, ``"variable"``, or nothing.
        An argument with choices suggests those.
    excludes : str
        Arguments with the same text here are mutually exclusive.
    \**settings : object
        The settings for ``ArgumentParser.add_argument``.
    """

    def __init__(
        self, *names: str, completes: Completes = "", excludes: str = "", **settings: Any
    ) -> None:
        self.names = names
        self.completes = completes
        self.excludes = excludes
        self.settings = settings

    @property
    def is_option(self) -> bool:
        """Whether it is an option, and not a positional argument."""
        return self.names[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        """Whether the next word is its value."""
        return "action" not in self.settings


@dataclass(frozen=True)
class Command:
    """The cell magic, the line magic, or a subcommand.

    Attributes
    ----------
    name : str
        Its name on the line, such as ``"payments"``.
    summary : str
        What it does, in a phrase.
    run : callable, optional
        The handler; it takes the magics and the parsed options. Its result is the magic's value.
    arguments : tuple of Argument
        Its arguments.
    examples : str
        Lines to copy; those of a subcommand of ``%capsule`` run on the local workspace.
    notes : str
        Further help.
    subcommands : tuple of Command
        Its subcommands.
    default : str
        The subcommand to use if none is named.
    """

    name: str
    summary: str
    run: Callable[..., Any] | None = None
    arguments: tuple[Argument, ...] = ()
    examples: str = ""
    notes: str = ""
    subcommands: tuple[Command, ...] = ()
    default: str = ""

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        """Its arguments and those that every command has."""
        return (*self.arguments, _TRACEBACK)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= MAX_TIMEOUT:
            return float(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number of seconds above 0, up to {MAX_TIMEOUT:,.0f}"
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-10-31") from None


def _variable(text: str) -> str:
    if text.isidentifier() and not keyword.iskeyword(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a valid variable name")


_TRACEBACK = Argument("--traceback", action="store_true", help="show the traceback of an error")
_APP = Argument("app", metavar="APP", completes="app", help="name or id of an app")
_OPTIONAL_APP = Argument(
    "app",
    metavar="APP",
    nargs="?",
    default="",
    completes="app",
    help="name or id of an app (default: the last app named by `%capsule use` or a cell)",
)
_APPS = Argument(
    "apps",
    metavar="APP",
    nargs="*",
    completes="app",
    help="names or ids of apps (default: all apps in the workspace)",
)
_SESSION = Argument(
    *("-s", "--session"),
    metavar="NAME",
    default="",
    completes="conversation",
    help="use a separate conversation with this name",
)

CELL = Command(
    "%%capsule",
    "Send the cell's text to an app and show its reply as it arrives.",
    arguments=(
        _OPTIONAL_APP,
        Argument("-n", "--new", action="store_true", help="start a new conversation"),
        Argument(
            "--once",
            action="store_true",
            help="use a temporary conversation; the notebook's conversation does not change",
        ),
        _SESSION,
        Argument(
            *("-o", "--out"),
            metavar="NAME",
            type=_variable,
            completes="variable",
            help="store the Reply in this variable",
        ),
        Argument("-q", "--quiet", action="store_true", help="do not show the reply"),
        Argument(
            "--json",
            dest="form",
            action="store_const",
            const="json",
            excludes="form",
            help="fail unless the reply is JSON",
        ),
        Argument(
            "--table",
            dest="form",
            action="store_const",
            const="table",
            excludes="form",
            help="show only the tables of the reply; fail if it has none",
        ),
        Argument("--raw", action="store_true", help="do not fill {{ }}"),
        Argument(
            "--dry-run",
            action="store_true",
            help="show the prompt and its conversation without sending it",
        ),
        Argument(
            "--no-stream",
            dest="stream",
            action="store_false",
            help="show the reply when it is complete",
        ),
        Argument(
            "--timeout",
            metavar="SECONDS",
            type=_seconds,
            help="stop if the app sends nothing for this many seconds",
        ),
        Argument(
            "--each",
            metavar="FRAME",
            default="",
            completes="variable",
            help="send the cell for each row of this table; the columns are variables of the cell",
        ),
        Argument(
            "--store",
            metavar="FILE",
            default="",
            help="with --each: store the answers in this SQLite file, and skip rows that it has",
        ),
        Argument("--yes", action="store_true", help="with --each: send more than 100 prompts"),
    ),
    examples="""\
%%capsule support-ops -o answer
How many threads are waiting for review right now?

%%capsule
Shorten this to one sentence: {{ answer }}""",
    notes="""\
A cell continues the notebook's conversation with the app. Without APP, it uses the last app
that `%capsule use` or a cell named.

{{ expression }} in the cell is a Python expression over the notebook's variables, with an optional
conversion and format spec as in an f-string: {{ table.head(3) }}, {{ total:,.2f }}, {{ name!r }}.
A DataFrame becomes a Markdown table, a Reply its text. A variable that does not exist is an error.
Double braces of other languages are sent unchanged; {{ "{{" }} inserts two braces.

With --each FRAME, the cell is sent for each row of a table, and the answers are a DataFrame, which
-o stores. --json and --table parse them into columns. --session COLUMN groups rows into
conversations. With --store FILE, an interrupted sweep resumes. FRAME is a variable or an expression,
without braces and in quotes if it contains spaces: --each "df[df.n > 2]". Double braces that would be
sent unchanged and missing values in a prompt are errors; --raw sends all braces unchanged.

On the magic's line, $name and {{ expression }} are also filled, # starts a comment, and a trailing ;
means -q.""",
)

_SESSION_COMMANDS = (
    Command(
        "list",
        "list the conversations",
        session_command.list_sessions,
        (Argument("--all", action="store_true", help="include conversations of other notebooks"),),
        examples="%capsule session list --all",
    ),
    Command(
        "new",
        "start a new conversation with the next cell",
        session_command.new,
        (_OPTIONAL_APP, _SESSION),
        examples="%capsule session new support-ops",
    ),
    Command(
        "resume",
        "resume the last conversation of an earlier kernel",
        session_command.resume,
        (_OPTIONAL_APP, _SESSION),
        examples="%capsule session resume support-ops",
    ),
    Command(
        "use",
        "continue the conversation with a given session id",
        session_command.use,
        (
            Argument(
                "session_id",
                metavar="ID",
                completes="session",
                help="a session id; its first characters are enough if the conversation is listed",
            ),
            _OPTIONAL_APP,
            _SESSION,
        ),
        examples="%capsule session use 3f2a support-ops",
    ),
    Command(
        "forget",
        "remove conversations from the list; the service still has them",
        session_command.forget,
        (
            Argument(
                "conversations",
                metavar="ID_OR_NAME",
                nargs="*",
                completes="session",
                help="session ids, of which the first characters are enough, or names",
            ),
            Argument(
                "--all", action="store_true", help="forget all conversations of this notebook"
            ),
        ),
        examples="%capsule session forget --all",
        notes="A name selects all conversations of the notebook with this name.",
    ),
)

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "local",
            "use the built-in workspace: no account, no network",
            handlers.local_workspace,
            (
                Argument(
                    "action",
                    nargs="?",
                    choices=["stop", "status", "reset"],
                    help="default: start the workspace; reset restores the sample apps and deletes "
                    "conversations",
                ),
                Argument("--today", metavar="DATE", type=_day, help="the last day with payments"),
            ),
            examples="%capsule local\n%capsule local status\n%capsule local reset",
            notes="In this notebook, Client() uses the workspace as well. `%capsule local` ends a "
            "replay; `%capsule local stop` does not.",
        ),
        Command(
            "use",
            "choose the app for cells without an app name",
            handlers.use,
            (_APP,),
            examples="%capsule use support-ops",
        ),
        Command(
            "apps",
            "list the apps in the workspace",
            handlers.apps,
            examples="apps = %capsule apps",
        ),
        Command(
            "app",
            "show an app's metadata",
            handlers.app,
            (_APP,),
            examples="%capsule app support-ops",
        ),
        Command(
            "payments",
            "read payments, one row each",
            handlers.payments,
            (
                _APPS,
                Argument("--month", metavar="MONTH", help="only this month, such as 2025-10"),
                Argument("--since", metavar="TIME", help="only at or after this day or time"),
                Argument("--until", metavar="TIME", help="only before this day or time"),
                Argument(
                    "--tz",
                    metavar="ZONE",
                    default="UTC",
                    help="time zone of these dates (default: UTC)",
                ),
            ),
            examples="""\
payments = %capsule payments support-ops
october = %capsule payments --month 2025-10 --tz America/New_York
payments.groupby("payout_state", observed=True)["net_cents"].sum()""",
        ),
        Command(
            "earnings",
            "read earnings, one row per app",
            handlers.earnings,
            (_APPS,),
            examples="earnings = %capsule earnings",
        ),
        Command(
            "checkout",
            "create a checkout URL for a paid app",
            handlers.checkout,
            (
                _APP,
                Argument(
                    "--return-url", metavar="URL", default="", help="page to open after the payment"
                ),
            ),
            examples="url = %capsule checkout deal-desk",
        ),
        Command(
            "session",
            "list, start, resume or forget conversations",
            examples="%capsule session\n%capsule session new support-ops",
            notes=f"The last {MAX_STORED:,} conversations of a notebook are stored, without prompts "
            "and replies; older ones are removed. Listing and forgetting them needs no login.",
            subcommands=_SESSION_COMMANDS,
            default="list",
        ),
        Command(
            "history",
            "list or save the prompts and replies of this kernel",
            handlers.history,
            (
                Argument("--save", metavar="FILE", help="write a .jsonl, .parquet or .md file"),
                Argument("-f", "--force", action="store_true", help="replace an existing file"),
            ),
            examples="history = %capsule history\n%capsule history --save answers.md",
        ),
        Command(
            "last",
            "return the last Reply with content",
            handlers.last,
            examples="reply = %capsule last",
        ),
        Command("login", "log in with the browser", handlers.login, examples="%capsule login"),
        Command(
            "status",
            "show the workspace, the token and the package versions",
            handlers.status,
            examples="%capsule status",
        ),
        Command(
            "record",
            "record the responses of the service",
            handlers.record,
            (
                Argument(
                    "file",
                    metavar="FILE",
                    nargs="?",
                    default="",
                    help="file to write, such as answers.jsonl",
                ),
                Argument("--stop", action="store_true", help="stop recording"),
                Argument("--mask", action="store_true", help="replace payers with pseudonyms"),
            ),
            examples="%capsule record answers.jsonl\n%capsule record --stop",
            notes="From now on, every response is written to FILE in JSON Lines format, without tokens "
            "and without texts that look like secrets. An earlier recording in FILE is replaced.",
        ),
        Command(
            "replay",
            "replay a recording instead of using the service",
            handlers.replay,
            (
                Argument("file", metavar="FILE", nargs="?", default="", help="recording to replay"),
                Argument(
                    "--stop", action="store_true", help="stop replaying; use the service again"
                ),
                Argument(
                    "--speed",
                    metavar="N",
                    type=_number,
                    default=0.0,
                    help="0: without delay (default); 1: as recorded; N: N times as fast",
                ),
                Argument(
                    "--missing",
                    metavar="live",
                    choices=["error", "live"],
                    default="error",
                    help="send requests that were not recorded to the service, and add them to FILE",
                ),
                Argument(
                    "--strict", action="store_true", help="use each recorded response only once"
                ),
                Argument(
                    "--verify",
                    action="store_true",
                    help="send the recorded requests to the service again, and show what differs",
                ),
            ),
            examples="""\
%capsule record answers.jsonl
%capsule apps
%capsule record --stop
%capsule replay answers.jsonl --speed 1
%capsule replay --stop""",
            notes="Cells, payments, earnings and Client() get their responses from FILE, without a "
            "network or a login. With the environment variable CAPSULE_REPLAY=FILE, a notebook is "
            "replayed without being edited. --verify sends every prompt again.",
        ),
        Command(
            "help",
            "show the help of a subcommand, or this overview",
            arguments=(
                Argument(
                    "subcommand",
                    metavar="SUBCOMMAND",
                    nargs="*",
                    completes="subcommand",
                    help="a subcommand, such as `session list` (default: this overview)",
                ),
            ),
            examples="%capsule help payments",
        ),
    )
}

LINE = Command(
    "%capsule",
    "Work with Capsule apps. Tabular results are DataFrames, so `x = %capsule payments` works.",
    subcommands=tuple(COMMANDS.values()),
    examples="%capsule apps\npayments = %capsule payments support-ops",
    notes="`%capsule help SUBCOMMAND` shows the arguments of a subcommand.",
)
