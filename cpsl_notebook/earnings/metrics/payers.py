"""Payers: how many, how many of them new, what one pays on average, and who earned most."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import amount_of, entries, groups_of, totals
from cpsl_notebook.errors import UserError

__all__ = ["payers", "top_payers"]


def payers(
    ledger: Ledger,
    freq: str = "MS",
    *,
    unit: str = "app",
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Count who paid; `cpsl_notebook.earnings.sales` tells of it."""
    amount = amount_of(basis)
    ledger.need("payers", "payer", amount)
    calendar = Calendar(ledger.as_of, tz, freq)
    groups = groups_of(unit)
    rows = entries(ledger).dropna(subset="payer")
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    counts = _counts(rows[~rows["refund"]], groups)
    sums = totals(rows, ["period", *groups])[["period", *groups, amount]]
    keys = ["period", *groups]
    reached = replace(calendar, as_of=ledger.until)
    table = reached.with_empty(sums.merge(counts, on=keys, how="left"), groups, "period")
    numbers = ["active_payers", "new_payers", "returning_payers"]
    table[numbers] = table[numbers].fillna(0)  # nobody bought, though somebody was refunded
    table["revenue_cents"] = table.pop(amount)
    table["arpp_cents"] = _average(table["revenue_cents"], table["active_payers"])
    if ledger.cut:
        table[["new_payers", "returning_payers"]] = pd.NA
    return calendar.finish(table, "period", since)


def top_payers(
    ledger: Ledger,
    n: int = 10,
    *,
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Return who brought most; `cpsl_notebook.earnings.sales` tells of it."""
    ledger.need("top_payers", "payer", "net_cents")
    if not isinstance(n, int) or n < 1:
        raise UserError(f"top_payers() takes how many to show, such as 10, not {n!r}.")
    rows = entries(ledger)
    if since is not None:
        calendar = Calendar(ledger.as_of, tz, "D")
        rows = rows[calendar.local(rows["paid_at"]) >= calendar.start(since)]
    table = totals(rows, ["currency", "payer"])
    whole = table.groupby("currency", observed=True, dropna=False)["net_cents"].transform("sum")
    table["share"] = (table["net_cents"] / whole.where(whole > 0)).astype("Float64")
    table = table.dropna(subset="payer").sort_values(
        ["currency", "net_cents", "payer"], ascending=[True, False, True], ignore_index=True
    )
    rank = table.groupby("currency", observed=True, dropna=False).cumcount() + 1
    table.insert(1, "rank", rank.astype("Int64"))
    return table[table["rank"] <= n].reset_index(drop=True)


def _counts(sales: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Count the payers with a sale in each period, and those whose first it was."""
    each = sales[["period", *groups, "payer"]].drop_duplicates()
    first = each.groupby([*groups, "payer"], observed=True, dropna=False)["period"]
    each["new"] = (each["period"] == first.transform("min")).astype("Int64")
    by = each.groupby(["period", *groups], observed=True, dropna=False)["new"]
    counts = by.agg(active_payers="size", new_payers="sum").astype("Int64").reset_index()
    return counts.assign(returning_payers=counts["active_payers"] - counts["new_payers"])


def _average(sums: pd.Series, counts: pd.Series) -> pd.Series:
    """Divide cents by a count, to the nearest cent, in integers; missing where the count is 0."""
    whole = counts.where(counts > 0)
    return ((2 * sums + whole) // (2 * whole)).astype("Int64")
