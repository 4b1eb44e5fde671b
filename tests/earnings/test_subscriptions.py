"""MRR and churn: chains of payments, from ledgers whose every figure is worked out by hand."""

from dataclasses import replace
from datetime import date, timedelta

import oracle
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ledgers import FIRST_DAY, at, buy, by_month, column, ledger, monthly, pay, random_payments

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.mrr import churn, mrr

MOVEMENTS = ["new_cents", "expansion_cents", "contraction_cents", "churn_cents"]
MOVEMENTS.append("reactivation_cents")


def closings(*payments, as_of, **options):
    """Closing MRR by month."""
    return by_month(mrr(ledger(*payments, as_of=as_of), **options), "closing_cents")


def test_renewals_on_31_january_1_march_and_31_march_are_no_churn():
    # Due 31 January, 28 February (its last day) and 31 March. 1 March is a day late for the
    # second: February closes with it, because it was paid for the period in force at its end.
    table = mrr(ledger(*map(pay, ["2025-01-31", "2025-03-01", "2025-03-31"]), as_of="2025-04-01"))
    assert by_month(table, "closing_cents") == dict.fromkeys(
        ["2025-01", "2025-02", "2025-03", "2025-04"], 1500
    )
    assert by_month(table, "new_cents") == {"2025-01": 1500}
    assert not table[MOVEMENTS[1:]].any(axis=None)
    rates = churn(ledger(*map(pay, ["2025-01-31", "2025-03-01", "2025-03-31"]), as_of="2025-03-31"))
    assert column(rates, "payer_churn") == [None, 0, 0]
    assert column(rates, "gross_retention") == [None, 1, 1]


def test_in_a_leap_year_the_31st_falls_due_on_29_february():
    # 7 days early is 22 February; 15 days late is 15 March. 21 February and 16 March are neither.
    for second, is_renewal in [
        ("02-22", True),
        ("02-21", False),
        ("03-15", True),
        ("03-16", False),
    ]:
        days = ["2024-01-31", f"2024-{second}"]
        found = closings(*map(pay, days), as_of="2024-03-31")
        assert found.get("2024-02") == 1500  # on 29 February the grace of the first holds
        # Renewed, the third due date of 31 March is open, in grace; else: 16 March starts anew,
        # and 21 February was an extra payment that did not recur.
        assert found.get("2024-03") == (1500 if is_renewal or second == "03-16" else None)


def test_a_payer_who_skips_two_months_and_returns_churned_and_is_reactivated():
    # Paid 10 January, 10 February; due 10 March, given up after 25 March: March closes at zero.
    # 10 May starts anew.
    paid = ledger(*map(pay, ["2025-01-10", "2025-02-10", "2025-05-10"]), as_of="2025-05-31")
    table = mrr(paid)
    assert column(table, "closing_cents") == [1500, 1500, 0, 0, 1500]
    assert by_month(table, "new_cents") == {"2025-01": 1500}
    assert by_month(table, "churn_cents") == {"2025-03": -1500}
    assert by_month(table, "reactivation_cents") == {"2025-05": 1500}
    rates = churn(paid)
    assert column(rates, "opening_payers") == [0, 1, 1, 0, 0]
    assert column(rates, "churned_payers") == [0, 0, 1, 0, 0]
    assert column(rates, "payer_churn") == [None, 0, 1, None, None]  # nothing divided by zero
    assert column(rates, "gross_retention") == [None, 1, 0, None, None]
    assert column(rates, "net_retention") == [None, 1, 0, None, None]
    assert column(rates, "reactivated_payers") == [0, 0, 0, 0, 1]


def test_who_comes_back_or_is_new_counts_in_no_retention():
    # Bo stays at $15. In May ada comes back, and cy is new: of bo's $15, all is kept.
    ada = map(pay, ["2025-01-10", "2025-02-10", "2025-05-10"])
    rows = [*ada, *monthly("2025-01-05", 5, "bo"), pay("2025-05-11", "cy")]
    may = churn(ledger(*rows, as_of="2025-05")).iloc[-1]
    assert (may["opening_payers"], may["opening_cents"]) == (1, 1500)
    assert (may["gross_retention"], may["net_retention"], may["payer_churn"]) == (1, 1, 0)
    assert (may["reactivated_payers"], may["reactivation_cents"]) == (1, 1500)


