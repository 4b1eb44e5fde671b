"""The payments behind figures of a result: ``payments.capsule.explain``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.segments import SEGMENT, segment_columns
from cpsl_notebook.earnings.ledger.transactions import AMOUNTS, amount_of, entries, groups_of
from cpsl_notebook.earnings.metrics.key_figures import ALL_APPS
from cpsl_notebook.earnings.metrics.payers import is_purchase, since_rows
from cpsl_notebook.earnings.metrics.payouts import AGES, payout_rows, with_ages
from cpsl_notebook.earnings.minor_units import exponent
from cpsl_notebook.earnings.result_table import result_table
from cpsl_notebook.earnings.subscriptions.movements import MOVEMENTS, movements, rounded
from cpsl_notebook.earnings.subscriptions.timeline import Timeline, build_timeline, first_days
from cpsl_notebook.errors import UserError

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["explain"]

_COUNTED = "counted"
_ROW = "row"
_FIGURE, _PLACE = "figure", "place"
_Lines = tuple[pd.DataFrame, int]
"""Contributions of payments, and the number of parts of a cent that they are counted in."""


def explain(self: Earnings, rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the payments behind a column of a result, with what each contributes to it.

    Parameters
    ----------
    rows : pandas.DataFrame
        A result of the same payments, or any selection of its rows, such as
        ``mrr[mrr["month"] == "2026-10-01"]``.
    column : str
        Column of the result with cents, or a number of payers or payments.

    Returns
    -------
    pandas.DataFrame
        One row per payment and figure, in the order of *rows* and of time. The sum of the last
        column equals the sum of *column* over *rows*.

        - The columns that identify a figure, such as ``month``, ``app`` and ``currency``.
        - ``payment_id``, ``paid_at``, ``payer``, ``kind``, ``gross_cents``, ``fee_cents``,
          ``net_cents``, with the types of `ledger`.
        - ``counted_cents`` (Int64): the signed amount that the payment contributes. In a movement
          such as churn, payments in force in the month before count negatively. For a number of
          payers or payments, the column is ``counted_payers`` or ``counted_payments``: 1 for one
          payment of each payer, and 0 for the payer's others.

    Raises
    ------
    UserError
        *rows* is not a result of these payments, or *column* is a ratio or an average, which no
        payments add up to.

    See Also
    --------
    mrr : Monthly recurring revenue and its movements.
    metrics : Key figures by month.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> days = [("2026-01-05", "ada"), ("2026-01-06", "bo"), ("2026-02-05", "ada")]
    >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
    >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
    >>> payments = payments_frame([("shop", rows)])
    >>> mrr = payments.capsule.mrr(as_of="2026-02")
    >>> lost = payments.capsule.explain(mrr[mrr["month"] == "2026-02-01"], "churn_cents")
    >>> lost[["month", "paid_at", "payer", "counted_cents"]]
           month                   paid_at payer  counted_cents
    0 2026-02-01 2026-01-06 00:00:00+00:00    bo          -1500
    """
    if not isinstance(column, str):
        raise UserError(
            f"column must be the name of a column, such as 'closing_cents', not {column!r}."
        )
    name, options = _origin(rows)
    figure, is_money = _figure(rows, name, column)
    ledger = build(self._frame, as_of=pd.Timestamp(rows.attrs["as_of"]), by=options.get("by"))
    lines, scale = _LINES[name](ledger, figure, options)
    lines = lines.rename(columns={SEGMENT: options.get("by")})
    keys = [str(key) for key in lines if key not in (_ROW, _COUNTED)]
    lines = _plain(lines.groupby([*keys, _ROW], observed=True, dropna=False)[_COUNTED].sum())
    if lines[_COUNTED].dtype != object:
        lines[_COUNTED] = lines[_COUNTED].astype("Int64")  # stays exact next to missing values
    figures = _plain(rows[[*keys, column]].dropna(subset=column))
    figures[_FIGURE] = _in_cents(figures, column) if is_money else figures[column].astype("Int64")
    figures[_PLACE] = range(len(figures))
    found = figures.drop(columns=column).merge(lines, on=keys, how="left")
    found[_COUNTED] = _whole(found, scale)
    _check_sums(found, column)
    found = found[found[_ROW].notna()].drop(columns=[_FIGURE, _PLACE])
    found = found.reset_index(drop=True)
    payments = ledger.rows.loc[found.pop(_ROW).astype(int), _SHOWN].reset_index(drop=True)
    unit = "cents" if figure.endswith("_cents") else figure.rpartition("_")[2]
    counted = found.pop(_COUNTED).astype("Int64")
    shown = payments.drop(columns=[key for key in keys if key in payments])
    table = pd.concat([found, shown, counted.rename(f"{_COUNTED}_{unit}")], axis=1)
    return result_table(table, ledger)


