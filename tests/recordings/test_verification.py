"""`--verify`: the live service is asked again, and what differs is shown."""

import json

import pytest
from gateway import APP, DONE, as_json, event, failed, streamed, words

import cpsl
from cpsl_notebook import recording, replay


@pytest.fixture
def recorded(gateway, live, tmp_path):
    """Record one call of each kind, and return the file."""
    file = tmp_path / "answers.jsonl"
    gateway.on("get_earnings", failed(503, "later"))
    with recording(file, live) as client:
        first = client.chat(APP, "How many?")
        list(client.stream(APP, "Make a plan.", first.session_id))
        client.list_payments(APP)
        client.create_checkout(APP)
        with pytest.raises(cpsl.GatewayError):
            client.get_earnings(APP)
    return file


def test_same_answers_have_no_differences(gateway, live, recorded):
    gateway.on("get_earnings", failed(503, "later"))
    gateway.on("chat", as_json({"replies": [{"text": "You said How many?"}], "session_id": "s-9"}))
    other_chunks = words("You ", "said Make a plan.")
    gateway.on("stream", streamed(*other_chunks, event({"request_id": "r-9"}, "done")))
    result = replay(recorded).verify(live)
    assert (result.same, result.skipped, result.differences) == (4, 1, [])
    assert str(result) == "As recorded: 4, different: 0, skipped: 1."
    assert gateway.count("create_checkout") == 1  # while recording


def test_conversations_are_continued_under_their_new_ids(gateway, live, recorded):
    gateway.on("chat", as_json({"replies": [{"text": "You said How many?"}], "session_id": "s-9"}))
    replay(recorded).verify(live)
    assert [r.session_id for r in gateway.requests if r.call == "stream"] == ["s-1", "s-9"]


def test_differences_are_shown_for_each_call(gateway, live, recorded):
    gateway.on("chat", as_json({"replies": [{"text": "Five."}], "session_id": "s-1"}))
    gateway.on("stream", streamed(*words("First "), failed_event(), DONE))
    gateway.on("list_payments", as_json([{"id": "p-1", "gross_cents": 1600}]))
    result = replay(recorded).verify(live)
    # Of an error, the first sentence: the client words the advice that follows.
    shown = [
        line.partition(".")[0] if "error" in line else line
        for line in str(result).splitlines()
        if "ask again" not in line
    ]
    assert [line for line in shown if not line.startswith("+ ") or ":" in line] == [
        "As recorded: 0, different: 4, skipped: 1.",
        "",
        f"chat of {APP}: How many? (- recorded, + live)",
        "-You said How many?",
        "+Five.",
        "",
        f"stream of {APP}: Make a plan. (- recorded, + live)",
        "-You said Make a plan.",
        "+error GatewayError: The app reported an error: out of memory",
        "",
        f"list_payments of {APP} (- recorded, + live)",
        '-  "gross_cents": 1500,',
        '+  "gross_cents": 1600,',
        "",
        f"get_earnings of {APP} (- recorded, + live)",
        "-error GatewayError: The gateway failed (503): later",
        "+{",
        '+ "gross_cents": 1500',
        "+}",
    ]


def failed_event():
    return event({"error": "out of memory"}, "error")


def test_masked_recording_is_compared_without_payers(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    gateway.on("list_payments", *[as_json([{"payer": "ada@a.example"}])] * 2)
    with recording(file, live, mask="a key") as client:
        client.list_payments(APP)
    assert str(replay(file).verify(live)) == "As recorded: 1, different: 0."


def test_stopped_streams_are_skipped(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    with recording(file, live) as client, client.stream(APP, "Hello") as stream:
        next(stream)
    assert replay(file).verify(live).skipped == 1
    assert gateway.count("stream") == 1


def test_verifying_does_not_change_the_file(gateway, live, recorded):
    before = recorded.read_bytes()
    replay(recorded).verify(live)
    assert recorded.read_bytes() == before
    assert len([json.loads(line) for line in before.splitlines()]) == 6
