"""Sample payments and refunds for the two paid apps of the local workspace.

Like real ledgers, it has late renewals, seats that are added and removed, a price
increase, payers who leave and return, full and partial refunds, failed payouts. A refund is a
separate row with its own day and payout, the kind of the payment, negative amounts, and the id of
the payment in ``refund_of``.

The rows are drawn from a fixed seed, so they are the same on every machine. All payers have
addresses in ``example`` domains.
"""

from __future__ import annotations

import hashlib
import random
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any

SUPPORT_OPS = "support-ops"
DEAL_DESK = "deal-desk"
SUPPORT_OPS_MONTHLY_CENTS = 1_500
"""Price of a seat; it was `EARLIER_MONTHLY_CENTS` in the first `RISE_MONTH` months."""
DEAL_DESK_ONE_TIME_CENTS = 4_900
FEE_PERCENT = 10
MONTHS = 18
SEED = 20261031
TODAY = date(2026, 10, 31)
"""The default last day with payments."""

EARLIER_MONTHLY_CENTS = 1_200
RISE_MONTH, GRACE_MONTHS = 6, 3
"""New subscribers pay the higher price from this month on, others `GRACE_MONTHS` later."""

FIRST_SIGNUPS, MORE_SIGNUPS_A_MONTH = 12, 0.35
FIRST_SALES, MORE_SALES_A_MONTH = 12, 2.5
CANCEL_RATE, RETURN_RATE, LATE_RATE, FAILED_RATE = 0.05, 0.35, 0.08, 0.012
VERY_LATE_RATE, LATE_DAYS, VERY_LATE_DAYS = 0.2, (1, 5), (6, 14)
MORE_SEATS_RATE, FEWER_SEATS_RATE = 0.02, 0.06
REFUND_RATE, WHOLE_REFUND_RATE, REFUND_DAYS = 0.03, 0.5, 45
SUBSCRIBER_BUYS_RATE = 0.2
ONBOARDING_DAYS = 38
"""Days from the start until the account was onboarded for payouts."""

_FIRST_NAMES = (
    "ada aisha alex amir ana ben carla chen dana diego elif emma farid grace hana hugo ines ivan "
    "jonas julia kofi lara leo lin maria mateo mina nadia noah olga omar priya rosa sam sofia "
    "tariq theo uma vera yuki"
)
_LAST_NAMES = (
    "adeyemi alvarez andersen bauer bianchi castro cohen costa dubois eriksen fischer garcia "
    "haddad hansen ito ivanova jensen kaya khan kim kowalski larsen lopez martin mensah moreau "
    "murphy nakamura novak okafor ortiz patel petrov quinn rossi santos schmidt silva tanaka weber"
)


def sample_payments(today: date = TODAY, seed: int = SEED) -> list[dict[str, Any]]:
    """Draw the payments and refunds of the `MONTHS` months that end on *today*, oldest first.

    Parameters
    ----------
    today : date
        The last day with payments.
    seed : int
        The seed of the random numbers.

    Returns
    -------
    list of dict
        About 2,500 rows. Amounts are integer US cents, times are in UTC.

    Examples
    --------
    >>> row = sample_payments()[-1]
    >>> row["gross_cents"] == row["fee_cents"] + row["net_cents"]
    True
    """
    rng = random.Random(seed)  # noqa: S311 (sample data, not a secret)
    start = add_months(today, -MONTHS) + timedelta(days=1)
    people = _people(rng)
    subscribers: list[str] = []
    rows: list[dict[str, Any]] = []
    rise = add_months(start, RISE_MONTH)
    for month in range(MONTHS):
        opens, closes = add_months(start, month), add_months(start, month + 1)
        for _ in range(round(FIRST_SIGNUPS + MORE_SIGNUPS_A_MONTH * month)):
            subscribers.append(next(people))
            first = _moment(rng, opens, closes)
            rows += _subscriptions(rng, subscribers[-1], first, rise, today)
        for _ in range(round(FIRST_SALES + MORE_SALES_A_MONTH * month)):
            known = rng.random() < SUBSCRIBER_BUYS_RATE
            payer = rng.choice(subscribers) if known else next(people)
            paid_at = _moment(rng, opens, closes)
            rows.append(_payment(rng, DEAL_DESK, paid_at, payer, DEAL_DESK_ONE_TIME_CENTS))
    rows += [refund for row in rows for refund in _refunds(rng, row, today)]
    for row in rows:
        _set_payout(rng, row, start, today)
    return sorted(rows, key=lambda row: (row["paid_at"], row["payment_id"]))


