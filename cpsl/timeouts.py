"""Timeouts for connecting and for reading."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from cpsl.errors import InvalidRequestError

__all__ = ["MAX_TIME_LIMIT", "Seconds", "Timeout", "check_seconds"]

Seconds: TypeAlias = float | tuple[float, float]  # read, or (connect, read)
MAX_TIME_LIMIT = 1_000_000.0  # seconds; timers of the system overflow after 25 days


@dataclass(frozen=True)
class Timeout:
    """Time limits of one request.

    Attributes
    ----------
    connect : float
        Seconds to wait for a connection, TLS handshake included.
    read : float
        Seconds to wait for the next byte of a response, including the first.

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
            The timeouts to use for those that are not given.

        Returns
        -------
        Timeout
            Both timeouts.

        Raises
        ------
        InvalidRequestError
            A timeout is not a number above 0, or is above 1,000,000.
        """
        if value is None:
            return default
        seconds = value if isinstance(value, tuple) else (value,)
        if len(seconds) not in (1, 2):
            raise InvalidRequestError(
                f"Invalid timeout {value!r}: use seconds, or (connect, read)."
            )
        for number in seconds:
            check_seconds("timeout", number)
        return cls(
            min(default.connect, seconds[0]) if len(seconds) == 1 else seconds[0], seconds[-1]
        )


def check_seconds(name: str, value: Any) -> None:
    """Raise `InvalidRequestError` unless an argument is a number of seconds within the limits."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 < value <= MAX_TIME_LIMIT):
        raise InvalidRequestError(
            f"Invalid {name} {value!r}: use a number of seconds above 0, up to "
            f"{MAX_TIME_LIMIT:,.0f}."
        )
