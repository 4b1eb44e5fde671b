"""The DataFrame accessor ``payments.capsule``: a table of contents of the analyses."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.export.excel import to_excel
from cpsl_notebook.earnings.export.plain import to_plain
from cpsl_notebook.earnings.export.snapshots import diff, snapshot
from cpsl_notebook.earnings.ledger.access import declare, ledger, roles_table
from cpsl_notebook.earnings.metrics.churn import churn
from cpsl_notebook.earnings.metrics.cohorts import cohorts
from cpsl_notebook.earnings.metrics.explain import explain
from cpsl_notebook.earnings.metrics.key_figures import metrics
from cpsl_notebook.earnings.metrics.mrr import mrr
from cpsl_notebook.earnings.metrics.payers import payers, top_payers
from cpsl_notebook.earnings.metrics.payouts import payouts
from cpsl_notebook.earnings.metrics.revenue import revenue
from cpsl_notebook.earnings.plots.plotter import Plots
from cpsl_notebook.earnings.reconciliation.reconcile import reconcile

__all__ = ["Earnings"]


@pd.api.extensions.register_dataframe_accessor("capsule")
class Earnings:
    """Analyses of a DataFrame of payments, available as ``payments.capsule``.

    Every analysis returns a plain DataFrame, and `plot` draws it. The results share these
    conventions:

    - Amounts are ``Int64`` cents in columns whose names end in ``_cents``. With ``money=True`` they
      are exact decimals in currency, in columns without that suffix.
    - Counts are ``Int64``, ratios ``Float64``. Apps, kinds, currencies and states are categories.
    - A period is named by its first day.
    - Currencies have separate rows and are never added.
    - Unknown values are missing, never zero.
    - ``attrs["as_of"]`` is the moment that a result holds for. By default that is the time at which
      the payments were read.
    - The ``state`` of a period is ``running`` until the period ends, then ``provisional`` for the
      15 days in which a late renewal can still arrive, then ``final``.

    A frame without payments gives results without rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments as `cpsl_notebook.Client.list_payments` returns them. pandas passes the frame.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "amount_cents": [1500]})
    >>> payments["created"] = pd.to_datetime(["2026-01-31 12:00"], utc=True)
    >>> payments.capsule.ledger()["gross_cents"].tolist()
    [1500]
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    # The standard form of the payments
    ledger = ledger
    declare = declare

    @property
    def roles(self) -> pd.DataFrame:
        """The column that was found for each role, such as ``gross`` or ``payer``.

        One row per role, all columns ``string``: ``role``, ``column`` (missing if no column was
        found), ``becomes`` (the column of `ledger`) and ``note`` (why). Set roles with `declare`.
        """
        return roles_table(self._frame)

    # The key figures, and the payments behind any figure
    metrics = metrics
    explain = explain

    # Sales
    revenue = revenue
    payers = payers
    top_payers = top_payers

    # Subscriptions
    mrr = mrr
    churn = churn
    cohorts = cohorts

    # Closing a month
    payouts = payouts
    reconcile = reconcile
    snapshot = snapshot
    diff = diff
    to_excel = to_excel
    to_plain = to_plain

    @property
    def plot(self) -> Plots:
        """Plots of the analyses, such as ``payments.capsule.plot.mrr()``."""
        return Plots(self)
