"""The answers of ``payments.capsule`` about sales."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.answers import Answers
from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.metrics import payers, revenue
from cpsl_notebook.earnings.presentation import result

__all__ = ["Sales"]


class Sales(Answers):
    """What was sold, and who paid."""

    def revenue(
        self,
        freq: str = "MS",
        *,
        tz: str = "UTC",
        since: Moment | None = None,
        as_of: Moment | None = None,
        money: bool = False,
    ) -> pd.DataFrame:
        """Add up sales, refunds and fees by period, app, kind and currency.

        Sales and refunds stand apart, and fees are those after refunds, as in Stripe's balance
        summary: ``gross_cents + refunds_cents - fee_cents`` is ``net_cents``.

        Parameters
        ----------
        freq
            ``"MS"`` (months), ``"D"``, ``"W"`` (Monday to Sunday), ``"QS"`` or ``"YS"``.
        tz
            The zone whose days count, such as ``"Europe/Berlin"``.
        since
            The first day, or month, to show.
        as_of
            Look back from this moment; a day or a month means its end. By default the reading.
        money
            Exact decimals in currency, under names without ``_cents``.

        Returns
        -------
        pandas.DataFrame
            ``period``, ``app``, ``kind``, ``currency``, ``payments`` (how many sales),
            ``gross_cents`` (of sales), ``refunds_cents`` (negative, on the day of the refund),
            ``fee_cents``, ``net_cents``, ``state``. A period without payments has zeros, up to now
            or to the end of the window that was read; a sum of which a part is missing is missing.

        Raises
        ------
        UserError
            The frequency, the zone or a moment is none, or a payment has no time.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> rows = [
        ...     {"paid_at": "2026-09-30", "kind": "one_time", "gross_cents": 4900, "fee_cents": 490},
        ...     {"paid_at": "2026-10-02", "kind": "one_time", "gross_cents": -900, "fee_cents": -90},
        ... ]
        >>> payments = payments_frame([("shop", rows)])
        >>> table = payments.capsule.revenue(as_of="2026-10", money=True)
        >>> table[["period", "gross", "refunds", "fee", "net"]].astype(str)
        as of 2026-11-01 00:00 UTC      period  gross refunds    fee    net
        0                           2026-09-01  49.00    0.00   4.90  44.10
        1                           2026-10-01   0.00   -9.00  -0.90  -8.10
        """
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
        """Count who paid, by period, app and currency, and what one pays on average.

        Parameters
        ----------
        freq, tz, since, as_of, money
            As for `revenue`.
        unit
            ``"app"``: per app, a payer with two apps in both. ``"payer"``: over all apps, once.
        basis
            ``"gross"`` or ``"net"``: which sum of `revenue` counts.

        Returns
        -------
        pandas.DataFrame
            ``period``, ``app`` (with that unit), ``currency``, ``active_payers`` (with a sale in
            the period), ``new_payers`` (with their first; missing where the payments were cut to a
            window), ``returning_payers`` (the others), ``revenue_cents`` of all that have a payer,
            ``arpp_cents`` (that per active payer, rounded half up to a cent; missing where nobody
            paid), ``state``.

        Raises
        ------
        UserError
            As `revenue`; or no field names the payer.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> days = [("2026-09-30", "ada"), ("2026-10-02", "ada"), ("2026-10-03", "bo")]
        >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
        >>> payments = payments_frame([("shop", [row | {"fee_cents": 150} for row in rows])])
        >>> table = payments.capsule.payers(as_of="2026-10")
        >>> table[["active_payers", "new_payers", "revenue_cents"]]
        as of 2026-11-01 00:00 UTC  active_payers  new_payers  revenue_cents
        0                                       1           1           1500
        1                                       2           1           3000
        """
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
        """Return who brought most, by net, over all apps, for each currency.

        Parameters
        ----------
        n
            How many for each currency; of equal ones, first by name.
        tz, as_of, money
            As for `revenue`.
        since
            The first day that counts, or the first of a month such as ``"2025-10"``.

        Returns
        -------
        pandas.DataFrame
            ``currency``, ``rank``, ``payer``, ``payments``, ``gross_cents``, ``refunds_cents``,
            ``fee_cents``, ``net_cents``, and ``share``: the part of the net of all payments in that
            currency, missing where that is not positive.

        Raises
        ------
        UserError
            As `payers`; or *n* is no count.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> sums = {"ada": 9000, "bo": 1000}
        >>> rows = [{"payer": payer, "gross_cents": cents} for payer, cents in sums.items()]
        >>> rows = [row | {"paid_at": "2026-10-02", "fee_cents": 0} for row in rows]
        >>> payments_frame([("shop", rows)]).capsule.top_payers(1)[["rank", "payer", "share"]].values
        array([[1, 'ada', 0.9]], dtype=object)
        """
        ledger = self._ledger(as_of, tz)
        return result(payers.top_payers(ledger, n, tz=tz, since=since), ledger, money=money)
