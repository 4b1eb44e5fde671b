"""Pictures of the answers: each takes what the answer of its name returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.canvas import (
    COLORS,
    INK,
    alphas,
    caption,
    groups,
    in_currency,
    months,
    panels,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["churn", "cohorts", "mrr", "payers", "payouts", "reconcile", "revenue", "top_payers"]

_MOVEMENTS = {
    "new": "teal",
    "expansion": "light blue",
    "reactivation": "violet",
    "contraction": "orange",
    "churn": "red",
}
_AGES = {
    "days_0_7_cents": ("0–7 days", "teal"),
    "days_8_30_cents": ("8–30 days", "light blue"),
    "days_31_90_cents": ("31–90 days", "orange"),
    "days_over_90_cents": ("over 90 days", "red"),
}
_SEVERITIES = {"error": "red", "not checked": "orange", "information": "blue", "passed": "teal"}


def revenue(table: pd.DataFrame) -> list[Axes]:
    """Draw gross sales by app and kind, refunds below zero, and the net as a line."""
    drawn = []
    parts = list(groups(table.drop(columns="app")))
    for (axes,), (title, currency, part) in zip(panels(len(parts)), parts, strict=True):
        rows = table.loc[part.index]
        per = rows.groupby("period", observed=True)
        net, states = per["net_cents"].sum(min_count=1), per["state"].first()
        series = list(rows.groupby(["app", "kind"], observed=True, dropna=False))
        colors = [color for name, color in COLORS.items() if name not in ("red", "light blue")]
        bottom, below = np.zeros(len(net)), np.zeros(len(net))
        for number, ((app, kind), own) in enumerate(series):
            color = colors[number % len(colors)]
            gross, back = _numbers(own["gross_cents"]), _numbers(own["refunds_cents"])
            name = f"{app}, {_words(kind)}"
            _bars(axes, gross, states, color, name if gross.any() else "", bottom)
            first = back.any() and not below.any()
            _bars(axes, back, states, COLORS["red"], "refunds" if first else "", below)
            bottom, below = bottom + gross, below + back
        axes.plot(range(len(net)), _numbers(net), color="white", lw=3.5)  # seen on any color
        axes.plot(range(len(net)), _numbers(net), color=INK, lw=1.7, marker="o", ms=4, label="net")
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
            values = _numbers(part[name])
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


def top_payers(table: pd.DataFrame) -> list[Axes]:
    """Draw the net of each payer as a bar, with its share beside it."""
    drawn = []
    parts = list(groups(table))
    height = 0.9 + 0.32 * max((len(part) for _, _, part in parts), default=0)
    for (axes,), (title, currency, part) in zip(
        panels(len(parts), height=height), parts, strict=True
    ):
        values = _numbers(part["net_cents"])
        bars = axes.barh(range(len(part)), values, color=COLORS["blue"], height=0.7)
        shares = ["" if pd.isna(share) else f" {share:.1%}" for share in part["share"]]
        axes.bar_label(bars, shares, color=INK, fontsize=9, padding=2)
        axes.set_yticks(range(len(part)), list(part["payer"]))
        axes.invert_yaxis()
        axes.margins(x=0.12)
        _lying(axes)
        in_currency(axes.xaxis, currency)
        titled(axes, f"Top payers by net · {title}")
        drawn.append(axes)
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
        _bars(above, _numbers(part["closing_cents"]), states, COLORS["blue"], "", 0)
        _finish(above, f"Monthly recurring revenue · {title}", currency, part["month"])
        up, down = np.zeros(len(part)), np.zeros(len(part))
        for name, color in _MOVEMENTS.items():
            values = _numbers(part[f"{name}_cents"])
            base = np.where(values >= 0, up, down)
            _bars(below, values, states, COLORS[color], name, base)
            up, down = up + values.clip(min=0), down + values.clip(max=0)
        below.axhline(0, color=INK, lw=0.8)
        _finish(below, "", currency, part["month"])
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


def cohorts(table: pd.DataFrame) -> list[Axes]:
    """Draw the retention of each cohort by age as a heat map; what is not over stays blank."""
    drawn = []
    parts = list(groups(table.dropna(subset="retention")))
    tall = max((part["cohort"].nunique() for _, _, part in parts), default=0)
    for (axes,), (title, _, part) in zip(
        panels(len(parts), height=1.4 + 0.28 * tall), parts, strict=True
    ):
        cells = part.pivot(index="cohort", columns="age", values="retention").astype("Float64")
        sizes = part.groupby("cohort")["payers"].first()
        values = cells.to_numpy(float, na_value=np.nan)
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        small = values.shape[1] > 24
        for (row, age), share in np.ndenumerate(values):
            if not np.isnan(share) and not small:
                color = "white" if share > 0.55 else "black"
                axes.text(
                    age, row, f"{share:.0%}"[:-1], ha="center", va="center", color=color, size=7.5
                )
        names = [f"{day:%b %Y} ({size})" for day, size in sizes.items()]
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel("months since the first monthly payment", color=INK)
        titled(axes, f"Subscribers kept, in % · {title}")
        drawn.append(axes)
    caption(drawn[0], table.drop(columns="state"))
    return drawn


def payouts(table: pd.DataFrame) -> list[Axes]:
    """Draw what is not paid out, by state, in parts by age."""
    drawn = []
    parts = list(groups(table))
    tall = max((len(part) for _, _, part in parts), default=0)
    for (axes,), (title, currency, part) in zip(
        panels(len(parts), height=1.3 + 0.45 * tall), parts, strict=True
    ):
        right, left = np.zeros(len(part)), np.zeros(len(part))
        for name, (label, color) in _AGES.items():
            values = _numbers(part[name])
            start = np.where(values >= 0, right, left)
            axes.barh(range(len(part)), values, left=start, color=COLORS[color], label=label)
            right, left = right + values.clip(min=0), left + values.clip(max=0)
        axes.set_yticks(range(len(part)), list(part["payout_state"].astype(str)))
        axes.invert_yaxis()
        axes.axvline(0, color=INK, lw=0.8)
        _lying(axes)
        in_currency(axes.xaxis, currency)
        titled(axes, f"Not paid out, net · {title}")
        drawn.append(axes)
    caption(drawn[0], table)
    return drawn


def reconcile(table: pd.DataFrame) -> list[Axes]:
    """Draw how many findings each check has, by severity."""
    counts = table.groupby(["check", "severity"], observed=True).size().unstack(fill_value=0)
    ((axes,),) = panels(min(len(counts), 1), height=1.3 + 0.3 * len(counts))
    start = np.zeros(len(counts))
    for severity, color in _SEVERITIES.items():
        if severity in counts:
            values = counts[severity].to_numpy(float)
            axes.barh(range(len(counts)), values, left=start, color=COLORS[color], label=severity)
            start += values
    axes.set_yticks(range(len(counts)), list(counts.index.astype(str)))
    axes.invert_yaxis()
    axes.locator_params(axis="x", integer=True)
    _lying(axes)
    balanced = {"yes": ": balanced", "no": ": not balanced"}.get(
        table.attrs.get("balanced", ""), ""
    )
    titled(axes, f"Reconciliation{balanced}")
    caption(axes, table)
    return [axes]


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


def _lying(axes: Axes) -> None:
    """Turn the grid for bars that lie."""
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.8)


def _numbers(cents: pd.Series[Any]) -> Any:
    """Return cents or counts as floats: only for drawing, missing ones as none."""
    return cents.astype("Float64").fillna(0).to_numpy(float)


def _rates(rates: pd.Series[Any]) -> Any:
    return rates.to_numpy(float, na_value=np.nan)


def _words(kind: object) -> str:
    return str(kind).replace("_", "-")
