"""Reconciliation of payments with themselves and with the service's summaries.

Every check adds at least one row to the result: its findings, or that it passed, or why it could
not run. The service documents that its fee is a tenth of the gross amount of a sale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import Moment, in_utc, zone
from cpsl_notebook.earnings.ledger.amounts import Unit, check_unit
from cpsl_notebook.earnings.ledger.arguments import check_flag, check_mapping
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.reconciliation.payment_checks import PAYMENT_CHECKS, CannotRunError
from cpsl_notebook.earnings.reconciliation.summary_check import (
    compare_payout_states,
    compare_with_summaries,
)
from cpsl_notebook.earnings.result_table import result_table
from cpsl_notebook.errors import UserError

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["reconcile"]

_SEVERITIES = ["error", "not checked", "information", "passed"]
_TYPES: dict[str, Any] = {
    "severity": pd.CategoricalDtype(_SEVERITIES, ordered=True),
    "check": "string",
    "app": "string",
    "payment_id": "string",
    "paid_at": "datetime64[us, UTC]",
    "expected_cents": "Int64",
    "found_cents": "Int64",
    "finding": "string",
}


def reconcile(
    self: Earnings,
    earnings: pd.DataFrame,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    strict: bool = False,
    since: Moment | None = None,
    tz: str = "UTC",
    money: bool = False,
) -> pd.DataFrame:
    """Check the payments against each other and against the service's earnings summaries.

    The result holds for the time at which the payments were read, as the summaries do.

    These findings are errors:

    - An id, a time or an amount is missing that other payments have.
    - Gross amount minus fee is not the net amount.
    - The fee of a sale differs from a tenth of the gross amount by a cent or more.
    - Several payments of an app have the same id.
    - The payments have several currencies, or none.
    - A payment is dated after the time of reading.
    - The sum of gross amounts, fees or net amounts differs from the summary, or that of the net
      amounts in a payout state, if the summary has such sums.

    These findings are for information: payments that are paid out without a payout id or the
    reverse, late renewals, negative amounts, payments with the same payer and amount within a day,
    refunds at an unknown time, payments of one subscription or email address with several payers,
    and payments that were left out, such as those that were never paid.

    Parameters
    ----------
    earnings : pandas.DataFrame
        Summaries, one row per app, as returned by `cpsl_notebook.Client.get_earnings`.
    roles : mapping of str to str or None, optional
        Columns of *earnings* by role (``gross``, ``fee`` and ``net``), such as
        ``{"gross": "total"}``, if they cannot be found by name.
    amounts : {"cents", "currency"}, optional
        Unit of the columns of *earnings* whose names do not state it.
    strict : bool, default False
        Whether to raise an error unless the payments are balanced, for scheduled jobs.
    since : str, date, datetime or Period, optional
        First day or month whose findings are listed one by one. Findings of earlier payments are
        counted.
    tz : str, default "UTC"
        Time zone of *since*, such as ``"Europe/Berlin"``.
    money : bool, default False
        Whether to return exact decimals in currency, in columns without the ``_cents`` suffix.

    Returns
    -------
    pandas.DataFrame
        One row per finding, the most severe first, and one row for each check that passed or could
        not run.

        - ``severity`` (category): ``error``, ``not checked``, ``information`` or ``passed``.
        - ``check``, ``app``, ``payment_id`` (string).
        - ``paid_at`` (datetime64[us, UTC]).
        - ``expected_cents``, ``found_cents`` (Int64).
        - ``finding`` (string): description of the finding.

        ``attrs["balanced"]`` is ``"yes"`` if every check could run and none found an error, and
        ``"no"`` otherwise.

    Raises
    ------
    UserError
        The payments are limited to a window or may lack rows, *earnings* has no column ``app``, or
        *strict* is true and the payments are not balanced.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import earnings_frame, payments_frame
    >>> row = {"payment_id": "p1", "paid_at": "2026-01-31", "gross_cents": 1500, "fee_cents": 140}
    >>> summary = earnings_frame([("shop", {"gross_cents": 1500, "fee_cents": 140})])
    >>> findings = payments_frame([("shop", [row])]).capsule.reconcile(summary)
    >>> findings[["severity", "check", "expected_cents", "found_cents"]].head(1)
      severity check  expected_cents  found_cents
    0    error   fee             150          140
    >>> findings.attrs["balanced"]
    'no'
    """
    check_flag("strict", strict)
    check_flag("money", money)
    zone(tz)
    check_mapping("roles", roles, '{"gross": "total"}')
    if amounts is not None:
        check_unit(amounts)
    ledger = build(self._frame)
    ledger.need("reconcile", "gross_cents", whole=True)
    first = None
    if since is not None:
        first = in_utc(Calendar(ledger.as_of, tz, "D").start(since), tz)
    parts = [
        _run(name, severity, check, ledger, first)
        for name, (severity, check) in PAYMENT_CHECKS.items()
    ]
    sums = compare_with_summaries(ledger, earnings, roles, amounts)
    parts.append(_typed([row | {"check": "sums"} for row in sums]))
    states = compare_payout_states(ledger, earnings)
    parts.append(_typed([row | {"check": "payout states"} for row in states]))
    findings = pd.concat(parts).sort_values("severity", kind="stable", ignore_index=True)
    balanced = not findings["severity"].isin(["error", "not checked"]).any()
    if strict and not balanced:
        raise UserError(_verdict(findings))
    if money:
        findings["currency"] = _currencies(findings, ledger)
    table = result_table(findings, ledger, money=money, balanced="yes" if balanced else "no")
    return table.drop(columns="currency", errors="ignore")


def _run(
    name: str,
    severity: str,
    check: Callable[[Ledger], pd.DataFrame],
    ledger: Ledger,
    since: pd.Timestamp | None,
) -> pd.DataFrame:
    """Return the findings of a check; those of payments before *since* as one row with a count."""
    try:
        found = check(ledger)
    except CannotRunError as reason:
        return _typed([{"severity": "not checked", "check": name, "finding": str(reason)}])
    if found.empty:
        return _typed([{"severity": "passed", "check": name, "finding": "no findings"}])
    found = found.assign(severity=severity, check=name)
    if since is None or "paid_at" not in found:
        return _typed(found)
    shown = found[~(found["paid_at"] < since)]
    earlier = len(found) - len(shown)
    hidden = {"severity": severity, "check": name, "finding": f"{earlier} in earlier payments"}
    return pd.concat([_typed(shown), _typed([hidden] if earlier else [])])


def _currencies(findings: pd.DataFrame, ledger: Ledger) -> pd.Series[Any]:
    """Return the currency of each finding: that of the payment, or else that of the app."""
    keys = ["app", "payment_id"]
    rows = ledger.rows[[*keys, "currency"]].astype("string")
    by_payment = rows.drop_duplicates(keys).set_index(keys)["currency"]
    by_app = rows.drop_duplicates("app").set_index("app")["currency"]
    places = pd.MultiIndex.from_frame(findings[keys].astype("string"))
    found = pd.Series(by_payment.reindex(places).to_numpy(), findings.index, dtype="string")
    return found.fillna(findings["app"].map(by_app).astype("string"))


def _typed(rows: pd.DataFrame | list[dict[str, Any]]) -> pd.DataFrame:
    found = pd.DataFrame(rows)
    columns = {name: found.get(name, [None] * len(found)) for name in _TYPES}
    return pd.DataFrame(
        {
            name: pd.Series(values, index=found.index).astype(_TYPES[name])
            for name, values in columns.items()
        }
    )


def _verdict(findings: pd.DataFrame) -> str:
    """Return one line with the number of errors and the first of them."""
    counts = findings["severity"].value_counts()
    first = findings.iloc[0]
    where = [first[name] for name in ("check", "app", "payment_id") if not pd.isna(first[name])]
    return (
        f"Not balanced: errors: {counts['error']}, not checked: {counts['not checked']}. "
        f"First finding: {', '.join(where)}: {first['finding']}. "
        "List all findings with strict=False."
    )
