"""How long to wait for a connection and for the next byte."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TypeAlias

__all__ = ["Seconds", "Timeout", "is_seconds"]

Seconds: TypeAlias = float | tuple[float, float]  # read, or (connect, read)


@dataclass(frozen=True)
class Timeout:
    """Time limits of one request.

    Attributes
    ----------
    connect : float
        Seconds to wait for a connection, TLS handshake included.
    read : float
        Seconds to wait for the next byte of an answer, including the first.

    Examples
    --------
    >>> Timeout.parse((1, 30), Timeout())
    Timeout(connect=1, read=30)
    >>> Timeout.parse(2, Timeout())
    Timeout(connect=2, read=2)
    """

    connect: float = 5.0
    read: float = 120.0

    @classmethod
    def parse(cls, value: Seconds | None, default: Timeout) -> Timeout:
        """Convert a ``timeout=`` argument.

        Parameters
        ----------
        value : float, tuple of float or None
            The read timeout or ``(connect, read)``, in seconds. A read timeout alone also bounds
            the connect timeout. ``None`` means the default.
        default : Timeout
            The timeouts to use for what is not given.

        Returns
        -------
        Timeout
            Both limits, the default for what was not given.

        Raises
        ------
        ValueError
            A timeout is not a finite number above 0.
        """
        if value is None:
            return default
        seconds = value if isinstance(value, tuple) else (value,)
        if len(seconds) not in (1, 2) or not all(map(is_seconds, seconds)):
            raise ValueError(
                f"Invalid timeout {value!r}: pass seconds above 0, or (connect, read)."
            )
        return cls(
            min(default.connect, seconds[0]) if len(seconds) == 1 else seconds[0], seconds[-1]
        )


def is_seconds(value: object) -> bool:
    """Return whether a value is a finite number of seconds above 0."""
    return isinstance(value, Real) and 0 < float(value) < math.inf
