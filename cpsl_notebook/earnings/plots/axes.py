"""Axes that are readable on light and dark pages, with amounts in currency."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.minor_units import exponent
from cpsl_notebook.errors import UserError

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    Drawn: TypeAlias = Axes | npt.NDArray[np.object_]

__all__ = [
    "COLORS",
    "INK",
    "amount",
    "finish",
    "groups",
    "horizontal",
    "in_currency",
    "in_percent",
    "numbers",
    "panels",
    "ratios",
    "room",
    "shades",
    "short",
    "sums",
    "titled",
]

_Part = TypeVar("_Part")
Group: TypeAlias = tuple[str, str, pd.DataFrame]
"""Title, currency and rows of a part of a table."""

INK = "#808080"  # equal contrast to a white and to a dark page
# Jupyter gives a transparent figure a dark background if all tick labels are lighter than middle
# grey, and a light one if all are darker. With labels on both sides it adds no background.
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
_NOTHING = "Nothing to plot: the result has no rows. Check since= and as_of=."
_COLUMNS = 3  # of panels side by side
_PAGE = (15.0, 21.0)  # largest size of a figure, in inches; the shape of a page of paper
_MOST_APPS = 12  # panels that are readable on a page


def panels(
    parts: Sequence[_Part], *, rows: int = 1, height: float = 3.4, across: int = _COLUMNS
) -> Iterator[tuple[list[Axes], _Part]]:
    """Make a panel for each part of a table, on a transparent figure.

    Parameters
    ----------
    parts : sequence
        What the panels will show, one item each.
    rows : int, default 1
        Number of axes in a panel, one below the other.
    height : float, default 3.4
        Height of the axes, in inches. It is less if all panels would not fit on a page.
    across : int, default 3
        Largest number of panels side by side.

    Returns
    -------
    iterator of tuple
        The axes and the part of each panel. Empty if there are no parts.

    Raises
    ------
    UserError
        matplotlib is not installed.
    """
    count = len(parts)
    if not count:
        return iter(())
    across = min(count, across)
    down = math.ceil(count / across)
    width = 7.5 if across == 1 else min(5.0 * across, _PAGE[0])
    grid = _grid(rows * down, across, (width, min(height * rows * down, _PAGE[1])))
    for unused in range(count, across * down):
        for row in range(rows):
            grid[unused // across * rows + row, unused % across].set_visible(False)
    return (
        ([grid[index // across * rows + row, index % across] for row in range(rows)], part)
        for index, part in enumerate(parts)
    )


def groups(
    table: pd.DataFrame,
    by: str | None = None,
    *,
    apps: int = _MOST_APPS,
    size: str = "",
    add_up: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> list[Group]:
    """Split a table by app, segment and currency.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of an analysis.
    by : str, optional
        Column with the segment.
    apps : int, default 12
        Number of groups. The smaller others are combined to one for each currency.
    size : str
        Column by whose sum groups are compared.
    add_up : callable, optional
        Function that combines the rows of several groups; by default, groups are not combined.

    Returns
    -------
    list of tuple
        Title, currency and rows of each group.

    Raises
    ------
    UserError
        *apps* is not a number from 1 to 12.
    """
    if not isinstance(apps, int) or isinstance(apps, bool) or not 1 <= apps <= _MOST_APPS:
        raise UserError(f"apps must be a number from 1 to {_MOST_APPS}, not {apps!r}.")
    keys = [key for key in ("app", by, "currency") if key in table]
    several = table["currency"].nunique() > 1
    found = []
    for key, part in table.groupby(keys, observed=True, dropna=False, sort=True):
        named = dict(zip(keys, key, strict=True))
        currency = str(named["currency"]).replace("nan", "")
        words = [str(named[key]) for key in ("app", by) if key in named]
        words += [currency] if several or not words else []
        found.append((" · ".join(words), currency, part))
    if add_up is None or len(found) <= apps:
        return found
    sizes = [part[size].sum() / 10 ** exponent(currency) for _, currency, part in found]
    largest = np.argsort(np.array(sizes, float), kind="stable")[::-1][:apps]
    rest = [group for place, group in enumerate(found) if place not in largest]
    shown = [group for place, group in enumerate(found) if place in largest]
    for currency in dict.fromkeys(currency for _, currency, _ in rest):
        small = [group for group in rest if group[1] == currency]
        words = [f"{len(small)} others", *([currency] if several else [])]
        combined = add_up(pd.concat([part for _, _, part in small]))
        shown += [(" · ".join(words), currency, combined)] if len(small) > 1 else small
    return shown


def sums(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Add up the numbers of several groups, and keep the state of each period."""
    by = rows.groupby(list(keys), observed=True)
    numeric = rows.columns[[pd.api.types.is_integer_dtype(dtype) for dtype in rows.dtypes]]
    added = by[[name for name in numeric if name not in keys]].sum(min_count=1)
    return (added.assign(state=by["state"].first()) if "state" in rows else added).reset_index()


