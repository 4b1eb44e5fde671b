"""Reads questions about support threads: which threads, by which fields, which words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from cpsl_notebook.local.samples.phrases import (
    NUMBER,
    NUMBER_WORDS,
    listed,
    plain,
    stem,
)
from cpsl_notebook.local.samples.threads import FIELDS, OPEN, PRIORITIES, QUEUES, STATUSES, Thread


@dataclass(frozen=True, slots=True)
class Selection:
    """Which threads a question is about; an empty field lets every value through.

    Attributes
    ----------
    status, queue, priority : tuple of str
        The values that are let through.
    terms : tuple of str
        Alternatives to search for; all words of one of them must be in the thread.
    ids : tuple of str
        The threads listed by an earlier answer.
    """

    status: tuple[str, ...] = ()
    queue: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def of(self, threads: Sequence[Thread]) -> list[Thread]:
        """Pick the selected threads, in their order."""
        return [thread for thread in threads if self._lets_through(thread)]

    def _lets_through(self, thread: Thread) -> bool:
        return (
            (not self.status or thread.status in self.status)
            and (not self.queue or thread.queue in self.queue)
            and (not self.priority or thread.priority in self.priority)
            and (not self.ids or thread.id in self.ids)
            and (not self.terms or self._mentioned_in(words_of(thread)))
        )

    def _mentioned_in(self, stems: set[str]) -> bool:
        return any(stems.issuperset(map(stem, term.split())) for term in self.terms)

    def over(self, earlier: Selection) -> Selection:
        """Narrow or change an *earlier* selection: what is named here wins, the rest stays."""
        named = {field: values for field, values in asdict(self).items() if values}
        return replace(earlier, **named)

    def still_open(self) -> Selection:
        """Leave out resolved threads."""
        status = tuple(status for status in self.status or OPEN if status in OPEN)
        return replace(self, status=status or self.status)

    def noun(self, number: int) -> str:
        """Name the selected threads without their status: ``"urgent billing threads"``."""
        levels = [level if level == "urgent" else f"{level}-priority" for level in self.priority]
        words = [listed(levels, "or"), listed(self.queue, "or")]
        words.append("thread" if number == 1 else "threads")
        words.append(f"matching “{' or '.join(self.terms)}”" if self.terms else "")
        words.append("listed above" if self.ids else "")
        return " ".join(filter(None, words))

    def state(self) -> str:
        """Name the selected statuses as a sentence's predicate, or nothing if all are selected."""
        if self.status == OPEN:
            return "open"
        named = [status.replace("for customer", "for the customer") for status in self.status]
        return listed(named, "or")

    def label(self, number: int) -> str:
        """Name the selected threads with their number: ``"29 threads waiting for review"``."""
        state, noun = self.state(), self.noun(number)
        words = (state, noun) if state in ("open", "resolved") else (noun, state)
        return f"{number:,} {' '.join(filter(None, words))}"


def words_of(thread: Thread) -> set[str]:
    """Give the stems of the words by which a thread can be found."""
    name = thread.sender.partition("@")[0]
    return {stem(word) for word in plain(f"{thread.id} {thread.subject} {name}").split()}


