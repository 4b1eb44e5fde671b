"""Bars and labels of axes whose horizontal axis is time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.plots.axes import INK, in_currency, in_percent, room, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bars", "label_periods", "line"]

_FEWEST = 6  # periods that axes have room for, so that a single bar is not too wide


def bars(
    axes: Axes, values: Any, states: pd.Series[Any], color: str, *, label: str = "", bottom: Any = 0
) -> None:
    """Draw one bar for each period; periods that are not final are paler."""
    drawn = axes.bar(range(len(values)), values, 0.8, bottom, color=color, label=label or None)
    for bar, state in zip(drawn, states, strict=True):
        bar.set_alpha(1.0 if state == "final" else 0.5)


def line(axes: Axes, values: Any, color: str, *, label: str = "") -> None:
    """Draw a line over the periods, with gaps for missing values."""
    axes.plot(range(len(values)), values, color=color, marker="o", ms=3.5, label=label or None)


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
        in_percent(axes.yaxis)
    elif unit:
        in_currency(axes.yaxis, unit)
    titled(axes, title)
    heights = [bar.get_height() for bars in axes.containers for bar in bars]
    drawn = np.concatenate([heights, *(each.get_ydata() for each in axes.lines)])
    if not np.isfinite(drawn.astype(float)).any():
        axes.text(0.5, 0.5, "no values yet", color=INK, ha="center", transform=axes.transAxes)
        axes.set_yticks([])


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
    spare = max(_FEWEST - len(days), 0) / 2
    axes.set_xlim(-0.7 - spare, len(days) - 0.3 + spare)
