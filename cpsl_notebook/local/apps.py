"""The apps that a local workspace runs, and one exchange with an app."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.local.database import Database
from cpsl_notebook.local.samples import SAMPLE_APPS
from cpsl_notebook.local.session import Answer, Session

__all__ = ["Apps", "Exchange"]


@dataclass(frozen=True)
class _Program:
    """A function that answers for an app; a paced one is streamed word by word."""

    name: str
    answer: Answer
    paced: bool


class Apps:
    """The functions that answer for the workspace's apps, by app id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        ids = {app["name"]: app["id"] for app in database.apps()}
        self._programs = {
            ids[app.name]: _Program(app.name, app.answer, paced=True) for app in SAMPLE_APPS
        }

    def add(self, name: str, answer: Answer, price_in_cents: int, pricing_type: str) -> None:
        """Add an app, or replace the function and the price of an existing one.

        Raises
        ------
        ValueError
            The name, the price or the pricing type is invalid.
        """
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 63 or len(name) == 36:
            raise ValueError(
                f"Invalid app name {name!r}: use lower-case letters, digits and single dashes, up "
                "to 63 characters but not 36, which is the length of an app id."
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
        app_id = self._database.add_app(name, price_in_cents, pricing_type)
        self._programs[app_id] = _Program(name, answer, paced=False)

    def start_exchange(self, app_id: str, text: str, session_id: str | None) -> Exchange | None:
        """Start an exchange; return ``None`` if no function of this process answers for the app."""
        program = self._programs.get(app_id)
        if program is None:
            return None
        session = self._database.session(app_id, session_id)
        return Exchange(self._database, program, session, text)


class Exchange:
    """A message and the app's reply to it, piece by piece.

    Attributes
    ----------
    request_id : str
        The id that the gateway reports for this request.
    session : Session
        The conversation.
    paced : bool
        Whether to pause between two pieces.
    """

    def __init__(self, database: Database, program: _Program, session: Session, text: str) -> None:
        self.request_id = f"req_{uuid.uuid4().hex}"
        self.session = session
        self.paced = program.paced
        self._database = database
        self._program = program
        self._text = text

    def pieces(self) -> Iterator[str | dict[str, Any]]:
        """Yield text and blocks; at the end, or when closed earlier, record what was yielded.

        Raises
        ------
        RuntimeError
            The app's function raised an error, or yielded something other than text or a block.
        """
        reply: list[str] = []
        try:
            for piece in self._answer():
                if isinstance(piece, str):
                    reply.append(piece)
                yield piece
        finally:
            self._database.add_turn(self.session, self._text, "".join(reply))

    def _answer(self) -> Iterator[str | dict[str, Any]]:
        name = self._program.name
        try:
            answer = self._program.answer(self.session, self._text)
            for piece in [answer] if isinstance(answer, str) else answer:
                _check(piece)
                yield from _words(piece) if self.paced and isinstance(piece, str) else [piece]
            json.dumps(self.session.state)
        except GeneratorExit:  # the reader has disconnected
            raise
        except BaseException as error:  # sys.exit() in an app must not end the workspace
            self.session.state = {}  # the state itself may be what cannot be stored
            message = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"the app {name!r} raised {message}") from error


def _check(piece: Any) -> None:
    block = isinstance(piece, dict) and isinstance(piece.get("type"), str)
    if not block and not isinstance(piece, str):
        raise TypeError(
            f"an app must yield text or a block, a dict with a 'type', not {type(piece).__name__}"
        )
    json.dumps(piece, allow_nan=False, ensure_ascii=False).encode()  # raises if it cannot be sent


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)
