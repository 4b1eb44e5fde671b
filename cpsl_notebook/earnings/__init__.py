"""What follows from payments: ledgers, revenue, subscriptions, payouts, reconciliation.

Importing this adds ``.capsule`` to DataFrames, as whatever makes a frame of payments does.
"""

from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["Earnings"]