def test_a_late_renewal_moves_nothing():
    # Due on the 28th; paid 15 days late each time, in the month after.
    days = ["2025-01-28", "2025-03-15", "2025-04-12"]  # due 28 February and 28 March
    table = mrr(ledger(*map(pay, days), as_of="2025-04-12"))
    assert column(table, "closing_cents") == [1500] * 4
    assert not table[MOVEMENTS[1:]].any(axis=None)


def test_two_plans_at_once_are_two_subscriptions():
    # $15 and $49 on the same day, the order changing: the second $49 shows that the first was no
    # extra. In March only $15: $49 fell due on 10 March and is given up after 25 March.
    rows = [
        *(pay("2025-01-10T10:00"), pay("2025-01-10T10:01", gross=4900)),
        *(pay("2025-02-10T09:59", gross=4900), pay("2025-02-10T10:00")),
        pay("2025-03-10T10:00"),
    ]
    table = mrr(ledger(*rows, as_of="2025-03-31"))
    assert column(table, "closing_cents") == [6400, 6400, 1500]
    assert by_month(table, "contraction_cents") == {"2025-03": -4900}
    assert column(table, "unclassified_cents") == [0, 0, 0]
    assert column(table, "payers") == [1, 1, 1]
    rates = churn(ledger(*rows, as_of="2025-03-31"))
    assert column(rates, "churned_payers") == [0, 0, 0]
    assert column(rates, "gross_retention")[2] == 1500 / 6400


def test_two_plans_are_told_apart_by_their_subscriptions_where_those_are_known():
    # Both fall due on the same day with the same amount; b ends, a goes on.
    a, b = {"subscription": "a"}, {"subscription": "b"}
    rows = [*monthly("2025-01-10", 3, **a), *monthly("2025-01-10", 2, **b)]
    assert column(mrr(ledger(*rows, as_of="2025-03-31")), "closing_cents") == [3000, 3000, 1500]


def test_a_subscription_whose_id_is_known_from_some_day_on_stays_one():
    rows = [*monthly("2025-01-28", 2), *monthly("2025-03-28", 2, subscription="a")]
    assert column(mrr(ledger(*rows, as_of="2025-04-30")), "closing_cents") == [1500] * 4


def test_a_price_change_is_expansion_or_contraction():
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


def test_a_proration_is_shown_and_not_counted():
    # On 20 February $6.50 for the rest of the period; from 10 March the new price.
    rows = [
        *monthly("2025-01-10", 2),
        *(pay("2025-02-20", gross=650), pay("2025-03-10", gross=2500)),
    ]
    table = mrr(ledger(*rows, as_of="2025-03-31"))
    assert column(table, "closing_cents") == [1500, 1500, 2500]
    assert by_month(table, "unclassified_cents") == {"2025-02": 650}


def test_a_payment_made_twice_is_not_counted_even_if_the_next_is_late():
    # The second of 12 January would fall due on 12 February, but the payment of that day renews
    # the first, two days late, at its price.
    rows = [*map(pay, ["2025-01-10", "2025-01-12", "2025-02-12", "2025-03-10"])]
    table = mrr(ledger(*rows, as_of="2025-03-31"))
    assert column(table, "closing_cents") == [1500, 1500, 1500]
    assert by_month(table, "unclassified_cents") == {"2025-01": 1500}


def test_a_payment_settles_the_due_date_it_is_nearest_to():
    # a is due on 10 and b on 20 February. 16 February is nearer to b, and 21 February is left to a,
    # 11 days late: both are renewed.
    rows = [
        *(pay("2024-12-10", gross=1500), pay("2024-12-20", gross=4900)),
        *(pay("2025-01-10", gross=1500), pay("2025-01-20", gross=4900)),
        *(pay("2025-02-16", gross=2000), pay("2025-02-21", gross=3000)),
    ]
    # b closes February with $20, a with $30.
    table = mrr(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "closing_cents") == [6400, 6400, 5000]
    assert not table["unclassified_cents"].any()
    # Also where its amount is that of the other: b closes with $15, and a is gone after 25 February.
    rows = [*rows[:4], pay("2025-02-16", gross=1500)]
    assert column(mrr(ledger(*rows, as_of="2025-02-28")), "closing_cents") == [6400, 6400, 1500]


def test_a_partial_refund_in_a_later_month_moves_nothing():
    rows = [*monthly("2025-01-10", 3), pay("2025-03-20", gross=-700)]
    assert column(mrr(ledger(*rows, as_of="2025-03-31")), "closing_cents") == [1500] * 3
    rows[-1] = pay("2025-03-20", gross=-700, kind="refund")
    assert column(mrr(ledger(*rows, as_of="2025-03-31")), "closing_cents") == [1500] * 3


