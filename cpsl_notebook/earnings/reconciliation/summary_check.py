"""The check of a reconciliation that compares sums with the service's summaries."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.amounts import Unit, cents
from cpsl_notebook.earnings.ledger.column_values import PAYOUT_STATES, key
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.overflow import check_sums
from cpsl_notebook.earnings.ledger.roles import AMOUNTS, ROLES, infer, name_implies_cents
from cpsl_notebook.earnings.reconciliation.payment_checks import CannotRunError
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.field_names import words

__all__ = ["compare_payout_states", "compare_with_summaries"]


def compare_with_summaries(
    ledger: Ledger,
    earnings: pd.DataFrame,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
) -> list[dict[str, Any]]:
    """Compare the gross, fee and net sums of every app with its summary.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    earnings : pandas.DataFrame
        The summaries, one row per app, with a column ``app``.
    roles : mapping of str to str or None, optional
        Columns of *earnings* by role: ``gross``, ``fee`` and ``net``.
    amounts : {"cents", "currency"}, optional
        Unit of the columns whose names do not state it.

    Returns
    -------
    list of dict
        ``severity, app, expected_cents, found_cents, finding``, for each app and amount.

    Raises
    ------
    UserError
        *earnings* is not a DataFrame, or has no column ``app``.
    """
    if not isinstance(earnings, pd.DataFrame):
        raise UserError(
            f"The summaries must be a DataFrame, not {type(earnings).__name__}. "
            "Pass the result of get_earnings() of cpsl_notebook.Client."
        )
    if "app" not in earnings.columns:
        raise UserError("The summaries have no column `app`. Pass the result of get_earnings().")
    columns = infer(earnings, roles).columns
    apps = dict.fromkeys([*ledger.rows["app"].astype(str), *earnings["app"].astype(str)])
    return [
        {"app": app, **_compare(ledger, earnings, app, role, columns.get(role), amounts)}
        for app in apps
        for role in AMOUNTS
    ]


def compare_payout_states(ledger: Ledger, earnings: pd.DataFrame) -> list[dict[str, Any]]:
    """Compare the net sums by payout state with those of the summaries.

    Summaries have them in columns such as ``net_cents_by_payout_state.Paid out``. A state without a
    column, or with a missing value, has a sum of 0.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    earnings : pandas.DataFrame
        The summaries, one row per app, with a column ``app``.

    Returns
    -------
    list of dict
        ``severity, app, expected_cents, found_cents, finding``, for each app and state. Empty if the
        summaries have no such columns.
    """
    columns = {
        name: PAYOUT_STATES.get(key(state), state)
        for name in map(str, earnings.columns)
        for prefix, _, state in [name.partition(".")]
        if state and {"net", "payout"} <= set(words(prefix)) and name_implies_cents(prefix)
    }
    if not columns or {"payout_state", "net_cents"} & ledger.missing:
        return []
    summaries = earnings.drop_duplicates("app", keep=False).set_index("app")
    found = []
    for app in map(str, ledger.rows["app"].dropna().unique()):
        rows = ledger.rows[(ledger.rows["app"] == app) & ledger.rows["payout_state"].notna()]
        if app not in summaries.index or rows["net_cents"].isna().any():
            continue
        check_sums(rows[["net_cents"]], [rows["payout_state"]])
        sums = rows.groupby(rows["payout_state"].astype(str))["net_cents"].sum()
        summary = summaries.loc[app, list(columns)].fillna(0)
        stated = summary.astype("Int64").groupby(lambda name: columns[name]).sum()
        for state in sorted({*sums.index, *stated.index}):
            expected, shown = int(sums.get(state, 0)), int(stated.get(state, 0))
            verb = "equals" if expected == shown else "differs from"
            found.append(
                {
                    "severity": "passed" if expected == shown else "error",
                    "app": app,
                    "expected_cents": expected,
                    "found_cents": shown,
                    "finding": f"the net sum of the state {state!r} {verb} that of the summary",
                }
            )
    return found


def _compare(
    ledger: Ledger,
    earnings: pd.DataFrame,
    app: str,
    role: str,
    column: Hashable | None,
    amounts: Unit | None,
) -> dict[str, Any]:
    try:
        stated = _stated(earnings[earnings["app"] == app], role, column, amounts)
        summed = _summed(ledger, app, ROLES[role])
        if stated and not (ledger.rows["app"] == app).any():
            raise CannotRunError(f"no payments of {app} were read")
    except CannotRunError as reason:
        return {"severity": "not checked", "finding": str(reason)}
    same = stated == summed
    return {
        "severity": "passed" if same else "error",
        "expected_cents": summed,
        "found_cents": stated,
        "finding": f"the {role} sum {'equals' if same else 'differs from'} the summary's `{column}`",
    }


def _stated(summary: pd.DataFrame, role: str, column: Hashable | None, amounts: Unit | None) -> int:
    """Return an amount of a summary, in cents."""
    if summary.empty:
        raise CannotRunError("the app has no summary")
    if len(summary) > 1:
        raise CannotRunError(f"the app has {len(summary)} summaries")
    if column is None:
        raise CannotRunError(
            f"the {role} column of the summary is unknown: "
            f'pass roles={{"{role}": …}} to reconcile()'
        )
    if not name_implies_cents(column) and amounts is None:
        raise CannotRunError(
            f"the unit of the summary's `{column}` is unknown: "
            'pass amounts="cents" or amounts="currency" to reconcile()'
        )
    stated = cents(
        summary[column], "cents" if name_implies_cents(column) else amounts or "cents"
    ).iloc[0]
    if pd.isna(stated):
        raise CannotRunError(f"the summary's `{column}` is not an amount")
    return int(stated)


def _summed(ledger: Ledger, app: str, column: str) -> int:
    """Return the sum of an app's payments, in cents."""
    rows = ledger.rows[ledger.rows["app"] == app]
    if column in ledger.missing:
        raise CannotRunError(f"the payments have no {column}")
    if rows["currency"].nunique() > 1:
        raise CannotRunError("the payments are in several currencies")
    if rows[column].isna().any():
        raise CannotRunError(f"some payments have no {column}")
    check_sums(rows[[column]])
    return int(rows[column].sum())
