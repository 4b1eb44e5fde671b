"""Pseudonyms of payers, and the key of this machine that they are made with.

A pseudonym is a keyed hash (HMAC-SHA-256). Unlike a plain hash, it cannot be reversed by hashing
likely email addresses, unless the key is known. The key is generated once and kept in the file
``mask-key`` in ``CAPSULE_HOME``, readable by its owner only, so a payer has the same pseudonym in
every run on this machine. To get the same pseudonyms on several machines, pass your own key.

If outputs are reproducible, sample payers have the same pseudonyms on every machine, from a public
key. Their addresses are in the domains that are reserved for examples, so they belong to nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from cpsl_notebook.errors import UserError
from cpsl_notebook.files import create_private
from cpsl_notebook.paths import capsule_home
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["DIGITS", "machine_key", "pseudonym", "sample_secret"]

DIGITS = 16
"""Hexadecimal digits of a pseudonym, 64 bits: for a million payers, the probability that any two have
the same pseudonym is 3 in 100 million."""

_SAMPLE_SECRET = "sample payers"  # noqa: S105
_SAMPLE_PAYER = re.compile(r"[^@\s]+@example\.(?:com|net|org)")  # reserved by RFC 2606


def pseudonym(name: str, key: bytes, prefix: str = "payer") -> str:
    """Return the pseudonym of a payer, or of a subscription.

    Parameters
    ----------
    name : str
        The identity of the payer, such as an email address.
    key : bytes
        The key of the hash.
    prefix : str, default "payer"
        The word before the hash.

    Returns
    -------
    str
        The prefix, a hyphen and 16 hexadecimal digits.

    Examples
    --------
    >>> pseudonym("ada@a.example", b"a long secret")
    'payer-0ec79c2fe6260e61'
    """
    digest = hmac.new(key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return f"{prefix}-{digest[:DIGITS]}"


def machine_key(example: str) -> bytes:
    """Return the key of this machine; create it on first use.

    Parameters
    ----------
    example : str
        Code that passes another key, for the error message.

    Returns
    -------
    bytes
        The key.

    Raises
    ------
    cpsl_notebook.UserError
        If the key cannot be read or created.
    """
    path = capsule_home() / "mask-key"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = create_private(path, secrets.token_hex(32)).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(
            f"Cannot read or create the key for pseudonyms in {path} ({reason}). "
            f"Fix or remove the file, or pass a secret: {example}."
        ) from None
    if not key:
        raise UserError(
            f"The key for pseudonyms in {path} is blank. Remove the file; a new key is created."
        )
    return key.encode()


def sample_secret(payers: Iterable[str]) -> str | None:
    """Return the public key of sample payers, if outputs are reproducible.

    Parameters
    ----------
    payers : iterable of str
        The payers.

    Returns
    -------
    str or None
        The key; ``None`` if outputs are not reproducible or a payer may be a real one.
    """
    is_public = is_reproducible() and all(map(_SAMPLE_PAYER.fullmatch, payers))
    return _SAMPLE_SECRET if is_public else None
