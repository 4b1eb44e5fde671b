"""What `recording` writes, `replay` gives back: against a real gateway, with real errors."""

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from gateway import (
    APP,
    DONE,
    HOLD,
    answer,
    as_json,
    cut,
    event,
    failed,
    interrupted_when,
    rate_limited,
    stalled,
    streamed,
    words,
)

import cpsl
from cpsl_notebook import Client, UserError, recording, replay
from cpsl_notebook.errors import StoppedError, UsageError
from cpsl_notebook.recordings.replayer import NotRecordedError
from cpsl_notebook.recordings.running import current_recording


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers.jsonl"


def lines(file):
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def outcome(call):
    """Return what a call gave: its value, its chunks, or the kind and words of its error."""
    chunks = []
    try:
        value = call()
        if not hasattr(value, "__next__"):
            return value
        for chunk in value:
            chunks.append((chunk.event, chunk.data, chunk.text, chunk.done))
    except Exception as error:
        return chunks, type(error), str(error), vars(error)
    return chunks


# Each documented method, and the ways in which it can go wrong.
CALLS = {
    "get_app": lambda client: client.get_app(APP),
    "create_checkout": lambda client: client.create_checkout(APP, "https://shop.example"),
    "list_payments": lambda client: client.list_payments(APP),
    "get_earnings": lambda client: client.get_earnings(APP),
    "chat": lambda client: client.chat(APP, "Hello", "s-1"),
    "stream": lambda client: client.stream(APP, "Hello"),
}
ERRORS = {
    "rate limited": rate_limited(after=7),
    "failed": failed(503),
    "refused token": failed(401),
    "not found": failed(404),
    "invalid": failed(422),
    "not JSON": answer(b"<html>"),
}


@pytest.mark.parametrize("name", CALLS)
def test_replay_returns_what_was_recorded(name, live, file):
    with recording(file, live) as client:
        recorded = outcome(lambda: CALLS[name](client))
    assert outcome(lambda: CALLS[name](replay(file))) == recorded


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("what", ERRORS)
def test_replay_raises_the_recorded_error(name, what, gateway, live, file):
    gateway.on("get_app" if name == "create_checkout" else name, ERRORS[what])
    with recording(file, live) as client:
        recorded = outcome(lambda: CALLS[name](client))
    assert isinstance(recorded, tuple) and issubclass(recorded[1], cpsl.CapsuleError)
    assert outcome(lambda: CALLS[name](replay(file))) == recorded


def test_list_apps_is_recorded_with_names_that_ids_stand_for(workspace, file):
    with recording(file, workspace.client()) as client:
        apps = client.list_apps()
        by_name = client.get_earnings("support-ops")
    replayed = replay(file)
    assert replayed.list_apps() == apps
    ids = {app["name"]: app["id"] for app in apps}
    assert replayed.get_earnings(ids["support-ops"]) == by_name


STREAMS = {
    "a cut connection": cut(
        streamed(*words("Four ", "threads"), DONE, framing="length"), after=-20
    ),
    "an error event": streamed(*words("Four "), event({"error": "out of memory"}, "error")),
    "blocks": streamed(event({"block": {"id": 1, "type": "image", "payload": {}}}, "block"), DONE),
    "half characters": streamed(event({"text": "\ud83d"}), event({"text": "\ude00"}), DONE),
    "line separators": streamed(*words("a\u2028b\x85c\r\n"), DONE),
    "no JSON": streamed(b"data: Four\n\n", DONE),
}


@pytest.mark.parametrize("what", STREAMS)
def test_replay_gives_the_same_chunks(what, gateway, live, file):
    gateway.on("stream", STREAMS[what])
    with recording(file, live) as client:
        recorded = outcome(lambda: client.stream(APP, "Hello"))
    assert recorded
    assert outcome(lambda: replay(file).stream(APP, "Hello")) == recorded


def test_recorded_stream_behaves_like_the_stream_of_the_client(live, file):
    with recording(file, live) as client, client.stream(APP, "Hello") as stream:
        assert "".join(chunk.text for chunk in stream) == stream.text == "You said Hello"
        assert (stream.session_id, stream.request_id, stream.complete) == ("s-1", "r-1", True)
    with replay(file).stream(APP, "Hello") as replayed:
        assert "".join(chunk.text for chunk in replayed) == replayed.text == "You said Hello"
        assert (replayed.session_id, replayed.request_id) == ("s-1", "r-1")
        assert replayed.complete


