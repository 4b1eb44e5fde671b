"""Later payments never change a final period, in any answer."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
from histories import LAST, TERMS, random_history
from ledgers import at, ledger

from cpsl_notebook.earnings.metrics.churn import compute_churn
from cpsl_notebook.earnings.metrics.cohorts import compute_cohorts
from cpsl_notebook.earnings.metrics.key_figures import compute_metrics
from cpsl_notebook.earnings.metrics.mrr import compute_mrr
from cpsl_notebook.earnings.metrics.payers import compute_payers
from cpsl_notebook.earnings.metrics.revenue import compute_revenue

HISTORIES = 24
"""Number of random histories, each of its own app."""
LATER = 365
"""Days after the last payment by which every period is final."""
BY_PAYER = {"unit": "payer", "basis": "net"}
ANSWERS = {
    "mrr": (compute_mrr, 1),
    "mrr by payer": (partial(compute_mrr, **BY_PAYER), 10),
    "churn": (compute_churn, 10),
    "churn by payer": (partial(compute_churn, **BY_PAYER), 10),
    "cohorts": (compute_cohorts, 10),
    "cohorts by payer": (partial(compute_cohorts, **BY_PAYER), 10),
    "metrics": (partial(compute_metrics, since="2020"), 20),
    "revenue by week": (partial(compute_revenue, freq="W"), 10),
    "revenue in New York": (partial(compute_revenue, tz="America/New_York"), 10),
    "payers": (compute_payers, 10),
    "payers by quarter": (partial(compute_payers, freq="QS", **BY_PAYER), 10),
}
"""Each answer, and the days between the cuts."""
KEYS = ["month", "period", "cohort", "age", "app", "kind", "currency"]


@pytest.fixture(scope="module")
def known():
    rows = [
        row for seed in range(HISTORIES) for row in random_history(seed, apps=[f"app {seed:02}"])
    ]
    known = ledger(*rows, as_of=LAST + pd.Timedelta(days=LATER))
    return replace(known, terms={"one_time": 0} | TERMS)


def final(table):
    """Return the rows of final periods, by what identifies them."""
    keys = [key for key in KEYS if key in table]
    names = dict.fromkeys(set(keys) & {"app", "kind", "currency"}, "string")
    return table[table["state"] == "final"].astype(names).set_index(keys).drop(columns="state")


@pytest.mark.parametrize("name", ANSWERS)
def test_later_payments_never_change_a_final_period(known, name):
    compute, step = ANSWERS[name]
    last = final(compute(known))
    first = known.rows["paid_at"].min().tz_localize(None).normalize()
    compared = 0
    for day in pd.date_range(first, LAST + pd.Timedelta(days=40), freq=f"{step}D"):
        early = final(compute(at(known, day.date())))
        pd.testing.assert_frame_equal(early, last.loc[early.index])
        compared += len(early)
    assert compared > HISTORIES
