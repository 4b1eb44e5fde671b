"""The sample apps: their answers are compared with counts that are computed another way."""

import json
import re
from collections import Counter
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpsl_notebook.local.samples import (
    SAMPLE_APPS,
    deal_desk,
    diet_coach,
    scripting,
    support_ops,
    threads,
    triage,
)
from cpsl_notebook.local.session import Session, Turn

THREADS = threads.sample_threads()
OPEN = [thread for thread in THREADS if thread.status != "resolved"]
REVIEW = [thread for thread in THREADS if thread.status == "waiting for review"]
NOTE = "not a language model."


class Chat:
    """A conversation with a sample app; its state is stored as JSON between the turns."""

    def __init__(self, app):
        self.app = app
        self.session = Session("")
        self.blocks = []

    def ask(self, text):
        pieces = list(self.app(self.session, text))
        self.session.data = json.loads(json.dumps(self.session.data))
        self.blocks = [json.loads(json.dumps(piece)) for piece in pieces if isinstance(piece, dict)]
        reply = "".join(piece for piece in pieces if isinstance(piece, str))
        self.session.history.append(Turn(text, reply))
        return reply

    @property
    def table(self):
        (table,) = [b["payload"]["table"] for b in self.blocks if b["type"] == "table_preview"]
        return table


APPS = {app.name: app.answer for app in SAMPLE_APPS}


def numbered(reply):
    return re.findall(r"^\d+\. (.+)$", reply, re.MULTILINE)


def busiest(rows):
    return Counter(row.queue for row in rows).most_common(1)[0]


# ------------------------------------------------------------------ the sample threads


def test_same_seed_draws_the_same_300_threads():
    assert len(THREADS) == 300
    assert threads.sample_threads.__wrapped__() == THREADS
    assert threads.sample_threads(seed=8) != THREADS


def test_threads_are_consistent():
    assert [thread.id for thread in THREADS] == [f"T-{number}" for number in range(1001, 1301)]
    assert len({thread.subject for thread in THREADS}) == 300
    for thread in THREADS:
        assert thread.opened.tzinfo is UTC
        assert thread.opened <= thread.last_reply <= threads.NOW
        assert re.fullmatch(r"[a-z.]+@example\.(com|org|net)", thread.sender)
        assert "{" not in thread.subject
    for field, values in threads.FIELDS.items():
        assert {getattr(thread, field) for thread in THREADS} == set(values)


def test_one_queue_is_busiest_among_threads_waiting_for_review():
    (_, first), (_, second), *_ = Counter(row.queue for row in REVIEW).most_common()
    assert (first, second) == (33, 16)


def expected_risk(thread):
    if thread.status == "resolved":
        return 0
    priority = {"urgent": 60, "high": 35, "normal": 10, "low": 0}[thread.priority]
    status = {"waiting for review": 15, "in progress": 5, "waiting for customer": 0}
    age, silence = threads.NOW - thread.opened, threads.NOW - thread.last_reply
    return priority + status[thread.status] + min(age.days, 15) + 2 * min(silence.days, 10)


def test_risk_follows_the_stated_rule():
    assert [thread.risk for thread in THREADS] == list(map(expected_risk, THREADS))


# ------------------------------------------------------------------ support-ops: counts


@pytest.mark.parametrize(
    "question",
    [
        "How many threads are waiting for review right now?",
        "How many support threads are waiting for review right now?",
        "number of threads awaiting review",
        "Could you tell me how many customer threads need review at the moment?",
    ],
)
def test_threads_waiting_for_review_are_counted(question):
    reply = Chat(support_ops.answer).ask(question)
    assert f"**{len(REVIEW)} threads** are waiting for review, out of 300." in reply


def test_one_question_can_ask_for_count_and_busiest_queue():
    chat = Chat(support_ops.answer)
    reply = chat.ask("How many threads are waiting for review, and which queue looks busiest?")
    queue, number = busiest(REVIEW)
    assert f"**{len(REVIEW)} threads** are waiting for review" in reply
    assert f"The busiest queue is **{queue}**, with {number} of the {len(REVIEW)}" in reply
    assert dict(chat.table["rows"]) == dict(Counter(row.queue for row in REVIEW))


def test_every_combination_of_filters_is_counted():
    for status in threads.STATUSES:
        for queue in threads.QUEUES:
            for priority in threads.PRIORITIES:
                wanted = (status, queue, priority)
                number = sum((t.status, t.queue, t.priority) == wanted for t in THREADS)
                level = priority if priority == "urgent" else f"{priority} priority"
                reply = Chat(support_ops.answer).ask(
                    f"How many {level} {queue} threads are {status}?"
                )
                assert reply.startswith(f"**{number} " if number else "There are no ")
                assert f"{queue} thread" in reply
                assert (" thread** is " in reply) == (number == 1)


