"""Payers, replaced by pseudonyms in a recording that is shared."""

from __future__ import annotations

import functools
import re
from typing import Any

from cpsl_notebook.pseudonyms import (
    DIGITS,
    SAMPLE_SECRET,
    is_sample_payer,
    machine_key,
    pseudonym,
)

__all__ = ["Mask", "without_payers"]

_PERSON = "(?:payer|customer|buyer|purchaser|subscriber|user|client|cardholder)"
_OF_PERSON = "(?:_(?:id|uid|uuid|key|name|first_name|last_name|phone|address|ref|reference))?"
_PAYER_FIELD = re.compile(
    rf"(?:.*_)?{_PERSON}{_OF_PERSON}|(?:.*_)?e_?mails?(?:_address)?|(?:.*_)?phone(?:_number)?"
)
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PSEUDONYM = re.compile(rf"payer-[0-9a-f]{{{DIGITS}}}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Mask:
    """Replaces payers with pseudonyms, which are keyed hashes.

    Parameters
    ----------
    secret : str, optional
        The key; by default, the key that this machine keeps in ``CAPSULE_HOME`` and that
        `payments.capsule` uses too.
    """

    def __init__(self, secret: str | None = None) -> None:
        self._has_own_key = secret is not None
        example = 'recording("answers.jsonl", mask="a long secret")'  # `%capsule record` cannot
        self._key = machine_key(example) if secret is None else secret.encode()

    def records(self, value: Any) -> Any:
        """Return payments or earnings with pseudonyms in the fields that identify a person."""
        if isinstance(value, list):
            return [self.records(item) for item in value]
        if isinstance(value, dict):
            return {
                key: self._all(item) if _is_of_payer(str(key)) else self.records(item)
                for key, item in value.items()
            }
        return self.value(value)

    def value(self, value: Any) -> Any:
        """Return a JSON value with pseudonyms for the email addresses in its texts."""
        if isinstance(value, str):
            return (
                value
                if "@" not in value
                else _EMAIL.sub(lambda found: self._pseudonym(found[0]), value)
            )
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return value

    def _all(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._all(item) for item in value]
        if isinstance(value, dict):
            return {key: self._all(item) for key, item in value.items()}
        return value if value in (None, "") else self._pseudonym(str(value))

    def _pseudonym(self, payer: str) -> str:
        is_public = not self._has_own_key and is_sample_payer(payer)
        return pseudonym(payer, SAMPLE_SECRET.encode() if is_public else self._key)


def without_payers(text: str) -> str:
    """Return a text in which all email addresses and pseudonyms are the same."""
    return _PSEUDONYM.sub("payer-*", _EMAIL.sub("payer-*", text))


@functools.lru_cache(1_024)
def _is_of_payer(field: str) -> bool:
    words = re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", field).lower()).strip("_")
    return bool(_PAYER_FIELD.fullmatch(words))
