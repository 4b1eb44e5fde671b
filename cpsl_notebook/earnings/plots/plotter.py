"""``payments.capsule.plot``: a table of contents of the plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpsl_notebook.earnings.plots.churn import churn
from cpsl_notebook.earnings.plots.cohorts import cohorts
from cpsl_notebook.earnings.plots.key_figures import metrics
from cpsl_notebook.earnings.plots.mrr import mrr
from cpsl_notebook.earnings.plots.payers import payers, top_payers
from cpsl_notebook.earnings.plots.payouts import payouts
from cpsl_notebook.earnings.plots.reconciliation import reconcile
from cpsl_notebook.earnings.plots.revenue import revenue

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["Plots"]


class Plots:
    r"""Plots of the analyses, available as ``payments.capsule.plot``. They need matplotlib.

    Each plot shows the result of the analysis with the same name, and takes its options except
    ``money``. It returns the axes as the plots of pandas do: one, or an array of several. Amounts
    are in currency, and each currency has its own axes. Months that are not final are paler. The
    figure is transparent, for light and dark pages, and its subtitle names the moment it holds for.

    Parameters
    ----------
    earnings : cpsl_notebook.earnings.Earnings
        The accessor of the payments.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"paid_at": "2026-01-31", "kind": "one_time", "gross_cents": 4900, "fee_cents": 490}
    >>> axes = payments_frame([("shop", [row])]).capsule.plot.revenue(as_of="2026-02")
    >>> axes.figure.get_supxlabel()
    'as of 2026-03-01 00:00 UTC, paler: not final'
    """

    def __init__(self, earnings: Earnings) -> None:
        self._earnings = earnings

    metrics = metrics
    revenue = revenue
    payers = payers
    top_payers = top_payers
    mrr = mrr
    churn = churn
    cohorts = cohorts
    payouts = payouts
    reconcile = reconcile
