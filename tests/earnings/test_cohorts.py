"""Cohorts, from ledgers whose every figure is worked out by hand."""

import pandas as pd
import pytest
from hypothesis import given, settings
from ledgers import buy, column, ledger, monthly, pay, random_payments

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.cohorts import compute_cohorts as cohorts
from cpsl_notebook.earnings.metrics.mrr import compute_mrr as mrr


def test_each_month_s_first_subscribers_are_followed_until_the_last_month_that_ended():
    # January: ada (3 months: January, February, March) and bo (1 month). bo's second payment was
    # due on 12 February, and February closed without it after 27 February. March: cy.
    # April is running on the 10th: nobody knows yet.
    paid = ledger(
        *monthly("2025-01-10", 3, "ada"),
        *monthly("2025-01-12", 1, "bo"),
        *monthly("2025-03-05", 1, "cy", 2500),
        as_of="2025-04-10",
    )
    table = cohorts(paid)
    assert column(table, "payers") == [2] * 4 + [1] * 4
    assert column(table, "age") == [0, 1, 2, 3] * 2
    assert column(table, "active_payers") == [2, 1, 1, None, 1, None, None, None]
    assert column(table, "retention") == [1, 0.5, 0.5, None, 1, None, None, None]
    assert column(table, "mrr_cents") == [3000, 1500, 1500, None, 2500, None, None, None]
    assert {str(table[name].dtype) for name in ("payers", "active_payers", "mrr_cents")} == {
        "Int64"
    }
    assert str(table["retention"].dtype) == "Float64"


def test_a_month_that_ended_with_nobody_left_is_zero_and_not_missing():
    table = cohorts(ledger(pay("2025-01-10"), as_of="2025-03-31"))
    assert column(table, "active_payers") == [1, 0, 0]
    assert column(table, "retention") == [1, 0, 0]


def test_a_one_time_buyer_who_later_subscribes_belongs_to_the_month_of_that():
    table = cohorts(ledger(buy("2025-01-10"), pay("2025-03-10"), as_of="2025-03-31"))
    assert table["cohort"].tolist() == [pd.Timestamp("2025-03-01")]


def test_who_comes_back_is_counted_in_the_cohort_of_the_first_time():
    days = ["2025-01-10", "2025-04-10"]
    table = cohorts(ledger(*map(pay, days), as_of="2025-04-30"))
    assert column(table, "active_payers") == [1, 0, 0, 1]


def test_a_late_renewal_is_no_gap():
    days = ["2025-01-31", "2025-03-01", "2025-03-31"]
    table = cohorts(ledger(*map(pay, days), as_of="2025-03-31"))
    assert column(table, "active_payers") == [1, 1, 1]


def test_a_payer_of_two_apps_has_a_cohort_in_each_or_one():
    rows = [*monthly("2025-01-10", 2), *monthly("2025-02-10", 1, app="school")]
    paid = ledger(*rows, as_of="2025-02-28")
    first = cohorts(paid)[lambda table: table["age"] == 0]
    assert dict(zip(first["app"], first["cohort"].dt.month, strict=True)) == {
        "shop": 1,
        "school": 2,
    }
    assert column(cohorts(paid, unit="payer"), "active_payers") == [1, 1]


def test_since_chooses_the_cohorts_to_show():
    paid = ledger(*monthly("2025-01-10", 3), pay("2025-02-10", "bo"), as_of="2025-03-31")
    table = cohorts(paid, since="2025-02")
    assert column(table, "payers") == [1, 1, 1]
    assert column(table, "active_payers") == [1, 0, None]  # a third month is not over


def test_a_ledger_that_was_cut_is_refused_and_an_empty_one_has_no_cohorts():
    with pytest.raises(UserError, match=r"cohorts.* needs the whole history"):
        cohorts(ledger(pay("2025-01-10"), cut="2025-01-01T00:00:00Z/"))
    assert cohorts(ledger()).empty and "retention" in cohorts(ledger())


@settings(deadline=None, max_examples=8)
@given(random_payments)
def test_the_cohorts_of_a_month_add_up_to_its_mrr(rows):
    cells = cohorts(ledger(*rows)).dropna(subset="mrr_cents")
    cells = cells.assign(
        month=[
            cohort + pd.DateOffset(months=age)
            for cohort, age in zip(cells["cohort"], cells["age"], strict=True)
        ]
    )
    sums = cells.groupby(["month", "app"], observed=True)[["mrr_cents", "active_payers"]].sum()
    closed = mrr(ledger(*rows)).query("state != 'running'").set_index(["month", "app"])
    for key, row in sums.iterrows():
        assert row["mrr_cents"] == closed.loc[key, "closing_cents"]
        assert row["active_payers"] == closed.loc[key, "payers"]
