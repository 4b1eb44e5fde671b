"""Pseudonyms for a column of payers, for notebooks that are shared."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cpsl_notebook.pseudonyms import machine_key, pseudonym

__all__ = ["masked"]


def masked(
    payers: pd.Series[Any], secret: str | None = None, prefix: str = "payer"
) -> pd.Series[Any]:
    """Return pseudonyms of payers or subscriptions; a missing one stays missing.

    Parameters
    ----------
    payers : pandas.Series
        Strings.
    secret : str, optional
        The key; by default, the one that this machine keeps.
    prefix : str, default "payer"
        Prefix of the pseudonyms.

    Returns
    -------
    pandas.Series
        Strings such as ``"payer-0ec79c2fe6260e61"``, with the index and dtype of *payers*.

    Raises
    ------
    cpsl_notebook.UserError
        If the key of this machine cannot be read or created.

    Examples
    --------
    >>> masked(pd.Series(["ada@a.example", None], dtype="string"), "a long secret").tolist()
    ['payer-0ec79c2fe6260e61', <NA>]
    """
    key = machine_key('mask_payers="a long secret"') if secret is None else secret.encode()
    names = {payer: pseudonym(str(payer), key, prefix) for payer in payers.dropna().unique()}
    return payers.map(names).astype(payers.dtype)
