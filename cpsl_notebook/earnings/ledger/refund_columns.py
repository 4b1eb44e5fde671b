"""Refunds and disputes in columns of payments other than amounts and marks.

Some services send a list such as ``refunds`` with each payment, as Stripe does, or details such as the
reason of a refund.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.amounts import Unit, cents, unknown_unit
from cpsl_notebook.earnings.ledger.column_values import are_negative, are_paid, key, text, times
from cpsl_notebook.earnings.ledger.lost_types import listed
from cpsl_notebook.earnings.ledger.roles import infer, is_list, name_implies_cents
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames import payments_frame
from cpsl_notebook.frames.field_names import words

__all__ = [
    "NO_DISPUTE",
    "check_hints",
    "check_status",
    "dispute_marks",
    "listed_refunds",
    "refund_hints",
]

NO_DISPUTE = {"", "false", "no", "none", "won", "closedwon", "reversed", "withdrawn"}
"""Marks, by `key`, of payments without a dispute, or with one that was won."""
NO_DISPUTE |= {"warningneedsresponse", "warningunderreview", "warningclosed"}  # inquiries

_REFUND_WORDS = {"refund", "refunds", "refunded"}
_DISPUTE_WORDS = {"dispute", "disputes", "disputed", "chargeback", "chargebacks"}
_HARMLESS_WORDS = {"allowed", "currency", "days", "deadline", "eligible", "policy", "url", "window"}
_NOT_REFUNDED = {"canceled", "cancelled", "declined", "denied", "failed", "pending", "processing"}
_NOT_REFUNDED |= {"rejected", "requested", "requiresaction"}
_NOTHING = {"", "0", "00", "false", "na", "no", "none", "notrefunded", "null", "unrefunded"}


def listed_refunds(
    column: pd.Series[Any], name: Hashable, unit: Unit | None, currency: pd.Series[Any]
) -> pd.DataFrame:
    """Return the refunds that lists in a column of payments hold.

    Parameters
    ----------
    column : pandas.Series
        Lists of objects, such as ``[{"amount_cents": 500, "created": "2026-01-20"}]``.
    name : hashable
        Name of the column, for error messages.
    unit : {"cents", "currency"} or None
        Unit of amounts whose names do not state it.
    currency : pandas.Series
        Currency of each payment.

    Returns
    -------
    pandas.DataFrame
        One row per refund that was paid: ``row`` (label of the payment), ``cents`` (Int64, positive,
        missing if unknown), ``time`` and ``id``.

    Raises
    ------
    cpsl_notebook.UserError
        If the unit of the amounts is unknown, or the status of a refund.

    Examples
    --------
    >>> column = pd.Series([[{"amount_cents": 500}, {"amount_cents": 100}], []])
    >>> listed_refunds(column, "refunds", None, pd.Series(["USD", "USD"]))[["row", "cents"]]
       row  cents
    0    0    500
    1    0    100
    """
    lists = column[[is_list(value) and len(value) > 0 for value in column]]
    payments = [row for row, value in lists.items() for _ in value]
    items = [item if isinstance(item, dict) else {} for value in lists for item in value]
    frame = payments_frame([("refunds", items)])
    found = infer(frame).columns
    amount = found.get("refunded", found.get("gross"))
    if amount is not None:
        if name_implies_cents(amount):
            unit = "cents"
        elif unit is None:
            raise unknown_unit(name)

    def of(role: str) -> pd.Series[Any]:
        values: pd.Series[Any] = frame.get(
            found.get(role), pd.Series(None, frame.index, dtype=object)
        )
        return values

    currencies = currency.reindex(payments).reset_index(drop=True)
    values = cents(frame[amount], unit or "cents", currencies) if amount is not None else None
    parts = pd.DataFrame(
        {
            "row": pd.Series(payments, frame.index, dtype=column.index.dtype),
            "cents": pd.Series(values, frame.index, dtype="Int64").abs(),
            "time": times(of("refund_time").fillna(of("time"))),
            "id": text(of("id")),
        }
    )
    kept = are_paid(text(of("payment_status")).astype("category"), "refund")
    return parts[kept].sort_values(["row", "time"], kind="stable", ignore_index=True)


def dispute_marks(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return marks of disputes as text; a list of disputes becomes the status of one not won."""

    def mark(value: Any) -> Any:
        if not is_list(value):
            return value
        found = [item.get("status") if isinstance(item, dict) else item for item in value]
        states = [str(state or "true") for state in found]
        return next((state for state in states if key(state) not in NO_DISPUTE), "none")

    return text(column.map(mark) if column.dtype == object else column)


