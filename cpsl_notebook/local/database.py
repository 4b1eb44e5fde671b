"""The local workspace's state, in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cpsl_notebook.errors import UserError
from cpsl_notebook.local.samples import SAMPLE_APPS, ledger
from cpsl_notebook.local.session import Session, Turn

__all__ = ["Database"]

# App ids are derived from names, so that notebooks show the same ids on every machine.
_NAMESPACE = uuid.UUID("6f1b1d57-6d5c-4a55-9c7e-0c0a1e2b3c4d")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS workspace (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS apps (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hostname TEXT NOT NULL,
    owner_id TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    price_in_cents INTEGER NOT NULL, pricing_type TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps, created_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS history (
    number INTEGER PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions, sent_at TEXT NOT NULL,
    prompt TEXT NOT NULL, reply TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_by_session ON history (session_id, number);
CREATE TABLE IF NOT EXISTS ledger (
    today TEXT NOT NULL, payment_id TEXT NOT NULL, app TEXT NOT NULL, paid_at TEXT NOT NULL,
    payer TEXT NOT NULL, kind TEXT NOT NULL, currency TEXT NOT NULL, gross_cents INTEGER NOT NULL,
    fee_cents INTEGER NOT NULL, net_cents INTEGER NOT NULL, payout_state TEXT NOT NULL,
    payout_id TEXT, paid_out_at TEXT, subscription_id TEXT, refund_of TEXT,
    PRIMARY KEY (today, payment_id));
CREATE INDEX IF NOT EXISTS ledger_by_app ON ledger (today, app, paid_at);
CREATE TABLE IF NOT EXISTS checkouts (
    id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps, return_url TEXT NOT NULL,
    created_at TEXT NOT NULL);
"""
_LEDGER = "SELECT * FROM ledger WHERE today = ?"


