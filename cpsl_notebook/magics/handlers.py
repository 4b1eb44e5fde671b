"""What each subcommand of ``%capsule``, and the cell magic, does with its parsed options.

A handler takes the magics and the options; its result is the magic's value. Heavy modules are imported
by the handlers that need them, so that ``%load_ext`` is fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.printing import print_text
from cpsl_notebook.reproducible import is_reproducible

if TYPE_CHECKING:
    import pandas as pd

    from cpsl_notebook.client import Client
    from cpsl_notebook.conversation.context import NotebookContext
    from cpsl_notebook.magics.capsule_magics import CapsuleMagics
    from cpsl_notebook.recordings.replayer import ReplayClient
    from cpsl_notebook.reply.model import Reply

__all__ = [
    "app",
    "apps",
    "checkout",
    "earnings",
    "history",
    "last",
    "local_workspace",
    "login",
    "payments",
    "record",
    "replay",
    "send_cell",
    "status",
    "use",
]


def send_cell(
    magics: CapsuleMagics, options: argparse.Namespace, cell: str, namespace: Mapping[str, Any]
) -> pd.DataFrame | None:
    """Fill the text of a cell, send it to an app, and show the reply."""
    if options.each:
        from cpsl_notebook.sweeps.cell import sweep_cell

        return sweep_cell(magics.shell, options, cell, namespace)
    for option in ("store", "yes"):
        if getattr(options, option):
            raise UsageError(f"--{option} needs --each. Add --each FRAME, or remove --{option}.")
    from cpsl_notebook.api import running_cell, send
    from cpsl_notebook.prompt.request import Request
    from cpsl_notebook.prompt.template import FilledPrompt, fill

    template = cell.removesuffix("\n")
    filled = FilledPrompt(template) if options.raw else fill(template, namespace)
    request = Request(
        text=filled.text,
        app=options.app,
        template=template,
        unfilled=filled.unfilled,
        session=options.session,
        new=options.new,
        once=options.once,
        stream=options.stream,
        timeout=options.timeout,
        form=options.form,
        **running_cell(),
    )
    if options.dry_run:
        from cpsl_notebook.conversation.exchange import preview

        print_text(preview(magics.context, request))
        return None
    if options.quiet and request.notice:  # the other notices are hidden with the reply
        print_text(request.notice, "stderr")
    reply = send(request, quiet=options.quiet)
    if type(reply.error).__name__ != "AppNotFoundError":
        magics.app = reply.app  # the next cell without an app continues with it
    if options.out:
        magics.shell.push({options.out: reply})
    if reply.error is not None:
        raise reply.error
    return None


def use(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Choose the app for cells without an app name."""
    magics.app = magics.context.existing_app(options.app)
    print_text(f"Cells without an app name now use {options.app}.")


def apps(magics: CapsuleMagics, options: argparse.Namespace) -> pd.DataFrame:
    """List the apps of the workspace."""
    return magics.context.client.list_apps()


def app(magics: CapsuleMagics, options: argparse.Namespace) -> dict[str, Any]:
    """Return an app's metadata."""
    return magics.context.client.get_app(options.app)


def payments(magics: CapsuleMagics, options: argparse.Namespace) -> pd.DataFrame:
    """Read payments."""
    return magics.context.client.list_payments(
        *options.apps,
        since=options.since,
        until=options.until,
        month=options.month,
        tz=options.tz,
    )


def earnings(magics: CapsuleMagics, options: argparse.Namespace) -> pd.DataFrame:
    """Read the earnings of apps."""
    return magics.context.client.get_earnings(*options.apps)


def checkout(magics: CapsuleMagics, options: argparse.Namespace) -> str:
    """Create a checkout URL."""
    return magics.context.client.create_checkout(options.app, options.return_url)


def history(magics: CapsuleMagics, options: argparse.Namespace) -> pd.DataFrame | None:
    """List the prompts and replies of this kernel, or save them."""
    from cpsl_notebook.conversation.history import history_frame, save_history

    frame = history_frame(magics.context.replies)
    if options.save is None:
        return frame
    path = save_history(frame, options.save, force=options.force)
    print_text(f"Saved {len(frame):,} turn{'' if len(frame) == 1 else 's'} in {path}.")
    return None


