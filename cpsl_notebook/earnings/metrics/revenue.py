"""Revenue: what was sold, refunded, charged and earned, by period, app and kind."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import AMOUNTS, entries, totals

__all__ = ["revenue"]

_GROUPS = ["app", "kind", "currency"]


def revenue(
    ledger: Ledger,
    freq: str = "MS",
    *,
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Add up payments by period, app and kind; `cpsl_notebook.earnings.sales` tells of it."""
    calendar = Calendar(ledger.as_of, tz, freq)
    rows = entries(ledger)
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    sums = totals(rows, ["period", *_GROUPS])
    filled = replace(calendar, as_of=ledger.until).with_empty(sums, _GROUPS, "period")
    for amount in set(AMOUNTS) & ledger.missing:
        filled[amount] = pd.Series(pd.NA, index=filled.index, dtype="Int64")
    return calendar.finish(filled, "period", since)
