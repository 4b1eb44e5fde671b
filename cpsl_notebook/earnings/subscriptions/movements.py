"""Movements of recurring revenue: new, expansion, contraction, churn and reactivation."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.subscriptions.timeline import Timeline

__all__ = ["MOVEMENTS", "movements", "sum_by_month"]

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
        ``closing_cents``, one column of cents for each movement, such as ``new_cents``, and
        ``payers``, ``opening_payers``, ``churned_payers``, ``reactivated_payers`` (0 or 1).
    """
    changes = timeline.changes(groups, amount)
    active_before, active = changes["before"] > 0, changes["after"] > 0
    difference = changes["after"] - changes["before"]
    new = active & ~active_before & (changes["month"] == changes["first"])
    reactivated = active & ~active_before & ~new
    churned = active_before & ~active
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
        opening_payers=active_before.astype(int),
        churned_payers=churned.astype(int),
        reactivated_payers=reactivated.astype(int),
        **{f"{kind}_cents": difference.where(kinds[kind], 0) for kind in MOVEMENTS},
    )


def sum_by_month(rows: pd.DataFrame, groups: list[str], columns: list[str]) -> pd.DataFrame:
    """Add up columns as ``Int64`` by month and group."""
    keys = [rows[key] for key in ("month", *groups)]
    numbers = rows[columns].astype("Int64")
    return numbers.groupby(keys, observed=True, dropna=False).sum().reset_index()
