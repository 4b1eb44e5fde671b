"""The plot of recurring revenue: ``payments.capsule.plot.mrr``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.plots.axes import COLORS, INK, finish, groups, numbers, panels, sums
from cpsl_notebook.earnings.plots.time_axis import bars, label_periods

if TYPE_CHECKING:
    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["mrr"]

_MOVEMENTS = {
    "new": "teal",
    "expansion": "light blue",
    "reactivation": "violet",
    "contraction": "orange",
    "churn": "red",
}


def mrr(
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
    """Plot the monthly recurring revenue at the end of each month, and below it its movements.

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
        `cpsl_notebook.earnings.Earnings.mrr` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"payer": "ada", "kind": "monthly", "gross_cents": 1500, "fee_cents": 150}
    >>> days = ["2026-01-05", "2026-02-05"]
    >>> payments = payments_frame([("shop", [row | {"paid_at": day} for day in days])])
    >>> axes = payments.capsule.plot.mrr(as_of="2026-02")
    >>> [each.get_title(loc="left") for each in axes]
    ['Monthly recurring revenue · shop', 'Movements']
    """
    table = self._earnings.mrr(basis=basis, unit=unit, tz=tz, since=since, as_of=as_of, by=by)
    parts = groups(
        table, by, apps=apps, size="closing_cents", add_up=lambda rows: sums(rows, "month")
    )
    drawn = []
    for (above, below), (title, currency, part) in panels(parts, rows=2, height=2.8):
        states = part["state"]
        bars(above, numbers(part["closing_cents"]), states, COLORS["blue"])
        label_periods(above, f"Monthly recurring revenue · {title}", currency, part["month"])
        up, down = np.zeros(len(part)), np.zeros(len(part))
        for name, color in _MOVEMENTS.items():
            values = numbers(part[f"{name}_cents"])
            bottom = np.where(values >= 0, up, down)
            bars(below, values, states, COLORS[color], label=name, bottom=bottom)
            up, down = up + values.clip(min=0), down + values.clip(max=0)
        below.axhline(0, color=INK, lw=0.8)
        label_periods(below, "Movements", currency, part["month"])
        drawn += [above, below]
    return finish(drawn, table, fades=True)
