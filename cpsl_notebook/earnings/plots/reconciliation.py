"""The plot of a reconciliation: ``payments.capsule.plot.reconcile``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.amounts import Unit
from cpsl_notebook.earnings.plots.axes import COLORS, INK, finish, panels, titled

if TYPE_CHECKING:
    from cpsl_notebook.earnings.plots.axes import Drawn
    from cpsl_notebook.earnings.plots.plotter import Plots

__all__ = ["reconcile"]

_SEVERITIES = {"error": "red", "not checked": "orange", "information": "blue", "passed": "teal"}


def reconcile(
    self: Plots,
    earnings: pd.DataFrame,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    strict: bool = False,
    since: Moment | None = None,
    tz: str = "UTC",
) -> Drawn:
    """Plot one dot for each check, in the color of its most severe finding.

    Parameters
    ----------
    earnings : pandas.DataFrame
        Summaries, one row per app, as returned by `cpsl_notebook.Client.get_earnings`.
    roles : mapping of str to str or None, optional
        Columns of *earnings* by role (``gross``, ``fee`` and ``net``), such as
        ``{"gross": "total"}``, if they cannot be found by name.
    amounts : {"cents", "currency"}, optional
        Unit of the columns of *earnings* whose names do not state it.
    strict : bool, default False
        Whether to raise an error unless the payments are balanced.
    since : str, date, datetime or Period, optional
        First day or month whose findings are listed one by one. Findings of earlier payments are
        counted.
    tz : str, default "UTC"
        Time zone of *since*, such as ``"Europe/Berlin"``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    UserError
        matplotlib is not installed, or `cpsl_notebook.earnings.Earnings.reconcile` raises an error.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import earnings_frame, payments_frame
    >>> row = {"payment_id": "p1", "paid_at": "2026-01-31", "gross_cents": 1500, "fee_cents": 140}
    >>> summary = earnings_frame([("shop", {"gross_cents": 1500, "fee_cents": 140})])
    >>> axes = payments_frame([("shop", [row])]).capsule.plot.reconcile(summary)
    >>> axes.get_title(loc="left"), axes.texts[0].get_text()
    ('Reconciliation: not balanced', '1 error: the fee is not 10 %')
    """
    table = self._earnings.reconcile(
        earnings, roles=roles, amounts=amounts, strict=strict, since=since, tz=tz
    )
    checks = list(table.groupby("check", sort=False))
    (((axes,), _),) = panels([checks], height=0.9 + 0.3 * len(checks))
    for place, (_, found) in enumerate(checks):
        severity = str(found["severity"].iloc[0])  # the most severe comes first
        findings = found.loc[found["severity"] == severity, "finding"]
        axes.plot(0.02, place, marker="o", ms=9, color=COLORS[_SEVERITIES[severity]])
        axes.text(0.05, place, _text(severity, findings), color=INK, va="center", fontsize=9)
    axes.set_yticks(range(len(checks)), [str(check) for check, _ in checks])
    axes.set_ylim(len(checks) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0.5], [""])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    verdict = "balanced" if table.attrs["balanced"] == "yes" else "not balanced"
    titled(axes, f"Reconciliation: {verdict}")
    return finish([axes], table)


def _text(severity: str, findings: pd.Series[Any]) -> str:
    """Return one line about the findings of a check."""
    if severity == "passed":
        return "passed"
    count = len(findings)
    prefix = {
        "error": f"{count} error{'s' if count > 1 else ''}",
        "not checked": "not checked",
        "information": f"{count} for information",
    }[severity]
    return textwrap.shorten(f"{prefix}: {findings.iloc[0]}", 84, placeholder=" …")
