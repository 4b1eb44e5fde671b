"""Random histories of payments near due dates, where the rules of subscriptions decide."""

import datetime as dt
import random

from ledgers import pay

from cpsl_notebook.frames import payments_frame

DAY = dt.timedelta(days=1)
FIRST, LAST = dt.date(2024, 1, 1), dt.date(2025, 3, 31)
TERMS = {"monthly": 1, "quarterly": 3, "yearly": 12}
"""Months by kind; ``quarterly`` has to be declared."""


def plus(day, months):
    """Return the same day some months later, or the last day of that month."""
    year, month = divmod(12 * day.year + day.month + months, 12)
    end = dt.date(year, month + 1, 1) - DAY
    return end.replace(day=min(day.day, end.day))


def random_history(seed, payers=("ada",), apps=("shop",), size=12, currencies=("USD",)):
    """Return payments and refunds of the payers, oldest first, with ids in that order."""
    rng = random.Random(seed)
    rows = []
    for _ in range(rng.randint(1, size)):
        rows += _plan(rng, seed, payers, apps, currencies)
    rows.sort(key=lambda row: row["paid_at"])
    for number, row in enumerate(rows):
        row["payment_id"] = f"{seed} {number:04}"
    rows += [refund for row in rows for refund in _refunds(rng, row)]
    return [row for row in rows if row["paid_at"].date() <= LAST]


def _plan(rng, seed, payers, apps, currencies):
    """Return some payments of one plan, early, on time, late, free, or at another price."""
    kind = rng.choice(["monthly"] * 6 + ["quarterly", "yearly", "one_time"])
    first = plus(FIRST.replace(day=rng.choice([1, 10, 24, 29, 31])), rng.randint(0, 5))
    own = {
        "payer": rng.choice(payers),
        "app": rng.choice(apps),
        "currency": rng.choice(currencies),
        "subscription": rng.choice([None, None, f"{seed} a", f"{seed} b"]),
        "payout_state": rng.choice(["Paid out", "In progress", "Failed", None]),
    }
    gross = rng.choice([1500, 1500, 2500, 10_000])
    for number in range(rng.randint(1, 1 if kind == "yearly" else 5)):
        day = plus(first, number * TERMS.get(kind, 1))
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


def service_frame(rows, read_at=LAST, seed=0):
    """Return payments as the service sends them, with refunds, disputes, failures and spellings."""
    rng = random.Random(seed)
    answers = {}
    for row in rows:
        made = row | {"paid_at": row["paid_at"].isoformat(), "status": "paid"}
        made |= {"amount_refunded_cents": 0, "refunded_at": None, "disputed": False}
        if row["gross_cents"] > 0 and rng.random() < 0.2:
            made["status"] = rng.choice(["failed", "refunded", "partially_refunded"])
            refunded = {"refunded": row["gross_cents"], "partially_refunded": 500}
            made["amount_refunded_cents"] = refunded.get(made["status"], 0)
            made["refunded_at"] = rng.choice([None, (row["paid_at"] + DAY).isoformat()])
        made["disputed"] = row["gross_cents"] > 0 and rng.random() < 0.05
        made["customer_email"] = f"{row['payer']}@{rng.choice(['A', 'a'])}.example"
        made["customer_id"] = rng.choice([made.pop("payer")] * 4 + [None])
        paid_out = row["payout_state"] == "Paid out" and rng.random() < 0.8
        made["payout_id"] = "po" if paid_out else None
        made["paid_out_at"] = (row["paid_at"] + 7 * DAY).isoformat() if paid_out else None
        answers.setdefault(made.pop("app"), []).append(made)
    frame = payments_frame(answers.items())
    frame.attrs |= {"read_at": f"{read_at}T12:00:00Z", "window": ""}
    return frame.capsule.declare(kinds={"quarterly": 3})
