"""The heat map of retention by cohort: ``payments.capsule.plot.cohorts``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.metrics.churn import ratio
from cpsl_notebook.earnings.plots.axes import (
    INK,
    finish,
    groups,
    panels,
    ratios,
    shades,
    sums,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["cohorts"]

_FEWEST_AGES = 6  # columns that the heat map has room for


def cohorts(
    self: Plots,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    apps: int = 8,
) -> Drawn:
    """Plot the retention of each cohort by age as a heat map.

    Cells of months that have not ended are blank.

    Parameters
    ----------
    basis : {"gross", "net"}, default "gross"
        Amount that counts.
    unit : {"app", "payer"}, default "app"
        ``"app"`` forms cohorts by app, with a panel for each app. ``"payer"`` counts each payer once
        over all apps.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First cohort to show, such as ``"2026-10"``. It does not change the numbers.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    apps : int, default 8
        Number of panels, at most 12, for the largest apps. The others are added up in one panel for
        each currency.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of matplotlib.axes.Axes
        The axes, or an array if there are several.

    Raises
    ------
    UserError
        matplotlib is not installed, or
        `cpsl_notebook.earnings.Earnings.cohorts` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"payer": "ada", "kind": "monthly", "gross_cents": 1500, "fee_cents": 150}
    >>> days = ["2026-01-05", "2026-02-05"]
    >>> payments = payments_frame([("shop", [row | {"paid_at": day} for day in days])])
    >>> axes = payments.capsule.plot.cohorts(as_of="2026-02")
    >>> [text.get_text() for text in axes.texts]
    ['100', '100']
    """
    table = self._earnings.cohorts(basis=basis, unit=unit, tz=tz, since=since, as_of=as_of)
    drawn = []
    parts = groups(table.dropna(subset="retention"), apps=apps, size="payers", add_up=_add_up)
    tall = max((part["cohort"].nunique() for _, _, part in parts), default=0)
    for (axes,), (title, _, part) in panels(parts, height=1.4 + 0.28 * tall):
        cells = part.pivot(index="cohort", columns="age", values="retention").apply(ratios)
        sizes = part.groupby("cohort")["payers"].first()
        values = cells.to_numpy(float)
        axes.imshow(values, cmap=shades(), vmin=0, vmax=1, aspect="auto")
        if values.shape[1] <= 24:  # more columns leave no room for numbers
            for (row, age), share in np.ndenumerate(values):
                if not np.isnan(share):
                    color = "white" if share > 0.75 else "black"
                    text = f"{share:.0%}"[:-1]
                    axes.text(age, row, text, ha="center", va="center", color=color, size=7.5)
        names = [f"{day:%b %Y} ({size})" for day, size in sizes.items()]
        every = math.ceil(0.17 * tall / _room_for_rows(axes))
        axes.set_yticks(range(0, len(names), every), names[::every], fontsize=8.5)
        axes.set_ylim(tall - 0.5, -0.5)
        step = math.ceil(values.shape[1] / 9)
        axes.set_xticks(range(0, values.shape[1], step))
        axes.set_xlim(-0.5, max(values.shape[1], _FEWEST_AGES) - 0.5)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel("months since the first subscription", color=INK)
        titled(axes, f"Subscriber retention in % · {title}")
        drawn.append(axes)
    return finish(drawn, table)


def _add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the cohorts of several apps together, with each payer counted in each app."""
    part = sums(rows, "cohort", "age")
    return part.assign(retention=ratio(part["active_payers"], part["payers"]))


def _room_for_rows(axes: Axes) -> float:
    """Return the approximate height of axes in inches, without titles and labels."""
    down = axes.get_subplotspec().get_gridspec().nrows  # type: ignore[union-attr]
    height: float = axes.figure.get_figheight() / down  # type: ignore[union-attr]
    return height - 1.2
