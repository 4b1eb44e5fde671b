"""What a client was made with, besides its credentials: all that its copies need."""

from __future__ import annotations

from dataclasses import dataclass

from cpsl.config import Settings
from cpsl.network import Timeout
from cpsl.transport import Transport

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `cpsl.Client`, which documents them."""

    timeout: Timeout
    max_retries: int
    max_answer_bytes: int
    max_reply_bytes: int
    max_event_bytes: int
    max_url_bytes: int
    allow_insecure: bool
    pickle_token: bool

    def transport(self, settings: Settings) -> Transport:
        """Return the transport to a gateway."""
        return Transport(settings, self.timeout, self.max_retries, self.allow_insecure)
