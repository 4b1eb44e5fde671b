"""The commands of ``cpsl``: run one, and print an error as one line."""

# ruff: noqa: T201 - printing is the purpose of this module

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from cpsl import login, smoke
from cpsl.cli_output import (
    can_encode,
    flatten,
    notes_on_stderr,
    print_csv,
    print_json,
    print_note,
    print_pairs,
    print_table,
)
from cpsl.client import Client
from cpsl.config import config_path, load
from cpsl.errors import CapsuleError, InvalidRequestError, ProtocolError
from cpsl.sanitize import clean, one_line, split_complete

__all__ = ["run"]

_FAILED, _NOT_SENT = 1, 2  # exit statuses

# Fields of a response that indicate more pages.
_PAGINATION = ("has_more", "hasMore", "next", "next_cursor", "nextCursor", "next_page", "cursor")
_SMOKE_OPTIONS = ("prompt", "then", "max_seconds", "expect")
_REPLY = ("text", "session_id", "request_id", "raw")


def run(options: argparse.Namespace) -> int:
    """Run the command of a parsed command line and return the exit status."""
    with notes_on_stderr(verbose=options.verbose):
        try:
            return _COMMANDS[options.command](options)
        except CapsuleError as error:
            print_note(str(error))
            return _FAILED if smoke.reached_app(error) else _NOT_SENT


def _log_in(options: argparse.Namespace) -> int:
    """Log in with the browser, or with a token from standard input."""
    if options.token_stdin:
        path = login.store_token(_read_token(), options.gateway)
    else:
        pending = login.begin(options.gateway)
        print(f"To log in to {pending.gateway}, open\n\n  {pending.url}\n", flush=True)
        if not options.no_browser and _has_browser():
            # In a thread, because some browsers return only when they are closed.
            threading.Thread(target=webbrowser.open, args=[pending.url], daemon=True).start()
        path = _wait_for(pending)
    print(f"Logged in. The token is in {path}.")
    if os.environ.get("CAPSULE_TOKEN"):
        print_note("CAPSULE_TOKEN is set and takes precedence: unset it to use this login.")
    return 0


def _read_token() -> str:
    if not sys.stdin.isatty():
        return _read_stdin()
    try:
        return getpass.getpass("Token (not shown): ")
    except EOFError:
        return ""


