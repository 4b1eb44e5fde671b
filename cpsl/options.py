"""The options of a client other than its credentials; a pickled client keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from cpsl import __version__
from cpsl.timeouts import Timeout

__all__ = ["Options"]

_AGENT = f"cpsl-client/{__version__}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that `cpsl.Client` documents as its parameters."""

    timeout: Timeout
    max_retries: int
    max_answer_bytes: int
    max_reply_bytes: int
    max_event_bytes: int
    max_url_bytes: int
    allow_insecure: bool
    pickle_token: bool
    user_agent: str = ""

    @property
    def agent(self) -> str:
        """The value of the ``User-Agent`` header."""
        return f"{self.user_agent} {_AGENT}".strip()
