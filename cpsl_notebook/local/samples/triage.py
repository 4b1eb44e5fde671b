"""Building a triage plan from support threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from cpsl_notebook.local.samples.scripting import listed
from cpsl_notebook.local.samples.threads import Thread, ago, by_risk

_Kind = tuple[Callable[[Thread], bool], str, str]

# Which threads a step selects, what it calls one of them, and what to do with them.
_URGENT: _Kind = (
    lambda row: row.priority == "urgent",
    "urgent thread",
    "answer {these} first, starting with {first}",
)
_KINDS: tuple[_Kind, ...] = (
    (
        lambda row: row.days_open > 14,
        "thread",
        "clear {these} open for more than two weeks, starting with {first}",
    ),
    (lambda row: row.priority == "high", "high-priority thread", "work through {these}: {ids}"),
    (
        lambda row: row.status == "waiting for customer" and row.days_silent >= 4,
        "thread",
        "send a reminder in {these} without a reply for four days or more: {ids}",
    ),
    (
        lambda row: row.days_open < 2,
        "thread",
        "acknowledge {these} opened in the last two days: {ids}",
    ),
    (lambda row: row.priority == "normal", "normal-priority thread", "handle {these}: {ids}"),
    (lambda row: row.priority == "low", "low-priority thread", "schedule {these}: {ids}"),
)
MOST_STEPS = len(_KINDS) + 3
"""One step for each kind, the urgent threads, the busiest queue, and a final check."""


def plan_steps(rows: Sequence[Thread], wanted: int) -> list[str]:
    """Write up to *wanted* steps, the most important first; each thread is in at most one."""
    queue, number = Counter(row.queue for row in rows).most_common(1)[0]
    busiest: _Kind = (
        lambda row: row.queue == queue,
        "thread",
        f"turn to **{queue}** ({number:,} of the {len(rows):,} threads) and work through {{these}} "
        "there, starting with {first}",
    )
    left, steps = by_risk(rows), list[str]()
    for takes, noun, text in (_URGENT, *([busiest] if number < len(rows) else []), *_KINDS):
        taken = [row for row in left if takes(row)]
        if taken and len(steps) < wanted:
            left = [row for row in left if not takes(row)]
            remaining = "remaining " if len(taken) < sum(map(takes, rows)) else ""
            steps.append(_step(text, f"{remaining}{noun}", taken))
    if len(steps) < wanted:
        whole = f"all {len(rows):,} threads have" if len(rows) > 1 else f"{rows[0].id} has"
        steps.append(f"check tomorrow that {whole} a new reply")
    return steps


def _step(text: str, noun: str, taken: Sequence[Thread]) -> str:
    more = [f"{len(taken) - 3:,} more"] if len(taken) > 3 else []
    return text.format(
        these=f"the {noun}" if len(taken) == 1 else f"the {len(taken):,} {noun}s",
        first=f"{taken[0].id} ({taken[0].queue}, last reply {ago(taken[0].days_silent)})",
        ids=listed([*(row.id for row in taken[:3]), *more]),
    )
