"""MRR and churn of ledgers whose numbers are computed by hand."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import FIRST_DAY, at, buy, by_month, column, ledger, monthly, pay, random_payments

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.churn import compute_churn as churn
from cpsl_notebook.earnings.metrics.mrr import compute_mrr as mrr

MOVEMENTS = ["new_cents", "expansion_cents", "contraction_cents", "churn_cents"]
MOVEMENTS.append("reactivation_cents")


def closings(*payments, as_of, **options):
    """Return the closing MRR by month."""
    return by_month(mrr(ledger(*payments, as_of=as_of), **options), "closing_cents")


def test_renewal_one_day_late_in_a_short_month_is_not_churn():
    # Due on 31 January, 28 February (the last day) and 31 March. The payment of 1 March is a day
    # late. February closes with it, because it pays for the period in force at the end of February.
    table = mrr(ledger(*map(pay, ["2025-01-31", "2025-03-01", "2025-03-31"]), as_of="2025-04-01"))
    assert by_month(table, "closing_cents") == dict.fromkeys(
        ["2025-01", "2025-02", "2025-03", "2025-04"], 1500
    )
    assert by_month(table, "new_cents") == {"2025-01": 1500}
    assert not table[MOVEMENTS[1:]].any(axis=None)
    rates = churn(ledger(*map(pay, ["2025-01-31", "2025-03-01", "2025-03-31"]), as_of="2025-03-31"))
    assert column(rates, "payer_churn") == [None, 0, 0]
    assert column(rates, "gross_retention") == [None, 1, 1]


def test_31st_is_due_on_29_february_in_a_leap_year():
    # 7 days early is 22 February, and 15 days late is 15 March. 21 February is too early, and
    # 16 March is too late.
    for second, is_renewal in [
        ("02-22", True),
        ("02-21", False),
        ("03-15", True),
        ("03-16", False),
    ]:
        days = ["2024-01-31", f"2024-{second}"]
        found = closings(*map(pay, days), as_of="2024-03-31")
        assert found.get("2024-02") == 1500  # the first payment is in grace on 29 February
        # After a renewal, the due date of 31 March is open and in grace. Otherwise, 16 March begins a
        # new subscription, and 21 February is an extra payment that did not recur.
        assert found.get("2024-03") == (1500 if is_renewal or second == "03-16" else None)


def test_payer_who_skips_two_months_churns_and_is_reactivated():
    # Paid on 10 January and 10 February. Due on 10 March, and not paid by 25 March, so March closes
    # at zero. 10 May begins a new subscription.
    paid = ledger(*map(pay, ["2025-01-10", "2025-02-10", "2025-05-10"]), as_of="2025-05-31")
    table = mrr(paid)
    assert column(table, "closing_cents") == [1500, 1500, 0, 0, 1500]
    assert by_month(table, "new_cents") == {"2025-01": 1500}
    assert by_month(table, "churn_cents") == {"2025-03": -1500}
    assert by_month(table, "reactivation_cents") == {"2025-05": 1500}
    rates = churn(paid)
    assert column(rates, "opening_payers") == [0, 1, 1, 0, 0]
    assert column(rates, "churned_payers") == [0, 0, 1, 0, 0]
    assert column(rates, "payer_churn") == [None, 0, 1, None, None]  # no division by zero
    assert column(rates, "gross_retention") == [None, 1, 0, None, None]
    assert column(rates, "net_retention") == [None, 1, 0, None, None]
    assert column(rates, "reactivated_payers") == [0, 0, 0, 0, 1]


def test_reactivated_and_new_payers_do_not_count_in_retention():
    # Bo stays at $15. In May, ada returns and cy is new. All of bo's $15 is retained.
    ada = map(pay, ["2025-01-10", "2025-02-10", "2025-05-10"])
    rows = [*ada, *monthly("2025-01-05", 5, "bo"), pay("2025-05-11", "cy")]
    may = churn(ledger(*rows, as_of="2025-05")).iloc[-1]
    assert (may["opening_payers"], may["opening_cents"]) == (1, 1500)
    assert (may["gross_retention"], may["net_retention"], may["payer_churn"]) == (1, 1, 0)
    assert (may["reactivated_payers"], may["reactivation_cents"]) == (1, 1500)


def test_late_renewal_is_not_a_movement():
    # Due on the 28th, and paid 15 days late each time, in the next month.
    days = ["2025-01-28", "2025-03-15", "2025-04-12"]  # due 28 February and 28 March
    table = mrr(ledger(*map(pay, days), as_of="2025-04-12"))
    assert column(table, "closing_cents") == [1500] * 4
    assert not table[MOVEMENTS[1:]].any(axis=None)


def test_two_simultaneous_plans_are_two_subscriptions():
    # $15 and $49 on the same day, in changing order. The second $49 begins a second subscription. The
    # first one could have been an extra payment. In March only $15 is paid: $49 was due on 10 March,
    # and not paid by 25 March.
    rows = [
        *(pay("2025-01-10T10:00"), pay("2025-01-10T10:01", gross=4900)),
        *(pay("2025-02-10T09:59", gross=4900), pay("2025-02-10T10:00")),
        pay("2025-03-10T10:00"),
    ]
    table = mrr(ledger(*rows, as_of="2025-03-31"))
    assert column(table, "closing_cents") == [1500, 6400, 1500]
    assert by_month(table, "expansion_cents") == {"2025-02": 4900}
    assert by_month(table, "contraction_cents") == {"2025-03": -4900}
    assert column(table, "unclassified_cents") == [4900, 0, 0]
    assert column(table, "payers") == [1, 1, 1]
    rates = churn(ledger(*rows, as_of="2025-03-31"))
    assert column(rates, "churned_payers") == [0, 0, 0]
    assert column(rates, "gross_retention")[2] == 1500 / 6400


def test_subscription_ids_distinguish_two_plans():
    # Both are due on the same day with the same amount. b ends, and a continues.
    a, b = {"subscription": "a"}, {"subscription": "b"}
    rows = [*monthly("2025-01-10", 3, **a), *monthly("2025-01-10", 2, **b)]
    assert column(mrr(ledger(*rows, as_of="2025-03-31")), "closing_cents") == [3000, 3000, 1500]


def test_subscription_that_gets_an_id_later_stays_the_same():
    rows = [*monthly("2025-01-28", 2), *monthly("2025-03-28", 2, subscription="a")]
    assert column(mrr(ledger(*rows, as_of="2025-04-30")), "closing_cents") == [1500] * 4


def test_price_change_is_expansion_or_contraction():
    # $15, then $25 from the third month, then $20.
    rows = [
        *monthly("2025-01-10", 2),
        *(pay("2025-03-10", gross=2500), pay("2025-04-10", gross=2000)),
    ]
    table = mrr(ledger(*rows, as_of="2025-04-30"))
    assert column(table, "closing_cents") == [1500, 1500, 2500, 2000]
    assert by_month(table, "expansion_cents") == {"2025-03": 1000}
    assert by_month(table, "contraction_cents") == {"2025-04": -500}
    rates = churn(ledger(*rows, as_of="2025-04-30"))
    assert column(rates, "net_retention") == [None, 1, 2500 / 1500, 0.8]
    assert column(rates, "gross_retention") == [None, 1, 1, 0.8]


def test_proration_is_unclassified():
    # $6.50 on 20 February for the rest of the period, and the new price from 10 March.
    rows = [
        *monthly("2025-01-10", 2),
        *(pay("2025-02-20", gross=650), pay("2025-03-10", gross=2500)),
    ]
    table = mrr(ledger(*rows, as_of="2025-03-31"))
    assert column(table, "closing_cents") == [1500, 1500, 2500]
    assert by_month(table, "unclassified_cents") == {"2025-02": 650}


def test_double_payment_is_unclassified_even_if_the_next_is_late():
    # The second payment, of 12 January, would be due on 12 February. But the payment of that day
    # renews the first one, two days late, with its amount.
    rows = [*map(pay, ["2025-01-10", "2025-01-12", "2025-02-12", "2025-03-10"])]
    table = mrr(ledger(*rows, as_of="2025-03-31"))
    assert column(table, "closing_cents") == [1500, 1500, 1500]
    assert by_month(table, "unclassified_cents") == {"2025-01": 1500}


def test_payment_settles_the_nearest_due_date():
    # a is due on 10 February and b on 20 February. 16 February is nearer to b, and 21 February
    # remains for a, 11 days late. Both are renewed.
    rows = [
        *(
            pay("2024-11-20", gross=4900),
            pay("2024-12-10", gross=1500),
            pay("2024-12-20", gross=4900),
        ),
        *(pay("2025-01-10", gross=1500), pay("2025-01-20", gross=4900)),
        *(pay("2025-02-16", gross=2000), pay("2025-02-21", gross=3000)),
    ]
    # b closes February with $20, and a with $30. The first payment of a was extra.
    table = mrr(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "closing_cents") == [4900, 4900, 6400, 5000]
    assert by_month(table, "unclassified_cents") == {"2024-12": 1500}
    # The same with the amount of a: b closes with $15, and a has ended after 25 February.
    rows = [*rows[:5], pay("2025-02-16", gross=1500)]
    assert column(mrr(ledger(*rows, as_of="2025-02-28")), "closing_cents") == [
        4900,
        4900,
        6400,
        1500,
    ]


def test_partial_refund_in_a_later_month_is_not_a_movement():
    rows = [*monthly("2025-01-10", 3), pay("2025-03-20", gross=-700)]
    assert column(mrr(ledger(*rows, as_of="2025-03-31")), "closing_cents") == [1500] * 3
    rows[-1] = pay("2025-03-20", gross=-700, kind="refund")
    assert column(mrr(ledger(*rows, as_of="2025-03-31")), "closing_cents") == [1500] * 3


def test_last_second_of_a_month_counts_in_the_time_zone():
    # 31 January, 23:59:59 in New York, is 1 February in UTC.
    rows = [pay("2025-01-31T23:59:59-05:00"), pay("2025-02-28T23:59:59-05:00")]
    assert closings(*rows, as_of="2025-03-01T12:00Z", tz="America/New_York") == dict.fromkeys(
        ["2025-01", "2025-02", "2025-03"], 1500
    )
    in_utc = mrr(ledger(*rows, as_of="2025-02-28"))
    assert by_month(in_utc, "closing_cents") == {"2025-02": 1500}


def test_due_days_follow_the_time_zone_across_clock_changes():
    # Due in Berlin on 28 March 2025. The 15 days of grace, one of which has 23 hours, end with
    # 12 April, at 22:00 UTC. A payment one second later begins a new subscription.
    first = "2025-02-28T23:30+01:00"  # due on the 28th
    last, later = "2025-04-12T23:59:59+02:00", "2025-04-13T00:00:00+02:00"
    for second, is_new in [(last, False), (later, True)]:
        found = mrr(ledger(pay(first), pay(second), as_of="2025-04-30T21:00Z"), tz="Europe/Berlin")
        assert column(found, "closing_cents") == [1500, 1500, 1500]
        # If it was renewed for 28 March, it is in grace for 28 April until 13 May. If it is new, it
        # is in grace from 13 May.
        later_on = ledger(pay(first), pay(second), as_of="2025-05-14T12:00Z")
        assert by_month(mrr(later_on, tz="Europe/Berlin"), "closing_cents").get("2025-05") == (
            1500 if is_new else None
        )


def test_empty_months_have_zeros():
    table = mrr(ledger(pay("2025-01-10"), pay("2025-06-10"), as_of="2025-06-30"))
    assert column(table, "closing_cents") == [1500, 0, 0, 0, 0, 1500]


def test_amount_stays_in_force_during_grace():
    # Due on 20 February, in force until 7 March, ended on 8 March.
    paid = ledger(pay("2025-01-20"))
    for as_of, closing in [("2025-02-28", 1500), ("2025-03-07", 1500), ("2025-03-08", 0)]:
        table = mrr(at(paid, as_of))
        assert column(table, "closing_cents")[-1] == closing
    assert column(table, "closing_cents") == [1500, 1500, 0]  # the closing of February stays


def test_early_payment_counts_from_its_due_date():
    # Due on 3 February and 3 March, paid on 28 January and 26 February, with new prices.
    rows = [pay("2025-01-03"), pay("2025-01-28", gross=2000), pay("2025-02-26", gross=3000)]
    assert closings(*rows, as_of="2025-02-27") == {"2025-01": 1500, "2025-02": 2000}
    assert closings(*rows, as_of="2025-03-02")["2025-03"] == 2000
    assert closings(*rows, as_of="2025-03-03")["2025-03"] == 3000


def test_grace_reaches_into_the_running_month():
    # Due on 28 February, open until 15 March.
    rows = [pay("2025-01-28")]
    assert closings(*rows, as_of="2025-03-15") == {
        "2025-01": 1500,
        "2025-02": 1500,
        "2025-03": 1500,
    }
    assert closings(*rows, as_of="2025-03-16") == {"2025-01": 1500, "2025-02": 1500}


def test_one_time_buyer_is_new_when_subscribing():
    table = mrr(ledger(buy("2025-01-10"), *monthly("2025-03-10", 2), as_of="2025-04-30"))
    assert by_month(table, "new_cents") == {"2025-03": 1500}
    assert by_month(table, "closing_cents") == {"2025-03": 1500, "2025-04": 1500}


def test_superseded_subscription_no_longer_counts():
    # a is due on 20 February and in grace until 7 March. b begins on 22 February. February closes
    # with b alone, as it would without subscription ids: an expansion of $10.
    rows = [pay("2025-01-20", subscription="a"), pay("2025-02-22", gross=2500, subscription="b")]
    table = mrr(ledger(*rows, as_of="2025-03"))
    assert column(table, "closing_cents") == [1500, 2500, 2500]
    assert by_month(table, "expansion_cents") == {"2025-02": 1000}
    assert by_month(table, "churn_cents") == by_month(table, "contraction_cents") == {}


def test_late_subscription_counts_beside_a_new_one_once_paid():
    rows = [
        pay("2025-01-20", subscription="a"),
        pay("2025-02-22", gross=2500, subscription="b"),
        pay("2025-03-05", subscription="a"),
    ]
    assert closings(*rows, as_of="2025-02-28")["2025-02"] == 2500
    assert closings(*rows, as_of="2025-03-15")["2025-02"] == 4000


def test_upgrade_by_a_new_subscription_is_one_expansion():
    # a is paid until 9 February, and b begins on 24 January for $10 more.
    rows = [
        pay("2024-12-10", subscription="a"),
        pay("2025-01-10", subscription="a"),
        pay("2025-01-24", gross=2500, subscription="b"),
        pay("2025-02-24", gross=2500, subscription="b"),
    ]
    table = mrr(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "closing_cents") == [1500, 2500, 2500]
    assert by_month(table, "new_cents") == {"2024-12": 1500}
    assert by_month(table, "expansion_cents") == {"2025-01": 1000}
    assert not table[["contraction_cents", "churn_cents", "unclassified_cents"]].any(axis=None)
    # If a is paid again, it was no upgrade, and a counts beside b from its due date.
    rows.append(pay("2025-02-12", subscription="a"))
    assert column(mrr(ledger(*rows, as_of="2025-02-28")), "closing_cents") == [1500, 2500, 4000]


def test_new_subscription_that_costs_no_more_counts_beside_the_other():
    rows = [pay("2025-01-10", subscription="a"), pay("2025-01-24", subscription="b")]
    assert closings(*rows, as_of="2025-01-31") == {"2025-01": 3000}


def test_switch_to_a_yearly_plan_is_one_contraction():
    # $15 a month, then $96 a year from 24 January, which is $8 a month.
    rows = [
        pay("2024-12-10", subscription="a"),
        pay("2025-01-10", subscription="a"),
        pay("2025-01-24", gross=9600, kind="yearly", subscription="b"),
    ]
    for names in (["a", "a", "b"], [None, None, None]):
        named = [row | {"subscription": name} for row, name in zip(rows, names, strict=True)]
        table = mrr(ledger(*named, as_of="2025-03-31"))
        assert column(table, "closing_cents") == [1500, 800, 800, 800]
        assert by_month(table, "contraction_cents") == {"2025-01": -700}


def test_superseded_subscription_is_not_in_force_for_the_rest_of_its_term():
    # a is paid until 1 February, and b begins on 29 January, early enough to have settled it.
    rows = [
        pay("2025-01-02", subscription="a"),
        pay("2025-01-29", gross=2500, subscription="b"),
    ]
    assert closings(*rows, as_of="2025-02-28") == {"2025-01": 2500, "2025-02": 2500}


def test_payer_who_switches_apps_churns_by_app_but_not_by_payer():
    # shop is paid until 10 March, and school from 20 March. The closings of March are compared.
    rows = [*monthly("2025-01-10", 2), *monthly("2025-03-20", 1, gross=2000, app="school")]
    by_app = mrr(ledger(*rows, as_of="2025-03-31"))
    assert by_month(by_app, "churn_cents", app="shop") == {"2025-03": -1500}
    assert by_month(by_app, "new_cents", app="school") == {"2025-03": 2000}
    whole = mrr(ledger(*rows, as_of="2025-03-31"), unit="payer")
    assert "app" not in whole
    assert by_month(whole, "expansion_cents") == {"2025-03": 500}
    assert by_month(whole, "churn_cents") == {}


def test_payer_of_two_apps_counts_once_by_payer():
    rows = [*monthly("2025-01-10", 2), *monthly("2025-01-10", 2, app="school")]
    paid = ledger(*rows, as_of="2025-02-28")
    assert column(mrr(paid), "payers") == [1, 1, 1, 1]
    assert column(mrr(paid, unit="payer"), "payers") == [1, 1]
    assert column(churn(paid, unit="payer"), "opening_payers") == [0, 1]


def test_net_mrr_excludes_fees():
    assert closings(*monthly("2025-01-10", 1), as_of="2025-01-31", basis="net") == {"2025-01": 1350}


def test_currencies_are_separate_and_large_cents_are_exact():
    large = 2**53 + 1
    rows = [pay("2025-01-10", gross=large, fee=0), pay("2025-01-11", "bo", currency="EUR")]
    table = mrr(ledger(*rows, as_of="2025-01-31"))
    assert column(table, "closing_cents", currency="USD") == [large]
    assert column(table, "closing_cents", currency="EUR") == [1500]
    assert {str(table[name].dtype) for name in table if name.endswith("cents")} == {"Int64"}


def test_unknown_kinds_are_an_error_that_lists_them():
    rows = [*monthly("2025-01-10", 2, kind="weekly"), pay("2025-01-10", kind=None)]
    with pytest.raises(UserError, match=r"\(missing\) \(1\), weekly \(2\)\. .*declare\(kinds="):
        mrr(ledger(*rows, buy("2025-01-10")))


def test_missing_amount_is_an_error_with_the_payment_id():
    with pytest.raises(UserError, match=r"1.*p0"):
        mrr(ledger(pay("2025-01-10", gross=0, gross_cents=None)))


def test_mrr_and_churn_reject_a_window():
    for compute, name in [(mrr, "mrr"), (churn, "churn")]:
        with pytest.raises(UserError, match=f"{name}.* needs the whole history.*since="):
            compute(ledger(*monthly("2025-01-10", 3), cut="2025-01-01T00:00:00Z/"))


def test_since_limits_rows_without_changing_numbers():
    table = mrr(ledger(*monthly("2025-01-10", 3), as_of="2025-03-31"), since="2025-03")
    assert column(table, "opening_cents") == [1500] and column(table, "new_cents") == [0]


def test_no_subscriptions_give_no_rows():
    known = ledger(pay("2025-01-10"))
    for nothing in (ledger(), ledger(buy("2025-01-10"))):
        assert len(mrr(nothing)) == len(churn(nothing)) == 0
        assert mrr(nothing).columns.tolist() == mrr(known).columns.tolist()
        assert churn(nothing).columns.tolist() == churn(known).columns.tolist()


def test_unknown_payers_are_unclassified_unless_subscription_is_known():
    rows = [*monthly("2025-01-10", 2, None), *monthly("2025-01-10", 2, None, subscription="a")]
    table = mrr(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "closing_cents") == [1500, 1500]
    assert column(table, "unclassified_cents") == [1500, 1500]


few = settings(deadline=None, max_examples=4)


@few
@given(random_payments, st.integers(0, 400), st.sampled_from(["gross", "net"]))
def test_opening_and_movements_add_up_to_the_closing(rows, day, basis):
    as_of = FIRST_DAY + pd.Timedelta(days=day)
    for unit in ("app", "payer"):
        table = mrr(ledger(*rows, as_of=as_of), unit=unit, basis=basis)
        moved = sum((table[name] for name in MOVEMENTS), table["opening_cents"])
        assert (moved == table["closing_cents"]).all()
        groups = [table["app"], table["currency"]] if unit == "app" else [table["currency"]]
        closed = table.groupby(groups, observed=True)["closing_cents"].shift(fill_value=0)
        assert (closed == table["opening_cents"]).all()
        assert (table[["closing_cents", "payers", "unclassified_cents"]] >= 0).all(axis=None)


@few
@given(random_payments, st.randoms())
def test_results_do_not_depend_on_row_order(rows, random):
    known = ledger(*rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    known = replace(known, rows=known.rows.iloc[order].reset_index(drop=True))
    pd.testing.assert_frame_equal(mrr(known), mrr(ledger(*rows)))
    pd.testing.assert_frame_equal(churn(known), churn(ledger(*rows)))


@few
@given(random_payments)
def test_results_by_payer_add_up_to_the_whole(rows):
    names = [*MOVEMENTS, "closing_cents", "unclassified_cents", "payers"]
    own = [mrr(ledger(*(row for row in rows if row["payer"] == payer))) for payer in ("ada", "bo")]
    keys = ["month", "app"]
    parts = pd.concat([part.astype({"app": str}) for part in own]).groupby(keys)[names].sum()
    whole = mrr(ledger(*rows)).astype({"app": str}).set_index(keys)[names]
    assert parts.sub(whole, fill_value=0).eq(0).all(axis=None)


@few
@given(random_payments)
def test_total_closing_is_the_same_by_app_and_by_payer(rows):
    by_app = mrr(ledger(*rows)).groupby("month")["closing_cents"].sum()
    by_payer = mrr(ledger(*rows), unit="payer").groupby("month")["closing_cents"].sum()
    assert by_app.to_dict() == by_payer.to_dict()


@few
@given(random_payments)
def test_refunds_and_one_time_sales_do_not_change_mrr(rows):
    kept = [row for row in rows if row["kind"] == "monthly" and row["gross_cents"] > 0]
    pd.testing.assert_frame_equal(mrr(ledger(*rows)), mrr(ledger(*kept)), check_categorical=False)
