"""The check of a reconciliation that compares sums with the service's summaries."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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
    found = infer(earnings, roles).columns
    columns = {role: found.get(role) for role in AMOUNTS}
    stated = {role: _convert(earnings, name, amounts) for role, name in columns.items()}
    named = earnings["app"].astype(str)
    places: dict[str, list[int]] = {}
    for place, app in enumerate(named):
        places.setdefault(app, []).append(place)
    paid = _sums_by_app(ledger)
    return [
        {
            "app": app,
            **_compare(ledger, app, paid, role, columns[role], stated[role], places.get(app, [])),
        }
        for app in dict.fromkeys([*map(str, ledger.rows["app"].unique()), *named])
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
    summaries = earnings.drop_duplicates("app", keep=False).set_index("app")[list(columns)]
    stated: dict[Any, dict[str, int]] = {app: {} for app in summaries.index}
    unreadable: set[Any] = set()
    for name, state in columns.items():
        amounts = cents(summaries[name], "cents")
        unreadable |= set(amounts.index[amounts.isna() & summaries[name].notna()])
        for app, cents_of_app in amounts.fillna(0).items():
            stated[app][state] = stated[app].get(state, 0) + cents_of_app
    rows = ledger.rows[ledger.rows["payout_state"].notna()]
    unknown = set(rows["app"][rows["net_cents"].isna()])
    sums: dict[Any, dict[str, int]] = {app: {} for app in ledger.rows["app"].dropna().unique()}
    check_sums(rows[["net_cents"]], [rows["app"], rows["payout_state"]])
    by_state = rows.groupby(["app", "payout_state"], observed=True)["net_cents"].sum()
    for app, state, total in by_state.reset_index().itertuples(index=False):
        sums[app][str(state)] = int(total)
    found = []
    for app, paid in sums.items():
        if app not in stated or app in unknown:
            continue
        if app in unreadable:
            finding = "a net sum by payout state in the summary is not an amount"
            found.append({"severity": "not checked", "app": app, "finding": finding})
            continue
        for state in sorted({*paid, *stated[app]}):
            expected, shown = paid.get(state, 0), int(stated[app].get(state, 0))
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


def _sums_by_app(ledger: Ledger) -> dict[str, dict[Hashable, Any]]:
    """Return the number of currencies and the sum of each amount by app; None for unknown sums."""
    rows = ledger.rows
    names = [name for name in (ROLES[role] for role in AMOUNTS) if name not in ledger.missing]
    by_app = rows.groupby("app", observed=True)
    check_sums(rows[names], [rows["app"]])
    sums = by_app[names].sum().astype(object)
    sums[rows[names].isna().groupby(rows["app"], observed=True).any()] = None
    currencies = by_app["currency"].nunique()
    return {
        str(app): own for app, own in sums.assign(currencies=currencies).to_dict("index").items()
    }


def _convert(earnings: pd.DataFrame, column: Hashable | None, amounts: Unit | None) -> list[Any]:
    """Return the amounts of the summaries in cents; none if their column or unit is unknown."""
    if column is None or (amounts is None and not name_implies_cents(column)):
        return []
    unit = "cents" if name_implies_cents(column) else amounts or "cents"
    return cents(earnings[column], unit).tolist()


def _compare(
    ledger: Ledger,
    app: str,
    paid: Mapping[str, Mapping[Hashable, Any]],
    role: str,
    column: Hashable | None,
    stated: Sequence[Any],
    places: Sequence[int],
) -> dict[str, Any]:
    """Compare an amount of an app with its summary, which is at *places* in *stated*."""
    try:
        expected = _stated(stated, places, role, column)
        summed = _summed(ledger, paid.get(app, {}), ROLES[role])
        if expected and app not in paid:
            raise CannotRunError(f"no payments of {app} were read")
    except CannotRunError as reason:
        return {"severity": "not checked", "finding": str(reason)}
    same = expected == summed
    return {
        "severity": "passed" if same else "error",
        "expected_cents": summed,
        "found_cents": expected,
        "finding": f"the {role} sum {'equals' if same else 'differs from'} the summary's `{column}`",
    }


def _stated(
    stated: Sequence[Any], places: Sequence[int], role: str, column: Hashable | None
) -> int:
    """Return an amount of a summary, in cents."""
    if len(places) == 0:
        raise CannotRunError("the app has no summary")
    if len(places) > 1:
        raise CannotRunError(f"the app has {len(places)} summaries")
    if column is None:
        raise CannotRunError(
            f"the {role} column of the summary is unknown: "
            f'pass roles={{"{role}": "COLUMN"}} to reconcile()'
        )
    if not stated:
        raise CannotRunError(
            f"the unit of the summary's `{column}` is unknown: "
            'pass amounts="cents" or amounts="currency" to reconcile()'
        )
    if pd.isna(stated[places[0]]):
        raise CannotRunError(f"the summary's `{column}` is not an amount")
    return int(stated[places[0]])


def _summed(ledger: Ledger, paid: Mapping[Hashable, Any], column: str) -> int:
    """Return the sum of an app's payments, in cents."""
    if column in ledger.missing:
        raise CannotRunError(f"the payments have no {column}")
    if paid.get("currencies", 0) > 1:
        raise CannotRunError("the payments are in several currencies")
    if paid.get(column, 0) is None:
        raise CannotRunError(f"some payments have no {column}")
    return int(paid.get(column, 0))