def test_every_answer_is_a_new_object(live, file):
    with recording(file, live) as client:
        client.list_payments(APP)
    replayed = replay(file)
    replayed.list_payments(APP).clear()
    assert replayed.list_payments(APP) == [{"id": "p-1", "gross_cents": 1500}]


def test_stream_that_was_left_early_is_recorded_as_stopped(gateway, live, file):
    gateway.on("stream", streamed(*words("Four ", "threads"), HOLD))
    with recording(file, live) as client, client.stream(APP, "Hello") as stream:
        assert next(stream).text == "Four "
    entry = lines(file)[1]
    assert entry["stopped"] is True
    assert [chunk["data"] for chunk in entry["chunks"]] == [{"text": "Four "}]
    replayed = replay(file).stream(APP, "Hello")
    assert next(replayed).text == "Four "
    with pytest.raises(StoppedError, match="the recorded reply was stopped"):
        next(replayed)
    assert list(replayed) == []


def test_stream_that_is_left_at_its_last_chunk_is_complete(live, file):
    with recording(file, live) as client:
        stream = client.stream(APP, "Hello")
        assert [next(stream).done for _ in range(3)] == [False, False, True]
        assert "stopped" not in lines(file)[1]
        stream.close()
    assert len(lines(file)) == 2


def test_interrupted_stream_is_recorded_as_stopped(gateway, live, file):
    gateway.on("stream", streamed(*words("Four "), HOLD))
    with recording(file, live) as client:
        stream = client.stream(APP, "Hello")
        next(stream)
        wait = threading.Event()
        interrupted = interrupted_when(lambda: wait.wait(0.1), KeyboardInterrupt)
        with interrupted, pytest.raises(KeyboardInterrupt):
            next(stream)
    assert lines(file)[1]["stopped"] is True


def test_interrupted_chat_is_recorded_as_stopped(file):
    class Interrupted:
        def chat(self, app, text, session_id):
            raise KeyboardInterrupt

        def get_app(self, app):
            raise KeyboardInterrupt

    with recording(file, Interrupted()) as client:
        with pytest.raises(KeyboardInterrupt):
            client.chat(APP, "Hello")
        with pytest.raises(KeyboardInterrupt):
            client.get_app(APP)
    (entry,) = lines(file)[1:]
    assert (entry["method"], entry["stopped"]) == ("chat", True)
    with pytest.raises(StoppedError):
        replay(file).chat(APP, "Hello")


def test_stream_that_was_never_read_is_not_recorded(gateway, live, file):
    with recording(file, live) as client:
        client.stream(APP, "Hello").close()
    assert (gateway.count("stream"), len(lines(file))) == (0, 1)


def test_lines_say_when_and_how_long(gateway, live, file):
    before = datetime.now(UTC).replace(microsecond=0)
    with recording(file, live) as client:
        client.chat(APP, "Hello")
        client.list_payments(APP)
    header, chat, payments = lines(file)
    assert header["capsule_recording"] == 1
    times = [header["recorded_at"], chat["at"], payments["at"], payments["read_at"]]
    assert all(before <= datetime.fromisoformat(time) <= datetime.now(UTC) for time in times)
    assert (chat["call"], payments["call"]) == (1, 2)
    assert 0 <= chat["seconds"] < 60
    assert chat["gateway"] == replay(file).gateway_url == gateway.url


# Which clients are recorded.


def test_every_notebook_client_is_recorded_on_every_thread(workspace, file):
    before = workspace.client()
    with recording(file), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: before.chat("support-ops", f"Question {n}"), range(8)))
        workspace.client().list_apps()
    before.chat("support-ops", "Not recorded")
    recorded = lines(file)[1:]
    texts = {entry["text"] for entry in recorded if entry["method"] == "chat"}
    assert texts == {f"Question {n}" for n in range(8)}
    assert {entry["method"] for entry in recorded} == {"chat", "list_apps"}
    assert sorted(entry["call"] for entry in recorded) == list(range(1, 10))


def test_notebook_client_over_a_recorded_client_is_recorded_once(live, file):
    with recording(file, live) as client:
        Client(client).get_app(APP)
    assert len(lines(file)) == 2