@pytest.mark.parametrize(
    ("question", "selects"),
    [
        ("How many threads are open?", lambda t: t.status != "resolved"),
        ("How many threads are waiting?", lambda t: t.status.startswith("waiting")),
        ("How many high and low priority threads?", lambda t: t.priority in ("high", "low")),
        ("How many threads mention refunds?", lambda t: "refund" in t.subject.lower()),
        ("How many threads are there?", lambda t: True),
        ("How many?", lambda t: True),
    ],
)
def test_question_in_other_words_selects_the_same_threads(question, selects):
    assert f"**{sum(map(selects, THREADS))} " in Chat(support_ops.answer).ask(question)


@pytest.mark.parametrize("field", ["queue", "status", "priority"])
def test_open_threads_are_counted_by_one_field(field):
    chat = Chat(support_ops.answer)
    chat.ask(f"How many open threads by {field}?")
    counts = Counter(getattr(row, field) for row in OPEN)
    assert dict(chat.table["rows"]) == dict(counts)
    if field == "queue":
        assert [number for _, number in chat.table["rows"]] == sorted(counts.values())[::-1]


def test_open_threads_are_counted_by_two_fields():
    chat = Chat(support_ops.answer)
    chat.ask("How many open threads are there by queue and priority?")
    pairs = Counter((row.queue, row.priority) for row in OPEN)
    assert chat.table["columns"] == ["Queue", *threads.PRIORITIES, "Threads"]
    for queue, *numbers in chat.table["rows"]:
        assert numbers[:-1] == [pairs[queue, level] for level in threads.PRIORITIES]
        assert numbers[-1] == sum(numbers[:-1])


def test_follow_up_narrows_the_last_answer():
    chat = Chat(support_ops.answer)
    chat.ask("How many threads are waiting for review?")
    urgent = [thread for thread in REVIEW if thread.priority == "urgent"]
    assert f"**{len(urgent)} urgent threads**" in chat.ask("How many of those are urgent?")
    billing = [thread for thread in urgent if thread.queue == "billing"]
    assert f"**{len(billing)} urgent billing threads**" in chat.ask("What about billing?")


@pytest.mark.parametrize(
    "question", ["How many threads were opened last week?", "How many threads are not resolved?"]
)
def test_unsupported_filters_are_refused(question):
    reply = Chat(support_ops.answer).ask(question)
    assert reply.startswith("I cannot filter by date or exclude values")
    assert "**" not in reply


# ------------------------------------------------------------------ support-ops: risk and search


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("Summarize the riskiest support threads.", 5),
        ("the three riskiest threads", 3),
        ("Which are the seven most urgent threads?", 7),
        ("one riskiest thread", 1),
    ],
)
def test_riskiest_threads_are_ranked(question, number):
    chat = Chat(support_ops.answer)
    reply = chat.ask(question)
    ranked = sorted(OPEN, key=lambda t: (-expected_risk(t), t.opened, t.id))[:number]
    assert [(row[0], row[-1]) for row in chat.table["rows"]] == [
        (thread.id, expected_risk(thread)) for thread in ranked
    ]
    lines = numbered(reply)
    assert len(lines) == number
    for line, thread in zip(lines, ranked, strict=True):
        assert line.startswith(f"**{thread.id}** {thread.subject}")
        assert f"{thread.priority}, {thread.status}, opened" in line
    assert threads.RISK_RULE in reply


def test_riskiest_threads_are_limited_to_named_queues():
    chat = Chat(support_ops.answer)
    chat.ask("What are the 4 riskiest mobile threads?")
    assert [row[2] for row in chat.table["rows"]] == ["mobile"] * 4
    chat.ask("Summarize the riskiest threads of these queues:\n\n| Queue |\n|---|\n| security |")
    assert [row[2] for row in chat.table["rows"]] == ["security"] * 5


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Find threads about refunds.", "refund"),
        ("search for SSO", "sso"),
        ("which threads mention invoice?", "invoice"),
        ("threads regarding dark mode", "dark mode"),
    ],
)
def test_search_finds_threads_by_subject(question, words):
    rows = [thread for thread in THREADS if words in thread.subject.lower()]
    chat = Chat(support_ops.answer)
    assert f"**{len(rows)} threads" in chat.ask(question)
    assert [row[0] for row in chat.table["rows"]] == [thread.id for thread in rows][:10]


