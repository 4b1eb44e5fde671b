"""Pictures of what happened month by month: each takes what the answer of its name returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.plots.axes import (
    COLORS,
    INK,
    alphas,
    caption,
    groups,
    in_currency,
    months,
    numbers,
    panels,
    short,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["churn", "mrr", "payers", "revenue"]

_MOVEMENTS = {
    "new": "teal",
    "expansion": "light blue",
    "reactivation": "violet",
    "contraction": "orange",
    "churn": "red",
}
_SOURCES = ("blue", "teal", "orange", "violet", "olive", "grey")


def revenue(table: pd.DataFrame) -> list[Axes]:
    """Draw gross sales by app and kind, refunds below zero, and the net as a line."""
    drawn = []
    parts = list(groups(table.drop(columns="app")))
    for (axes,), (title, currency, part) in zip(
        panels(len(parts), height=3.4 if len(parts) == 1 else 4.2), parts, strict=True
    ):
        rows = table.loc[part.index]
        per = rows.groupby("period", observed=True)
        net, states = per["net_cents"].sum(min_count=1), per["state"].first()
        bottom, below = np.zeros(len(net)), numbers(per["refunds_cents"].sum())
        for (name, gross), color in zip(_sources(rows), _SOURCES, strict=False):
            _bars(axes, gross, states, COLORS[color], name if gross.any() else "", bottom)
            bottom = bottom + gross
        _bars(axes, below, states, COLORS["red"], "refunds" if below.any() else "", 0)
        axes.plot(range(len(net)), numbers(net), color="white", lw=3.5)  # seen on any color
        axes.plot(range(len(net)), numbers(net), color=INK, lw=1.7, marker="o", ms=4, label="net")
        _finish(axes, f"Revenue · {title}", currency, net.index.to_series())
        drawn.append(axes)
    caption(drawn[0], table)
    return drawn


def payers(table: pd.DataFrame) -> list[Axes]:
    """Draw new and returning payers, and below them what one pays on average."""
    drawn = []
    parts = list(groups(table))
    for (above, below), (title, currency, part) in zip(
        panels(len(parts), rows=2, height=2.6), parts, strict=True
    ):
        known = part["new_payers"].notna().all()
        stack = {"returning_payers": "blue", "new_payers": "teal"}
        if not known:
            stack = {"active_payers": "blue"}
        bottom = np.zeros(len(part))
        for name, color in stack.items():
            values = numbers(part[name])
            label = name.removesuffix("_payers")
            _bars(above, values, part["state"], COLORS[color], label, bottom)
            bottom = bottom + values
        _finish(above, f"Payers · {title}", "", part["period"])
        above.locator_params(axis="y", integer=True)
        average = part["arpp_cents"].astype("Float64").to_numpy(float, na_value=np.nan)
        below.plot(range(len(part)), average, color=COLORS["violet"], marker="o", ms=3.5)
        below.set_ylim(0, max(float(np.nanmax(average, initial=0)) * 1.15, 100))
        _finish(below, "Average revenue per payer", currency, part["period"])
        drawn += [above, below]
    caption(drawn[0], table)
    return drawn


def mrr(table: pd.DataFrame) -> list[Axes]:
    """Draw what each month closed with, and below it what moved it."""
    drawn = []
    parts = list(groups(table))
    for (above, below), (title, currency, part) in zip(
        panels(len(parts), rows=2, height=2.8), parts, strict=True
    ):
        states = part["state"]
        _bars(above, numbers(part["closing_cents"]), states, COLORS["blue"], "", 0)
        _finish(above, f"Monthly recurring revenue · {title}", currency, part["month"])
        up, down = np.zeros(len(part)), np.zeros(len(part))
        for name, color in _MOVEMENTS.items():
            values = numbers(part[f"{name}_cents"])
            base = np.where(values >= 0, up, down)
            _bars(below, values, states, COLORS[color], name, base)
            up, down = up + values.clip(min=0), down + values.clip(max=0)
        below.axhline(0, color=INK, lw=0.8)
        _finish(below, "What moved it", currency, part["month"])
        drawn += [above, below]
    caption(drawn[0], table)
    return drawn


def churn(table: pd.DataFrame) -> list[Axes]:
    """Draw which part of the revenue was kept, and below it which part of the payers was lost."""
    drawn = []
    parts = list(groups(table))
    for (above, below), (title, _, part) in zip(
        panels(len(parts), rows=2, height=2.6), parts, strict=True
    ):
        place = range(len(part))
        lines = {"net_retention": "teal", "gross_retention": "blue"}
        for name, color in lines.items():
            label = name.replace("_", " ")
            above.plot(
                place, _rates(part[name]), color=COLORS[color], marker="o", ms=3.5, label=label
            )
        above.axhline(1, color=INK, lw=0.8, ls="--")
        _finish(above, f"Retention · {title}", "%", part["month"])
        lost = np.nan_to_num(_rates(part["payer_churn"]))
        _bars(below, lost, part["state"], COLORS["red"], "", 0)
        _finish(below, "Payers churned, of those at opening", "%", part["month"])
        drawn += [above, below]
    caption(drawn[0], table)
    return drawn


def _bars(
    axes: Axes, values: Any, states: pd.Series[Any], color: str, label: str, bottom: Any
) -> None:
    bars = axes.bar(range(len(values)), values, 0.8, bottom, color=color, label=label or None)
    for bar, alpha in zip(bars, alphas(states), strict=True):
        bar.set_alpha(alpha)


def _finish(axes: Axes, title: str, unit: str, days: pd.Series[Any]) -> None:
    """Title, scale and legend of axes over periods; the unit is a currency, ``%`` or a count."""
    months(axes, days)
    if unit == "%":
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    elif unit:
        in_currency(axes.yaxis, unit)
    titled(axes, title)


def _sources(rows: pd.DataFrame) -> list[tuple[str, Any]]:
    """Return the gross of each app and kind by period; of many, the smallest together."""
    by = rows.groupby(["app", "kind"], observed=True, dropna=False)["gross_cents"]
    named = [(f"{short(app, 26)}, {_words(kind)}", numbers(own)) for (app, kind), own in by]
    if len(named) <= len(_SOURCES):
        return named
    named.sort(key=lambda source: source[1].sum(), reverse=True)
    most = len(_SOURCES) - 1
    return [*named[:most], ("others", sum(gross for _, gross in named[most:]))]


def _rates(rates: pd.Series[Any]) -> Any:
    return rates.to_numpy(float, na_value=np.nan)


def _words(kind: object) -> str:
    return str(kind).replace("_", "-")