def test_name_that_the_directory_does_not_have_is_recorded_as_an_error(workspace, file):
    with recording(file), pytest.raises(UserError) as recorded:
        workspace.client().chat("suport-ops", "Hello")
    with pytest.raises(UserError) as replayed:
        Client(replay(file)).chat("suport-ops", "Hello")
    assert str(replayed.value) == str(recorded.value)
    assert replayed.value._render_traceback_() == recorded.value._render_traceback_()


def test_second_recording_is_refused_while_one_is_running(live, file, tmp_path):
    other = recording(tmp_path / "other.jsonl", live)
    with recording(file, live), pytest.raises(UserError, match="is running"):
        other.start()
    assert not (tmp_path / "other.jsonl").exists()


def test_timeout_reaches_the_client(gateway, live, file):
    gateway.on("chat", stalled())
    with recording(file, live) as client, pytest.raises(cpsl.TimedOutError):
        client.chat(APP, "Hello", timeout=0.05)
    with pytest.raises(TimeoutError):
        replay(file).chat(APP, "Hello", timeout=0.05)


# Replaying.


def test_replay_needs_no_gateway_and_no_credentials(gateway, live, file):
    with recording(file, live) as client:
        client.chat(APP, "Hello")
    count = len(gateway.requests)
    assert replay(file).chat(APP, "Hello").text == "You said Hello"
    assert len(gateway.requests) == count


def test_replay_on_many_threads_gives_each_its_own_answer(live, file):
    with recording(file, live) as client:
        for number in range(50):
            client.chat(APP, f"Question {number}")
    replayed = replay(file, strict=True)
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda n: replayed.chat(APP, f"Question {n}").text, range(50))
        assert list(replies) == [f"You said Question {n}" for n in range(50)]


def test_replay_can_be_pickled(live, file):
    with recording(file, live) as client:
        client.chat(APP, "Hello")
    copy = pickle.loads(pickle.dumps(replay(file, strict=True)))
    assert copy.chat(APP, "Hello").text == "You said Hello"
    with pytest.raises(NotRecordedError):
        copy.chat(APP, "Hello")


def test_recorded_client_cannot_be_sent_to_another_process(live, file):
    with recording(file, live) as client, pytest.raises(UserError, match="Use threads"):
        pickle.dumps(client)


def test_client_with_other_options_is_recorded_too(live, file):
    class WithOptions:
        def __init__(self, **options):
            self.options = options

        def with_options(self, **options):
            return WithOptions(**options)

        def get_app(self, app):
            return self.options

    with recording(file, WithOptions()) as client:
        assert client.with_options(max_retries=0).get_app("a") == {"max_retries": 0}
    assert replay(file).with_options(max_retries=0).get_app("a") == {"max_retries": 0}


def slow_recording(file, seconds=0.4):
    """Record a stream of three chunks that took a while, by hand."""
    chunks = [
        {"after": number * seconds, "event": "message", "data": {"text": f"{number} "}}
        for number in range(3)
    ]
    entry = {"call": 1, "at": "2026-11-01T08:00:00Z", "seconds": 2 * seconds, "app": "a"}
    header = {"capsule_recording": 1, "recorded_at": "2026-11-01T08:00:00Z"}
    stream = entry | {"method": "stream", "text": "x", "chunks": chunks}
    earnings = entry | {"method": "get_earnings", "answer": {}}
    file.write_text("\n".join(map(json.dumps, (header, stream, earnings))))


def arrivals(stream):
    started = time.monotonic()
    return [time.monotonic() - started for _ in stream]


def test_speed_is_relative_to_the_recorded_times(file):
    slow_recording(file)
    as_recorded = arrivals(replay(file, speed=1).stream("a", "x"))
    assert as_recorded[1] >= 0.4 and as_recorded[2] >= 0.8
    assert arrivals(replay(file, speed=4).stream("a", "x"))[2] >= 0.2
    slow_recording(file, seconds=3600)
    assert len(arrivals(replay(file).stream("a", "x"))) == 3  # at once, or the test times out


def test_speed_applies_to_answers_that_are_not_streamed(file):
    slow_recording(file)
    started = time.monotonic()
    replay(file, speed=2).get_earnings("a")
    assert time.monotonic() - started >= 0.4


