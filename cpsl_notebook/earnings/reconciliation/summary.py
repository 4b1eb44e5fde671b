"""The check of a reconciliation that compares with the service's summary of an app's earnings."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.amounts import Unit, cents
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.roles import AMOUNTS, ROLES, infer, says_cents
from cpsl_notebook.earnings.reconciliation.checks import CannotRunError

__all__ = ["compare"]


def compare(
    ledger: Ledger,
    earnings: pd.DataFrame,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
) -> list[dict[str, Any]]:
    """Compare the sums of every app with its summary.

    Parameters
    ----------
    ledger
        The payments.
    earnings
        The summaries, one row per app.
    roles, amounts
        Which columns are ``gross``, ``fee`` and ``net``, and what they are in, where their names
        do not say it.

    Returns
    -------
    list of dict
        ``severity, app, expected_cents, found_cents, finding``, for each app and amount; the
        finding names the field.
    """
    known = infer(earnings, roles)
    apps = dict.fromkeys([*ledger.rows["app"].astype(str), *earnings["app"].astype(str)])
    compared = []
    for app in apps:
        for role in AMOUNTS:
            compared.append(
                {
                    "app": app,
                    **_of_app(ledger, earnings, app, role, known.columns.get(role), amounts),
                }
            )
    return compared


def _of_app(
    ledger: Ledger,
    earnings: pd.DataFrame,
    app: str,
    role: str,
    field: Hashable | None,
    amounts: Unit | None,
) -> dict[str, Any]:
    name = ROLES[role]
    try:
        said = _said(earnings[earnings["app"] == app], role, field, amounts)
        summed = _summed(ledger, app, name)
        if not (ledger.rows["app"] == app).any() and said:
            raise CannotRunError(f"no payments of {app} were read")
    except CannotRunError as reason:
        return {"severity": "not checked", "finding": str(reason)}
    same = said == summed
    return {
        "severity": "passed" if same else "error",
        "expected_cents": summed,
        "found_cents": said,
        "finding": f"the {role} is {'' if same else 'not '}the summary's `{field}`",
    }


def _said(summary: pd.DataFrame, role: str, field: Hashable | None, amounts: Unit | None) -> int:
    """Return what the summary says, in cents."""
    if len(summary) != 1:
        raise CannotRunError(
            "there is no summary of the app" if summary.empty else "two summaries of the app"
        )
    if field is None:
        raise CannotRunError(f"no one field of the summary is the {role}: name it with roles=")
    if not says_cents(field) and amounts is None:
        raise CannotRunError(
            f'`{field}` may be cents or currency: pass amounts="cents" or "currency"'
        )
    said = cents(summary[field], "cents" if says_cents(field) else amounts or "cents").iloc[0]
    if pd.isna(said):
        raise CannotRunError(f"`{field}` of the summary is no amount")
    return int(said)


def _summed(ledger: Ledger, app: str, name: str) -> int:
    rows = ledger.rows[ledger.rows["app"] == app]
    if name in ledger.missing:
        raise CannotRunError(f"the payments have no {name}")
    if rows["currency"].nunique() > 1:
        raise CannotRunError("the payments are in several currencies")
    if rows[name].isna().any():
        raise CannotRunError(f"some payments have no {name}")
    return int(rows[name].sum())
