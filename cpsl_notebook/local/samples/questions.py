"""Parsing questions about support threads: what they ask for, and which threads they select."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cpsl_notebook.local.samples.scripting import NUMBER, listed, plain, to_number
from cpsl_notebook.local.samples.threads import FIELDS, OPEN, STATUSES, Thread

Selection = dict[str, list[str]]
"""The selected values by field of `Thread`; ``terms`` are words of the subject."""

ASKS_COUNT = re.compile(
    r"\b(?:how many|number of|count|busiest|(?:by|per) (?:queue|status|priority))"
)
ASKS_RISK = re.compile(r"\b(?:risk\w*|most (?:urgent|critical))\b")
ASKS_PLAN = re.compile(r"\b(?:plan|triage|steps?)\b")
ASKS_LIST = re.compile(r"\b(?:find|search|list|show|threads)\b")
CANNOT_FILTER = re.compile(r"\b(?:not|except|excluding|since|yesterday|last (?:week|month))\b")
LENGTH = re.compile(rf"\b({NUMBER}) (?:risk|most|oldest)")
STEPS = re.compile(rf"\b({NUMBER}) (?:\w+ )?steps?\b")
_ALL_OPEN = re.compile(r"\b(?:current|whole|entire) (?:support )?queue\b")
_CONTINUES = re.compile(
    r"\b(?:those|these(?! queue)|them|turn that|make it)\b|^(?:and|what about)\b"
)
_GROUPS = re.compile(
    r"\b(?:by|per) (queue|status|priority)(?: and (?:by )?(queue|status|priority))?"
)
_SEARCH = re.compile(r"\b(?:about|mention\w*|regarding|containing|search for) (.+)")
_IGNORED = set("a an and are for from in is of on or support that the thread threads to".split())
_VALUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "open": ("status", OPEN),
    "waiting": ("status", STATUSES[:2]),
    "awaiting review": ("status", STATUSES[:1]),
    "need review": ("status", STATUSES[:1]),
    **{value: (field, (value,)) for field, values in FIELDS.items() for value in values},
}
_VALUE = re.compile(rf"\b(?:{'|'.join(sorted(_VALUES, key=len, reverse=True))})\b(?: priority)?")


def read_selection(words: str, earlier: Selection) -> Selection:
    """Parse which threads a message is about; "how many of those" narrows *earlier*."""
    rest = _CONTINUES.sub(" ", ASKS_RISK.sub(" ", words))
    selection: Selection = {}
    for phrase in _VALUE.findall(rest):
        field, values = _VALUES[phrase.removesuffix(" priority")]
        chosen = {*selection.get(field, []), *values}
        selection[field] = [value for value in FIELDS[field] if value in chosen]
    if (found := _SEARCH.search(rest)) and (terms := _terms(found[1])):
        selection["terms"] = terms
    continues = _CONTINUES.search(words) or (not selection and ASKS_PLAN.search(words))
    return earlier | selection if continues and not _ALL_OPEN.search(words) else selection


def _terms(words: str) -> list[str]:
    terms = (word[:30] for word in _VALUE.sub(" ", words).split() if word not in _IGNORED)
    return list(dict.fromkeys(terms))[:8]


def read_groups(words: str) -> list[str]:
    """Parse up to two fields to count by."""
    found = _GROUPS.search(words)
    return list(dict.fromkeys(filter(None, found.groups()))) if found else []


def read_number(pattern: re.Pattern[str], words: str, default: int) -> int:
    """Parse a positive number, or return *default*."""
    found = pattern.search(words)
    return max(to_number(found[1]), 1) if found else default


def select(selection: Selection, threads: Sequence[Thread]) -> list[Thread]:
    """Return the selected threads, in their order."""
    return [t for t in threads if all(_matches(t, *item) for item in selection.items())]


def _matches(thread: Thread, field: str, values: list[str]) -> bool:
    if field == "terms":
        return _singular(plain(thread.subject)) >= _singular(" ".join(values))
    return getattr(thread, field) in values


def _singular(words: str) -> set[str]:
    return {word.removesuffix("s") if len(word) > 3 else word for word in words.split()}


def name_threads(selection: Selection, number: int) -> str:
    """Describe the threads without their status: ``"urgent billing threads"``."""
    priority = [p if p == "urgent" else f"{p}-priority" for p in selection.get("priority", [])]
    words = [listed(priority, "or"), listed(selection.get("queue", []), "or")]
    words.append("thread" if number == 1 else "threads")
    words.append(f"matching “{' '.join(selection['terms'])}”" if "terms" in selection else "")
    words.append("listed above" if "id" in selection else "")
    return " ".join(filter(None, words))


def name_status(selection: Selection) -> str:
    """Describe the selected statuses; return an empty text if all are selected."""
    status = selection.get("status", [])
    return "open" if status == list(OPEN) else listed(status, "or")


def name_counted(selection: Selection, number: int) -> str:
    """Describe the threads with their number: ``"29 threads waiting for review"``."""
    words = [name_threads(selection, number), name_status(selection)]
    if words[1] in ("open", "resolved"):
        words.reverse()
    return " ".join(filter(None, (f"{number:,}" if number else "no", *words)))
