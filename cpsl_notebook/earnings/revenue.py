"""Revenue: what was sold, refunded, charged and earned, by period, app and kind."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.entries import AMOUNTS, entries, totals
from cpsl_notebook.earnings.ledger import Ledger
from cpsl_notebook.earnings.periods import Calendar, known_at
from cpsl_notebook.earnings.times import Moment

__all__ = ["revenue"]

_GROUPS = ["app", "kind", "currency"]


def revenue(
    ledger: Ledger,
    freq: str = "MS",
    *,
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
) -> pd.DataFrame:
    """Add up payments by period, app, kind and currency.

    Parameters
    ----------
    ledger
        The payments; a part of them will do.
    freq
        ``"MS"`` (months), ``"D"``, ``"W"`` (Monday to Sunday), ``"QS"`` or ``"YS"``.
    tz
        The zone whose days count.
    since
        The first day, or month, to show.
    as_of
        Leave out what was paid from this moment on; a date is the end of that day.

    Returns
    -------
    pandas.DataFrame
        ``period`` (its first day), ``app``, ``kind``, ``currency``, ``payments`` (how many sales),
        and in cents ``gross_cents`` (sales), ``refunds_cents`` (negative, on the day of the
        refund), ``fee_cents``, ``net_cents``; ``state`` is ``running``, ``provisional`` or
        ``final``. A period in which nothing was paid has zeros.

    Raises
    ------
    UserError
        The frequency, the zone or a date is none, or a payment is neither paid nor unpaid.

    Notes
    -----
    Sales and refunds stand apart, and fees are those after refunds, as in Stripe's balance summary:
    ``gross_cents + refunds_cents - fee_cents`` is ``net_cents``.
    """
    known = known_at(ledger, as_of, tz)
    calendar = Calendar(known.as_of, tz, freq)
    rows = entries(known)
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    sums = totals(rows, ["period", *_GROUPS])
    filled = calendar.with_empty(sums, _GROUPS, "period")
    for amount in set(AMOUNTS) & known.missing:
        filled[amount] = pd.Series(pd.NA, index=filled.index, dtype="Int64")
    return calendar.finish(filled, "period", since)
