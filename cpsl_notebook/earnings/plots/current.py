"""Pictures of how things stand: each takes what the answer of its name returns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.plots.axes import (
    COLORS,
    INK,
    amount,
    caption,
    groups,
    in_currency,
    numbers,
    panels,
    room,
    shades,
    short,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cohorts", "payouts", "reconcile", "top_payers"]

_AGES = {
    "days_0_7_cents": ("0–7 days", "teal"),
    "days_8_30_cents": ("8–30 days", "light blue"),
    "days_31_90_cents": ("31–90 days", "orange"),
    "days_over_90_cents": ("over 90 days", "red"),
}
_SEVERITIES = {"error": "red", "not checked": "orange", "information": "blue", "passed": "teal"}


def top_payers(table: pd.DataFrame) -> list[Axes]:
    """Draw the net of each payer as a bar, with its share beside it."""
    drawn = []
    parts = list(groups(table))
    height = 0.9 + 0.32 * max((len(part) for _, _, part in parts), default=0)
    for (axes,), (title, currency, part) in zip(
        panels(len(parts), height=height, across=1), parts, strict=True
    ):
        values = numbers(part["net_cents"])
        axes.barh(range(len(part)), values, color=COLORS["blue"], height=0.7)
        for place, (value, share) in enumerate(zip(values, part["share"], strict=True)):
            said = "" if pd.isna(share) else f" {share:.1%}"
            axes.text(max(value, 0), place, said, color=INK, va="center", fontsize=9)
        axes.set_yticks(range(len(part)), [short(payer) for payer in part["payer"]])
        axes.invert_yaxis()
        axes.margins(x=0.12)
        _lying(axes)
        in_currency(axes.xaxis, currency)
        titled(axes, f"Top payers by net · {title}")
        drawn.append(axes)
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
        axes.imshow(values, cmap=shades(), vmin=0, vmax=1, aspect="auto")
        small = values.shape[1] > 24
        for (row, age), share in np.ndenumerate(values):
            if not np.isnan(share) and not small:
                color = "white" if share > 0.75 else "black"
                axes.text(
                    age, row, f"{share:.0%}"[:-1], ha="center", va="center", color=color, size=7.5
                )
        names = [f"{day:%b %Y} ({size})" for day, size in sizes.items()]
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
        axes.set_ylim(tall - 0.5, -0.5)
        axes.locator_params(axis="x", integer=True, nbins=9)
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
            values = numbers(part[name])
            start = np.where(values >= 0, right, left)
            axes.barh(range(len(part)), values, left=start, color=COLORS[color], label=label)
            right, left = right + values.clip(min=0), left + values.clip(max=0)
        for place, (cents, days) in enumerate(
            zip(part["net_cents"], part["oldest_days"], strict=True)
        ):
            said = f" {amount(cents, currency)}\n oldest: {days} days"
            axes.text(right[place], place, said, color=INK, va="center", fontsize=8.5)
        axes.set_xlim(min(left.min() * 1.05, 0), max(right.max(), 1) * 1.5)
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
    """Draw a light for each check, in the color of the worst that it found, with what that was."""
    checks = list(table.groupby("check", sort=False))
    ((axes,),) = panels(min(len(checks), 1), height=0.9 + 0.3 * len(checks))
    for place, (_, found) in enumerate(checks):
        severity = str(found["severity"].iloc[0])  # the worst comes first
        of_it = found.loc[found["severity"] == severity, "finding"]
        axes.plot(0.02, place, marker="o", ms=9, color=COLORS[_SEVERITIES[severity]])
        axes.text(0.05, place, _found(severity, of_it), color=INK, va="center", fontsize=9)
    axes.set_yticks(range(len(checks)), [str(check) for check, _ in checks])
    axes.set_ylim(len(checks) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0.5], [""])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    balanced = {"yes": ": balanced", "no": ": not balanced"}
    titled(axes, f"Reconciliation{balanced.get(table.attrs.get('balanced', ''), '')}")
    caption(axes, table)
    return [axes]


def _found(severity: str, findings: pd.Series[Any]) -> str:
    """Say in a line what a check found."""
    count = len(findings)
    words = {
        "error": f"{count} error{'s' if count > 1 else ''}: ",
        "not checked": "not checked: ",
        "information": f"{count} for information: ",
        "passed": "",
    }[severity]
    said = "passed" if severity == "passed" else str(findings.iloc[0])
    return textwrap.shorten(words + said, 84, placeholder=" …")


def _lying(axes: Axes) -> None:
    """Turn the grid for bars that lie."""
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.8)
    axes.locator_params(axis="x", nbins=int(room(axes)))
