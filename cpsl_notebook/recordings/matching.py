"""Which recorded call answers a request: matched by content, and then by order."""

from __future__ import annotations

import difflib
import re
import textwrap
import threading
from collections.abc import Iterable

from cpsl_notebook.recordings.callers import Caller, current_caller
from cpsl_notebook.recordings.calls import Call
from cpsl_notebook.recordings.file_format import Entry
from cpsl_notebook.recordings.payer_masking import without_payers
from cpsl_notebook.recordings.redaction import PLACEHOLDER, Redactor

__all__ = ["Matcher", "diff"]

_WIDTH = 80  # columns of a text in a diff
_DIFF_LINES = 20
_COMPARED = 2_000  # characters of a text that are compared to find the nearest call
_CANDIDATES = 200  # calls that are compared for that
_LOOKUPS = {"list_apps", "get_app"}  # other calls make them too, to find the id of an app

Content = tuple[str, str, str, str]


class Matcher:
    """Finds recorded calls; safe to share between threads.

    A request is answered by a call with the same method, app and text. Calls of the same caller come
    first, then those of the same conversation, then others; each time in the order of recording. When
    all of them have been used, they are used again in the same order, unless *strict*.

    A call that was recorded without its caller belongs to the first caller that gets its answer, so
    a cell that is run again gets the same answer.

    Parameters
    ----------
    entries : iterable of Entry
        The recorded calls, in order.
    redactor : Redactor
        Replaces the secrets in requests, as it did when they were recorded.
    strict : bool
        Whether each recorded call answers only one request.
    """

    def __init__(self, entries: Iterable[Entry], redactor: Redactor, *, strict: bool) -> None:
        self._redactor = redactor
        self._strict = strict
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}  # of apps, by id
        self._entries: list[Entry] = []
        self._by_content: dict[Content, list[Entry]] = {}
        self._used: dict[int, str] = {}  # the run in which an entry was used, by its id
        self._owners: dict[int, str] = {}  # the caller of an entry, by its id
        entries = list(entries)
        for entry in entries:
            self._learn_names(entry)
        for entry in entries:
            self._add(entry)

    def add_used(self, entry: Entry) -> None:
        """Add a call that was recorded just now, as the answer to a request."""
        with self._lock:
            self._add(entry)
            self._use(entry, current_caller())

    def find(self, call: Call) -> Entry | None:
        """Return the recorded call that answers a request, and note that it is used."""
        caller = current_caller()
        with self._lock:
            content = self._content(call)
            same = self._by_content.get(content) or self._redacted_as(content)
            session_id = call.session_id
            own = [e for e in same if caller.name and self._owners.get(id(e)) == caller.name]
            free = [e for e in same if id(e) not in self._owners] or same
            here = [e for e in free if session_id in (e.call.session_id, e.session_id)]
            for entries in (own, here, free):
                unused = [e for e in entries if id(e) not in self._used]
                if not unused and not self._strict:
                    if entries is own:  # in this run, the cell has asked more often than before
                        unused = [e for e in own if self._used[id(e)] != caller.run]
                    else:
                        unused = entries
                        for entry in entries:
                            self._used.pop(id(entry), None)
                if unused:
                    self._use(unused[0], caller)
                    return unused[0]
            return None

    def next_unused(self, *methods: str) -> Entry | None:
        """Return the first unused call of these methods, or the first of all if all are used."""
        with self._lock:
            entries = [e for e in self._entries if e.call.method in methods]
            unused = (e for e in entries if id(e) not in self._used)
            return next(unused, entries[0] if entries else None)

    def explain(self, call: Call) -> str:
        """Return why a request has no answer, with a diff to the nearest recorded call."""
        with self._lock:
            if self._content(call) in self._by_content:
                return (
                    "Its recorded answers have been used, and a strict replay gives each only once."
                )
            nearest = self._nearest(call)
            if nearest is None:
                methods = {entry.call.method for entry in self._entries} - _LOOKUPS
                found = " and ".join(sorted(methods)) or "nothing else"
                return f"The recording has no call of {call.method}; it has {found}."
            lines = diff(_described(nearest.call), _described(self._redacted(call)))
            title = "The nearest recorded request differs (- recorded, + requested):"
            return "\n".join([title, *lines])

    def _use(self, entry: Entry, caller: Caller) -> None:
        self._used[id(entry)] = caller.run
        if caller.name:
            self._owners.setdefault(id(entry), caller.name)

    def _add(self, entry: Entry) -> None:
        if entry.caller:
            self._owners[id(entry)] = entry.caller
        self._entries.append(entry)
        self._by_content.setdefault(self._content(entry.call), []).append(entry)

    def _learn_names(self, entry: Entry) -> None:
        """Learn the names of apps, so that a request may use the id instead, or vice versa."""
        if entry.call.method not in _LOOKUPS:
            return
        answer = entry.fields().get("answer")
        for app in answer if isinstance(answer, list) else [answer]:
            if isinstance(app, dict):
                app = app["app"] if isinstance(app.get("app"), dict) else app
                if isinstance(app.get("id"), str) and isinstance(app.get("name"), str):
                    self._names[app["id"]] = app["name"]

    def _redacted_as(self, content: Content) -> list[Entry]:
        """Return the calls whose text becomes the requested one if secrets are filled in."""
        method, app, text, return_url = content
        for other, entries in self._by_content.items():
            same = (method, app, return_url) == (other[0], other[1], other[3])
            if same and PLACEHOLDER in other[2]:
                pattern = ".+".join(map(re.escape, other[2].split(PLACEHOLDER)))
                if re.fullmatch(pattern, text, re.DOTALL):
                    return entries
        return []

    def _content(self, call: Call) -> Content:
        app = self._names.get(call.app, call.app)
        text = without_payers(self._redactor.text(call.text))
        return call.method, app, text, self._redactor.text(call.return_url)

    def _redacted(self, call: Call) -> Call:
        return Call.from_fields(call.fields() | {"text": self._redactor.text(call.text)})

    def _nearest(self, call: Call) -> Entry | None:
        same = [e for e in self._entries if e.call.method == call.method]
        same = ([e for e in same if e.call.app == call.app] or same)[-_CANDIDATES:]
        texts = [e.call.text[:_COMPARED] for e in same]
        near = difflib.get_close_matches(call.text[:_COMPARED], texts, n=1, cutoff=0)
        return same[texts.index(near[0])] if near else next(iter(same), None)


def diff(old: str, new: str, most: int = _DIFF_LINES) -> list[str]:
    """Return the lines that differ, wrapped, at most *most* of them."""
    lines = list(difflib.unified_diff(_wrapped(old), _wrapped(new), lineterm="", n=0))[2:]
    lines = [line for line in lines if not line.startswith("@@")]
    more = [f"… and {len(lines) - most} more lines"] if len(lines) > most else []
    return [*lines[:most], *more]


def _wrapped(text: str) -> list[str]:
    lines = (textwrap.wrap(line, _WIDTH, drop_whitespace=False) for line in text.splitlines())
    return [piece for wrapped in lines for piece in wrapped or [""]]


def _described(call: Call) -> str:
    return "\n".join(f"{name}: {value}" for name, value in call.fields().items())
