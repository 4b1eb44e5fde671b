"""Movements of recurring revenue: new, expansion, contraction, churn and reactivation."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd

from cpsl_notebook.earnings.ledger.overflow import to_int64
from cpsl_notebook.earnings.subscriptions.timeline import Timeline

__all__ = ["MOVEMENTS", "in_cents", "movements", "rounded", "sum_by_month"]

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")


def movements(timeline: Timeline, groups: list[str], amount: str) -> pd.DataFrame:
    """Classify the change of each payer in each month.

    Parameters
    ----------
    timeline : Timeline
        Subscriptions of all payers.
    groups : list of str
        Columns within which a payer is counted once: ``currency``, with or without ``app``.
    amount : {"gross_cents", "net_cents"}
        Amount that counts.

    Returns
    -------
    pandas.DataFrame
        The columns of `Timeline.changes`, and columns to add up by month: ``opening_cents``,
        ``closing_cents`` and one column for each movement, such as ``new_cents``, in units of
        ``1 / timeline.scale`` cents; and ``payers``, ``opening_payers``, ``churned_payers``,
        ``reactivated_payers`` (0 or 1).
    """
    changes = timeline.changes(groups, amount)
    was_active, active = changes["was_active"], changes["active"]
    difference = changes["after"] - changes["before"]
    new = active & ~was_active & (changes["month"] == changes["first"])
    reactivated = active & ~was_active & ~new
    churned = was_active & ~active
    stays = ~(new | reactivated | churned)
    kinds = {
        "new": new,
        "expansion": stays & (difference > 0),
        "contraction": stays & (difference < 0),
        "churn": churned,
        "reactivation": reactivated,
    }
    return changes.assign(
        opening_cents=changes["before"],
        closing_cents=changes["after"],
        payers=active.astype(int),
        opening_payers=was_active.astype(int),
        churned_payers=churned.astype(int),
        reactivated_payers=reactivated.astype(int),
        **{f"{kind}_cents": difference.where(kinds[kind], 0) for kind in MOVEMENTS},
    )


def sum_by_month(rows: pd.DataFrame, groups: list[str], columns: list[str]) -> pd.DataFrame:
    """Add up columns as ``Int64`` by month and group; sums that may be too large stay ``object``."""
    keys = [rows[key] for key in ("month", *groups)]
    numbers = rows[columns].astype(
        {name: "Int64" for name in columns if rows[name].dtype != object}
    )
    return numbers.groupby(keys, observed=True, dropna=False).sum().reset_index()


def in_cents(table: pd.DataFrame, scale: int) -> pd.DataFrame:
    """Return a table with its amounts in whole cents.

    The opening and every sum of the opening and the first movements are rounded once, half up. Each
    movement is the difference of two of them, so that the movements add up to the closing.

    Parameters
    ----------
    table : pandas.DataFrame
        ``opening_cents``, the movements and ``closing_cents``, and any further columns of cents, in
        units of ``1 / scale`` cents.
    scale : int
        Parts of a cent.

    Returns
    -------
    pandas.DataFrame
        The table with those columns as ``Int64``.

    Examples
    --------
    Two payers of $100 a year are worth $16.67 a month:

    >>> table = pd.DataFrame({f"{name}_cents": [0] for name in ("opening", *MOVEMENTS, "closing")})
    >>> table["new_cents"] = table["closing_cents"] = 2 * 10_000
    >>> in_cents(table, 12)["closing_cents"].tolist()
    [1667]
    """
    names = ["opening_cents", *(f"{name}_cents" for name in MOVEMENTS)]
    others = [name for name in map(str, table) if name.endswith("_cents") and name not in names]
    reached = table[names].cumsum(axis=1)
    whole = {name: rounded(reached[name], scale) for name in names}
    moved = {name: whole[name] - whole[before] for before, name in pairwise(names)}
    cents = {"opening_cents": whole["opening_cents"], **moved}
    cents |= {name: rounded(table[name], scale) for name in others}
    return table.assign(**cents)


def rounded(parts: pd.Series, scale: int, name: str = "") -> pd.Series:
    """Return amounts in units of ``1 / scale`` cents as whole cents, rounded half up.

    *name* is that of the column, for the error message if a sum is beyond 64 bits.
    """
    whole = parts if scale == 1 else (2 * parts + scale) // (2 * scale)
    return to_int64(whole, name or parts.name)
