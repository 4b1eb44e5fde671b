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

from cpsl_notebook.errors import UserError
from cpsl_notebook.files import create_private
from cpsl_notebook.paths import capsule_home
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["DIGITS", "SAMPLE_SECRET", "is_sample_payer", "machine_key", "pseudonym"]

DIGITS = 16
"""Hexadecimal digits of a pseudonym, 64 bits: for a million payers, the probability that any two have
the same pseudonym is 3 in 100 million."""

SAMPLE_SECRET = "sample payers"  # noqa: S105
"""The public key of sample payers, if outputs are reproducible."""

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


def is_sample_payer(payer: str) -> bool:
    """Return whether a payer gets the same pseudonym on every machine, made with `SAMPLE_SECRET`.

    That is the case if outputs are reproducible and the payer is an address that is reserved for
    examples.
    """
    return is_reproducible() and _SAMPLE_PAYER.fullmatch(payer) is not None
