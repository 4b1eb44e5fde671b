"""The usual key figures of a subscription business by month: ``payments.capsule.metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.overflow import to_int64
from cpsl_notebook.earnings.ledger.transactions import amount_of, groups_of
from cpsl_notebook.earnings.metrics.churn import ratio
from cpsl_notebook.earnings.metrics.payers import average
from cpsl_notebook.earnings.result_table import answer, result_table
from cpsl_notebook.earnings.subscriptions.movements import (
    MOVEMENTS,
    movements,
    rounded,
    sum_by_month,
)
from cpsl_notebook.earnings.subscriptions.timeline import (
    Timeline,
    build_timeline,
    first_days,
)

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["ALL_APPS", "compute_metrics", "metrics"]

ALL_APPS = "(all apps)"
"""Value of the column ``app`` in the rows that hold for all apps together."""
MONTHS = 13
"""Months that `metrics` shows by default: a year, and the same month of the year before."""
_CHURN_MONTHS = 12  # final months whose mean churn the lifetime value uses


def metrics(
    self: Earnings,
    *,
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    money: bool = False,
) -> pd.DataFrame:
    """Return the usual key figures by month, for each app and for all apps together.

    Parameters
    ----------
    basis : {"gross", "net"}, default "gross"
        Amount that counts. The lifetime value is always net of fees.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First month to show, such as ``"2026-01"``. Defaults to the last 13 months. It does not
        change the numbers.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    money : bool, default False
        Whether to return exact decimals in currency, in columns without the ``_cents`` suffix.

    Returns
    -------
    pandas.DataFrame
        One row per month, app and currency.

        - ``month`` (datetime64[us]): first day of the month.
        - ``app`` (category): ``"(all apps)"`` in the rows that count each payer once over all apps.
        - ``currency`` (category).
        - ``mrr_cents`` (Int64): monthly recurring revenue at the end of the month.
        - ``arr_cents`` (Int64): annual run rate, 12 times the MRR.
        - ``mrr_per_payer_cents`` (Int64): MRR divided by payers, rounded half up to a cent. Missing
          without payers.
        - ``payers`` (Int64): payers with a subscription at the end of the month.
        - ``payer_churn`` (Float64): payers who left in the month, divided by those at its beginning.
          Missing if there were none.
        - ``quick_ratio`` (Float64): new MRR and expansion, divided by contraction and churn. Missing
          if nothing was lost.
        - ``net_retention_12m`` (Float64): MRR at the end of the month from those who paid 12 months
          earlier, divided by their MRR then. Payers who left and returned count. Missing without
          MRR then.
        - ``gross_retention_12m`` (Float64): the same, but counting at most what each of them paid
          then, so it is at most 1.
        - ``lifetime_value_cents`` (Int64): net MRR per payer, divided by the mean payer churn of the
          last 12 final months. Missing with fewer final months, if one of them began without
          payers, if nobody left, or if a net amount is unknown.
        - ``state`` (category): ``running``, ``provisional`` or ``final``.

    Raises
    ------
    UserError
        The payments are limited to a window or may lack rows, the payer, the kind or an amount is
        missing, the months of a kind are unknown, or *basis*, *tz*, *since* or *as_of* is invalid.

    See Also
    --------
    mrr : The MRR and its movements.
    churn : Payers and revenue lost in each month.
    explain : The payments behind a figure.

    Notes
    -----
    Products define these figures differently. Ours compare with three of them as follows.

    - MRR and its movements are those of ChartMogul. They are reconstructed from payments, so a late
      renewal counts for 15 days of grace.
    - ARR is Baremetrics' "annual run rate". It is not revenue, and assumes that nothing changes.
    - MRR per payer is ChartMogul's ARPA and Baremetrics' ARPU: recurring revenue only, at the end of
      the month. `payers` has the average of all revenue.
    - Payer churn is ChartMogul's customer churn rate. Baremetrics uses a window of 30 days, and also
      counts customers who join and leave within it. We compare month ends, so such payers do not
      count.
    - The quick ratio is that of Baremetrics. ChartMogul also adds reactivation to the gains.
    - Retention over 12 months follows single payers, which is often called "cohort" retention.
      Baremetrics' net revenue retention covers 30 days and is calculated from sums of movements. So
      is the ``net_retention`` of `churn`, for one month. Because a returning payer was among those
      who paid 12 months earlier, such payers count here but not in `churn`.
    - Baremetrics' lifetime value is ARPU divided by the churn of the period. ProfitWell smooths both
      by a method that it does not publish. We use the mean churn of 12 final months, and the net
      amount, because the platform fee does not reach the developer.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> days = [("2026-01-05", "ada"), ("2026-01-06", "bo"), ("2026-02-05", "ada")]
    >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
    >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
    >>> table = payments_frame([("shop", rows)]).capsule.metrics(as_of="2026-02", money=True)
    >>> table.loc[table["app"] == "shop", ["month", "mrr", "arr", "payers", "payer_churn"]]
           month    mrr     arr  payers  payer_churn
    0 2026-01-01  30.00  360.00       2         <NA>
    2 2026-02-01  15.00  180.00       1          0.5
    """
    ledger = build(self._frame, as_of=as_of, tz=tz)
    table = compute_metrics(ledger, basis=basis, tz=tz, since=since)
    return result_table(table, ledger, money=money, answer=answer("metrics", basis=basis, tz=tz))


def compute_metrics(
    ledger: Ledger, *, basis: str = "gross", tz: str = "UTC", since: Moment | None = None
) -> pd.DataFrame:
    """Compute `metrics` from a ledger, in cents."""
    amount = amount_of(basis)
    timeline = build_timeline(ledger, "metrics", basis=basis, tz=tz)
    has_net = "net_cents" not in ledger.missing and not timeline.periods["net_cents"].isna().any()
    by_app = _figures(timeline, groups_of("app"), amount, has_net=has_net)
    total = _figures(timeline, groups_of("payer"), amount, has_net=has_net)
    apps = [*by_app["app"].cat.categories, ALL_APPS]
    by_app["app"] = by_app["app"].cat.set_categories(apps)
    total["app"] = pd.Categorical([ALL_APPS] * len(total), categories=apps)
    table = pd.concat([by_app, total], ignore_index=True)[by_app.columns]
    table = table.sort_values(["month", "app", "currency"], ignore_index=True)
    shown = timeline.calendar.last_day - pd.DateOffset(months=MONTHS - 1)
    first = timeline.calendar.start(shown if since is None else since)
    return table[table["month"] >= first].reset_index(drop=True)


def _figures(timeline: Timeline, groups: list[str], amount: str, *, has_net: bool) -> pd.DataFrame:
    """Return all figures by month and group."""
    moved = movements(timeline, groups, amount)
    names = [f"{name}_cents" for name in ("closing", *MOVEMENTS)]
    names += ["payers", "opening_payers", "churned_payers"]
    table = sum_by_month(moved, groups, names)
    table = timeline.calendar.with_empty(table, groups, "month")
    table = timeline.calendar.finish(table, "month", None)
    for part in (_year_before(moved, groups, timeline), _net(timeline, groups)):
        table = table.merge(part, on=["month", *groups], how="left")
    gained = table["new_cents"] + table["expansion_cents"]
    lost = -table["contraction_cents"] - table["churn_cents"]
    table["payer_churn"] = ratio(table["churned_payers"], table["opening_payers"])
    net = table["net"].fillna(0).astype("Float64")
    value = net / timeline.scale / table["payers"] / _mean_churn(table, groups)
    known = (table["payers"] > 0) & value.notna() & (value < float("inf")) & has_net
    scale = timeline.scale
    mrr = rounded(table["closing_cents"], scale)
    return table[["month", "app", "currency"] if "app" in groups else ["month", "currency"]].assign(
        mrr_cents=mrr,
        arr_cents=rounded(12 * table["closing_cents"].astype(object), scale, "arr_cents"),
        mrr_per_payer_cents=average(mrr, table["payers"]),
        payers=table["payers"],
        payer_churn=table["payer_churn"],
        quick_ratio=ratio(gained, lost),
        net_retention_12m=ratio(table["now"], table["then"]),
        gross_retention_12m=ratio(table["kept"], table["then"]),
        lifetime_value_cents=to_int64((value.where(known) + 0.5) // 1, "lifetime_value_cents"),
        state=table["state"],
    )


def _year_before(moved: pd.DataFrame, groups: list[str], timeline: Timeline) -> pd.DataFrame:
    """Compare the payers of each month with what they pay 12 months later.

    Returns ``month`` (the later one), the groups, and sums of cents: ``then``, ``now``, and
    ``kept``, at most what each payer paid then.
    """
    paid = moved.loc[moved["active"], ["unit", "month", *groups, "after"]]
    months = paid["month"].to_numpy().astype("datetime64[M]") + 12
    then, unit = paid["after"].to_numpy(), paid["unit"].to_numpy()
    # Numbers of payer and month, which ascend, and the place of the number 12 months later.
    number = unit * 2**32 + months.astype(np.int64)
    place = np.searchsorted(number, number + 12).clip(max=max(len(paid) - 1, 0))
    now = np.where(number[place] == number + 12, then[place], 0)
    both = paid.assign(
        month=months.astype("datetime64[us]"), then=then, now=now, kept=np.minimum(now, then)
    )
    both = both[both["month"] <= timeline.calendar.last_day]
    return sum_by_month(both, groups, ["then", "now", "kept"])


def _net(timeline: Timeline, groups: list[str]) -> pd.DataFrame:
    """Return the net MRR by month and group."""
    place, month = timeline.in_force
    net = timeline.periods[groups].take(place).reset_index(drop=True)
    net = net.assign(month=first_days(pd.Series(month)), net=timeline.monthly("net_cents")[place])
    return sum_by_month(net, groups, ["net"])


def _mean_churn(table: pd.DataFrame, groups: list[str]) -> pd.Series[Any]:
    """Return the mean payer churn of the last 12 final months up to each month.

    *table* has a row for each group and month. The mean is missing if one of the 12 is.
    """
    group = table.groupby(groups, observed=True, dropna=False, sort=False).ngroup()
    rates = table.assign(group=group).pivot(index="month", columns="group", values="payer_churn")
    final = table.groupby("month")["state"].first() == "final"
    means = rates.astype("float64")[final].rolling(_CHURN_MONTHS).mean()
    means = means.reindex(rates.index, method="ffill")
    keys = pd.MultiIndex.from_arrays([table["month"], group])
    by_month_and_group: pd.Series[Any] = means.stack(future_stack=True)  # type: ignore[assignment]
    return by_month_and_group.reindex(keys).set_axis(table.index)
