"""The apps that a local workspace runs, and an exchange with one of them."""

from __future__ import annotations

import contextlib
import inspect
import json
import linecache
import numbers
import os
import re
import sys
import sysconfig
import traceback
import uuid
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cpsl_notebook.compat import cell_name
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.samples import SAMPLE_APPS
from cpsl_notebook.local.samples.ledger import TODAY
from cpsl_notebook.local.session import Answer, Session

__all__ = ["AppError", "Apps", "Exchange"]

# App ids are derived from names, so that notebooks show the same ids on every machine.
_NAMESPACE = uuid.UUID("6f1b1d57-6d5c-4a55-9c7e-0c0a1e2b3c4d")
_SAMPLES_CREATED = f"{TODAY}T00:00:00Z"
_NOT_JSON = (TypeError, ValueError, RecursionError)
_MAX_ERROR = 120  # characters of an exception's message; the client shows 300 in all
_MAX_LINE = 60  # characters of the line that raised it

# Code in these folders is not the app author's own.
_INSTALLED = tuple(
    f"{folder}{os.sep}"
    for folder in (
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(__file__).parent,
    )
)


class AppError(Exception):
    """An app's function raised an error, or yielded something other than text or a block."""


@dataclass(frozen=True)
class _App:
    """An app. If it is paced, its reply is streamed word by word."""

    info: dict[str, Any]
    answer: Answer
    paced: bool

    @property
    def name(self) -> str:
        return str(self.info["name"])


class Apps:
    """The apps that this process runs: the sample apps, and those that were added.

    Other processes that use the same folder have their own apps, because they cannot run these.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reset()

    def reset(self) -> None:
        """Restore the sample apps and remove all others."""
        apps = {}
        for name, answer, price_in_cents, pricing_type in SAMPLE_APPS:
            info = self._info(name, price_in_cents, pricing_type, _SAMPLES_CREATED)
            apps[info["id"]] = _App(info, answer, paced=True)
        self._apps = apps

    def all(self) -> list[dict[str, Any]]:
        """Return the metadata of all apps, by name."""
        return sorted((app.info for app in list(self._apps.values())), key=lambda app: app["name"])

    def get(self, app_id: str) -> dict[str, Any] | None:
        """Return the metadata of an app, or ``None`` if the id is unknown."""
        app = self._apps.get(app_id)
        return app.info if app else None

    def add(self, name: str, answer: Answer, price_in_cents: int, pricing_type: str) -> None:
        """Add an app, or replace the function and the price of an existing one.

        Raises
        ------
        ValueError
            The name, the price or the pricing type is invalid.
        TypeError
            *answer* is not a function ``(session, text)``.
        """
        valid = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        if not valid or len(name) > 63:
            raise ValueError(
                f"Invalid app name {name!r}: use lower-case letters, digits and single dashes, up "
                "to 63 characters."
            )
        if len(name) == 36:
            raise ValueError(
                f"Invalid app name {name!r}: 36 characters could be an app id. Use a shorter name."
            )
        if type(price_in_cents) is not int or not 0 <= price_in_cents < 2**31:
            raise ValueError(
                f"Invalid price_in_cents {price_in_cents!r}: pass a whole number of cents, such as "
                "1500 for $15.00."
            )
        if pricing_type not in ("one_time", "monthly"):
            raise ValueError(
                f"Invalid pricing_type {pricing_type!r}: pass 'one_time' or 'monthly'."
            )
        _check_function(answer)
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if self._database.ids.seeded:
            now = _SAMPLES_CREATED
        info = self._info(name, price_in_cents, pricing_type, now)
        if earlier := self.get(info["id"]):
            info["created_at"] = earlier["created_at"]
        self._apps[info["id"]] = _App(info, answer, paced=False)

    def start_exchange(self, app_id: str, text: str, session_id: str | None) -> Exchange:
        """Start an exchange with an app that exists."""
        session = self._database.session(app_id, text, session_id)
        return Exchange(self._database, self._apps[app_id], session, text)

    def _info(self, name: str, price: int, pricing_type: str, now: str) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid5(_NAMESPACE, name)),
            "name": name,
            "hostname": f"{name}-local",
            "owner_id": self._database.workspace_id,
            "created_at": now,
            "updated_at": now,
            "price_in_cents": price,
            "pricing_type": pricing_type,
        }


class Exchange:
    """A message and the app's reply to it, piece by piece.

    Attributes
    ----------
    request_id : str
        The id that the gateway reports for this request.
    session : Session
        The conversation.
    paced : bool
        Whether text is yielded word by word, to be sent with pauses.
    """

    def __init__(self, database: Database, app: _App, session: Session, text: str) -> None:
        self.request_id = f"req_{database.ids.new('request', session.id, text).hex}"
        self.session = session
        self.paced = app.paced
        self._database = database
        self._app = app
        self._text = text

    def pieces(self) -> Generator[str | dict[str, Any]]:
        """Yield text and blocks; at the end, or when closed earlier, record what was yielded.

        If the app fails, ``session.data`` is not changed.

        Raises
        ------
        AppError
            The app failed.
        sqlite3.Error
            The turn cannot be stored.
        """
        reply: list[str] = []
        data: str | None = None
        try:
            for piece in self._answer():
                if isinstance(piece, str):
                    reply.append(piece)
                yield piece
            data = self._data()
        except GeneratorExit:  # the reader has disconnected
            with contextlib.suppress(*_NOT_JSON):
                data = self._data()
            raise
        finally:
            self._database.add_turn(self.session.id, self._text, "".join(reply), data)

    def _answer(self) -> Iterator[str | dict[str, Any]]:
        try:
            for piece in _checked(_pieces(self._app.answer(self.session, self._text))):
                if self.paced and isinstance(piece, str):
                    yield from re.findall(r"\s*\S+|\s+$", piece)
                else:
                    yield piece
            self._data()
        except GeneratorExit:
            raise
        except BaseException as error:  # sys.exit() in an app must not end the workspace
            raise self._failed(error) from error

    def _data(self) -> str:
        data = self.session.data
        if not isinstance(data, dict):
            raise TypeError(f"session.data must be a dict, not {type(data).__name__}")
        try:
            return json.dumps(data)
        except _NOT_JSON as error:
            raise TypeError(f"session.data can hold only JSON values: {error}") from None

    def _failed(self, error: BaseException) -> AppError:
        """Return the error for the reader, with the line of the app's own code that raised it."""
        message = _shortened(" ".join(str(error).split()), _MAX_ERROR)
        place = _place(error) or _first_line(self._app.answer)
        raised = f"the app {self._app.name!r} raised {type(error).__name__}{place}"
        return AppError(f"{raised}: {message}" if message else raised)


