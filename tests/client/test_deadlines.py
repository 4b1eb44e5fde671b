"""``max_seconds`` ends every call, however slowly bytes arrive."""

import contextlib
import os
import socket
import threading
import time

import pytest
from gateway import (
    APP,
    DONE,
    HOLD,
    TEST_TIMEOUT,
    TOKEN,
    GrpcGateway,
    dripping,
    rate_limited,
    stalled,
    streamed,
    words,
)

import cpsl
from cpsl import call as call_module
from cpsl.call import Call
from cpsl.timeouts import Timeout

CALLS = {
    "get_app": lambda client, **limit: client.get_app(APP, **limit),
    "list_payments": lambda client, **limit: client.list_payments(APP, **limit),
    "read_payments": lambda client, **limit: client.read_payments(APP, **limit),
    "get_earnings": lambda client, **limit: client.get_earnings(APP, **limit),
    "create_checkout": lambda client, **limit: client.create_checkout(APP, **limit),
    "chat": lambda client, **limit: client.chat(APP, "hello", **limit),
    "stream": lambda client, **limit: list(client.stream(APP, "hello", **limit)),
}
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEADERS + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = CHUNKED.replace(b"application/json", b"text/event-stream")
SLOW = {
    "nothing": lambda: stalled(),
    "status line": lambda: dripping(b"HTTP/1.1 200 "),
    "interim responses": lambda: dripping(b"HTTP/1.1 103 Early Hints\r\n", b"Link: </a>\r\n"),
    "headers": lambda: dripping(HEADERS + b"X-Slow: "),
    "body of unknown length": lambda: dripping(HEADERS + b"\r\n", b" "),
    "body of known length": lambda: dripping(HEADERS + b"Content-Length: 999999\r\n\r\n", b" "),
    "chunks": lambda: dripping(CHUNKED, b"1\r\n \r\n"),
    "trailers": lambda: dripping(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Slow: 1\r\n"),
    "error": lambda: dripping(HEADERS.replace(b"200 OK", b"500 No") + b"\r\n", b" "),
}


@pytest.fixture
def client(gateway):
    with cpsl.Client(TOKEN, gateway.url, timeout=(TEST_TIMEOUT, TEST_TIMEOUT)) as connected:
        yield connected


def overdue(call, client):
    """Return the error of a call that takes longer than its limit."""
    with pytest.raises(cpsl.TimedOutError, match=r"0\.3 s") as caught:
        CALLS[call](client, max_seconds=0.3)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(
    ("call", "slow"),
    [
        *(("chat", slow) for slow in SLOW),
        *(("stream", slow) for slow in SLOW),
        *((call, "chunks") for call in CALLS if call not in ("chat", "stream")),
    ],
)
def test_slow_answer_ends_at_the_deadline(gateway, client, call, slow):
    gateway.on(call.replace("read_", "list_"), SLOW[slow]())
    assert overdue(call, client).sent is True
    gateway.wait_until_disconnected()
    assert gateway.count(call.replace("read_", "list_")) == 1


def test_stream_keeps_its_text_at_the_deadline(gateway, client):
    event = words("x")[0]
    gateway.on("stream", dripping(EVENTS, b"%x\r\n%b\r\n" % (len(event), event)))
    stream = client.stream(APP, "hello", max_seconds=TEST_TIMEOUT)
    assert next(stream).text == "x"
    stream._call.limit(0.3)
    with pytest.raises(cpsl.StreamTimedOut, match=f"longer than {TEST_TIMEOUT} s") as caught:
        list(stream)
    assert caught.value.text == stream.text == "x" * len(stream.text) != ""
    assert not stream.complete
    assert list(stream) == []


def test_deadline_includes_the_time_between_two_chunks(gateway, client):
    gateway.on("stream", streamed(*words("one"), HOLD))
    stream = client.stream(APP, "hello", max_seconds=TEST_TIMEOUT)
    assert next(stream).text == "one"
    stream._call.limit(0.1)
    assert stream._call.wait(TEST_TIMEOUT)
    with pytest.raises(cpsl.StreamTimedOut):
        next(stream)


def test_closed_stream_does_not_raise_at_its_deadline(gateway, client):
    gateway.on("stream", streamed(*words("one"), HOLD))
    stream = client.stream(APP, "hello", max_seconds=TEST_TIMEOUT)
    assert next(stream).text == "one"
    stream.close()
    stream._call.expire()
    assert list(stream) == []
    assert not stream._call.expired


def test_lookup_ends_at_the_deadline(gateway):
    with GrpcGateway([HOLD]).serving() as grpc_gateway:
        client = cpsl.Client(TOKEN, gateway.url, grpc_target=grpc_gateway.target)
        with pytest.raises(cpsl.TimedOutError, match=r"0\.3 s"):
            client.chat("support-ops", "hello", max_seconds=0.3)
    assert gateway.requests == []


@pytest.mark.parametrize("limit", ["max_seconds", "timeout"])
def test_name_resolution_ends_in_time(monkeypatch, limit):
    asked, ended = threading.Event(), threading.Event()

    def getaddrinfo(*args, **kwargs):
        asked.set()
        ended.wait(TEST_TIMEOUT)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = cpsl.Client(TOKEN, "https://gateway.example", max_retries=0)
    limits = {"timeout": (0.2, 60)} if limit == "timeout" else {"max_seconds": 0.2}
    try:
        with pytest.raises(cpsl.TimedOutError) as caught:
            client.chat(APP, "hello", **limits)
    finally:
        ended.set()
    assert asked.is_set()
    assert caught.value.sent is False


def test_close_ends_a_name_resolution(monkeypatch):
    asked, ended = threading.Event(), threading.Event()

    def getaddrinfo(*args, **kwargs):
        asked.set()
        ended.wait(TEST_TIMEOUT)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    stream = cpsl.Client(TOKEN, "https://gateway.example", timeout=60).stream(APP, "hello")
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    assert asked.wait(TEST_TIMEOUT)
    stream.close()
    reader.join(TEST_TIMEOUT / 3)
    ended.set()
    assert not reader.is_alive()


def test_handshake_ends_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with cpsl.Client(TOKEN, url, timeout=(TEST_TIMEOUT, TEST_TIMEOUT)) as client:
            assert overdue("chat", client).sent is False


def test_wait_beyond_the_deadline_is_not_begun(gateway, client):
    gateway.otherwise = lambda request: rate_limited(after=50)
    began = time.monotonic()
    with pytest.raises(cpsl.RateLimitedError):
        client.chat(APP, "hello", max_seconds=20)
    assert time.monotonic() - began < 10
    assert gateway.count("chat") == 1


def test_calls_within_their_deadline_succeed(client):
    for call, run in CALLS.items():
        assert run(client, max_seconds=TEST_TIMEOUT), call


INVALID = [0, -1, float("nan"), float("inf"), "5", b"5", [5], True, 1_000_001, 10**400, 1e300]


@pytest.mark.parametrize("seconds", INVALID)
def test_invalid_time_limit_is_refused(gateway, client, seconds):
    advice = "use a number of seconds above 0, up to 1,000,000"
    timeouts = [seconds, (seconds, 1), (1, seconds)]
    for run in (*CALLS.values(), lambda client, **limit: client.list_apps(**limit)):
        with pytest.raises(cpsl.InvalidRequestError, match=f"^Invalid max_seconds .*: {advice}"):
            run(client, max_seconds=seconds)
        for timeout in timeouts:
            with pytest.raises(cpsl.InvalidRequestError, match=f"^Invalid timeout .*: {advice}"):
                run(client, timeout=timeout)
    for timeout in timeouts:
        with pytest.raises(ValueError, match="Invalid timeout") as caught:
            cpsl.Client(TOKEN, gateway.url, timeout=timeout)
        assert "\n" not in str(caught.value)
    assert gateway.accepted == 0


@pytest.mark.parametrize("timeout", [(), (1, 2, 3)])
def test_timeout_has_one_or_two_numbers(client, timeout):
    with pytest.raises(cpsl.InvalidRequestError, match=r"use seconds, or \(connect, read\)"):
        client.chat(APP, "hello", timeout=timeout)


def test_longest_time_limit_can_be_used(client):
    for run in CALLS.values():
        assert run(client, timeout=1_000_000, max_seconds=1_000_000)


def test_refused_stream_is_not_watched(client):
    for app, text in (("..", "hello"), (APP, "x" * 9000)):
        with pytest.raises(cpsl.InvalidRequestError):
            client.stream(app, text, max_seconds=TEST_TIMEOUT)
    assert call_module._watchdog._due == {}


def test_trailers_after_done_do_not_delay_the_end(gateway, client):
    done = b"%x\r\n%b\r\n" % (len(DONE), DONE)
    # Each drop arrives before a timeout of 10 ms per read.
    gateway.on("stream", dripping(EVENTS + done + b"0\r\n", b"X-Slow: 1\r\n", interval=0.002))
    assert [chunk.event for chunk in client.stream(APP, "hello")] == ["done"]
    gateway.wait_until_disconnected()


# The watchdog.


def test_one_thread_watches_all_calls_and_ends_when_idle():
    calls = [Call(Timeout(), seconds) for seconds in (0.3, 0.1, 0.2, TEST_TIMEOUT)]
    watchdogs = [thread for thread in threading.enumerate() if thread.name == "cpsl deadlines"]
    assert len(watchdogs) == 1
    assert all(call.wait(TEST_TIMEOUT) for call in calls[:3])
    assert [call.expired for call in calls] == [True, True, True, False]
    calls[3].finish()
    watchdogs[0].join(TEST_TIMEOUT)
    assert not watchdogs[0].is_alive()
    again = Call(Timeout(), 0.1)
    assert again.wait(TEST_TIMEOUT)


def test_watching_thread_ends_after_a_call_with_a_distant_deadline():
    call = Call(Timeout(), 1_000_000)
    (watchdog,) = [t for t in threading.enumerate() if t.name == "cpsl deadlines"]
    assert not call.wait(0.1)
    call.finish()
    watchdog.join(TEST_TIMEOUT)
    assert not watchdog.is_alive()


def test_deadline_works_after_a_thread_could_not_be_started(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(call_module, "_watchdog", call_module._Watchdog())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            Call(Timeout(), 0.1)
    assert Call(Timeout(), 0.1).wait(TEST_TIMEOUT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_deadline_works_in_a_forked_process():
    before = Call(Timeout(), TEST_TIMEOUT)
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            status = 0 if Call(Timeout(), 0.1).wait(TEST_TIMEOUT) else 2
        os._exit(status)
    _, status = os.waitpid(child, 0)
    before.finish()
    assert os.waitstatus_to_exitcode(status) == 0
    assert call_module._watchdog._running
