"""Pseudonyms for payers, for notebooks that are shared.

A pseudonym is a keyed hash (HMAC-SHA-256). Unlike a plain hash, it cannot be reversed by hashing
likely email addresses, unless the key is known. The key is generated once and kept in the file
``mask-key`` in ``CAPSULE_HOME``, readable by its owner only, so a payer has the same pseudonym in
every run on this machine. To get the same pseudonyms on several machines, pass the same secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

import pandas as pd

from cpsl_notebook.errors import UserError
from cpsl_notebook.files import create_private
from cpsl_notebook.paths import capsule_home

__all__ = ["masked"]

_DIGITS = 16  # 64 bits: the chance that two of a million payers share them is 3 in 100 million


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
        What the pseudonyms begin with.

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
    key = _machine_key() if secret is None else secret.encode()
    names = {payer: f"{prefix}-{_digest(str(payer), key)}" for payer in payers.dropna().unique()}
    return payers.map(names).astype(payers.dtype)


def _digest(name: str, key: bytes) -> str:
    digest = hmac.new(key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return digest[:_DIGITS]


def _machine_key() -> bytes:
    """Return the key of this machine; create it on first use."""
    path = capsule_home() / "mask-key"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = create_private(path, secrets.token_hex(32)).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(
            f"Cannot read or create the key for pseudonyms in {path} ({reason}). "
            'Fix or remove the file, or pass a secret: mask_payers="a long secret".'
        ) from None
    if not key:
        raise UserError(
            f"The key for pseudonyms in {path} is blank. Remove the file; a new key is created."
        )
    return key.encode()