def refund_hints(
    frame: pd.DataFrame, roles: Mapping[str, Hashable], given: frozenset[str]
) -> pd.DataFrame:
    """Return the columns that may indicate a refund or a dispute, but have no such role.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments, one per row.
    roles : mapping of str to hashable
        Columns by role.
    given : frozenset of str
        Roles that were set by the user, who then decided about the other columns.

    Returns
    -------
    pandas.DataFrame
        The columns, on a default index.
    """
    wanted = set() if given & {"refunded", "refund_status", "refunds"} else _REFUND_WORDS
    wanted = wanted if {"dispute"} & {*roles, *given} else wanted | _DISPUTE_WORDS
    taken = {name for role, name in roles.items() if role != "refund_time"}
    names = [
        name
        for name in frame.columns
        if name not in taken and wanted & {*words(name)} and not _HARMLESS_WORDS & {*words(name)}
    ]
    return frame[names].reset_index(drop=True)


def check_hints(rows: pd.DataFrame, found: pd.Index[Any], hints: pd.DataFrame) -> None:
    """Raise an error if hints indicate a refund or a dispute of a sale without a known refund."""
    if hints.columns.empty:
        return
    unexplained = _unexplained(rows, found)
    marked = [name for name in hints if _has_values(hints[name].loc[unexplained])]
    if not marked:
        return
    disputes = [name for name in marked if _DISPUTE_WORDS & {*words(name)}]
    refunds = [name for name in marked if _REFUND_WORDS & {*words(name)}]
    ways = [
        '{"refunded": "COLUMN"} for a column with refunded amounts',
        '{"refund_status": "COLUMN"} for one with the marks full, partial and none',
    ] * bool(refunds)
    if disputes:
        name = json.dumps(str(disputes[0]), ensure_ascii=False)
        ways.append(f'{{"dispute": {name}}} if these payments are disputed')
    ignored = ['"refunded": None'] * bool(refunds) + ['"dispute": None'] * bool(disputes)
    raise UserError(
        f"Cannot tell what was refunded: {listed(marked)} {'has' if len(marked) == 1 else 'have'} "
        "values for sales without a known refund. State it with payments = "
        f"payments.capsule.declare(roles=ROLES), where ROLES is {', '.join(ways)}, or "
        f"{{{', '.join(ignored)}}} to ignore {listed(marked)}."
    )


def check_status(
    rows: pd.DataFrame, found: pd.Index[Any], status: pd.Series[Any], known: set[str]
) -> None:
    """Raise an error if a sale without a known refund has a refund status of unknown meaning."""
    states = status.loc[_unexplained(rows, found)].dropna().astype("string").unique()
    unknown = [state for state in states if key(state) not in known | _NOTHING | _NOT_REFUNDED]
    if unknown:
        raise UserError(
            f"Unknown refund status: {listed(unknown)}. Replace it with full, partial or none, or "
            "ignore the column with payments = payments.capsule.declare("
            'roles={"refund_status": None}).'
        )


def _unexplained(rows: pd.DataFrame, found: pd.Index[Any]) -> pd.Index[Any]:
    """Return the sales without a known refund, either in *found* or in their own row."""
    is_refund = are_negative(rows["gross_cents"])
    separate = rows[is_refund]
    named = rows["payment_id"].isin(separate["refund_of"].dropna())
    unnamed = rows["payer"].isin(separate.loc[separate["refund_of"].isna(), "payer"].dropna())
    return rows.index[~(named | unnamed | is_refund)].difference(found)


def _has_values(column: pd.Series[Any]) -> bool:
    """Return whether a column has any value other than a missing one, zero, false or none."""
    values = column.dropna()
    if values.dtype == object:
        values = values[[len(value) > 0 if is_list(value) else True for value in values]]
    return any(key(value) not in _NOTHING for value in values.astype("string").unique())
