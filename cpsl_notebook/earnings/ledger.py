"""A ledger: payments under fixed names and types, whatever the service calls them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["COLUMNS", "DETAILS", "Ledger"]

COLUMNS = {
    "payment_id": "string",
    "app": "category",
    "paid_at": "datetime64[us, UTC]",
    "payer": "string",
    "kind": "category",
    "currency": "category",
    "gross_cents": "Int64",
    "fee_cents": "Int64",
    "net_cents": "Int64",
    "payout_state": "category",
}
DETAILS = {
    "payment_status": "category",
    "subscription": "string",
    "payout_id": "string",
    "payout_at": "datetime64[us, UTC]",
}


@dataclass(frozen=True)
class Ledger:
    """Payments in a form that every analysis takes.

    Attributes
    ----------
    rows
        The columns of `COLUMNS` and of `DETAILS` with their types, one row per payment or refund
        (a refund is negative), in order of ``paid_at`` and ``payment_id``, on a plain index; what
        is not known is missing.
    as_of
        The moment up to which the rows tell what happened, in UTC: the time of reading.
    cut
        The window that the rows were cut to, such as ``"from 2025-10-01"``; empty for the whole
        history.
    missing
        The columns for which the payments have no field.
    """

    rows: pd.DataFrame
    as_of: pd.Timestamp
    cut: str = ""
    missing: frozenset[str] = frozenset()
