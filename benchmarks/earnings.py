"""Compare each answer about a million payments with reading them, and with DuckDB.

Every answer should take at most the time of reading the payments in the same run. "Again" is the time
of the answer from the ledger that the frame already has. The time of DuckDB is printed for
comparison; it answers simpler questions: it does not know late renewals, plans or states of months.

A second table shows payers whose subscriptions are not ordinary: with several at a time, upgrades,
and months that they skip. Some of those are found payer by payer, so the target does not hold for them.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pandas as pd
from frames import payment

import cpsl_notebook.earnings  # noqa: F401 (adds payments.capsule)
from cpsl_notebook.frames import earnings_frame, payments_frame

ROWS, ROUNDS, PAYERS = 1_000_000, 3, 50_021
READ_AT = "2026-01-01T00:00:00Z"
AMOUNTS = ["gross_cents", "fee_cents", "net_cents"]
ANSWERS: dict[str, Callable[[Any], Any]] = {
    "ledger()": lambda capsule: capsule.ledger(),
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
    "ledger()": "SELECT count(*) FROM (SELECT * FROM payments ORDER BY paid_at, payment_id)",
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
    "churn()": """
        WITH paid AS (
            SELECT DISTINCT date_trunc('month', paid_at) AS month, "payer.id" AS payer
            FROM payments WHERE kind = 'monthly')
        SELECT month, count(*) FROM paid ANTI JOIN (
            SELECT month - INTERVAL 1 MONTH AS month, payer FROM paid) USING (month, payer)
        GROUP BY ALL""",
    "cohorts()": """
        SELECT cohort, month, count(*) FROM (
            SELECT date_trunc('month', paid_at) AS month, "payer.id" AS payer,
                min(month) OVER (PARTITION BY payer) AS cohort
            FROM payments WHERE kind = 'monthly') GROUP BY ALL""",
    "payouts()": """
        SELECT app, currency, payout_state, sum(net_cents) FROM payments
        WHERE payout_state != 'Paid out' GROUP BY ALL""",
    "reconcile()": """
        SELECT app, sum(gross_cents), sum(fee_cents), sum(net_cents), count(DISTINCT payment_id)
        FROM payments GROUP BY ALL""",
    "explain()": """
        SELECT * FROM payments WHERE kind = 'monthly' AND date_trunc('month', paid_at) = (
            SELECT date_trunc('month', max(paid_at)) FROM payments)""",
}


def main() -> None:
    """Measure reading and each answer in turn, and print the medians."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    target = "target: no answer takes longer"
    report("payments", target, [sale(number) for number in range(rows)], ANSWERS)
    unusual = {name: ANSWERS[name] for name in ("mrr()", "churn()", "cohorts()", "metrics()")}
    report("payments of unusual subscriptions", "no target", unusual_sales(rows), unusual)


def report(title: str, target: str, sales: list[dict[str, Any]], answers: dict[str, Any]) -> None:
    """Measure reading and each answer, and print the medians."""
    rows, body = len(sales), json.dumps(sales).encode()
    del sales
    read, payments = measure(lambda: payments_frame([("shop", body)]))
    payments.attrs |= {"read_at": READ_AT, "window": ""}
    if answers is ANSWERS:
        answers = answers | more_answers(payments)
    plain = payments.astype(
        dict.fromkeys(payments.columns[payments.dtypes == "category"], "string")
    )
    print(f"\n{rows:,} {title}, read in {read:.2f} s ({target})")
    print(f"{'':16}{'time':>9}{'/ reading':>11}{'again':>10}{'DuckDB':>10}")
    with contextlib.closing(duckdb.connect()) as database:
        # DuckDB keeps the time zone of the session; no result here depends on it.
        database.register("given", plain.assign(paid_at=plain["paid_at"].dt.tz_localize(None)))
        database.execute("CREATE TABLE payments AS FROM given")
        for name, answer in answers.items():
            seconds, _ = measure(lambda answer=answer: answer(fresh(payments).capsule))
            again, _ = measure(lambda answer=answer: answer(payments.capsule))
            query = QUERIES.get(name)
            other = (
                f"{measure(lambda query=query: database.sql(query).fetchall())[0]:8.2f} s"
                if query
                else ""
            )
            print(f"{name:16}{seconds:7.2f} s{seconds / read:10.2f} {again:8.2f} s{other}")


def more_answers(payments: pd.DataFrame) -> dict[str, Callable[[Any], Any]]:
    """Return the answers that need another one, or the summaries of the service."""
    amounts = {name: int(payments[name].sum()) for name in AMOUNTS}
    summaries = earnings_frame([("shop", amounts)])
    mrr = payments.capsule.mrr()
    last = mrr[mrr["month"] == mrr["month"].max()]
    return {
        "reconcile()": lambda capsule: capsule.reconcile(summaries),
        "explain()": lambda capsule: capsule.explain(last, "closing_cents"),
    }


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


def unusual_sales(count: int) -> list[dict[str, Any]]:
    """Return payments of payers with one to three subscriptions, some with upgrades and pauses."""
    rng, sales, payer = random.Random(0), [], 0
    while len(sales) < count:
        payer += 1
        for subscription in range(rng.choice([1, 1, 2, 3])):
            month, day, cents = rng.randrange(7), rng.randint(1, 28), rng.choice([1500, 2500])
            while month < 24:
                paid_at = date(2024 + month // 12, month % 12 + 1, day)
                own = {"payer": {"id": f"cus_{payer}"}, "paid_at": f"{paid_at}T12:00:00Z"}
                own |= {"subscription_id": f"sub_{payer}_{subscription}", "kind": "monthly"}
                own |= dict(zip(AMOUNTS, (cents, cents // 10, cents - cents // 10), strict=True))
                sales.append(payment(len(sales)) | own)
                if rng.random() < 0.01:
                    day, cents = rng.randint(1, 28), cents + 500
                month += 3 if rng.random() < 0.03 else 1
    return sales[:count]


def fresh(payments: pd.DataFrame) -> pd.DataFrame:
    """Return the payments in a frame for which no ledger has been built."""
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
