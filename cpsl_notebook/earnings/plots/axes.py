"""Axes that read well on a light page and on a dark one, with amounts in currency."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = [
    "COLORS",
    "INK",
    "alphas",
    "amount",
    "caption",
    "groups",
    "in_currency",
    "months",
    "numbers",
    "panels",
    "room",
    "shades",
    "short",
    "titled",
]

INK = "#808080"  # as far from white as from a dark page
# Jupyter puts a dark page behind a clear figure whose tick labels are all lighter than the middle,
# and a light one where all are darker: with some on either side it leaves the page as it is.
_INK_BELOW = "#7e7e7e"
COLORS = {
    "blue": "#3f83c9",
    "light blue": "#7fb2e5",
    "teal": "#2a9d8f",
    "orange": "#e08a2e",
    "red": "#d1495b",
    "violet": "#8e6fc1",
    "olive": "#8f9a3c",
    "grey": "#9a9a9a",
}
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "BRL": "R$", "CAD": "CA$", "AUD": "A$"}
_COLUMNS = 3  # of small multiples


def panels(
    count: int, *, rows: int = 1, height: float = 3.4, across: int = _COLUMNS
) -> list[list[Axes]]:
    """Return *count* panels, each of *rows* axes one below the other, on a clear background.

    Parameters
    ----------
    count
        How many panels.
    rows
        Of how many axes each is.
    height
        That of axes, in inches.
    across
        How many panels stand side by side, at most.

    Raises
    ------
    UserError
        There is nothing to draw, or no matplotlib.
    """
    if not count:
        raise UserError("There is nothing to draw: the answer has no rows.")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise UserError(
            "A plot needs matplotlib: install it with pip install matplotlib, or with this package "
            'as pip install ".[plots]".'
        ) from None
    across = min(count, across)
    down = math.ceil(count / across)
    width = 7.5 if across == 1 else 5.0 * across
    figure, grid = plt.subplots(
        rows * down,
        across,
        squeeze=False,
        figsize=(width, height * rows * down),
        layout="constrained",
    )
    figure.patch.set_alpha(0)
    for axes in grid.flat:
        _plain(axes)
    for unused in range(count, across * down):
        for row in range(rows):
            grid[unused // across * rows + row, unused % across].set_visible(False)
    return [
        [grid[index // across * rows + row, index % across] for row in range(rows)]
        for index in range(count)
    ]


def groups(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Part a table by currency and app: a title, the currency, and the rows of each."""
    keys = [key for key in ("app", "currency") if key in table]
    several = table["currency"].nunique() > 1
    for key, part in table.groupby(keys, observed=True, dropna=False, sort=True):
        named = dict(zip(keys, key, strict=True))
        currency = str(named["currency"]).replace("nan", "")
        words = [str(named["app"])] if "app" in named else []
        words += [currency] if several or not words else []
        yield " · ".join(words), currency, part


def in_currency(axis: Any, currency: str) -> None:
    """Write an axis of cents as amounts of currency."""

    def tick(cents: float, _: object = None) -> str:
        low, high = axis.get_view_interval()
        largest = max(abs(low), abs(high)) / 100
        for size, letter, least in ((1_000_000, "M", 2_000_000), (1_000, "k", 100_000)):
            if cents and largest >= least:
                return _written(f"{abs(cents) / 100 / size:,.4g}{letter}", cents, currency)
        return amount(cents, currency, 0 if high - low >= 500 else 2)

    axis.set_major_formatter(tick)


def amount(cents: float, currency: str, digits: int = 2) -> str:
    """Write cents in currency.

    Examples
    --------
    >>> amount(-123456, "USD"), amount(150, "CHF", 0)
    ('-$1,234.56', '2 CHF')
    """
    return _written(f"{abs(cents) / 100:,.{digits}f}", cents, currency)


def _written(number: str, cents: float, currency: str) -> str:
    sign = "-" if cents < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency}".rstrip()


def shades() -> Colormap:
    """Return shades of blue of which none vanishes on a light page or a dark one."""
    import matplotlib.colors

    return matplotlib.colors.LinearSegmentedColormap.from_list("", ["#c3d9ef", "#1f5fa8"])


def months(axes: Axes, days: pd.Series[Any]) -> None:
    """Name the periods below bars that stand at 0, 1, 2 and so on."""
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


def short(text: object, letters: int = 36) -> str:
    """Return a text, or its beginning and its end.

    Examples
    --------
    >>> short("ada.of.a.very.long.name@a.example", 20)
    'ada.of.a.very.l…mple'
    """
    text = str(text)
    if len(text) <= letters:
        return text
    kept = letters * 3 // 4
    return f"{text[:kept]}…{text[kept + 1 - letters :]}"


def room(axes: Axes) -> float:
    """Return about how wide axes are, in inches, without what stands beside them."""
    across = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    width: float = axes.figure.get_figwidth() / across  # type: ignore[union-attr]
    return width - 0.8


def titled(axes: Axes, title: str) -> None:
    """Put a title above the axes, on two lines where one is too short, and below it a legend."""
    if len(title) > room(axes) / 0.1:
        title = "\n".join(short(part, int(room(axes) / 0.1)) for part in title.split(" · ", 1))
    labels = axes.get_legend_handles_labels()[1]
    lines = 0
    if labels:
        width = room(axes) + 0.4
        one_line = sum(0.5 + 0.068 * len(label) for label in labels) < width
        columns = max(1, int(width / (0.45 + 0.07 * max(map(len, labels)))))
        columns = len(labels) if one_line else columns
        lines = math.ceil(len(labels) / columns)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=columns,
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            handlelength=1.2,
            columnspacing=1.2,
            borderaxespad=0.1,
            borderpad=0.2,
        )
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold", pad=6 + 17 * lines)


def caption(axes: Axes, table: pd.DataFrame) -> None:
    """Say below the figure for which moment it holds, and what is not final."""
    said = []
    if "as_of" in table.attrs:
        said.append(f"as of {pd.Timestamp(table.attrs['as_of']):%Y-%m-%d %H:%M} UTC")
    if "state" in table and (table["state"] != "final").any():
        said.append("paler: not final")
    if said and axes.figure is not None:
        axes.figure.supxlabel(", ".join(said), fontsize=9, color=INK, x=0.99, ha="right")


def alphas(states: pd.Series[Any]) -> list[float]:
    """Return how solid each period is drawn."""
    return [1.0 if state == "final" else 0.5 for state in states]


def numbers(cents: pd.Series[Any]) -> Any:
    """Return cents or counts as floats: only for drawing, missing ones as none."""
    return cents.astype("Float64").fillna(0).to_numpy(float)


def _plain(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(colors=INK, labelcolor=INK, length=0)
    axes.tick_params(axis="x", labelcolor=_INK_BELOW)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
