"""Monthly recurring revenue and how it moved; how many payers, and how much of it, were lost."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import amount_of, groups_of
from cpsl_notebook.earnings.subscriptions.subscriptions import subscriptions

__all__ = ["churn", "mrr"]

_MOVEMENTS = ["new", "expansion", "contraction", "churn", "reactivation"]


def mrr(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Return the recurring revenue of each month; `cpsl_notebook.earnings.recurring` tells of it."""
    groups, amount = groups_of(unit), amount_of(basis)
    subs = subscriptions(ledger, "mrr", basis=basis, tz=tz)
    columns = [f"{name}_cents" for name in ("opening", *_MOVEMENTS, "closing", "unclassified")]
    columns.append("payers")
    extra = subs.unclassified.rename(columns={amount: "unclassified_cents"})
    extra = extra.reindex(columns=["month", *groups, *columns], fill_value=0)
    moved = _classified(subs.movements(groups, amount)).assign(unclassified_cents=0)
    table = _by_month(pd.concat([moved, extra], ignore_index=True), groups, columns)
    table = subs.calendar.with_empty(table, groups, "month")
    return subs.calendar.finish(table, "month", since)


def churn(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Return what each month lost of its opening; `cpsl_notebook.earnings.recurring` tells of it."""
    groups, amount = groups_of(unit), amount_of(basis)
    subs = subscriptions(ledger, "churn", basis=basis, tz=tz)
    counts = ["opening_payers", "churned_payers", "reactivated_payers"]
    cents = [f"{name}_cents" for name in ("opening", "contraction", "churn", "expansion")]
    rows = _classified(subs.movements(groups, amount))
    table = _by_month(rows, groups, [*counts, *cents, "reactivation_cents"])
    table = subs.calendar.with_empty(table, groups, "month")
    kept = table["opening_cents"] + table["churn_cents"] + table["contraction_cents"]
    rates = {
        "payer_churn": (table["churned_payers"], table["opening_payers"]),
        "gross_retention": (kept, table["opening_cents"]),
        "net_retention": (kept + table["expansion_cents"], table["opening_cents"]),
    }
    for name, (part, whole) in rates.items():
        table[name] = (part / whole.where(whole > 0)).astype("Float64")
    order = [*counts, "payer_churn", *cents, "reactivation_cents", *list(rates)[1:]]
    table = table[["month", *groups, *order]]
    return subs.calendar.finish(table, "month", since)


def _classified(moved: pd.DataFrame) -> pd.DataFrame:
    """Name what happened to each payer in each month; a month's parts are columns to be added."""
    was, is_ = moved["before"] > 0, moved["after"] > 0
    change = moved["after"] - moved["before"]
    new = is_ & ~was & (moved["month"] == moved["first"])
    back = is_ & ~was & ~new
    lost = was & ~is_
    stays = ~(new | back | lost)
    kinds = {
        "new": new,
        "expansion": stays & (change > 0),
        "contraction": stays & (change < 0),
        "churn": lost,
        "reactivation": back,
    }
    return moved.assign(
        opening_cents=moved["before"],
        closing_cents=moved["after"],
        payers=is_.astype(int),
        opening_payers=was.astype(int),
        churned_payers=lost.astype(int),
        reactivated_payers=back.astype(int),
        **{f"{kind}_cents": change.where(chosen, 0) for kind, chosen in kinds.items()},
    )


def _by_month(rows: pd.DataFrame, groups: list[str], columns: list[str]) -> pd.DataFrame:
    """Add up the columns by month and group."""
    by = [rows[key] for key in ("month", *groups)]
    return (
        rows[columns].astype("Int64").groupby(by, observed=True, dropna=False).sum().reset_index()
    )
