"""Compare each answer about a million payments with reading them, and with DuckDB.

Every answer should take at most the time of reading the payments in the same run. The time of DuckDB
is printed for comparison; it answers simpler questions: it does not know late renewals, plans or
states of months.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
from frames import payment

import cpsl_notebook.earnings  # noqa: F401 (adds payments.capsule)
from cpsl_notebook.frames import payments_frame

ROWS, ROUNDS, PAYERS = 1_000_000, 3, 50_021
READ_AT = "2026-01-01T00:00:00Z"
ANSWERS: dict[str, Callable[[Any], Any]] = {
    "metrics()": lambda capsule: capsule.metrics(),
    "revenue()": lambda capsule: capsule.revenue(),
    "payers()": lambda capsule: capsule.payers(),
    "top_payers()": lambda capsule: capsule.top_payers(),
    "mrr()": lambda capsule: capsule.mrr(),
    "churn()": lambda capsule: capsule.churn(),
    "cohorts()": lambda capsule: capsule.cohorts(),
    "payouts()": lambda capsule: capsule.payouts(),
}
QUERIES = {
    "revenue()": """
        SELECT date_trunc('month', paid_at), app, kind, currency, count(*), sum(gross_cents),
            sum(fee_cents), sum(net_cents) FROM payments GROUP BY ALL""",
    "payers()": """
        SELECT date_trunc('month', paid_at), app, currency, count(DISTINCT "payer.id"),
            sum(gross_cents) FROM payments GROUP BY ALL""",
    "top_payers()": """
        SELECT "payer.id", sum(net_cents) AS net FROM payments GROUP BY ALL
        ORDER BY net DESC LIMIT 10""",
    "mrr()": """
        SELECT month, sum(cents) FROM (
            SELECT date_trunc('month', paid_at) AS month, "payer.id", max(gross_cents) AS cents
            FROM payments WHERE kind = 'monthly' GROUP BY ALL) GROUP BY ALL""",
    "payouts()": """
        SELECT app, currency, payout_state, sum(net_cents) FROM payments
        WHERE payout_state != 'Paid out' GROUP BY ALL""",
}


def main() -> None:
    """Measure reading and each answer in turn, and print the medians."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    body = json.dumps([sale(number) for number in range(rows)]).encode()
    read, payments = measure(lambda: payments_frame([("shop", body)]))
    payments.attrs |= {"read_at": READ_AT, "window": ""}
    plain = payments.astype(
        dict.fromkeys(payments.columns[payments.dtypes == "category"], "string")
    )
    print(f"{rows:,} payments, read in {read:.2f} s (target: no answer takes longer)")
    print(f"{'':16}{'time':>9}{'/ reading':>11}{'DuckDB':>10}")
    with contextlib.closing(duckdb.connect()) as database:
        # DuckDB keeps the time zone of the session; no result here depends on it.
        database.register("given", plain.assign(paid_at=plain["paid_at"].dt.tz_localize(None)))
        database.execute("CREATE TABLE payments AS FROM given")
        for name, answer in ANSWERS.items():
            seconds, _ = measure(lambda answer=answer: answer(fresh(payments).capsule))
            query = QUERIES.get(name)
            other = (
                f"{measure(lambda query=query: database.sql(query).fetchall())[0]:8.2f} s"
                if query
                else ""
            )
            print(f"{name:16}{seconds:7.2f} s{seconds / read:10.2f} {other}")


def sale(number: int) -> dict[str, Any]:
    """Return a payment of one of `PAYERS`, two thirds of which pay every month."""
    month, payer = divmod(number, PAYERS)
    paid_at = datetime(2024 + month // 12, month % 12 + 1, payer % 28 + 1, payer % 24, tzinfo=UTC)
    is_monthly = payer % 3 > 0
    return payment(number) | {
        "paid_at": paid_at.isoformat().replace("+00:00", "Z"),
        "gross_cents": 1000 + 100 * (payer % 90),
        "fee_cents": 100 + 10 * (payer % 90),
        "net_cents": 900 + 90 * (payer % 90),
        "kind": "monthly" if is_monthly else "one_time",
        "subscription_id": f"sub_{payer:012x}" if is_monthly else None,
    }


def fresh(payments: pd.DataFrame) -> pd.DataFrame:
    """Return the payments without anything that an earlier answer has cached on the frame."""
    copy = payments.copy(deep=False)
    copy.attrs = dict(payments.attrs)
    return copy


def measure(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median of the seconds that *work* takes, and its last result."""
    seconds, result = [], None
    for _ in range(ROUNDS):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), result


if __name__ == "__main__":
    main()
