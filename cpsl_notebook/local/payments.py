"""The sample payments of a local workspace, as the service would return them."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import date, datetime
from typing import Any

from cpsl_notebook.errors import UserError, shown
from cpsl_notebook.local.samples import ledger

__all__ = ["Payments"]


class Payments:
    """The payments and refunds up to a day, generated on first access.

    Parameters
    ----------
    today : datetime.date or str
        The last day with payments.
    """

    def __init__(self, today: date | str) -> None:
        self._lock = threading.Lock()
        self._generated: tuple[date, list[dict[str, Any]]] | None = None
        self.today = today

    @property
    def today(self) -> date:
        """The last day with payments."""
        return self._today

    @today.setter
    def today(self, day: date | str) -> None:
        self._today = _day(day)

    def of_app(self, app: str) -> list[dict[str, Any]]:
        """Return the payments and refunds of an app, oldest first."""
        today = self._today
        with self._lock:
            if self._generated is None or self._generated[0] != today:
                self._generated = (today, [_as_json(row) for row in ledger.sample_payments(today)])
            return [row for row in self._generated[1] if row["app"] == app]

    def earnings(self, app: str) -> dict[str, Any]:
        """Return the sums of an app's payments."""
        rows = self.of_app(app)
        sums = {
            name: sum(row[name] for row in rows)
            for name in ("gross_cents", "fee_cents", "net_cents")
        }
        by_state: Counter[str] = Counter()
        for row in rows:
            by_state[row["payout_state"]] += row["net_cents"]
        return {
            "app": app,
            "currency": "USD",
            "payments": len(rows),
            **sums,
            "net_cents_by_payout_state": dict(sorted(by_state.items())),
        }


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _day(day: date | str) -> date:
    """Return a date; a string such as ``2026-10-31`` is parsed."""
    try:
        if isinstance(day, datetime):
            return day.date()
        return day if isinstance(day, date) else date.fromisoformat(day)
    except (TypeError, ValueError):
        raise UserError(
            f"Invalid date {shown(day)} for today: use a date such as 2026-10-31."
        ) from None
