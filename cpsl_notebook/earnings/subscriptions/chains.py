"""Chains of monthly payments: which payment renews which, and which belong to no chain.

The rules apply to the payments of one payer to one app in one currency, in order of time:

- The first payment of a chain fixes its due dates: the same day of every following month, or the
  last day of a month that has no such day.
- A payment settles the nearest open due date, if it arrives at most `EARLY_DAYS` before that date
  and at most `PROVISIONAL_DAYS` (the days of grace) after it. Between equally near dates, a chain
  with the same amount comes first, then the older chain.
- A chain has ended if its open due date is not settled by then. A later payment starts a new chain.
- A payment that settles nothing while a chain is in force is extra. If its amount recurs a month
  later, in a payment that does not renew another chain at that chain's amount, it was the first
  payment of a second subscription. Otherwise it belongs to no chain.
- A payment with a known subscription only matches chains of that subscription, and chains whose
  subscription is unknown.
- A subscription that begins while the due date of another one is open, early or late enough to have
  settled it, supersedes the other one unless that is paid as well: from that day on the other
  amount is no longer in force, although its days of grace are not over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS

__all__ = [
    "EARLY_DAYS",
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

Payment = tuple[int, int, int, int, int]
"""Row, month and day (both since 1970), amount in cents, and subscription (-1 if unknown)."""


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
    extra : bool
        Whether it began while another chain was in force.
    due : int
        Open due date, in days since 1970.
    until : int
        Last day on which the amount of the last payment is in force, in days since 1970, if no
        other payment arrives.
    """

    rows: list[int]
    start: int
    day: int
    cents: int
    subscription: int
    extra: bool
    due: int = 0
    until: int = 0

    def __post_init__(self) -> None:
        self._open_due_date()

    @property
    def unclassified(self) -> bool:
        """Whether it is a single extra payment whose amount has not recurred."""
        return self.extra and len(self.rows) == 1

    def renew(self, payment: Payment) -> None:
        """Settle the open due date."""
        row, _, _, self.cents, subscription = payment
        self.rows.append(row)
        self._open_due_date()
        if subscription >= 0:
            self.subscription = subscription

    def mark_superseded(self, day: int) -> None:
        """End the chain because another subscription, which begins on *day*, supersedes it."""
        self.until = max(self.due, day) - 1

    def _open_due_date(self) -> None:
        """Open the next due date."""
        self.due = _due(self.start + len(self.rows), self.day)
        self.until = self.due + PROVISIONAL_DAYS


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
        Chains in order of their first payments. Each payment is in exactly one chain.

    Examples
    --------
    Three payments of $15 on 31 January, 1 March and 31 March are one subscription without a gap:

    >>> days = np.array(["2025-01-31", "2025-03-01", "2025-03-31"], dtype="datetime64[D]")
    >>> months = days.astype("datetime64[M]").astype(int).tolist()
    >>> found = chains(zip(range(3), months, days.astype(int).tolist(), [1500] * 3, [-1] * 3))
    >>> [chain.rows for chain in found]
    [[0, 1, 2]]
    """
    found: list[Chain] = []
    live: list[Chain] = []
    for payment in payments:
        row, month, day, cents, subscription = payment
        live = [chain for chain in live if day <= chain.due + PROVISIONAL_DAYS]
        renewed = _find_renewed(live, payment) if live else None
        if renewed:
            renewed.renew(payment)
            continue
        extra = any(
            not chain.unclassified and subscription in (chain.subscription, -1) for chain in live
        )
        superseded = None if extra else _find_superseded(live, day)
        if superseded:
            superseded.mark_superseded(day)
        live.append(Chain([row], month, day - _due(month, 1) + 1, cents, subscription, extra))
        found.append(live[-1])
    return found


def one_chain(payments: Sequence[Payment]) -> list[Chain]:
    """Return `chains` of payments that are known to renew one another in turn."""
    _, month, day, *_ = payments[0]
    rows = [row for row, *_ in payments]
    *_, cents, subscription = payments[-1]
    return [Chain(rows, month, day - _due(month, 1) + 1, cents, subscription, extra=False)]


def _find_superseded(live: list[Chain], day: int) -> Chain | None:
    """Find the chain that a new subscription, which begins on *day*, supersedes."""
    candidates = [
        chain
        for chain in live
        if chain.due - EARLY_DAYS <= day <= chain.until and not chain.unclassified
    ]
    return min(candidates, key=lambda chain: abs(chain.due - day), default=None)


def _find_renewed(live: list[Chain], payment: Payment) -> Chain | None:
    """Find the chain whose open due date a payment settles. None of them has ended."""
    _, _, day, cents, subscription = payment
    nearest: Chain | None = None
    recurring: Chain | None = None
    for chain in live:
        if day < chain.due - EARLY_DAYS or not _may_be_same(chain.subscription, subscription):
            continue
        if not chain.unclassified:
            if nearest is None or _rank(chain, payment) < _rank(nearest, payment):
                nearest = chain
        elif chain.cents == cents and (
            recurring is None or _rank(chain, payment) < _rank(recurring, payment)
        ):
            recurring = chain
    return nearest if nearest and nearest.cents == cents else recurring or nearest


def _may_be_same(one: int, other: int) -> bool:
    """Return whether two subscription numbers may be the same subscription."""
    return one == other or one < 0 or other < 0


def _rank(chain: Chain, payment: Payment) -> tuple[bool, int, bool]:
    """Return a sort key for the chains that a payment could renew, best match first."""
    _, _, day, cents, subscription = payment
    return chain.subscription != subscription, abs(chain.due - day), chain.cents != cents
