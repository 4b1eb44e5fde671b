"""Turns support threads into the steps of a triage plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from cpsl_notebook.local.samples.phrases import (
    listed,
)
from cpsl_notebook.local.samples.threads import Thread, ago, by_risk, ids_of


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of step of a plan: which threads it takes, and how it reads.

    In *text*, ``{these}`` is such as "the 7 urgent threads", or "the remaining 5 urgent threads"
    where an earlier step took some, ``{first}`` the riskiest of them and ``{ids}`` a few ids.
    """

    takes: Callable[[Thread], bool]
    kind: str
    text: str


_STEPS = (
    Step(
        lambda row: row.priority == "urgent",
        "urgent thread",
        "answer {these} first, starting with {first}",
    ),
    Step(
        lambda row: row.days_open > 14,
        "thread",
        "clear {these} open for more than two weeks, starting with {first}",
    ),
    Step(
        lambda row: row.priority == "high",
        "high-priority thread",
        "take {these}: {ids}",
    ),
    Step(
        lambda row: row.status == "waiting for customer" and row.days_silent >= 4,
        "thread",
        "remind the customers of {these} without a reply for four days or more: {ids}",
    ),
    Step(
        lambda row: row.status == "in progress" and row.days_silent >= 2,
        "thread",
        "ask for news of {these} in progress without a reply for two days or more: {ids}",
    ),
    Step(
        lambda row: row.days_open < 2,
        "thread",
        "acknowledge {these} opened in the last two days: {ids}",
    ),
    Step(
        lambda row: row.priority == "normal",
        "normal-priority thread",
        "work through {these}: {ids}",
    ),
    Step(
        lambda row: row.priority == "low",
        "low-priority thread",
        "keep {these} for a quiet hour: {ids}",
    ),
)
MOST_STEPS = 8


def plan_steps(rows: Sequence[Thread], wanted: int) -> list[str]:
    """Write up to *wanted* steps over *rows*; no thread is in two of them.

    Each step takes its threads from what the earlier ones left, so the steps of a short plan are
    the weightiest, and the last step that can be written looks back at the whole.
    """
    if len(rows) <= MOST_STEPS:
        steps = _steps_by_thread(by_risk(rows), wanted)
    else:
        steps = _steps_by_kind(rows, wanted)
    if len(steps) < wanted:
        first = by_risk(rows)[0].id
        whole = {1: f"{first} has", 2: "both have"}.get(len(rows), f"all {len(rows):,} have")
        steps.append(f"check tomorrow that {whole} had a reply")
    return steps


def _steps_by_thread(ranked: Sequence[Thread], wanted: int) -> list[str]:
    """Share a few threads out over the steps, the riskiest first, and say what to do with each."""
    parts = min(wanted, len(ranked))
    cuts = [len(ranked) * part // parts for part in range(parts + 1)]
    return [_actions(ranked[start:end]) for start, end in pairwise(cuts)]


def _actions(rows: Sequence[Thread]) -> str:
    """Say what to do with each of a few threads: "review T-1 (…) and T-2 (…)"."""
    verbs = {"waiting for review": "review", "waiting for customer": "remind the customer of"}
    return ", and ".join(
        f"{verbs.get(status, 'ask for news of')} "
        + listed([f"{row.id} ({row.subject})" for row in same])
        for status, same in groupby(rows, key=lambda row: row.status)
    )


def _steps_by_kind(rows: Sequence[Thread], wanted: int) -> list[str]:
    """Take the threads kind by kind, as `_STEPS` orders them."""
    queue, held = Counter(row.queue for row in rows).most_common(1)[0]
    turn = f"turn to **{queue}** ({held:,} of the {len(rows):,} threads) and work through {{these}}"
    turn += " there, starting with {first}"
    crowd = Step(lambda row: row.queue == queue, "thread", turn)
    several_queues = len({row.queue for row in rows}) > 1
    left = by_risk(rows)
    steps: list[str] = []
    for step in (_STEPS[0], *([crowd] if several_queues else []), *_STEPS[1:]):
        taken = [row for row in left if step.takes(row)]
        if taken and len(steps) < wanted:
            left = [row for row in left if not step.takes(row)]
            some_gone = len(taken) < sum(map(step.takes, rows))
            steps.append(_worded(step, taken, "remaining " if some_gone else ""))
    return steps


def _worded(step: Step, taken: Sequence[Thread], remaining: str) -> str:
    """Fill in a step's text."""
    one = f"the {remaining or 'one '}{step.kind}"
    these = one if len(taken) == 1 else f"the {remaining}{len(taken):,} {step.kind}s"
    more = [f"{len(taken) - 3:,} more"] if len(taken) > 3 else []
    return step.text.format(
        these=these,
        first=f"{taken[0].id} ({taken[0].queue}, last reply {ago(taken[0].days_silent)})",
        ids=listed([*ids_of(taken[:3]), *more]),
    )
