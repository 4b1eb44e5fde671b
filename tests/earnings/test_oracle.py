"""Every answer agrees with an independent calculation in SQL on random ledgers.

All random ledgers are in one, each with a currency of its own, because no answer mixes currencies.
"""

from dataclasses import replace

import oracle
import pandas as pd
import pytest
from histories import LAST, TERMS, random_history
from ledgers import at, ledger

from cpsl_notebook.earnings.metrics.churn import compute_churn
from cpsl_notebook.earnings.metrics.cohorts import compute_cohorts
from cpsl_notebook.earnings.metrics.mrr import compute_mrr
from cpsl_notebook.earnings.metrics.payers import compute_payers, compute_top_payers
from cpsl_notebook.earnings.metrics.payouts import compute_payouts
from cpsl_notebook.earnings.metrics.revenue import compute_revenue

LEDGERS = 200
"""Number of random ledgers."""
KINDS = {"one_time": 0, **TERMS}
GROUPS = {"app": "app, currency", "payer": "currency"}
AMOUNTS = {"gross": "cents", "net": "net"}


@pytest.fixture(scope="module", params=[str(LAST), "2024-06-20"])
def known(request):
    """The ledgers as of a day."""
    rows = [
        row
        for seed in range(LEDGERS)
        for row in random_history(
            seed,
            payers=["ada", "bo", None],
            apps=["shop", "school"],
            currencies=[f"L{seed:03}"],
            size=6,
        )
    ]
    return at(replace(ledger(*rows, as_of=LAST), terms=KINDS), request.param)


@pytest.fixture(scope="module")
def database(known):
    with oracle.connect(known, KINDS) as connected:
        yield connected


def values(rows):
    """Return rows as sorted tuples of plain values."""
    return sorted(
        (
            tuple(
                None
                if pd.isna(value)
                else str(pd.Timestamp(value).date())
                if hasattr(value, "year")
                else round(value, 12)
                if isinstance(value, float)
                else value
                for value in row
            )
            for row in rows
        ),
        key=str,
    )


def check(database, query, table, columns):
    """Compare the rows of a table, without those that only fill a gap, with those of a query."""
    expected = values(database.sql(query).fetchall())
    assert len(expected) > LEDGERS / 2
    assert values(table[columns].astype(object).to_numpy().tolist()) == expected


@pytest.mark.parametrize("unit", ["app", "payer"])
@pytest.mark.parametrize("basis", ["gross", "net"])
def test_mrr_agrees(known, database, unit, basis):
    table = compute_mrr(known, unit=unit, basis=basis)
    amounts = [name for name in table if name.endswith("_cents")]
    groups = GROUPS[unit].split(", ")
    columns = ["month", *groups, *(n for n in amounts if n != "unclassified_cents"), "payers"]
    active = table[(table["opening_cents"] != 0) | (table["payers"] > 0)]
    query = oracle.mrr(GROUPS[unit], AMOUNTS[basis])
    query = f"SELECT * FROM ({query}) AS m WHERE m.opening != 0 OR m.payers > 0"
    check(database, query, active, [*columns, "state"])
    extra = table[table["unclassified_cents"] != 0]
    query = oracle.unclassified(GROUPS[unit], AMOUNTS[basis])
    check(database, query, extra, ["month", *groups, "unclassified_cents"])


@pytest.mark.parametrize("unit", ["app", "payer"])
@pytest.mark.parametrize("basis", ["gross", "net"])
def test_churn_agrees(known, database, unit, basis):
    table = compute_churn(known, unit=unit, basis=basis)
    counts = ["opening_payers", "churned_payers", "reactivated_payers"]
    columns = ["month", *GROUPS[unit].split(", "), *counts, "payer_churn"]
    columns += ["gross_retention", "net_retention"]
    query = oracle.churn(GROUPS[unit], AMOUNTS[basis])
    active = f"SELECT * FROM ({query}) WHERE opened > 0 OR returned > 0"
    check(database, active, table[(table[counts] > 0).any(axis=1)], columns)


@pytest.mark.parametrize("unit", ["app", "payer"])
@pytest.mark.parametrize("basis", ["gross", "net"])
def test_cohorts_agree(known, database, unit, basis):
    table = compute_cohorts(known, unit=unit, basis=basis).dropna(subset="active_payers")
    columns = ["cohort", *GROUPS[unit].split(", "), "payers", "age", "active_payers", "mrr_cents"]
    check(database, oracle.cohorts(GROUPS[unit], AMOUNTS[basis]), table, columns)


@pytest.mark.parametrize(("freq", "name"), [("MS", "month"), ("W", "week"), ("QS", "quarter")])
def test_revenue_agrees(known, database, freq, name):
    table = compute_revenue(known, freq)
    amounts = ["payments", "gross_cents", "refunds_cents", "fee_cents", "net_cents"]
    keys = ["period", "app", "kind", "currency"]
    query = f"SELECT * FROM ({oracle.revenue(name)}) AS r(p, a, k, c, n, g, b, f, e)"
    query += " WHERE n > 0 OR g != 0 OR b != 0"
    check(database, query, table[(table[amounts] != 0).any(axis=1)], [*keys, *amounts])


@pytest.mark.parametrize("unit", ["app", "payer"])
@pytest.mark.parametrize("basis", ["gross", "net"])
def test_payers_agree(known, database, unit, basis):
    table = compute_payers(known, "QS", unit=unit, basis=basis)
    numbers = ["active_payers", "new_payers", "returning_payers", "revenue_cents"]
    columns = ["period", *GROUPS[unit].split(", "), *numbers, "arpp_cents"]
    query = oracle.payers(GROUPS[unit], "quarter", f"{basis}_cents")
    active = f"SELECT * FROM ({query}) AS p WHERE p.revenue != 0 OR p.arpp IS NOT NULL"
    check(database, active, table[(table[numbers] != 0).any(axis=1)], columns)


def test_top_payers_agree(known, database):
    table = compute_top_payers(known, 1_000)
    check(database, oracle.TOP_PAYERS, table, table.columns.tolist())


def test_payouts_agree(known, database):
    table = compute_payouts(known)
    ages = [f"{name}_cents" for name in oracle.AGES]
    columns = ["app", "currency", "payout_state", "payments", "net_cents", *ages, "oldest_days"]
    check(database, oracle.PAYOUTS, table, columns)