def _origin(rows: pd.DataFrame) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of the analysis that rows come from."""
    origin = json.loads(getattr(rows, "attrs", {}).get("answer", "{}"))
    name = origin.pop("name", None)
    if name not in _LINES:
        raise UserError(
            f"explain() needs rows of the result of {', '.join(_LINES)}. Select them with a mask or "
            "query(); merge() and concat() may lose their origin."
        )
    return name, origin


def _figure(rows: pd.DataFrame, name: str, column: str) -> tuple[str, bool]:
    """Return the figure of a column, and whether it is in currency instead of cents."""
    figures = [figure for figure in _FIGURES[name] if _names(figure) & set(rows.columns)]
    for figure in figures:
        if column in _names(figure) & set(rows.columns):
            return figure, column != figure
    explained = [shown for figure in figures for shown in _names(figure) & set(rows.columns)]
    raise UserError(
        f"explain() cannot explain {column!r}: no payments add up to it. "
        f"Choose one of: {', '.join(explained)}."
    )


def _names(figure: str) -> set[str]:
    """Return the names of a figure in results with cents and with amounts in currency."""
    return {figure, figure.removesuffix("_cents")} if figure.endswith("_cents") else {figure}


def _plain(table: pd.DataFrame | pd.Series[Any]) -> pd.DataFrame:
    """Return a table with categories as strings, which can be merged with any others."""
    table = table.reset_index() if isinstance(table, pd.Series) else table
    categories = table.columns[table.dtypes == "category"]
    return table.astype(dict.fromkeys(categories, "string"))


def _in_cents(figures: pd.DataFrame, column: str) -> pd.Series[Any]:
    """Return amounts in currency as whole minor units."""
    cents = [
        int(value.scaleb(exponent(currency)))
        for value, currency in zip(figures[column], figures["currency"], strict=True)
    ]
    return pd.Series(cents, figures.index, dtype="Int64")


def _whole(found: pd.DataFrame, scale: int) -> pd.Series[Any]:
    """Return contributions in whole cents.

    A payment for several months contributes a part of a cent to some months. The running sum of the
    contributions to a figure is rounded, and the last one absorbs the rounding of the figure itself,
    which is at most a cent.
    """
    counted = found[_COUNTED].fillna(0)
    if scale == 1:
        return counted.astype("Int64")
    place = found[_PLACE]
    running = rounded(counted.groupby(place).transform(lambda own: own.cumsum()), scale)
    whole = running - running.groupby(place).shift().fillna(0)
    is_last = ~place.duplicated(keep="last")
    rest = found[_FIGURE] - running
    return whole + rest.where(is_last & (rest.abs() <= 1), 0)


def _check_sums(found: pd.DataFrame, column: str) -> None:
    """Raise an error if the contributions do not add up to the figures."""
    by = found.groupby(_PLACE)
    differs = by[_COUNTED].sum() != by[_FIGURE].first()
    if differs.any():
        raise UserError(
            f"These payments do not add up to {column!r} in {differs.sum():,} of {len(differs):,} "
            "rows. Pass unchanged rows of a result of the same payments."
        )


def _sale_lines(rows: pd.DataFrame, keys: list[str], figure: str) -> _Lines:
    """Return what each sale or refund contributes to a sum of `totals`."""
    if figure == "payments":
        rows = rows[~rows["refund"]].assign(**{_COUNTED: 1})
    else:
        amount = "gross_cents" if figure == "refunds_cents" else figure
        kept = {"gross_cents": ~rows["refund"], "refunds_cents": rows["refund"]}
        rows = rows[kept.get(figure, slice(None))]
        rows = rows.assign(**{_COUNTED: rows[amount]})
    return _numbered(rows)[[*keys, _ROW, _COUNTED]], 1


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{_ROW: rows.index})


def _once(lines: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Count the first of the lines with the same keys, and not the others."""
    first = ~lines.sort_values(_ROW).duplicated(keys)
    return lines.assign(**{_COUNTED: first.astype("int64")})


def _revenue_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    rows = entries(ledger)
    calendar = Calendar(ledger.as_of, options["tz"], options["freq"])
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    return _sale_lines(
        rows, ["period", "app", "kind", "currency", *segment_columns(ledger)], figure
    )


def _payers_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    groups = [*groups_of(options["unit"]), *segment_columns(ledger)]
    rows = entries(ledger).dropna(subset="payer")
    calendar = Calendar(ledger.as_of, options["tz"], options["freq"])
    rows = _numbered(rows.assign(period=calendar.starts(rows["paid_at"])))
    keys = ["period", *groups]
    if figure == "revenue_cents":
        return _sale_lines(rows, keys, amount_of(options["basis"]))
    rows = rows[is_purchase(rows)]
    first = rows.groupby([*groups, "payer"], observed=True, dropna=False)["period"]
    is_new = rows["period"] == first.transform("min")
    kept = {"new_payers": is_new, "returning_payers": ~is_new}
    rows = rows[kept.get(figure, slice(None))]
    return _once(rows, [*keys, "payer"])[[*keys, _ROW, _COUNTED]], 1


def _top_payers_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    rows = since_rows(entries(ledger), ledger, options["since"], options["tz"])
    return _sale_lines(rows, ["currency", "payer"], figure)


