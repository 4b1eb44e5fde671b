"""Payers: how many, how many of them new, what one pays on average, and who earned most."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.entries import amount_of, entries, groups_of, totals
from cpsl_notebook.earnings.ledger import Ledger
from cpsl_notebook.earnings.periods import Calendar, known_at
from cpsl_notebook.earnings.times import Moment

__all__ = ["payers", "top_payers"]


def payers(
    ledger: Ledger,
    freq: str = "MS",
    *,
    unit: str = "app",
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
) -> pd.DataFrame:
    """Count who paid, by period, app and currency.

    Parameters
    ----------
    ledger
        The payments. Of a part of them, who is new cannot be said.
    freq, tz, since, as_of
        As for `revenue`.
    unit
        ``"app"``: per app, a payer with two apps in both. ``"payer"``: over all apps, once.
    basis
        ``"gross"`` or ``"net"``: which sum of `revenue` the average is of.

    Returns
    -------
    pandas.DataFrame
        ``period``, ``app`` (with that unit), ``currency``, ``active_payers`` (with a sale in the
        period), ``new_payers`` (with their first), ``returning_payers`` (the others),
        ``arpp_cents`` (the average revenue per active payer, rounded half up to a cent; missing
        where nobody paid), ``state``. Payments without a payer do not count.

    Raises
    ------
    UserError
        As `revenue`; or the payments have no field for the payer.
    """
    amount = amount_of(basis)
    ledger.need("payers", "payer", amount)
    known = known_at(ledger, as_of, tz)
    calendar = Calendar(known.as_of, tz, freq)
    groups = groups_of(unit)
    rows = entries(known).dropna(subset="payer")
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    counts = _counts(rows[~rows["refund"]], groups)
    sums = totals(rows, ["period", *groups])[["period", *groups, amount]]
    table = calendar.with_empty(counts.merge(sums, on=["period", *groups]), groups, "period")
    table["arpp_cents"] = _average(table.pop(amount), table["active_payers"])
    if known.cut:
        table[["new_payers", "returning_payers"]] = pd.NA
    return calendar.finish(table, "period", since)


def top_payers(
    ledger: Ledger,
    n: int = 10,
    *,
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
) -> pd.DataFrame:
    """Return the payers who brought most, by net, over all apps, for each currency.

    Parameters
    ----------
    ledger
        The payments; a part of them will do.
    n
        How many for each currency; of equal ones, first by name.
    tz, as_of
        As for `revenue`.
    since
        The first day that counts, or the first of a month such as ``"2025-10"``.

    Returns
    -------
    pandas.DataFrame
        ``currency``, ``rank``, ``payer``, ``payments``, ``gross_cents``, ``refunds_cents``,
        ``fee_cents``, ``net_cents``, and ``share``: the part of the net of all payments in that
        currency, from 0 to 1, missing where that is not positive.
    """
    ledger.need("top_payers", "payer", "net_cents")
    known = known_at(ledger, as_of, tz)
    rows = entries(known)
    if since is not None:
        calendar = Calendar(known.as_of, tz, "D")
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
