"""The plot of churn and retention: ``payments.capsule.plot.churn``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.metrics.churn import with_ratios
from cpsl_notebook.earnings.plots.axes import COLORS, INK, finish, groups, panels, ratios, sums
from cpsl_notebook.earnings.plots.time_axis import bars, label_periods, line

if TYPE_CHECKING:
    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["churn"]


def churn(
    self: Plots,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    by: str | None = None,
    apps: int = 8,
) -> Drawn:
    """Plot gross and net revenue retention, and below them the share of payers that churned.

    Parameters
    ----------
    basis : {"gross", "net"}, default "gross"
        Amount that counts.
    unit : {"app", "payer"}, default "app"
        ``"app"`` compares the closings of each payer and app, with a panel for each app.
        ``"payer"`` compares the closings of each payer across all apps.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First month to show, such as ``"2026-10"``. It does not change the numbers.
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
        `cpsl_notebook.earnings.Earnings.churn` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"payer": "ada", "kind": "monthly", "gross_cents": 1500, "fee_cents": 150}
    >>> days = ["2026-01-05", "2026-02-05"]
    >>> payments = payments_frame([("shop", [row | {"paid_at": day} for day in days])])
    >>> axes = payments.capsule.plot.churn(as_of="2026-02")
    >>> [each.get_title(loc="left") for each in axes]
    ['Retention · shop', 'Churned share of opening payers']
    """
    table = self._earnings.churn(basis=basis, unit=unit, tz=tz, since=since, as_of=as_of, by=by)
    parts = groups(table, by, apps=apps, size="opening_cents", add_up=_add_up)
    drawn = []
    for (above, below), (title, _, part) in panels(parts, rows=2, height=2.6):
        for name, color in {"net_retention": "teal", "gross_retention": "blue"}.items():
            line(above, ratios(part[name]), COLORS[color], label=name.replace("_", " "))
        shown = [*ratios(part["net_retention"]), *ratios(part["gross_retention"])]
        above.set_ylim(np.nanmin([0.85, *shown]) - 0.05, np.nanmax([1.05, *shown]) + 0.05)
        label_periods(above, f"Retention · {title}", "%", part["month"])
        above.axhline(1, color=INK, lw=0.8, ls="--")
        churned = ratios(part["payer_churn"])
        bars(below, churned, part["state"], COLORS["red"])
        below.set_ylim(0, np.nanmax([0.05, *churned]) * 1.1)
        label_periods(below, "Churned share of opening payers", "%", part["month"])
        drawn += [above, below]
    return finish(drawn, table, fades=True)


def _add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the churn of several apps together, with each payer counted in each app."""
    return with_ratios(sums(rows, "month"))
