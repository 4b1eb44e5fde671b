"""The periods that all payments of plans pay for.

Most payers have one subscription at a time. Then each payment settles the due date of the one before,
or comes after its days of grace and begins a new chain. Such payments are found for all payers at once,
which is much faster than `cpsl_notebook.earnings.subscriptions.renewals.paid_periods`.

Payments of several subscriptions at a time are found in the same way, each subscription on its own, if
all their ids are known. Then a subscription depends on the others of its payer only in what it
supersedes. `paid_periods` handles the rest, payer by payer.
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
from cpsl_notebook.earnings.subscriptions.open_chains import FEW
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

    def set(self, row: _Ints, month: _Ints, due: _Ints, until: _Ints) -> None:
        """Set the periods of some rows."""
        self.in_chain[row] = True
        self.month[row], self.due[row], self.until[row] = month, due, until


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
    rest = _find_by_subscription(payments, rest, periods)
    rows = _numbers_in(*rest.T)
    listed = list(zip(rows.tolist(), *(each[rows].tolist() for each in payments), strict=True))
    bounds = pairwise(np.cumsum([0, *(rest[:, 1] - rest[:, 0])]).tolist())
    found = [period for start, end in bounds for period in paid_periods(listed[start:end])]
    row, *others = np.array(found, dtype=np.int64).reshape(-1, 4).T
    periods.set(row, *others)
    return periods


def _plain_chains(payments: list[_Ints], starts: _Ints, ends: _Ints) -> tuple[_Ints, _Ints]:
    """Find payments that renew one another in turn while their payer has no other subscription.

    Returns
    -------
    heads : numpy.ndarray of int
        Row of the first payment of the chain that each payment is in, or -1.
    rest : numpy.ndarray of int
        First row and end of the payments for which the rules are needed, a row for each payer. No
        chain is open when they begin.
    """
    _, day, cents, name, term, refund = payments
    heads = np.full(len(day), -1)
    rest = [np.zeros((0, 2), np.int64)]
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
        row = _numbers_in(starts, ends)
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
        rest.append(np.column_stack([starts, ends])[needs_rules])
        is_plain = (row < np.repeat(stops, length)) & ~np.repeat(needs_rules, length)
        heads[row[is_plain]] = head[is_plain]
        starts, ends = stops[restarts], ends[restarts]
    return heads, np.concatenate(rest)


def _plain_periods(payments: list[_Ints], heads: _Ints) -> Periods:
    """Return the periods of the chains that `_plain_chains` found."""
    term = payments[_PAYMENT.index("term")]
    in_chain = heads >= 0
    row = np.flatnonzero(in_chain)
    head = heads[row]
    paid_before = np.cumsum(term) - term
    before = paid_before[row] - paid_before[head]
    end = _next_due_dates(payments, heads, row)
    is_last = np.diff(head, append=-1) != 0
    periods = Periods(in_chain, *(np.zeros(len(term), np.int64) for _ in range(3)))
    periods.set(
        row,
        payments[_PAYMENT.index("month")][head] + before,
        _due_dates(payments, head, before),
        np.where(is_last, end + PROVISIONAL_DAYS, end - 1),
    )
    return periods


def _find_by_subscription(payments: list[_Ints], ranges: _Ints, periods: Periods) -> _Ints:
    """Set the periods of payers whose subscriptions are known and each renew in turn.

    Parameters
    ----------
    payments : list of numpy.ndarray of int
        The columns `_PAYMENT` of all payments.
    ranges : numpy.ndarray of int
        First row and end of the payments of each payer.
    periods : Periods
        The periods of all payments; those that are found are set.

    Returns
    -------
    numpy.ndarray of int
        The ranges of the other payers.
    """
    unnamed = np.append(0, np.cumsum(payments[_PAYMENT.index("subscription")] < 0))
    is_named = unnamed[ranges[:, 1]] == unnamed[ranges[:, 0]]
    others, ranges = ranges[~is_named], ranges[is_named]
    row = _numbers_in(*ranges.T)
    payer = np.repeat(np.arange(len(ranges)), ranges[:, 1] - ranges[:, 0])
    order = np.lexsort([payments[_PAYMENT.index("subscription")][row], payer])
    row, payer = row[order], payer[order]
    own = [each[row] for each in payments]
    name = own[_PAYMENT.index("subscription")]
    starts = np.flatnonzero((np.diff(payer, prepend=-1) != 0) | (np.diff(name, prepend=-1) != 0))
    heads, rest = _plain_chains(own, starts, np.append(starts[1:], len(row)))
    is_plain = np.bincount(payer[starts], minlength=len(ranges)) <= FEW
    is_plain[payer[rest[:, 0]]] = False
    heads[~is_plain[payer]] = -1
    found = _plain_periods(own, heads)
    _end_superseded(own, heads, found, row, payer[starts], starts)
    is_found = found.in_chain
    periods.set(row[is_found], *(each[is_found] for each in (found.month, found.due, found.until)))
    return np.concatenate([others, ranges[~is_plain]])


def _end_superseded(
    payments: list[_Ints], heads: _Ints, periods: Periods, row: _Ints, payer: _Ints, starts: _Ints
) -> None:
    """End the periods that a new subscription of the same payer supersedes.

    Parameters
    ----------
    payments : list of numpy.ndarray of int
        The columns `_PAYMENT`, by payer, subscription and time.
    heads : numpy.ndarray of int
        First payment of the chain that each payment is in, or -1.
    periods : Periods
        The periods of the payments.
    row : numpy.ndarray of int
        Place of each payment in the order of time.
    payer, starts : numpy.ndarray of int
        Payer and first payment of each subscription.
    """
    _, day, cents, _, term, _ = payments
    subscription = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(row)))
    first = np.searchsorted(payer, payer)  # of the same payer
    end = np.searchsorted(payer, payer, side="right")
    # The last payment of each subscription of the payer before each payment that begins a chain.
    begins = np.flatnonzero(heads == np.arange(len(heads)))
    own = subscription[begins]
    other = _numbers_in(first[own], end[own])
    new = np.repeat(begins, end[own] - first[own])
    times = row.max(initial=0) + 1
    last = np.searchsorted(subscription * times + row, other * times + row[new]) - 1
    is_other = (other != subscription[new]) & (subscription[last] == other) & (heads[last] >= 0)
    new, last = new[is_other], last[is_other]
    due = _next_due_dates(payments, heads, last)
    is_upgrade = (day[last] < day[new]) & ((term[last] != term[new]) | (cents[last] < cents[new]))
    may_end = (day[new] <= due + PROVISIONAL_DAYS) & ((due - EARLY_DAYS <= day[new]) | is_upgrade)
    new, last, due = new[may_end], last[may_end], due[may_end]
    order = np.lexsort([row[heads[last]], np.abs(due - day[new]), row[new]])
    # Each new subscription ends the first period in this order that no earlier one has ended.
    ended: dict[int, int] = {}
    begun: set[int] = set()
    for place, superseded in zip(new[order].tolist(), last[order].tolist(), strict=True):
        if place not in begun and superseded not in ended:
            begun.add(place)
            ended[superseded] = place
    place, by = (np.array([*each], np.int64) for each in (ended.keys(), ended.values()))
    periods.until[place] = np.minimum(periods.until[place], day[by] - 1)


def _numbers_in(starts: _Ints, ends: _Ints) -> _Ints:
    """Return the integers from each start up to its end, one range after the other."""
    length = ends - starts
    shift = starts - (np.cumsum(length) - length)
    numbers: _Ints = np.arange(length.sum()) + np.repeat(shift, length)
    return numbers


def _next_due_dates(payments: list[_Ints], heads: _Ints, row: _Ints) -> _Ints:
    """Return the due dates that are open after payments in chains."""
    paid = np.cumsum(payments[_PAYMENT.index("term")])
    before = paid - payments[_PAYMENT.index("term")]
    return _due_dates(payments, heads[row], paid[row] - before[heads[row]])


def _due_dates(payments: list[_Ints], head: _Ints, months: _Ints) -> _Ints:
    """Return the due dates some months after the first payments of chains."""
    month, day, *_ = payments
    return due_dates(month[head] + months, day[head] - month_ends(month[head] - 1))
