"""Sums beyond 64 bits, which pandas would silently wrap around to wrong amounts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from cpsl_notebook.errors import UserError

__all__ = ["check_amounts", "check_sums", "to_int64"]

_LIMIT = 9.2e18
"""Amounts below this fit into 64 bits, even if floats have added them up."""


def check_sums(amounts: pd.DataFrame, by: Sequence[pd.Series[Any]] = ()) -> None:
    """Raise an error if the sum of a column in a group is beyond 64 bits.

    Parameters
    ----------
    amounts : pandas.DataFrame
        Amounts in cents, in columns named as in the message.
    by : sequence of pandas.Series, optional
        Keys of the groups; by default, all rows are in one.

    Raises
    ------
    cpsl_notebook.UserError
        If a sum is beyond 64 bits. It names the column.

    Examples
    --------
    >>> check_sums(pd.DataFrame({"net_cents": [2**62, 2**62]}))
    Traceback (most recent call last):
    cpsl_notebook.errors.UserError: The sum of net_cents, about 9.22e+18, is beyond 64 bits. Correct the
    amounts, or leave those rows out.
    """
    floats = amounts.astype("float64")
    if not (floats.abs().max() * len(amounts) >= _LIMIT).any():  # no sum can be that large
        return
    groups = [*by] or [pd.Series(0, floats.index)]
    check_amounts(floats.groupby(groups, observed=True, dropna=False).sum(), "The sum of ")


def check_amounts(
    amounts: Mapping[Hashable, pd.Series[Any]] | pd.DataFrame, what: str = ""
) -> None:
    """Raise an error if an amount, given as a float, is beyond 64 bits."""
    for name, column in amounts.items():
        largest = column.abs().max()
        if largest >= _LIMIT:
            raise UserError(
                f"{what}{name}, about {largest:.3g}, is beyond 64 bits. Correct the amounts, or leave "
                "those rows out."
            )


def to_int64(amounts: pd.Series[Any], name: Hashable) -> pd.Series[Any]:
    """Return integers of any size as ``Int64``; raise an error if one is beyond 64 bits."""
    check_amounts({name: amounts.astype("float64")}, "A sum in ")
    return amounts.astype("Int64")
