"""Retention of payers by the month of their first subscription: ``payments.capsule.cohorts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import amount_of, groups_of
from cpsl_notebook.earnings.result_table import answer, result_table
from cpsl_notebook.earnings.subscriptions.movements import rounded
from cpsl_notebook.earnings.subscriptions.timeline import build_timeline

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["cohorts", "compute_cohorts"]


def cohorts(
    self: Earnings,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    money: bool = False,
) -> pd.DataFrame:
    """Return the retention of payers by the month of their first subscription.

    A cohort consists of the payers who closed the same month as the first one with a subscription in
    force, by the rules of `mrr`. A payer is active in every month that closes with one. One-time
    purchases do not matter.

    Parameters
    ----------
    basis : {"gross", "net"}, default "gross"
        Amount that counts.
    unit : {"app", "payer"}, default "app"
        ``"app"`` forms cohorts by app: a payer of two apps is in a cohort of each. ``"payer"``
        counts each payer once over all apps.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First cohort to show, such as ``"2026-10"``. It does not change the numbers.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    money : bool, default False
        Whether to return exact decimals in currency, in columns without the ``_cents`` suffix.

    Returns
    -------
    pandas.DataFrame
        One row per cohort and age, up to the age of the oldest cohort.

        - ``cohort`` (datetime64[us]): first day of the starting month.
        - ``app`` (category): only with ``unit="app"``.
        - ``currency`` (category).
        - ``payers`` (Int64): size of the cohort.
        - ``age`` (Int64): months since the starting month, which has age 0.
        - ``active_payers`` (Int64), ``mrr_cents`` (Int64): active payers and their MRR at the end
          of the month of that age. Missing if that month has not ended.
        - ``retention`` (Float64): active payers divided by the size of the cohort. Missing in the
          same case.
        - ``state`` (category): ``running``, ``provisional`` or ``final``, for the month of that age.

    Raises
    ------
    UserError
        The payments are limited to a window or may lack rows, the payer, the kind or an amount is
        missing, the months of a kind are unknown, or *basis*, *unit*, *tz*, *since* or *as_of* is
        invalid.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> days = [("2026-01-05", "ada"), ("2026-01-06", "bo"), ("2026-02-05", "ada")]
    >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
    >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
    >>> table = payments_frame([("shop", rows)]).capsule.cohorts(as_of="2026-02")
    >>> table[["cohort", "payers", "age", "active_payers", "retention"]]
          cohort  payers  age  active_payers  retention
    0 2026-01-01       2    0              2        1.0
    1 2026-01-01       2    1              1        0.5
    """
    ledger = build(self._frame, as_of=as_of, tz=tz)
    table = compute_cohorts(ledger, basis=basis, unit=unit, tz=tz, since=since)
    origin = answer("cohorts", basis=basis, unit=unit, tz=tz)
    return result_table(table, ledger, money=money, answer=origin)


def compute_cohorts(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Compute `cohorts` from a ledger, in cents."""
    groups, amount = groups_of(unit), amount_of(basis)
    timeline = build_timeline(ledger, "cohorts", basis=basis, tz=tz)
    changes = timeline.changes(groups, amount)
    active = changes[changes["active"]].rename(columns={"first": "cohort"})
    keys = ["cohort", *groups, "month"]
    by = active.groupby(keys, observed=True, dropna=False)["after"]
    cells = by.agg(active_payers="size", mrr_cents="sum").reset_index()
    cells = cells.assign(
        active_payers=cells["active_payers"].astype("Int64"),
        mrr_cents=rounded(cells["mrr_cents"], timeline.scale),
    )
    sizes = cells[cells["month"] == cells["cohort"]].drop(columns=["month", "mrr_cents"])
    sizes = sizes.rename(columns={"active_payers": "payers"})
    table = _every_age(sizes, timeline.this_month).merge(cells, on=keys, how="left")
    numbers = ["payers", "age", "active_payers", "mrr_cents"]
    table[numbers] = table[numbers].fillna(0).astype("Int64")
    table["retention"] = (table["active_payers"] / table["payers"]).astype("Float64")
    table["state"] = timeline.calendar.states(table["month"])
    unfinished = table["state"] == "running"
    table.loc[unfinished, ["active_payers", "mrr_cents", "retention"]] = pd.NA
    if since is not None:
        table = table[table["cohort"] >= timeline.calendar.start(since)]
    order = ["cohort", *groups, "payers", "age", "active_payers", "retention", "mrr_cents", "state"]
    return table[order].sort_values(["cohort", *groups, "age"], ignore_index=True)


def _every_age(sizes: pd.DataFrame, this_month: int) -> pd.DataFrame:
    """Give each cohort a row for every age of the oldest cohort, with the month of that age.

    *this_month* is the number of months since January 1970.
    """
    first = sizes["cohort"].to_numpy().astype("datetime64[M]").astype(np.int64)
    ages = range(this_month - int(first.min()) + 1) if len(first) else range(0)
    table = sizes.merge(pd.DataFrame({"age": ages}), how="cross")
    months = table["cohort"].to_numpy().astype("datetime64[M]") + table["age"].to_numpy(np.int64)
    return table.assign(month=months.astype("datetime64[us]"))
