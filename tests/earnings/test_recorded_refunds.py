"""Refunds that payments record in their own fields, computed by hand."""

import pandas as pd
import pytest
from ledgers import column
from service_payments import frame, payment

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame

SALE = payment(1, "2026-01-05T12:00:00Z", payer="ada")  # $15.00, of which $1.50 is the fee
OTHER = payment(2, "2026-02-05T12:00:00Z", payer="bo")


def refunds_of(*rows, **options):
    """Return time, gross amount, fee and net amount of the refunds in a ledger, and their payment."""
    ledger = frame(*rows).capsule.ledger(**options)
    found = ledger[ledger["gross_cents"].isna() | (ledger["gross_cents"] < 0)]
    times = found["paid_at"].dt.strftime("%m-%d").astype(object)
    shown = found.assign(paid_at=times.where(times.notna(), None)).astype(object)
    names = ["paid_at", "gross_cents", "fee_cents", "net_cents", "refund_of"]
    return shown[names].where(shown[names].notna(), None).to_numpy().tolist()


@pytest.mark.parametrize(
    ("marks", "refund"),
    [
        ({"status": "refunded"}, [None, -1500, -150, -1350, "pay_1"]),
        ({"refunded": True}, [None, -1500, -150, -1350, "pay_1"]),
        ({"disputed": True}, [None, -1500, -150, -1350, "pay_1"]),
        ({"dispute_status": "under_review"}, [None, -1500, -150, -1350, "pay_1"]),
        ({"refund_status": "full"}, [None, -1500, -150, -1350, "pay_1"]),
        # A third of the payment, and a third of the fee.
        ({"amount_refunded_cents": 500}, [None, -500, -50, -450, "pay_1"]),
        ({"refunded_cents": 500}, [None, -500, -50, -450, "pay_1"]),
        ({"status": "partially_refunded", "refunded_cents": 500}, [None, -500, -50, -450, "pay_1"]),
        (
            {"refunded_cents": 500, "refunded_at": "2026-03-04T00:00:00Z"},
            ["03-04", -500, -50, -450, "pay_1"],
        ),
        # The net amount already lacks the refund, so the fee of $1.00 does too: $15 - $5 - $1 = $9.
        (
            {"refunded_cents": 500, "fee_cents": 100, "net_cents": 900},
            [None, -500, 0, -500, "pay_1"],
        ),
        ({"status": "partially_refunded"}, [None, None, None, None, "pay_1"]),
        # 1 cent of $15.00 has a fee of 0.1 cents; 5 cents have 0.5, which is rounded up.
        ({"refunded_cents": 1}, [None, -1, 0, -1, "pay_1"]),
        ({"refunded_cents": 5}, [None, -5, -1, -4, "pay_1"]),
    ],
)
def test_recorded_refund_is_a_row(marks, refund):
    plain = dict.fromkeys(marks) | {"status": "paid"} if "status" in marks else dict.fromkeys(marks)
    assert refunds_of(SALE | marks, OTHER | plain) == [refund]


@pytest.mark.parametrize(
    "marks",
    [
        {"status": "succeeded"},
        {"refunded": False},
        {"disputed": False},
        {"dispute_status": "won"},
        {"refunded_cents": 0},
        {"refunded_cents": None},
    ],
)
def test_payment_without_a_recorded_refund_has_none(marks):
    assert refunds_of(SALE | marks, OTHER | marks) == []


def test_separate_refunds_are_not_counted_twice():
    back = payment(3, "2026-01-20T00:00:00Z", gross=-1500, payer="ada")
    for more in ({"refund_of": "pay_1"}, {"refund_of": None}, {}):
        marked = [SALE | {"status": "refunded"}, back | {"status": "refunded"} | more]
        assert len(refunds_of(*marked)) == 1
    # $5.00 were refunded separately, and the payment records $9.00.
    part = payment(3, "2026-01-20T00:00:00Z", gross=-500, payer="ada", refund_of="pay_1")
    recorded = refunds_of(SALE | {"refunded_cents": 900}, part | {"refunded_cents": None})
    assert [row[1] for row in recorded] == [-500, -400]
    # A refund of somebody else does not count.
    other = back | {"payer": "bo"}
    assert len(refunds_of(SALE | {"status": "refunded"}, other | {"status": "paid"})) == 2


