"""The options of a client other than its credentials; a pickled client keeps them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Integral

from cpsl import __version__
from cpsl.errors import InvalidRequestError
from cpsl.timeouts import Timeout

__all__ = ["AGENT", "Options"]

AGENT = f"cpsl-client/{__version__}"

_LOWEST = {
    "max_retries": 0,
    "max_answer_bytes": 1,
    "max_reply_bytes": 1,
    "max_event_bytes": 1,
    "max_url_bytes": 1,
}


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

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
                raise InvalidRequestError(
                    f"Invalid {name} {value!r}: use a whole number of at least {lowest}."
                )
        for name in ("allow_insecure", "pickle_token"):
            value = getattr(self, name)
            if not isinstance(value, bool):  # any text would count as true
                raise InvalidRequestError(f"Invalid {name} {value!r}: use True or False.")
        if not isinstance(self.user_agent, str) or not re.fullmatch("[ -~]*", self.user_agent):
            raise InvalidRequestError(
                f"Invalid user_agent {self.user_agent!r}: it must be printable ASCII, such as "
                "'my-service/1.2'."
            )

    @property
    def agent(self) -> str:
        """The value of the ``User-Agent`` header."""
        return f"{self.user_agent} {AGENT}".strip()
