"""The requests of a sweep: every input row with every variant of the prompt, app and repetition."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.errors import UsageError

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
    if not isinstance(prompt, Iterable):
        raise UsageError(
            f"The prompt must be a string, a list or a dict of strings, not a {type(prompt).__name__}.",
            label="TypeError",
        )
    named = dict(prompt) if isinstance(prompt, Mapping) else dict(enumerate(prompt))
    if not named:
        raise UsageError("There is no prompt to send: pass at least one.")
    text: Any
    for name, text in named.items():
        if not isinstance(text, str):
            kind = type(text).__name__
            raise UsageError(f"Prompt {name!r} must be a string, not a {kind}.", label="TypeError")
    return named


@dataclass(frozen=True)
class Requests:
    """What a sweep sends, by position: input rows in their order, and within a row its variants.

    Attributes
    ----------
    prompts : list of list of str
        For each variant of the prompt, the filled prompt of each input row.
    apps : list of str
        The apps, as the caller named them.
    repeat : int
        How many times each prompt is sent to each app.
    sessions : list or None
        For each input row, the conversation that it belongs to; ``None`` for a row with its own.
    """

    prompts: list[list[str]]
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
        return self.prompts[variant][row]

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

    def keys(self, scope: str) -> Iterator[bytes]:
        """Return the identity of each request in a store.

        It is made of the workspace, the app, the filled prompt, the conversation with its earlier
        prompts, and the occurrence among requests that are equal in all of these. So it does not
        depend on the order of the rows, or on rows that are added or removed.

        Parameters
        ----------
        scope : str
            The workspace.
        """
        occurrences: Counter[bytes] = Counter()
        earlier: dict[Any, bytes] = {}
        kinds = itertools.product(range(len(self.prompts)), self.apps, range(self.repeat))
        for (row, session), (variant, app, repetition) in itertools.product(
            enumerate(self.sessions or itertools.repeat(None, len(self.prompts[0]))), list(kinds)
        ):
            parts = [scope, app, self.prompts[variant][row]]
            if session is None:
                own = _digest(json.dumps(parts).encode())
            else:
                conversation = (session, variant, app, repetition)
                before = earlier.get(conversation, b"").hex()
                own = _digest(json.dumps([*parts, str(session), before]).encode())
                earlier[conversation] = own
            occurrence = occurrences[own]
            occurrences[own] = occurrence + 1
            yield _digest(own + occurrence.to_bytes(8))

    def _conversation(self, position: int) -> Any:
        row, variant, app, repetition = self.place(position)
        session = None if self.sessions is None else self.sessions[row]
        if session is None:
            return position
        return session, variant, app, repetition


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()
