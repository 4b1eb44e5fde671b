"""Payments that are left out are counted and shown, computed by hand."""

import pandas as pd
import pytest
from ledgers import column
from service_payments import frame, payment

from cpsl_notebook.frames import earnings_frame

SALE = payment(1, "2026-01-05")
SUMS = earnings_frame([("shop", {"gross_cents": 1500, "fee_cents": 150, "net_cents": 1350})])


def left_out(payments):
    """Return what every answer says about payments that are left out."""
    answers = ("revenue", "payers", "top_payers", "mrr", "churn", "cohorts", "payouts", "ledger")
    found = {getattr(payments.capsule, name)().attrs.get("left_out") for name in answers}
    found.add(payments.capsule.reconcile(SUMS).attrs.get("left_out"))
    assert len(found) == 1
    return found.pop()


def findings(payments, check):
    table = payments.capsule.reconcile(SUMS)
    table = table[(table["check"] == check) & (table["severity"] != "passed")].astype(object)
    return table[["severity", "app", "payment_id", "finding"]].to_numpy().tolist()


def test_unpaid_payments_are_counted_and_shown():
    rows = [
        SALE | {"status": "paid"},
        payment(2, "2026-01-06", status="failed"),
        payment(3, "2026-01-07", status="failed"),
        payment(4, "2026-01-08", status="pending"),
    ]
    payments = frame(*rows)
    assert left_out(payments) == (
        "shop: 2 payments with the status failed, never paid; "
        "shop: 1 payment with the status pending, never paid"
    )
    assert findings(payments, "left out") == [
        ["information", "shop", "pay_2", "2 payments with the status failed, never paid"],
        ["information", "shop", "pay_4", "1 payment with the status pending, never paid"],
    ]
    assert payments.capsule.reconcile(SUMS).attrs["balanced"] == "yes"
    assert left_out(frame(rows[0])) is None


@pytest.mark.parametrize(
    ("kind", "gross", "finding"),
    [
        ("payout", 900, "1 payment of the kind payout, neither a sale nor a refund"),
        ("Payout", -900, "1 payment of the kind payout, neither a sale nor a refund"),
        ("chargeback", 900, "1 payment of the kind chargeback, neither a sale nor a refund"),
    ],
)
def test_payouts_and_positive_chargebacks_are_neither_sales_nor_refunds(kind, gross, finding):
    payments = frame(SALE, payment(2, "2026-01-06", gross=gross, fee=0, kind=kind))
    assert left_out(payments) == f"shop: {finding}"
    assert findings(payments, "left out") == [["information", "shop", "pay_2", finding]]
    assert payments.capsule.revenue()["net_cents"].sum() == 1350


def test_negative_chargeback_is_a_refund():
    table = frame(SALE, payment(2, "2026-01-06", gross=-900, kind="chargeback")).capsule.revenue()
    assert table["refunds_cents"].sum() == -900 and table["gross_cents"].sum() == 1500


@pytest.mark.parametrize(
    ("paid_at", "as_of"),
    [
        ("2026-04-01T23:59:59Z", "2026-04-01T23:59:59.000001+00:00"),  # within a day: clock skew
        ("2026-04-02T00:00:01Z", "2026-04-01T00:00:00+00:00"),
        ("2062-01-05T00:00:00Z", "2026-04-01T00:00:00+00:00"),
    ],
)
def test_payment_dated_after_the_reading_does_not_move_as_of(paid_at, as_of):
    rows = [payment(n, f"2026-0{n}-05", kind="monthly", payer="ada") for n in (1, 2, 3)]
    payments = frame(*rows, payment(4, paid_at, payer="bo"))
    table = payments.capsule.mrr()
    assert table.attrs["as_of"] == pd.Timestamp(as_of).isoformat()
    assert column(table, "closing_cents")[:3] == [1500] * 3
    assert column(table, "state")[2] in ("running", "provisional")
    if as_of == "2026-04-01T00:00:00+00:00":
        finding = "1 payment dated after the time of reading"
        assert left_out(payments) == f"shop: {finding}"
        assert findings(payments, "dates") == [["error", "shop", "pay_4", finding]]
        assert payments.capsule.reconcile(SUMS).attrs["balanced"] == "no"
        assert payments.capsule.revenue()["payments"].sum() == 3
    else:
        assert left_out(payments) is None and findings(payments, "dates") == []


def test_payment_in_the_future_does_not_move_as_of_without_a_time_of_reading():
    payments = frame(SALE, payment(2, "2999-01-01"))
    del payments.attrs["read_at"]
    assert payments.capsule.revenue().attrs["as_of"] == "2026-01-05T00:00:00.000001+00:00"


def test_payouts_of_a_past_day_show_payments_with_an_unknown_payout_time():
    # Both were paid out by 1 April. It is unknown whether the second one was by 31 January.
    rows = [SALE | {"payout_at": "2026-01-20"}, payment(2, "2026-01-06", payout_at=None)]
    shown = frame(*rows).capsule.payouts(as_of="2026-01")
    assert shown[["payout_state", "net_cents", "oldest_payment_id"]].to_numpy().tolist() == [
        ["Paid out at an unknown time", 1350, "pay_2"]
    ]
    assert frame(*rows).capsule.payouts().empty
    assert frame(*rows).capsule.payouts(as_of="2026-04-01").empty
