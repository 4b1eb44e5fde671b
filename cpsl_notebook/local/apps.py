"""The apps of a local workspace: what answers for each, and one turn of a conversation."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.local.database import Session, Store
from cpsl_notebook.local.samples import deal_desk, diet_coach, support

__all__ = ["Answer", "Apps", "Conversation"]

Answer = Callable[[Session, str], Iterable[str | dict[str, Any]]]


@dataclass(frozen=True)
class _Program:
    """What answers for an app; a paced one is streamed word by word, as a model would."""

    name: str
    answer: Answer
    paced: bool


class Apps:
    """The programs that a workspace runs, by app id."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._programs: dict[str, _Program] = {}
        names = {app["name"]: app["id"] for app in store.apps()}
        samples: dict[str, Answer] = {
            "support-ops": lambda session, text: support.answer(session, text, store.threads()),
            "deal-desk": deal_desk.answer,
            "diet-coach": diet_coach.answer,
        }
        for name, answer in samples.items():
            self._programs[names[name]] = _Program(name, answer, paced=True)

    def add(self, name: str, answer: Answer, price_in_cents: int, pricing_type: str) -> None:
        """Add an app of the user's own, or put a new function in an app's place.

        Raises
        ------
        ValueError
            The name, the price or the kind of price is none.
        """
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 63 or len(name) == 36:
            raise ValueError(f"{name!r} is no app name: use lower-case letters, digits and dashes.")
        if type(price_in_cents) is not int or not 0 <= price_in_cents < 2**31:
            raise ValueError("price_in_cents is a whole number of cents, from 0.")
        if pricing_type not in ("one_time", "monthly"):
            raise ValueError("pricing_type is one_time or monthly.")
        app_id = self._store.add_app(name, price_in_cents, pricing_type)
        self._programs[app_id] = _Program(name, answer, paced=False)

    def converse(self, app_id: str, text: str, session_id: str | None) -> Conversation | None:
        """Begin a turn; ``None`` where no program of this process answers for the app."""
        program = self._programs.get(app_id)
        if program is None:
            return None
        return Conversation(self._store, program, self._store.session(app_id, session_id), text)


class Conversation:
    """One turn: the app's pieces as they come, and the record of it, whole or broken off."""

    def __init__(self, store: Store, program: _Program, session: Session, text: str) -> None:
        self.request_id = f"req_{uuid.uuid4().hex}"
        self.session = session
        self.paced = program.paced
        self._store = store
        self._program = program
        self._text = text

    def pieces(self) -> Iterator[str | dict[str, Any]]:
        """Yield text and blocks; keep what was yielded, also when nobody reads to the end.

        Raises
        ------
        RuntimeError
            The app's function raised, or gave something that is neither text nor a block.
        """
        reply: list[str] = []
        try:
            for piece in self._answer():
                if isinstance(piece, str):
                    reply.append(piece)
                yield piece
        finally:
            self._store.add_turn(self.session, self._text, "".join(reply))

    def _answer(self) -> Iterator[str | dict[str, Any]]:
        name = self._program.name
        try:
            answer = self._program.answer(self.session, self._text)
            for piece in [answer] if isinstance(answer, str) else answer:
                _check(piece)
                yield from _words(piece) if self.paced and isinstance(piece, str) else [piece]
            json.dumps(self.session.state)
        except GeneratorExit:  # nobody reads any more
            raise
        except BaseException as error:  # sys.exit() in an app must not end the workspace
            self.session.state = {}  # what cannot be kept must not spoil the next turn
            said = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"the app {name!r} raised {said}") from error


def _check(piece: Any) -> None:
    block = isinstance(piece, dict) and isinstance(piece.get("type"), str)
    if not block and not isinstance(piece, str):
        raise TypeError(f"an app yields text or a block with a type, not {type(piece).__name__}")
    json.dumps(piece, allow_nan=False, ensure_ascii=False).encode()  # what cannot be sent, raises


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)
