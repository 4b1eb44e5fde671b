"""Payouts and reconciliation, over ledgers whose every finding is worked out by hand."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame, payments_frame

AS_OF = "2026-03-31"


def payment(number, paid_at, **fields):
    gross = fields.pop("gross", 1500)
    fee = fields.pop("fee", gross // 10)
    return {
        "payment_id": f"pay_{number}",
        "paid_at": paid_at,
        "payer": f"payer {number}",
        "kind": "one_time",
        "currency": "USD",
        "gross_cents": gross,
        "fee_cents": fee,
        "net_cents": gross - fee,
        "payout_state": "Paid out",
        "payout_id": "po_1",
        "payout_at": "2026-03-25T06:00:00Z",
        **fields,
    }


def waiting(number, paid_at, state="In progress", **fields):
    return payment(number, paid_at, payout_state=state, payout_id=None, payout_at=None, **fields)


def frame(*rows, read_at="2026-04-01T00:00:00Z"):
    made = payments_frame([("shop", list(rows))])
    made.attrs |= {"read_at": read_at, "window": ""}
    return made


def summary(*rows, **changes):
    sums = {
        name: sum(row[name] for row in rows) for name in ("gross_cents", "fee_cents", "net_cents")
    }
    return earnings_frame([("shop", {"payments": len(rows)} | sums | changes)])


GOOD = [payment(1, "2026-01-05"), payment(2, "2026-02-05", gross=4900), payment(3, "2026-03-05")]


def findings(rows, earnings=None, **options):
    answer = frame(*rows).capsule.reconcile(
        summary(*rows) if earnings is None else earnings, **options
    )
    return answer, answer[answer["severity"] != "passed"]


def test_what_is_not_paid_out_is_shown_by_state_with_its_age():
    # Seen on 31 March: 24 March is 7 days ago, 23 March 8, 1 March 30, 28 February 31,
    # 31 December 90, 30 December 91.
    rows = [
        *(waiting(1, "2026-03-24"), waiting(2, "2026-03-23"), waiting(3, "2026-03-01")),
        *(waiting(4, "2026-02-28"), waiting(5, "2025-12-31"), waiting(6, "2025-12-30")),
        *(waiting(7, "2026-03-31T23:59:59Z", "Held"), waiting(8, "2026-03-30", None), GOOD[0]),
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
    assert "as of 2026-04-01 00:00 UTC" in shown.to_html() and "as of" in repr(shown)


def test_the_age_of_a_payment_counts_the_days_of_a_zone():
    # 02:00 UTC on 24 March is still 23 March in New York.
    one = frame(waiting(1, "2026-03-24T02:00:00Z"), read_at="2026-04-02T00:00:00Z")
    assert one.capsule.payouts(as_of=AS_OF)["oldest_days"].item() == 7
    assert one.capsule.payouts(as_of=AS_OF, tz="America/New_York")["oldest_days"].item() == 8


def test_currencies_and_apps_stand_apart_and_money_is_decimals():
    rows = [waiting(1, "2026-03-24"), waiting(2, "2026-03-24", currency="EUR")]
    shown = frame(*rows).capsule.payouts(money=True)
    assert shown["currency"].tolist() == ["EUR", "USD"]
    assert [str(amount) for amount in shown["net"]] == ["13.50", "13.50"]
    assert "net_cents" not in shown


def test_what_was_paid_out_after_the_moment_was_not_paid_out_at_it():
    shown = frame(*GOOD).capsule.payouts(as_of="2026-03-24")
    assert shown[["payout_state", "net_cents"]].to_numpy().tolist() == [["Paid out later", 7110]]
    assert frame(*GOOD).capsule.payouts(as_of="2026-03-25").empty


def test_payouts_without_states_are_an_error_that_lists_the_columns():
    rows = [{name: value for name, value in row.items() if name != "payout_state"} for row in GOOD]
    with pytest.raises(
        UserError, match=r"payouts\(\) cannot be answered: no column fits as payout_"
    ):
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
def test_the_parts_of_payouts_add_up_also_payer_by_payer(drawn):
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


def test_a_ledger_without_faults_is_balanced():
    answer, left = findings(GOOD)
    assert left.empty and answer.attrs["balanced"] == "yes"
    assert answer.columns.name == "balanced, as of 2026-04-01 00:00 UTC"
    assert answer["check"].unique().tolist() == [
        *("complete", "net", "fee", "duplicates", "currencies"),
        *("payout ids", "renewals", "negatives", "repeated", "sums"),
    ]
    assert "the net is the summary's `net_cents`" in answer["finding"].tolist()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # 1500 − 150 is 1350, not 1351.
        ({"net_cents": 1351}, ("net", 1350, 1351)),
        # A tenth of 1500 is 150.
        ({"fee_cents": 151, "net_cents": 1349}, ("fee", 150, 151)),
        ({"fee_cents": 149, "net_cents": 1351}, ("fee", 150, 149)),
        ({"fee_cents": 0, "net_cents": 1500}, ("fee", 150, 0)),
    ],
)
def test_an_amount_that_is_off_is_an_error_with_what_was_expected(change, expected):
    rows = [GOOD[0] | change, *GOOD[1:]]
    answer, left = findings(rows)
    found = left[["check", "expected_cents", "found_cents"]].to_numpy().tolist()
    assert found == [list(expected)]
    assert left["payment_id"].tolist() == ["pay_1"] and left["severity"].tolist() == ["error"]
    assert answer.attrs["balanced"] == "no"


@pytest.mark.parametrize("fee", [149, 150])
def test_half_a_cent_of_fee_may_be_rounded_either_way(fee):
    # A tenth of 1495 is 149 and a half.
    assert findings([payment(1, "2026-01-05", gross=1495, fee=fee)])[1].empty


def test_other_faults_are_found():
    rows = [*GOOD, GOOD[0] | {"payer": "x"}, payment(4, "2026-03-06", currency="EUR")]
    answer, _ = findings(rows)
    errors = answer[answer["severity"] == "error"]
    assert errors["check"].tolist() == ["duplicates", "currencies", "currencies"]
    assert errors["finding"].tolist() == [
        *("2 rows bear this id", "1 payments in EUR", "4 payments in USD")
    ]
    # Sums across currencies mean nothing.
    assert answer[answer["check"] == "sums"]["severity"].unique().tolist() == ["not checked"]


def test_an_unreadable_amount_is_an_error():
    with pytest.warns(UserWarning, match="1 of net_cents"):
        answer, _ = findings([GOOD[0] | {"net_cents": "13,50"}], summary(GOOD[0]))
    errors = answer[answer["severity"] == "error"]
    assert errors[["check", "payment_id", "finding"]].to_numpy().tolist() == [
        ["complete", "pay_1", "no net_cents"]
    ]


def test_a_summary_that_says_something_else_is_an_error_that_names_the_field():
    _, left = findings(GOOD, summary(*GOOD, fee_cents=791))
    # 150 + 490 + 150 is 790.
    assert left[["severity", "expected_cents", "found_cents"]].to_numpy().tolist() == [
        ["error", 790, 791]
    ]
    assert left["finding"].item() == "the fee is not the summary's `fee_cents`"


def test_a_summary_under_other_names_is_compared():
    other = earnings_frame([("shop", {"revenue": 79.0, "fees": 7.9, "developerShare": 71.1})])
    _, left = findings(GOOD, other)
    assert left["severity"].unique().tolist() == ["not checked"] and len(left) == 3
    assert "`revenue` may be cents or currency" in left["finding"].iloc[0]
    assert findings(GOOD, other, amounts="currency")[0].attrs["balanced"] == "yes"


def test_information_leaves_a_ledger_balanced():
    monthly = [
        payment(number, paid_at, kind="monthly", payer="ada")
        for number, paid_at in enumerate(("2025-12-31", "2026-01-31", "2026-03-18", "2026-03-18"))
    ]
    refund = payment(9, "2026-03-20", gross=-1500, payer="ada")
    answer, left = findings([*monthly, refund])
    # A month and 15 days after 31 January is 15 March; 18 March is 46 days after 31 January.
    assert left[["check", "payment_id", "severity"]].to_numpy().tolist() == [
        ["renewals", "pay_2", "information"],
        ["negatives", "pay_9", "information"],
        ["repeated", "pay_3", "information"],
    ]
    assert left["finding"].iloc[0] == "46 days after the payment before"
    assert answer.attrs["balanced"] == "yes"


@pytest.mark.parametrize(
    ("paid_at", "check"),
    [
        ("2026-02-01T09:00:00Z", ["repeated"]),  # a day later, to the second
        ("2026-02-01T09:00:01Z", []),
        ("2026-03-15T23:59:59Z", []),  # a month and 15 days after 31 January
        ("2026-03-16T00:00:00Z", ["renewals"]),
    ],
)
def test_the_bounds_of_what_is_told_for_information(paid_at, check):
    first = payment(1, "2026-01-31T09:00:00Z", kind="monthly", payer="ada")
    second = payment(2, paid_at, kind="monthly", payer="ada")
    _, left = findings([first, second])
    assert left["check"].tolist() == check


@pytest.mark.parametrize(
    ("without", "check"),
    [
        *(("payout_id", "payout ids"), ("net_cents", "net"), ("payer", "renewals")),
        *(("payment_id", "duplicates"), ("currency", "currencies")),
    ],
)
def test_what_could_not_run_is_said_and_is_not_balanced(without, check):
    rows = [{name: value for name, value in row.items() if name != without} for row in GOOD]
    answer, left = findings(rows, summary(*GOOD))
    skipped = left[left["severity"] == "not checked"]
    assert check in skipped["check"].tolist()
    assert skipped["finding"].str.contains(f"the payments have no {without}").all()
    assert answer.attrs["balanced"] == "no"


def test_since_shows_the_findings_of_later_payments_and_counts_the_others():
    wrong = [row | {"net_cents": row["net_cents"] + 1} for row in GOOD]
    answer, left = findings(wrong, since="2026-03")
    net = left[left["check"] == "net"]
    assert net["payment_id"].fillna("").tolist() == ["pay_3", ""]
    assert net["paid_at"].iloc[0] == pd.Timestamp("2026-03-05", tz="UTC")
    assert net["finding"].tolist()[1] == "2 of earlier payments"
    assert answer.attrs["balanced"] == "no"
    # 5 March in Berlin begins an hour before it does in UTC.
    early = [GOOD[0] | {"net_cents": 1, "paid_at": "2026-03-04T23:30:00Z"}]
    for tz, shown in [("UTC", ["1 of earlier payments"]), ("Europe/Berlin", ["gross − fee ≠ net"])]:
        _, left = findings(early, since="2026-03-05", tz=tz)
        assert left[left["check"] == "net"]["finding"].tolist() == shown


def test_strict_raises_unless_all_is_balanced():
    findings(GOOD, strict=True)
    with pytest.raises(UserError, match=r"1 errors, 0 checks.*The first: net: shop pay_1: gross"):
        findings([GOOD[0] | {"net_cents": 1351}], strict=True)


def test_payments_of_a_window_are_not_reconciled():
    cut = frame(*GOOD)
    cut.attrs["window"] = "from 2026-01-01"
    with pytest.raises(UserError, match=r"whole history.*cut \(from 2026-01-01\)"):
        cut.capsule.reconcile(summary(*GOOD))


def test_the_local_workspace_reconciles(workspace):
    client = workspace.client()
    payments, earnings = client.list_payments(), client.get_earnings()
    answer = payments.capsule.reconcile(earnings, strict=True)
    assert answer.attrs["balanced"] == "yes"
    with pytest.raises(UserError, match="Not balanced"):
        payments[payments.index != 7].capsule.reconcile(earnings, strict=True)
