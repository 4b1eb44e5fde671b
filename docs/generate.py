"""The reference pages that are made from the code: commands, settings, errors, docstrings."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cpsl
import cpsl_notebook
from cpsl import cli
from cpsl_notebook import errors as notebook_errors
from cpsl_notebook import local
from cpsl_notebook.earnings.accessor import Earnings
from cpsl_notebook.earnings.plots.plotter import Plots
from cpsl_notebook.magics.capsule_magics import CapsuleMagics
from cpsl_notebook.magics.subcommands import CELL, COMMANDS, Argument, Command
from cpsl_notebook.recordings.replayer import NotRecordedError
from cpsl_notebook.sweeps.sweep import SweepError

__all__ = ["ADVICE", "NOTEBOOK_ERRORS", "pages", "public_errors", "settings"]

# What to do about each error of the client, beside what its message says.
ADVICE = {
    "CapsuleError": "Catch it to handle every error of the client. Log `status` and `request_id`.",
    "CredentialsError": "Log in with `%capsule login` or `cpsl login`, or set `CAPSULE_TOKEN`. If the token "
    "comes from a variable, set `CAPSULE_HTTP_URL` in the same place: a token is never sent to the "
    "gateway of another login.",
    "AuthenticationError": "The token has expired or was revoked. Log in again, or renew the variable that "
    "holds it. `%capsule status` and `cpsl status` show where the token comes from.",
    "PermissionDeniedError": "Logging in again does not help. Use a token of the workspace that owns the app.",
    "NotFoundError": "Check the id. If the gateway is not Capsule's own, check its address with `cpsl status`.",
    "AppNotFoundError": "Check the name; `matches` has similar ones. `%capsule apps` and `cpsl apps` list all.",
    "RateLimitedError": "Wait for `retry_after` seconds and try again. In a sweep, set `rpm=`.",
    "InvalidRequestError": "Change the request as the message says. The same request will fail again.",
    "GatewayError": "The service or the app failed. Try again later, or look at the app's logs with the "
    "`request_id`. A message may have reached the app.",
    "CannotConnectError": "Check the network and the proxy. If `sent` is false, you can safely send again; if it "
    "is true, the app may have acted on the message.",
    "TimedOutError": "Pass a larger `timeout=`, or set `%config CapsuleMagics.timeout`. If `sent` is true, the app "
    "may have acted on the message.",
    "TLSError": "Behind a company's proxy, point `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE` to its "
    "certificates.",
    "ProtocolError": "If `from_gateway` is false, a login page of the network answered: log in to the network. "
    "Otherwise check the gateway's address, then report it with the `request_id`.",
    "TooLargeError": "Pass a larger limit to `Client`: `max_answer_bytes=`, `max_reply_bytes=` or "
    "`max_event_bytes=`.",
    "StreamInterrupted": "`text` has the part that arrived. The session continues, and you can ask again in it.",
    "StreamTimedOut": "As for `StreamInterrupted`. If the app needs long pauses, pass a larger `timeout=`.",
}

NOTEBOOK_ERRORS: dict[type[notebook_errors.UserError], str] = {
    notebook_errors.UserError: "Do what the line says. In a script, catch `cpsl_notebook.UserError`.",
    notebook_errors.UsageError: "Correct the line. `%capsule help SUBCOMMAND` shows its options.",
    notebook_errors.StoppedError: "Nothing is wrong: the text that had arrived is kept. Run the cell again to ask "
    "again.",
    notebook_errors.PromptError: "Correct the expression in the braces, or send the braces with `--raw`. "
    "`--dry-run` shows the prompt without sending it.",
    notebook_errors.ClientError: "The name before the line is that of the client's error: see below. `--traceback` "
    "shows the whole error.",
    NotRecordedError: "Record the notebook again, or run it with `%capsule replay FILE --missing live`. The "
    "message shows what differs from the nearest recorded request.",
    SweepError: "`answers` has the rows so far. With `store=`, the next sweep continues there.",
}

CLIENT_NAMES = ["Client", "Stream", "ChatResponse", "StreamChunk"]
NOTEBOOK_NAMES = ["ask", "Conversation", "Reply", "Client", "sweep", "recording", "replay"]


def public_errors() -> dict[str, type[Exception]]:
    """Return the error classes of the client by name, the base class first."""
    found = {name: getattr(cpsl, name) for name in cpsl.__all__}
    found = {k: v for k, v in found.items() if inspect.isclass(v) and issubclass(v, Exception)}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "CapsuleError", item[0])))


def settings() -> dict[str, Any]:
    """Return the settings of ``%config CapsuleMagics`` by name."""
    return {name: trait for name, trait in CapsuleMagics.class_own_traits(config=True).items()}


def pages() -> dict[str, str]:
    """Return the generated pages by their paths, in MyST Markdown."""
    return {
        "reference/magics.md": _magics(),
        "reference/settings.md": _settings(),
        "reference/errors.md": _errors(),
        "reference/command-line.md": _command_line(),
        "reference/client.md": _client(),
        "reference/notebook.md": _notebook(),
        "reference/workspace.md": _workspace(),
        "reference/columns.md": _module("Columns of a frame", "cpsl_notebook.frames"),
        "reference/renewals.md": _module(
            "Renewals and subscriptions", "cpsl_notebook.earnings.subscriptions.renewals"
        ),
        **_payments(),
    }


# Magics ---------------------------------------------------------------------------------------


def _magics() -> str:
    lines = [
        "# Magics",
        "",
        "`%load_ext cpsl_notebook` registers the cell magic `%%capsule` and the line magic `%capsule`. In a",
        "notebook, `%%capsule?` and `%capsule help SUBCOMMAND` show the same texts.",
        "",
        *_command(CELL, CELL.name, level=2),
        "## `%capsule`",
        "",
        "`x = %capsule …` stores the result. Tabular results are pandas DataFrames.",
        "",
        "| subcommand | what it does |",
        "| --- | --- |",
        *(
            f"| [`{name}`](#capsule-{name}) | {_cell(command.summary)} |"
            for name, command in COMMANDS.items()
        ),
        "",
    ]
    for name, command in COMMANDS.items():
        lines += _command(command, f"%capsule {name}", level=3)
    return "\n".join(lines)


def _command(command: Command, shown: str, level: int) -> list[str]:
    anchor = shown.replace("%%", "cell-").replace("%", "").replace(" ", "-")
    lines = [f"({anchor})=", f"{'#' * level} `{shown}`", "", _sentence(command.summary), ""]
    if command.subcommands:
        for each in command.subcommands:
            default = " (default)" if each.name == command.default else ""
            lines += [f"**`{shown} {each.name}`**{default}: {_sentence(each.summary)}", ""]
            lines += _arguments(each)
    else:
        lines += _arguments(command)
    # The language is not Python: the lines of one example belong to different cells.
    if command.examples:
        lines += ["```text", command.examples, "```", ""]
    if command.notes:
        lines += [_prose(command.notes), ""]
    return lines


def _arguments(command: Command) -> list[str]:
    if not command.all_arguments:
        return []
    rows = [f"| {_argument(each)} | {_cell(_about(each))} |" for each in command.all_arguments]
    return ["| argument | meaning |", "| --- | --- |", *rows, ""]


def _argument(argument: Argument) -> str:
    metavar = argument.settings.get("metavar") or ""
    if not argument.is_option:
        name = metavar or argument.names[0]
        return f"`{name}`"
    value = f" {metavar}" if metavar and argument.takes_value else ""
    return ", ".join(f"`{name}{value}`" for name in argument.names)


def _about(argument: Argument) -> str:
    text = str(argument.settings.get("help", ""))
    choices = argument.settings.get("choices")
    return f"one of {', '.join(f'`{each}`' for each in choices)}; {text}" if choices else text


def _prose(text: str) -> str:
    """Return help text as Markdown: words with special characters become code."""
    text = re.sub(r"(?<![`\w])(\{\{.*?\}\}(?:(?<=\{\{\s\"\{\{\"\s\}\}))?)", r"`\1`", text)
    return re.sub(r"(?<![`\w\-])(--?[a-z][\w-]*|%capsule \w+)(?![`\w])", r"`\1`", text)


def _cell(text: str) -> str:
    return re.sub(r"(?<!`)(\{\{.*?\}\})(?!`)", r"`\1`", text).replace("|", r"\|")


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


# Settings -------------------------------------------------------------------------------------

_ENVIRONMENT = {
    "CAPSULE_TOKEN": "The workspace token. It takes precedence over the stored login.",
    "CAPSULE_GATEWAY_URL": "The gRPC gateway of that token, as `HOST` or `HOST:PORT`; the HTTP address is derived "
    "from it.",
    "CAPSULE_HTTP_URL": "The base URL of the HTTP API, such as `https://api.capsule.new`; it takes precedence over "
    "the derived one.",
    "CAPSULE_HTTP_PORT": "The HTTP port of the gateway, if it is neither the same as the gRPC port nor the next "
    "one.",
    "CONFIG_PATH": "The file with the stored login; by default `~/.capsule/config.ini`.",
    "CAPSULE_ALLOW_INSECURE": "`1` permits to send the token unencrypted to another machine.",
    "CAPSULE_HOME": "The folder for conversations, pseudonym keys and the local workspace; by default "
    "`~/.capsule`.",
    "CAPSULE_REPLAY": "A recording that answers instead of the service, see "
    "[Record a notebook](../how-to/record.md).",
    "HTTPS_PROXY": "The proxy. `NO_PROXY` names hosts that are reached directly. A gateway on this machine is "
    "always reached directly.",
    "REQUESTS_CA_BUNDLE": "A file with the certificates to trust. `SSL_CERT_FILE` and `SSL_CERT_DIR` work, too.",
}


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "## In a notebook",
        "",
        "`%config CapsuleMagics` lists the settings, and `%config CapsuleMagics.NAME = VALUE` changes one for",
        "this kernel. To change one for every notebook, write `c.CapsuleMagics.NAME = VALUE` to",
        "`~/.ipython/profile_default/ipython_config.py`.",
        "",
        "| setting | default | meaning |",
        "| --- | --- | --- |",
    ]
    for name, trait in settings().items():
        values = getattr(trait, "values", None)
        allowed = f" One of {', '.join(f'`{value!r}`' for value in values)}." if values else ""
        lines.append(f"| `{name}` | `{trait.default()!r}` | {_cell(trait.help)}{allowed} |")
    lines += [
        "",
        "## Environment variables",
        "",
        "The token and its gateway come from one source: arguments of the client, else the environment, else the",
        "stored login.",
        "",
        "| variable | meaning |",
        "| --- | --- |",
        *(f"| `{name}` | {text} |" for name, text in _ENVIRONMENT.items()),
        "",
    ]
    return "\n".join(lines)


# Errors ---------------------------------------------------------------------------------------


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        "An error in a notebook is one line that says what failed and what to do, and it stops Run All. Add",
        "`--traceback` to the line of a magic to see where it was raised.",
        "",
        "## In a notebook",
        "",
        "| shown before the line | class | what to do |",
        "| --- | --- | --- |",
    ]
    for kind, advice in NOTEBOOK_ERRORS.items():
        label = f"`{kind.label}`" if kind.label else ""
        if kind is notebook_errors.PromptError:
            label = "the Python error, such as `NameError`"
        if kind is notebook_errors.ClientError:
            label = "the client's error, such as `AppNotFoundError`"
        shown = label or "nothing"
        lines.append(f"| {shown} | `{kind.__name__}` | {advice} |")
    lines += [
        "",
        "All of them are a `cpsl_notebook.UserError`; the other classes are in `cpsl_notebook.errors`. `ask`, `Conversation.ask` and `cpsl_notebook.Client` raise",
        "the errors of the client, below, unchanged.",
        "",
        "## Of the client",
        "",
        "Every error of `cpsl.Client` is a `cpsl.CapsuleError`. The attributes `status` (int), `request_id` (str)",
        "and `detail` (str) come from the service; they are `None` if it sent none.",
        "",
    ]
    for name in public_errors():
        lines += [
            f"### `{name}`",
            "",
            *_rst(f".. autoexception:: cpsl.{name}", "   :show-inheritance:"),
            f"**What to do.** {ADVICE[name]}",  # an error without advice stops the build
            "",
        ]
    return "\n".join(lines)


# The command line -----------------------------------------------------------------------------


def _command_line() -> str:
    parser, by_name = cli._parsers()  # the same parsers as `cpsl help`
    lines = [
        "# The command line",
        "",
        "`pip install ./cpsl` adds the command `cpsl`; `python -m cpsl` is the same. See",
        "[Smoke test in CI and cron](../how-to/smoke-test.md) for its main use.",
        "",
        "```text",
        _help(parser),
        "```",
        "",
    ]
    for name, each in by_name.items():
        lines += [f"## `cpsl {name}`", "", "```text", _help(each), "```", ""]
    command = [sys.executable, "-m", "cpsl_notebook.local", "--help"]
    usage = subprocess.run(
        command, check=True, capture_output=True, text=True, env=_plain_environment()
    ).stdout
    lines += [
        "## `python -m cpsl_notebook.local`",
        "",
        "The local workspace from a shell; it belongs to `cpsl-notebook`.",
        "",
        "```text",
        usage.rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def _help(parser: Any) -> str:
    parser.formatter_class = _fixed_width(parser.formatter_class)
    return str(parser.format_help()).rstrip()


def _fixed_width(formatter: Any) -> Any:
    return lambda prog: formatter(prog, width=_WIDTH)


_WIDTH = 88


def _plain_environment() -> dict[str, str]:
    import os

    return os.environ | {"COLUMNS": str(_WIDTH), "PYTHONPATH": str(Path(cpsl.__file__).parents[1])}


# Docstrings -----------------------------------------------------------------------------------


def _rst(*lines: str) -> list[str]:
    return ["```{eval-rst}", *lines, "```", ""]


def _client() -> str:
    lines = [
        "# `cpsl.Client`",
        "",
        "The client alone, from the distribution `cpsl-client`. It does not need Jupyter or pandas.",
        "",
    ]
    for name in CLIENT_NAMES:
        lines += [f"## `{name}`", "", *_autoclass(f"cpsl.{name}")]
    return "\n".join(lines)


def _notebook() -> str:
    lines = [
        "# `cpsl_notebook`",
        "",
        "What the magics do, without magics: for loops, functions, scripts, services and marimo.",
        "",
    ]
    for name in NOTEBOOK_NAMES:
        value = getattr(cpsl_notebook, name)
        lines += [f"## `{name}`", ""]
        full = f"cpsl_notebook.{name}"
        lines += (
            _autoclass(full) if inspect.isclass(value) else _rst(f".. autofunction:: {full}")
        )
    lines += [
        "## `UserError`",
        "",
        *_rst(".. autoexception:: cpsl_notebook.UserError"),
        "All error classes, with what to do, are in [Errors](errors.md).",
        "",
    ]
    return "\n".join(lines)


def _workspace() -> str:
    lines = [
        "# The local workspace",
        "",
        "`%capsule local` starts it in a notebook, `python -m cpsl_notebook.local` in a shell.",
        "",
    ]
    for name in local.__all__:
        value = getattr(local, name)
        full = f"cpsl_notebook.local.{name}"
        lines += [f"## `{name}`", ""]
        lines += (
            _autoclass(full) if inspect.isclass(value) else _rst(f".. autofunction:: {full}")
        )
    return "\n".join(lines)


def _module(title: str, name: str) -> str:
    """Return a page with the docstring of a module that others refer to."""
    return "\n".join([f"# {title}", "", *_rst(f".. automodule:: {name}", "   :no-members:")])


def _autoclass(name: str) -> list[str]:
    return _rst(f".. autoclass:: {name}", "   :members:")


def public_methods(cls: type) -> list[str]:
    """Return the public methods and properties of a class, in their order in its source."""
    return [name for name in vars(cls) if not name.startswith("_")]


def _payments() -> dict[str, str]:
    answers = [name for name in public_methods(Earnings) if name not in ("roles", "plot")]
    rows = []
    for name in answers:
        (summary, *_) = inspect.getdoc(getattr(Earnings, name)).split("\n\n")  # type: ignore[union-attr]
        plot = "yes" if hasattr(Plots, name) else ""
        text = " ".join(summary.split())
        rows.append(f"| [`{name}`](payments/{name}.md) | {_cell(text)} | {plot} |")
    index = [
        "# `payments.capsule`",
        "",
        "Every DataFrame of payments has the accessor `capsule`, with these answers. Importing",
        "`cpsl_notebook.Client` or running `%load_ext cpsl_notebook` registers it.",
        "",
        "| answer | what it returns | plot |",
        "| --- | --- | --- |",
        *rows,
        "",
        *_rst(".. autoclass:: cpsl_notebook.earnings.accessor.Earnings"),
        *_rst(".. autoproperty:: cpsl_notebook.earnings.accessor.Earnings.roles"),
        "## Plots",
        "",
        *_rst(".. autoclass:: cpsl_notebook.earnings.plots.plotter.Plots"),
        *_rst(
            *(
                f".. automethod:: cpsl_notebook.earnings.plots.plotter.Plots.{name}"
                for name in public_methods(Plots)
            )
        ),
        "```{toctree}",
        ":hidden:",
        "",
        *(f"{name} <payments/{name}>" for name in answers),
        "```",
        "",
    ]
    found = {"reference/payments.md": "\n".join(index)}
    for name in answers:
        lines = [
            f"# `payments.capsule.{name}`",
            "",
            *_rst(f".. automethod:: cpsl_notebook.earnings.accessor.Earnings.{name}"),
        ]
        found[f"reference/payments/{name}.md"] = "\n".join(lines)
    return found


def write(folder: Path) -> None:
    """Write the generated pages into a folder; unchanged files are left alone."""
    for name, text in pages().items():
        put(folder / name, text)


def put(path: Path, text: str | bytes) -> None:
    """Write a file unless it has this content, so that Sphinx reads only what changed."""
    data = text.encode() if isinstance(text, str) else text
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
