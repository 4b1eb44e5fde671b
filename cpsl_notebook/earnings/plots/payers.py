"""Plots of payers: ``payments.capsule.plot.payers`` and ``top_payers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.metrics.payers import average
from cpsl_notebook.earnings.plots.axes import (
    COLORS,
    INK,
    finish,
    groups,
    horizontal,
    numbers,
    panels,
    ratios,
    short,
    sums,
)
from cpsl_notebook.earnings.plots.time_axis import bars, label_periods, line

if TYPE_CHECKING:
    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["payers", "top_payers"]

_MOST_PAYERS = 40  # bars that are readable on a page


def payers(
    self: Plots,
    freq: str = "MS",
    *,
    unit: str = "app",
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    by: str | None = None,
    apps: int = 8,
) -> Drawn:
    """Plot new and returning payers, and below them the average revenue per payer.

    Parameters
    ----------
    freq : {"MS", "D", "W", "QS", "YS"}, default "MS"
        Length of a period: a month, a day, a week from Monday to Sunday, a quarter or a year.
    unit : {"app", "payer"}, default "app"
        ``"app"`` counts payers by app, with a panel for each app. ``"payer"`` counts each payer once
        over all apps.
    basis : {"gross", "net"}, default "gross"
        Amount that counts.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First day or month to show, such as ``"2026-10"``.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    by : str, optional
        Column of the payments, such as ``"country"``, with a panel for each of its values. All
        payments of a payer must have the same value.
    apps : int, default 8
        Number of panels, at most 12, for the largest apps and values of *by*. The others are added
        up in one panel for each currency.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of matplotlib.axes.Axes
        The axes, or an array if there are several.

    Raises
    ------
    UserError
        matplotlib is not installed, or
        `cpsl_notebook.earnings.Earnings.payers` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"paid_at": "2026-01-31", "payer": "ada", "gross_cents": 4900, "fee_cents": 490}
    >>> axes = payments_frame([("shop", [row])]).capsule.plot.payers(as_of="2026-02")
    >>> [each.get_title(loc="left") for each in axes]
    ['Payers · shop', 'Average revenue per payer']
    """
    table = self._earnings.payers(
        freq, unit=unit, basis=basis, tz=tz, since=since, as_of=as_of, by=by
    )
    parts = groups(table, by, apps=apps, size="revenue_cents", add_up=_add_up)
    drawn = []
    for (above, below), (title, currency, part) in panels(parts, rows=2, height=2.6):
        stack = {"returning": "blue", "new": "teal"}
        if part["new_payers"].isna().any():
            stack = {"active": "blue"}
        bottom = np.zeros(len(part))
        for name, color in stack.items():
            values = numbers(part[f"{name}_payers"])
            bars(above, values, part["state"], COLORS[color], label=name, bottom=bottom)
            bottom = bottom + values
        label_periods(above, f"Payers · {title}", "", part["period"])
        above.locator_params(axis="y", integer=True)
        revenue = ratios(part["arpp_cents"])
        line(below, revenue, COLORS["violet"])
        below.set_ylim(0, max(float(np.nanmax(revenue, initial=0)) * 1.15, 100))
        label_periods(below, "Average revenue per payer", currency, part["period"])
        drawn += [above, below]
    return finish(drawn, table, fades=True)


def _add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the payers of several apps together, with each payer counted in each app."""
    part = sums(rows, "period")
    return part.assign(arpp_cents=average(part["revenue_cents"], part["active_payers"]))


def top_payers(
    self: Plots,
    n: int = 10,
    *,
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
) -> Drawn:
    """Plot the net revenue from the top payers as bars, with their shares.

    Each currency has a panel, with at most 40 payers.

    Parameters
    ----------
    n : int, default 10
        Number of payers for each currency.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First day that counts, or a month or year whose first day it is, such as ``"2026-10"``.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of matplotlib.axes.Axes
        The axes, or an array if there are several.

    Raises
    ------
    UserError
        matplotlib is not installed, or
        `cpsl_notebook.earnings.Earnings.top_payers` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"paid_at": "2026-01-31", "payer": "ada", "gross_cents": 4900, "fee_cents": 490}
    >>> axes = payments_frame([("shop", [row])]).capsule.plot.top_payers()
    >>> [text.get_text() for text in axes.texts]
    [' 100.0%']
    """
    table = self._earnings.top_payers(n, tz=tz, since=since, as_of=as_of)
    drawn = []
    parts = [(title, currency, rows.head(_MOST_PAYERS)) for title, currency, rows in groups(table)]
    height = 0.9 + 0.32 * max((len(part) for _, _, part in parts), default=0)
    for (axes,), (title, currency, part) in panels(parts, height=height, across=1):
        values = numbers(part["net_cents"])
        axes.barh(range(len(part)), values, color=COLORS["blue"], height=0.7)
        for place, (value, share) in enumerate(zip(values, part["share"], strict=True)):
            text = "" if pd.isna(share) else f" {share:.1%}"
            axes.text(max(value, 0), place, text, color=INK, va="center", fontsize=9)
        axes.margins(x=0.12)
        names = [short(payer) for payer in part["payer"]]
        horizontal(axes, names, currency, f"Top payers by net · {title}")
        drawn.append(axes)
    return finish(drawn, table)
