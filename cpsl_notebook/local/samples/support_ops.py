"""The sample app ``support-ops``: counts, ranks, finds and triages sample support threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from cpsl_notebook.local.samples import questions, scripting
from cpsl_notebook.local.samples.questions import Selection, name_counted, select
from cpsl_notebook.local.samples.scripting import Piece, listed, plain, spelled
from cpsl_notebook.local.samples.threads import (
    FIELDS,
    OPEN,
    RISK_RULE,
    Thread,
    ago,
    by_risk,
    sample_threads,
)
from cpsl_notebook.local.samples.triage import MOST_STEPS, plan_steps
from cpsl_notebook.local.session import Session

EXAMPLES = (
    "How many threads are waiting for review, and which queue looks busiest?",
    "Summarize the riskiest support threads.",
    "Find threads about refunds.",
    "How many open threads are there by queue and priority?",
    "Give me a one-sentence triage plan for the current support queue.",
)


def answer(session: Session, text: str) -> Iterator[Piece]:
    """Answer a question; store the threads that it selected in ``session.data["selection"]``."""
    threads = sample_threads()
    pieces = list(_pieces(session, plain(text), threads))
    if not pieces:
        pieces = [
            "I can **count** support threads by queue, status and priority, list the **riskiest** "
            "threads, **find** threads by their subject, and write a **triage plan**.",
            scripting.suggestions(*EXAMPLES),
        ]
    yield from scripting.reply(session, pieces, f"{len(threads)} sample threads")


def _pieces(session: Session, words: str, threads: Sequence[Thread]) -> Iterator[Piece]:
    earlier: Selection = session.data.get("selection", {})
    selection = questions.read_selection(words, earlier)
    writers = [write for pattern, write in _WRITERS if pattern.search(words)]
    if not writers and (selection or questions.ASKS_LIST.search(words)):
        writers = [_list]
    if writers and questions.CANNOT_FILTER.search(words):
        yield (
            "I cannot filter by date or exclude values, as in “not billing”. Say what to include "
            "instead."
        )
    elif writers:
        yield scripting.block("notification", {"text": f"Reading {len(threads)} threads…"})
        for write in writers:
            # The next part of the message is about the listed threads: "… and make a plan".
            pieces, selection = write(words, selection, threads)
            yield from pieces
        session.data["selection"] = selection


_Answer = tuple[list[Piece], Selection]


def _count(words: str, selection: Selection, threads: Sequence[Thread]) -> _Answer:
    rows = select(selection, threads)
    pieces: list[Piece] = [_count_sentence(selection, rows, len(threads))]
    groups = questions.read_groups(words)
    if rows and "busiest" in words:
        pieces.append(_busiest_sentence(rows))
        groups = groups or ["queue"]
    if rows and groups:
        pieces.append(_count_table(rows, groups))
    return pieces, selection


def _count_sentence(selection: Selection, rows: Sequence[Thread], total: int) -> str:
    if not rows:
        return f"There are {name_counted(selection, 0)}."
    number, is_or_are = len(rows), "is" if len(rows) == 1 else "are"
    named = f"**{number:,} {questions.name_threads(selection, number)}**"
    if status := questions.name_status(selection):
        count = f"{named} {is_or_are} {status}, out of {total:,}."
    else:
        open_rows = sum(row.status in OPEN for row in rows)
        count = f"There {is_or_are} {named}, {open_rows:,} of them open."
    oldest = min(rows, key=lambda row: row.opened)
    return f"{count} The oldest is {oldest.id}, “{oldest.subject}”, opened {ago(oldest.days_open)}."


def _busiest_sentence(rows: Sequence[Thread]) -> str:
    counts = _counts(rows, "queue")
    most = max(counts.values())
    queues = listed([f"**{queue}**" for queue, number in counts.items() if number == most])
    return f"The busiest queue is {queues}, with {most:,} of the {len(rows):,} threads."


def _counts(rows: Sequence[Thread], field: str) -> dict[str, int]:
    """Count rows by a field: queues from the largest to the smallest, others in their own order."""
    numbers = Counter(getattr(row, field) for row in rows)
    values = [value for value in FIELDS[field] if numbers[value]]
    if field == "queue":
        values.sort(key=lambda value: -numbers[value])
    return {value: numbers[value] for value in values}


def _count_table(rows: Sequence[Thread], groups: list[str]) -> dict[str, Any]:
    """Tabulate counts by one field, or by one field and another."""
    first, *second = groups
    across = [(field, value) for field in second for value in _counts(rows, field)]
    lines = []
    for value, number in _counts(rows, first).items():
        held = [row for row in rows if getattr(row, first) == value]
        cells = [sum(getattr(row, field) == other for row in held) for field, other in across]
        lines.append([value, *cells, number])
    columns = [first.capitalize(), *(value for _, value in across), "Threads"]
    return scripting.table(f"Threads by {' and '.join(groups)}", columns, lines)


def _list(words: str, selection: Selection, threads: Sequence[Thread]) -> _Answer:
    rows = sorted(select(selection, threads), key=lambda row: row.opened)
    pieces: list[Piece] = [_count_sentence(selection, rows, len(threads))]
    if shown := rows[:10]:
        head = ["The ten oldest:", ""] if len(shown) < len(rows) else []
        pieces.append("\n".join([*head, *(f"- **{row.id}** {row.subject}" for row in shown)]))
        pieces.append(_thread_table("Threads found", shown))
    return pieces, selection


def _rank(words: str, selection: Selection, threads: Sequence[Thread]) -> _Answer:
    selection, rows = _select_open(selection, threads)
    if not rows:
        return ["None of these threads are open, so none are at risk."], selection
    shown = by_risk(rows)[: min(questions.read_number(questions.LENGTH, words, 5), 20)]
    which = "riskiest" if len(shown) == 1 else f"{spelled(len(shown))} riskiest"
    lines = [
        f"{place}. **{row.id}** {row.subject} ({row.queue}, {row.risk} points): {row.priority}, "
        f"{row.status}, opened {ago(row.days_open)}, last reply {ago(row.days_silent)}."
        for place, row in enumerate(shown, 1)
    ]
    head = f"The **{which}** of {name_counted(selection, len(rows))}:"
    table = _thread_table("Riskiest threads", shown)
    return ["\n".join([head, "", *lines]), table, RISK_RULE], {"id": [row.id for row in shown]}


def _thread_table(title: str, rows: Sequence[Thread]) -> dict[str, Any]:
    columns = ("Thread", "Subject", "Queue", "Priority", "Status", "Days open", "Days silent")
    values = (
        (r.id, r.subject, r.queue, r.priority, r.status, r.days_open, r.days_silent, r.risk)
        for r in rows
    )
    return scripting.table(title, [*columns, "Risk"], values)


def _select_open(selection: Selection, threads: Sequence[Thread]) -> tuple[Selection, list[Thread]]:
    """Exclude resolved threads; return the selection and its threads."""
    status = [status for status in selection.get("status", OPEN) if status in OPEN]
    selection = selection | {"status": status}
    return selection, select(selection, threads)


def _plan(words: str, selection: Selection, threads: Sequence[Thread]) -> _Answer:
    selection, rows = _select_open(selection, threads)
    if not rows:
        return ["None of these threads are open, so there is nothing to triage."], selection
    label = name_counted(selection, len(rows))
    if "sentence" in words:
        return [f"For the {label}, {', then '.join(plan_steps(rows, 2))}."], selection
    wanted = questions.read_number(questions.STEPS, words, 3)
    steps = plan_steps(rows, min(wanted, MOST_STEPS))
    lines = [f"{place}. {step[0].upper()}{step[1:]}." for place, step in enumerate(steps, 1)]
    number = spelled(len(steps))
    head = f"**{number.capitalize()}-step triage plan** for the {label}:"
    pieces: list[Piece] = ["\n".join([head, "", *lines])]
    if wanted > len(steps):
        pieces.append(f"You asked for {wanted:,} steps, but these threads need only {number}.")
    return pieces, selection


_WRITERS = (
    (questions.ASKS_COUNT, _count),
    (questions.ASKS_RISK, _rank),
    (questions.ASKS_PLAN, _plan),
)
