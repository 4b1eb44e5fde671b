"""Bars and labels of axes whose horizontal axis is time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.earnings.plots.axes import in_currency, room, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bars", "label_periods"]


def bars(
    axes: Axes, values: Any, states: pd.Series[Any], color: str, *, label: str = "", bottom: Any = 0
) -> None:
    """Draw one bar for each period; periods that are not final are paler."""
    drawn = axes.bar(range(len(values)), values, 0.8, bottom, color=color, label=label or None)
    for bar, state in zip(drawn, states, strict=True):
        bar.set_alpha(1.0 if state == "final" else 0.5)


def label_periods(axes: Axes, title: str, unit: str, days: pd.Series[Any]) -> None:
    """Add title, legend and labels to axes over periods.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes with the periods at 0, 1, 2 and so on.
    title : str
        Title of the axes.
    unit : str
        A currency, ``"%"``, or an empty string for counts.
    days : pandas.Series
        First days of the periods.
    """
    _label_days(axes, days)
    if unit == "%":
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    elif unit:
        in_currency(axes.yaxis, unit)
    titled(axes, title)


def _label_days(axes: Axes, days: pd.Series[Any]) -> None:
    step = math.ceil(len(days) / (room(axes) / 0.75))
    shown = list(range((len(days) - 1) % step, len(days), step))
    monthly = bool((days.dt.day == 1).all())
    names, year = [], None
    for place in shown:
        day = days.iloc[place]
        name = f"{day:%b}" if monthly else f"{day.day} {day:%b}"
        names.append(name if day.year == year else f"{name}\n{day.year}")
        year = day.year
    axes.set_xticks(shown, names)
    axes.set_xlim(-0.7, len(days) - 0.3)
