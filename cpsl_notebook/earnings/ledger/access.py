"""The ledger of a DataFrame of payments, and the roles of its columns, for ``payments.capsule``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from cpsl_notebook.earnings.ledger.amounts import Unit
from cpsl_notebook.earnings.ledger.builder import build, find_roles
from cpsl_notebook.earnings.ledger.ledger import COLUMNS
from cpsl_notebook.earnings.ledger.masking import masked
from cpsl_notebook.earnings.ledger.roles import table

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["ledger", "roles_table", "with_roles"]

_KEPT_ATTRS = ("app", "gateway", "read_at", "currency", "window")


def ledger(
    self: Earnings,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    mask_payers: bool | str = False,
    strict: bool = False,
) -> pd.DataFrame:
    """Return the payments under fixed names and types.

    Payments that were never paid are left out, refunds are negative, and kinds and payout states
    have the same spelling whatever the service calls them. Of gross amount, fee and net amount, a
    missing one is derived from the other two.

    Parameters
    ----------
    roles : mapping of str to str or None, optional
        Columns of the payments by role, such as ``{"gross": "total"}``, if they cannot be found
        by name. ``None`` means that no column has the role.
    amounts : {"cents", "currency"}, optional
        Unit of the amount columns whose names do not state it.
    mask_payers : bool or str, default False
        Whether to replace payers with pseudonyms. ``True`` uses a key stored on this machine, so that
        a payer always gets the same pseudonym here. A secret string gives the same pseudonyms on
        every machine where it is used.
    strict : bool, default False
        Whether to raise an error if a value cannot be read. Otherwise the value is missing and a
        warning is issued.

    Returns
    -------
    pandas.DataFrame
        One row per payment or refund, in order of time:

        - ``payment_id``, ``payer`` (string).
        - ``app``, ``kind``, ``currency``, ``payout_state`` (category).
        - ``paid_at`` (datetime64[us, UTC]).
        - ``gross_cents``, ``fee_cents``, ``net_cents`` (Int64).

    Raises
    ------
    UserError
        No column, or more than one, fits the app, the time or the amounts; the unit of the amounts
        is unknown; or *strict* is true and a value cannot be read.

    See Also
    --------
    with_roles : Set roles and units for all analyses.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "total": [15.5], "created": ["2026-01-31"]})
    >>> payments["created"] = pd.to_datetime(payments["created"], utc=True)
    >>> ledger = payments.capsule.ledger(roles={"gross": "total"}, amounts="currency")
    >>> ledger[["app", "gross_cents", "currency"]]
        app  gross_cents currency
    0  shop         1550      USD
    """
    frame = self._frame
    rows = build(frame, roles=roles, amounts=amounts, strict=strict).rows[list(COLUMNS)]
    if mask_payers:
        rows["payer"] = masked(rows["payer"], None if mask_payers is True else mask_payers)
    rows.attrs = {name: frame.attrs[name] for name in _KEPT_ATTRS if name in frame.attrs}
    return rows


def with_roles(
    self: Earnings, roles: Mapping[str, str | None] | None = None, *, amounts: Unit | None = None
) -> pd.DataFrame:
    """Return the same payments with roles set for all analyses.

    Parameters
    ----------
    roles : mapping of str to str or None, optional
        Columns of the payments by role, such as ``{"gross": "total"}``. ``None`` means that no
        column has the role.
    amounts : {"cents", "currency"}, optional
        Unit of the amount columns whose names do not state it.

    Returns
    -------
    pandas.DataFrame
        A shallow copy of the payments. The roles and the unit are stored in ``attrs``.

    Raises
    ------
    UserError
        A role or a column does not exist.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "total": [15], "tip": [1]})
    >>> payments = payments.capsule.with_roles({"gross": "total"}, amounts="currency")
    >>> payments.capsule.roles.query("role == 'gross'")["column"].item()
    'total'
    """
    found = find_roles(self._frame, roles)
    frame = self._frame.copy(deep=False)
    given = {role: found.columns.get(role) for role in found.given}
    frame.attrs = self._frame.attrs | {"roles": json.dumps(given)}
    if amounts is not None:
        frame.attrs["amounts"] = amounts
    return frame


def roles_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the column found for each role, one row per role."""
    return table(frame, find_roles(frame))
