"""Ledgers: payments under fixed column names and types, whatever the service calls its fields."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.column_values import are_negative
from cpsl_notebook.earnings.ledger.notes import Note
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.payment_columns import PAYMENT_COLUMNS

__all__ = ["COLUMNS", "DETAILS", "HOW_TO_DECLARE", "MAX_MONTHS", "TERMS", "Ledger", "Unread"]

COLUMNS = PAYMENT_COLUMNS
"""Columns of a ledger that a frame without payments has too, with their types."""

DETAILS = {
    "payment_status": "category",
    "subscription": "string",
    "payout_id": "string",
    "payout_at": "datetime64[us, UTC]",
    "refund_of": "string",
}
"""Further columns of a ledger, with their types."""

HOW_TO_DECLARE = (
    "Pass the payments as they were read; since= limits what is shown. If these are all that count, "
    'state it with payments = payments.capsule.declare(complete=True, read_at="2026-10-31 12:00").'
)
"""What to do about rows that may be missing, for error messages."""

TERMS: Mapping[str, int] = {"one_time": 0, "monthly": 1, "yearly": 12}
"""Months that a payment pays for, by its kind; 0 for a purchase."""

_LONGEST_EXAMPLE = 40  # characters of a value in an error message

MAX_MONTHS = 120
"""Longest term of a plan, in months."""


@dataclass(frozen=True)
class Unread:
    """Values of a column that could not be read.

    Attributes
    ----------
    count : int
        How many.
    example : object
        The first of them.
    """

    count: int
    example: Any

    def __str__(self) -> str:
        shown = repr(self.example)
        return (
            f"such as {shown if len(shown) <= _LONGEST_EXAMPLE else shown[:_LONGEST_EXAMPLE] + '…'}"
        )


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
    unread : mapping of str to Unread
        Values that could not be read, by column, for columns with any.
    reasons : mapping of str to str
        Why a column is missing and what to do about it, for error messages.
    notes : tuple of Note
        Payments that were left out, and what remains uncertain.
    terms : mapping of str to int
        Months that a payment pays for, by its kind; 0 for a purchase.
    in_past : bool
        Whether ``as_of`` is earlier than the time of reading.
    columns : mapping of str to hashable
        Columns of the payments by role.
    find_gap : callable
        Function that returns why rows may be missing, or an empty string.
    may_repeat : callable
        Function that returns whether rows may share an id.
    """

    rows: pd.DataFrame
    as_of: pd.Timestamp
    cut: str = ""
    missing: frozenset[str] = frozenset()
    derived: frozenset[str] = frozenset()
    unread: Mapping[str, Unread] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    terms: Mapping[str, int] = field(default_factory=lambda: TERMS)
    in_past: bool = False
    columns: Mapping[str, Hashable] = field(default_factory=dict)
    find_gap: Callable[[], str] = field(default=lambda: "")
    may_repeat: Callable[[], bool] = field(default=lambda: True)

    @property
    def until(self) -> pd.Timestamp:
        """End of the rows: ``as_of``, or the end of the window if that is earlier."""
        end = self.cut.partition("/")[2]
        return min(self.as_of, pd.Timestamp(end).as_unit("us")) if end else self.as_of

    @cached_property
    def repeated(self) -> pd.DataFrame:
        """The rows of payments and refunds that are in an earlier row already.

        A refund may have the id of its payment, and several refunds of a payment at different times
        may, too.
        """
        rows = self.rows
        if "payment_id" in self.missing or not self.may_repeat():
            return rows[:0]
        rows = rows[rows["payment_id"].notna()]
        is_refund = are_negative(rows["gross_cents"])
        same = [
            rows[~is_refund].duplicated(["app", "payment_id"]),
            rows[is_refund].duplicated(["app", "payment_id", "paid_at", "gross_cents"]),
        ]
        again: pd.DataFrame = rows[pd.concat(same).reindex(rows.index)]
        return again

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
            If a column is missing, or the whole history is needed and the payments were cut to a
            window or may lack rows.

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
        gap = self.find_gap() if whole else ""
        if gap:
            raise UserError(f"{answer}() needs the whole history, and {gap}. {HOW_TO_DECLARE}")
        for column in columns:
            if column in self.missing:
                reason = self.reasons.get(column, f"the payments have no `{column}`.")
                raise UserError(f"Cannot compute {answer}(): {reason}")