def test_a_month_s_last_second_counts_where_the_zone_is():
    # 31 January, 23:59:59 in New York, is 1 February in UTC.
    rows = [pay("2025-01-31T23:59:59-05:00"), pay("2025-02-28T23:59:59-05:00")]
    assert closings(*rows, as_of="2025-03-01T12:00Z", tz="America/New_York") == dict.fromkeys(
        ["2025-01", "2025-02", "2025-03"], 1500
    )
    in_utc = mrr(ledger(*rows, as_of="2025-02-28"))
    assert by_month(in_utc, "closing_cents") == {"2025-02": 1500}


def test_days_are_those_of_the_zone_on_the_day_the_clocks_change():
    # Due in Berlin on 30 March 2025, a day of 23 hours; 15 days of grace end with 14 April, which
    # is 22:00 in UTC. A second later it is a new subscription, due on the 15th.
    first = "2025-02-28T23:30+01:00"  # due on the 28th
    last, later = "2025-04-12T23:59:59+02:00", "2025-04-13T00:00:00+02:00"
    for second, starts_anew in [(last, False), (later, True)]:
        found = mrr(ledger(pay(first), pay(second), as_of="2025-04-30T21:00Z"), tz="Europe/Berlin")
        assert column(found, "closing_cents") == [1500, 1500, 1500]
        # Renewed on 28 March, it is in grace for 28 April; anew, it is paid until 13 May.
        later_on = ledger(pay(first), pay(second), as_of="2025-05-14T12:00Z")
        assert by_month(mrr(later_on, tz="Europe/Berlin"), "closing_cents").get("2025-05") == (
            1500 if starts_anew else None
        )


def test_an_empty_month_has_a_row_of_zeros():
    table = mrr(ledger(pay("2025-01-10"), pay("2025-06-10"), as_of="2025-06-30"))
    assert column(table, "closing_cents") == [1500, 0, 0, 0, 0, 1500]


def test_within_the_days_of_grace_the_amount_before_stays():
    # Due on 20 February: in force until 7 March, gone on the 8th.
    paid = ledger(pay("2025-01-20"))
    for as_of, closing in [("2025-02-28", 1500), ("2025-03-07", 1500), ("2025-03-08", 0)]:
        table = mrr(at(paid, as_of))
        assert column(table, "closing_cents")[-1] == closing
    assert column(table, "closing_cents") == [1500, 1500, 0]  # February stays as it closed


def test_what_is_paid_ahead_counts_from_its_due_date():
    # Due on 3 February and 3 March, paid on 28 January and 26 February, at a new price.
    rows = [pay("2025-01-03"), pay("2025-01-28", gross=2000), pay("2025-02-26", gross=3000)]
    assert closings(*rows, as_of="2025-02-27") == {"2025-01": 1500, "2025-02": 2000}
    assert closings(*rows, as_of="2025-03-02")["2025-03"] == 2000
    assert closings(*rows, as_of="2025-03-03")["2025-03"] == 3000


def test_the_running_month_is_within_grace_of_a_date_in_the_month_before():
    # Due on 28 February, open until 15 March.
    rows = [pay("2025-01-28")]
    assert closings(*rows, as_of="2025-03-15") == {
        "2025-01": 1500,
        "2025-02": 1500,
        "2025-03": 1500,
    }
    assert closings(*rows, as_of="2025-03-16") == {"2025-01": 1500, "2025-02": 1500}


def test_a_one_time_buyer_who_later_subscribes_is_new_then():
    table = mrr(ledger(buy("2025-01-10"), *monthly("2025-03-10", 2), as_of="2025-04-30"))
    assert by_month(table, "new_cents") == {"2025-03": 1500}
    assert by_month(table, "closing_cents") == {"2025-03": 1500, "2025-04": 1500}


def test_a_subscription_that_takes_the_place_of_another_is_not_counted_beside_it():
    # a falls due on 20 February and is in grace until 7 March; b begins on 22 February. February
    # closes with b alone, as it would if nobody knew their names: an expansion of $10.
    rows = [pay("2025-01-20", subscription="a"), pay("2025-02-22", gross=2500, subscription="b")]
    table = mrr(ledger(*rows, as_of="2025-03"))
    assert column(table, "closing_cents") == [1500, 2500, 2500]
    assert by_month(table, "expansion_cents") == {"2025-02": 1000}
    assert by_month(table, "churn_cents") == by_month(table, "contraction_cents") == {}