def test_search_without_a_match_says_so():
    reply = Chat(support_ops.answer).ask("find threads about zebras")
    assert reply.startswith("There are no threads matching “zebras”.")


# ------------------------------------------------------------------ support-ops: plans


@pytest.mark.parametrize(
    "before",
    [
        "How many threads are waiting for review right now?",
        "How many threads are waiting for review, and which queue looks busiest?",
    ],
)
def test_two_step_plan_continues_the_last_answer(before):
    chat = Chat(support_ops.answer)
    chat.ask(before)
    reply = chat.ask("Turn that into a two-step triage plan.")
    first, second = numbered(reply)
    urgent = [thread for thread in REVIEW if thread.priority == "urgent"]
    queue, number = busiest(REVIEW)
    assert f"**Two-step triage plan** for the {len(REVIEW)} threads waiting for review" in reply
    assert f"the {len(urgent)} urgent threads" in first
    assert f"**{queue}** ({number} of the {len(REVIEW)} threads)" in second
    known = {thread.id for thread in REVIEW}
    for step in (first, second):
        assert 1 <= len(set(re.findall(r"T-\d+", step)) & known) == len(re.findall(r"T-\d+", step))


def test_plan_after_the_riskiest_threads_is_about_those():
    chat = Chat(support_ops.answer)
    chat.ask("Summarize the riskiest support threads.")
    listed = {row[0] for row in chat.table["rows"]}
    reply = chat.ask("Turn that into a two-step triage plan.")
    assert "for the 5 open threads listed above" in reply
    assert len(numbered(reply)) == 2
    assert set(re.findall(r"T-\d+", reply)) <= listed


def test_one_message_can_ask_for_ranking_and_plan():
    reply = Chat(support_ops.answer).ask(
        "List the riskiest billing threads and make a two-step plan."
    )
    ranked, plan = reply.split("**Two-step triage plan**")
    assert plan.startswith(" for the 5 open threads listed above")
    assert set(re.findall(r"T-\d+", plan)) <= set(re.findall(r"T-\d+", ranked))


@pytest.mark.parametrize("before", ["", "How many threads are waiting for review?"])
@pytest.mark.parametrize("number", range(1, 9))
def test_plan_has_the_requested_number_of_steps(number, before):
    chat = Chat(support_ops.answer)
    if before:
        chat.ask(before)
    for written in (str(number), scripting.spelled(number)):
        for question in (f"Make a {written} step plan", f"a triage plan in {written} clear steps"):
            steps = numbered(chat.ask(question))
            assert len(steps) == len(set(steps)) == number
            assert all(re.search(r"\d", step) and step.endswith(".") for step in steps)


def test_no_thread_is_in_two_steps():
    ids = re.findall(r"T-\d+", " ".join(triage.plan_steps(OPEN, triage.MOST_STEPS)))
    assert len(ids) == len(set(ids)) == 18


def test_plan_names_its_selection_and_has_three_steps_by_default():
    rows = [thread for thread in OPEN if thread.queue == "billing"]
    reply = Chat(support_ops.answer).ask("Make a triage plan for billing")
    assert f"**Three-step triage plan** for the {len(rows)} open billing threads" in reply
    assert set(re.findall(r"T-\d+", reply)) <= {thread.id for thread in rows}
    assert len(numbered(reply)) == 3


def test_plan_with_too_many_steps_says_so():
    reply = Chat(support_ops.answer).ask("Make a 12 step plan")
    assert len(numbered(reply)) == triage.MOST_STEPS == 9
    assert "You asked for 12 steps, but these threads need only nine." in reply


@pytest.mark.parametrize("before", ["", "the 3 riskiest"])
def test_one_sentence_plan_covers_the_current_queue(before):
    chat = Chat(support_ops.answer)
    chat.session.history.append(Turn("", ""))  # no note at the end
    if before:
        chat.ask(before)
    plan = chat.ask("Give me a one-sentence triage plan for the current support queue.")
    assert plan.startswith(f"For the {len(OPEN)} open threads, answer")
    assert f"**{busiest(OPEN)[0]}**" in plan
    assert re.findall(r"[.!?](?=\s|$)", plan) == ["."]
    assert "\n" not in plan


def test_plan_without_an_earlier_answer_is_for_all_open_threads():
    reply = Chat(support_ops.answer).ask("Turn that into a two-step triage plan.")
    assert f"for the {len(OPEN)} open threads:" in reply


def test_resolved_threads_are_not_ranked_or_triaged():
    chat = Chat(support_ops.answer)
    assert chat.ask("the riskiest resolved threads").startswith("None of these threads are open")
    assert chat.ask("a plan for resolved threads").startswith("None of these threads are open")


