"""Which recorded answer a request gets."""

import json

import pytest

from cpsl_notebook import replay
from cpsl_notebook.recordings.callers import calling
from cpsl_notebook.recordings.replayer import NotRecordedError

HEADER = {"capsule_recording": 1, "recorded_at": "2026-11-01T08:00:00Z"}


@pytest.fixture
def recorded(tmp_path):
    """Return a function that writes a recording of chats and opens it."""

    def write(*chats, **options):
        file = tmp_path / "answers.jsonl"
        entries = [
            {
                "call": n,
                "at": "2026-11-01T08:00:00Z",
                "method": "chat",
                "app": "support-ops",
                "text": text,
                "session_id": session_id,
                "answer": {"text": said, "session_id": answered, "request_id": "", "raw": {}},
            }
            for n, (text, session_id, said, answered) in enumerate(chats, start=1)
        ]
        file.write_text("".join(json.dumps(line) + "\n" for line in [HEADER, *entries]))
        return replay(file, **options)

    return write


def said(client, *requests):
    return [client.chat("support-ops", text, session).text for text, session in requests]


def test_same_question_is_answered_in_order_and_again_from_the_start(recorded):
    client = recorded(*(("Roll", None, str(n), f"s-{n}") for n in range(3)))
    assert said(client, *[("Roll", None)] * 6) == ["0", "1", "2"] * 2


def test_order_is_that_of_the_calls_and_not_of_the_lines(recorded, tmp_path):
    recorded(*(("Roll", None, str(n), f"s-{n}") for n in range(3)))
    header, *entries = (tmp_path / "answers.jsonl").read_text().splitlines()
    # Of two streams at the same time, the one that ends first is written first.
    (tmp_path / "other.jsonl").write_text("\n".join([header, *reversed(entries)]))
    assert said(replay(tmp_path / "other.jsonl"), *[("Roll", None)] * 3) == ["0", "1", "2"]


def test_same_question_in_two_conversations_is_answered_in_each(recorded):
    client = recorded(
        ("Hello", None, "one", "s-1"),
        ("Hello", None, "two", "s-2"),
        ("More", "s-1", "more of one", "s-1"),
        ("More", "s-2", "more of two", "s-2"),
    )
    assert said(client, ("More", "s-2"), ("More", "s-1"), ("More", "s-2")) == [
        *("more of two", "more of one", "more of two"),
    ]


def test_first_cell_of_a_conversation_is_answered_again_when_it_is_run_again(recorded):
    client = recorded(("Hello", None, "one", "s-1"), ("Hello", None, "two", "s-2"))
    # The notebook now sends the session id, which it did not have at first.
    assert said(client, ("Hello", None), ("Hello", "s-1"), ("Hello", "s-1")) == ["one"] * 3


def test_repeated_question_of_one_conversation_is_answered_in_order_again(recorded):
    client = recorded(
        ("Next", None, "1", "s-1"), ("Next", "s-1", "2", "s-1"), ("Next", "s-1", "3", "s-1")
    )
    first = said(client, ("Next", None), ("Next", "s-1"), ("Next", "s-1"))
    again = said(client, *[("Next", "s-1")] * 3)
    assert first == again == ["1", "2", "3"]


def test_unknown_conversation_gets_the_recorded_answer(recorded):
    client = recorded(("Hello", "s-1", "one", "s-1"))
    assert said(client, ("Hello", "another")) == ["one"]


def test_strict_gives_each_answer_once(recorded):
    client = recorded(("Hello", None, "one", "s-1"), ("Hello", None, "two", "s-2"), strict=True)
    assert said(client, ("Hello", None), ("Hello", None)) == ["one", "two"]
    with pytest.raises(NotRecordedError, match="a strict replay gives each only once"):
        said(client, ("Hello", None))


def asked_by(client, name, run, *requests):
    with calling(name, run):
        return said(client, *requests)


