"""What is left out, occurs twice or is not known yet is shown or refused, computed by hand."""

import warnings

import pandas as pd
import pytest
from ledgers import column
from service_payments import frame, payment, waiting

from cpsl_notebook import UserError
from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import moment
from cpsl_notebook.frames import earnings_frame, payments_frame

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


ANSWERS = [("payouts", {"by": "payout_id"})]
ANSWERS += [(name, {}) for name in ("metrics", "revenue", "payers", "top_payers", "mrr", "payouts")]


@pytest.mark.parametrize(("name", "options"), ANSWERS)
def test_payment_that_occurs_twice_is_refused(name, options):
    twice = frame(SALE, payment(2, "2026-02-05"), SALE).rename(columns={"payment_id": "id"})
    twice = twice.capsule.declare(complete=True)
    with pytest.raises(UserError) as raised:
        getattr(twice.capsule, name)(**options)
    assert str(raised.value) == (
        "1 row has the id of another payment of the app and would count twice, for example pay_1. Drop "
        "them with payments = payments[~payments.duplicated(['app', 'id'])]. If these are not ids of "
        'payments, use payments = payments.capsule.declare(roles={"id": None}).'
    )
    once = twice[~twice.duplicated(["app", "id"])]
    assert column(once.capsule.revenue(), "payments") == [1, 1, 0]
    ignored = twice.capsule.declare(roles={"id": None})
    assert column(ignored.capsule.revenue(), "payments") == [2, 1, 0]
    assert findings(twice, "duplicates") == [["error", "shop", "pay_1", "2 rows share this id"]]
    assert len(twice.capsule.ledger()) == 3


def test_refunds_may_have_the_id_of_their_payment():
    back = SALE | {"gross_cents": -500, "fee_cents": -50, "net_cents": -450}
    later = back | {"paid_at": "2026-01-09"}
    assert column(frame(SALE, back, later).capsule.revenue(), "refunds_cents") == [-1000, 0, 0]
    with pytest.raises(UserError, match="1 row has the id of another payment"):
        frame(SALE, back, back).capsule.revenue()


def test_payments_of_two_apps_may_share_an_id():
    two = payments_frame([("shop", [SALE]), ("school", [SALE])])
    assert len(two.capsule.revenue()) == 2


@pytest.mark.parametrize(
    "name", ["revenue", "payers", "mrr", "churn", "cohorts", "metrics", "top_payers"]
)
def test_since_after_the_end_is_refused(name):
    payments = frame(SALE | {"kind": "monthly"})
    for options, end in [({"as_of": "2026-02"}, "2026-03-01"), ({}, "2026-04-01")]:
        with pytest.raises(UserError) as raised:
            getattr(payments.capsule, name)(since="2026-10", **options)
        assert str(raised.value) == (
            f"since=2026-10 begins after {end} 00:00 UTC, up to which the result holds. Choose an "
            "earlier since or a later as_of."
        )
    getattr(payments.capsule, name)(since="2026-03-31")


def test_since_after_the_window_or_the_reading_is_refused():
    cut = frame(SALE, window="2026-01-01T00:00:00Z/2026-02-01T00:00:00Z")
    for name in ("revenue", "payers", "top_payers"):
        with pytest.raises(UserError, match="since=2026-02 begins after 2026-02-01 00:00 UTC"):
            getattr(cut.capsule, name)(since="2026-02")
    with pytest.raises(UserError, match="since=2026-04 begins after 2026-04-01 00:00 UTC"):
        frame(SALE).capsule.reconcile(SUMS, since="2026-04")


def test_period_that_was_not_over_is_cut_with_a_warning():
    payments = frame(SALE)
    message = (
        r"as_of=2026 is not over: the payments were read at 2026-04-01 00:00 UTC\. The result h"
    )
    with pytest.warns(UserWarning, match=message):
        assert payments.capsule.revenue(as_of="2026").attrs["as_of"] == "2026-04-01T00:00:00+00:00"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        payments.capsule.revenue(as_of="2026-04-01")  # the day of the reading
        payments.capsule.revenue(as_of="2026-03")


def test_future_is_refused_without_a_time_of_reading():
    payments = frame(SALE)
    del payments.attrs["read_at"]
    with pytest.raises(UserError, match=r"as_of ends at 2200-01-01 00:00 UTC, but it is 20"):
        payments.capsule.revenue(as_of="2199")


def test_day_that_ends_at_a_skipped_midnight_is_the_last_one():
    # Beirut went from 00:00 to 01:00 on 30 March 2025, so 29 March ended at 01:00.
    day = Calendar(moment("2025-03-29", "Asia/Beirut"), "Asia/Beirut", "D")
    assert day.last_day == pd.Timestamp("2025-03-29")
    rows = [payment(n, f"2025-03-{day}T12:00:00Z") for n, day in enumerate((28, 30))]
    table = frame(*rows).capsule.revenue("D", tz="Asia/Beirut", as_of="2025-03-29")
    assert table["period"].dt.day.tolist() == [28, 29]
    assert table["state"].tolist() == ["provisional", "provisional"]
    payouts = frame(waiting(1, "2025-03-28T12:00:00Z")).capsule.payouts(
        as_of="2025-03-29", tz="Asia/Beirut"
    )
    assert column(payouts, "oldest_days") == [1]
