"""The scripted programs and the sample payments, checked against counts made another way."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpsl_notebook.local.samples import (
    deal_desk,
    diet_coach,
    ledger,
    phrases,
    support,
    threads,
    triage,
)

THREADS = threads.sample_threads()
OPEN = [thread for thread in THREADS if thread.status != "resolved"]
REVIEW = [thread for thread in THREADS if thread.status == "waiting for review"]
HONEST = "no model is asked"

Program = Callable[[Any, str], Iterator[str | dict[str, Any]]]


@dataclass
class Turn:
    prompt: str
    reply: str


@dataclass
class Conversation:
    """A session as the workspace keeps one, with a way to talk to it."""

    program: Program
    state: dict[str, Any] = field(default_factory=dict)
    history: list[Turn] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)

    def say(self, text: str) -> str:
        pieces = list(self.program(self, text))
        self.state = json.loads(json.dumps(self.state))
        self.blocks = [json.loads(json.dumps(p)) for p in pieces if isinstance(p, dict)]
        reply = "".join(piece for piece in pieces if isinstance(piece, str))
        self.history.append(Turn(text, reply))
        return reply

    def tables(self) -> list[dict[str, Any]]:
        return [b["payload"]["table"] for b in self.blocks if b["type"] == "table_preview"]


def current_context() -> Conversation:
    return Conversation(lambda session, text: support.answer(session, text, THREADS))


def numbered(reply: str) -> list[str]:
    return re.findall(r"^\d+\. (.+)$", reply, re.MULTILINE)


def busiest(rows: list[threads.Thread]) -> tuple[str, int]:
    return Counter(row.queue for row in rows).most_common(1)[0]


# ------------------------------------------------------------------ the sample threads


def test_there_are_three_hundred_threads_and_a_seed_always_draws_the_same_ones():
    assert len(THREADS) == 300
    assert threads.sample_threads() == THREADS
    assert threads.sample_threads(seed=8) != THREADS


def test_the_threads_are_consistent():
    assert len({thread.id for thread in THREADS}) == 300
    assert len({thread.subject for thread in THREADS}) > 200
    for thread in THREADS:
        assert thread.opened.tzinfo is UTC
        assert thread.opened <= thread.last_reply <= threads.NOW
        assert re.fullmatch(r"[a-z.]+@example\.(com|org|net)", thread.sender)
        assert "{" not in thread.subject
    assert {thread.queue for thread in THREADS} == set(threads.QUEUES)
    assert {thread.status for thread in THREADS} == set(threads.STATUSES)
    assert {thread.priority for thread in THREADS} == set(threads.PRIORITIES)


def test_one_queue_alone_is_busiest_among_the_threads_waiting_for_review():
    (_, first), (_, second), *_ = Counter(row.queue for row in REVIEW).most_common()
    assert first > second


# ------------------------------------------------------------------ counting


@pytest.mark.parametrize(
    "question",
    [
        "How many threads are waiting for review right now?",
        "How many support threads are waiting for review right now?",
        "number of threads awaiting review",
        "Hey! Could you tell me how many customer threads need review at the moment?",
    ],
)
def test_the_threads_waiting_for_review_are_counted(question):
    assert f"**{len(REVIEW)} threads** are waiting for review" in current_context().say(question)


def test_a_count_and_the_busiest_queue_are_both_answered():
    talk_to = current_context()
    reply = talk_to.say("How many threads are waiting for review, and which queue looks busiest?")
    queue, number = busiest(REVIEW)
    assert f"**{len(REVIEW)} threads** are waiting for review" in reply
    assert f"**{queue}**, with {number} of the {len(REVIEW)}" in reply
    assert dict(talk_to.tables()[0]["rows"]) == dict(Counter(row.queue for row in REVIEW))


@pytest.mark.parametrize(
    ("status", "queue", "priority"),
    list(product(threads.STATUSES, threads.QUEUES, threads.PRIORITIES))[::3],
)
def test_every_filter_counts_what_the_rows_hold(status, queue, priority):
    number = sum((t.status, t.queue, t.priority) == (status, queue, priority) for t in THREADS)
    level = priority if priority == "urgent" else f"{priority} priority"
    reply = current_context().say(f"How many {level} {queue} threads are {status}?")
    assert reply.startswith(f"**{number} " if number else "No ")
    assert f"{queue} thread" in reply
    if number == 1:
        assert " thread** is " in reply


@pytest.mark.parametrize(
    ("question", "test"),
    [
        ("How many threads are open?", lambda t: t.status != "resolved"),
        ("How many threads are not resolved?", lambda t: t.status != "resolved"),
        ("How many threads aren't billing or mobile?", lambda t: t.queue not in "billing mobile"),
        ("How many high and low priority threads?", lambda t: t.priority in ("high", "low")),
        ("How many threads mention refunds?", lambda t: "refund" in t.subject.lower()),
        ("How many refund threads are there?", lambda t: "refund" in t.subject.lower()),
        ("How many threads are there?", lambda t: True),
    ],
)
def test_other_ways_to_name_threads_are_counted_too(question, test):
    assert f"**{sum(map(test, THREADS))} " in current_context().say(question)


@pytest.mark.parametrize("name", ["queue", "status", "priority"])
@pytest.mark.parametrize("asked", ["How many threads by {}?", "Count open threads per {}"])
def test_counts_are_grouped(name, asked):
    talk_to = current_context()
    talk_to.say(asked.format(name))
    rows = OPEN if "open" in asked else THREADS
    assert dict(talk_to.tables()[0]["rows"]) == dict(Counter(getattr(r, name) for r in rows))


def test_queues_are_listed_from_the_fullest_down():
    talk_to = current_context()
    talk_to.say("How many open threads are there by queue?")
    numbers = [number for _, number in talk_to.tables()[0]["rows"]]
    assert numbers == sorted(numbers, reverse=True)


def test_two_groupings_make_a_table_of_one_against_the_other():
    talk_to = current_context()
    talk_to.say("How many open threads are there by queue and priority?")
    (table,) = talk_to.tables()
    pairs = Counter((row.queue, row.priority) for row in OPEN)
    for queue, *numbers in table["rows"]:
        held = dict(zip(table["columns"][1:], numbers, strict=True))
        assert held.pop("Threads") == sum(held.values())
        assert held == {level: pairs[queue, level] for level in threads.PRIORITIES}


def test_two_questions_in_one_sentence_are_counted_one_by_one():
    reply = current_context().say("How many billing threads are open, and how many are urgent?")
    assert f"**{sum(t.queue == 'billing' for t in OPEN)} billing threads** are open" in reply
    assert f"**{sum(t.priority == 'urgent' for t in THREADS)} urgent threads**" in reply


def test_those_means_the_threads_of_the_last_answer():
    talk_to = current_context()
    talk_to.say("How many threads are waiting for review?")
    urgent = [thread for thread in REVIEW if thread.priority == "urgent"]
    assert f"**{len(urgent)} urgent" in talk_to.say("How many of those are urgent?")
    billing = [thread for thread in urgent if thread.queue == "billing"]
    assert f"**{len(billing)} urgent billing" in talk_to.say("What about billing?")


def test_a_question_about_dates_is_not_silently_answered_as_if_it_had_none():
    assert "I do not filter by date" in current_context().say(
        "How many threads were opened last week?"
    )


# ------------------------------------------------------------------ risk and search


def expected_risk(thread: threads.Thread) -> int:
    if thread.status == "resolved":
        return 0
    priority = {"urgent": 60, "high": 35, "normal": 10, "low": 0}[thread.priority]
    status = {"waiting for review": 15, "in progress": 5, "waiting for customer": 0}
    age, silence = threads.NOW - thread.opened, threads.NOW - thread.last_reply
    return priority + status[thread.status] + min(age.days, 15) + 2 * min(silence.days, 10)


def test_the_risk_of_every_thread_follows_the_rule():
    assert [thread.risk for thread in THREADS] == list(map(expected_risk, THREADS))


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("Summarize the riskiest support threads.", 5),
        ("List the riskiest threads", 5),
        ("top 3 riskiest", 3),
        ("Which are the seven most urgent threads?", 7),
        ("Which thread is the riskiest?", 1),
    ],
)
def test_the_riskiest_threads_are_ranked_by_the_rule_that_the_answer_states(question, number):
    talk_to = current_context()
    reply = talk_to.say(question)
    ranked = sorted(OPEN, key=lambda t: (-expected_risk(t), t.opened, t.id))[:number]
    (table,) = talk_to.tables()
    assert [(row[0], row[-1]) for row in table["rows"]] == [
        (thread.id, expected_risk(thread)) for thread in ranked
    ]
    lines = numbered(reply)
    assert len(lines) == number
    for line, thread in zip(lines, ranked, strict=True):
        assert thread.id in line
        assert thread.priority in line
        assert thread.status in line
    assert support.RISK_RULE in reply


def test_the_riskiest_threads_of_one_queue_are_of_that_queue():
    talk_to = current_context()
    talk_to.say("What are the 4 riskiest mobile threads?")
    assert [row[2] for row in talk_to.tables()[0]["rows"]] == ["mobile"] * 4


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("find threads about refunds", "refund"),
        ("search for SSO", "sso"),
        ("which threads mention invoice?", "invoice"),
        ("Show threads about invoices", "invoice"),
        ("threads regarding dark mode", "dark mode"),
    ],
)
def test_threads_are_found_by_word_in_singular_or_plural(question, word):
    rows = [thread for thread in THREADS if word in thread.subject.lower()]
    talk_to = current_context()
    assert f"**{len(rows)} threads" in talk_to.say(question)
    shown = [row[0] for row in talk_to.tables()[0]["rows"]]
    assert shown == [thread.id for thread in rows][:10]


def test_either_of_two_words_can_be_searched_for():
    words = ("refund", "dark mode")
    rows = [t for t in THREADS if any(word in t.subject.lower() for word in words)]
    assert f"**{len(rows)} threads" in current_context().say(
        "Find threads about refunds or dark mode"
    )


def test_a_thread_is_found_by_its_id():
    talk_to = current_context()
    thread = THREADS[40]
    assert thread.subject in talk_to.say(f"show {thread.id}")
    assert [row[0] for row in talk_to.tables()[0]["rows"]] == [thread.id]


def test_finding_nothing_is_said():
    assert "No threads matching “zebras”" in current_context().say("find threads about zebras")


# ------------------------------------------------------------------ plans


@pytest.mark.parametrize(
    "before",
    [
        "How many threads are waiting for review right now?",
        "How many threads are waiting for review, and which queue looks busiest?",
    ],
)
def test_a_two_step_plan_has_two_numbered_steps_about_the_previous_answer(before):
    talk_to = current_context()
    talk_to.say(before)
    reply = talk_to.say("Turn that into a two-step triage plan.")
    first, second = numbered(reply)
    urgent = [thread for thread in REVIEW if thread.priority == "urgent"]
    queue, number = busiest(REVIEW)
    assert f"{len(REVIEW)} threads waiting for review" in reply
    assert f"the {len(urgent)} urgent threads" in first
    assert f"**{queue}** ({number} of the {len(REVIEW)} threads)" in second
    known = {thread.id for thread in REVIEW}
    for step in (first, second):
        assert set(re.findall(r"T-\d+", step)) <= known
        assert "T-" in step


def test_a_plan_after_the_riskiest_threads_is_about_exactly_those():
    talk_to = current_context()
    talk_to.say("Summarize the riskiest support threads.")
    listed = {row[0] for row in talk_to.tables()[0]["rows"]}
    steps = numbered(talk_to.say("Turn that into a two-step triage plan."))
    assert len(steps) == 2
    assert set(re.findall(r"T-\d+", " ".join(steps))) == listed


def test_a_plan_can_be_asked_for_in_the_same_message():
    reply = current_context().say("List the riskiest billing threads and make a two-step plan.")
    ranked = sorted(OPEN, key=lambda t: (-expected_risk(t), t.opened, t.id))
    billing = [thread.id for thread in ranked if thread.queue == "billing"]
    plan = reply.partition("triage plan")[2]
    assert set(re.findall(r"T-\d+", plan)) == set(billing[:5])


@pytest.mark.parametrize("before", ["", "How many threads are waiting for review?"])
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("asked", ["Make a {} step plan", "a triage plan in {} clear steps"])
def test_a_plan_has_as_many_steps_as_asked(number, asked, before):
    talk_to = current_context()
    if before:
        talk_to.say(before)
    for written in (str(number), phrases.spelled(number)):
        steps = numbered(talk_to.say(asked.format(written)))
        assert len(steps) == len(set(steps)) == number
        assert all(re.search(r"\d", step) and step.endswith(".") for step in steps)


def test_no_thread_is_in_two_steps():
    steps = triage.plan_steps(OPEN, 8)
    ids = re.findall(r"T-\d+", " ".join(steps[:-1]))
    assert len(ids) == len(set(ids)) > 8


def test_a_plan_has_three_steps_unless_another_number_is_asked_for():
    assert len(numbered(current_context().say("Make a triage plan for billing"))) == 3


def test_a_plan_names_the_selection_that_the_question_names():
    rows = [thread for thread in OPEN if thread.queue == "billing"]
    reply = current_context().say("Make a 4 step plan for billing")
    assert f"{len(rows)} open billing threads" in reply
    assert set(re.findall(r"T-\d+", reply)) <= {thread.id for thread in rows}


def test_too_many_steps_are_refused_in_words():
    reply = current_context().say("Make a 12 step plan")
    assert len(numbered(reply)) == 8
    assert "You asked for 12 steps, but there is only enough here for eight." in reply


def test_zero_steps_become_one_and_the_answer_says_so():
    reply = current_context().say("Make a 0 step plan")
    assert len(numbered(reply)) == 1
    assert "at least one step" in reply


def test_a_one_sentence_plan_is_exactly_one_sentence():
    reply = current_context().say(
        "Give me a one-sentence triage plan for the current support queue."
    )
    plan, honest = reply.split("\n\n")
    assert HONEST in honest
    assert f"the {len(OPEN)} open threads" in plan
    assert busiest(OPEN)[0] in plan
    assert len(re.findall(r"[.!?](?:\s|$)", plan)) == 1
    assert plan.endswith(".")
    assert not numbered(plan)
    assert "\n" not in plan


def test_the_current_queue_is_meant_even_after_another_answer():
    talk_to = current_context()
    talk_to.say("top 3 riskiest")
    reply = talk_to.say("Give me a one-sentence triage plan for the current support queue.")
    assert f"the {len(OPEN)} open threads" in reply


def test_that_with_nothing_before_it_means_the_current_queue_and_the_answer_says_so():
    reply = current_context().say("Turn that into a two-step triage plan.")
    assert "this plan is for the current queue" in reply
    assert f"{len(OPEN)} open threads" in reply
    assert len(numbered(reply)) == 2


# ------------------------------------------------------------------ honesty and odd input


def test_only_the_first_answer_ends_with_the_honest_line():
    talk_to = current_context()
    first = talk_to.say("How many threads are waiting for review right now?")
    last_line = first.splitlines()[-1]
    assert HONEST in last_line
    assert last_line.startswith("*")
    assert last_line.endswith("*")
    assert HONEST not in talk_to.say("How many threads are resolved?")


@pytest.mark.parametrize(
    "program", [current_context().program, deal_desk.deal_desk, diet_coach.diet_coach]
)
def test_what_it_can_do_always_has_the_honest_line_once_and_examples(program):
    talk_to = Conversation(program)
    for _ in range(2):
        assert talk_to.say("hello").count(HONEST) == 1
        (block,) = talk_to.blocks
        examples = [suggestion["value"] for suggestion in block["payload"]["suggestions"]]
        assert block["type"] == "suggestions"
        for example in examples:
            follow_up = Conversation(program)
            follow_up.say(example)
            assert "suggestions" not in [other["type"] for other in follow_up.blocks]


ODD = [
    "",
    " \n\t",
    "🎉🎉🎉",
    "¿Cuántos hilos esperan revisión?",
    "有多少线程在等待审核？",
    "(((((.*+?[^$|\\",
    "\x00\ud800",
    "9" * 50,
    "² half ٣ eggs 1/0 ½",
    "how many " * 1000,
    "plan steps or or about find " * 500,
    "$" * 3000 + "1,1,1,1",
]


@pytest.mark.parametrize(
    "program", [current_context().program, deal_desk.deal_desk, diet_coach.diet_coach]
)
@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_input_gets_an_answer(program, text):
    talk_to = Conversation(program)
    assert talk_to.say(text)
    assert talk_to.say(text)


@pytest.mark.parametrize(
    "program", [current_context().program, deal_desk.deal_desk, diet_coach.diet_coach]
)
@pytest.mark.parametrize("unit", ["a", "1", "1,", "find ", "two eggs ", "not billing or ", "$1 a "])
def test_a_megabyte_is_answered_at_once(program, unit):
    started = time.perf_counter()
    assert Conversation(program).say(unit * (1_000_000 // len(unit)))
    assert time.perf_counter() - started < 1


WORDS = (
    "how many which find about refunds or and not waiting for review customer urgent billing by "
    "queue status riskiest top three 0 12 step plan one sentence that those thread threads quote "
    "25 seats at $49 15% off a year month no discount two eggs half g rice kg total start over"
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS.split()), st.text(max_size=6)), max_size=14))
def test_no_sequence_of_words_breaks_a_conversation(words):
    for program in (current_context().program, deal_desk.deal_desk, diet_coach.diet_coach):
        talk_to = Conversation(program)
        assert talk_to.say(" ".join(words))
        assert talk_to.say(" ".join(reversed(words)))


def test_a_workspace_without_threads_still_answers():
    talk_to = Conversation(lambda session, text: support.answer(session, text, []))
    for question in (*support.EXAMPLES, "plan", "top 3 riskiest", "threads by queue"):
        assert talk_to.say(question)


def test_the_same_conversation_gives_the_same_answers_and_blocks():
    questions = [*support.EXAMPLES, "Turn that into a two-step triage plan."]
    first, second = current_context(), current_context()
    for question in questions:
        assert first.say(question) == second.say(question)
        assert first.blocks == second.blocks
        assert len({block["id"] for block in first.blocks}) == len(first.blocks)


# ------------------------------------------------------------------ deal-desk


def total(reply: str) -> str | None:
    found = re.search(r"\| \*\*Total\*\* \| \| \*\*(.+?)\*\* \|", reply)
    return found and found[1]


@pytest.mark.parametrize(
    ("sentence", "cents"),
    [
        ("Quote 25 seats at $49 with 15% off for a year", 25 * 4900 * 12 * 85 // 100),
        ("Quote 8 seats", 8 * 4900 * 12),
        ("twelve users for six months at 19 dollars", 12 * 1900 * 6),
        ("1,000 seats at $1,200.50 a month for 2 years", 1000 * 120050 * 24),
        ("3 seats at $49.99/seat/month for 18 months", 3 * 4999 * 18),
        ("Quote one seat for a month, 12.5 % discount", 4900 - 613),
        ("10 people at 30 for a year and a half", 10 * 3000 * 18),
        ("5 seats for 1 year and 6 months, 100% off", 0),
        ("7 seats at $33.33 for a month with 3.5% off", 23331 - 817),
    ],
)
def test_a_quote_is_exact_to_the_cent(sentence, cents):
    reply = Conversation(deal_desk.deal_desk).say(sentence)
    assert total(reply) == f"${cents // 100:,}.{cents % 100:02d}"


def test_follow_ups_change_one_thing_of_the_quote():
    talk_to = Conversation(deal_desk.deal_desk)
    talk_to.say("Quote 25 seats at $49 with 15% off for a year")
    assert total(talk_to.say("make it 20% off")) == "$11,760.00"
    assert total(talk_to.say("What about 40 seats?")) == "$18,816.00"
    assert total(talk_to.say("for 2 years instead of a year")) == "$37,632.00"
    assert total(talk_to.say("no discount")) == "$47,040.00"
    assert total(talk_to.say("at $45.50")) == "$43,680.00"
    assert total(talk_to.say("Quote 3 seats")) == "$1,764.00"


def test_what_cannot_be_quoted_is_said_and_the_last_quote_stays():
    talk_to = Conversation(deal_desk.deal_desk)
    assert "How many seats" in talk_to.say("Quote $49 for a year")
    talk_to.say("Quote 10 seats")
    kept = dict(talk_to.state)
    assert "0% to 100%" in talk_to.say("make it 150% off")
    assert "1 to 1,000,000 seats" in talk_to.say("make it 0 seats")
    assert "percentage" in talk_to.say("$50 off")
    assert talk_to.state == kept
    assert "US dollars" in talk_to.say("12 seats at €49")
    assert "Taxes are not included" in talk_to.say("12 seats plus 20% VAT")
    assert talk_to.state["quote"]["discount"] == 0


# ------------------------------------------------------------------ diet-coach


def test_foods_are_added_up_and_the_total_goes_on():
    talk_to = Conversation(diet_coach.diet_coach)
    reply = talk_to.say("two eggs, a banana and 200 g rice")
    assert "| **Sum** | | **508 kcal** | **19.3 g** |" in reply
    reply = talk_to.say("half an avocado with 2 slices of toast and a samosa")
    assert "**Sum** | | **279 kcal** | **6.9 g**" in reply
    assert "**787 kcal** and **26.2 g of protein**" in reply
    assert "not counted: samosa" in reply
    assert "**787 kcal**" in talk_to.say("What is my total so far?")
    talk_to.say("start over")
    assert "**0 kcal**" in talk_to.say("total")


@pytest.mark.parametrize(
    ("sentence", "foods"),
    [
        ("1.5 kg potatoes", [("potato", 1500)]),
        ("1,000 g rice", [("rice", 1000)]),
        ("two and a half apples", [("apple", 455)]),
        ("a dozen eggs and two dozen strawberries", [("egg", 600), ("strawberry", 24 * 12)]),
        ("2 1/2 eggs, ½ banana", [("egg", 125), ("banana", 59)]),
        ("3 tbsp of olive oil", [("olive oil", 45)]),
        ("a large baked sweet potato & 250ml milk", [("sweet potato", 150), ("milk", 250)]),
        ("peanut butter toast", [("peanut butter", 16), ("bread", 30)]),
        ("ten almonds and a handful of walnuts", [("almond", 10), ("walnut", 28)]),
    ],
)
def test_amounts_and_plurals_are_read(sentence, foods):
    servings, unknown = diet_coach.read_servings(sentence)
    assert [(serving.food.name, serving.grams) for serving in servings] == foods
    assert not unknown


def test_half_a_calorie_is_rounded_up():
    (serving,), _ = diet_coach.read_servings("150 g banana")
    assert (serving.kcal, serving.protein) == (134, 17)


def test_the_table_of_foods_is_sane():
    assert 38 <= len(diet_coach.FOODS) <= 50
    assert len({food.name for food in diet_coach.FOODS}) == len(diet_coach.FOODS)
    for food in diet_coach.FOODS:
        assert 0 < food.kcal < 900
        # Protein has 4 kcal a gram, and a food has no less energy than its protein.
        assert food.protein * 4 / 10 <= food.kcal


# ------------------------------------------------------------------ the ledger

TODAY = date(2026, 10, 31)
PAYMENTS = ledger.sample_payments()
SALES = [row for row in PAYMENTS if row["refund_of"] is None]
REFUNDS = [row for row in PAYMENTS if row["refund_of"] is not None]


def month_of(row: dict[str, Any]) -> str:
    return f"{row['paid_at']:%Y-%m}"


def test_the_ledger_has_about_2500_rows_in_18_months_and_nothing_after_today():
    assert 2300 <= len(PAYMENTS) <= 2700
    assert len({month_of(row) for row in PAYMENTS}) == 18
    assert min(row["paid_at"] for row in PAYMENTS).date() >= date(2025, 5, 1)
    assert max(row["paid_at"] for row in PAYMENTS).date() <= TODAY


@pytest.mark.parametrize("app", [ledger.SUPPORT_OPS, ledger.DEAL_DESK])
def test_payments_grow_month_by_month(app):
    months = Counter(month_of(row) for row in SALES if row["app"] == app)
    numbers = [number for _, number in sorted(months.items())]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 4 * numbers[0]


def test_every_row_adds_up():
    kinds = {ledger.SUPPORT_OPS: "monthly", ledger.DEAL_DESK: "one_time"}
    for row in PAYMENTS:
        assert row["kind"] == kinds[row["app"]]
        assert (row["gross_cents"] < 0) == (row["refund_of"] is not None)
        assert row["fee_cents"] * 10 == row["gross_cents"]
        assert row["net_cents"] == row["gross_cents"] - row["fee_cents"]
        assert row["currency"] == "USD"
        assert (row["subscription_id"] is None) == (row["kind"] == "one_time")
        assert re.fullmatch(r"(pay|ref)_[0-9a-f]{16}", row["payment_id"])
        assert re.fullmatch(r"[a-z.]+@example\.(com|org|net)", row["payer"])
        assert row["paid_at"].tzinfo is UTC
        assert row["paid_at"].microsecond == 0


def test_rows_are_sorted_unique_and_the_same_every_time():
    keys = [(row["paid_at"], row["payment_id"]) for row in PAYMENTS]
    assert keys == sorted(keys)
    assert len({row["payment_id"] for row in PAYMENTS}) == len(PAYMENTS)
    assert ledger.sample_payments() == PAYMENTS
    assert ledger.sample_payments(seed=1) != PAYMENTS


def test_payouts_are_weekly_and_come_after_the_payments():
    payouts: dict[str, set[datetime]] = {}
    for row in PAYMENTS:
        paid_out = row["payout_state"] == "Paid out"
        assert (row["payout_id"] is not None) == (row["paid_out_at"] is not None) == paid_out
        if paid_out:
            assert timedelta() < row["paid_out_at"] - row["paid_at"] < timedelta(days=10)
            assert row["paid_out_at"].date() <= TODAY
            payouts.setdefault(row["payout_id"], set()).add(row["paid_out_at"])
    assert all(len(times) == 1 for times in payouts.values())
    times = sorted(time for (time,) in payouts.values())
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert gaps == {timedelta(days=7)}


def test_payout_states_are_as_in_a_real_account():
    states = Counter(row["payout_state"] for row in PAYMENTS)
    assert set(states) == {"Paid out", "Needs onboarding", "In progress", "Failed"}
    assert states["Paid out"] > 0.9 * len(PAYMENTS)
    assert 5 <= states["Failed"] < 0.03 * len(PAYMENTS)
    early = [row["payout_state"] == "Needs onboarding" for row in PAYMENTS]
    assert early == sorted(early, reverse=True)
    late = [row["payout_state"] == "In progress" for row in PAYMENTS]
    assert late == sorted(late)
    assert PAYMENTS[-1]["paid_at"] - PAYMENTS[late.index(True)]["paid_at"] < timedelta(days=10)


def test_renewals_fall_due_a_whole_number_of_months_after_the_first_payment():
    subscriptions: dict[str, list[datetime]] = {}
    for row in SALES:
        if row["subscription_id"]:
            subscriptions.setdefault(row["subscription_id"], []).append(row["paid_at"])
    late = []
    for first, *renewals in subscriptions.values():
        for number, paid_at in enumerate(renewals, 1):
            due = ledger.add_months(first.date(), number)
            late.append((paid_at.date() - due).days)
    assert min(late) == 0 and 6 <= max(late) < 15
    assert 20 < sum(map(bool, late)) < 0.2 * len(late)


def test_a_refund_takes_back_an_earlier_payment_whole_or_in_part_on_a_day_of_its_own():
    payments = {row["payment_id"]: row for row in SALES}
    for row in REFUNDS:
        sale = payments[row["refund_of"]]
        assert 0 < -row["gross_cents"] <= sale["gross_cents"]
        assert timedelta() < row["paid_at"] - sale["paid_at"] <= timedelta(days=45)
        for name in ("app", "payer", "kind", "subscription_id"):
            assert row[name] == sale[name]
    assert len({row["refund_of"] for row in REFUNDS}) == len(REFUNDS)
    parts = [
        row for row in REFUNDS if -row["gross_cents"] < payments[row["refund_of"]]["gross_cents"]
    ]
    later = [row for row in parts if month_of(row) != month_of(payments[row["refund_of"]])]
    assert 0.2 * len(REFUNDS) < len(parts) < 0.8 * len(REFUNDS) and later
    assert 20 < len(REFUNDS) < 0.1 * len(SALES)


def test_the_price_rises_for_new_subscribers_first_and_seats_come_and_go():
    changes: dict[str, list[int]] = {}
    for row in SALES:
        if row["subscription_id"]:
            changes.setdefault(row["subscription_id"], []).append(row["gross_cents"])
    firsts = [amounts[0] for amounts in changes.values()]
    assert set(firsts) == {1200, 1500}
    steps = Counter(pair for amounts in changes.values() for pair in pairwise(amounts))
    assert steps[1200, 1500] > 20
    assert steps[1500, 3000] > 10 and steps[3000, 1500] > 2
    assert all(
        amount % 1200 == 0 or amount % 1500 == 0
        for amounts in changes.values()
        for amount in amounts
    )


def test_some_payers_cancel_and_some_come_back():
    subscriptions: dict[str, set[str]] = {}
    last: dict[str, datetime] = {}
    for row in PAYMENTS:
        if row["subscription_id"]:
            subscriptions.setdefault(row["payer"], set()).add(row["subscription_id"])
            last[row["payer"]] = row["paid_at"]
    gone = [payer for payer, when in last.items() if when.date() < TODAY - timedelta(days=40)]
    assert len(gone) > 20
    assert sum(len(ids) > 1 for ids in subscriptions.values()) > 5


def test_months_are_clamped_to_their_end():
    assert ledger.add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert ledger.add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert ledger.add_months(date(2026, 10, 31), -18) == date(2025, 4, 30)


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2026, 3, 1), date(2027, 12, 31)])
def test_another_today_gives_as_many_payments_that_end_there(today):
    rows = ledger.sample_payments(today)
    assert 2300 <= len(rows) <= 2700
    assert rows[-1]["paid_at"].date() <= today
    assert rows[-1]["paid_at"].date() > today - timedelta(days=4)


def test_drawing_the_ledger_takes_well_under_a_second():
    started = time.perf_counter()
    ledger.sample_payments()
    assert time.perf_counter() - started < 0.8
