"""Key figures of ledgers that are worked out by hand, and of random ones by an oracle."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from histories import LAST, TERMS, random_history
from ledgers import at, buy, column, ledger, monthly, pay

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.churn import compute_churn
from cpsl_notebook.earnings.metrics.key_figures import ALL_APPS, compute_metrics
from cpsl_notebook.earnings.metrics.mrr import compute_mrr


def figures(known, month, app="shop", **options):
    """Return the figures of one month and app as a dict."""
    table = compute_metrics(known, since="2020", **options)
    (row,) = table[(table["month"] == month) & (table["app"] == app)].to_dict("records")
    return {name: None if pd.isna(value) else value for name, value in row.items()}


def test_metrics_of_a_hand_worked_year():
    # In January ada, bo and cy pay 10, 20 and 30. A year later ada pays 25, bo has left, cy has
    # left for a month and returned at 15, and dee (40) is new.
    known = ledger(
        *monthly("2025-01-10", 6, "ada", 1000),
        *monthly("2025-07-10", 7, "ada", 2500),
        *monthly("2025-01-10", 3, "bo", 2000),
        *monthly("2025-01-10", 10, "cy", 3000),
        *monthly("2026-01-10", 1, "cy", 1500),
        pay("2026-01-20", "dee", 4000),
        buy("2026-01-21", "eve"),
        as_of="2026-01-31",
    )
    found = figures(known, "2026-01-01")
    assert found["mrr_cents"] == 2500 + 1500 + 4000
    assert found["arr_cents"] == 12 * 8000
    assert found["payers"] == 3
    assert found["mrr_per_payer_cents"] == 2667  # 2666.67 rounded
    assert found["payer_churn"] == 0 and found["quick_ratio"] is None  # nothing was lost
    assert found["net_retention_12m"] == (2500 + 0 + 1500) / 6000
    assert found["gross_retention_12m"] == (1000 + 0 + 1500) / 6000
    assert found["state"] == "provisional"
    april = figures(known, "2025-04-01")  # bo's grace ended on the 25th
    assert april["quick_ratio"] == 0 and april["payer_churn"] == pytest.approx(1 / 3)
    assert april["net_retention_12m"] is None and april["lifetime_value_cents"] is None


def test_quick_ratio_leaves_out_reactivation():
    known = ledger(
        *monthly("2025-01-10", 1, "ada"),
        *monthly("2025-01-10", 2, "bo", 1000),
        pay("2025-04-10", "ada"),  # ada returns in the month in which bo is lost
        pay("2025-04-11", "cy", 500),
        as_of="2025-06-30",
    )
    assert figures(known, "2025-04-01")["quick_ratio"] is None
    known = ledger(
        *monthly("2025-01-10", 1, "ada"),
        *monthly("2025-01-10", 3, "bo", 1000),
        pay("2025-04-10", "ada"),
        pay("2025-04-11", "cy", 500),
        as_of="2025-06-30",
    )
    assert figures(known, "2025-04-01")["quick_ratio"] == 500 / 1000


def test_lifetime_value_is_net_mrr_per_payer_over_mean_churn():
    # Of ten payers one leaves in each of five months; fees are a tenth.
    leaving = [row for n in range(5) for row in monthly("2025-01-05", 2 + n, f"leaves-{n}", 1000)]
    staying = [row for n in range(5) for row in monthly("2025-01-05", 14, f"stays-{n}", 1000)]
    known = ledger(*leaving, *staying, as_of="2026-02-10")
    # Payers left in March to July: 1 of 10, 9, 8, 7 and 6, within February 2025 to January 2026.
    churn = (1 / 10 + 1 / 9 + 1 / 8 + 1 / 7 + 1 / 6) / 12
    assert figures(known, "2025-12-01")["lifetime_value_cents"] is None  # 11 months with payers
    assert figures(known, "2026-01-01")["lifetime_value_cents"] is None  # not final before the 16th
    final = at(ledger(*leaving, *staying), "2026-02-20")
    expected = math.floor(900 / churn + 0.5)
    assert figures(final, "2026-01-01")["lifetime_value_cents"] == expected
    # The running month uses the churn of the final months.
    assert figures(final, "2026-02-01")["lifetime_value_cents"] == expected


def test_lifetime_value_is_missing_if_nobody_left_or_net_is_unknown():
    stays = monthly("2025-01-05", 20)
    assert figures(ledger(*stays), "2026-06-01")["lifetime_value_cents"] is None
    leaves = [*stays, *monthly("2025-01-05", 3, "bo")]
    # bo left in April 2025, when half of the payers did.
    assert figures(ledger(*leaves), "2026-02-01")["lifetime_value_cents"] == 1350 * 2 * 12
    assert figures(ledger(*leaves), "2026-06-01")["lifetime_value_cents"] is None
    unknown = ledger(*leaves, missing=["net_cents"])
    assert figures(unknown, "2026-02-01")["lifetime_value_cents"] is None


def test_all_apps_count_each_payer_once_and_currencies_apart():
    known = ledger(
        *monthly("2026-01-05", 3),
        *monthly("2026-01-05", 3, gross=2500, app="school"),
        *monthly("2026-01-05", 3, gross=700, currency="EUR"),
        as_of="2026-03-31",
    )
    table = compute_metrics(known)
    march = table[table["month"] == "2026-03-01"]
    assert march[["app", "currency", "mrr_cents", "payers"]].to_numpy().tolist() == [
        ["school", "USD", 2500, 1],
        ["shop", "EUR", 700, 1],
        ["shop", "USD", 1500, 1],
        [ALL_APPS, "EUR", 700, 1],
        [ALL_APPS, "USD", 4000, 1],
    ]


def test_metrics_show_the_last_13_months_unless_since_is_set():
    known = ledger(*monthly("2024-01-05", 30), as_of="2026-06-30")
    shown = compute_metrics(known)
    assert shown["month"].nunique() == 13 and str(shown["month"].min())[:7] == "2025-06"
    earlier = compute_metrics(known, since="2024-03")
    assert str(earlier["month"].min())[:7] == "2024-03"
    kept = earlier[earlier["month"] >= "2025-06-01"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, shown)


def test_metrics_without_payments_have_the_same_columns():
    empty, full = compute_metrics(ledger()), compute_metrics(ledger(*monthly("2026-01-05", 3)))
    assert list(empty.columns) == list(full.columns) and len(empty) == 0
    types = full.dtypes.astype(str).to_dict()
    assert types == {
        "month": "datetime64[us]",
        "app": "category",
        "currency": "category",
        **dict.fromkeys(["mrr_cents", "arr_cents", "mrr_per_payer_cents", "payers"], "Int64"),
        **dict.fromkeys(["payer_churn", "quick_ratio"], "Float64"),
        **dict.fromkeys(["net_retention_12m", "gross_retention_12m"], "Float64"),
        "lifetime_value_cents": "Int64",
        "state": "category",
    }


def test_metrics_of_a_window_are_refused():
    known = ledger(*monthly("2026-01-05", 3), cut="2026-01-01T00:00:00Z/")
    with pytest.raises(UserError, match=r"metrics\(\) needs the whole history"):
        compute_metrics(known)


@pytest.fixture(scope="module")
def known():
    """Return 50 random ledgers in one, each with a currency of its own."""
    rows = [
        row
        for seed in range(50)
        for row in random_history(
            seed, ["ada", "bo", None], ["shop", "school"], size=6, currencies=[f"L{seed:03}"]
        )
    ]
    return replace(ledger(*rows, as_of=LAST), terms={"one_time": 0, **TERMS})


def test_metrics_agree_with_mrr_and_churn(known):
    table = compute_metrics(known, since="2020")
    for unit in ("app", "payer"):
        own = table[(table["app"] == ALL_APPS) == (unit == "payer")].reset_index(drop=True)
        keys = own[["month", "app", "currency"] if unit == "app" else ["month", "currency"]]
        keys = keys.astype({"currency": str} | ({"app": str} if unit == "app" else {}))
        mrr, churn = (
            keys.merge(compute(known, unit=unit).astype(dict.fromkeys(list(keys)[1:], str)))
            for compute in (compute_mrr, compute_churn)
        )
        pd.testing.assert_series_equal(own["mrr_cents"], mrr["closing_cents"], check_names=False)
        for name, other in (("payers", mrr), ("payer_churn", churn), ("state", mrr)):
            pd.testing.assert_series_equal(own[name], other[name])


def test_year_of_a_yearly_plan_has_its_price_as_arr():
    known = ledger(pay("2026-01-05", gross=10_000, kind="yearly"), as_of="2026-03-31")
    table = compute_metrics(known)
    assert column(table, "mrr_cents", app="shop") == [833, 833, 833]
    assert column(table, "arr_cents", app="shop") == [10_000, 10_000, 10_000]


def test_free_month_keeps_the_payer():
    free = [
        pay("2026-01-05", gross=1500),
        pay("2026-02-05", gross=0),
        pay("2026-03-05", gross=1500),
    ]
    march = figures(ledger(*free, as_of="2026-03-31"), "2026-03-01")
    assert march["payers"] == 1 and march["payer_churn"] == 0
