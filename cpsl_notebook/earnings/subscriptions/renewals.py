"""Renewals: which recurring payment renews which, in chains, and which belong to no chain.

The rules apply to the payments of one payer to one app in one currency, in order of time. A payment
pays for a number of months, its term.

- The first payment of a chain fixes its due dates: the same day of the month in which the term ends,
  or the last day of a month that has no such day.
- A payment settles the nearest open due date, if it arrives at most `EARLY_DAYS` before that date
  and at most `PROVISIONAL_DAYS` (the days of grace) after it. Between equally near dates, a chain
  with the same amount comes first, then the older chain.
- A chain has ended if its open due date is not settled by then. A later payment starts a new chain.
- A payment of 0 that settles nothing, such as the invoice of a trial, starts no chain.
- A payment that settles nothing while a chain of the same term is in force is extra. If its amount
  recurs after its term, in a payment that does not renew another chain at that chain's amount, that
  payment begins a second subscription, in force from the due date that it settles. The first payment
  belongs to no chain.
- A payment with a known subscription only matches chains of that subscription, and chains whose
  subscription is unknown.
- A subscription supersedes another one if it begins when the due date of the other one is open, or if
  it is an upgrade: it begins earlier in a term, but not on the day of the other payment, and costs
  more a month or has another term. From that day on the other amount is no longer in force. If the
  other one is paid as well, it is in force again from the due date that the payment settles.
- A payment for several months that is refunded in full is in force until the day before the refund,
  and its chain ends.

A payment changes what is in force only from 15 days before it, so that it cannot change a final month.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS

__all__ = [
    "EARLY_DAYS",
    "NEVER",
    "Chain",
    "Payment",
    "chains",
    "due_dates",
    "month_ends",
    "one_chain",
]

EARLY_DAYS = 7
"""Days before its due date from which a payment counts as a renewal."""

_FIRST_MONTH, _LAST_MONTH = -3_500, 3_500  # since January 1970: the range of pandas times
_STARTS: list[int] = (
    np.arange(_FIRST_MONTH, _LAST_MONTH)
    .astype("datetime64[M]")
    .astype("datetime64[D]")
    .astype(np.int64)
    .tolist()
)

NEVER = 2**40
"""A day that no date reaches, in days since 1970."""

Payment = tuple[int, int, int, int, int, int, int]
"""Row, month and day (both since 1970), amount in cents, subscription (-1 if unknown), term in months,
and the day of its full refund (`NEVER` without one)."""


@dataclass(slots=True)
class Chain:
    """Payments of which each one renews the one before it.

    Attributes
    ----------
    rows : list of int
        Rows of its payments: the first one, and one for each settled due date.
    start : int
        Month of the first payment, in months since January 1970.
    day : int
        Day of the month of its due dates, counted from 1.
    cents : int
        Amount of the last payment.
    subscription : int
        Number of the subscription, or -1 if it is unknown.
    term : int
        Months that the last payment pays for.
    extra : bool
        Whether it began while another chain was in force.
    refund : int
        Day on which the last payment was refunded in full, in days since 1970.
    paid : int
        Day of the last payment, in days since 1970.
    months : int
        Months that all payments pay for.
    due : int
        Open due date, in days since 1970.
    until : int
        Last day on which the amount of the last payment is in force, in days since 1970, if no
        other payment arrives.
    cuts : dict of int to int
        Last day on which a payment is in force, in days since 1970, by its row, for payments whose
        term was cut short.
    """

    rows: list[int]
    start: int
    day: int
    cents: int
    subscription: int
    term: int
    extra: bool
    refund: int
    paid: int
    months: int = 0
    due: int = 0
    until: int = 0
    cuts: dict[int, int] = field(default_factory=dict)

    @property
    def unclassified(self) -> bool:
        """Whether it is a single extra payment whose amount has not recurred."""
        return self.extra and len(self.rows) == 1

    def is_live(self, day: int) -> bool:
        """Return whether a payment on a day could still renew the chain."""
        return day <= self.due + PROVISIONAL_DAYS and day < self.refund

    def renew(self, payment: Payment) -> None:
        """Settle the open due date."""
        row, _, self.paid, self.cents, subscription, self.term, self.refund = payment
        self.rows.append(row)
        self.open_due_date(self.months + self.term)
        if subscription >= 0:
            self.subscription = subscription

    def end_early(self, day: int) -> None:
        """End the chain because another subscription, which begins on *day*, supersedes it."""
        self.until = day - 1
        if day < self.due:
            self.cuts[self.rows[-1]] = self.until

    def open_due_date(self, months: int) -> None:
        """Open the due date that is some months after the first payment."""
        self.months = months
        self.due = _due(self.start + self.months, self.day)
        self.until = self.due + PROVISIONAL_DAYS
        if self.refund < NEVER:
            self.cuts[self.rows[-1]] = self.until = min(self.until, self.refund - 1)


def month_ends(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the last day of each month, in days since 1970."""
    ends: npt.NDArray[np.int64] = (
        (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    )
    return ends - 1


def due_dates(months: npt.NDArray[np.int64], days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a day of each month, or the month's last day if it is shorter, in days since 1970.

    Examples
    --------
    >>> february = np.array([30 * 12 + 1])
    >>> due_dates(february, np.array([31])).astype("datetime64[D]")
    array(['2000-02-29'], dtype='datetime64[D]')
    """
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    dates: npt.NDArray[np.int64] = np.minimum(first + days - 1, month_ends(months))
    return dates


def _due(month: int, day: int) -> int:
    """Return `due_dates` of one month, much faster than with arrays."""
    first = _STARTS[month - _FIRST_MONTH]
    return min(first + day, _STARTS[month + 1 - _FIRST_MONTH]) - 1


def chains(payments: Iterable[Payment]) -> list[Chain]:
    """Group the payments of one payer to one app in one currency into chains.

    Parameters
    ----------
    payments : iterable of Payment
        Payments in order of time.

    Returns
    -------
    list of Chain
        Chains in order of their first payments. Each payment is in one chain, or in none if its
        amount is 0.

    Examples
    --------
    Three payments of $15 on 31 January, 1 March and 31 March are one subscription without a gap:

    >>> days = np.array(["2025-01-31", "2025-03-01", "2025-03-31"], dtype="datetime64[D]")
    >>> months = days.astype("datetime64[M]").astype(int).tolist()
    >>> each = zip(months, days.astype(int).tolist())
    >>> found = chains((row, *when, 1500, -1, 1, NEVER) for row, when in enumerate(each))
    >>> [chain.rows for chain in found]
    [[0, 1, 2]]
    """
    found: list[Chain] = []
    live: list[Chain] = []
    for payment in payments:
        _, _, day, cents, subscription, term, _ = payment
        live = [chain for chain in live if chain.is_live(day)]
        renewed = _find_renewed(live, payment) if live else None
        if renewed:
            renewed.renew(payment)
        if renewed or not cents:
            continue
        extra = False
        if live:
            extra = any(
                not chain.unclassified and subscription in (chain.subscription, -1)
                for chain in live
                if chain.term == term
            )
            superseded = None if extra else _find_superseded(live, payment)
            if superseded:
                superseded.end_early(day)
        new = _new_chain(payment, extra)
        live.append(new)
        found.append(new)
    return found


def one_chain(payments: Sequence[Payment]) -> list[Chain]:
    """Return `chains` of payments that are known to renew one another in turn."""
    chain = _new_chain(payments[0])
    if len(payments) > 1:
        _, _, chain.paid, chain.cents, chain.subscription, chain.term, chain.refund = payments[-1]
        chain.rows = [row for row, *_ in payments]
        chain.open_due_date(sum(payment[5] for payment in payments))
    return [chain]


def _new_chain(payment: Payment, extra: bool = False) -> Chain:
    """Return a chain that begins with a payment."""
    row, month, day, cents, subscription, term, refund = payment
    of_month = day - _due(month, 1) + 1
    chain = Chain([row], month, of_month, cents, subscription, term, extra, refund, day)
    chain.open_due_date(term)
    return chain


def _find_superseded(live: list[Chain], payment: Payment) -> Chain | None:
    """Find the chain that a new subscription supersedes."""
    _, _, day, cents, _, term, _ = payment
    candidates = [
        chain
        for chain in live
        if day <= chain.until and not chain.unclassified
        if chain.due - EARLY_DAYS <= day
        or (chain.paid < day and (term != chain.term or cents > chain.cents))
    ]
    return min(candidates, key=lambda chain: abs(chain.due - day), default=None)


def _find_renewed(live: list[Chain], payment: Payment) -> Chain | None:
    """Find the chain whose open due date a payment settles. None of them has ended."""
    _, _, day, cents, subscription, term, _ = payment
    nearest: Chain | None = None
    recurring: Chain | None = None
    for chain in live:
        if day < chain.due - EARLY_DAYS or not _may_be_same(chain.subscription, subscription):
            continue
        if not chain.unclassified:
            if nearest is None or _rank(chain, payment) < _rank(nearest, payment):
                nearest = chain
        elif (chain.cents, chain.term) == (cents, term) and (
            recurring is None or _rank(chain, payment) < _rank(recurring, payment)
        ):
            recurring = chain
    same = nearest and (nearest.cents, nearest.term) == (cents, term)
    return nearest if same else recurring or nearest


def _may_be_same(one: int, other: int) -> bool:
    """Return whether two subscription numbers may be the same subscription."""
    return one == other or one < 0 or other < 0


def _rank(chain: Chain, payment: Payment) -> tuple[bool, int, bool]:
    """Return a sort key for the chains that a payment could renew, best match first."""
    _, _, day, cents, subscription, term, _ = payment
    other_price = (chain.cents, chain.term) != (cents, term)
    return chain.subscription != subscription, abs(chain.due - day), other_price
