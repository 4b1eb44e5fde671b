"""Every answer agrees with an independent calculation in SQL on random ledgers.

All random ledgers are in one, each with a currency of its own, because no answer mixes currencies.
"""

import random
from dataclasses import replace

import oracle
import pandas as pd
import pytest
from histories import LAST, TERMS, random_history
from ledgers import at, ledger

from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.segments import SEGMENT
from cpsl_notebook.earnings.metrics.churn import compute_churn
from cpsl_notebook.earnings.metrics.cohorts import compute_cohorts
from cpsl_notebook.earnings.metrics.key_figures import ALL_APPS, compute_metrics
from cpsl_notebook.earnings.metrics.mrr import compute_mrr
from cpsl_notebook.earnings.metrics.payers import compute_payers, compute_top_payers
from cpsl_notebook.earnings.metrics.payouts import compute_payouts
from cpsl_notebook.earnings.metrics.revenue import compute_revenue

LEDGERS = 200
"""Number of random ledgers."""
KINDS = {"one_time": 0, **TERMS}
GROUPS = {"app": "app, currency", "payer": "currency"}
AMOUNTS = {"gross": "cents", "net": "net"}
CHECKS = ["net", "fee", "duplicates", "negatives", "repeated", "renewals", "payout ids", "sums"]
"""Checks of a reconciliation with findings in SQL; the others are counts by app, or notes."""


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