def last(magics: CapsuleMagics, options: argparse.Namespace) -> Reply:
    """Return the last reply that has content."""
    for reply in reversed(magics.context.replies):
        if reply.text or reply.blocks:
            return reply
    raise UserError("There is no reply yet. Send a prompt with %%capsule first.")


def login(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Log in with the browser and use the new credentials."""
    from cpsl_notebook.login import log_in
    from cpsl_notebook.recordings.environment import replay_from_environment

    if replay_from_environment() is None:  # else no login is needed
        log_in()
    _connect(magics.context, None)


def local_workspace(magics: CapsuleMagics, options: argparse.Namespace) -> Any:
    """Start, reset, stop or show the local workspace."""
    from cpsl_notebook import local

    if options.today and options.action in ("stop", "status"):
        raise UsageError(f"--today cannot be used with {options.action}. Remove --today.")
    workspace = local.running()
    if options.action == "status":
        if workspace is None:
            print_text("No local workspace is running. Start one with `%capsule local`.")
        return workspace
    if options.action == "stop":
        _stop_local(magics.context, workspace)
        return None
    workspace = workspace or local.start()
    if options.action == "reset":
        workspace.reset()
        print_text(
            "Restored the sample apps of the local workspace, and deleted its conversations."
        )
    if options.today:
        workspace.today = options.today
    _connect(magics.context, workspace.client())
    return workspace


def _stop_local(context: NotebookContext, workspace: Any) -> None:
    """Stop the local workspace; a replay continues."""
    if workspace is None:
        print_text("No local workspace is running.")
    else:
        workspace.stop()
        is_shown = workspace.keeps_data and not is_reproducible()
        kept = f" Its data is kept in {workspace.folder}." if is_shown else ""
        print_text(f"Stopped the local workspace.{kept}")
    replayed = _replayed(context)
    if replayed is None:
        context.connect(None)
    else:
        replayed.before = None  # it may have been the client of the workspace
        file = replayed.file.shown
        print_text(f"Still replaying {file}. Stop with `%capsule replay --stop`.")


def _connect(context: NotebookContext, client: Client | None) -> None:
    """Use another client, and print a line if that stops a replay."""
    replayed = _replayed(context)
    context.connect(client)
    if replayed is not None:
        print_text(f"Stopped replaying {replayed.file.shown}.")


def _replayed(context: NotebookContext) -> ReplayClient | None:
    """Return the replay that ``%capsule replay`` started; cells cannot stop ``CAPSULE_REPLAY``."""
    from cpsl_notebook.recordings.commands import replaying
    from cpsl_notebook.recordings.environment import replay_from_environment

    if not context.is_connected or replay_from_environment() is not None:
        return None
    return replaying(context.client)


def record(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Start or stop a recording."""
    from cpsl_notebook.recordings import commands

    context = magics.context
    client = context.client if context.is_connected else None
    print_text(commands.record(options.file, client, stop=options.stop, mask=options.mask))


def replay(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Replay a recording, or compare it with the live service."""
    from cpsl_notebook.client import Client
    from cpsl_notebook.recordings import commands

    context = magics.context
    current = context.client if context.is_connected else None
    before = commands.live_client(current)
    if options.stop:
        before, line = commands.stop_replay(options.file, current)
        context.connect(before)
    elif options.verify:
        line = commands.verify(options.file, before)
    else:
        client, line = commands.start_replay(
            options.file,
            before,
            speed=options.speed,
            missing=options.missing,
            strict=options.strict,
        )
        context.connect(Client(client))
    print_text(line)


def status(magics: CapsuleMagics, options: argparse.Namespace) -> pd.DataFrame:
    """Return what the notebook is connected to, and print the values that pandas will truncate."""
    from cpsl_notebook.magics.status import status_frame, truncated_values

    frame = status_frame(magics.context)
    for item, value in truncated_values(frame).items():
        print_text(f"{item}: {value}")
    return frame
