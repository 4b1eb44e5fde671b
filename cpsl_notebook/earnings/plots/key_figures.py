"""The plot of the key figures: ``payments.capsule.plot.metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.metrics.key_figures import ALL_APPS
from cpsl_notebook.earnings.plots.axes import COLORS, finish, groups, panels, ratios, sums
from cpsl_notebook.earnings.plots.time_axis import bars, label_periods, line

if TYPE_CHECKING:
    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["metrics"]

_CURRENCY = "currency"
_FIGURES = {  # title: unit, and the columns with their labels and colors
    "MRR": (_CURRENCY, {"mrr_cents": ("", "blue")}),
    "Payers": ("", {"payers": ("", "teal")}),
    "Payer churn": ("%", {"payer_churn": ("", "red")}),
    "Quick ratio": ("", {"quick_ratio": ("", "violet")}),
    "Yearly retention": (
        "%",
        {"net_retention_12m": ("net", "teal"), "gross_retention_12m": ("gross", "blue")},
    ),
    "Lifetime value": (_CURRENCY, {"lifetime_value_cents": ("", "orange")}),
}
_FEW = 3  # apps whose axes are in two rows
_AS_BARS = ("MRR", "Payers", "Payer churn")


def metrics(
    self: Plots,
    *,
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    apps: int = 8,
) -> Drawn:
    """Plot the key figures by month, with six axes for each app and for all apps together.

    If there is only one app, the axes for all apps are left out. ARR and MRR per payer are not drawn,
    because they follow from MRR and payers.

    Parameters
    ----------
    basis : {"gross", "net"}, default "gross"
        Amount that counts. The lifetime value is always net of fees.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First month to show, such as ``"2026-01"``. Defaults to the last 13 months. It does not
        change the numbers.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    apps : int, default 8
        Number of apps, at most 12, the largest ones. The others are added up; of these, only MRR and
        payers are drawn.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of matplotlib.axes.Axes
        The axes, or an array if there are several.

    Raises
    ------
    UserError
        matplotlib is not installed, or `cpsl_notebook.earnings.Earnings.metrics` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"payer": "ada", "kind": "monthly", "gross_cents": 1500, "fee_cents": 150}
    >>> days = ["2026-01-05", "2026-02-05"]
    >>> payments = payments_frame([("shop", [row | {"paid_at": day} for day in days])])
    >>> axes = payments.capsule.plot.metrics(as_of="2026-02")
    >>> [each.get_title(loc="left") for each in axes[:3]]
    ['MRR · shop', 'Payers · shop', 'Payer churn · shop']
    """
    table = self._earnings.metrics(basis=basis, tz=tz, since=since, as_of=as_of)
    shown = table
    if table["app"].nunique() == 2:
        shown = table[table["app"] != ALL_APPS]
    is_total = shown["app"] == ALL_APPS
    of_apps = groups(shown[~is_total], apps=apps, size="mrr_cents", add_up=_add_up)
    found = of_apps + groups(shown[is_total])
    one_row = {"across": len(_FIGURES)} if len(found) > _FEW else {}
    parts = [(name, *group) for group in found for name in _FIGURES]
    drawn = []
    for (axes,), (name, title, currency, part) in panels(parts, height=2.4, **one_row):
        if not set(_FIGURES[name][1]) <= set(part.columns):
            axes.set_visible(False)
            continue
        unit, columns = _FIGURES[name]
        for column, (label, color) in columns.items():
            values = ratios(part[column])
            if name in _AS_BARS:
                bars(axes, values, part["state"], COLORS[color])
            else:
                line(axes, values, COLORS[color], label=label)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", integer=name == "Payers")
        unit = currency if unit == _CURRENCY else unit
        label_periods(axes, f"{name} · {title}", unit, part["month"])
        drawn.append(axes)
    return finish(drawn, table, fades=True)


def _add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the MRR and the payers of several apps together; the ratios are unknown."""
    return sums(rows, "month")[["month", "mrr_cents", "payers", "state"]]
