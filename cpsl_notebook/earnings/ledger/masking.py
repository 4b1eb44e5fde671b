"""Pseudonyms for payers, for notebooks that are shared.

A pseudonym is a keyed hash. Without the key nobody can try out which address it belongs to, as one
could with a plain hash; with it, a payer has the same pseudonym in every run. The key is made once
and kept, private, beside the other files of this machine. Who needs the same pseudonyms on several
machines passes a secret of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any

import pandas as pd

from cpsl_notebook.errors import UserError

__all__ = ["masked"]

_DIGITS = 16  # 64 bits: two of a million payers share them with a probability of 3 in 100 million


def masked(payers: pd.Series[Any], secret: str | None = None) -> pd.Series[Any]:
    """Return pseudonyms; a missing payer stays missing.

    Parameters
    ----------
    payers
        Strings.
    secret
        The key; by default the one that this machine keeps.

    Examples
    --------
    >>> masked(pd.Series(["ada@a.example", None], dtype="string"), "a long secret").tolist()
    ['payer-0ec79c2fe6260e61', <NA>]
    """
    key = _kept_key() if secret is None else secret.encode()
    names = {payer: _pseudonym(str(payer), key) for payer in payers.dropna().unique()}
    return payers.map(names).astype(payers.dtype)


def _pseudonym(payer: str, key: bytes) -> str:
    digest = hmac.new(key, payer.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return f"payer-{digest[:_DIGITS]}"


def _kept_key() -> bytes:
    """Return this machine's key, from ``mask-key`` in ``CAPSULE_HOME`` or in ``~/.capsule``."""
    home = os.environ.get("CAPSULE_HOME")
    path = (Path(home).expanduser() if home else Path.home() / ".capsule") / "mask-key"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(file, "w") as new:
                new.write(secrets.token_hex(32))
        key = path.read_text().strip()
    except OSError as error:
        raise UserError(
            f"{path} cannot keep the key of the pseudonyms ({error.strerror}): "
            'pass one, mask_payers="a long secret".'
        ) from None
    if not key:
        raise UserError(f"{path} is empty: delete it, and the next call makes a new key.")
    return key.encode()
