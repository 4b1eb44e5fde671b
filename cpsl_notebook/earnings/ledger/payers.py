"""One name for each payer, whatever spellings the payments have.

The rules look at earlier payments only, so that a later payment does not change who paid before:

- Email addresses compare without case.
- If the payer of a payment is missing but an email address is known, the payer is the one that an
  earlier payment had with this address, or else the address. Where no payer is missing, the address
  does not matter.
- A subscription has one payer: the first one that is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.ledger.notes import Note, notes_by_app

__all__ = ["merge_payers"]


def merge_payers(
    rows: pd.DataFrame, email: pd.Series[Any] | None = None
) -> tuple[pd.Series[Any], list[Note]]:
    """Return one spelling of each payer.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns of a ledger, on a default index.
    email : pandas.Series, optional
        Email addresses of the payers, where another column has the payers.

    Returns
    -------
    payers : pandas.Series
        Strings; missing where nothing is known.
    notes : list of Note
        What remains uncertain.

    Examples
    --------
    >>> rows = pd.DataFrame({"app": "shop", "payer": ["A@b.example", "a@B.example"]})
    >>> rows = rows.astype({"payer": "string"}).assign(
    ...     paid_at=pd.Timestamp("2026-01-01", tz="UTC"),
    ...     payment_id="",
    ...     subscription=pd.Series([None, None], dtype="string"),
    ... )
    >>> merge_payers(rows)[0].tolist()
    ['a@b.example', 'a@b.example']
    """
    payer = _lower_emails(rows["payer"])
    notes: list[Note] = []
    if email is not None and payer.isna().any():
        payer, shared = _fill_from_emails(rows, payer, _lower_emails(email))
        notes += _notes(rows, shared, "{} with an email address of several payers")
    payer, changed = _one_per_subscription(rows, payer)
    notes += _notes(rows, changed, "{} of a subscription of another payer, who counts instead")
    return payer, notes


def _notes(rows: pd.DataFrame, where: pd.Series[bool], finding: str) -> list[Note]:
    return notes_by_app(rows[where], "payers", finding)


def _lower_emails(column: pd.Series[Any]) -> pd.Series[Any]:
    lower = column.str.lower()
    changed = (lower != column).fillna(False).astype(bool)
    if not changed.any():
        return column
    is_email = column.str.contains("@", regex=False).fillna(False).astype(bool)
    return column.mask(changed & is_email, lower)


def _fill_from_emails(
    rows: pd.DataFrame, payer: pd.Series[Any], email: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[bool]]:
    """Replace missing payers with those with the same address, and mark addresses of several."""
    order = rows.sort_values(["paid_at", "payment_id"], kind="stable").index
    pairs = pd.DataFrame({"payer": payer, "email": email}).astype(object)
    pairs = pairs.where(pairs.notna(), None)
    names: dict[tuple[Any, Any], Any] = {}
    by_payer: dict[str, str] = {}
    by_email: dict[str, str] = {}
    only_email: set[str] = set()  # addresses that no payer had so far
    shared: set[str] = set()
    for given, address in pairs.loc[order].drop_duplicates().itertuples(index=False):
        if given is None:
            name = by_email.get(address, address)
            only_email |= {address} - by_email.keys()
        else:
            name = by_payer.setdefault(given, address if address in only_email else given)
            only_email.discard(address)
        if address is not None and by_email.setdefault(address, name) != name:
            shared.add(address)
        names[given, address] = name
    found = [names[pair] for pair in pairs.itertuples(index=False, name=None)]
    return pd.Series(found, payer.index, dtype="string"), email.isin(shared)


def _one_per_subscription(
    rows: pd.DataFrame, payer: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[bool]]:
    """Replace the payers of a subscription with the first one that is known, and mark those rows."""
    unchanged = pd.Series(False, rows.index)
    names = pd.factorize(rows["subscription"])[0].astype(np.int64)
    people = pd.factorize(payer)[0].astype(np.int64)
    known = (names >= 0) & (people >= 0)
    if not known.any():
        return payer, unchanged
    # A subscription has several payers if it has another one than the row before it.
    last = np.full(names.max() + 1, -1)
    last[names[known]] = people[known]
    several = np.unique(names[known & (people != last[names])])
    if not len(several):
        return payer, unchanged
    concerned = rows[known & np.isin(names, several)]
    order = concerned.sort_values(["paid_at", "payment_id"], kind="stable").index
    owners = payer[order].groupby([rows.loc[order, "app"], names[order]], observed=True)
    merged = payer.copy()
    merged[order] = owners.transform("first")
    return merged, (merged != payer).fillna(False).astype(bool)
