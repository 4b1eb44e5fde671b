"""Pseudonyms for a column of payers, for notebooks that are shared."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cpsl_notebook.pseudonyms import SAMPLE_SECRET, is_sample_payer, machine_key, pseudonym

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
        The key; by default, the one that this machine keeps, or the public one for sample payers.
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
    names = [str(payer) for payer in payers.dropna().unique()]
    samples = set(filter(is_sample_payer, names)) if secret is None else set()
    keys = dict.fromkeys(samples, SAMPLE_SECRET.encode())
    if others := set(names) - samples:
        key = machine_key('mask_payers="a long secret"') if secret is None else secret.encode()
        keys |= dict.fromkeys(others, key)
    pseudonyms = {name: pseudonym(name, keys[name], prefix) for name in names}
    return payers.map(pseudonyms).astype(payers.dtype)