def _check_function(answer: Any) -> None:
    if not callable(answer):
        raise TypeError(f"An app must be a function (session, text), not {answer!r}.")
    name = getattr(answer, "__name__", "app")
    if inspect.iscoroutinefunction(answer) or inspect.isasyncgenfunction(answer):
        raise TypeError(
            f"An app cannot be async: write `def {name}` instead of `async def {name}`."
        )
    try:
        signature = inspect.signature(answer)
    except ValueError:  # a function that is written in C
        return
    try:
        signature.bind("session", "text")
    except TypeError:
        raise TypeError(
            f"An app must have two parameters: write `def {name}(session, text)` instead of "
            f"`def {name}{signature}`."
        ) from None


def _pieces(answer: Any) -> Iterable[Any]:
    """Return the pieces of what an app's function returned."""
    if isinstance(answer, str | dict):
        return [answer]
    if answer is None:
        raise TypeError("it returned None instead of a reply; yield text or a block")
    if not isinstance(answer, Iterable):
        raise TypeError(f"an app must yield text or a block, not {type(answer).__name__}")
    return answer


def _checked(pieces: Iterable[Any]) -> Iterator[str | dict[str, Any]]:
    """Yield pieces; raise an error if one cannot be sent, at the ``yield`` of a generator.

    What a generator returns at its end is the last piece, so a ``return`` loses no text.
    """
    iterator = iter(pieces)
    while True:
        try:
            piece = next(iterator)
        except StopIteration as end:
            if end.value is not None:
                _check(end.value)
                yield end.value
            return
        try:
            _check(piece)
        except _NOT_JSON as error:
            if isinstance(iterator, Generator):
                with contextlib.suppress(StopIteration):
                    iterator.throw(error)  # adds the app's line to the traceback
            raise
        yield piece


def _check(piece: Any) -> None:
    if isinstance(piece, dict):
        if not isinstance(piece.get("type"), str):
            raise TypeError("a block must be a dict with a 'type', such as 'table_preview'")
        payload = piece.get("payload")
        if piece["type"] == "table_preview" and isinstance(payload, dict) and "rows" in payload:
            raise TypeError("the payload of a table_preview has its rows in a dict 'table'")
    elif not isinstance(piece, str):
        kind = type(piece).__name__
        hint = "; convert it with str()" if isinstance(piece, numbers.Number) else ""
        raise TypeError(f"an app must yield text or a block, not {kind}{hint}")
    json.dumps(piece, allow_nan=False, ensure_ascii=False).encode()  # raises if it cannot be sent


def _place(error: BaseException) -> str:
    """Return the line of the app's own code that raised an error: `` in Cell In[3], line 2 (1 / 0)``.

    It is the last line of the traceback that is not in an installed library.
    """
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_INSTALLED, "<frozen"))
    ]
    return _shown_place(own[-1].filename, own[-1].lineno, own[-1].line or "") if own else ""


def _first_line(answer: Answer) -> str:
    """Return where an app's function begins, in the form of `_place`."""
    code = getattr(answer, "__code__", None)
    if code is None or code.co_filename.startswith(_INSTALLED):
        return ""
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return _shown_place(code.co_filename, code.co_firstlineno, line)


def _shown_place(path: str, number: int | None, line: str) -> str:
    place = f" in {_file_name(path)}, line {number}"
    return f"{place} ({_shortened(line, _MAX_LINE)})" if line else place


def _file_name(path: str) -> str:
    """Return how IPython names a cell in a traceback, or the name of any other file."""
    if "IPython" in sys.modules:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        if shell is not None and (name := cell_name(shell, path)):
            return name
    return Path(path).name


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
