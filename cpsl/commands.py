"""The commands of ``cpsl``."""

# ruff: noqa: T201 - printing is what this module is for

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
    can_show,
    flat,
    note,
    show_csv,
    show_json,
    show_pairs,
    show_table,
)
from cpsl.client import Client
from cpsl.config import config_path, load
from cpsl.errors import CapsuleError, InvalidRequestError, ProtocolError
from cpsl.sanitize import clean, one_line, split_complete

__all__ = [
    "apps",
    "chat",
    "earnings",
    "log_in",
    "log_out",
    "payments",
    "smoke_test",
    "status",
]

_MORE = ("has_more", "hasMore", "next", "next_cursor", "nextCursor", "next_page", "cursor")
_REPLY = ("text", "session_id", "request_id", "raw")


def log_in(options: argparse.Namespace) -> int:
    """Log in with the browser, or with a token on standard input."""
    if options.token_stdin:
        path = login.store_token(_secret(), options.gateway)
    else:
        begun = login.begin(options.gateway)
        print(f"To log in to {begun.gateway}, open\n\n  {begun.url}\n", flush=True)
        if not options.no_browser and _has_browser():
            # In a thread of its own, since some browsers return only when they are closed.
            threading.Thread(target=webbrowser.open, args=[begun.url], daemon=True).start()
        path = _awaited(begun)
    print(f"Logged in; the token is in {path}.")
    if os.environ.get("CAPSULE_TOKEN"):
        note("CAPSULE_TOKEN is set and comes before this login: unset it to use the login.")
    return 0


def _secret() -> str:
    if not sys.stdin.isatty():
        return _stdin()
    try:
        return getpass.getpass("Token (not shown): ")
    except EOFError:
        return ""


def _has_browser() -> bool:
    """Say whether opening a link can show a window, and not a text browser in this terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def _awaited(begun: login.Login) -> Path:
    if not sys.stderr.isatty():
        note("Waiting for the confirmation; Ctrl-C gives up.")
        return begun.wait()

    def count_down(left: float) -> None:
        clock = f"{int(left) // 60}:{int(left) % 60:02d}"
        sys.stderr.write(f"\rWaiting for the confirmation, {clock} left; Ctrl-C gives up. ")
        sys.stderr.flush()

    try:
        return begun.wait(count_down)
    finally:
        sys.stderr.write("\n")


def log_out(options: argparse.Namespace) -> int:
    """Forget the stored token."""
    path = login.forget()
    print(f"The token is gone from {path}." if path else f"No token is stored in {config_path()}.")
    if os.environ.get("CAPSULE_TOKEN"):
        note("CAPSULE_TOKEN is still set in this shell.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Show which workspace commands talk to."""
    settings = load()
    error, workspace = login.authorize(settings)
    if error is not None:
        raise error
    rows = {
        "workspace": workspace,
        "gateway": f"{settings.grpc_target}, {settings.http_url}",
        "token from": settings.source,
    }
    show_pairs(rows)
    return 0


def apps(options: argparse.Namespace) -> int:
    """List the apps."""
    with Client() as client:
        listed = client.list_apps()
    if options.json:
        show_json(listed)
    else:
        rows = [{key: app[key] for key in ("name", "hostname", "id")} for app in listed]
        show_table(rows, "apps")
    return 0


def chat(options: argparse.Namespace) -> int:
    """Send a message and show the reply."""
    text = options.text if options.text != "-" else _message_from_stdin()
    with Client() as client:
        if sys.stdout.isatty() and not options.json:
            session_id = _streamed(client, options.app, text, options.session)
        else:
            reply = client.chat(options.app, text, options.session)
            session_id = reply.session_id
            if options.json:
                show_json({key: getattr(reply, key) for key in _REPLY})
            else:
                print(clean(reply.text))
    sys.stdout.flush()
    if options.session and session_id not in ("", options.session):
        note("The app did not continue that conversation; it began a new one.")
    if session_id and sys.stderr.isatty():
        again = f"cpsl chat {shlex.quote(options.app)} --session {shlex.quote(session_id)} TEXT"
        note(f"To continue: {again}")
    return 0


def _message_from_stdin() -> str:
    try:
        text = _stdin()
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError("The message is not UTF-8 text: convert it first.") from None
    if not text.strip():
        raise InvalidRequestError("The message is empty: standard input gave none.")
    return text


def _stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def _streamed(client: Client, app: str, text: str, session_id: str | None) -> str:
    """Show a reply while it arrives; return the id of its session."""
    try:
        stream = client.stream(app, text, session_id)
    except InvalidRequestError:  # longer than a stream's URL can be
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
            if (rest or last)[-1] != "\n":  # also before the line that says what broke it off
                rest += "\n"
            sys.stdout.write(rest)
            sys.stdout.flush()
    if blocks:
        note(f"The app also sent {', '.join(blocks)}: --json gives all of a reply.")
    return stream.session_id


def _block_types(data: dict[str, Any]) -> list[str]:
    """Name the structured message that an event carries, if it does; a passing status is none."""
    block = data.get("block", data)
    kind = block.get("type") if isinstance(block, dict) and "payload" in block else None
    return [kind] if isinstance(kind, str) and kind != "notification" else []


def payments(options: argparse.Namespace) -> int:
    """List the payments of an app."""
    with Client() as client:
        answer: Any = client.list_payments(options.app)
    if options.json:
        show_json(answer)
        return 0
    records = [flat(record) for record in _records(answer)]
    if options.csv:
        show_csv(records)
    else:
        show_table(records, "payments")
    return 0


def earnings(options: argparse.Namespace) -> int:
    """Show what an app has earned."""
    with Client() as client:
        answer = client.get_earnings(options.app)
    if options.json:
        show_json(answer)
    else:
        show_pairs(flat(answer))
    return 0


def smoke_test(options: argparse.Namespace) -> int:
    """Run the smoke test of an app."""
    try:
        with Client(timeout=options.max_seconds) as client:
            report = smoke.smoke(
                client,
                options.app,
                options.prompt,
                options.then,
                max_seconds=options.max_seconds,
                expect=options.expect,
            )
    except CapsuleError as error:
        if options.json:
            show_json({"ok": False, "app": options.app, "error": str(error)})
        raise
    if options.json:
        show_json(report.as_dict())
    else:
        _show_checks(report.checks)
    if report.not_asked is not None:
        if all(check.ok for check in report.checks):
            raise report.not_asked
        note(str(report.not_asked))
    return 0 if report.ok else 1


def _show_checks(checks: tuple[smoke.Check, ...]) -> None:
    good, bad = ("✓", "✗") if can_show("✓✗") else ("ok  ", "FAIL")
    for check in checks:
        detail = one_line(check.detail)
        print(f"{good if check.ok else bad} {check.name:<13}  {detail}", flush=True)


def _records(answer: Any) -> list[Any]:
    """Find the list of records in an answer, which may be wrapped in an object."""
    if isinstance(answer, dict):
        if any(answer.get(word) for word in _MORE):
            raise ProtocolError(
                "The service gave only a part of the payments: --json shows what it gave."
            )
        lists = [value for value in answer.values() if isinstance(value, list)]
        answer = answer.get("payments", lists[0] if len(lists) == 1 else None)
    if not isinstance(answer, list):
        raise ProtocolError("The answer holds no list of payments: --json shows what it holds.")
    return answer
