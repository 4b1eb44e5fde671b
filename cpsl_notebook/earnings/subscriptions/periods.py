"""The periods that all payments of plans pay for.

Most payers have one subscription at a time. Then each payment settles the due date of the one before,
or comes after its days of grace and begins a new chain. Such payments are found for all payers at once,
which is much faster than `cpsl_notebook.earnings.subscriptions.renewals.paid_periods`. That function
handles the rest, payer by payer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS
from cpsl_notebook.earnings.subscriptions.due_dates import (
    EARLY_DAYS,
    NEVER,
    due_dates,
    month_ends,
)
from cpsl_notebook.earnings.subscriptions.renewals import paid_periods

__all__ = ["Periods", "find_periods"]

_Ints = npt.NDArray[np.int64]
_PAYMENT = ["month", "day", "gross_cents", "subscription", "term", "refund"]


@dataclass(frozen=True)
class Periods:
    """The periods that payments pay for, on their rows.

    Attributes
    ----------
    in_chain : numpy.ndarray of bool
        Whether a payment pays for a period.
    month : numpy.ndarray of int
        Month in which the period begins, since January 1970.
    due, until : numpy.ndarray of int
        First and last day on which the amount is in force, since 1970.
    """

    in_chain: npt.NDArray[np.bool_]
    month: _Ints
    due: _Ints
    until: _Ints


def find_periods(sales: pd.DataFrame) -> Periods:
    """Return the periods that the payments of plans pay for.

    Parameters
    ----------
    sales : pandas.DataFrame
        Payments by ``owner`` (number of the payer in an app and currency) and time, with ``payer``
        (number of the payer, -1 if unknown), ``month``, ``day``, ``gross_cents``, ``subscription``,
        ``term`` and ``refund``, see `cpsl_notebook.earnings.subscriptions.open_chains.Payment`.
        Payments of unknown payers pay for no period.
    """
    payments = [sales[name].to_numpy(np.int64) for name in _PAYMENT]
    owner = sales["owner"].to_numpy()
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    ends = np.append(starts[1:], len(owner))
    is_known = sales["payer"].to_numpy()[starts] >= 0
    heads, rest = _plain_chains(payments, starts[is_known], ends[is_known])
    periods = _plain_periods(payments, heads)
    rows = np.concatenate([np.arange(start, end) for start, end in rest] or [np.arange(0)])
    listed = list(zip(rows.tolist(), *(each[rows].tolist() for each in payments), strict=True))
    bounds = pairwise(np.cumsum([0, *(end - start for start, end in rest)]).tolist())
    found = [period for start, end in bounds for period in paid_periods(listed[start:end])]
    row, *others = np.array(found, dtype=np.int64).reshape(-1, 4).T
    periods.in_chain[row] = True
    periods.month[row], periods.due[row], periods.until[row] = others
    return periods


def _plain_chains(
    payments: list[_Ints], starts: _Ints, ends: _Ints
) -> tuple[_Ints, list[tuple[int, int]]]:
    """Find payments that renew one another in turn while their payer has no other subscription.

    Returns
    -------
    heads : numpy.ndarray of int
        Row of the first payment of the chain that each payment is in, or -1.
    rest : list of tuple of int
        First row and end of the payments for which the rules are needed. No chain is open when they
        begin.
    """
    _, day, cents, name, term, refund = payments
    heads = np.full(len(day), -1)
    rest: list[tuple[int, int]] = []
    paid_before = np.cumsum(term) - term
    named = np.maximum.accumulate(np.where(name >= 0, np.arange(len(name)), -1))
    last_named = np.append(-1, named[:-1])
    # The payment of more than 0 at or after each row: one of 0 begins no chain.
    paid = np.where(cents != 0, np.arange(len(cents)), len(cents))
    next_paid = np.minimum.accumulate(paid[::-1])[::-1]
    while len(starts):
        starts = next_paid[starts]
        starts, ends = starts[starts < ends], ends[starts < ends]
        if not len(starts):
            break
        length = ends - starts
        places = np.cumsum(length) - length
        row = np.arange(length.sum()) + np.repeat(starts - places, length)
        head = np.repeat(starts, length)
        due = _due_dates(payments, head, paid_before[row] - paid_before[head])
        is_late = day[row] > due + PROVISIONAL_DAYS
        before = last_named[row]
        is_same = (name[row] < 0) | (before < head) | (name[row] == name[before])
        is_renewal = ~is_late & (due - EARLY_DAYS <= day[row]) & is_same & (refund[row] == NEVER)
        stops = np.minimum.reduceat(np.where(is_renewal, np.repeat(ends, length), row), places)
        has_stopped = stops < ends
        restarts = has_stopped & is_late[np.where(has_stopped, stops - starts + places, 0)]
        needs_rules = has_stopped & ~restarts
        rest += zip(starts[needs_rules].tolist(), ends[needs_rules].tolist(), strict=True)
        is_plain = (row < np.repeat(stops, length)) & ~np.repeat(needs_rules, length)
        heads[row[is_plain]] = head[is_plain]
        starts, ends = stops[restarts], ends[restarts]
    return heads, rest


def _plain_periods(payments: list[_Ints], heads: _Ints) -> Periods:
    """Return the periods of the chains that `_plain_chains` found."""
    term = payments[_PAYMENT.index("term")]
    in_chain = heads >= 0
    row = np.flatnonzero(in_chain)
    head = heads[row]
    paid = np.cumsum(term)
    before, after = (paid - term)[row] - (paid - term)[head], paid[row] - (paid - term)[head]
    end = _due_dates(payments, head, after)
    is_last = np.diff(head, append=-1) != 0
    month, due, until = (np.zeros(len(term), np.int64) for _ in range(3))
    month[row] = payments[_PAYMENT.index("month")][head] + before
    due[row] = _due_dates(payments, head, before)
    until[row] = np.where(is_last, end + PROVISIONAL_DAYS, end - 1)
    return Periods(in_chain, month, due, until)


def _due_dates(payments: list[_Ints], head: _Ints, months: _Ints) -> _Ints:
    """Return the due dates some months after the first payments of chains."""
    month, day, *_ = payments
    return due_dates(month[head] + months, day[head] - month_ends(month[head] - 1))
