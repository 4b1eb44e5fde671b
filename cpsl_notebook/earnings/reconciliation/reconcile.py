"""Reconciliation: whether the ledger adds up, and the service's own summary says the same.

Every check leaves at least one row: what it found, or that it passed, or why it could not run. The
fee of a sale is a tenth of its gross amount; the service documents that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.amounts import Unit
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.reconciliation.checks import OF_PAYMENTS, CannotRunError
from cpsl_notebook.earnings.reconciliation.summary import compare
from cpsl_notebook.errors import UserError

__all__ = ["is_balanced", "reconcile"]

SEVERITIES = ["error", "not checked", "information", "passed"]
_TYPES: dict[str, Any] = {
    "severity": pd.CategoricalDtype(SEVERITIES, ordered=True),
    "check": "string",
    "app": "string",
    "payment_id": "string",
    "paid_at": "datetime64[us, UTC]",
    "expected_cents": "Int64",
    "found_cents": "Int64",
    "finding": "string",
}


def reconcile(
    ledger: Ledger,
    earnings: pd.DataFrame,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    strict: bool = False,
    since: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Check a ledger and the summaries; `cpsl_notebook.earnings.closing` tells of it."""
    ledger.need("reconcile", "gross_cents", whole=True)
    parts = [
        _run(name, severity, check, ledger, since)
        for name, (severity, check) in OF_PAYMENTS.items()
    ]
    sums = compare(ledger, earnings, roles, amounts)
    parts.append(_typed([row | {"check": "sums"} for row in sums]))
    findings = pd.concat(parts).sort_values("severity", kind="stable", ignore_index=True)
    if strict and not is_balanced(findings):
        raise UserError(_verdict(findings))
    return findings


def is_balanced(findings: pd.DataFrame) -> bool:
    """Say whether every check could run and none found an error."""
    return not findings["severity"].isin(["error", "not checked"]).any()


def _run(
    name: str,
    severity: str,
    check: Callable[[Ledger], pd.DataFrame],
    ledger: Ledger,
    since: pd.Timestamp | None,
) -> pd.DataFrame:
    """Return what a check found; what is of earlier payments than to be shown, as a number."""
    try:
        found = check(ledger)
    except CannotRunError as reason:
        return _typed([{"severity": "not checked", "check": name, "finding": str(reason)}])
    if found.empty:
        return _typed([{"severity": "passed", "check": name, "finding": "found nothing"}])
    found = found.assign(severity=severity, check=name)
    if since is None or "paid_at" not in found:
        return _typed(found)
    shown = found[~(found["paid_at"] < since)]
    earlier = len(found) - len(shown)
    hidden = {"severity": severity, "check": name, "finding": f"{earlier} of earlier payments"}
    return pd.concat([_typed(shown), _typed([hidden] if earlier else [])])


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
    """Say in a line what is wrong, and the first of it."""
    counts = findings["severity"].value_counts()
    first = findings.iloc[0]
    where = " ".join(str(first[name]) for name in ("app", "payment_id") if not pd.isna(first[name]))
    return (
        f"Not balanced: {counts['error']} errors, {counts['not checked']} checks that could not "
        f"run. The first: {first['check']}: {where}: {first['finding']}."
    )
