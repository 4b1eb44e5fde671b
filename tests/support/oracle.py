"""MRR as one would work it out by hand, a month and a subscription at a time; slow, and no pandas.

It is written from the definitions alone and shares no line with the package: a test that compares
the two finds a mistake in either.
"""

import datetime as dt
from collections import defaultdict

EARLY, GRACE = dt.timedelta(days=7), dt.timedelta(days=15)
DAY = dt.timedelta(days=1)


class Subscription:
    """What was paid on which days, the first of which fixes all that follow."""

    def __init__(self, day, cents, name, extra):
        self.first, self.paid, self.name, self.extra = day, [cents], name, extra
        self.left = None  # the day on which another took its place

    def due(self, number):
        return plus(self.first, number)

    @property
    def open(self):
        return self.due(len(self.paid))

    @property
    def counts(self):
        return not self.extra or len(self.paid) > 1

    def ended(self, day):
        return day > self.open + GRACE

    def may_settle(self, day, name):
        alike = name == self.name or None in (name, self.name)
        return alike and day >= self.open - EARLY

    def worth(self, day):
        """What was paid for the period that a day is in."""
        for number, cents in enumerate(self.paid):
            end = self.due(number + 1) - DAY
            if number == len(self.paid) - 1:
                end = max(end, self.left - DAY) if self.left else self.open + GRACE
            if self.due(number) <= day <= end:
                return cents
        return 0


def plus(day, months):
    """The same day so many months later, or the last of that month."""
    year, month = divmod(12 * day.year + day.month + months, 12)
    end = dt.date(year, month + 1, 1) - DAY
    return end.replace(day=min(day.day, end.day))


def subscriptions(payments):
    """Subscriptions of one payer to one app: ``day, cents, name`` in order of time."""
    every = []
    for day, cents, name in payments:
        live = [one for one in every if not one.ended(day)]
        fit = [one for one in live if one.may_settle(day, name)]
        known = [one for one in fit if one.counts]
        again = [one for one in fit if not one.counts and one.paid == [cents]]

        def likeness(one, day=day, cents=cents, name=name):
            return one.name != name, abs(one.open - day), one.paid[-1] != cents, every.index(one)

        best = min(known, key=likeness, default=None)
        if again and (best is None or best.paid[-1] != cents):
            best = min(again, key=likeness)
        if best:
            best.paid.append(cents)
            best.name, best.left = name or best.name, None
            continue
        beside = [one for one in live if one.counts and name in (None, one.name)]
        rivals = [
            one
            for one in live
            if one.counts and one.open - EARLY <= day and not (one.left and day >= one.left)
        ]
        if rivals and not beside:
            min(rivals, key=lambda one, day=day: abs(one.open - day)).left = day
        every.append(Subscription(day, cents, name, bool(beside)))
    return every


def month_ends(first, today):
    """The last day of every month, or today, from the month of a day on."""
    month = first.replace(day=1)
    while month <= today:
        after = plus(month, 1)
        yield month, min(after - DAY, today)
        month = after


def closings(payments, today):
    """Cents by month for each ``(app, payer)``, and the payments not counted by month and app."""
    owners = defaultdict(list)
    for payment in payments:
        owners[payment["app"], payment["payer"]].append(payment)
    worth, extra = defaultdict(dict), defaultdict(int)
    for owner, own in owners.items():
        own = sorted(own, key=lambda one: (one["day"], one["cents"], one["name"] or ""))
        found = subscriptions([(one["day"], one["cents"], one["name"]) for one in own])
        for one in found:
            if not one.counts:
                extra[one.first.replace(day=1), owner[0]] += one.paid[0]
        for month, day in month_ends(own[0]["day"], today):
            worth[owner][month] = sum(one.worth(day) for one in found if one.counts)
    return worth, extra


def mrr(payments, today, unit="app"):
    """``(month, app) → opening, new, expansion, contraction, churn, reactivation, closing, payers``."""
    worth, _ = closings(payments, today)
    table = defaultdict(lambda: [0] * 8)
    groups = defaultdict(dict)
    for (app, payer), months in worth.items():
        own = groups[(app if unit == "app" else "", payer)]
        for month, cents in months.items():
            own[month] = own.get(month, 0) + cents
    for (app, _), months in groups.items():
        before, known = 0, False
        for month, after in sorted(months.items()):
            row = table[month, app]
            kind = 0
            if before == 0 and after > 0:
                kind = 5 if known else 1
            elif before > 0 and after == 0:
                kind = 4
            elif after != before:
                kind = 2 if after > before else 3
            row[0] += before
            row[kind] += after - before if kind else 0
            row[6] += after
            row[7] += after > 0
            before, known = after, known or after > 0
    return {key: row for key, row in table.items() if any(row)}
