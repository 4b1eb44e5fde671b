"""Payouts of payments whose amounts and ages are computed by hand."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_payments import frame, payment, waiting

from cpsl_notebook import UserError

AS_OF = "2026-03-31"
PAID_OUT = [
    payment(1, "2026-01-05"),
    payment(2, "2026-02-05", gross=4900),
    payment(3, "2026-03-05"),
]


def test_payouts_sum_pending_amounts_by_state_and_age():
    # Seen on 31 March: 24 March is 7 days ago, 23 March 8, 1 March 30, 28 February 31,
    # 31 December 90, 30 December 91.
    rows = [
        *(waiting(1, "2026-03-24"), waiting(2, "2026-03-23"), waiting(3, "2026-03-01")),
        *(waiting(4, "2026-02-28"), waiting(5, "2025-12-31"), waiting(6, "2025-12-30")),
        *(waiting(7, "2026-03-31T23:59:59Z", "Held"), waiting(8, "2026-03-30", None)),
        payment(9, "2026-01-05"),
    ]
    shown = frame(*rows).capsule.payouts(as_of=AS_OF)
    assert shown["payout_state"].tolist() == ["Held", "In progress", "Unknown"]
    first = shown.iloc[1]
    assert (first["payments"], first["net_cents"]) == (6, 6 * 1350)
    ages = ["days_0_7_cents", "days_8_30_cents", "days_31_90_cents", "days_over_90_cents"]
    assert first[ages].tolist() == [1350, 2700, 2700, 1350]
    assert (first["oldest_days"], first["oldest_payment_id"]) == (91, "pay_6")
    assert shown["oldest_days"].tolist() == [0, 91, 1]
    assert shown.attrs["as_of"] == "2026-04-01T00:00:00+00:00"


def test_ages_count_days_in_the_time_zone():
    # 02:00 UTC on 24 March is still 23 March in New York.
    one = frame(waiting(1, "2026-03-24T02:00:00Z"), read_at="2026-04-02T00:00:00Z")
    assert one.capsule.payouts(as_of=AS_OF)["oldest_days"].item() == 7
    assert one.capsule.payouts(as_of=AS_OF, tz="America/New_York")["oldest_days"].item() == 8


def test_payouts_separate_currencies_and_return_decimals():
    rows = [waiting(1, "2026-03-24"), waiting(2, "2026-03-24", currency="EUR")]
    shown = frame(*rows).capsule.payouts(money=True)
    assert shown["currency"].tolist() == ["EUR", "USD"]
    assert [str(amount) for amount in shown["net"]] == ["13.50", "13.50"]
    assert "net_cents" not in shown


def test_payments_paid_out_after_as_of_are_pending():
    shown = frame(*PAID_OUT).capsule.payouts(as_of="2026-03-24")
    assert shown[["payout_state", "net_cents"]].to_numpy().tolist() == [["Paid out later", 7110]]
    assert frame(*PAID_OUT).capsule.payouts(as_of="2026-03-25").empty


def test_payouts_without_states_are_an_error():
    rows = [
        {name: value for name, value in row.items() if name != "payout_state"} for row in PAID_OUT
    ]
    with pytest.raises(UserError, match=r"Cannot compute payouts\(\): no column fits"):
        frame(*rows).capsule.payouts()


@settings(deadline=None, max_examples=5)
@given(
    st.lists(
        st.tuples(
            st.datetimes(pd.Timestamp("2025-01-01"), pd.Timestamp("2026-03-31")),
            st.sampled_from(["In progress", "Failed", "Held", None, "Paid out"]),
            st.integers(-(2**40), 2**40),
            st.sampled_from(["ada", "bob", "eve"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_payouts_add_up_by_age_and_by_payer(drawn):
    rows = [
        waiting(number, time.isoformat(), state, gross=gross, fee=0, payer=payer)
        for number, (time, state, gross, payer) in enumerate(drawn)
    ]
    whole = frame(*rows)
    shown = whole.capsule.payouts()
    ages = [name for name in shown.columns if name.startswith("days_")]
    unpaid = sum(gross for _, state, gross, _ in drawn if state != "Paid out")
    assert shown["net_cents"].sum() == unpaid == shown[ages].sum().sum()
    assert {str(shown[name].dtype) for name in ("payments", "net_cents", *ages)} == {"Int64"}
    by_payer = [part.capsule.payouts() for _, part in whole.groupby("payer")]
    assert sum(part["net_cents"].sum() for part in by_payer) == unpaid
    backwards = whole[::-1].capsule.payouts()
    pd.testing.assert_frame_equal(backwards, shown)


def test_payouts_by_id_add_up_to_bank_transfers():
    refund = payment(9, "2026-03-06", gross=-900, kind="refund")
    second = {"payout_id": "po_2", "payout_at": "2026-03-18T06:00:00Z"}
    rows = [*PAID_OUT, refund, payment(4, "2026-03-01", **second), waiting(5, "2026-03-30")]
    shown = frame(*rows).capsule.payouts(by="payout_id")
    assert shown["payout_id"].fillna("").tolist() == ["po_2", "po_1", ""]
    assert shown["net_cents"].tolist() == [1350, 1350 + 4410 + 1350 - 810, 1350]
    assert shown["refunds_cents"].tolist() == [0, -900, 0]
    assert shown["payments"].tolist() == [1, 3, 1]
    assert shown["payout_at"].dt.day.fillna(0).tolist() == [18, 25, 0]
    earlier = frame(*rows).capsule.payouts(by="payout_id", as_of="2026-03-20", money=True)
    assert earlier["payout_id"].fillna("").tolist() == ["po_2", ""]
    assert [str(net) for net in earlier["net"]] == ["13.50", "63.00"]


def test_payouts_by_something_else_are_an_error():
    with pytest.raises(UserError, match=r"by must be one of payout_state, payout_id, not 'bank'"):
        frame(*PAID_OUT).capsule.payouts(by="bank")


def test_payout_at_an_unknown_time_has_its_own_state():
    undated = payment(1, "2026-01-05", payout_at=None)
    rows = [undated, *PAID_OUT[1:]]
    assert frame(*rows).capsule.payouts().empty
    assert frame(*rows).capsule.payouts(as_of="2026-04-01").empty  # the day of the reading
    shown = frame(*rows).capsule.payouts(as_of="2026-03-30")
    assert shown[["payout_state", "net_cents"]].to_numpy().tolist() == [
        ["Paid out at an unknown time", 1350]
    ]


def test_plot_of_payouts_by_id_has_a_bar_for_each():
    second = {"payout_id": "po_2", "payout_at": "2026-03-18T06:00:00Z"}
    rows = [*PAID_OUT, payment(4, "2026-03-01", **second), waiting(5, "2026-03-30")]
    axes = frame(*rows).capsule.plot.payouts(by="payout_id")
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "18 Mar 2026, po_2",
        "25 Mar 2026, po_1",
        "in no payout",
    ]
    assert [bar.get_width() for bar in axes.patches] == [1350, 7110, 1350]
    plt.close(axes.figure)