def test_cell_that_is_run_again_gets_its_own_answer_again(recorded):
    """The cells ask the same question, and only the second of them is run again."""
    client = recorded(("Roll", None, "1", "s-1"), ("Roll", "s-1", "2", "s-1"))
    assert asked_by(client, "a", 1, ("Roll", None)) == ["1"]
    assert asked_by(client, "b", 2, ("Roll", "s-1")) == ["2"]
    assert asked_by(client, "b", 3, ("Roll", "s-1")) == ["2"]
    assert asked_by(client, "b", 4, ("Roll", "s-1")) == ["2"]
    assert asked_by(client, "a", 5, ("Roll", "s-1")) == ["1"]
    assert asked_by(client, "b", 6, ("Roll", "s-1")) == ["2"]


def test_loop_in_a_cell_gets_its_answers_again_in_order(recorded):
    client = recorded(*(("Roll", None, str(n), f"s-{n}") for n in range(4)))
    assert asked_by(client, "a", 1, *[("Roll", None)] * 3) == ["0", "1", "2"]
    assert asked_by(client, "b", 2, ("Roll", None)) == ["3"]
    assert asked_by(client, "a", 3, *[("Roll", None)] * 3) == ["0", "1", "2"]
    assert asked_by(client, "b", 4, ("Roll", None)) == ["3"]


def test_recorded_caller_gets_its_own_answer_in_any_order(recorded, tmp_path):
    recorded(*(("Roll", None, str(n), f"s-{n}") for n in range(3)))
    header, *entries = map(json.loads, (tmp_path / "answers.jsonl").read_text().splitlines())
    for entry, caller in zip(entries, "abc", strict=True):
        entry["caller"] = caller
    file = tmp_path / "cells.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in (header, *entries)))
    client = replay(file)
    for run in (1, 2):
        assert [asked_by(client, name, run, ("Roll", None)) for name in "cab"] == [
            *(["2"], ["0"], ["1"]),
        ]
    assert said(replay(file), *[("Roll", None)] * 4) == ["0", "1", "2", "0"]  # unknown callers
    strict = replay(file, strict=True)
    assert asked_by(strict, "b", 1, ("Roll", None)) == ["1"]
    assert asked_by(strict, "b", 2, ("Roll", None)) == ["0"]  # an answer that is not used yet


def test_request_that_was_not_recorded_shows_the_nearest_one(recorded):
    client = recorded(
        ("How many threads are waiting for review?", None, "4", "s-1"),
        ("Turn that into a two-step triage plan.", "s-1", "First …", "s-1"),
    )
    with pytest.raises(NotRecordedError) as raised:
        client.chat("support-ops", "Turn that into a three-step triage plan.")
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("chat of support-ops is not recorded in ")
    assert 'or pass missing="live" to replay() to ask the service.' in lines[0]
    assert lines[0].endswith("The nearest recorded request differs (- recorded, + requested):")
    assert lines[1:] == [
        "-text: Turn that into a two-step triage plan.",
        "-session_id: s-1",
        "+text: Turn that into a three-step triage plan.",
    ]


def test_difference_deep_in_a_long_prompt_is_shown(recorded):
    long = "word " * 400
    client = recorded((f"{long}old{long}", None, "4", "s-1"))
    with pytest.raises(NotRecordedError) as raised:
        client.chat("support-ops", f"{long}new{long}")
    removed, added = str(raised.value).splitlines()[1:]
    assert "old" in removed and "new" in added and len(removed) < 100


def test_method_that_was_not_recorded_names_those_that_were(recorded):
    client = recorded(("Hello", None, "one", "s-1"))
    with pytest.raises(NotRecordedError, match=r"no call of get_earnings; it has chat\."):
        client.get_earnings("support-ops")


def test_not_recorded_is_a_readable_error(recorded):
    with pytest.raises(NotRecordedError) as raised:
        recorded().list_apps()
    (shown,) = raised.value._render_traceback_()
    assert shown.startswith("NotRecordedError: list_apps is not recorded in ")
    assert shown.endswith("The recording has no call of list_apps; it has nothing else.")
