"""The commands of ``cpsl``, and how they show what they find."""

# ruff: noqa: T201 - printing is what this module is for

from __future__ import annotations

import argparse
import csv
import getpass
import json
import os
import re
import shlex
import shutil
import sys
import threading
import unicodedata
import webbrowser
from pathlib import Path
from typing import Any

from cpsl import login, smoke
from cpsl.client import Client
from cpsl.config import config_path, load
from cpsl.errors import CapsuleError, InvalidRequestError, ProtocolError

__all__ = [
    "apps",
    "chat",
    "earnings",
    "log_in",
    "log_out",
    "note",
    "one_line",
    "payments",
    "plain",
    "smoke_test",
    "status",
]

# Control characters but tab and line feed, what reorders or hides text, and what is no text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_WIDEST_CELL = 40  # columns, on a terminal
_MORE = ("has_more", "hasMore", "next", "next_cursor", "nextCursor", "next_page", "cursor")
_REPLY = ("text", "session_id", "request_id", "raw")


def plain(text: str) -> str:
    """Leave out control characters, and so escape sequences; lines and tabs stay."""
    return _UNSAFE.sub("", text)


def one_line(text: str) -> str:
    """Bring text to one line without control characters."""
    return " ".join(plain(re.sub(r"[\r\n\u2028\u2029]", " ", text)).split())


def note(text: str) -> None:
    """Say something on standard error, on a line of its own."""
    print(f"cpsl: {one_line(text)}", file=sys.stderr, flush=True)


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
    _show_pairs(rows)
    return 0


def apps(options: argparse.Namespace) -> int:
    """List the apps."""
    with Client() as client:
        listed = client.list_apps()
    if options.json:
        _show_json(listed)
    else:
        rows = [{key: app[key] for key in ("name", "hostname", "id")} for app in listed]
        _show_table(rows, "apps")
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
                _show_json({key: getattr(reply, key) for key in _REPLY})
            else:
                print(plain(reply.text))
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
        print(plain(reply.text))
        return reply.session_id
    blocks: list[str] = []
    last = "\n"
    with stream:
        try:
            for chunk in stream:
                shown = plain(chunk.text)
                last = shown[-1:] or last
                sys.stdout.write(shown)
                sys.stdout.flush()
                blocks += _block_types(chunk.data)
        finally:
            if last != "\n":  # also before the line that says what broke it off
                sys.stdout.write("\n")
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
        _show_json(answer)
        return 0
    records = [_flat(record) for record in _records(answer)]
    if options.csv:
        _show_csv(records)
    else:
        _show_table(records, "payments")
    return 0


def earnings(options: argparse.Namespace) -> int:
    """Show what an app has earned."""
    with Client() as client:
        answer = client.get_earnings(options.app)
    if options.json:
        _show_json(answer)
    else:
        _show_pairs(_flat(answer))
    return 0


def smoke_test(options: argparse.Namespace) -> int:
    """Run the smoke test of an app."""
    try:
        with Client() as client:
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
            _show_json({"ok": False, "app": options.app, "error": str(error)})
        raise
    if options.json:
        _show_json(report.as_dict())
    else:
        good, bad = ("✓", "✗") if _can_show("✓✗") else ("ok  ", "FAIL")
        for check in report.checks:
            detail = one_line(check.detail)
            print(f"{good if check.ok else bad} {check.name:<13}  {detail}", flush=True)
    return 0 if report.ok else 1


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


def _flat(record: Any) -> dict[str, Any]:
    """Flatten nested objects, ``{"payer": {"email": …}}`` to ``payer.email``; no field is lost."""
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                add(f"{name}.{key}" if name else key, inner)
            return
        while name in flat:  # a field whose own name has a dot
            name += "_"
        flat[name] = value

    add("", record if isinstance(record, dict) else {"value": record})
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _columns(records: list[dict[str, Any]]) -> list[str]:
    """Return the fields of all records, each once, in the order in which they first appear."""
    return list(dict.fromkeys(name for record in records for name in record))


def _show_csv(records: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = _columns(records)
    if columns:
        writer.writerow(map(plain, columns))
    for record in records:
        writer.writerow(_cell(record.get(name)) for name in columns)


def _show_table(records: list[dict[str, Any]], what: str) -> None:
    """Show records in aligned columns; on a terminal, as many columns as fit."""
    if not records:
        note(f"There are no {what}.")
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    values = {name: [record.get(name) for record in records] for name in _columns(records)}
    columns = {name: _column(name, values[name], room) for name in values}
    hidden = _too_many(values, {name: len(column[0]) for name, column in columns.items()}, room)
    for row in zip(*(columns[name] for name in columns if name not in hidden), strict=True):
        print("  ".join(row).rstrip())
    if hidden:
        note(f"Not shown, for lack of room (a pipe or a file has all): {', '.join(hidden)}.")


def _too_many(values: dict[str, list[Any]], widths: dict[str, int], room: int | None) -> list[str]:
    """Return the columns to leave out: those that say least, never the first, until all fits."""
    kept = list(values)

    def least(name: str) -> tuple[bool, bool, int]:
        same = len(values[name]) > 1 and all(value == values[name][0] for value in values[name])
        return not _is_number(values[name]), same, kept.index(name)

    while room and len(kept) > 1 and sum(widths[name] + 2 for name in kept) - 2 > room:
        kept.remove(max(kept[1:], key=least))
    return [name for name in values if name not in kept]


def _column(name: str, values: list[Any], room: int | None) -> list[str]:
    """Return a column's header and cells, padded to one width; numbers to the right."""
    cells = [one_line(cell) for cell in (name, *map(_cell, values))]
    if room:
        cells = [c if len(c) <= _WIDEST_CELL else c[: _WIDEST_CELL - 1] + "…" for c in cells]
    width = max(map(_width, cells))
    number = _is_number(values)
    gaps = [" " * (width - _width(cell)) for cell in cells]
    return [gap + cell if number else cell + gap for gap, cell in zip(gaps, cells, strict=True)]


def _is_number(values: list[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds) and kinds <= {int, float}


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _show_pairs(pairs: dict[str, Any]) -> None:
    names = _column("", list(pairs), None)[1:]
    for name, value in zip(names, pairs.values(), strict=True):
        print(f"{name}  {one_line(_cell(value))}".rstrip())


def _show_json(value: Any) -> None:
    """Print JSON, exactly; what could disturb a terminal is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=not _can_show("é😀"))
    print(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
