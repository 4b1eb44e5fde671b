"""The plot of pending payouts: ``payments.capsule.plot.payouts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.plots.axes import (
    COLORS,
    INK,
    amount,
    finish,
    groups,
    horizontal,
    numbers,
    panels,
    short,
    sums,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["payouts"]

_AGES = {
    "days_0_7_cents": ("0–7 days", "teal"),
    "days_8_30_cents": ("8–30 days", "light blue"),
    "days_31_90_cents": ("31–90 days", "orange"),
    "days_over_90_cents": ("over 90 days", "red"),
}
_MOST_PAYOUTS = 20  # bars


def payouts(
    self: Plots,
    *,
    as_of: Moment | None = None,
    tz: str = "UTC",
    by: str = "payout_state",
    apps: int = 8,
) -> Drawn:
    """Plot the net amounts that are not paid out, by payout state and age, or those of each payout.

    By state, each app and currency has a panel; by payout id, each currency. Of many payouts, the
    last 20 are shown.

    Parameters
    ----------
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    tz : str, default "UTC"
        Time zone whose calendar days count for ages, such as ``"Europe/Berlin"``.
    by : {"payout_state", "payout_id"}, default "payout_state"
        What the bars are.
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
        `cpsl_notebook.earnings.Earnings.payouts` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"gross_cents": 1500, "fee_cents": 150, "payout_state": "In progress"}
    >>> payments = payments_frame([("shop", [row | {"paid_at": "2026-01-30"}])])
    >>> axes = payments.capsule.plot.payouts(as_of="2026-01")
    >>> axes.texts[0].get_text().splitlines()
    [' $13.50', ' oldest: 1 day']
    """
    table = self._earnings.payouts(as_of=as_of, tz=tz, by=by)
    drawn = _draw_payouts(table) if by == "payout_id" else _draw_states(table, apps)
    return finish(drawn, table)


def _draw_states(table: pd.DataFrame, apps: int) -> list[Axes]:
    drawn = []
    parts = groups(table, apps=apps, size="net_cents", add_up=_add_up)
    tall = max((len(part) for _, _, part in parts), default=0)
    for (axes,), (title, currency, part) in panels(parts, height=1.3 + 0.45 * tall):
        right, left = np.zeros(len(part)), np.zeros(len(part))
        for name, (label, color) in _AGES.items():
            values = numbers(part[name])
            start = np.where(values >= 0, right, left)
            axes.barh(range(len(part)), values, left=start, color=COLORS[color], label=label)
            right, left = right + values.clip(min=0), left + values.clip(max=0)
        for place, (cents, days) in enumerate(
            zip(part["net_cents"], part["oldest_days"], strict=True)
        ):
            text = f" {amount(cents, currency)}\n oldest: {days} {'day' if days == 1 else 'days'}"
            axes.text(right[place], place, text, color=INK, va="center", fontsize=8.5)
        axes.set_xlim(min(left.min() * 1.05, 0), max(right.max(), 1) * 1.5)
        axes.axvline(0, color=INK, lw=0.8)
        names = list(part["payout_state"].astype(str))
        horizontal(axes, names, currency, f"Not paid out, net · {title}")
        drawn.append(axes)
    return drawn


def _add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the amounts of several apps together."""
    oldest = rows.groupby("payout_state")["oldest_days"].max()
    part = sums(rows, "payout_state")
    return part.assign(oldest_days=part["payout_state"].map(oldest))


def _draw_payouts(table: pd.DataFrame) -> list[Axes]:
    drawn = []
    parts = [(name, currency, part.tail(_MOST_PAYOUTS)) for name, currency, part in groups(table)]
    tall = max((len(part) for _, _, part in parts), default=0)
    for (axes,), (title, currency, part) in panels(parts, height=1.0 + 0.3 * tall, across=1):
        axes.barh(range(len(part)), numbers(part["net_cents"]), color=COLORS["blue"], height=0.7)
        names = [
            "in no payout"
            if pd.isna(name)
            else short(name)
            if pd.isna(day)
            else f"{day.day} {day:%b %Y}, {short(name)}"
            for name, day in zip(part["payout_id"], part["payout_at"], strict=True)
        ]
        axes.axvline(0, color=INK, lw=0.8)
        horizontal(axes, names, currency, f"Payouts, net · {title}")
        drawn.append(axes)
    return drawn
