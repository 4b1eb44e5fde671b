"""The app ``support-ops``: a scripted program that answers questions over sample threads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from cpsl_notebook.local.samples.phrases import (
    NUMBER,
    Piece,
    Session,
    counted,
    disclaimer,
    listed,
    notification,
    number_in,
    plain,
    spelled,
    suggestions,
    table_preview,
    tell,
)
from cpsl_notebook.local.samples.questions import (
    ASKS_BUSIEST,
    ASKS_COUNT,
    ASKS_GROUP,
    ASKS_LIST,
    ASKS_PLAN,
    ASKS_RISK,
    CONTINUES,
    DATES,
    PLAN_SIZE,
    SENTENCES,
    WHOLE_QUEUE,
    Question,
    Selection,
    read_question,
)
from cpsl_notebook.local.samples.threads import (
    FIELDS,
    NOW,
    OPEN,
    PRIORITIES,
    QUEUES,
    RISK_RULE,
    STATUSES,
    Thread,
    ago,
    by_risk,
    ids_of,
    sample_threads,
)
from cpsl_notebook.local.samples.triage import MOST_STEPS, plan_steps

__all__ = [
    "NOW",
    "OPEN",
    "PRIORITIES",
    "QUEUES",
    "RISK_RULE",
    "STATUSES",
    "Thread",
    "answer",
    "plan_steps",
    "sample_threads",
]

EXAMPLES = (
    "How many threads are waiting for review, and which queue looks busiest?",
    "Summarize the riskiest support threads.",
    "Find threads about refunds.",
    "How many open threads are there by queue and priority?",
    "Give me a one-sentence triage plan for the current support queue.",
)


def answer(session: Session, text: str, threads: Sequence[Thread]) -> Iterator[Piece]:
    """Answer one message over *threads*.

    Parameters
    ----------
    session : Session
        ``state["focus"]`` remembers which threads the last answer was about.
    text : str
        The message, of any length and in any language.
    threads : sequence of Thread
        The rows that are counted, ranked and searched.

    Yields
    ------
    str or dict
        Paragraphs of Markdown, and blocks (`talk.block`).
    """
    closing = disclaimer(f"{len(threads)} sample threads")
    yield from tell(session, _pieces(session, plain(text), threads, closing), closing)


def _pieces(
    session: Session, words: str, threads: Sequence[Thread], closing: str
) -> Iterator[Piece]:
    """Answer each "how many" of the message by itself, then what else it asks for."""
    told: list[Piece] = []
    clauses = re.split(r"\b(?=how many\b)", words)
    for clause in ["".join(clauses[:2]), *clauses[2:5]]:
        question = _in_context(session, read_question(clause, threads))
        for pattern, teller in _TELLERS:
            if pattern.search(clause):
                told += teller(session, question, threads)
    if not told:
        question = _in_context(session, read_question(words, threads))
        if ASKS_LIST.search(words) or question.selection != Selection():
            told += _tell_list(session, question, threads)
    if not told:
        yield from _tell_abilities(closing)
        return
    yield notification(f"Reading {counted(len(threads), 'thread')}…")
    yield from told
    if DATES.search(words):
        yield "I do not filter by date, so these answers cover threads of every age."


def _earlier(session: Session) -> Selection | None:
    """Recall which threads the last answer was about."""
    focus = session.state.get("focus")
    return Selection(**{field: tuple(values) for field, values in focus.items()}) if focus else None


def _remember(session: Session, selection: Selection) -> None:
    session.state["focus"] = {field: list(values) for field, values in asdict(selection).items()}


def _in_context(session: Session, question: Question) -> Question:
    """Read "how many of those" and "what about billing" against the last answer."""
    earlier = _earlier(session)
    if earlier is None or not CONTINUES.search(question.words):
        return question
    return replace(question, selection=question.selection.over(earlier))


def _tell_abilities(closing: str) -> Iterator[Piece]:
    """Say what can be asked."""
    yield (
        "I can **count** support threads by queue, status and priority, name the **busiest** "
        "queue, list the **riskiest** threads, **find** threads by their words, and turn an answer "
        "into a **triage plan** with as many steps as you like."
    )
    yield suggestions(EXAMPLES, "Try one of these")
    yield closing


def _tell_counts(
    session: Session, question: Question, threads: Sequence[Thread]
) -> Iterator[Piece]:
    """Count the selected threads, and break them down where the question asks for it."""
    selection = question.selection
    if selection == Selection() and not (ASKS_COUNT.search(question.words) or question.groups):
        earlier = _earlier(session)
        kept = earlier if earlier and not earlier.ids else Selection(status=OPEN)
        selection = replace(kept, queue=())
    rows = selection.of(threads)
    _remember(session, selection)
    yield _count_sentence(selection, rows, len(threads))
    if rows and question.groups:
        yield from _tell_groups(rows, question.groups)
    if rows and ASKS_BUSIEST.search(question.words):
        yield from _tell_busiest(rows)
        if "queue" not in question.groups:
            yield _group_table(rows, ("queue",))


def _count_sentence(selection: Selection, rows: Sequence[Thread], total: int) -> str:
    """Say how many threads were selected, and which one is the oldest."""
    number, noun, state = len(rows), selection.noun(len(rows)), selection.state()
    is_or_are = "is" if number == 1 else "are"
    if not rows:
        return f"No {selection.noun(2)} {f'are {state}' if state else 'are in the sample'}."
    if state:
        said = f"**{number:,} {noun}** {is_or_are} {state}, out of {total:,}."
    else:
        said = f"There {is_or_are} **{number:,} {noun}**{_open_share(rows)}."
    oldest = min(rows, key=lambda row: (row.opened, row.id))
    which = "It is" if number == 1 else "The oldest is"
    return f"{said} {which} {oldest.id}, “{oldest.subject}”, opened {ago(oldest.days_open)}."


def _open_share(rows: Sequence[Thread]) -> str:
    """Say how many of *rows* are open, as the end of a sentence about their number."""
    resolved = sum(row.status == "resolved" for row in rows)
    if len(rows) == 1:
        return f", {rows[0].status}"
    if resolved in (0, len(rows)):
        return f", all of them {'resolved' if resolved else 'open'}"
    return f": {len(rows) - resolved:,} open and {resolved:,} resolved"


def _tell_busiest(rows: Sequence[Thread]) -> Iterator[Piece]:
    """Name the queue that holds most of *rows*, or the queues that tie for it."""
    ranked = Counter(row.queue for row in rows).most_common()
    most = ranked[0][1]
    first = [f"**{queue}**" for queue, number in ranked if number == most]
    share = f"{most:,} of the {len(rows):,} ({most / len(rows):.0%})"
    if len(ranked) == 1:
        yield f"All of them are in the {first[0]} queue."
    elif len(first) > 1:
        yield f"The busiest queues are {listed(first)}, with {share} each."
    else:
        queue, number = ranked[1]
        yield f"The busiest queue is {first[0]}, with {share}; {queue} comes next with {number:,}."


def _tell_groups(rows: Sequence[Thread], groups: tuple[str, ...]) -> Iterator[Piece]:
    """Break *rows* down by one field in a sentence and a table, or by two in a table."""
    counts = _counts(rows, groups[0])
    parts = [f"{value} {number:,}" for value, number in counts.items()]
    yield f"By {groups[0]}: {', '.join(parts)}."
    yield _group_table(rows, groups)


def _counts(rows: Sequence[Thread], field: str) -> dict[str, int]:
    """Count *rows* by a field: queues from the fullest down, other values in their own order."""
    numbers = Counter(getattr(row, field) for row in rows)
    counts = {value: numbers[value] for value in FIELDS[field] if numbers[value]}
    if field == "queue":
        return dict(sorted(counts.items(), key=lambda item: -item[1]))
    return counts


def _group_table(rows: Sequence[Thread], groups: tuple[str, ...]) -> dict[str, Any]:
    """Tabulate counts by one field, or one field against another."""
    first, *others = groups
    across = [(other, value) for other in others for value in _counts(rows, other)]
    lines = []
    for value, number in _counts(rows, first).items():
        held = [row for row in rows if getattr(row, first) == value]
        cells = [sum(getattr(row, other) == v for row in held) for other, v in across]
        lines.append([value, *cells, number])
    title = f"Threads by {' and '.join(groups)}"
    return table_preview(
        title, [first.capitalize(), *(value for _, value in across), "Threads"], lines
    )


def _tell_list(session: Session, question: Question, threads: Sequence[Thread]) -> Iterator[Piece]:
    """List the selected threads, the oldest first unless the newest are asked for."""
    rows = sorted(question.selection.of(threads), key=lambda row: (row.opened, row.id))
    yield _count_sentence(question.selection, rows, len(threads))
    newest = "newest" in question.words
    asked = _how_many(question.words)
    shown = (rows[::-1] if newest else rows)[: asked or 10]
    _remember(session, Selection(ids=ids_of(shown)) if asked and shown else question.selection)
    if len(shown) > 1:
        lines = [
            f"- **{row.id}** {row.subject} ({row.queue}, {row.priority}, {row.status})"
            for row in shown
        ]
        order = "newest" if newest else "oldest"
        head = [f"The {spelled(len(shown))} {order}:", ""] if len(shown) < len(rows) else []
        yield "\n".join([*head, *lines])
    if rows:
        yield _thread_table("Threads found", shown)


def _how_many(words: str) -> int | None:
    """Read how long a list should be: "top 3", "the riskiest thread"; None leaves it open."""
    asked = number_in(rf"\b({NUMBER})\b", re.sub(PLAN_SIZE, "", words))
    superlative = re.search(r"\b(?:riskiest|most urgent|oldest|newest)\b", words)
    if asked is None and superlative and re.search(r"\bthread\b", words):
        return 1
    return None if asked is None else min(max(asked, 1), 20)


def _thread_table(title: str, rows: Sequence[Thread]) -> dict[str, Any]:
    """Tabulate threads, one a row."""
    columns = ("Thread", "Subject", "Queue", "Priority", "Status", "Days open", "Days silent")
    return table_preview(
        title,
        [*columns, "Risk"],
        [
            (r.id, r.subject, r.queue, r.priority, r.status, r.days_open, r.days_silent, r.risk)
            for r in rows
        ],
    )


def _tell_risk(session: Session, question: Question, threads: Sequence[Thread]) -> Iterator[Piece]:
    """Rank the open threads of the selection, and say why each of the first is risky."""
    selection = question.selection.still_open()
    rows = [row for row in selection.of(threads) if row.status != "resolved"]
    if not rows:
        yield f"None of the {question.selection.noun(2)} selected are open, so none are at risk."
        return
    shown = by_risk(rows)[: _how_many(question.words) or 5]
    _remember(session, Selection(ids=ids_of(shown)))
    urgent = sum(row.priority == "urgent" for row in shown)
    share = {0: "none of them is", len(shown): "all of them are", 1: "one of them is"}
    quiet = max(shown, key=lambda row: row.days_silent)
    which = "riskiest" if len(shown) == 1 else f"{spelled(len(shown))} riskiest"
    head = f"The **{which}** of {selection.label(len(rows))}"
    if len(shown) > 1:
        head += (
            f": {share.get(urgent, f'{spelled(urgent)} of them are')} urgent, and {quiet.id} "
            f"has gone longest without a reply ({counted(quiet.days_silent, 'day')})"
        )
    lines = [f"{place}. {_why(row)}" for place, row in enumerate(shown, 1)]
    yield "\n".join([f"{head}.", "", *lines])
    yield _thread_table("Riskiest threads", shown)
    yield RISK_RULE


def _why(row: Thread) -> str:
    """Name a thread and what makes it risky."""
    reasons = [row.priority if row.priority == "urgent" else f"{row.priority} priority", row.status]
    reasons.append(f"opened {ago(row.days_open)}")
    reasons.append(f"last reply {ago(row.days_silent)}")
    return f"**{row.id}** {row.subject} ({row.queue}, {row.risk} points): {', '.join(reasons)}."


def _tell_plan(session: Session, question: Question, threads: Sequence[Thread]) -> Iterator[Piece]:
    """Turn the threads of the question, of the last answer, or the whole queue into a plan."""
    earlier = None if WHOLE_QUEUE.search(question.words) else _earlier(session)
    named = question.selection != Selection() and not ASKS_RISK.search(question.words)
    selection = (question.selection if named else earlier or Selection()).still_open()
    rows = [row for row in selection.of(threads) if row.status != "resolved"]
    if not rows:
        yield "None of those threads are open, so there is nothing left to triage."
        return
    _remember(session, selection)
    whom = selection.label(len(rows))
    guessed = not named and earlier is None and not WHOLE_QUEUE.search(question.words)
    sentences = number_in(SENTENCES, question.words)
    if sentences is not None:
        yield _plan_in_sentences(rows, whom, sentences, guessed)
        return
    wanted = number_in(PLAN_SIZE, question.words)
    yield from _plan_in_steps(rows, whom, 3 if wanted is None else wanted, guessed)


def _plan_in_sentences(rows: Sequence[Thread], whom: str, sentences: int, guessed: bool) -> str:
    """Write a plan without a list: one sentence for all of it, or one for each step."""
    start = f"For the current queue of {whom}" if guessed else f"For the {whom}"
    if sentences > 1:
        first, *rest = plan_steps(rows, min(sentences, MOST_STEPS))
        return " ".join([f"{start}, {first}.", *(f"{s[0].upper()}{s[1:]}." for s in rest)])
    steps = [step.replace(": ", ", such as ") for step in plan_steps(rows, 2)]
    return f"{start}, {', then '.join(steps)}."


def _plan_in_steps(
    rows: Sequence[Thread], whom: str, wanted: int, guessed: bool
) -> Iterator[Piece]:
    """Write a plan as a numbered list, and say where it differs from what was asked."""
    if guessed:
        yield "Nothing was asked about before, so this plan is for the current queue."
    steps = plan_steps(rows, min(max(wanted, 1), MOST_STEPS))
    lines = [f"{place}. {step[0].upper()}{step[1:]}." for place, step in enumerate(steps, 1)]
    number = spelled(len(steps))
    head = f"**{number.capitalize()}-step triage plan** for the {whom}"
    yield "\n".join([f"{head}:", "", *lines])
    if wanted > len(steps):
        yield f"You asked for {wanted:,} steps, but there is only enough here for {number}."
    elif wanted < 1:
        yield "A plan needs at least one step, so here is one."


_COUNTING = re.compile(f"{ASKS_COUNT.pattern}|{ASKS_BUSIEST.pattern}|{ASKS_GROUP.pattern}")
_TELLERS = ((_COUNTING, _tell_counts), (ASKS_RISK, _tell_risk), (ASKS_PLAN, _tell_plan))
