"""The requests of a sweep: every input row with every variant of the prompt, app and repetition."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cpsl_notebook.errors import UsageError, shown
from cpsl_notebook.sweeps.texts import Texts

__all__ = ["KEY_BYTES", "Requests", "named_prompts"]

KEY_BYTES = 16  # of a request's identity in a store

Prompts = str | Sequence[str] | Mapping[Any, str]


def named_prompts(prompt: Prompts) -> dict[Any, str]:
    """Return the variants of a prompt by name; those of a list are numbered from 0.

    Raises
    ------
    UsageError
        There is no prompt, or one is not a string.

    Examples
    --------
    >>> named_prompts(["Classify {{ subject }}", "What is {{ subject }} about?"])
    {0: 'Classify {{ subject }}', 1: 'What is {{ subject }} about?'}
    """
    if isinstance(prompt, str):
        return {0: prompt}
    unchecked: Any = prompt
    if not isinstance(unchecked, Iterable) or isinstance(unchecked, bytes):
        raise UsageError(
            f"prompt must be a string, a list or a dict of strings, not {shown(prompt)}.",
            label="TypeError",
        )
    named = dict(prompt) if isinstance(prompt, Mapping) else dict(enumerate(prompt))
    if not named:
        raise UsageError("There is no prompt to send: pass at least one.")
    text: Any
    for name, text in named.items():
        if not isinstance(text, str):
            raise UsageError(
                f"Prompt {name!r} must be a string, not {shown(text)}.", label="TypeError"
            )
    return named


@dataclass(frozen=True)
class Requests:
    """The requests of a sweep, by position: the input rows in order, and the variants of each row.

    Attributes
    ----------
    prompts : list of Texts
        For each variant of the prompt, the filled prompt of each input row.
    apps : list of str
        The apps, as the caller named them.
    repeat : int
        The number of times each prompt is sent to each app.
    sessions : list or None
        For each input row, its conversation; ``None`` for a row with its own conversation.
    """

    prompts: list[Texts]
    apps: list[str]
    repeat: int = 1
    sessions: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.prompts[0]) * self.per_row

    @property
    def per_row(self) -> int:
        """The number of requests for one input row."""
        return len(self.prompts) * len(self.apps) * self.repeat

    def place(self, position: int) -> tuple[int, int, int, int]:
        """Return the numbers of a request's input row, prompt, app and repetition."""
        rest, repetition = divmod(position, self.repeat)
        rest, app = divmod(rest, len(self.apps))
        row, variant = divmod(rest, len(self.prompts))
        return row, variant, app, repetition

    def prompt(self, position: int) -> str:
        """Return the text of a request."""
        row, variant, _, _ = self.place(position)
        return self.prompts[variant][row] or ""

    def app(self, position: int) -> int:
        """Return the number of a request's app."""
        return self.place(position)[2]

    def tasks(self) -> Iterator[tuple[int, ...]]:
        """Return the positions that are sent together, as the turns of one conversation."""
        if self.sessions is None:
            yield from ((position,) for position in range(len(self)))
            return
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        for position in range(len(self)):
            groups[self._conversation(position)].append(position)
        yield from map(tuple, groups.values())

    def keys(self, scope: str) -> bytes:
        """Return the identity of each request in a store, `KEY_BYTES` long, one after the other.

        It is a hash of the workspace, the app, the filled prompt, the conversation with its earlier
        prompts, and the number of equal requests before it. It does not depend on the order of the
        rows, or on other rows that are added or removed.

        Parameters
        ----------
        scope : str
            The workspace.
        """
        contents = bytearray()
        earlier: dict[Any, bytes] = {}
        for position in range(len(self)):
            row, variant, app, repetition = self.place(position)
            session = None if self.sessions is None else self.sessions[row]
            parts = [scope, self.apps[app], self.prompts[variant][row]]
            if session is None:
                own = _digest(json.dumps(parts).encode())
            else:
                conversation = (session, variant, app, repetition)
                before = earlier.get(conversation, b"").hex()
                own = _digest(json.dumps([*parts, str(session), before]).encode())
                earlier[conversation] = own
            contents += own
        keys = bytearray()
        for position, occurrence in enumerate(_occurrences(contents)):
            content = contents[KEY_BYTES * position : KEY_BYTES * (position + 1)]
            keys += _digest(content + int(occurrence).to_bytes(8))
        return bytes(keys)

    def _conversation(self, position: int) -> Any:
        row, variant, app, repetition = self.place(position)
        session = None if self.sessions is None else self.sessions[row]
        if session is None:
            return position
        return session, variant, app, repetition


def _occurrences(digests: bytes | bytearray) -> npt.NDArray[np.int64]:
    """Return the number of equal digests before each digest."""
    halves = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable, so equal ones keep their order
    new = np.ones(len(order), bool)
    new[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    places = np.arange(len(order))
    counts = np.empty_like(places)
    counts[order] = places - np.maximum.accumulate(np.where(new, places, 0))
    return counts


def _digest(data: bytes | bytearray) -> bytes:
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()