# ------------------------------------------------------------------ deal-desk and diet-coach


@pytest.mark.parametrize(
    ("sentence", "total"),
    [
        ("Quote 25 seats at $49 with 15% off for a year", "$12,495.00"),
        ("10 seats", "$5,880.00"),
        ("3 seats at $49.99 for 18 months", "$2,699.46"),
        ("10 people for 2 years at $30", "$7,200.00"),
        ("7 seats at $33.33 for 1 month with 3% off", "$226.31"),
        ("1000 users at $1200.50 for 3 years, 100% off", "$0.00"),
    ],
)
def test_quote_is_exact_to_the_cent(sentence, total):
    chat = Chat(deal_desk.answer)
    assert f"The quote is **{total}**" in chat.ask(sentence)
    assert chat.table["rows"][-1] == ["Total", "", total]


def test_follow_up_changes_one_term_of_the_quote():
    chat = Chat(deal_desk.answer)
    chat.ask("Quote 25 seats at $49 with 15% off for a year")
    totals = ("$11,760.00", "$18,816.00", "$37,632.00")
    for question, total in zip(
        ("Make it 20% off", "What about 40 seats?", "For 24 months"), totals, strict=True
    ):
        assert f"The quote is **{total}**" in chat.ask(question)
        assert [block["type"] for block in chat.blocks] == ["table_preview", "suggestions"]


@pytest.mark.parametrize("text", ["Quote $49 for a year", "1,000 seats", "hello"])
def test_quote_without_a_number_of_seats_asks_for_it(text):
    chat = Chat(deal_desk.answer)
    assert "Tell me the number of seats" in chat.ask(text)
    assert [block["type"] for block in chat.blocks] == ["suggestions"]


def test_calories_are_added_up_over_a_conversation():
    chat = Chat(diet_coach.answer)
    assert "| egg | 2 | 144 kcal |\n| banana | 1 | 105 kcal |" in chat.ask("Two eggs and a banana")
    assert "**249 kcal**" in chat.ask("What is my total so far?")
    assert "| tomato | 12 | 264 kcal |" in chat.ask("12 tomatoes")
    assert "**513 kcal**" in chat.ask("total")
    assert "**0 kcal**" in Chat(diet_coach.answer).ask("total")


# ------------------------------------------------------------------ all apps


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
def test_first_reply_says_that_no_model_is_used(app):
    chat = Chat(app)
    first = chat.ask("hello")
    note = first.splitlines()[-1]
    assert note.startswith("*This app is a scripted demo that uses ") and note.endswith(f"{NOTE}*")
    assert NOTE not in chat.ask("hello")


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
def test_suggested_questions_are_understood(app):
    chat = Chat(app)
    chat.ask("hello")
    (block,) = chat.blocks
    examples = [suggestion["value"] for suggestion in block["payload"]["suggestions"]]
    assert len(examples) >= 2
    for example in examples:
        follow_up = Chat(app)
        assert chat.session.history[0].reply != follow_up.ask(example)
        assert block not in follow_up.blocks


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
def test_same_conversation_has_the_same_answers_and_block_ids(app):
    first, second = Chat(app), Chat(app)
    for question in (*support_ops.EXAMPLES, "10 seats", "two eggs", "Make a plan"):
        assert first.ask(question) == second.ask(question)
        assert first.blocks == second.blocks
        assert len({block["id"] for block in first.blocks}) == len(first.blocks)


ODD = [
    "",
    " \n\t",
    "🎉🎉🎉",
    "¿Cuántos hilos esperan revisión?",
    "有多少线程在等待审核？",
    "(((((.*+?[^$|\\",
    "\x00\ud800",
    "9" * 50,
    "² half ٣ eggs, ٣ seats 1/0 ½ %",
    *(unit * 200_000 for unit in ("a", "1,", "find ", "two eggs ", "not billing or ", "$1 a ")),
]


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
def test_odd_and_long_input_is_answered(app):
    for text in ODD:
        chat = Chat(app)
        assert chat.ask(text).endswith(f"{NOTE}*")
        assert chat.ask(text).strip()


WORDS = (
    "how many which find about refunds or and not waiting for review customer urgent billing by "
    "queue status riskiest top three 0 12 step plan one sentence that those thread threads quote "
    "25 seats at $49 15% off a year month no discount two eggs half g rice kg total start over"
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS.split()), st.text(max_size=6)), max_size=14))
def test_any_sequence_of_words_is_answered(words):
    for app in APPS.values():
        chat = Chat(app)
        assert chat.ask(" ".join(words)).endswith(f"{NOTE}*")
        assert chat.ask(" ".join(reversed(words))).strip()
