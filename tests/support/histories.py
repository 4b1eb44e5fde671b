"""Random histories of payments near due dates, where the rules of subscriptions decide."""

import datetime as dt
import random

import oracle
from ledgers import pay

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2025, 3, 31)
TERMS = {"monthly": 1, "quarterly": 3, "yearly": 12}
"""Months by kind; ``quarterly`` has to be declared."""


def random_history(seed, payers=("ada",), apps=("shop",), size=12, currencies=("USD",)):
    """Return payments and refunds of the payers, oldest first, with ids in that order."""
    rng = random.Random(seed)
    rows = []
    for _ in range(rng.randint(1, size)):
        rows += _plan(rng, payers, apps, currencies)
    rows.sort(key=lambda row: row["paid_at"])
    for number, row in enumerate(rows):
        row["payment_id"] = f"p{number:04}"
    rows += [refund for row in rows for refund in _refunds(rng, row)]
    return [row for row in rows if row["paid_at"].date() <= LAST]


def _plan(rng, payers, apps, currencies):
    """Return some payments of one plan, early, on time, late, free, or at another price."""
    kind = rng.choice(["monthly"] * 6 + ["quarterly", "yearly", "one_time"])
    first = oracle.plus(FIRST.replace(day=rng.choice([1, 10, 24, 29, 31])), rng.randint(0, 5))
    own = {
        "payer": rng.choice(payers),
        "app": rng.choice(apps),
        "currency": rng.choice(currencies),
        "subscription": rng.choice([None, None, "a", "b"]),
        "payout_state": rng.choice(["Paid out", "In progress", "Failed", None]),
    }
    gross = rng.choice([1500, 1500, 2500, 10_000])
    for number in range(rng.randint(1, 1 if kind == "yearly" else 5)):
        day = oracle.plus(first, number * TERMS.get(kind, 1))
        day += dt.timedelta(days=rng.choice([0, 0, 0, -8, -7, -3, 1, 14, 15, 16]) if number else 0)
        gross = rng.choice([gross] * 6 + [0, 2500])
        time = dt.datetime.combine(day, dt.time(rng.randint(0, 23)), dt.UTC)
        yield pay(time, gross=gross, kind=kind, **own)


def _refunds(rng, row):
    """Return a refund of a payment now and then, in full or in part, with or without a reference."""
    if row["gross_cents"] <= 0 or rng.random() > 0.15:
        return
    cents = rng.choice([row["gross_cents"], row["gross_cents"], row["gross_cents"] // 2])
    time = row["paid_at"] + dt.timedelta(days=rng.randint(0, 60))
    yield row | {
        "paid_at": time,
        "gross_cents": -cents,
        "fee_cents": -cents // 10,
        "net_cents": -cents + cents // 10,
        "payment_id": f"{row['payment_id']}r",
        "refund_of": rng.choice([row["payment_id"], None]),
    }