def test_replayed_stream_is_closed_from_another_thread(file):
    slow_recording(file, seconds=3600)
    stream = replay(file, speed=1).stream("a", "x")
    assert next(stream).text == "0 "
    threading.Timer(0.1, stream.close).start()
    assert list(stream) == []  # an hour early


def test_replayed_stream_is_stopped_by_an_interrupt(file):
    slow_recording(file, seconds=3600)
    stream = replay(file, speed=1).stream("a", "x")
    assert next(stream).text == "0 "
    wait = threading.Event()
    interrupted = interrupted_when(lambda: wait.wait(0.1), KeyboardInterrupt)
    with interrupted, pytest.raises(KeyboardInterrupt):
        next(stream)


@pytest.mark.parametrize(
    "options",
    [
        *({"speed": speed} for speed in (-1, float("nan"), float("inf"), "x", None, True)),
        *({"missing": missing} for missing in ("skip", None, 5)),
        *({"strict": strict} for strict in ("no", None)),
        {"missing": "live", "client": "x"},
    ],
)
def test_invalid_options_are_refused(options, file):
    slow_recording(file)
    with pytest.raises(UsageError, match=" must be "):
        replay(file, **options)


@pytest.mark.parametrize("make", [recording, replay])
@pytest.mark.parametrize("name", [5, None, b"a.jsonl", "", "a\0b", "~no-such-user/a.jsonl"])
def test_file_that_is_not_a_path_is_refused(make, name):
    with pytest.raises(UsageError) as raised:
        make(name)
    assert str(raised.value) == f'file must be a path, such as "answers.jsonl", not {name!r}.'


def test_folder_is_named_as_such(tmp_path):
    with pytest.raises(UserError) as raised, recording(tmp_path):
        pass
    assert str(raised.value) == f"Cannot write {tmp_path} (Is a directory). Choose another file."
    with pytest.raises(UserError, match=r"Cannot read the recording .* \(Is a directory\)"):
        replay(tmp_path)


@pytest.mark.parametrize("mask", [5, None, "", " "])
def test_invalid_mask_is_refused(mask, file):
    with pytest.raises(UsageError, match=r"^mask must be True, False or a key"):
        recording(file, mask=mask)


def test_recording_of_something_else_than_a_client_is_refused(file):
    with pytest.raises(UsageError, match=r"^client must be a cpsl\.Client .*, not 'x'\.$"):
        recording(file, "x").start()
    assert not file.exists() and current_recording() is None


# A replay is not the service.


@pytest.mark.parametrize("wrap", [lambda client: client, Client], ids=["replay", "Client"])
def test_client_that_replays_is_not_taken_for_a_live_one(wrap, live, file, tmp_path):
    with recording(file, live) as client:
        client.chat(APP, "Hello")
    before = file.read_bytes()
    other = tmp_path / "other.jsonl"
    for use in (
        lambda client: replay(file, missing="live", client=client),
        lambda client: replay(file).verify(client),
        lambda client: recording(other, client).__enter__(),
        lambda client: recording(other, client).start(),
    ):
        with pytest.raises(
            UsageError, match=r"is not a live client\. Pass a client of the service"
        ):
            use(wrap(replay(file)))
    assert file.read_bytes() == before and not other.exists()


def test_client_that_replays_is_not_recorded(live, file, tmp_path):
    with recording(file, live) as client:
        client.chat(APP, "Hello")
    other = tmp_path / "other.jsonl"
    replaying = Client(replay(file))
    with recording(other, live):
        assert replaying.chat(APP, "Hello").text == "You said Hello"
        with pytest.raises(NotRecordedError):
            replaying.chat(APP, "More")
    assert len(lines(other)) == 1


def test_errors_of_the_notebook_are_not_recorded(file):
    class WithoutTimeout:
        def chat(self, app, text, session_id):
            raise NotRecordedError("not in another recording")

    with recording(file, WithoutTimeout()) as client:
        with pytest.raises(UserError, match="no timeout setting"):
            client.chat(APP, "Hello", timeout=1)
        with pytest.raises(NotRecordedError):
            client.chat(APP, "Hello")
    assert len(lines(file)) == 1


# Two kernels.

