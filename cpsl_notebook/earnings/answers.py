"""The answers of ``payments.capsule`` about revenue, payers and subscriptions."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings import cohorts, mrr, payers, revenue
from cpsl_notebook.earnings.ledger import Ledger
from cpsl_notebook.earnings.plots import Plots
from cpsl_notebook.earnings.results import result
from cpsl_notebook.earnings.times import Moment

__all__ = ["Answers"]


class Answers:
    """What follows from a ledger; each module named says how, and what its columns are.

    All take ``tz`` (the zone whose days count), ``since`` (the first day or month to show),
    ``as_of`` (the moment from which to look back, by default the time of reading; a day means its
    end) and ``money`` (exact decimals in currency in place of integer cents).
    """

    def _ledger(self, as_of: Moment | None = None, tz: str = "UTC") -> Ledger:
        raise NotImplementedError

    @property
    def plot(self) -> Plots:
        """Pictures of the answers, such as ``payments.capsule.plot.mrr()``."""
        return Plots(self)

    def revenue(
        self,
        freq: str = "MS",
        *,
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Return gross, refunds, fees and net by period, app and kind: see `earnings.revenue`."""
        ledger = self._ledger(as_of, tz)
        return result(revenue.revenue(ledger, freq, tz=tz, since=since), ledger, money=money)

    def payers(
        self,
        freq: str = "MS",
        *,
        unit: str = "app",
        basis: str = "gross",
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Return active, new and returning payers, and what one pays: see `earnings.payers`."""
        ledger = self._ledger(as_of, tz)
        table = payers.payers(ledger, freq, unit=unit, basis=basis, tz=tz, since=since)
        return result(table, ledger, money=money)

    def top_payers(
        self,
        n: int = 10,
        *,
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Return who brought most, by net, with their share: see `earnings.payers`."""
        ledger = self._ledger(as_of, tz)
        return result(payers.top_payers(ledger, n, tz=tz, since=since), ledger, money=money)

    def mrr(
        self,
        *,
        basis: str = "gross",
        unit: str = "app",
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Return monthly recurring revenue and its movements: see `earnings.mrr`."""
        ledger = self._ledger(as_of, tz)
        table = mrr.mrr(ledger, basis=basis, unit=unit, tz=tz, since=since)
        return result(table, ledger, money=money)

    def churn(
        self,
        *,
        basis: str = "gross",
        unit: str = "app",
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Return the payers and revenue lost, and retention: see `earnings.mrr`."""
        ledger = self._ledger(as_of, tz)
        table = mrr.churn(ledger, basis=basis, unit=unit, tz=tz, since=since)
        return result(table, ledger, money=money)

    def cohorts(
        self,
        *,
        basis: str = "gross",
        unit: str = "app",
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Follow the payers who first subscribed in the same month: see `earnings.cohorts`."""
        ledger = self._ledger(as_of, tz)
        table = cohorts.cohorts(ledger, basis=basis, unit=unit, tz=tz, since=since)
        return result(table, ledger, money=money)
