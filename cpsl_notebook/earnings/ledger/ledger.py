"""A ledger: payments under fixed names and types, whatever the service calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from cpsl_notebook.errors import UserError

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
    """Payments in a form that every analysis takes; `cpsl_notebook.earnings.ledger.builder` makes it.

    Attributes
    ----------
    rows
        The columns of `COLUMNS` and of `DETAILS` with their types, one row per payment or refund
        (a refund is negative), in order of ``paid_at`` and ``payment_id``, on a plain index; what
        is not known is missing.
    as_of
        The moment up to which the rows tell what happened, in UTC: the time of reading.
    cut
        The window that the rows were cut to, its two sides with ``/`` between them, such as
        ``"2025-10-01T00:00:00Z/"``; empty for the whole history.
    missing
        The columns for which the payments have no field.
    derived
        The amounts that follow from the two others.
    unread
        Column to how many of its values could not be read, for those with any.
    unpaid
        How many payments were never paid, and so left out.
    reasons
        Column to why it is missing and what to do, for the errors.
    """

    rows: pd.DataFrame
    as_of: pd.Timestamp
    cut: str = ""
    missing: frozenset[str] = frozenset()
    derived: frozenset[str] = frozenset()
    unread: Mapping[str, int] = field(default_factory=dict)
    unpaid: int = 0
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def until(self) -> pd.Timestamp:
        """The moment up to which the rows reach: ``as_of``, or earlier the window's end."""
        end = self.cut.partition("/")[2]
        return min(self.as_of, pd.Timestamp(end).as_unit("us")) if end else self.as_of

    def need(self, answer: str, *columns: str, whole: bool = False) -> None:
        """Raise an error that says what an answer needs and this ledger lacks.

        Parameters
        ----------
        answer
            What is asked for, such as ``"mrr"``.
        columns
            The columns that must not be missing.
        whole
            Whether the whole history is needed.

        Examples
        --------
        >>> rows = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
        >>> ledger = Ledger(rows, pd.Timestamp("2026-11-01", tz="UTC"), cut="2026-10-01T00:00:00Z/")
        >>> ledger.need("revenue", "gross_cents")
        >>> ledger.need("mrr", whole=True)
        Traceback (most recent call last):
        cpsl_notebook.errors.UserError: mrr() needs the whole history, and these payments were cut
        (2026-10-01T00:00:00Z/): read them without a window; since= chooses what is shown.
        """
        if whole and self.cut:
            raise UserError(
                f"{answer}() needs the whole history, and these payments were cut ({self.cut}): "
                "read them without a window; since= chooses what is shown."
            )
        for column in columns:
            if column in self.missing:
                why = self.reasons.get(column, f"the payments have no `{column}`.")
                raise UserError(f"{answer}() cannot be answered: {why}")
