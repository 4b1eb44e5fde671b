"""An independent calculation of MRR, one month and one subscription at a time.

It follows the definitions of the package but shares no code with it and does not use pandas, so that
a comparison of the two finds mistakes in either.
"""

import datetime as dt
from collections import defaultdict

EARLY, GRACE = dt.timedelta(days=7), dt.timedelta(days=15)
DAY = dt.timedelta(days=1)


class Subscription:
    """Payments that renew one another; the day of the first one fixes all due dates."""

    def __init__(self, day, cents, name, extra):
        self.first, self.paid, self.name, self.extra = day, [cents], name, extra
        self.superseded = None  # the day on which another subscription superseded it

    def due(self, number):
        return plus(self.first, number)

    @property
    def open_due(self):
        return self.due(len(self.paid))

    @property
    def counts(self):
        return not self.extra or len(self.paid) > 1

    def ended(self, day):
        return day > self.open_due + GRACE

    def may_settle(self, day, name):
        alike = name == self.name or None in (name, self.name)
        return alike and day >= self.open_due - EARLY

    def worth(self, day):
        """Return the amount paid for the period that includes a day."""
        for number, cents in enumerate(self.paid):
            end = self.due(number + 1) - DAY
            if number == len(self.paid) - 1:
                grace_end = self.open_due + GRACE
                end = max(end, self.superseded - DAY) if self.superseded else grace_end
            if self.due(number) <= day <= end:
                return cents
        return 0


def plus(day, months):
    """Return the same day some months later, or the last day of that month."""
    year, month = divmod(12 * day.year + day.month + months, 12)
    end = dt.date(year, month + 1, 1) - DAY
    return end.replace(day=min(day.day, end.day))


def subscriptions(payments):
    """Return the subscriptions of one payer to one app, from ``day, cents, name`` in time order."""
    every = []
    for day, cents, name in payments:
        live = [each for each in every if not each.ended(day)]
        fitting = [each for each in live if each.may_settle(day, name)]
        counted = [each for each in fitting if each.counts]
        recurring = [each for each in fitting if not each.counts and each.paid == [cents]]

        def rank(each, day=day, cents=cents, name=name):
            distance = abs(each.open_due - day)
            return each.name != name, distance, each.paid[-1] != cents, every.index(each)

        best = min(counted, key=rank, default=None)
        if recurring and (best is None or best.paid[-1] != cents):
            best = min(recurring, key=rank)
        if best:
            best.paid.append(cents)
            best.name, best.superseded = name or best.name, None
            continue
        beside = [each for each in live if each.counts and name in (None, each.name)]
        rivals = [
            each
            for each in live
            if each.counts
            and each.open_due - EARLY <= day
            and not (each.superseded and day >= each.superseded)
        ]
        if rivals and not beside:
            min(rivals, key=lambda each, day=day: abs(each.open_due - day)).superseded = day
        every.append(Subscription(day, cents, name, bool(beside)))
    return every


def month_ends(first, today):
    """Yield each month from that of a day, with its last day or today."""
    month = first.replace(day=1)
    while month <= today:
        after = plus(month, 1)
        yield month, min(after - DAY, today)
        month = after


def closings(payments, today):
    """Return cents by month for each ``(app, payer)``, and unclassified cents by month and app."""
    owners = defaultdict(list)
    for payment in payments:
        owners[payment["app"], payment["payer"]].append(payment)
    worth, unclassified = defaultdict(dict), defaultdict(int)
    for owner, own in owners.items():
        own = sorted(own, key=lambda each: (each["day"], each["cents"], each["name"] or ""))
        found = subscriptions([(each["day"], each["cents"], each["name"]) for each in own])
        for each in found:
            if not each.counts:
                unclassified[each.first.replace(day=1), owner[0]] += each.paid[0]
        for month, day in month_ends(own[0]["day"], today):
            worth[owner][month] = sum(each.worth(day) for each in found if each.counts)
    return worth, unclassified


def mrr(payments, today, unit="app"):
    """Return the MRR by ``(month, app)``.

    The values are opening, new, expansion, contraction, churn, reactivation, closing and payers.
    """
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
