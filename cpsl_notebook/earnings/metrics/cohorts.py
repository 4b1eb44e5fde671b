"""Cohorts: of those who first subscribed in a month, how many still do, month by month."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import amount_of, groups_of
from cpsl_notebook.earnings.subscriptions.subscriptions import subscriptions

__all__ = ["cohorts"]


def cohorts(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Follow those who came in the same month; `cpsl_notebook.earnings.recurring` tells of it."""
    groups, amount = groups_of(unit), amount_of(basis)
    subs = subscriptions(ledger, "cohorts", basis=basis, tz=tz)
    moved = subs.movements(groups, amount)
    moved = moved[moved["after"] > 0].rename(columns={"first": "cohort"})
    keys = ["cohort", *groups, "month"]
    by = moved.groupby(keys, observed=True, dropna=False)["after"]
    cells = by.agg(active_payers="size", mrr_cents="sum").astype("Int64").reset_index()
    sizes = cells[cells["month"] == cells["cohort"]].drop(columns=["month", "mrr_cents"])
    sizes = sizes.rename(columns={"active_payers": "payers"})
    table = _every_age(sizes, subs.this_month).merge(cells, on=keys, how="left")
    numbers = ["payers", "age", "active_payers", "mrr_cents"]
    table[numbers] = table[numbers].fillna(0).astype("Int64")
    table["retention"] = (table["active_payers"] / table["payers"]).astype("Float64")
    table["state"] = subs.calendar.states(table["month"])
    unfinished = table["state"] == "running"
    table.loc[unfinished, ["active_payers", "mrr_cents", "retention"]] = pd.NA
    if since is not None:
        table = table[table["cohort"] >= subs.calendar.start(since)]
    order = ["cohort", *groups, "payers", "age", "active_payers", "retention", "mrr_cents", "state"]
    return table[order].sort_values(["cohort", *groups, "age"], ignore_index=True)


def _every_age(sizes: pd.DataFrame, this_month: int) -> pd.DataFrame:
    """Give each cohort a row for every age that the oldest has, with the month that it falls in.

    *this_month* is counted since January 1970.
    """
    first = sizes["cohort"].to_numpy().astype("datetime64[M]").astype(np.int64)
    ages = range(this_month - int(first.min()) + 1) if len(first) else range(0)
    table = sizes.merge(pd.DataFrame({"age": ages}), how="cross")
    months = table["cohort"].to_numpy().astype("datetime64[M]") + table["age"].to_numpy(np.int64)
    return table.assign(month=months.astype("datetime64[us]"))
