"""The chains of one payer that have an open due date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS
from cpsl_notebook.earnings.subscriptions.due_dates import EARLY_DAYS, due_date

__all__ = ["FEW", "Chain", "OpenChains", "Payment", "Period"]

Payment = tuple[int, int, int, int, int, int, int]
"""Row, month and day (both since 1970), amount in cents, subscription (-1 if unknown), term in months,
and the day of its full refund (`NEVER` without one)."""

Period = list[int]
"""Row of a payment, month in which its paid period begins (since January 1970), and the first and the
last day on which its amount is in force (since 1970)."""

FEW = 16
"""Number of open chains up to which each of them is looked at."""

_UNTIL = 3  # place of the last day in a period


@dataclass(slots=True, eq=False)
class Chain:
    """Payments of which each one renews the one before it.

    Attributes
    ----------
    number : int
        Number of chains that are older.
    start : int
        Month of the first payment, in months since January 1970.
    day : int
        Day of the month of its due dates, counted from 1.
    is_extra : bool
        Whether it is a single extra payment whose amount has not recurred.
    subscription : int
        Number of the subscription, or -1 if it is unknown.
    cents, term, paid, refund : int
        Amount, months, day, and day of the full refund of the last payment.
    period : Period
        Period of the last payment.
    months : int
        Months that all payments pay for.
    due : int
        Open due date, in days since 1970.
    open_until : int
        Last day on which a payment can settle it.
    """

    number: int
    start: int
    day: int
    is_extra: bool
    subscription: int
    cents: int
    term: int
    paid: int
    refund: int
    period: Period
    months: int = 0
    due: int = 0
    open_until: int = 0

    @property
    def price(self) -> tuple[int, int]:
        """Amount and term of the last payment."""
        return self.cents, self.term

    @property
    def until(self) -> int:
        """Last day on which the last amount is in force, if no other payment arrives."""
        return self.period[_UNTIL]

    def renew(self, payment: Payment) -> Period:
        """Settle the open due date, and return the period that the payment pays for."""
        row, _, self.paid, self.cents, subscription, self.term, self.refund = payment
        if subscription >= 0:
            self.subscription = subscription
        self.is_extra = False
        self.period[_UNTIL] = min(self.period[_UNTIL], self.due - 1)
        self.period = [row, self.start + self.months, self.due, 0]
        self.open_due_date()
        return self.period

    def end_early(self, day: int) -> None:
        """End the chain because another subscription, which begins on *day*, supersedes it."""
        self.period[_UNTIL] = day - 1

    def open_due_date(self) -> None:
        """Open the due date at the end of the term of the last payment."""
        self.months += self.term
        self.due = due_date(self.start + self.months, self.day)
        self.open_until = self.due + PROVISIONAL_DAYS
        if self.open_until >= self.refund:
            self.open_until = self.refund - 1
        self.period[_UNTIL] = self.open_until


class OpenChains:
    """The chains of one payer that a payment may renew or supersede.

    Up to `FEW` chains are looked at one by one. More of them are found by subscription, due date and
    price, so that the cost of a payment does not grow with their number.
    """

    def __init__(self) -> None:
        self._count = 0
        self._chains: list[Chain] = []
        self._index: _Index | None = None

    def begin(self, payment: Payment, *, is_extra: bool) -> Chain:
        """Add a chain that begins with a payment."""
        row, month, day, cents, subscription, term, refund = payment
        of_month = day - due_date(month, 1) + 1
        period = [row, month, day, 0]
        chain = Chain(
            self._count, month, of_month, is_extra, subscription, cents, term, day, refund, period
        )
        self._count += 1
        chain.open_due_date()
        if self._index is None:
            self._chains = [each for each in self._chains if day <= each.open_until]
            self._chains.append(chain)
            if len(self._chains) > FEW:
                self._index = _Index(self._chains)
        else:
            self._index.add(chain)
        return chain

    def add(self, chain: Chain) -> None:
        """Register that a chain has been renewed."""
        if self._index is not None:
            self._index.add(chain)

    def that_may_be_renewed(self, payment: Payment) -> Iterator[Chain] | list[Chain]:
        """Return chains, among which is the one that the payment renews."""
        return self._chains if self._index is None else self._index.that_may_be_renewed(payment)

    def of_the_plan(self, payment: Payment) -> Iterator[Chain] | list[Chain]:
        """Return chains, among which is an open one of the payment's plan, if there is any."""
        return self._chains if self._index is None else self._index.of_the_plan(payment)

    def that_may_be_superseded(self, payment: Payment) -> Iterator[Chain] | list[Chain]:
        """Return chains, among which is the one that the payment supersedes."""
        return self._chains if self._index is None else self._index.that_may_be_superseded(payment)


_UNKNOWN, _ANY = -1, -2  # groups of chains: those without a known subscription, and all
_Price = tuple[int, int] | None
_Heap = list[tuple[int, Chain]]
"""Chains with their numbers, the oldest first."""

