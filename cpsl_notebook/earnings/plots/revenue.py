"""The plot of revenue: ``payments.capsule.plot.revenue``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.plots.axes import (
    COLORS,
    INK,
    finish,
    groups,
    numbers,
    panels,
    short,
)
from cpsl_notebook.earnings.plots.time_axis import bars, label_periods

if TYPE_CHECKING:
    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["revenue"]

_SOURCES = ("blue", "teal", "orange", "violet", "olive", "grey")


def revenue(
    self: Plots,
    freq: str = "MS",
    *,
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    by: str | None = None,
    apps: int = 8,
) -> Drawn:
    r"""Plot gross sales by app and kind, refunds below zero, and net revenue as a line.

    Each currency has a panel. The smallest of many sources are combined as "others".

    Parameters
    ----------
    freq : {"MS", "D", "W", "QS", "YS"}, default "MS"
        Length of a period: a month, a day, a week from Monday to Sunday, a quarter or a year.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First day or month to show, such as ``"2026-10"``.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    by : str, optional
        Column of the payments, such as ``"country"``, with a panel for each of its values.
    apps : int, default 8
        Number of panels, at most 12, for the largest values of *by*. The others are added up in one
        panel for each currency.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of matplotlib.axes.Axes
        The axes, or an array if there are several.

    Raises
    ------
    UserError
        matplotlib is not installed, or
        `cpsl_notebook.earnings.Earnings.revenue` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"paid_at": "2026-01-31", "kind": "one_time", "gross_cents": 4900, "fee_cents": 490}
    >>> axes = payments_frame([("shop", [row])]).capsule.plot.revenue(as_of="2026-02")
    >>> axes.get_title(loc="left"), [label.get_text() for label in axes.get_xticklabels()]
    ('Revenue · USD', ['Jan\n2026', 'Feb'])
    """
    table = self._earnings.revenue(freq, tz=tz, since=since, as_of=as_of, by=by)
    drawn = []
    parts = groups(
        table.drop(columns="app"), by, apps=apps, size="gross_cents", add_up=lambda rows: rows
    )
    for (axes,), (title, currency, part) in panels(parts, height=3.4 if len(parts) == 1 else 4.2):
        rows = table.loc[part.index]
        per = rows.groupby("period", observed=True)
        net, states = per["net_cents"].sum(min_count=1), per["state"].first()
        bottom, below = np.zeros(len(net)), numbers(per["refunds_cents"].sum())
        for (name, gross), color in zip(_sources(rows), _SOURCES, strict=False):
            label = name if gross.any() else ""
            bars(axes, gross, states, COLORS[color], label=label, bottom=bottom)
            bottom = bottom + gross
        bars(axes, below, states, COLORS["red"], label="refunds" if below.any() else "")
        # The white line below it makes the grey one visible on bars of any color.
        axes.plot(range(len(net)), numbers(net), color="white", lw=3.5)
        axes.plot(range(len(net)), numbers(net), color=INK, lw=1.7, marker="o", ms=4, label="net")
        label_periods(axes, f"Revenue · {title}", currency, net.index.to_series())
        drawn.append(axes)
    return finish(drawn, table, fades=True)


def _sources(rows: pd.DataFrame) -> list[tuple[str, Any]]:
    """Return the gross amounts of each app and kind by period, the smallest of many combined."""
    by = rows.groupby(["app", "kind"], observed=True, dropna=False)["gross_cents"]
    named = [
        (f"{short(app, 26)}, {str(kind).replace('_', '-')}", numbers(own))
        for (app, kind), own in by
    ]
    if len(named) <= len(_SOURCES):
        return named
    named.sort(key=lambda source: source[1].sum(), reverse=True)
    most = len(_SOURCES) - 1
    return [*named[:most], ("others", sum(gross for _, gross in named[most:]))]