OTHER_KERNEL = """
import sys
from cpsl_notebook import recording
recording(sys.argv[1]).start()
print("started", flush=True)
sys.stdin.read()
"""


def test_file_that_another_kernel_records_is_refused(root, live, file):
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_KERNEL, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as other:
        assert other.stdout.readline() == b"started\n"
        before = file.read_bytes()
        with pytest.raises(UserError) as raised:
            recording(file, live).start()
        assert str(raised.value) == (
            f"Another kernel is recording to {file}, or a replay adds what is missing to it. Stop "
            "that, or choose another file."
        )
        with pytest.raises(UserError, match="Another kernel is recording to"):
            replay(file, missing="live", client=live)
        assert replay(file).file.path == file  # reading needs no lock
        assert file.read_bytes() == before and current_recording() is None
        other.stdin.close()
    for _ in range(2):  # `stop` gives the file up
        with recording(file, live) as client:
            client.chat(APP, "Hello")
    assert len(lines(file)) == 2


ADDING_KERNEL = """
import sys
import cpsl
from cpsl_notebook import replay
client = replay(sys.argv[1], missing="live", client=cpsl.Client("t", "http://127.0.0.1:9"))
print("started", flush=True)
sys.stdin.readline()
client.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def test_file_to_which_another_kernel_adds_is_not_replaced(root, live, file):
    with recording(file, live) as client:
        client.chat(APP, "Hello")
    before = file.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", ADDING_KERNEL, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as other:
        assert other.stdout.readline() == b"started\n"
        with pytest.raises(UserError, match="or a replay adds what is missing to it"):
            recording(file, live).start()
        assert file.read_bytes() == before
        also = replay(file, missing="live", client=live)  # several may add
        assert also.chat(APP, "More").text == "You said More"
        other.stdin.write(b"\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"closed\n"
        with pytest.raises(UserError, match="or a replay adds what is missing to it"):
            recording(file, live).start()
        del also  # frees the file, too
        with recording(file, live) as client:
            client.chat(APP, "Hello")
        other.stdin.close()
    assert len(lines(file)) == 2


def test_recorded_at_is_that_of_the_answer(file, live):
    slow_recording(file)
    replayed = replay(file, missing="live", client=live)
    replayed.get_earnings("a")
    assert replayed.recorded_at == datetime(2026, 11, 1, 8, tzinfo=UTC)
    replayed.get_app(APP)
    assert replayed.recorded_at is None  # live


# Requests that were not recorded.


def test_missing_live_asks_the_service_and_appends(gateway, live, file):
    with recording(file, live) as client:
        client.chat(APP, "Hello")
    replayed = replay(file, missing="live", client=live)
    assert replayed.chat(APP, "Hello").text == "You said Hello"
    assert replayed.chat(APP, "More").text == "You said More"
    assert "".join(chunk.text for chunk in replayed.stream(APP, "More")) == "You said More"
    assert gateway.messages == {"Hello": 1, "More": 2}
    assert replayed.chat(APP, "More").text == "You said More"
    again = replay(file)
    assert again.chat(APP, "More").text == "You said More"
    assert [chunk.text for chunk in again.stream(APP, "More")] == ["You said ", "More", ""]
    assert [entry["call"] for entry in lines(file)[1:]] == [1, 2, 3]
    assert gateway.messages == {"Hello": 1, "More": 2}


# DataFrames.


def test_frames_are_those_of_the_live_service(workspace, file):
    with recording(file):
        live = workspace.client()
        payments, earnings, apps = live.list_payments(), live.get_earnings(), live.list_apps()
    replayed = Client(replay(file))
    for frame, method in (
        (payments, replayed.list_payments),
        (earnings, replayed.get_earnings),
        (apps, replayed.list_apps),
    ):
        again = method()
        assert again.equals(frame) and list(again.dtypes) == list(frame.dtypes)
        assert again.attrs == frame.attrs
    assert payments.attrs["read_at"] == "2026-10-31T23:59:59Z"


def test_amounts_are_replayed_exactly(gateway, live, file):
    gateway.on("list_payments", as_json([{"id": 2**70, "gross": 0.1 + 0.2, "fee": 1e-9}]))
    with recording(file, live) as client:
        recorded = client.list_payments(APP)
    assert replay(file).list_payments(APP) == recorded