# Days from a payment to the due dates that it may settle, the nearest first.
_OFFSETS = [
    (0,),
    *((-days, days) for days in range(1, EARLY_DAYS + 1)),
    *((-days,) for days in range(EARLY_DAYS + 1, PROVISIONAL_DAYS + 1)),
]


class _Index:
    """Open chains by subscription, due date and price.

    Chains that are equal in these are chosen by age, so only the oldest is returned. An entry is
    ignored once its chain has another due date.
    """

    def __init__(self, chains: list[Chain]) -> None:
        self._recurring: defaultdict[tuple[int, int, _Price], _Heap] = defaultdict(list)
        self._extra: defaultdict[tuple[int, int, _Price], _Heap] = defaultdict(list)
        self._plans: defaultdict[tuple[int, int], list[tuple[int, Chain]]] = defaultdict(list)
        self._paid: list[tuple[int, Chain]] = []
        self._in_force: dict[int, defaultdict[_Price, _Heap]] = {}
        self._moved = 0  # number of entries of _paid that are in _in_force
        for chain in sorted(chains, key=lambda chain: chain.paid):
            self.add(chain)

    def add(self, chain: Chain) -> None:
        """Register the open due date of a chain. Chains are added in order of their last payments."""
        entry = chain.number, chain
        for group in (chain.subscription, _ANY):
            if chain.is_extra:
                heappush(self._extra[group, chain.due, chain.price], entry)
            else:
                heappush(self._recurring[group, chain.due, chain.price], entry)
                heappush(self._recurring[group, chain.due, None], entry)
                self._plans[group, chain.term].append((chain.due, chain))
        if not chain.is_extra:
            self._paid.append((chain.due, chain))

    def that_may_be_renewed(self, payment: Payment) -> list[Chain]:
        _, _, day, cents, subscription, term, _ = payment
        groups = (_UNKNOWN, _ANY) if subscription < 0 else (subscription, _UNKNOWN)
        price = cents, term
        found = self._nearest(self._recurring, groups, day, (price, None))
        return found + self._nearest(self._extra, groups, day, (price,))

    def _nearest(
        self,
        heaps: dict[tuple[int, int, _Price], _Heap],
        groups: tuple[int, ...],
        day: int,
        prices: tuple[_Price, ...],
    ) -> list[Chain]:
        """Return the oldest chains of the given prices with the nearest due dates."""
        for group in groups if heaps else ():
            for offsets in _OFFSETS:
                dues = [day + days for days in offsets if (group, day + days, prices[-1]) in heaps]
                chains = [
                    _oldest(heaps.get((group, due, price)), due, day)
                    for due in dues
                    for price in prices
                ]
                found = [chain for chain in chains if chain is not None]
                if found:
                    return found
        return []

    def of_the_plan(self, payment: Payment) -> list[Chain]:
        _, _, day, _, subscription, term, _ = payment
        entries = self._plans.get((_ANY if subscription < 0 else subscription, term), [])
        while entries:
            due, chain = entries[-1]
            if chain.due == due and day <= chain.open_until:
                return [chain]
            entries.pop()
        return []

    def that_may_be_superseded(self, payment: Payment) -> list[Chain]:
        _, _, day, cents, _, term, _ = payment
        self._move_paid_before(day)
        for due in [due for due in self._in_force if due + PROVISIONAL_DAYS < day]:
            del self._in_force[due]
        found: list[Chain] = []
        for due in sorted(self._in_force, key=lambda due: abs(due - day)):
            if found and abs(due - day) > abs(found[0].due - day):
                break
            heaps = self._in_force[due]
            prices: list[_Price] = [None]
            if day < due - EARLY_DAYS:
                prices = [own for own in heaps if own and (own[1] != term or own[0] < cents)]
            for price in prices:
                chain = _oldest(heaps[price], due, day, in_force=True)
                if chain is not None:
                    found.append(chain)
                else:
                    del heaps[price]
            if None not in heaps:
                del self._in_force[due]
        return found

    def _move_paid_before(self, day: int) -> None:
        """Register the chains that a payment of a day may supersede: those that were paid before."""
        while self._moved < len(self._paid):
            due, chain = self._paid[self._moved]
            if chain.due == due:
                if chain.paid >= day:
                    break
                heaps = self._in_force.setdefault(due, defaultdict(list))
                for price in (chain.price, None):
                    heappush(heaps[price], (chain.number, chain))
            self._moved += 1


def _oldest(heap: _Heap | None, due: int, day: int, *, in_force: bool = False) -> Chain | None:
    """Return the oldest chain that still has this due date, and is open or in force on a day."""
    while heap:
        chain = heap[0][1]
        if chain.due == due and day <= (chain.until if in_force else chain.open_until):
            return chain
        heappop(heap)
    return None