def test_a_subscription_that_begins_while_another_is_late_stands_beside_it_once_both_are_paid():
    rows = [
        pay("2025-01-20", subscription="a"),
        pay("2025-02-22", gross=2500, subscription="b"),
        pay("2025-03-05", subscription="a"),
    ]
    assert closings(*rows, as_of="2025-02-28")["2025-02"] == 2500
    assert closings(*rows, as_of="2025-03-15")["2025-02"] == 4000


def test_what_is_paid_for_stays_in_force_until_its_end_whatever_takes_its_place():
    # a is paid until 1 February; b begins on 29 January: January closes with both.
    rows = [
        pay("2025-01-02", subscription="a"),
        pay("2025-01-29", gross=2500, subscription="b"),
    ]
    assert closings(*rows, as_of="2025-02-28") == {"2025-01": 4000, "2025-02": 2500}


def test_a_payer_who_changes_apps_is_lost_by_one_and_kept_by_the_whole():
    # shop until the period that ends on 10 March; school from 20 March: March compares closings.
    rows = [*monthly("2025-01-10", 2), *monthly("2025-03-20", 1, gross=2000, app="school")]
    by_app = mrr(ledger(*rows, as_of="2025-03-31"))
    assert by_month(by_app, "churn_cents", app="shop") == {"2025-03": -1500}
    assert by_month(by_app, "new_cents", app="school") == {"2025-03": 2000}
    whole = mrr(ledger(*rows, as_of="2025-03-31"), unit="payer")
    assert "app" not in whole
    assert by_month(whole, "expansion_cents") == {"2025-03": 500}
    assert by_month(whole, "churn_cents") == {}


def test_a_payer_with_two_apps_counts_once_by_payer():
    rows = [*monthly("2025-01-10", 2), *monthly("2025-01-10", 2, app="school")]
    paid = ledger(*rows, as_of="2025-02-28")
    assert column(mrr(paid), "payers") == [1, 1, 1, 1]
    assert column(mrr(paid, unit="payer"), "payers") == [1, 1]
    assert column(churn(paid, unit="payer"), "opening_payers") == [0, 1]


def test_net_is_what_is_left_after_fees():
    assert closings(*monthly("2025-01-10", 1), as_of="2025-01-31", basis="net") == {"2025-01": 1350}


def test_currencies_are_never_added_and_cents_stay_exact_beyond_a_float():
    large = 2**53 + 1
    rows = [pay("2025-01-10", gross=large, fee=0), pay("2025-01-11", "bo", currency="EUR")]
    table = mrr(ledger(*rows, as_of="2025-01-31"))
    assert column(table, "closing_cents", currency="USD") == [large]
    assert column(table, "closing_cents", currency="EUR") == [1500]
    assert {str(table[name].dtype) for name in table if name.endswith("cents")} == {"Int64"}


def test_a_kind_that_is_neither_one_time_nor_monthly_is_an_error_that_lists_the_values():
    rows = [*monthly("2025-01-10", 2, kind="yearly"), pay("2025-01-10", kind=None)]
    with pytest.raises(UserError, match=r"have \(missing\) \(1\), yearly \(2\): rename them"):
        mrr(ledger(*rows, buy("2025-01-10")))


def test_an_amount_that_is_missing_is_an_error_that_names_the_payment():
    with pytest.raises(UserError, match="1 have none, p0 among them"):
        mrr(ledger(pay("2025-01-10", gross=0, gross_cents=None)))


def test_a_ledger_that_was_cut_is_refused():
    for answer, name in [(mrr, "mrr"), (churn, "churn")]:
        with pytest.raises(UserError, match=f"{name}.* needs the whole history.*since="):
            answer(ledger(*monthly("2025-01-10", 3), cut="2025-01-01T00:00:00Z/"))


def test_since_chooses_what_is_shown_and_not_what_is_counted():
    table = mrr(ledger(*monthly("2025-01-10", 3), as_of="2025-03-31"), since="2025-03")
    assert column(table, "opening_cents") == [1500] and column(table, "new_cents") == [0]


def test_without_subscriptions_there_are_no_months():
    for nothing in (ledger(), ledger(buy("2025-01-10"))):
        assert mrr(nothing).empty and churn(nothing).empty
        assert "closing_cents" in mrr(nothing) and "net_retention" in churn(nothing)


def test_payments_of_nobody_known_are_not_counted_and_a_subscription_stands_for_its_payer():
    rows = [*monthly("2025-01-10", 2, None), *monthly("2025-01-10", 2, None, subscription="a")]
    table = mrr(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "closing_cents") == [1500, 1500]
    assert column(table, "unclassified_cents") == [1500, 1500]