class Database:
    """Reads and writes the workspace's rows; threads and processes may share the file.

    Parameters
    ----------
    path : pathlib.Path
        The SQLite file. It is created if it does not exist, and sample apps are added if missing.
    today : datetime.date or str
        The last day with payments. The payments of each day are drawn once and kept, so two
        workspaces on one file can have different days.

    Attributes
    ----------
    workspace_id : str
        The workspace's id.
    """

    def __init__(self, path: Path, today: date | str = ledger.TODAY) -> None:
        self._path = path
        path.touch(mode=0o600)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")  # two processes may start at once
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            self.workspace_id = _workspace_id(connection)
            names = {name for (name,) in connection.execute("SELECT name FROM apps")}
            for app in SAMPLE_APPS:
                if app.name not in names:
                    self._add_app(connection, app.name, app.price_in_cents, app.pricing_type)
            connection.execute("COMMIT")
        self.today = today

    @property
    def today(self) -> date:
        """The last day with payments."""
        return self._today

    @today.setter
    def today(self, day: date | str) -> None:
        day = _day(day)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute(f"{_LEDGER} LIMIT 1", (day.isoformat(),)).fetchone():
                payments = ledger.sample_payments(day)
                _insert(connection, "ledger", [{"today": day.isoformat(), **p} for p in payments])
            connection.execute("COMMIT")
        self._today = day

    def apps(self) -> list[dict[str, Any]]:
        """Return all apps, by name."""
        return self._rows("SELECT * FROM apps ORDER BY name")

    def app(self, app_id: str) -> dict[str, Any] | None:
        """Return an app, or ``None`` if the id is unknown."""
        return next(iter(self._rows("SELECT * FROM apps WHERE id = ?", app_id)), None)

    def add_app(self, name: str, price_in_cents: int, pricing_type: str) -> str:
        """Add an app, or change the price of an existing one; return its id."""
        with self._connection() as connection:
            return self._add_app(connection, name, price_in_cents, pricing_type)

    def _add_app(
        self, connection: sqlite3.Connection, name: str, price: int, pricing_type: str
    ) -> str:
        app_id = str(uuid.uuid5(_NAMESPACE, name))
        now = _now()
        connection.execute(
            "INSERT INTO apps VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "price_in_cents = excluded.price_in_cents, pricing_type = excluded.pricing_type, "
            "updated_at = excluded.updated_at",
            (app_id, name, f"{name}-local", self.workspace_id, now, now, price, pricing_type),
        )
        return app_id

    def session(self, app_id: str, session_id: str | None) -> Session:
        """Return a conversation of an app; start one if the app does not know the id."""
        found = self._rows(
            "SELECT state FROM sessions WHERE id = ? AND app_id = ?", session_id or "", app_id
        )
        if session_id and found:
            turns = self._rows(
                "SELECT prompt, reply FROM history WHERE session_id = ? ORDER BY number", session_id
            )
            return Session(
                session_id, [Turn(**turn) for turn in turns], json.loads(found[0]["state"])
            )
        session = Session(str(uuid.uuid4()))
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO sessions (id, app_id, created_at) VALUES (?, ?, ?)",
                (session.id, app_id, _now()),
            )
        return session

    def add_turn(self, session: Session, prompt: str, reply: str) -> None:
        """Store a turn, and the state that the app left."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO history (session_id, sent_at, prompt, reply) VALUES (?, ?, ?, ?)",
                (session.id, _now(), prompt, reply),
            )
            connection.execute(
                "UPDATE sessions SET state = ? WHERE id = ?",
                (json.dumps(session.state), session.id),
            )
            connection.execute("COMMIT")

    def payments(self, app: str) -> list[dict[str, Any]]:
        """Return the payments and refunds of an app, oldest first."""
        query = f"{_LEDGER} AND app = ? ORDER BY paid_at, payment_id"
        rows = self._rows(query, self._today.isoformat(), app)
        for row in rows:
            del row["today"]
        return rows

    def earnings(self, app: str) -> dict[str, Any]:
        """Return the sums of an app's payments."""
        sums = """count(*) AS payments, coalesce(sum(gross_cents), 0) AS gross_cents,
                  coalesce(sum(fee_cents), 0) AS fee_cents,
                  coalesce(sum(net_cents), 0) AS net_cents"""
        of_app = "FROM ledger WHERE today = ? AND app = ?"
        total = self._rows(f"SELECT {sums} {of_app}", self._today.isoformat(), app)[0]
        states = self._rows(
            f"SELECT payout_state, sum(net_cents) AS net_cents {of_app} "
            "GROUP BY payout_state ORDER BY payout_state",
            *(self._today.isoformat(), app),
        )
        by_state = {row["payout_state"]: row["net_cents"] for row in states}
        return {"app": app, "currency": "USD", **total, "net_cents_by_payout_state": by_state}

    def add_checkout(self, app_id: str, return_url: str) -> str:
        """Store a checkout and return its id."""
        checkout_id = secrets.token_urlsafe(16)
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO checkouts VALUES (?, ?, ?, ?)",
                (checkout_id, app_id, return_url, _now()),
            )
        return checkout_id

    def checkout(self, checkout_id: str) -> dict[str, Any] | None:
        """Return a checkout with its app's name and price, or ``None`` if the id is unknown."""
        rows = self._rows(
            "SELECT return_url, name, price_in_cents, pricing_type FROM checkouts "
            "JOIN apps ON apps.id = app_id WHERE checkouts.id = ?",
            checkout_id,
        )
        return next(iter(rows), None)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._connection() as connection:
            return [dict(row) for row in connection.execute(query, values)]


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    marks = ", ".join(f":{name}" for name in names)
    stored = [
        {key: _iso(value) if isinstance(value, datetime) else value for key, value in row.items()}
        for row in rows
    ]
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - constants
        stored,
    )


def _workspace_id(connection: sqlite3.Connection) -> str:
    """Return the workspace's id; the first start creates it."""
    row = connection.execute("SELECT id FROM workspace").fetchone()
    if row is None:
        row = (secrets.token_hex(8),)
        connection.execute("INSERT INTO workspace VALUES (?)", row)
    return str(row[0])


def _now() -> str:
    return _iso(datetime.now(UTC))


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _day(day: date | str) -> date:
    """Return a day, which may be written as ``2026-10-31``."""
    try:
        if isinstance(day, datetime):
            return day.date()
        return day if isinstance(day, date) else date.fromisoformat(day)
    except (TypeError, ValueError):
        raise UserError(f"Invalid date {day!r} for today: use a date such as 2026-10-31.") from None