def test_undated_refund_is_in_totals_but_in_no_month():
    payments = frame(SALE | {"refunded": True}, OTHER | {"refunded": False})
    table = payments.capsule.revenue()
    assert column(table, "gross_cents") == [1500, 1500, 0, 0]
    assert column(table, "refunds_cents") == [0, 0, 0, -1500]
    assert column(table, "net_cents") == [1350, 1350, 0, -1350]
    assert table["period"].isna().tolist() == table["state"].isna().tolist() == [False] * 3 + [True]
    assert len(payments.capsule.revenue(since="2026-01")) == 3
    payers = payments.capsule.payers(basis="net")
    assert column(payers, "revenue_cents") == [1350, 1350, 0, -1350]
    assert column(payers, "active_payers") == [1, 1, 0, 0]
    top = payments.capsule.top_payers()
    assert dict(zip(top["payer"], top["net_cents"], strict=True)) == {"bo": 1350, "ada": 0}


def test_dated_refund_is_in_its_month():
    payments = frame(SALE | {"refunded_cents": 500, "refunded_at": "2026-03-04T00:00:00Z"})
    assert column(payments.capsule.revenue(), "refunds_cents") == [0, 0, -500]


def test_refund_of_an_unknown_amount_leaves_the_total_missing():
    payments = frame(SALE | {"status": "partially_refunded"})
    assert column(payments.capsule.revenue(), "refunds_cents") == [0, 0, 0, None]


def test_refund_of_a_payment_that_was_paid_out_has_an_unknown_payout():
    waits = SALE | {"payout_state": "In progress", "payout_id": None, "payout_at": None}
    assert column(frame(waits | {"refunded": True}).capsule.payouts(), "net_cents") == [0]
    shown = frame(SALE | {"refunded": True}).capsule.payouts()
    assert shown[["payout_state", "net_cents"]].to_numpy().tolist() == [["Unknown", -1350]]


def test_reconcile_counts_recorded_refunds():
    sums = {"gross_cents": 1500, "fee_cents": 150, "net_cents": 1350}
    table = frame(SALE | {"refunded": True}).capsule.reconcile(earnings_frame([("shop", sums)]))
    assert table.attrs["balanced"] == "no"
    refund = table[table["check"] == "refunds"]
    assert refund[["payment_id", "finding"]].to_numpy().tolist() == [
        ["pay_1/refund", "refunded at an unknown time"]
    ]
    none = dict.fromkeys(sums, 0)
    table = frame(SALE | {"refunded": True}).capsule.reconcile(earnings_frame([("shop", none)]))
    assert table.attrs["balanced"] == "yes"


def test_unreadable_refunded_amount_is_reported():
    with pytest.warns(UserWarning, match="1 of refunded"):
        frame(SALE | {"amount_refunded": "some"}).capsule.ledger(amounts="cents")


def test_sale_without_a_time_is_still_an_error():
    with pytest.raises(UserError, match="without a readable time: 1, for example pay_2"):
        frame(SALE, OTHER | {"paid_at": None}).capsule.revenue()


def test_roles_of_refunds_can_be_set():
    row = SALE | {"given_back": 500, "back_on": "2026-03-04T00:00:00Z"}
    made = frame(row)
    made["back_on"] = pd.to_datetime(made["back_on"], utc=True)
    roles = {"refunded": "given_back", "refund_time": "back_on"}
    known = made.capsule.declare(roles=roles, amounts="cents")
    assert column(known.capsule.revenue(), "refunds_cents") == [0, 0, -500]
    shown = known.capsule.roles.set_index("role")
    assert shown.loc["refunded", ["column", "becomes"]].tolist() == ["given_back", "gross_cents"]
