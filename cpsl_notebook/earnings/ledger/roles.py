"""Which column of the payments is what: found from names and types, never from position.

The service does not publish its field names. A name is taken apart into words, so ``gross_cents``,
``grossCents`` and ``amounts.gross.cents`` say the same; each role has names that state it and names
that only suggest it, and the first of these that any column bears decides. Where two columns bear
equally good names, neither is taken.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.ledger.column_values import key
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.field_names import words

__all__ = [
    "AMOUNTS",
    "ROLES",
    "Roles",
    "infer",
    "listed",
    "needs_prices",
    "says_cents",
    "table",
]

ROLES = {
    "id": "payment_id",
    "app": "app",
    "time": "paid_at",
    "payer": "payer",
    "kind": "kind",
    "currency": "currency",
    "gross": "gross_cents",
    "fee": "fee_cents",
    "net": "net_cents",
    "payout_state": "payout_state",
    "payment_status": "payment_status",
    "subscription": "subscription",
    "payout_id": "payout_id",
    "payout_time": "payout_at",
}
"""The roles, with the column of a ledger that each becomes."""

AMOUNTS = ("gross", "fee", "net")

_PERSON = "(payer|customer|buyer|purchaser|subscriber|user|client)"
_DAY = "(at|on|date|time|datetime|timestamp)"
_NAMES = {
    "id": (
        "payment_(id|uid|uuid)",
        "id|uid|uuid",
        "(payment|transaction|charge|sale|order|purchase)_(id|ref|reference|number|key)|reference",
    ),
    "app": ("app", "app_(name|id|slug)"),
    "time": (
        f"paid_{_DAY}|paid|payment_{_DAY}",
        f"(created|charged|occurred|received|captured|succeeded)(_{_DAY})?|{_DAY}",
    ),
    "payer": (
        "payer",
        f"{_PERSON}_(id|uid|uuid|key)",
        f"{_PERSON}_e?mail(_address)?|{_PERSON}",
        "e?mail(_address)?",
        f"{_PERSON}_name",
    ),
    "kind": (
        "(payment_)?kind|payment_type|pricing_type|billing_(type|kind)",
        "type|interval|frequency|billing|billing_(interval|period)|plan_(type|kind|interval)",
    ),
    "currency": ("currency(_code)?", "(gross|amount|price|total|fee|net)_currency(_code)?"),
    # Amounts, after the words that say no more than that they are amounts.
    "gross": ("gross(_(revenue|sales?|price))?", "|price|charged|paid|revenue|sales?"),
    "fee": ("fees?|(platform|capsule|application|service|processing)_fees?", "commission"),
    "net": (
        "net(_(revenue|earnings|sales?|proceeds))?",
        "developer(_(share|earnings|revenue|cut|net))?|earnings|earned|proceeds|seller_share",
    ),
    "payout_state": (
        "payout_(state|status)",
        "(transfer|settlement)_(state|status)",
        "status|state",  # where its values are those of payouts
    ),
    "payment_status": ("payment_(status|state)", "status|state"),
    "subscription": ("subscription(_(id|uid|uuid|key|ref))?", "sub(_(id|uid|uuid))?"),
    "payout_id": ("payout_(id|uid|uuid|ref|reference|number)", "(transfer|settlement)_id"),
    "payout_time": (
        f"paid_out_{_DAY}|payout(_(paid|completed|arrival))?_{_DAY}",
        f"(transferred|settled)_{_DAY}|(transfer|settlement)_{_DAY}",
    ),
}
_UNIT_WORDS = {"in", "cent", "cents", "minor", "unit", "units", "usd", "eur", "gbp", "dollars"}
_AMOUNT_WORDS = {"amount", "amounts", "money", "payment", "sum", "total", "totals", "value"}
_STATES = ("payment_status", "payout_state")
_PAYOUT_STATES = {"paidout", "needsonboarding"}  # as no payment's status is called
_WRAPPERS = {"attributes", "charge", "data", "payment", "sale", "transaction"}


@dataclass(frozen=True)
class Roles:
    """The column of each role.

    Attributes
    ----------
    columns
        Role to column, for the roles that have one.
    rivals
        Role to the columns that fit it equally well, for those that more than one fits.
    given
        The roles that were set, not found.
    """

    columns: dict[str, Hashable]
    rivals: dict[str, list[Hashable]]
    given: frozenset[str] = frozenset()

    def why_not(self, role: str) -> str:
        """Say why a role has no column."""
        rivals = self.rivals.get(role)
        return f"{listed(rivals)} fit equally well" if rivals else "no column fits"


def infer(frame: pd.DataFrame, given: Mapping[str, str | None] | None = None) -> Roles:
    """Find the column of each role.

    Parameters
    ----------
    frame
        Payments, one row each.
    given
        Roles that are known better, such as ``{"gross": "total"}``; ``None`` for a role that no
        column has.

    Raises
    ------
    UserError
        *given* names a role or a column that there is not.

    Examples
    --------
    >>> frame = pd.DataFrame({"app": ["shop"], "grossCents": [1500], "payer.email": ["a@b.example"]})
    >>> infer(frame).columns
    {'app': 'app', 'payer': 'payer.email', 'gross': 'grossCents'}
    """
    given = given or {}
    _check(frame, given)
    columns: dict[str, Hashable] = {}
    rivals: dict[str, list[Hashable]] = {}
    for role in ROLES:
        if role in given:
            fitting: list[Hashable] = [given[role]] if given[role] is not None else []
        else:
            fitting = _fitting(frame, role, set(given.values()))
        if len(fitting) == 1:
            columns[role] = fitting[0]
        elif fitting:
            rivals[role] = fitting
    return Roles(columns, rivals, frozenset(given))


def table(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Show the roles: ``role, column, becomes, note``, strings, one row each."""
    notes = [
        ("set" if role in roles.given else "found")
        if role in roles.columns
        else ("set to none" if role in roles.given else roles.why_not(role))
        for role in ROLES
    ]
    columns = [None if role not in roles.columns else str(roles.columns[role]) for role in ROLES]
    shown = {"role": list(ROLES), "column": columns, "becomes": list(ROLES.values()), "note": notes}
    return pd.DataFrame(shown, dtype="string")


