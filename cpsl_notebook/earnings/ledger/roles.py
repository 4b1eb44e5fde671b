"""Roles of the columns of payments, found by name and type.

The service does not document its field names. Names are split into words, so ``gross_cents``,
``grossCents`` and ``amounts.gross.cents`` are equal. Each role has a list of name patterns, the most
specific first, and the first pattern that any column matches decides. If it matches more than one
column, the role has none.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.ledger.column_values import key
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.field_names import words
from cpsl_notebook.frames.payment_columns import AMOUNT_COLUMNS, ID_PATTERNS

__all__ = [
    "ADJUSTING_ROLES",
    "AMOUNTS",
    "ROLES",
    "Roles",
    "infer",
    "is_list",
    "listed",
    "name_implies_cents",
    "needs_prices",
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
    "refund_of": "refund_of",
}
"""Roles, with the ledger column that each becomes."""

ADJUSTING_ROLES = {
    "email": "payer",
    "refunded": "gross_cents",
    "refund_status": "gross_cents",
    "refund_time": "paid_at",
    "refunds": "gross_cents",
    "dispute": "gross_cents",
}
"""Roles that have no ledger column of their own, with the column that they adjust."""

_EVERY_ROLE = ROLES | ADJUSTING_ROLES

AMOUNTS = tuple(role for role, column in ROLES.items() if column in AMOUNT_COLUMNS)
"""Roles of amounts."""

_PERSON = "(payer|customer|buyer|purchaser|subscriber|user|client)"
_DAY = "(at|on|date|time|datetime|timestamp)"
_PATTERNS = {
    "id": ID_PATTERNS,
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
    # Amounts, without the words in _UNIT_WORDS and _AMOUNT_WORDS.
    "gross": ("gross(_(revenue|sales?|price))?", "|price|charged|paid|revenue|sales?"),
    "fee": ("fees?|(platform|capsule|application|service|processing)_fees?", "commission"),
    "net": (
        "net(_(revenue|earnings|sales?|proceeds))?",
        "developer(_(share|earnings|revenue|cut|net))?|earnings|earned|proceeds|seller_share",
    ),
    "payout_state": (
        "payout_(state|status)",
        "(transfer|settlement)_(state|status)",
        "status|state",  # if its values are payout states
    ),
    "payment_status": ("payment_(status|state)", "status|state"),
    "subscription": ("subscription(_(id|uid|uuid|key|ref))?", "sub(_(id|uid|uuid))?"),
    "payout_id": ("payout_(id|uid|uuid|ref|reference|number)", "(transfer|settlement)_id"),
    "payout_time": (
        f"paid_out_{_DAY}|payout(_(paid|completed|arrival))?_{_DAY}",
        f"(transferred|settled)_{_DAY}|(transfer|settlement)_{_DAY}",
    ),
    "refund_of": (
        "refund_of",
        "(refunded|original|parent)_(payment|charge|transaction|sale)(_(id|uid|uuid|ref))?",
    ),
    "email": (f"{_PERSON}_e?mail(_address)?", "e?mail(_address)?"),
    # An amount, without the words in _UNIT_WORDS and _AMOUNT_WORDS.
    "refunded": ("refunded", "refunds?"),
    "refund_status": ("(is_|fully_)*refunded", "refund_(status|state)"),
    "refund_time": (
        f"refunded_{_DAY}",
        f"refund_{_DAY}|refund_(created|issued|processed)(_{_DAY})?",
    ),
    "refunds": ("refunds", "refunds_data", "chargebacks(_data)?"),  # a list for each payment
    "dispute": (
        "dispute_(status|state)",
        "(is_)?disputed",
        "disputes?(_data)?",
        "(is_)?(chargeback|charged_back)",
    ),
}
_UNIT_WORDS = {"in", "cent", "cents", "minor", "unit", "units", "usd", "eur", "gbp", "dollars"}
_AMOUNT_WORDS = {"amount", "amounts", "money", "payment", "sum", "total", "totals", "value"}
_TIME_ROLES = ("time", "payout_time", "refund_time")
_ID_ROLES = ("id", "payer", "subscription", "payout_id", "refund_of")
_DECISIVE_ROLES = (
    *("currency", "payment_status", "subscription", "payout_time"),
    *("refund_of", *(role for role in ADJUSTING_ROLES if role != "email")),
)
_STATES = ("payment_status", "payout_state")
_PAYOUT_STATES = {"paidout", "needsonboarding"}  # values that no payment status has
_WRAPPERS = {"attributes", "charge", "data", "payment", "sale", "transaction"}


@dataclass(frozen=True)
class Roles:
    """Columns by role.

    Attributes
    ----------
    columns : dict of str to hashable
        Column by role, for roles that have one.
    rivals : dict of str to list of hashable
        Columns that fit equally well by role, for roles that more than one column fits.
    given : frozenset of str
        Roles that were set by the user.
    unfit : dict of str to hashable
        Column by role, for roles whose only column has lost its type in a CSV file: it holds text
        instead of times or lists, or floats instead of ids.
    """

    columns: dict[str, Hashable]
    rivals: dict[str, list[Hashable]]
    given: frozenset[str] = frozenset()
    unfit: dict[str, Hashable] = field(default_factory=dict)

    def why_not(self, role: str) -> str:
        """Return why a role has no column, as a clause for an error message."""
        rivals = self.rivals.get(role)
        if rivals:
            return f"{listed(rivals)} fit the role {role} equally well"
        if role in self.unfit:
            return self._why_unfit()
        return f"no column fits the role {role}"

    def check(self) -> None:
        """Raise an error if a column that decides what counts would be ignored."""
        unclear = [role for role in _DECISIVE_ROLES if role in self.rivals]
        if unclear:
            reasons = "; ".join(self.why_not(role) for role in unclear)
            raise UserError(
                f"Cannot tell which payments count: {reasons}. Choose one with payments = "
                f'payments.capsule.declare(roles={{"{unclear[0]}": "COLUMN"}}), or None.'
            )
        if self.unfit:
            role = next(iter(self.unfit))
            raise UserError(
                f"Cannot read every column: {self._why_unfit()}. To ignore a column, use payments = "
                f'payments.capsule.declare(roles={{"{role}": None}}).'
            )

    def _why_unfit(self) -> str:
        """Return which columns have lost their type in a CSV file, and how to read them."""
        times, ids, lists = (
            [name for role, name in self.unfit.items() if role in roles]
            for roles in (_TIME_ROLES, _ID_ROLES, ("refunds",))
        )
        wrong = [
            f"{listed(names)} {'holds' if len(names) == 1 else 'hold'} {what}"
            for names, what in (
                (times, "text instead of times"),
                (ids, "floats instead of ids"),
                (lists, "text instead of lists"),
            )
            if names
        ]
        options = [f"parse_dates={times}"] * bool(times)
        options += [f"dtype={dict.fromkeys(ids, 'string')}"] * bool(ids)
        advice = [f"read a CSV file with pd.read_csv(..., {', '.join(options)})"] * bool(options)
        advice += ["save lists with to_parquet() instead of to_csv()"] * bool(lists)
        return f"{' and '.join(wrong)}: {' and '.join(advice)}"


def infer(frame: pd.DataFrame, given: Mapping[str, str | None] | None = None) -> Roles:
    """Find the column of each role.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments, one per row.
    given : mapping of str to str or None, optional
        Columns by role, such as ``{"gross": "total"}``, which take precedence; ``None`` for a role
        that no column has.

    Returns
    -------
    Roles
        The columns, set or found.

    Raises
    ------
    cpsl_notebook.UserError
        If two columns have the same name, or *given* has an unknown role or column.

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
    unfit: dict[str, Hashable] = {}
    for role in _EVERY_ROLE:
        if role in given:
            fitting: list[Hashable] = [given[role]] if given[role] is not None else []
            candidates = fitting if role in _ID_ROLES else []
        else:
            taken = {*given.values(), *([columns.get("payer")] if role == "email" else [])}
            fitting = _fitting(frame, role, taken)
            candidates = [] if fitting else [*chain(*_named(frame, role, taken))]
        if len(fitting) == 1:
            columns[role] = fitting[0]
        elif fitting:
            rivals[role] = fitting
        changed = [name for name in candidates if _changed_by_csv(frame[name], role)]
        unfit.update((role, name) for name in changed[:1])
    return Roles(columns, rivals, frozenset(given), unfit)