def _payouts_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    rows = payout_rows(ledger, options["by"])
    if options["by"] == "payout_id":
        return _sale_lines(rows, ["currency", "payout_id"], figure)
    rows = with_ages(rows, ledger.as_of, options["tz"])
    rows = _numbered(rows.assign(**{_COUNTED: 1 if figure == "payments" else rows[figure]}))
    return rows[["app", "currency", "payout_state", _ROW, _COUNTED]], 1


def _mrr_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    groups = [*groups_of(options["unit"]), *segment_columns(ledger, per_payer=True)]
    timeline = build_timeline(ledger, "explain", tz=options["tz"], basis=options["basis"])
    lines = _subscription_lines(timeline, groups, figure, amount_of(options["basis"]))
    return lines[["month", *groups, _ROW, _COUNTED]], _scale(timeline, figure)


def _metrics_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    by_app, scale = _mrr_lines(ledger, figure, options | {"unit": "app"})
    total, _ = _mrr_lines(ledger, figure, options | {"unit": "payer"})
    every = [_plain(by_app), _plain(total.assign(app=ALL_APPS))]
    return pd.concat(every, ignore_index=True), scale


def _cohorts_lines(ledger: Ledger, figure: str, options: dict[str, Any]) -> _Lines:
    groups = groups_of(options["unit"])
    timeline = build_timeline(ledger, "explain", tz=options["tz"], basis=options["basis"])
    lines = _subscription_lines(timeline, groups, figure, amount_of(options["basis"]))
    lines = lines.rename(columns={"first": "cohort"})
    if figure == "payers":  # the size of the cohort, whatever the age
        at_start = lines["month"] == lines["cohort"]
        return lines.loc[at_start, ["cohort", *groups, _ROW, _COUNTED]], 1
    months, starts = (lines[key].to_numpy().astype("datetime64[M]") for key in ("month", "cohort"))
    lines["age"] = pd.array((months - starts).astype(np.int64), "Int64")
    return lines[["cohort", *groups, "age", _ROW, _COUNTED]], _scale(timeline, figure)


def _subscription_lines(
    timeline: Timeline, groups: list[str], figure: str, amount: str
) -> pd.DataFrame:
    """Return what each payment contributes to a figure of a payer in a month.

    The columns are those of `movements`, and the row and the contribution of the payment.
    """
    if figure == "unclassified_cents":
        rest: pd.DataFrame = timeline.unclassified.rename(columns={amount: _COUNTED})
        return rest
    moved = movements(timeline, groups, amount)
    closings = timeline.closings(groups, amount).rename(columns={"cents": _COUNTED})
    after = closings[["unit", "month", _ROW, _COUNTED]]
    before = after[after["month"] < timeline.this_month]
    before = before.assign(month=before["month"] + 1)
    lines = before if figure in _OF_THE_MONTH_BEFORE else after
    if figure in _MOVED:
        lost = before.assign(**{_COUNTED: -before[_COUNTED]})
        lines = pd.concat([after, lost], ignore_index=True)
    if figure == "arr_cents":
        lines = lines.assign(**{_COUNTED: 12 * lines[_COUNTED].astype(object)})
    lines = lines.assign(month=first_days(lines["month"]))
    moved = moved[moved[_MOVEMENT_COLUMN.get(figure, figure)] != 0]
    lines = moved.merge(lines, on=["unit", "month"])
    return lines if figure.endswith("_cents") else _once(lines, ["unit", "month"])


def _scale(timeline: Timeline, figure: str) -> int:
    """Return the number of parts of a cent, or of a payer, in which contributions are counted."""
    is_amount = figure.endswith("_cents") and figure != "unclassified_cents"
    return timeline.scale if is_amount else 1


_SHOWN = ["payment_id", "paid_at", "payer", "kind", *AMOUNTS]
_MOVED = [f"{name}_cents" for name in MOVEMENTS]
_OF_THE_MONTH_BEFORE = ("opening_cents", "opening_payers", "churned_payers")
_MOVEMENT_COLUMN = {
    "mrr_cents": "closing_cents",
    "arr_cents": "closing_cents",
    "active_payers": "payers",
}
_SUMS = ["payments", "gross_cents", "refunds_cents", "fee_cents", "net_cents"]
_FIGURES = {
    "metrics": ["mrr_cents", "arr_cents", "payers"],
    "revenue": _SUMS,
    "payers": ["active_payers", "new_payers", "returning_payers", "revenue_cents"],
    "top_payers": _SUMS,
    "mrr": ["opening_cents", *_MOVED, "closing_cents", "unclassified_cents", "payers"],
    "churn": ["opening_payers", "churned_payers", "reactivated_payers", "opening_cents", *_MOVED],
    "cohorts": ["payers", "active_payers", "mrr_cents"],
    "payouts": [*_SUMS, *AGES],
}
_LINES: dict[str, Callable[[Ledger, str, dict[str, Any]], _Lines]] = {
    "metrics": _metrics_lines,
    "revenue": _revenue_lines,
    "payers": _payers_lines,
    "top_payers": _top_payers_lines,
    "mrr": _mrr_lines,
    "churn": _mrr_lines,
    "cohorts": _cohorts_lines,
    "payouts": _payouts_lines,
}