def needs_prices(frame: pd.DataFrame) -> bool:
    """Say whether a name leaves open what the gross amounts of payments are in."""
    if not len(frame) or not frame.columns.is_unique:
        return False
    found = infer(frame).columns
    return "gross" in found and not says_cents(found["gross"])


def says_cents(name: Hashable) -> bool:
    """Say whether a column's name states that its amounts are cents."""
    said = words(name)
    return "cents" in said or ("minor" in said and "units" in said)


def _check(frame: pd.DataFrame, given: Mapping[str, str | None]) -> None:
    if not frame.columns.is_unique:
        raise UserError("Two columns bear the same name: rename one of them.")
    for role, column in given.items():
        if role not in ROLES:
            raise UserError(f"There is no role {role!r}; the roles are {', '.join(ROLES)}.")
        if column is not None and column not in frame.columns:
            raise UserError(
                f"The payments have no column {column!r} for the role {role}; "
                f"they have {listed(frame.columns)}."
            )


def _fitting(frame: pd.DataFrame, role: str, taken: set[str | None]) -> list[Hashable]:
    """Return the columns that fit a role best: one, none, or some that fit equally well."""
    candidates = {
        column: _said(column, role)
        for column in frame.columns
        if column not in taken and _type_fits(frame[column].dtype, role)
        if role not in _STATES or _of_payouts(frame[column]) == (role == "payout_state")
    }
    for names in _NAMES[role]:
        fitting: list[Hashable] = [
            column for column, said in candidates.items() if re.fullmatch(names, said)
        ]
        exact = [column for column in fitting if says_cents(column)] if role in AMOUNTS else []
        if fitting:
            return exact or fitting
    return []


def _of_payouts(column: pd.Series[Any]) -> bool:
    """Say whether states are of payouts: by the column's name, else by what it holds."""
    name = words(column.name)
    if name not in (["status"], ["state"]):
        return not {"payout", "transfer", "settlement"}.isdisjoint(name)
    return any(key(str(value)) in _PAYOUT_STATES for value in column.dropna().unique())


def _said(column: Hashable, role: str) -> str:
    """Return what a name says, without the words that any column of its sort may bear."""
    said = words(column)
    while len(said) > 1 and said[0] in _WRAPPERS and "." in str(column):
        said = said[1:]
    if role in AMOUNTS:
        if not set(said) - _UNIT_WORDS:
            return "-"  # nothing but a unit
        said = [word for word in said if word not in _UNIT_WORDS | _AMOUNT_WORDS]
    return "_".join(said)


def _type_fits(dtype: Any, role: str) -> bool:
    is_time = types.is_datetime64_any_dtype(dtype)
    if role in ("time", "payout_time"):
        return is_time
    if is_time or types.is_bool_dtype(dtype):
        return False
    if role in AMOUNTS:
        return not isinstance(dtype, pd.CategoricalDtype)
    if role in ("id", "payer", "subscription", "payout_id", "app"):
        return not types.is_float_dtype(dtype)
    return not types.is_numeric_dtype(dtype)


def listed(names: Iterable[Hashable]) -> str:
    """Return names as an error shows them."""
    return ", ".join(f"`{name}`" for name in names)