def table(roles: Roles) -> pd.DataFrame:
    """Return the roles as a DataFrame.

    Parameters
    ----------
    roles : Roles
        The roles.

    Returns
    -------
    pandas.DataFrame
        One row per role, with the strings ``role``, ``column``, ``becomes`` (the ledger column that
        it becomes or adjusts) and ``note`` (whether the column was set or found, or why there is
        none).
    """
    rows = [
        (role, roles.columns.get(role), column, _note(roles, role))
        for role, column in _EVERY_ROLE.items()
    ]
    return pd.DataFrame(rows, columns=["role", "column", "becomes", "note"], dtype="string")


def needs_prices(frame: pd.DataFrame) -> bool:
    """Return whether the unit of the gross amounts depends on the prices of the apps."""
    if not len(frame) or not frame.columns.is_unique:
        return False
    found = infer(frame).columns
    return "gross" in found and not name_implies_cents(found["gross"])


def name_implies_cents(name: Hashable) -> bool:
    """Return whether the name of a column states that its amounts are in cents."""
    found = words(name)
    return "cents" in found or ("minor" in found and "units" in found)


def _note(roles: Roles, role: str) -> str:
    if role in roles.given:
        return "set" if role in roles.columns else "set to none"
    return "found" if role in roles.columns else roles.why_not(role)


