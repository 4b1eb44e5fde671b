"""``payments.capsule.plot``: a picture of each answer, under the answer's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.plots import current as standings
from cpsl_notebook.earnings.plots import trends as drawings
from cpsl_notebook.errors import UserError

__all__ = ["Plots"]

_PICTURES = {
    name: getattr(module, name) for module in (drawings, standings) for name in module.__all__
}


class Plots:
    r"""Pictures of the answers; needs matplotlib.

    Each takes the options of the answer of its name, and returns the axes as pandas' plots do: one,
    or an array where there are several. Axes in currency show one currency each; months that are not
    final are paler. The background is clear, for light pages and dark ones.

    Examples
    --------
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"paid_at": "2026-01-31", "kind": "one_time", "gross_cents": 4900, "fee_cents": 490}
    >>> axes = payments_frame([("shop", [row])]).capsule.plot.revenue(as_of="2026-02")
    >>> axes.get_title(loc="left"), [label.get_text() for label in axes.get_xticklabels()]
    ('Revenue · USD', ['Jan\n2026', 'Feb'])
    """

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def revenue(self, freq: str = "MS", **options: Any) -> Any:
        """Draw gross sales by app and kind, refunds below zero, and the net as a line."""
        return self._draw("revenue", freq, **options)

    def payers(self, freq: str = "MS", **options: Any) -> Any:
        """Draw new and returning payers, and below them what one pays on average."""
        return self._draw("payers", freq, **options)

    def top_payers(self, n: int = 10, **options: Any) -> Any:
        """Draw the net of each payer as a bar, with its share beside it."""
        return self._draw("top_payers", n, **options)

    def mrr(self, **options: Any) -> Any:
        """Draw what each month closed with, and below it what moved it."""
        return self._draw("mrr", **options)

    def churn(self, **options: Any) -> Any:
        """Draw which part of the revenue was kept, and below it which part of the payers was lost."""
        return self._draw("churn", **options)

    def cohorts(self, **options: Any) -> Any:
        """Draw the retention of each cohort by age as a heat map; what is not over stays blank."""
        return self._draw("cohorts", **options)

    def payouts(self, **options: Any) -> Any:
        """Draw what is not paid out, by state, in parts by age."""
        return self._draw("payouts", **options)

    def reconcile(self, earnings: pd.DataFrame, **options: Any) -> Any:
        """Draw how many findings each check has, by severity."""
        return self._draw("reconcile", earnings, **options)

    def _draw(self, name: str, *what: Any, **options: Any) -> Any:
        if options.pop("money", False):
            raise UserError("A plot is in currency already: leave money= out.")
        table = getattr(self._answers, name)(*what, **options)
        axes = _PICTURES[name](table)
        return axes[0] if len(axes) == 1 else np.array(axes)
