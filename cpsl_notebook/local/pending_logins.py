"""Browser logins that are under way."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable

__all__ = ["PendingLogins"]

_LIFETIME = 600.0  # seconds; the official CLI waits for half of that
_AT_MOST = 100  # logins under way; asking for one needs no token, so the oldest make room


class PendingLogins:
    """Login requests, and who may confirm them: whoever can read the workspace's secret.

    Parameters
    ----------
    secret
        What a confirmation must show; it lies in the workspace's private folder.
    announce
        Called with each new login's id, to show its owner the link.
    """

    def __init__(self, secret: str, announce: Callable[[str], None] | None = None) -> None:
        self._secret = secret
        self._announce = announce
        self._begun: dict[str, float] = {}
        self._confirmed: set[str] = set()
        self._lock = threading.Lock()

    def begin(self) -> str:
        """Begin a login and return its id."""
        login_id = secrets.token_urlsafe(16)
        with self._lock:
            self._forget_old()
            self._begun[login_id] = time.monotonic()
        if self._announce is not None:
            self._announce(login_id)
        return login_id

    def known(self, login_id: str) -> bool:
        """Say whether a login is under way."""
        with self._lock:
            self._forget_old()
            return login_id in self._begun

    def confirm(self, login_id: str, secret: str) -> bool:
        """Confirm a login; ``False`` where the secret is another one or the login is gone."""
        if not self._secret or not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return False
        with self._lock:
            self._forget_old()
            if login_id in self._begun:
                self._confirmed.add(login_id)
        return login_id in self._confirmed

    def take(self, login_id: str) -> bool | None:
        """Take a confirmed login, once: ``True``; ``False`` while pending; ``None``: unknown."""
        with self._lock:
            self._forget_old()
            if login_id not in self._begun:
                return None
            if login_id not in self._confirmed:
                return False
            self._confirmed.discard(login_id)
            del self._begun[login_id]
            return True

    def _forget_old(self) -> None:
        oldest_first = sorted(self._begun, key=self._begun.__getitem__)
        limit = time.monotonic() - _LIFETIME
        for position, login_id in enumerate(oldest_first):
            if self._begun[login_id] < limit or position < len(oldest_first) - _AT_MOST:
                del self._begun[login_id]
                self._confirmed.discard(login_id)