def _has_browser() -> bool:
    """Return whether the browser opens in a window, and not as text in this terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def _wait_for(pending: login.Login) -> Path:
    if not sys.stderr.isatty():
        print_note("Waiting for confirmation. Press Ctrl-C to cancel.")
        return pending.wait()

    def count_down(left: float) -> None:
        clock = f"{int(left) // 60}:{int(left) % 60:02d}"
        sys.stderr.write(f"\rWaiting for confirmation, {clock} left. Press Ctrl-C to cancel. ")
        sys.stderr.flush()

    try:
        return pending.wait(count_down)
    finally:
        sys.stderr.write("\n")


def _log_out(options: argparse.Namespace) -> int:
    """Remove the stored token."""
    path = login.forget()
    if path is None:
        print(f"No token is stored in {config_path()}.")
    else:
        print(f"Removed the token from {path}.")
    if os.environ.get("CAPSULE_TOKEN"):
        print_note("CAPSULE_TOKEN is still set in this shell.")
    return 0


def _status(options: argparse.Namespace) -> int:
    """Print the workspace, the gateway and the source of the token."""
    settings = load()
    error, workspace = login.authorize(settings)
    if error is not None:
        raise error
    print_pairs(
        {
            "workspace": workspace,
            "gateway": f"{settings.grpc_target}, {settings.http_url}",
            "token from": settings.source,
        }
    )
    return 0


def _apps(options: argparse.Namespace) -> int:
    """List the apps."""
    with Client() as client:
        listed = client.list_apps()
    if options.json:
        print_json(listed)
    else:
        rows = [{key: app[key] for key in ("name", "hostname", "id")} for app in listed]
        print_table(rows, "apps")
    return 0


def _chat(options: argparse.Namespace) -> int:
    """Send a message and print the reply."""
    text = options.text if options.text != "-" else _read_message()
    with Client() as client:
        if sys.stdout.isatty() and not options.json:
            session_id = _print_stream(client, options.app, text, options.session)
        else:
            reply = client.chat(options.app, text, options.session)
            session_id = reply.session_id
            if options.json:
                print_json({key: getattr(reply, key) for key in _REPLY})
            else:
                print(clean(reply.text))
    sys.stdout.flush()
    if options.session and session_id not in ("", options.session):
        print_note("The app did not continue this session. It started a new one.")
    if session_id and sys.stderr.isatty():
        command = f"cpsl chat {shlex.quote(options.app)} --session {shlex.quote(session_id)} TEXT"
        print_note(f"To continue: {command}")
    return 0


def _read_message() -> str:
    try:
        text = _read_stdin()
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError("The message is not UTF-8 text: convert it first.") from None
    if not text.strip():
        raise InvalidRequestError(
            "The message from standard input is empty: pipe some text into the command."
        )
    return text


def _read_stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def _print_stream(client: Client, app: str, text: str, session_id: str | None) -> str:
    """Print a reply while it arrives; return the id of its session."""
    try:
        stream = client.stream(app, text, session_id)
    except InvalidRequestError:  # too long for the URL of a stream
        reply = client.chat(app, text, session_id)
        print(clean(reply.text))
        return reply.session_id
    blocks: list[str] = []
    pending = ""
    last = "\n"
    with stream:
        try:
            for chunk in stream:
                complete, pending = split_complete(pending + chunk.text)
                shown = clean(complete)
                last = shown[-1:] or last
                sys.stdout.write(shown)
                sys.stdout.flush()
                blocks += _block_types(chunk.data)
        finally:
            rest = clean(pending)
            if (rest or last)[-1] != "\n":  # an error message must start on a new line
                rest += "\n"
            sys.stdout.write(rest)
            sys.stdout.flush()
    if blocks:
        print_note(f"The app also sent {', '.join(blocks)}: use --json to get the whole reply.")
    return stream.session_id


def _block_types(data: dict[str, Any]) -> list[str]:
    """Return the type of the block in an event, if it has one that is not a notification."""
    block = data.get("block", data)
    kind = block.get("type") if isinstance(block, dict) and "payload" in block else None
    return [kind] if isinstance(kind, str) and kind != "notification" else []


def _payments(options: argparse.Namespace) -> int:
    """List the payments of an app."""
    with Client() as client:
        payments: Any = client.list_payments(options.app)
    if options.json:
        print_json(payments)
        return 0
    records = [flatten(record) for record in _records(payments)]
    if options.csv:
        print_csv(records)
    else:
        print_table(records, "payments")
    return 0


def _earnings(options: argparse.Namespace) -> int:
    """Print the earnings of an app."""
    with Client() as client:
        earnings = client.get_earnings(options.app)
    if options.json:
        print_json(earnings)
    else:
        print_pairs(flatten(earnings))
    return 0


def _smoke_test(options: argparse.Namespace) -> int:
    """Run the smoke test of an app."""
    try:
        with Client() as client:
            given = {name: getattr(options, name) for name in _SMOKE_OPTIONS}
            chosen = {name: value for name, value in given.items() if value is not None}
            report = smoke.smoke(client, options.app, **chosen)
    except CapsuleError as error:
        if options.json:
            print_json({"ok": False, "app": options.app, "error": str(error)})
        print_note(str(error))
        return _NOT_SENT
    if options.json:
        print_json(report.as_dict())
    else:
        _print_checks(report.checks)
    if report.error is not None:
        print_note(str(report.error))
        return _NOT_SENT if all(check.ok for check in report.checks) else _FAILED
    return 0 if report.ok else _FAILED


def _print_checks(checks: tuple[smoke.Check, ...]) -> None:
    passed, failed = ("✓", "✗") if can_encode("✓✗") else ("ok  ", "FAIL")
    for check in checks:
        detail = one_line(check.detail)
        print(f"{passed if check.ok else failed} {check.name:<13}  {detail}", flush=True)


def _records(data: Any) -> list[Any]:
    """Return the list of records in a response, which is the list or an object that contains it."""
    if isinstance(data, dict):
        if any(data.get(key) for key in _PAGINATION):
            raise ProtocolError(
                "The service sent only some of the payments: use --json to see its response."
            )
        lists = [value for value in data.values() if isinstance(value, list)]
        data = data.get("payments", lists[0] if len(lists) == 1 else None)
    if not isinstance(data, list):
        raise ProtocolError("The response has no list of payments: use --json to see it.")
    return data


_COMMANDS = {
    "login": _log_in,
    "logout": _log_out,
    "status": _status,
    "apps": _apps,
    "chat": _chat,
    "payments": _payments,
    "earnings": _earnings,
    "smoke": _smoke_test,
}
