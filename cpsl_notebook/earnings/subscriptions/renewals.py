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

`cpsl_notebook.earnings.subscriptions.periods` handles payments that renew one another in turn for all
payers at once, without these rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cpsl_notebook.earnings.subscriptions.due_dates import EARLY_DAYS
from cpsl_notebook.earnings.subscriptions.open_chains import Chain, OpenChains, Payment, Period

__all__ = ["paid_periods"]


def paid_periods(payments: Sequence[Payment]) -> list[Period]:
    """Return the periods that the payments of one payer to one app in one currency pay for.

    Parameters
    ----------
    payments : sequence of Payment
        Payments in order of time.

    Returns
    -------
    list of Period
        A period for each payment that is in a chain.

    Examples
    --------
    Three payments of $15 on 31 January, 1 March and 31 March pay for three months without a gap:

    >>> import numpy as np
    >>> from cpsl_notebook.earnings.subscriptions.due_dates import NEVER
    >>> days = np.array(["2025-01-31", "2025-03-01", "2025-03-31"], dtype="datetime64[D]")
    >>> months = days.astype("datetime64[M]").astype(int).tolist()
    >>> each = zip(months, days.astype(int).tolist())
    >>> found = paid_periods([(row, *when, 1500, -1, 1, NEVER) for row, when in enumerate(each)])
    >>> [str(np.datetime64(first, "D")) for _, _, first, _ in found]
    ['2025-01-31', '2025-02-28', '2025-03-31']
    """
    found: list[Period] = []
    chains = OpenChains()
    for payment in payments:
        renewed = _find_renewed(chains.that_may_be_renewed(payment), payment)
        if renewed:
            found.append(renewed.renew(payment))
            chains.add(renewed)
        elif payment[3]:
            is_extra = _is_extra(chains.of_the_plan(payment), payment)
            if not is_extra:
                superseded = _find_superseded(chains.that_may_be_superseded(payment), payment)
                if superseded:
                    superseded.end_early(payment[2])
            chain = chains.begin(payment, is_extra=is_extra)
            if not is_extra:
                found.append(chain.period)
    return found


def _find_renewed(chains: Iterable[Chain], payment: Payment) -> Chain | None:
    """Find the chain whose open due date a payment settles."""
    _, _, day, cents, subscription, term, _ = payment
    price = cents, term
    candidates = [
        chain
        for chain in chains
        if chain.due - EARLY_DAYS <= day <= chain.open_until
        and (chain.subscription == subscription or subscription < 0 or chain.subscription < 0)
        and (not chain.is_extra or chain.price == price)
    ]
    if len(candidates) < 2:
        return candidates[0] if candidates else None

    def rank(chain: Chain) -> tuple[bool, int, bool, int]:
        is_other = chain.subscription != subscription
        return is_other, abs(chain.due - day), chain.price != price, chain.number

    regular = [chain for chain in candidates if not chain.is_extra]
    nearest = min(regular, key=rank, default=None)
    if nearest and nearest.price == price:
        return nearest
    return min([chain for chain in candidates if chain.is_extra], key=rank, default=nearest)


def _is_extra(chains: Iterable[Chain], payment: Payment) -> bool:
    """Return whether a payment that renews nothing is made while its plan is in force."""
    _, _, day, _, subscription, term, _ = payment
    return any(
        day <= chain.open_until
        and not chain.is_extra
        and chain.term == term
        and subscription in (chain.subscription, -1)
        for chain in chains
    )


def _find_superseded(chains: Iterable[Chain], payment: Payment) -> Chain | None:
    """Find the chain that a new subscription supersedes."""
    _, _, day, cents, _, term, _ = payment
    candidates = [
        chain
        for chain in chains
        if day <= chain.until and not chain.is_extra
        if chain.due - EARLY_DAYS <= day
        or (chain.paid < day and (term != chain.term or cents > chain.cents))
    ]
    return min(candidates, key=lambda chain: (abs(chain.due - day), chain.number), default=None)
