"""Amounts in any notation as whole cents, without ever guessing a factor of a hundred."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from cpsl_notebook.earnings.ledger.column_values import are_positive
from cpsl_notebook.earnings.minor_units import exponent
from cpsl_notebook.errors import UserError

__all__ = ["Unit", "cents", "check_unit", "unit", "unknown_unit"]

Unit = Literal["cents", "currency"]

_UNITS: tuple[Unit, ...] = ("cents", "currency")
_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?")


def cents(
    column: pd.Series[Any], unit: Unit, currency: pd.Series[Any] | None = None
) -> pd.Series[Any]:
    """Return amounts in the minor unit of their currency.

    Parameters
    ----------
    column : pandas.Series
        Integers, floats, decimals, or strings such as ``"15.00"``.
    unit : {"cents", "currency"}
        Unit of the amounts.
    currency : pandas.Series, optional
        Currency of each amount, on the same index; by default, one with two decimals.

    Returns
    -------
    pandas.Series
        ``Int64``; an amount that is not a whole number of minor units is missing.

    Examples
    --------
    >>> cents(pd.Series(["15.00", "-0.1", "15,00"]), "currency").tolist()
    [1500, -10, <NA>]
    >>> cents(pd.Series([1500, 15]), "currency", pd.Series(["JPY", "USD"])).tolist()
    [1500, 1500]
    """
    if unit == "cents" or currency is None:
        return _scaled(column, 1 if unit == "cents" else 100)
    decimals = currency.astype("category").map(exponent).astype("float").fillna(exponent(None))
    if decimals.nunique() <= 1:
        return _scaled(column, 10 ** int(decimals.iloc[0]) if len(decimals) else 1)
    parts = [_scaled(part, 10 ** int(places)) for places, part in column.groupby(decimals)]
    scaled: pd.Series[Any] = pd.concat(parts).reindex(column.index)
    return scaled


def _scaled(column: pd.Series[Any], factor: int) -> pd.Series[Any]:
    """Return amounts times a factor; those that are not whole numbers then are missing."""
    if types.is_integer_dtype(column.dtype):
        whole = column.astype("Int64")
        largest = _LARGEST // factor
        if whole.between(-largest, largest).all():
            return whole * factor
    # Decimals are exact but slow, so each distinct amount is converted once.
    codes, distinct = pd.factorize(column.astype(object).map(_as_text, na_action="ignore"))
    converted = pa.array([*(_exact_cents(value, factor) for value in distinct), None], pa.int64())
    # Arrow's take keeps integers exact; pandas would convert those next to missing values to floats.
    taken = converted.take(pa.array(np.where(codes < 0, len(distinct), codes)))
    values: pd.Series[Any] = taken.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return values.set_axis(column.index)


def check_unit(unit: Any) -> Unit:
    """Return the unit if it is valid; otherwise, raise an error."""
    if unit not in _UNITS:
        raise UserError(f'amounts must be "cents" or "currency", not {unit!r}.')
    return unit  # type: ignore[no-any-return]


def unit(
    gross: pd.Series[Any],
    apps: pd.Series[Any],
    prices: Mapping[str, int],
    name: Hashable,
    currency: pd.Series[Any] | None = None,
) -> Unit:
    """Return the unit of the amounts, judging by the prices of the apps.

    An amount that equals the price of its app in one unit is evidence for that unit. All apps with
    a known price must agree, each with at least half of its positive amounts.

    Parameters
    ----------
    gross : pandas.Series
        Amounts as the service sent them.
    apps : pandas.Series
        App of each amount, on the same index.
    prices : mapping of str to int
        ``price_in_cents`` by app.
    name : hashable
        Name of the amount column, for the error message.
    currency : pandas.Series, optional
        Currency of each amount, on the same index; by default, one with two decimals.

    Returns
    -------
    {"cents", "currency"}
        The unit.

    Raises
    ------
    cpsl_notebook.UserError
        If the prices do not decide the unit.

    Examples
    --------
    >>> unit(pd.Series([15.0, 15.0]), pd.Series(["shop", "shop"]), {"shop": 1500}, "amount")
    'currency'
    """
    evidence: set[Unit] = set()
    undecided = False
    amounts = {candidate: cents(gross, candidate, currency) for candidate in _UNITS}
    if len(gross) and amounts["cents"].equals(amounts["currency"]):
        return "cents"  # the currency has no smaller unit
    for app, price in prices.items():
        rows = (apps == app) & are_positive(amounts["currency"])
        if price <= 0 or not rows.any():
            continue
        fitting = [candidate for candidate in amounts if _mostly(amounts[candidate][rows] == price)]
        evidence |= set(fitting)
        undecided |= len(fitting) != 1
    if undecided or len(evidence) != 1:
        raise unknown_unit(name)
    return evidence.pop()


def unknown_unit(name: Hashable) -> UserError:
    """Return the error for a column whose amounts are in an unknown unit."""
    return UserError(
        f"Cannot tell whether the amounts in `{name}` are cents or currency. Set it with "
        'payments = payments.capsule.declare(amounts="cents") or amounts="currency".'
    )


def _mostly(matches: pd.Series[Any]) -> bool:
    return 2 * int(matches.fillna(False).sum()) >= len(matches)


def _as_text(value: Any) -> str:
    """Return an amount as text, so that amounts of any type can be compared with each other."""
    if isinstance(value, str):
        return value.strip()
    is_number = isinstance(value, int | float | Decimal | np.number)
    if isinstance(value, bool | np.bool_) or not is_number:
        return f"not an amount: {type(value).__name__}"
    return str(value)


def _exact_cents(text: str, factor: int) -> int | None:
    """Return an amount in cents; ``None`` if the text is not a whole number of cents."""
    if not _NUMBER.fullmatch(text):
        return None
    amount = Decimal(text) * factor
    if amount != amount.to_integral_value() or abs(amount) > _LARGEST:
        return None
    return int(amount)