_FOR_REVIEW = (
    "awaiting review|waiting for a review|waiting on review|pending review|in review|needs review|"
    "need review|to be reviewed|to review|unreviewed"
)
_FOR_CUSTOMER = (
    "waiting for the customer|waiting for customers|waiting on customer|waiting on customers|"
    "waiting on the customer|awaiting customer|awaiting the customer"
)
_PHRASES = {
    **{queue: ("queue", (queue,)) for queue in QUEUES},
    **{level: ("priority", (level,)) for level in PRIORITIES},
    **{status: ("status", (status,)) for status in STATUSES},
    **dict.fromkeys(_FOR_REVIEW.split("|"), ("status", STATUSES[:1])),
    **dict.fromkeys(_FOR_CUSTOMER.split("|"), ("status", STATUSES[1:2])),
    **dict.fromkeys(("waiting", "pending"), ("status", STATUSES[:2])),
    **dict.fromkeys(("closed", "solved"), ("status", STATUSES[3:])),
    **dict.fromkeys(("open", "unresolved", "outstanding"), ("status", OPEN)),
    "integration": ("queue", ("integrations",)),
}
_PHRASE = re.compile(
    r"\b(not |non |except |excluding |other than )?(?:yet )?"
    rf"({'|'.join(sorted(_PHRASES, key=len, reverse=True))})\b(?: priority)?"
)
ASKS_GROUP = re.compile(
    r"\b(?:by|per|each|every|across(?: all)?(?: the)?) (queue|status|priorit)\w*"
    r"(?: and (?:by |per )?(queue|status|priorit)\w*)?"
)
ASKS_COUNT = re.compile(r"\b(?:how many|number of|count|total)\b")
ASKS_BUSIEST = re.compile(
    r"\b(?:busiest|most (?:open |waiting )?threads|most busy|most work|"
    r"(?:largest|biggest|longest|fullest) queue)\b"
)
ASKS_RISK = re.compile(
    r"\b(?:most (?:urgent|critical|pressing)|risk\w{0,8}|(?:do|answer|handle|tackle) first)\b"
)
ASKS_LIST = re.compile(r"\b(?:find|search|list|show|oldest|newest|mention\w{0,3})\b")
ASKS_PLAN = re.compile(
    r"\b(?:plan|plans|triage|steps?)\b"
    r"|^(?:make (?:it|that) )?(?:in )?(?:one|a(?: single)?) sentence\b"
)
PLAN_SIZE = rf"\b({NUMBER}) (?:\w+ )?(?:steps?|points?|stages?)\b"
SENTENCES = rf"\b({NUMBER}) sentences?\b"
WHOLE_QUEUE = re.compile(r"\b(?:current|whole|entire) (?:support )?queue\b")
CONTINUES = re.compile(r"^(?:and|only|just|what about|how about)\b|\b(?:those|these|them)\b")
_MARKER = re.compile(r"\b(?:about|mention\w{0,3}|contain\w{0,3}|regarding|find|search|from)\b")
DATES = re.compile(
    r"\b(?:yesterday|older|newer|since|monday|tuesday|wednesday|thursday|friday|saturday|sunday|"
    r"(?:last|this|past) (?:\w+ )?(?:hours?|days?|weeks?|months?|years?))\b"
)
_LITTLE_WORDS = (
    "a all also an and any are as ask at be been by can could customer customers did do does for "
    "from get give had has have her his how i if in into is it its list mail many me my now of on "
    "our please queue queues right show so some support than that the their them there these "
    "they this those thread threads ticket tickets to today triage us was we were what where "
    "which who will with word words would you your"
)
_COMMON_WORDS = (
    "about access account after against admin answers before code data day drop early every "
    "everything first getting goes good guide have hello help know last late least less lists "
    "live make more most move nobody next new not number offline old one once order oldest "
    "people plan points priorities question rename request setting session start status step "
    "still stored summarize team time times tomorrow total up upload wait want week where work "
    "yesterday"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What a message, or one "how many" of it, asks for: which threads, and by which fields."""

    words: str
    selection: Selection
    groups: tuple[str, ...]


def read_question(words: str, threads: Sequence[Thread]) -> Question:
    """Find the filters, groupings and search words in *words* (see `talk.plain`)."""
    groups = [group for pair in ASKS_GROUP.findall(words) for group in pair if group]
    rest = words
    for pattern in (ASKS_GROUP, ASKS_RISK, DATES, CONTINUES):
        rest = pattern.sub(" ", rest)
    named: dict[str, set[str]] = {field: set() for field in FIELDS}
    barred: dict[str, set[str]] = {field: set() for field in FIELDS}
    negated, end = False, 0
    for found in _PHRASE.finditer(rest):
        goes_on = negated and rest[end : found.start()].strip() in ("or", "nor")
        negated, end = bool(found[1]) or goes_on, found.end()
        field, values = _PHRASES[found[2]]
        (barred if negated else named)[field].update(values)
    chosen = {
        field: tuple(v for v in values if v in (named[field] or values) and v not in barred[field])
        for field, values in FIELDS.items()
        if named[field] or barred[field]
    }
    groups += [f for f, values in chosen.items() if len(values) > 1 and values != OPEN]
    fields = ["priority" if group == "priorit" else group for group in groups]
    terms = _search_terms(_PHRASE.sub(" ", rest), threads)
    return Question(words, Selection(**chosen, terms=terms), tuple(dict.fromkeys(fields))[:2])


def _search_terms(words: str, threads: Sequence[Thread]) -> tuple[str, ...]:
    """Give what to search for: the words after "about", and before it those that subjects use."""
    before, _, after = _MARKER.sub("\n", words, count=1).partition("\n")
    known = set[str]().union(*map(words_of, threads))
    little = {*_LITTLE_WORDS.split(), *NUMBER_WORDS}
    common = {*_COMMON_WORDS.split(), *little}
    kept = [w for w in before.split() if len(w) > 2 and stem(w) in known and w not in common]
    kept += [w for w in _MARKER.sub(" ", after).split() if len(w) > 1 and w not in little]
    kept = [word[:30] for word in kept if not (word.isdigit() and len(word) < 3)][:12]
    alternatives = f" {' '.join(kept)} ".split(" or ")
    return tuple(dict.fromkeys(filter(None, (term.strip() for term in alternatives))))
