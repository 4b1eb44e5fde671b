"""Who makes a request: a cell of a notebook, or a row of a sweep.

Several callers may ask the same question. A recording notes the caller, so that in a replay each of
them gets its own answer, whatever the order in which they ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["Caller", "calling", "current_caller"]


class Caller(NamedTuple):
    """Who makes a request.

    Attributes
    ----------
    name : str
        Such as the id of a cell; the same when the cell is run again. Empty if it is unknown.
    run : str
        Which execution of the cell or the sweep it is.
    """

    name: str = ""
    run: str = ""


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextlib.contextmanager
def calling(name: str, run: object) -> Iterator[None]:
    """Name the caller of the requests in a ``with`` block."""
    token = _current.set(Caller(name, str(run)))
    try:
        yield
    finally:
        _current.reset(token)


def current_caller() -> Caller:
    """Return who makes the requests now."""
    return _current.get() or Caller()
