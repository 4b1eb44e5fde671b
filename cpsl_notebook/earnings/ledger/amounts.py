"""Amounts as the service writes them, to whole cents; a factor of a hundred is never guessed."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from cpsl_notebook.errors import UserError

__all__ = ["Unit", "cents", "unit"]

Unit = Literal["cents", "currency"]
_CENTS = {"cents": 1, "currency": 100}
_LARGEST = 2**63 - 1


def cents(column: pd.Series[Any], unit: Unit) -> pd.Series[Any]:
    """Return amounts as ``Int64`` cents; what is no whole number of cents is missing.

    Parameters
    ----------
    column
        Integers, floats, decimals, or strings such as ``"15.00"``.
    unit
        What the amounts are in.

    Examples
    --------
    >>> cents(pd.Series(["15.00", "-0.1", "15,00"]), "currency").tolist()
    [1500, -10, <NA>]
    """
    factor = _CENTS[unit]
    if types.is_integer_dtype(column.dtype):
        whole = column.astype("Int64")
        if factor == 1 or not (whole.abs() > _LARGEST // factor).any():
            return whole * factor
    codes, distinct = pd.factorize(column.astype(object).map(_plain, na_action="ignore"))
    # Through Arrow: pandas would make floats of integers beside a missing value.
    known = pa.array([*(_whole(value, factor) for value in distinct), None], pa.int64())
    read = known.take(pa.array(np.where(codes < 0, len(distinct), codes)))
    values: pd.Series[Any] = read.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return values.set_axis(column.index)


def unit(
    gross: pd.Series[Any], apps: pd.Series[Any], prices: Mapping[str, int], name: Hashable
) -> Unit:
    """Find what the payments' amounts are in, from the prices of their apps.

    An amount is evidence where it is exactly its app's price. All apps whose price is known must
    agree, each with at least half of its positive amounts.

    Parameters
    ----------
    gross, apps
        The amounts as they came and their apps, row by row.
    prices
        The apps' ``price_in_cents``.
    name
        The column's name, for the error.

    Raises
    ------
    UserError
        The prices do not decide it.

    Examples
    --------
    >>> unit(pd.Series([15.0, 15.0]), pd.Series(["shop", "shop"]), {"shop": 1500}, "amount")
    'currency'
    """
    said: set[Unit] = set()
    undecided = False
    units: tuple[Unit, Unit] = ("cents", "currency")
    amounts = {known: cents(gross, known) for known in units}
    for app, price in prices.items():
        here = (apps == app) & (amounts["currency"] > 0).fillna(False).astype(bool)
        if price <= 0 or not here.any():
            continue
        found = [known for known, read in amounts.items() if _mostly(read[here] == price)]
        said |= set(found)
        undecided |= len(found) != 1
    if undecided or len(said) != 1:
        raise UserError(
            f"Are the amounts in `{name}` cents or currency? Its name does not say it, and the "
            'apps\' prices do not decide it: pass amounts="cents" or amounts="currency".'
        )
    return said.pop()


def _mostly(matches: pd.Series[Any]) -> bool:
    return 2 * int(matches.fillna(False).sum()) >= len(matches)


def _plain(value: Any) -> Any:
    """Return a value that can be compared with others of its kind: 1 is neither True nor "1"."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | Decimal | np.number
    ):
        return f"{type(value).__name__} is no amount"
    return str(value)


def _whole(text: str, factor: int) -> int | None:
    """Read one amount, exactly."""
    if not re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?", text):
        return None
    amount = Decimal(text) * factor
    if amount != amount.to_integral_value() or abs(amount) > _LARGEST:
        return None
    return int(amount)
