"""Names and types of columns that frames and ledgers share."""

from __future__ import annotations

__all__ = ["AMOUNT_COLUMNS", "ID_PATTERNS", "PAYMENT_COLUMNS", "UNPARSED"]

PAYMENT_COLUMNS = {
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
"""Columns of a ledger, and of a frame without payments, with their types."""

AMOUNT_COLUMNS = ("gross_cents", "fee_cents", "net_cents")
"""Columns of a ledger that hold amounts."""

UNPARSED = "_unparsed"
"""Column with the values that do not fit the type of their own column."""

ID_PATTERNS = (
    "payment_(id|uid|uuid)",
    "id|uid|uuid",
    "(payment|transaction|charge|sale|order|purchase)_(id|ref|reference|number|key)|reference",
)
"""Regular expressions for the words of the column with the id of a payment, best first."""
