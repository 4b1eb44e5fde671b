"""Ledgers: payments under fixed column names and types, whatever the service calls its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.schema import PAYMENT_COLUMNS

__all__ = ["COLUMNS", "DETAILS", "Ledger"]

COLUMNS = PAYMENT_COLUMNS
"""Columns of a ledger that users see, with their types."""

DETAILS = {
    "payment_status": "category",
    "subscription": "string",
    "payout_id": "string",
    "payout_at": "datetime64[us, UTC]",
}
"""Further columns that analyses use, with their types."""


@dataclass(frozen=True)
class Ledger:
    """Payments in the form that every analysis takes.

    `cpsl_notebook.earnings.ledger.builder.build` creates one.

    Attributes
    ----------
    rows : pandas.DataFrame
        `COLUMNS` and `DETAILS`, one row per payment or refund (refunds are negative), ordered by
        ``paid_at`` and ``payment_id``, on a default index. Unknown values are missing.
    as_of : pandas.Timestamp
        Moment up to which the rows are complete, in UTC; by default, the time of reading.
    cut : str
        Window that the payments were cut to, such as ``"2025-10-01T00:00:00Z/"``; empty for the
        whole history.
    missing : frozenset of str
        Columns for which the payments have no field.
    derived : frozenset of str
        Amount columns that were calculated from the two others.
    unread : mapping of str to int
        Number of values that could not be read, by column, for columns with any.
    unpaid : int
        Number of payments that were left out because they were never paid.
    reasons : mapping of str to str
        Why a column is missing and what to do about it, for error messages.
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
        """End of the rows: ``as_of``, or the end of the window if that is earlier."""
        end = self.cut.partition("/")[2]
        return min(self.as_of, pd.Timestamp(end).as_unit("us")) if end else self.as_of

    def need(self, answer: str, *columns: str, whole: bool = False) -> None:
        r"""Raise an error if this ledger lacks something that an analysis needs.

        Parameters
        ----------
        answer : str
            Name of the analysis, such as ``"mrr"``, for the error message.
        \*columns : str
            Columns that must not be missing.
        whole : bool, default False
            Whether the whole history is needed.

        Raises
        ------
        cpsl_notebook.UserError
            If a column is missing, or the whole history is needed and the payments were cut.

        Examples
        --------
        >>> rows = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
        >>> ledger = Ledger(rows, pd.Timestamp("2026-11-01", tz="UTC"), cut="2026-10-01T00:00:00Z/")
        >>> ledger.need("revenue", "gross_cents")
        >>> ledger.need("mrr", whole=True)
        Traceback (most recent call last):
        cpsl_notebook.errors.UserError: mrr() needs the whole history, but these payments are limited to
        2026-10-01T00:00:00Z/. Read them without a window; since= limits what is shown.
        """
        if whole and self.cut:
            raise UserError(
                f"{answer}() needs the whole history, but these payments are limited to {self.cut}. "
                "Read them without a window; since= limits what is shown."
            )
        for column in columns:
            if column in self.missing:
                reason = self.reasons.get(column, f"the payments have no `{column}`.")
                raise UserError(f"Cannot compute {answer}(): {reason}")
