"""Analyses of payments: ledgers, revenue, subscriptions, payouts, reconciliation.

Importing this package registers the DataFrame accessor ``capsule``.
"""

from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["Earnings"]