def in_currency(axis: Any, currency: str) -> None:
    """Label an axis of cents with amounts in currency, at whole cents."""
    import matplotlib.ticker

    one = 10 ** exponent(currency)

    def tick(cents: float, _: object = None) -> str:
        ticks = axis.get_majorticklocs() / one
        low, high = axis.get_view_interval() / one
        largest = max(abs(low), abs(high))
        for size, letter, least in ((1_000_000, "M", 2_000_000), (1_000, "k", 100_000)):
            if cents and largest >= least:
                digits = _digits(ticks / size)
                return _with_symbol(
                    f"{abs(cents) / one / size:,.{digits}f}{letter}", cents, currency
                )
        return amount(cents, currency, None if _digits(ticks) else 0)

    axis.set_major_locator(
        matplotlib.ticker.MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True)
    )
    axis.set_major_formatter(tick)


def horizontal(axes: Axes, names: Sequence[str], currency: str, title: str) -> None:
    """Label axes with horizontal bars of amounts, which are named from top to bottom."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    in_currency(axes.xaxis, currency)
    titled(axes, title)


def in_percent(axis: Any) -> None:
    """Label an axis of shares with percentages."""
    axis.set_major_formatter(
        lambda share, _: f"{share:.{_digits(axis.get_majorticklocs() * 100)}%}"
    )


def _digits(values: npt.NDArray[np.float64]) -> int:
    """Return the number of decimal places that all values need, at most 5."""
    exact = (places for places in range(5) if np.allclose(values, values.round(places), 0, 1e-9))
    return next(exact, 5)


def amount(cents: float, currency: str, digits: int | None = None) -> str:
    """Format cents as an amount in currency, by default with the currency's number of decimals.

    Examples
    --------
    >>> amount(-123456, "USD"), amount(150, "CHF", 0), amount(1500, "JPY")
    ('-$1,234.56', '2 CHF', '1,500 JPY')
    """
    places = exponent(currency)
    digits = places if digits is None else digits
    return _with_symbol(f"{abs(cents) / 10**places:,.{digits}f}", cents, currency)


def _with_symbol(number: str, cents: float, currency: str) -> str:
    sign = "-" if cents < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency}".rstrip()


def shades() -> Colormap:
    """Return a colormap of blues that are all visible on light and dark pages."""
    import matplotlib.colors

    return matplotlib.colors.LinearSegmentedColormap.from_list("", ["#c3d9ef", "#1f5fa8"])


def short(text: object, letters: int = 36) -> str:
    """Shorten a long text in the middle.

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
    """Return the approximate width of axes in inches, without tick labels."""
    across = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    width: float = axes.figure.get_figwidth() / across  # type: ignore[union-attr]
    return width - 0.8


def titled(axes: Axes, title: str) -> None:
    """Add a title above the axes, on two lines if it is long, and a legend below the title."""
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


def finish(drawn: list[Axes], table: pd.DataFrame, *, fades: bool = False) -> Drawn:
    """Add a subtitle with the moment that a plot holds for, and return its axes.

    Parameters
    ----------
    drawn : list of matplotlib.axes.Axes
        All axes of the figure. Without any, a figure is made that says that there is nothing to plot.
    table : pandas.DataFrame
        Result that the plot shows.
    fades : bool, default False
        Whether periods that are not final are drawn paler, which the subtitle then says.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of matplotlib.axes.Axes
        As the plots of pandas return them: the axes, or an array of several.
    """
    if not drawn:
        drawn = [_show_text(_NOTHING)]
    subtitle = f"as of {pd.Timestamp(table.attrs['as_of']):%Y-%m-%d %H:%M} UTC"
    if fades and (table["state"] != "final").any():
        subtitle += ", paler: not final"
    drawn[0].figure.supxlabel(subtitle, fontsize=9, color=INK, x=0.99, ha="right")
    _as_plain_text(drawn[0].figure)
    return drawn[0] if len(drawn) == 1 else np.array(drawn)


def numbers(cents: pd.Series[Any]) -> Any:
    """Return cents or counts as floats for drawing, with 0 for missing values."""
    return cents.astype("Float64").fillna(0).to_numpy(float)


def ratios(values: pd.Series[Any]) -> Any:
    """Return numbers as floats for drawing, with gaps for missing values."""
    return values.astype("Float64").to_numpy(float, na_value=np.nan)


def _grid(rows: int, columns: int, size: tuple[float, float]) -> npt.NDArray[np.object_]:
    """Return the axes of a new figure, whose size is in inches."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise UserError("Plots need matplotlib. Install it with: pip install matplotlib") from None
    figure, grid = plt.subplots(rows, columns, squeeze=False, figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    for axes in grid.flat:
        _style(axes)
    return grid


def _show_text(text: str) -> Axes:
    """Return the axes of a new figure with only a text."""
    axes: Axes = _grid(1, 1, (7.5, 1.2))[0, 0]
    axes.text(0, 0.5, text, color=INK, va="center")
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _as_plain_text(figure: Any) -> None:
    """Show every text as it is: matplotlib reads what is between two dollar signs as a formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)


def _style(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(colors=INK, labelcolor=INK, length=0)
    axes.tick_params(axis="x", labelcolor=_INK_BELOW)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
