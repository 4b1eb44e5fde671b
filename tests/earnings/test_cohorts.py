"""Cohorts of ledgers whose numbers are computed by hand."""

import pandas as pd
import pytest
from hypothesis import given, settings
from ledgers import buy, column, ledger, monthly, pay, random_payments

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.cohorts import compute_cohorts as cohorts
from cpsl_notebook.earnings.metrics.mrr import compute_mrr as mrr


def test_cohorts_have_missing_values_for_months_that_have_not_ended():
    # January: ada, who pays for January to March, and bo, who pays for January. Bo's second payment
    # was due on 12 February and had not arrived by 27 February. March: cy. April is still running
    # on the 10th.
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


def test_month_without_remaining_payers_is_zero():
    table = cohorts(ledger(pay("2025-01-10"), as_of="2025-03-31"))
    assert column(table, "active_payers") == [1, 0, 0]
    assert column(table, "retention") == [1, 0, 0]


def test_cohort_is_the_month_of_the_first_subscription_not_of_a_purchase():
    table = cohorts(ledger(buy("2025-01-10"), pay("2025-03-10"), as_of="2025-03-31"))
    assert table["cohort"].tolist() == [pd.Timestamp("2025-03-01")]


def test_returning_payer_stays_in_the_first_cohort():
    days = ["2025-01-10", "2025-04-10"]
    table = cohorts(ledger(*map(pay, days), as_of="2025-04-30"))
    assert column(table, "active_payers") == [1, 0, 0, 1]


def test_late_renewal_keeps_payer_active():
    days = ["2025-01-31", "2025-03-01", "2025-03-31"]
    table = cohorts(ledger(*map(pay, days), as_of="2025-03-31"))
    assert column(table, "active_payers") == [1, 1, 1]


def test_payer_of_two_apps_has_a_cohort_in_each_app_or_one_by_payer():
    rows = [*monthly("2025-01-10", 2), *monthly("2025-02-10", 1, app="school")]
    paid = ledger(*rows, as_of="2025-02-28")
    first = cohorts(paid)[lambda table: table["age"] == 0]
    assert dict(zip(first["app"], first["cohort"].dt.month, strict=True)) == {
        "shop": 1,
        "school": 2,
    }
    assert column(cohorts(paid, unit="payer"), "active_payers") == [1, 1]


def test_since_limits_the_cohorts_shown():
    paid = ledger(*monthly("2025-01-10", 3), pay("2025-02-10", "bo"), as_of="2025-03-31")
    table = cohorts(paid, since="2025-02")
    assert column(table, "payers") == [1, 1, 1]
    assert column(table, "active_payers") == [1, 0, None]  # the third month has not ended


def test_cohorts_reject_a_window_and_accept_an_empty_ledger():
    with pytest.raises(UserError, match=r"cohorts.* needs the whole history"):
        cohorts(ledger(pay("2025-01-10"), cut="2025-01-01T00:00:00Z/"))
    assert len(cohorts(ledger())) == 0
    assert cohorts(ledger()).columns.tolist() == [
        *("cohort", "app", "currency", "payers", "age", "active_payers", "retention"),
        *("mrr_cents", "state"),
    ]


@settings(deadline=None, max_examples=8)
@given(random_payments)
def test_cohorts_of_a_month_add_up_to_its_mrr(rows):
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
