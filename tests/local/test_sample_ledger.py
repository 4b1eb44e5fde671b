"""The sample ledger: totals, dates and links between its rows."""

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from cpsl_notebook.local.samples import ledger

TODAY = date(2026, 10, 31)
PAYMENTS = ledger.sample_payments()
SALES = [row for row in PAYMENTS if row["refund_of"] is None]
REFUNDS = [row for row in PAYMENTS if row["refund_of"] is not None]


def month_of(row: dict[str, Any]) -> str:
    return f"{row['paid_at']:%Y-%m}"


def test_ledger_has_2611_rows_in_18_months():
    assert len(PAYMENTS) == 2611
    assert sum(row["net_cents"] for row in PAYMENTS) == 5_251_230
    assert len({month_of(row) for row in PAYMENTS}) == 18
    assert min(row["paid_at"] for row in PAYMENTS).date() >= date(2025, 5, 1)
    assert max(row["paid_at"] for row in PAYMENTS).date() <= TODAY


@pytest.mark.parametrize("app", [ledger.SUPPORT_OPS, ledger.DEAL_DESK])
def test_payments_grow_month_by_month(app):
    months = Counter(month_of(row) for row in SALES if row["app"] == app)
    numbers = [number for _, number in sorted(months.items())]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 4 * numbers[0]


def test_amounts_and_fields_of_each_row_are_consistent():
    kinds = {ledger.SUPPORT_OPS: "monthly", ledger.DEAL_DESK: "one_time"}
    for row in PAYMENTS:
        assert row["kind"] == kinds[row["app"]]
        assert (row["gross_cents"] < 0) == (row["refund_of"] is not None)
        assert row["fee_cents"] * 10 == row["gross_cents"]
        assert row["net_cents"] == row["gross_cents"] - row["fee_cents"]
        assert row["currency"] == "USD"
        assert (row["subscription_id"] is None) == (row["kind"] == "one_time")
        assert re.fullmatch(r"(pay|ref)_[0-9a-f]{16}", row["payment_id"])
        assert re.fullmatch(r"[a-z.]+@example\.(com|org|net)", row["payer"])
        assert row["paid_at"].tzinfo is UTC
        assert row["paid_at"].microsecond == 0


def test_rows_are_sorted_unique_and_reproducible():
    keys = [(row["paid_at"], row["payment_id"]) for row in PAYMENTS]
    assert keys == sorted(keys)
    assert len({row["payment_id"] for row in PAYMENTS}) == len(PAYMENTS)
    assert ledger.sample_payments() == PAYMENTS
    assert ledger.sample_payments(seed=1) != PAYMENTS


def test_payouts_are_weekly_and_follow_the_payments():
    payouts: dict[str, set[datetime]] = {}
    for row in PAYMENTS:
        paid_out = row["payout_state"] == "Paid out"
        assert (row["payout_id"] is not None) == (row["paid_out_at"] is not None) == paid_out
        if paid_out:
            assert timedelta() < row["paid_out_at"] - row["paid_at"] < timedelta(days=10)
            assert row["paid_out_at"].date() <= TODAY
            payouts.setdefault(row["payout_id"], set()).add(row["paid_out_at"])
    assert all(len(times) == 1 for times in payouts.values())
    times = sorted(time for (time,) in payouts.values())
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert gaps == {timedelta(days=7)}


def test_payout_states_follow_onboarding_and_time():
    states = Counter(row["payout_state"] for row in PAYMENTS)
    assert set(states) == {"Paid out", "Needs onboarding", "In progress", "Failed"}
    assert states["Paid out"] > 0.9 * len(PAYMENTS)
    assert 5 <= states["Failed"] < 0.03 * len(PAYMENTS)
    early = [row["payout_state"] == "Needs onboarding" for row in PAYMENTS]
    assert early == sorted(early, reverse=True)
    late = [row["payout_state"] == "In progress" for row in PAYMENTS]
    assert late == sorted(late)
    assert PAYMENTS[-1]["paid_at"] - PAYMENTS[late.index(True)]["paid_at"] < timedelta(days=10)


def test_renewals_are_due_whole_months_after_the_first_payment():
    subscriptions: dict[str, list[datetime]] = {}
    for row in SALES:
        if row["subscription_id"]:
            subscriptions.setdefault(row["subscription_id"], []).append(row["paid_at"])
    late = []
    for first, *renewals in subscriptions.values():
        for number, paid_at in enumerate(renewals, 1):
            due = ledger.add_months(first.date(), number)
            late.append((paid_at.date() - due).days)
    assert min(late) == 0 and 6 <= max(late) < 15
    assert 20 < sum(map(bool, late)) < 0.2 * len(late)


def test_refund_refers_to_an_earlier_payment_in_full_or_in_part():
    payments = {row["payment_id"]: row for row in SALES}
    for row in REFUNDS:
        sale = payments[row["refund_of"]]
        assert 0 < -row["gross_cents"] <= sale["gross_cents"]
        assert timedelta() < row["paid_at"] - sale["paid_at"] <= timedelta(days=45)
        for name in ("app", "payer", "kind", "subscription_id"):
            assert row[name] == sale[name]
    assert len({row["refund_of"] for row in REFUNDS}) == len(REFUNDS)
    parts = [
        row for row in REFUNDS if -row["gross_cents"] < payments[row["refund_of"]]["gross_cents"]
    ]
    later = [row for row in parts if month_of(row) != month_of(payments[row["refund_of"]])]
    assert 0.2 * len(REFUNDS) < len(parts) < 0.8 * len(REFUNDS) and later
    assert 20 < len(REFUNDS) < 0.1 * len(SALES)


def test_prices_rise_and_seats_change():
    changes: dict[str, list[int]] = {}
    for row in SALES:
        if row["subscription_id"]:
            changes.setdefault(row["subscription_id"], []).append(row["gross_cents"])
    firsts = [amounts[0] for amounts in changes.values()]
    assert set(firsts) == {1200, 1500}
    steps = Counter(pair for amounts in changes.values() for pair in pairwise(amounts))
    assert steps[1200, 1500] > 20
    assert steps[1500, 3000] > 10 and steps[3000, 1500] > 2
    assert all(
        amount % 1200 == 0 or amount % 1500 == 0
        for amounts in changes.values()
        for amount in amounts
    )


def test_some_payers_cancel_and_some_return():
    subscriptions: dict[str, set[str]] = {}
    last: dict[str, datetime] = {}
    for row in PAYMENTS:
        if row["subscription_id"]:
            subscriptions.setdefault(row["payer"], set()).add(row["subscription_id"])
            last[row["payer"]] = row["paid_at"]
    gone = [payer for payer, when in last.items() if when.date() < TODAY - timedelta(days=40)]
    assert len(gone) > 20
    assert sum(len(ids) > 1 for ids in subscriptions.values()) > 5


def test_add_months_clamps_to_the_end_of_the_month():
    assert ledger.add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert ledger.add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert ledger.add_months(date(2026, 10, 31), -18) == date(2025, 4, 30)


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2026, 3, 1), date(2027, 12, 31)])
def test_ledger_ends_on_the_given_day(today):
    rows = ledger.sample_payments(today)
    assert 2300 <= len(rows) <= 2700
    assert rows[-1]["paid_at"].date() <= today
    assert rows[-1]["paid_at"].date() > today - timedelta(days=4)