def check(database, query, table, columns, least=LEDGERS // 2):
    """Compare the rows of a table, without those that only fill a gap, with those of a query."""
    expected = values(database.sql(query).fetchall())
    assert len(expected) > least
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


@pytest.mark.parametrize("basis", ["gross", "net"])
def test_metrics_agree(known, database, basis):
    table = compute_metrics(known, basis=basis, since="2020")
    for unit, groups in GROUPS.items():
        own = table[(table["app"] == ALL_APPS) == (unit == "payer")]
        own = own if unit == "app" else own.drop(columns="app")
        active = own[(own["payers"] > 0) | own["payer_churn"].notna()]
        check(database, oracle.metrics(groups, AMOUNTS[basis]), active, own.columns.tolist())
    if known.as_of.year == 2025:
        assert table["lifetime_value_cents"].notna().sum() > 10


@pytest.fixture(scope="module")
def segmented(known):
    """The payments of known payers, with a segment that each payer has one of, and their database."""
    rows = known.rows[known.rows["payer"].notna()].reset_index(drop=True)
    rows[SEGMENT] = rows["payer"].map({"ada": "DE", "bo": "FR"})
    ledger = replace(known, rows=rows)
    with oracle.connect(ledger, KINDS) as connected:
        yield ledger, connected


@pytest.mark.parametrize("unit", ["app", "payer"])
def test_answers_by_segment_agree(segmented, unit):
    ledger, database = segmented
    groups = f"{GROUPS[unit]}, {SEGMENT}"
    keys = groups.split(", ")
    table = compute_mrr(ledger, unit=unit)
    amounts = [n for n in table if n.endswith("_cents") and n != "unclassified_cents"]
    query = (
        f"SELECT * FROM ({oracle.mrr(groups, 'cents')}) AS m WHERE m.opening != 0 OR m.payers > 0"
    )
    active = table[(table["opening_cents"] != 0) | (table["payers"] > 0)]
    check(database, query, active, ["month", *keys, *amounts, "payers", "state"])
    table = compute_churn(ledger, unit=unit)
    counts = ["opening_payers", "churned_payers", "reactivated_payers"]
    columns = ["month", *keys, *counts, "payer_churn", "gross_retention", "net_retention"]
    query = f"SELECT * FROM ({oracle.churn(groups, 'cents')}) WHERE opened > 0 OR returned > 0"
    check(database, query, table[(table[counts] > 0).any(axis=1)], columns)
    table = compute_payers(ledger, "QS", unit=unit)
    numbers = ["active_payers", "new_payers", "returning_payers", "revenue_cents"]
    query = oracle.payers(groups, "quarter", "gross_cents")
    query = f"SELECT * FROM ({query}) AS p WHERE p.revenue != 0 OR p.arpp IS NOT NULL"
    active = table[(table[numbers] != 0).any(axis=1)]
    check(database, query, active, ["period", *keys, *numbers, "arpp_cents"])


def test_revenue_by_segment_agrees(segmented):
    ledger, database = segmented
    table = compute_revenue(ledger)
    amounts = ["payments", "gross_cents", "refunds_cents", "fee_cents", "net_cents"]
    query = oracle.revenue("month", f"app, kind, currency, {SEGMENT}")
    query = f"SELECT * FROM ({query}) AS r(p, a, k, c, s, n, g, b, f, e)"
    query += " WHERE n > 0 OR g != 0 OR b != 0"
    active = table[(table[amounts] != 0).any(axis=1)]
    check(database, query, active, ["period", "app", "kind", "currency", SEGMENT, *amounts])


@pytest.fixture(scope="module")
def payments(known):
    """The same payments as a frame, with their ledger and its database."""
    quarterly = {"quarterly": TERMS["quarterly"]}
    day = (known.as_of - pd.Timedelta(days=1)).date()
    frame = known.rows.capsule.declare(complete=True, read_at=str(known.as_of), kinds=quarterly)
    ledger = build(frame, as_of=day)
    with oracle.connect(ledger, KINDS) as connected:
        yield frame, day, connected


@pytest.mark.parametrize("unit", ["app", "payer"])
@pytest.mark.parametrize(
    "figure",
    [*("opening", "new", "expansion", "contraction", "churn", "reactivation"), "closing", "payers"],
)
def test_explained_mrr_agrees(payments, unit, figure):
    frame, day, database = payments
    column = figure if figure == "payers" else f"{figure}_cents"
    table = frame.capsule.explain(frame.capsule.mrr(unit=unit, as_of=day), column)
    columns = ["month", *GROUPS[unit].split(", "), "payment_id", table.columns[-1]]
    check(database, oracle.explained_mrr(figure, GROUPS[unit], "cents"), table, columns, 10)


@pytest.mark.parametrize(
    "figure", ["payments", "gross_cents", "refunds_cents", "fee_cents", "net_cents"]
)
def test_explained_revenue_agrees(payments, figure):
    frame, day, database = payments
    table = frame.capsule.explain(frame.capsule.revenue("QS", as_of=day), figure)
    columns = ["period", "app", "kind", "currency", "payment_id", table.columns[-1]]
    check(database, oracle.explained_revenue(figure, "quarter"), table, columns, 10)


def test_reconciliation_agrees():
    rng = random.Random(1)
    rows = []
    for seed in range(LEDGERS):
        for row in random_history(
            seed, payers=["ada", "bo", None], apps=[f"app {seed:03}"], size=6
        ):
            row["fee_cents"] += rng.choice([0] * 9 + [1, -1])
            row["net_cents"] += rng.choice([0] * 9 + [1])
            row["payout_id"] = rng.choice(["po", None])
            rows += [row] * rng.choice([1] * 19 + [2])
    frame = ledger(*rows, as_of=LAST).rows.capsule.declare(
        complete=True, read_at=f"{LAST} 23:59:59"
    )
    known = build(frame)
    amounts = ["gross_cents", "fee_cents", "net_cents"]
    sums = known.rows.groupby("app", observed=True)[amounts].sum().reset_index()
    sums["app"] = sums["app"].astype("string")
    sums["net_cents"] += [rng.choice([0, 0, 1]) for _ in range(len(sums))]
    table = frame.capsule.reconcile(sums)
    table = table[table["severity"].isin(["error", "information"]) & table["check"].isin(CHECKS)]
    with oracle.connect(known, KINDS) as database:
        database.register("summaries", sums)
        columns = ["check", "app", "payment_id", "expected_cents", "found_cents"]
        check(database, oracle.RECONCILE, table, columns)
    assert {*table["check"]} == {*CHECKS}
