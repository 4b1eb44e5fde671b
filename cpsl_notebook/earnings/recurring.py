"""The answers of ``payments.capsule`` about subscriptions."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.answers import Answers
from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.metrics import cohorts, mrr
from cpsl_notebook.earnings.presentation import result

__all__ = ["Recurring"]


class Recurring(Answers):
    """What recurs every month, and who stays."""

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
        """Return the monthly recurring revenue at the end of each month, and what moved it.

        Payments of a monthly kind form chains, by the rules in
        `cpsl_notebook.earnings.subscriptions.chains`; a late renewal
        moves nothing. A month closes with what was paid for the periods in force on
        its last day; while a due date is open, for 15 days of grace, with the amount before.
        Refunds and one-time sales never move it. Movements are ChartMogul's: the closings of each
        payer are compared.

        Parameters
        ----------
        basis
            ``"gross"`` or ``"net"``: which amount counts.
        unit
            Whose closings are compared: ``"app"``, those of each payer and app; ``"payer"``, those
            of each payer over all apps, so that one who changes from an app to another is not lost.
        tz, as_of, money
            As for `revenue`.
        since
            The first month to show; it does not change what is counted.

        Returns
        -------
        pandas.DataFrame
            ``month``, ``app`` (with that unit), ``currency``; ``opening_cents``, ``new_cents``
            (payers who never subscribed before), ``expansion_cents``, ``contraction_cents`` and
            ``churn_cents`` (both negative), ``reactivation_cents`` (payers who come back),
            ``closing_cents``: opening and movements add up to it, to the cent;
            ``unclassified_cents`` (monthly payments that renew nothing and do not recur, such as a
            proration: not counted); ``payers`` (with a subscription at the end); ``state``.

        Raises
        ------
        UserError
            The payments were cut to a window, a field or an amount is missing, or a kind is neither
            one-time nor monthly.

        Notes
        -----
        An extra payment stands in ``unclassified_cents`` until its amount recurs, which can be a
        month and 15 days later: from then on it is a second subscription from its first day.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> days = ["2026-01-31", "2026-03-01", "2026-03-31"]  # the second a day late
        >>> rows = [{"paid_at": day, "payer": "ada", "gross_cents": 1500} for day in days]
        >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
        >>> table = payments_frame([("shop", rows)]).capsule.mrr(as_of="2026-03")
        >>> table[["month", "churn_cents", "closing_cents", "state"]]
        as of 2026-04-01 00:00 UTC      month  churn_cents  closing_cents        state
        0                          2026-01-01            0           1500        final
        1                          2026-02-01            0           1500        final
        2                          2026-03-01            0           1500  provisional
        """
        ledger = self._ledger(as_of, tz)
        return result(
            mrr.mrr(ledger, basis=basis, unit=unit, tz=tz, since=since), ledger, money=money
        )

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
        """Return how many payers, and how much recurring revenue, each month lost of its opening.

        Parameters
        ----------
        basis, unit, tz, since, as_of, money
            As for `mrr`.

        Returns
        -------
        pandas.DataFrame
            ``month``, ``app`` (with that unit), ``currency``; ``opening_payers``,
            ``churned_payers``, ``reactivated_payers``; ``payer_churn`` (churned ÷ opening);
            ``opening_cents``, ``contraction_cents``, ``churn_cents``, ``expansion_cents`` and
            ``reactivation_cents`` of `mrr`; ``gross_retention`` (what is left of the opening after
            churn and contraction) and ``net_retention`` (the same with expansion), both ÷ opening;
            ``state``. Ratios are missing where the opening is zero. Who comes back, or is new,
            counts in none of them.

        Raises
        ------
        UserError
            As `mrr`.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> days = [("2026-01-05", "ada"), ("2026-01-06", "bo"), ("2026-02-05", "ada")]
        >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
        >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
        >>> table = payments_frame([("shop", rows)]).capsule.churn(as_of="2026-02")
        >>> table[["opening_payers", "churned_payers", "payer_churn"]]
        as of 2026-03-01 00:00 UTC  opening_payers  churned_payers  payer_churn
        0                                        0               0         <NA>
        1                                        2               1          0.5
        """
        ledger = self._ledger(as_of, tz)
        return result(
            mrr.churn(ledger, basis=basis, unit=unit, tz=tz, since=since), ledger, money=money
        )

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
        """Follow the payers whose first monthly payment was in the same month.

        A payer is there in a month that closes with a subscription of theirs in force, by the rules
        of `mrr`; what they bought once, before or after, does not matter.

        Parameters
        ----------
        basis, unit, tz, as_of, money
            As for `mrr`.
        since
            The first cohort to show.

        Returns
        -------
        pandas.DataFrame
            ``cohort`` (the first day of its month), ``app`` (with that unit), ``currency``;
            ``payers``, the size of the cohort; ``age`` in months, 0 for its first;
            ``active_payers``, ``retention`` (active ÷ size) and ``mrr_cents`` at the end of that
            month, missing where it has not ended; ``state`` of that month. Every cohort has a row
            for each age of the oldest.

        Raises
        ------
        UserError
            As `mrr`.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> days = [("2026-01-05", "ada"), ("2026-01-06", "bo"), ("2026-02-05", "ada")]
        >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
        >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
        >>> table = payments_frame([("shop", rows)]).capsule.cohorts(as_of="2026-02")
        >>> table[["cohort", "payers", "age", "active_payers", "retention"]]
        as of 2026-03-01 00:00 UTC     cohort  payers  age  active_payers  retention
        0                          2026-01-01       2    0              2        1.0
        1                          2026-01-01       2    1              1        0.5
        """
        ledger = self._ledger(as_of, tz)
        return result(
            cohorts.cohorts(ledger, basis=basis, unit=unit, tz=tz, since=since),
            ledger,
            money=money,
        )
