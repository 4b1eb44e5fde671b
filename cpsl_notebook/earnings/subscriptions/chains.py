"""Chains of monthly payments: which payment renews which, and which belong to no chain.

The rules, for the payments of one payer to one app in one currency, in order of time:

- The first payment of a chain fixes its due dates: the same day of every month after it, or the
  last day of a month that has no such day.
- A payment settles the open due date that it is nearest to, if it comes from `EARLY_DAYS` before to
  `GRACE_DAYS` after. Of equally near ones it is that of a chain of its own amount, then of the
  older chain.
- A chain whose open due date is not settled by then has ended; a later payment starts a new one.
- A payment that settles nothing while a chain is in force is extra. If its amount recurs a month
  later, in a payment that does not renew another chain at its price, it was the first of a second
  subscription; else it belongs to no chain.
- A payment whose subscription is known does all this among the chains of that subscription, and
  those of which the subscription is not known.
- A subscription that begins while the due date of another is open, so that its payment would have
  settled it, has taken the other's place, unless the other is paid as well: what was paid for the
  other is not in force any more from that day on, though its days of grace are not over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "EARLY_DAYS",
    "GRACE_DAYS",
    "Chain",
    "Payment",
    "chains",
    "due_dates",
    "month_ends",
    "one_chain",
]

EARLY_DAYS = 7
GRACE_DAYS = 15

_FIRST_MONTH, _LAST_MONTH = -3_500, 3_500  # since January 1970: what a time in pandas can be
_STARTS: list[int] = (
    np.arange(_FIRST_MONTH, _LAST_MONTH)
    .astype("datetime64[M]")
    .astype("datetime64[D]")
    .astype(np.int64)
    .tolist()
)

Payment = tuple[int, int, int, int, int]
"""Its row, month and day (both since 1970), amount in cents, and subscription (-1: not known)."""


@dataclass(slots=True)
class Chain:
    """Payments of which each renews the one before it.

    Attributes
    ----------
    rows
        The rows of its payments: the first, and one for each due date that was settled.
    start
        The month of the first, since January 1970.
    day
        The day of the month on which it falls due, counted from 1.
    cents
        The amount last paid.
    subscription
        Which it is; -1 where that is not known.
    extra
        Whether it began beside a chain in force.
    due
        Its open due date, in days since 1970.
    until
        The last day on which the amount last paid is in force, if nothing more is paid.
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
        self._open()

    @property
    def unclassified(self) -> bool:
        """Whether it is one extra payment whose amount has not recurred."""
        return self.extra and len(self.rows) == 1

    def renew(self, payment: Payment) -> None:
        """Settle the open due date."""
        row, _, _, self.cents, subscription = payment
        self.rows.append(row)
        self._open()
        if subscription >= 0:
            self.subscription = subscription

    def give_way(self, day: int) -> None:
        """Let another subscription, that begins on *day*, take its place."""
        self.until = max(self.due, day) - 1

    def _open(self) -> None:
        """Open the next due date."""
        self.due = _due(self.start + len(self.rows), self.day)
        self.until = self.due + GRACE_DAYS


def month_ends(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the last day of each month, in days since 1970."""
    ends: npt.NDArray[np.int64] = (
        (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    )
    return ends - 1


def due_dates(months: npt.NDArray[np.int64], days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a day of each month, or its last, in days since 1970.

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
    """Return the same of one month: a million of them are asked for one by one."""
    first = _STARTS[month - _FIRST_MONTH]
    return min(first + day, _STARTS[month + 1 - _FIRST_MONTH]) - 1


def chains(payments: Iterable[Payment]) -> list[Chain]:
    """Put the payments of one payer to one app in one currency into chains.

    Parameters
    ----------
    payments
        In order of time.

    Returns
    -------
    list of Chain
        In order of their first payments; each payment is in exactly one.

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
        live = [chain for chain in live if day <= chain.due + GRACE_DAYS]
        renewed = _renewed(live, payment) if live else None
        if renewed:
            renewed.renew(payment)
            continue
        extra = any(
            not chain.unclassified and subscription in (chain.subscription, -1) for chain in live
        )
        replaced = None if extra else _replaced(live, day)
        if replaced:
            replaced.give_way(day)
        live.append(Chain([row], month, day - _due(month, 1) + 1, cents, subscription, extra))
        found.append(live[-1])
    return found


def one_chain(payments: Sequence[Payment]) -> list[Chain]:
    """Return what `chains` does of payments that are known to renew one another in turn."""
    _, month, day, *_ = payments[0]
    rows = [row for row, *_ in payments]
    *_, cents, subscription = payments[-1]
    return [Chain(rows, month, day - _due(month, 1) + 1, cents, subscription, extra=False)]


def _replaced(live: list[Chain], day: int) -> Chain | None:
    """Find the chain whose place another takes that begins on a day: all are of other subscriptions."""
    in_question = [
        chain
        for chain in live
        if chain.due - EARLY_DAYS <= day <= chain.until and not chain.unclassified
    ]
    return min(in_question, key=lambda chain: abs(chain.due - day), default=None)


def _renewed(live: list[Chain], payment: Payment) -> Chain | None:
    """Find the chain whose open due date a payment settles; it is too late for none of these."""
    _, _, day, cents, subscription = payment
    nearest: Chain | None = None
    recurring: Chain | None = None
    for chain in live:
        if day < chain.due - EARLY_DAYS or not _compatible(chain.subscription, subscription):
            continue
        if not chain.unclassified:
            if nearest is None or _rank(chain, payment) < _rank(nearest, payment):
                nearest = chain
        elif chain.cents == cents and (
            recurring is None or _rank(chain, payment) < _rank(recurring, payment)
        ):
            recurring = chain
    return nearest if nearest and nearest.cents == cents else recurring or nearest


def _compatible(one: int, other: int) -> bool:
    """Tell whether two may be the same subscription."""
    return one == other or one < 0 or other < 0


def _rank(chain: Chain, payment: Payment) -> tuple[bool, int, bool]:
    """Order the chains that a payment could renew, the likeliest first; the older is first in a tie."""
    _, _, day, cents, subscription = payment
    return chain.subscription != subscription, abs(chain.due - day), chain.cents != cents
