"""Ids of conversations, requests and checkouts of a local workspace."""

from __future__ import annotations

import threading
import uuid
from collections import Counter

__all__ = ["Ids"]

_SEED = uuid.UUID("0d7d8a52-4d0c-4b0b-8f6f-2a1f5a3f7b91")


class Ids:
    """Creates ids: random ones or, from a seed, the same in every execution.

    Parameters
    ----------
    seeded : bool
        Whether an id follows from what it is for, and from how many ids were created for the same
        before. The order of requests that are made at the same time has no effect on such ids.
    """

    def __init__(self, *, seeded: bool) -> None:
        self.seeded = seeded
        self._lock = threading.Lock()
        self._created: Counter[str] = Counter()

    def new(self, *purpose: str) -> uuid.UUID:
        """Return a new id for a purpose, such as an app's name and a prompt."""
        if not self.seeded:
            return uuid.uuid4()
        key = repr(purpose)
        with self._lock:
            self._created[key] += 1
            return uuid.uuid5(_SEED, f"{key} {self._created[key]}")
