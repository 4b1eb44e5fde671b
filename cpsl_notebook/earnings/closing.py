"""The answers of ``payments.capsule`` for the close of a month."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cpsl_notebook.earnings.answers import Answers
from cpsl_notebook.earnings.dates import Moment, first_day, in_utc
from cpsl_notebook.earnings.export import snapshots
from cpsl_notebook.earnings.ledger.amounts import Unit
from cpsl_notebook.earnings.metrics.payouts import payouts
from cpsl_notebook.earnings.presentation import result
from cpsl_notebook.earnings.reconciliation.reconcile import is_balanced, reconcile

__all__ = ["Closing"]


class Closing(Answers):
    """What is not paid out, whether all adds up, and what has changed since it was closed."""

    def payouts(
        self, *, as_of: Moment | None = None, tz: str = "UTC", money: bool = False
    ) -> pd.DataFrame:
        """Add up what is not paid out, net, by app, currency and payout state, with its age.

        The states are those of the reading. For an earlier moment, what was paid out after it is
        shown as ``"Paid out later"``, where the payments tell when they were paid out.

        Parameters
        ----------
        as_of
            Look back from this moment; a day or a month means its end. By default the reading.
        tz
            The zone whose calendar days count.
        money
            Exact decimals in currency, under names without ``_cents``.

        Returns
        -------
        pandas.DataFrame
            ``app``, ``currency``, ``payout_state`` (a state that nobody knows has a row; so has
            ``"Unknown"``, where there is none), ``payments``, ``net_cents``; of that, by the age of
            the payment, ``days_0_7_cents``, ``days_8_30_cents``, ``days_31_90_cents``,
            ``days_over_90_cents``; and of the oldest ``oldest_days``, ``oldest_paid_at`` (UTC) and
            ``oldest_payment_id``.

        Raises
        ------
        UserError
            The payments have no payout state, or no net amount.

        Examples
        --------
        >>> from cpsl_notebook.frames import payments_frame
        >>> row = {"gross_cents": 1500, "fee_cents": 150, "payout_state": "In progress"}
        >>> days = ["2026-01-01", "2026-01-30"]
        >>> payments = payments_frame([("shop", [row | {"paid_at": day} for day in days])])
        >>> waiting = payments.capsule.payouts(as_of="2026-01")
        >>> waiting[["payout_state", "net_cents", "days_0_7_cents", "oldest_days"]].values.tolist()
        [['In progress', 2700, 1350, 30]]
        """
        ledger = self._ledger(as_of, tz)
        return result(payouts(ledger, tz=tz), ledger, money=money)

    def reconcile(
        self,
        earnings: pd.DataFrame,
        *,
        roles: Mapping[str, str | None] | None = None,
        amounts: Unit | None = None,
        strict: bool = False,
        since: Moment | None = None,
        tz: str = "UTC",
        money: bool = False,
    ) -> pd.DataFrame:
        """Check the payments against each other and against the service's summaries.

        It holds for the reading, as the summaries do. Errors: an id, a time or an amount is missing
        that others have; gross − fee is not net; the fee of a sale, a tenth by the service's terms,
        is off by a cent or more; an id stands twice; currencies are mixed; a sum is not what the
        summary says. For information: gaps in renewals, negative amounts, the same payer and amount
        within a day, payouts without an id.

        Parameters
        ----------
        earnings
            The summaries, one row per app, as `cpsl_notebook.Client.get_earnings` gives them.
        roles, amounts
            Which columns of *earnings* are ``gross``, ``fee`` and ``net``, and what they are in,
            where their names do not say it.
        strict
            Whether to raise an error unless all is balanced, for scheduled jobs.
        since, tz
            The first day, or month, of which findings are shown one by one; those of earlier
            payments are counted, and all are checked.
        money
            Exact decimals in currency, under names without ``_cents``.

        Returns
        -------
        pandas.DataFrame
            ``severity`` (``error``, ``not checked``, ``information``, ``passed``), ``check``,
            ``app``, ``payment_id``, ``paid_at``, ``expected_cents``, ``found_cents``, ``finding``;
            the worst first, and a row for each check that found nothing or could not run.
            ``"balanced"``, in the corner and as ``attrs["balanced"] == "yes"``, is said only where
            every check could run and none found an error.

        Raises
        ------
        UserError
            The payments were cut to a window; or *strict* and they are not balanced.

        Examples
        --------
        >>> from cpsl_notebook.frames import earnings_frame, payments_frame
        >>> row = {"payment_id": "p1", "paid_at": "2026-01-31", "gross_cents": 1500, "fee_cents": 140}
        >>> summary = earnings_frame([("shop", {"gross_cents": 1500, "fee_cents": 140})])
        >>> findings = payments_frame([("shop", [row])]).capsule.reconcile(summary)
        >>> findings[["severity", "check", "expected_cents", "found_cents"]].values.tolist()[0]
        ['error', 'fee', 150, 140]
        """
        ledger = self._ledger()
        first = None if since is None else in_utc(first_day(since, tz), tz)
        findings = reconcile(
            ledger, earnings, roles=roles, amounts=amounts, strict=strict, since=first
        )
        balanced = is_balanced(findings)
        note = "balanced" if balanced else "not balanced"
        answer = result(findings, ledger, money=money, note=note)
        answer.attrs["balanced"] = "yes" if balanced else "no"
        return answer

    def snapshot(self, path: str | Path, *, as_of: Moment | None = None, tz: str = "UTC") -> Path:
        """Freeze the ledger in a Parquet file that is not there yet, and return its path.

        Parameters
        ----------
        path
            The file. One that is there already is never overwritten.
        as_of, tz
            The close, such as ``"2026-10"``; payments from later on are left out. By default the
            reading.

        Raises
        ------
        UserError
            The file is there already, or cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from cpsl_notebook.frames import payments_frame
        >>> row = {"payment_id": "p1", "paid_at": "2026-01-31", "gross_cents": 1500, "fee_cents": 150}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = payments_frame([("shop", [row])])
        ...     closed = before.capsule.snapshot(f"{folder}/2026-01.parquet", as_of="2026-01")
        ...     after = payments_frame([("shop", [row | {"fee_cents": 140}])])
        ...     after.capsule.diff(closed)[["change", "field", "before", "after"]].values.tolist()
        [['changed', 'fee_cents', '150', '140'], ['changed', 'net_cents', '1350', '1360']]
        """
        return snapshots.write(self._ledger(as_of, tz), path)

    def diff(self, path: str | Path) -> pd.DataFrame:
        """Show what has changed since a snapshot, row by row; payments from after it are no change.

        Parameters
        ----------
        path
            The file that `snapshot` wrote.

        Returns
        -------
        pandas.DataFrame
            ``change`` (``added``, ``removed``, ``changed``), ``app``, ``payment_id``, ``field``,
            ``before``, ``after``, as text. A row that was added or removed is told by its net amount.

        Raises
        ------
        UserError
            The file is no snapshot, the payments have no ids, or the two were cut to different
            windows.
        """
        ledger = self._ledger()
        return result(snapshots.diff(ledger, snapshots.read(path)), ledger)