def add_months(day: date, months: int) -> date:
    """Add whole months to a day, clamped to the month's end: 31 January + 1 is 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _people(rng: random.Random) -> Iterator[str]:
    """Yield payers, each once."""
    names = [
        f"{first}.{last}" for first, last in product(_FIRST_NAMES.split(), _LAST_NAMES.split())
    ]
    rng.shuffle(names)
    for name in names:
        yield f"{name}@example.{rng.choice(('com', 'com', 'org', 'net'))}"


def _moment(rng: random.Random, opens: date, closes: date) -> datetime:
    """Draw a time from the day *opens* to the day *closes*, exclusive."""
    day = opens + timedelta(days=rng.randrange((closes - opens).days))
    return _at(day, rng.randrange(86_400))


def _at(day: date, second: int) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(seconds=second)


def _subscriptions(
    rng: random.Random, payer: str, first: datetime, rise: date, today: date
) -> Iterator[dict[str, Any]]:
    """Pay monthly from *first* until cancelled; some payers return with a new subscription."""
    subscription = f"sub_{rng.getrandbits(48):012x}"
    months, seats = 0, 1
    while (due := add_months(first.date(), months)) <= today:
        if months and rng.random() < CANCEL_RATE:
            if rng.random() < RETURN_RATE:
                again = _at(add_months(due, rng.randint(2, 5)), rng.randrange(86_400))
                yield from _subscriptions(rng, payer, again, rise, today)
            return
        seats = _seats(rng, seats) if months else 1
        paid_at = datetime.combine(due, first.timetz())
        paid_at += timedelta(days=_days_late(rng) if months else 0)
        if paid_at.date() <= today:
            price = _monthly_price(first.date(), due, rise)
            yield _payment(rng, SUPPORT_OPS, paid_at, payer, seats * price, subscription)
        months += 1


def _monthly_price(first: date, due: date, rise: date) -> int:
    """Return the price of a seat; earlier subscribers keep the old price for a while."""
    rises = rise if first >= rise else add_months(rise, GRACE_MONTHS)
    return SUPPORT_OPS_MONTHLY_CENTS if due >= rises else EARLIER_MONTHLY_CENTS


def _seats(rng: random.Random, seats: int) -> int:
    """Occasionally add or remove a seat."""
    if rng.random() < MORE_SEATS_RATE:
        return seats + 1
    return seats - 1 if seats > 1 and rng.random() < FEWER_SEATS_RATE else seats


def _days_late(rng: random.Random) -> int:
    if rng.random() >= LATE_RATE:
        return 0
    return rng.randint(*(VERY_LATE_DAYS if rng.random() < VERY_LATE_RATE else LATE_DAYS))


def _payment(
    rng: random.Random,
    app: str,
    paid_at: datetime,
    payer: str,
    gross: int,
    subscription: str | None = None,
) -> dict[str, Any]:
    """Build a payment that has not been paid out."""
    return {
        "payment_id": f"pay_{rng.getrandbits(64):016x}",
        "app": app,
        "paid_at": paid_at,
        "payer": payer,
        "kind": "monthly" if subscription else "one_time",
        "currency": "USD",
        **_amounts(gross),
        "payout_state": "In progress",
        "payout_id": None,
        "paid_out_at": None,
        "subscription_id": subscription,
        "refund_of": None,
    }


def _amounts(gross: int) -> dict[str, int]:
    fee = gross * FEE_PERCENT // 100
    return {"gross_cents": gross, "fee_cents": fee, "net_cents": gross - fee}


def _refunds(rng: random.Random, row: dict[str, Any], today: date) -> Iterator[dict[str, Any]]:
    """Occasionally refund a payment, fully or partially (whole dollars), including its fee."""
    if rng.random() >= REFUND_RATE:
        return
    dollars = row["gross_cents"] // 100
    part = dollars if rng.random() < WHOLE_REFUND_RATE else rng.randint(2, dollars - 2)
    refunded_at = row["paid_at"] + timedelta(days=rng.randint(1, REFUND_DAYS))
    if refunded_at.date() <= today:
        yield (
            row
            | _amounts(-100 * part)
            | {
                "payment_id": f"ref_{rng.getrandbits(64):016x}",
                "paid_at": refunded_at,
                "refund_of": row["payment_id"],
            }
        )


def _set_payout(rng: random.Random, row: dict[str, Any], start: date, today: date) -> None:
    """Set the payout: the payments of a week are paid out together on the next Wednesday."""
    paid_on = row["paid_at"].date()
    wednesday = paid_on + timedelta(days=9 - paid_on.weekday())
    failed = rng.random() < FAILED_RATE
    if paid_on < start + timedelta(days=ONBOARDING_DAYS):
        row["payout_state"] = "Needs onboarding"
    elif wednesday <= today:
        row["payout_state"] = "Failed" if failed else "Paid out"
    if row["payout_state"] == "Paid out":
        digest = hashlib.sha256(f"payout of {wednesday}".encode()).hexdigest()
        row["payout_id"] = f"po_{digest[:16]}"
        row["paid_out_at"] = datetime.combine(wednesday, time(6), UTC)
