"""Browser logins that wait for confirmation."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable

__all__ = ["PendingLogins"]

_LIFETIME = 600.0  # seconds; twice as long as the official CLI waits
_MAX_PENDING = 100  # requests need no token, so above this number the oldest are dropped


class PendingLogins:
    """Login requests; anyone who can read the workspace's login secret may confirm them.

    Parameters
    ----------
    secret : str
        The login secret, which is stored in the workspace's private folder.
    announce : callable, optional
        Called with the id of each new request, to show the owner the link.
    """

    def __init__(self, secret: str, announce: Callable[[str], None] | None = None) -> None:
        self._secret = secret
        self._announce = announce
        self._begun: dict[str, float] = {}
        self._confirmed: set[str] = set()
        self._lock = threading.Lock()

    def begin(self) -> str:
        """Add a login request and return its id."""
        login_id = secrets.token_urlsafe(16)
        with self._lock:
            self._drop_expired()
            self._begun[login_id] = time.monotonic()
        if self._announce is not None:
            self._announce(login_id)
        return login_id

    def known(self, login_id: str) -> bool:
        """Return whether a request exists."""
        with self._lock:
            self._drop_expired()
            return login_id in self._begun

    def confirm(self, login_id: str, secret: str) -> bool:
        """Confirm a request; return whether it exists and the secret is correct."""
        if not self._secret or not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return False
        with self._lock:
            self._drop_expired()
            if login_id in self._begun:
                self._confirmed.add(login_id)
        return login_id in self._confirmed

    def take(self, login_id: str) -> bool | None:
        """Remove a confirmed request: ``True`` if done, ``False`` if pending, ``None`` if unknown."""
        with self._lock:
            self._drop_expired()
            if login_id not in self._begun:
                return None
            if login_id not in self._confirmed:
                return False
            self._confirmed.discard(login_id)
            del self._begun[login_id]
            return True

    def _drop_expired(self) -> None:
        by_age = sorted(self._begun, key=self._begun.__getitem__)
        limit = time.monotonic() - _LIFETIME
        for position, login_id in enumerate(by_age):
            if self._begun[login_id] < limit or position < len(by_age) - _MAX_PENDING:
                del self._begun[login_id]
                self._confirmed.discard(login_id)