def _check(frame: pd.DataFrame, given: Mapping[str, str | None]) -> None:
    if not frame.columns.is_unique:
        duplicates = frame.columns[frame.columns.duplicated()].unique()
        raise UserError(
            f"Several columns have the same name: {listed(duplicates)}. Rename or drop all but one."
        )
    for role, column in given.items():
        if role not in _EVERY_ROLE:
            raise UserError(f"Unknown role: {role!r}. The roles are {', '.join(_EVERY_ROLE)}.")
        if column is not None and column not in frame.columns:
            raise UserError(
                f"The payments have no column {column!r} for the role {role}. "
                f"Columns: {listed(frame.columns)}."
            )


def _fitting(frame: pd.DataFrame, role: str, taken: set[Hashable]) -> list[Hashable]:
    """Return the columns that match the most specific pattern of a role that any column matches."""
    for named in _named(frame, role, taken):
        fitting = [
            column
            for column in named
            if _type_fits(frame[column], role, column)
            if role not in _STATES or _of_payouts(frame[column]) == (role == "payout_state")
        ]
        is_amount = role in (*AMOUNTS, "refunded")
        in_cents = [column for column in fitting if name_implies_cents(column)] if is_amount else []
        if fitting:
            return in_cents or fitting
    return []


def _named(frame: pd.DataFrame, role: str, taken: set[Hashable]) -> list[list[Hashable]]:
    """Return the columns that match each pattern of a role by name."""
    names = {name: _significant_words(name, role) for name in frame.columns if name not in taken}
    return [
        [name for name, found in names.items() if re.fullmatch(pattern, found)]
        for pattern in _PATTERNS[role]
    ]


def _changed_by_csv(column: pd.Series[Any], role: str) -> bool:
    """Return whether a column has lost the type of a role in a CSV file."""
    if role in _ID_ROLES:
        is_float = isinstance(column.dtype, np.dtype) and column.dtype.kind == "f"
        return is_float and bool(column.notna().any())
    if role not in (*_TIME_ROLES, "refunds") or types.is_numeric_dtype(column.dtype):
        return False
    values = column.dropna()
    if types.infer_dtype(values) != "string":
        return False
    return role != "refunds" or bool(values.str.match(r"\s*[\[{]").any())


def _of_payouts(column: pd.Series[Any]) -> bool:
    """Return whether states are those of payouts, judging by the name or else by the values."""
    name = words(column.name)
    if name not in (["status"], ["state"]):
        return not {"payout", "transfer", "settlement"}.isdisjoint(name)
    return any(key(str(value)) in _PAYOUT_STATES for value in column.dropna().unique())


def _significant_words(column: Hashable, role: str) -> str:
    """Return the words of a name joined by ``_``, without wrappers, and for amounts without units."""
    found = words(column)
    while len(found) > 1 and found[0] in _WRAPPERS and "." in str(column):
        found = found[1:]
    if role in (*AMOUNTS, "refunded"):
        if not set(found) - _UNIT_WORDS:
            return "-"  # a unit alone matches no pattern
        found = [word for word in found if word not in _UNIT_WORDS | _AMOUNT_WORDS]
    return "_".join(found)


def _type_fits(values: pd.Series[Any], role: str, column: Hashable) -> bool:
    """Return whether a column can have a role, judging by its type."""
    dtype = values.dtype
    is_time = types.is_datetime64_any_dtype(dtype)
    if role == "refunds":
        return types.is_object_dtype(dtype) and any(is_list(v) and len(v) > 0 for v in values)
    if role in _TIME_ROLES:
        return is_time
    if role in ("refund_status", "dispute"):
        return not is_time and (types.is_bool_dtype(dtype) or not types.is_numeric_dtype(dtype))
    if is_time or types.is_bool_dtype(dtype):
        return False
    if role == "refunded":
        # A column of text such as ``refund`` can also hold an id or a state.
        return types.is_numeric_dtype(dtype) or not {"amount", "cents"}.isdisjoint(words(column))
    if role in AMOUNTS:
        return not isinstance(dtype, pd.CategoricalDtype)
    if role in (*_ID_ROLES, "email", "app"):
        return not types.is_float_dtype(dtype)
    return not types.is_numeric_dtype(dtype)


def is_list(value: Any) -> bool:
    """Return whether a value is a list, also one that was read from Parquet."""
    return isinstance(value, list | tuple | np.ndarray)


def listed(names: Iterable[Hashable]) -> str:
    """Return names in backticks, separated by commas, for an error message."""
    return ", ".join(f"`{name}`" for name in names)
