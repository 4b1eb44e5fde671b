"""The fast ways to find what payments pay for agree with the rules, and their cost is linear."""

import random

import numpy as np
import pandas as pd
import pytest
from ledgers import column, ledger, pay

from cpsl_notebook.earnings.metrics.mrr import compute_mrr
from cpsl_notebook.earnings.subscriptions import open_chains
from cpsl_notebook.earnings.subscriptions.due_dates import NEVER, due_date
from cpsl_notebook.earnings.subscriptions.periods import find_periods
from cpsl_notebook.earnings.subscriptions.renewals import paid_periods

FIRST = np.datetime64("2024-01-01").astype(int)
LATE = [0, 0, 0, 0, -8, -7, -3, 1, 14, 15, 16, 40]


def month_of(day):
    return int(np.datetime64(int(day), "D").astype("datetime64[M]").astype(int))


def random_payments(rng, subscriptions, names):
    """Return payments of one payer near due dates, in order of time."""
    made = []
    for number in range(subscriptions):
        first = FIRST + rng.randint(0, 70)
        start, name, term = month_of(first), rng.choice(names)(number), rng.choice([1, 1, 1, 3])
        cents = rng.choice([1500, 1500, 2500])
        for count in range(rng.randint(1, 7)):
            due = due_date(start + count * term, first - due_date(start, 1) + 1)
            day = due + (rng.choice(LATE) if count else 0)
            refund = day + rng.randint(0, 60) if term > 1 and rng.random() < 0.1 else NEVER
            paid = rng.choice([cents] * 6 + [0, 2500])
            made.append((day, paid, rng.choice([name] * 6 + [-1]), term, refund))
    made.sort()
    return [
        (row, month_of(day), int(day), cents, name, term, refund)
        for row, (day, cents, name, term, refund) in enumerate(made)
    ]


NAMES = {
    "named": [lambda number: number],
    "unnamed": [lambda number: -1],
    "mixed": [lambda number: -1, lambda number: number, lambda number: 0],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_chains_found_by_index_are_those_found_one_by_one(names, monkeypatch):
    rng = random.Random(1)
    found = 0
    for _ in range(150):
        payments = random_payments(rng, rng.randint(1, 40), names)
        monkeypatch.setattr(open_chains, "FEW", 10**6)
        expected = paid_periods(payments)
        for few in (0, 5):
            monkeypatch.setattr(open_chains, "FEW", few)
            assert paid_periods(payments) == expected
        found += len(expected)
    assert found > 5_000


def check_all_at_once(histories):
    """Compare the periods found for all payers at once with those of the rules for each payer."""
    rows, expected = [], []
    for owner, payments in enumerate(histories):
        first = len(rows)
        rows += [[owner, *payment] for payment in payments]
        expected += [[row + first, *period] for row, *period in paid_periods(payments)]
    columns = ["owner", "row", "month", "day", "gross_cents", "subscription", "term", "refund"]
    sales = pd.DataFrame(rows, columns=columns).assign(payer=0)
    found = find_periods(sales)
    row = np.flatnonzero(found.in_chain)
    periods = np.column_stack([row, found.month[row], found.due[row], found.until[row]])
    assert periods.tolist() == sorted(expected)
    return expected


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_periods_of_all_payers_at_once_are_those_of_the_rules(names):
    rng = random.Random(2)
    histories = [random_payments(rng, rng.choice([1, 1, 1, 2, 2, 3]), names) for _ in range(800)]
    assert len(check_all_at_once([*histories, random_payments(rng, 40, names)])) > 2_000


def test_subscriptions_of_a_payer_supersede_one_another_as_by_the_rules():
    rng = random.Random(3)
    histories = []
    for _ in range(4_000):
        made = []
        for name in range(rng.randint(2, 4)):
            day = rng.choice([0, 3, 10, 31, 34, 62, 70, 93])
            term, cents = rng.choice([1, 1, 1, 3, 12]), rng.choice([1000, 1000, 1500, 2500])
            for count in range(rng.randint(1, 4)):
                paid = 0 if count == 0 and rng.random() < 0.2 else cents
                made.append((FIRST + day, paid, name, term, NEVER))
                day += 31 * term + rng.choice([0, 0, 0, 0, -2, 40])
        made.sort(key=lambda payment: (payment[0], rng.random()))
        histories.append([(row, month_of(each[0]), *each) for row, each in enumerate(made)])
    found = check_all_at_once(histories)
    shortened = [until - due for _, _, due, until in found if until - due < 27]
    assert len(shortened) > 2_000


def test_new_subscription_supersedes_no_trial():
    days, cents = [FIRST, FIRST + 5, FIRST + 34], [1500, 0, 1500]
    history = [
        (name, month_of(day), int(day), paid, name, 1, NEVER)
        for name, (day, paid) in enumerate(zip(days, cents, strict=True))
    ]
    periods = check_all_at_once([history])
    assert [until - FIRST for *_, until in periods] == [33, 34 + 31 + 13]


def test_payer_with_very_many_subscriptions():
    # Looking at each of the open subscriptions for every payment would take minutes.
    count = 20_000
    days = ["2024-01-10", "2024-02-10"]
    named = [pay(day, subscription=f"s{number}") for day in days for number in range(count)]
    table = compute_mrr(ledger(*named, as_of="2024-02-29"))
    assert column(table, "closing_cents") == [count * 1500] * 2
    # Without ids, all but the first are extra payments until their amounts recur.
    unnamed = [pay(day) for day in days for number in range(count)]
    table = compute_mrr(ledger(*unnamed, as_of="2024-02-29"))
    assert column(table, "closing_cents") == [1500, count * 1500]
    assert column(table, "unclassified_cents") == [(count - 1) * 1500, 0]