few = settings(deadline=None, max_examples=4)


@few
@given(random_payments, st.integers(0, 400), st.sampled_from(["gross", "net"]))
def test_opening_and_movements_add_up_to_the_closing_which_the_next_month_opens_with(
    rows, day, basis
):
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
def test_the_order_of_the_rows_does_not_matter(rows, random):
    known = ledger(*rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    known = replace(known, rows=known.rows.iloc[order].reset_index(drop=True))
    pd.testing.assert_frame_equal(mrr(known), mrr(ledger(*rows)))
    pd.testing.assert_frame_equal(churn(known), churn(ledger(*rows)))


@few
@given(random_payments)
def test_payer_by_payer_adds_up_to_the_whole(rows):
    names = [*MOVEMENTS, "closing_cents", "unclassified_cents", "payers"]
    own = [mrr(ledger(*(row for row in rows if row["payer"] == payer))) for payer in ("ada", "bo")]
    keys = ["month", "app"]
    parts = pd.concat([part.astype({"app": str}) for part in own]).groupby(keys)[names].sum()
    whole = mrr(ledger(*rows)).astype({"app": str}).set_index(keys)[names]
    assert parts.sub(whole, fill_value=0).eq(0).all(axis=None)


@few
@given(random_payments)
def test_what_all_apps_close_with_is_the_same_by_app_and_by_payer(rows):
    by_app = mrr(ledger(*rows)).groupby("month")["closing_cents"].sum()
    by_payer = mrr(ledger(*rows), unit="payer").groupby("month")["closing_cents"].sum()
    assert by_app.to_dict() == by_payer.to_dict()


@few
@given(random_payments)
def test_refunds_and_one_time_sales_never_move_it(rows):
    kept = [row for row in rows if row["kind"] == "monthly" and row["gross_cents"] > 0]
    pd.testing.assert_frame_equal(mrr(ledger(*rows)), mrr(ledger(*kept)), check_categorical=False)


@few
@given(random_payments, st.integers(0, 300))
def test_a_final_month_stays_as_it_is_but_for_what_was_not_classified(rows, day):
    # What comes later can only show that an extra payment was the first of a second subscription.
    early = mrr(ledger(*rows, as_of=FIRST_DAY + pd.Timedelta(days=day)))
    late = mrr(ledger(*rows))
    assume(not early["unclassified_cents"].any())
    final = early[early["state"] == "final"]
    both = final.merge(late, on=["month", "app", "currency"], suffixes=("", "_late"))
    for name in (*MOVEMENTS, "closing_cents", "payers"):
        assert (both[name] == both[f"{name}_late"]).all()


near_due_dates = st.builds(
    lambda month, day, late, **more: (
        {"day": oracle.plus(date(2024, 1, day), month) + timedelta(days=late)} | more
    ),
    st.integers(0, 5),
    st.sampled_from([1, 10, 29, 31]),
    st.integers(-9, 17),
    payer=st.sampled_from("abcdefgh"),
    cents=st.sampled_from([1500, 2500]),
    app=st.sampled_from(["shop", "shop", "school"]),
    name=st.sampled_from([None, None, "a", "b"]),
)
COLUMNS = ["opening_cents", *MOVEMENTS, "closing_cents", "payers"]


@settings(deadline=None, max_examples=15)
@given(
    st.lists(near_due_dates, max_size=60),
    st.dates(date(2024, 1, 1), date(2024, 9, 1)),
    st.sampled_from(["app", "payer"]),
)
def test_it_is_what_one_works_out_by_hand(drawn, today, unit):
    drawn = [one for one in drawn if one["day"] <= today]
    rows = [
        pay(one["day"], one["payer"], one["cents"], app=one["app"], subscription=one["name"])
        for one in drawn
    ]
    table = mrr(ledger(*rows, as_of=today), unit=unit)
    apps = table["app"] if unit == "app" else [""] * len(table)
    found = {
        (month.date(), app): values
        for month, app, values in zip(
            table["month"], apps, table[COLUMNS].to_numpy().tolist(), strict=True
        )
        if any(values)
    }
    assert found == oracle.mrr(drawn, today, unit)
    if unit == "app":
        _, extra = oracle.closings(drawn, today)
        shown = zip(table["month"].dt.date, apps, table["unclassified_cents"], strict=True)
        assert {(month, app): cents for month, app, cents in shown if cents} == extra
