"""Cohorts: of those who first subscribed in a month, how many still do, month by month."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.entries import amount_of, groups_of
from cpsl_notebook.earnings.ledger import Ledger
from cpsl_notebook.earnings.subscriptions import subscriptions
from cpsl_notebook.earnings.times import Moment

__all__ = ["cohorts"]


def cohorts(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
) -> pd.DataFrame:
    """Follow the payers whose first monthly payment was in the same month.

    A payer is there in a month that closes with a subscription of theirs in force, by the rules of
    `mrr`; what they bought once, before or after, does not matter.

    Parameters
    ----------
    ledger, basis, unit, tz, as_of
        As for `mrr`.
    since
        The first cohort to show.

    Returns
    -------
    pandas.DataFrame
        ``cohort`` (the first day of its month), ``app`` (with that unit), ``currency``; ``payers``,
        the size of the cohort; ``age``, in months, 0 for its first; ``active_payers`` and
        ``mrr_cents`` at the end of that month; ``retention`` (active ÷ size, ``Float64``);
        ``state`` of that month. Every cohort has a row for each age of the oldest; where the month
        has not ended, the three are missing.

    Raises
    ------
    UserError
        As `mrr`.
    """
    groups, amount = groups_of(unit), amount_of(basis)
    subs = subscriptions(ledger, "cohorts", basis=basis, tz=tz, as_of=as_of)
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
