"""Streamed replies: their chunks, how they end, and closing them at any moment."""

import gc
import gzip
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import warnings
import zlib

import msgspec
import pytest
from gateway import (
    APP,
    DONE,
    HOLD,
    TEST_TIMEOUT,
    TOKEN,
    Gateway,
    answer,
    byte_by_byte,
    cut,
    event,
    gzipped,
    interrupted_when,
    normal_answer,
    rate_limited,
    stalled,
    streamed,
    words,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import cpsl
from cpsl import StreamChunk

FRAMINGS = ["chunked", "close", "length"]
TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@pytest.fixture(params=["TCP", "TLS"])
def layer(request):
    return request.param


@pytest.fixture
def client(gateway):
    with cpsl.Client(TOKEN, gateway.url, timeout=(5, TEST_TIMEOUT)) as connected:
        yield connected


def read_in_thread(stream):
    """Read a stream in another thread; return the thread and a queue of texts and the error."""
    received: queue.Queue = queue.Queue()

    def read():
        try:
            for chunk in stream:
                received.put(chunk.text)
            received.put("the end")
        except BaseException as error:
            received.put(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, received


# Chunks.


@pytest.mark.parametrize("framing", FRAMINGS)
def test_reply_consists_of_its_chunks(gateway, client, framing):
    gateway.on("stream", streamed(*words("one ", "two"), DONE, framing=framing))
    with client.stream(APP, "hello") as stream:
        assert [chunk.text for chunk in stream] == ["one ", "two", ""]
    assert (stream.text, stream.session_id, stream.request_id) == ("one two", "s-1", "r-1")
    assert stream.complete
    assert list(stream) == []  # stays at its end


@pytest.mark.parametrize("framing", FRAMINGS)
def test_first_chunk_does_not_wait_for_the_second(gateway, client, framing):
    seen = threading.Event()
    length = {"Content_Length": str(len(b"".join(words("one", "two")) + DONE))}
    extra = length if framing == "length" else {}
    gateway.on(
        "stream", streamed(*words("one"), seen, *words("two"), DONE, framing=framing, **extra)
    )
    stream = client.stream(APP, "hello")
    assert next(stream).text == "one"  # nothing else has been sent
    seen.set()
    assert [chunk.text for chunk in stream] == ["two", ""]


def test_compressed_first_chunk_does_not_wait_for_the_second(gateway, client):
    seen = threading.Event()
    pack = zlib.compressobj(wbits=31)
    one = pack.compress(words("one")[0]) + pack.flush(zlib.Z_SYNC_FLUSH)
    two = pack.compress(DONE) + pack.flush()
    gateway.on("stream", streamed(one, seen, two, Content_Encoding="gzip"))
    stream = client.stream(APP, "hello")
    assert next(stream).text == "one"
    seen.set()
    assert next(stream).done


def test_unrequested_gzip_is_decoded(gateway, client):
    gateway.on(
        "stream", gzipped(*words("one", "two"), DONE), byte_by_byte(gzipped(*words("3"), DONE))
    )
    assert "".join(c.text for c in client.stream(APP, "hello")) == "onetwo"
    assert "".join(c.text for c in client.stream(APP, "hello")) == "3"
    assert gateway.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["br", "zstd", "x-unknown", "gzip, x-unknown"])
def test_stream_that_cannot_be_decoded_is_an_error(gateway, client, monkeypatch, encoding):
    monkeypatch.setattr("urllib3.response.BaseHTTPResponse.CONTENT_DECODERS", ["gzip"])
    gateway.on("stream", streamed(b"\x1b\x0e\x00", Content_Encoding=encoding))
    with pytest.raises(cpsl.ProtocolError, match="compressed"):
        list(client.stream(APP, "hello"))
    assert client.chat(APP, "again").text == "You said again"


@pytest.mark.parametrize(
    "body",
    [b"data: no gzip\n\n", gzip.compress(DONE)[:-12], b""],
    ids=["not compressed", "cut", "empty"],
)
def test_stream_with_damaged_compression_is_an_error(gateway, client, body):
    gateway.on("stream", streamed(body, Content_Encoding="gzip"))
    with pytest.raises(cpsl.StreamInterrupted):
        list(client.stream(APP, "hello"))


@pytest.mark.parametrize("framing", FRAMINGS)
def test_reply_may_arrive_byte_by_byte(gateway, client, framing):
    gateway.on("stream", byte_by_byte(streamed(*words("€1 ", "€2"), DONE, framing=framing)))
    with client.stream(APP, "hello") as stream:
        assert [chunk.text for chunk in stream] == ["€1 ", "€2", ""]


def test_data_without_a_json_object_is_kept_as_raw(gateway, client):
    parts = [b"data: hello\n\n", b"data: [1]\n\n", b"data: \n\n", b"data: {\ndata: }\n\n"]
    gateway.on("stream", streamed(*parts, b"data: %b\n\n" % (b"[" * 9999), DONE))
    data = [chunk.data for chunk in client.stream(APP, "hello")]
    assert data[:4] == [{"raw": "hello"}, {"raw": "[1]"}, {"raw": ""}, {}]
    assert data[4] == {"raw": "[" * 9999}


@pytest.mark.parametrize("data", [b'{"text": "x"}', b' \t{"text": "x"}', b'{"text": "x"} '])
def test_white_space_around_an_object_is_ignored(gateway, client, data):
    gateway.on("stream", streamed(b"data:" + data + b"\n\n", b"data: " + data + b"\n\n", DONE))
    assert [chunk.text for chunk in client.stream(APP, "hello")] == ["x", "x", ""]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=40), st.booleans())
def test_objects_are_decoded_as_by_the_json_module(objects, escaped):
    texts = [json.dumps({**given, "done": None}, ensure_ascii=escaped) for given in objects]
    body = "".join(f"data: {text}\n\n" for text in texts).encode("utf-8", "replace")
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        gateway.on("stream", streamed(body + DONE))
        received = [chunk.data for chunk in client.stream(APP, "hello")][:-1]
    expected = [json.loads(text.encode("utf-8", "replace")) for text in texts]
    assert repr(received) == repr(expected)  # by repr, because NaN is not equal to itself


@pytest.mark.parametrize("number", ["1" + "0" * 30, "-9223372036854775809", "1e999", "-0", "NaN"])
def test_numbers_of_any_size_are_exact(gateway, client, number):
    gateway.on("stream", streamed(b'data: {"cents": %b}\n\n' % number.encode(), DONE))
    assert repr(next(client.stream(APP, "hello")).data["cents"]) == repr(json.loads(number))


@pytest.mark.parametrize("data", [b"{" * 100_000, b"[" * 100_000, b'{"n": 1%b}' % (b"0" * 5000)])
def test_undecodable_data_is_kept_as_raw(gateway, client, data):
    gateway.on("stream", streamed(b"data: " + data + b"\n\n", DONE))
    assert next(client.stream(APP, "hello")).data == {"raw": data.decode()}


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["é\ud83d", "", "\ude00!"], "é😀!"),
        (["\ud83d", "x", "\ude00"], "\ud83dx\ude00"),
        (["\ude00", "\ud83d"], "\ude00\ud83d"),
    ],
)
def test_surrogates_of_two_events_are_joined_in_the_text(gateway, client, pieces, text):
    gateway.on("stream", streamed(*words(*pieces), DONE))
    with client.stream(APP, "hello") as stream:
        assert [chunk.text for chunk in stream] == [*pieces, ""]
    assert stream.text == text


@pytest.mark.parametrize("data", [b"[DONE]", b"NaN", b'{"n": 1e400}', b'{"n": NaN}'])
def test_data_that_msgspec_refuses_is_decoded_without_it(gateway, client, monkeypatch, data):
    def refuse(text):  # as before msgspec 0.21, whose errors are no ValueError
        raise msgspec.MsgspecError

    monkeypatch.setattr("cpsl.stream._decode", refuse)
    gateway.on("stream", streamed(b"data: " + data + b"\n\n", DONE))
    found = [chunk.data for chunk in client.stream(APP, "hello")]
    assert repr(found[0]) in (repr({"raw": data.decode()}), "{'n': inf}", "{'n': nan}")
    assert found[1] == {"session_id": "s-1", "request_id": "r-1"}


def test_object_with_trailing_data_is_kept_as_raw(gateway, client):
    gateway.on("stream", streamed(b'data: {"text": "x"} {}\n\n', DONE))
    assert next(client.stream(APP, "hello")).data == {"raw": '{"text": "x"} {}'}


def test_unknown_event_names_are_kept(gateway, client):
    gateway.on("stream", streamed(event({"payload": {}}, "block"), event({"done": True})))
    assert list(client.stream(APP, "hello")) == [
        StreamChunk("block", {"payload": {}}),
        StreamChunk("message", {"done": True}),
    ]


def test_cut_utf8_becomes_a_replacement_character(gateway, client):
    gateway.on("stream", streamed(b'data: {"text": "a\xe2\x82"}\n\n', DONE))
    assert next(client.stream(APP, "hello")).text == "a\ufffd"


def test_iteration_ends_after_a_chunk_that_is_done(gateway, client):
    gateway.on("stream", streamed(DONE, *words("more")))
    assert len(list(client.stream(APP, "hello"))) == 1


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "Text/Event-Stream"])
def test_content_type_ignores_case_and_parameters(gateway, client, kind):
    gateway.on("stream", streamed(DONE, Content_Type=kind, X_Request_Id="r-7"))
    assert [chunk.event for chunk in client.stream(APP, "hello")] == ["done"]


def test_request_id_of_an_event_replaces_that_of_the_headers(gateway, client):
    gateway.on("stream", streamed(*words("one"), DONE, X_Request_Id="r-7"))
    stream = client.stream(APP, "hello")
    next(stream)
    assert stream.request_id == "r-7"
    next(stream)
    assert stream.request_id == "r-1"


def test_text_and_session_are_sent_exactly(gateway, client):
    text = "50% of 7€ & more? a+b #1/2\n"
    list(client.stream(APP, text, session_id="s/9 &"))
    assert (gateway.requests[0].text, gateway.requests[0].session_id) == (text, "s/9 &")


# The end of a reply.


def interrupted(client):
    """Read a stream that is interrupted; return the error and the stream."""
    stream = client.stream(APP, "hello")
    with pytest.raises(cpsl.StreamInterrupted) as caught:
        list(stream)
    assert caught.value.__context__ is None
    assert getattr(caught.value.__cause__, "__traceback__", None) is None  # frames hold the token
    assert list(stream) == []
    return caught.value, stream


BROKEN = {
    "a chunk is cut": cut(streamed(*words("one ", "two"), DONE), after=-30),
    "the chunks have no end": cut(streamed(*words("one ", "two")), after=-5),
    "the chunks are reset": cut(streamed(*words("one ", "two")), after=-5, resets=True),
    "the connection ends": streamed(*words("one ", "two"), framing="close"),
    "the length is short": cut(streamed(*words("one ", "two"), DONE, framing="length"), after=-9),
}


@pytest.mark.parametrize("given", BROKEN.values(), ids=BROKEN)
def test_interrupted_reply_raises_and_keeps_its_text(gateway, client, given):
    gateway.on("stream", given)
    error, stream = interrupted(client)
    if not given.resets:  # a reset may discard data that was sent
        assert error.text == stream.text == "one two"
        assert "; 7 characters had arrived. " in str(error)
    assert not stream.complete
    assert gateway.count("stream") == 1
    gateway.wait_until_disconnected()


def test_silent_reply_is_also_a_timeout(gateway):
    gateway.on("stream", streamed(*words("one"), HOLD))
    with cpsl.Client(TOKEN, gateway.url, timeout=(5, 1)) as client:
        error, stream = interrupted(client)
    assert isinstance(error, TimeoutError)
    assert (error.text, stream.complete) == ("one", False)
    assert "1 s" in str(error)
    assert gateway.count("stream") == 1
    gateway.wait_until_disconnected()


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_complete_body_without_done_is_a_warning(gateway, client, framing):
    gateway.on("stream", streamed(*words("one"), framing=framing))
    stream = client.stream(APP, "hello")
    with pytest.warns(UserWarning, match="incomplete") as caught:
        assert [chunk.text for chunk in stream] == ["one"]
    assert caught[0].filename == __file__
    assert not stream.complete


def test_complete_reply_does_not_warn(client):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(client.stream(APP, "hello"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"message": "no model"}', "no model"),
        (b'{"error": {"message": "no model"}}', "no model"),
        (b'{"text": "no model"}', "no model"),
        (b"no model", "no model"),
        (b'{"raw": 7}', "no message"),
    ],
)
def test_error_event_is_yielded_and_then_raised(gateway, client, data, message):
    gateway.on("stream", streamed(*words("one"), b"event: error\ndata: %b\n\n" % data, HOLD))
    stream = client.stream(APP, "hello")
    assert [next(stream).event, next(stream).event] == ["message", "error"]
    with pytest.raises(cpsl.GatewayError, match=message):
        next(stream)
    assert list(stream) == []
    assert not stream.complete
    gateway.wait_until_disconnected()


def test_event_of_200_mb_ends_at_the_limit(gateway, client):
    large = (b"x" * (1 << 20),) * 200
    gateway.on("stream", streamed(*words("one"), b"data: ", *large, X_Request_Id="r-7"))
    stream = client.stream(APP, "hello")
    assert next(stream).text == "one"
    with pytest.raises(cpsl.TooLargeError, match="16,777,216") as caught:
        next(stream)
    assert (caught.value.status, caught.value.request_id) == (200, "r-7")
    gateway.wait_until_disconnected()


def test_limits_of_events_and_replies_can_be_set(gateway):
    gateway.otherwise = lambda request: streamed(*words("x" * 50, "y" * 50), DONE)
    client = cpsl.Client(TOKEN, gateway.url, max_event_bytes=40)
    with client, pytest.raises(cpsl.TooLargeError, match="40 characters"):
        list(client.stream(APP, "hello"))
    with cpsl.Client(TOKEN, gateway.url, max_reply_bytes=99) as client:
        stream = client.stream(APP, "hello")
        with pytest.raises(cpsl.TooLargeError, match="max_reply_bytes"):
            list(stream)
        assert stream.text == "x" * 50
    with cpsl.Client(TOKEN, gateway.url, max_reply_bytes=100) as client:
        assert list(client.stream(APP, "hello"))


def test_message_too_long_for_a_url_is_refused(gateway, client):
    with pytest.raises(cpsl.InvalidRequestError, match=r"chat\(\)"):
        client.stream(APP, "x" * 8192)
    with pytest.raises(cpsl.InvalidRequestError, match="8,192"):
        client.stream(APP, "€" * 1000)  # nine bytes each in a URL
    assert gateway.requests == []
    assert list(client.stream(APP, "x" * 8000))
    with cpsl.Client(TOKEN, gateway.url, max_url_bytes=20_000) as patient:
        assert list(patient.stream(APP, "x" * 19_000))


# Ending a stream.

SILENCES = {
    "before the headers": stalled(),
    "within the headers": stalled(streamed(DONE), after=20),
    "before the first event": streamed(HOLD),
    "within an event": streamed(*words("one"), b"data: ", HOLD),
    "between two events": streamed(*words("one"), HOLD, framing="close"),
    "within an answer that is not a stream": answer(b"<html>", HOLD, framing="close"),
}


@pytest.mark.parametrize("given", SILENCES.values(), ids=SILENCES)
def test_close_from_another_thread_ends_the_stream(gateway, client, given):
    gateway.on("stream", given)
    stream = client.stream(APP, "hello")
    thread, received = read_in_thread(stream)
    gateway.wait_for(lambda: gateway.requests)
    text = "one" if any('"one"' in repr(part) for part in given.parts) else ""
    if text:
        assert received.get(timeout=TEST_TIMEOUT) == text
    stream.close()
    thread.join(TEST_TIMEOUT / 3)  # a third of the client's own timeout
    assert not thread.is_alive()
    assert received.get() == "the end"
    assert stream.text == text
    assert list(stream) == []
    gateway.wait_until_disconnected()


def test_close_ends_the_wait_between_two_attempts(gateway, client):
    gateway.otherwise = lambda request: rate_limited(after=50)
    stream = client.stream(APP, "hello")
    thread, received = read_in_thread(stream)
    gateway.wait_for(lambda: gateway.requests)
    stream.close()
    thread.join(TEST_TIMEOUT)
    assert received.get(timeout=1) == "the end"
    assert gateway.count("stream") == 1


def test_close_ends_a_connection_attempt():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):  # fills a backlog of 0
            url = f"http://127.0.0.1:{address[1]}"
            with cpsl.Client(TOKEN, url, timeout=(TEST_TIMEOUT * 2, TEST_TIMEOUT * 2)) as client:
                stream = client.stream(APP, "hello")
                thread, received = read_in_thread(stream)
                while stream._call._abort is None:  # there is no event to wait for
                    thread.join(0.01)
                stream.close()
                thread.join(TEST_TIMEOUT / 3)
                assert received.get(timeout=1) == "the end"


def test_close_ends_a_handshake():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with cpsl.Client(TOKEN, url, timeout=(TEST_TIMEOUT * 2, TEST_TIMEOUT * 2)) as client:
            stream = client.stream(APP, "hello")
            thread, received = read_in_thread(stream)
            sock, _ = silent.accept()
            with sock:
                assert sock.recv(1)  # the handshake has started
                stream.close()
                thread.join(TEST_TIMEOUT)
                assert not thread.is_alive()
            assert received.get(timeout=1) == "the end"


def test_stream_closed_before_reading_sends_nothing(gateway, client):
    stream = client.stream(APP, "hello")
    stream.close()
    stream.close()
    assert list(stream) == []
    assert gateway.requests == []


def test_several_threads_may_close_at_once(gateway, client):
    gateway.on("stream", streamed(*words("one"), HOLD))
    stream = client.stream(APP, "hello")
    thread, received = read_in_thread(stream)
    assert received.get(timeout=TEST_TIMEOUT) == "one"
    closers = [threading.Thread(target=stream.close) for _ in range(8)]
    for closer in closers:
        closer.start()
    for closer in [*closers, thread]:
        closer.join(TEST_TIMEOUT)
    assert received.get(timeout=1) == "the end"


def test_client_works_after_a_stream_was_closed(gateway, client):
    gateway.on("stream", streamed(*words("one"), HOLD))
    with client.stream(APP, "hello") as stream:
        next(stream)
    assert client.chat(APP, "again").text == "You said again"


def test_dropped_stream_releases_the_connection(gateway, client):
    gateway.on("stream", streamed(*words("one"), HOLD))
    for _ in client.stream(APP, "hello"):
        break
    gc.collect()
    gateway.wait_until_disconnected()


def test_error_in_the_with_block_releases_the_connection(gateway, client):
    gateway.on("stream", streamed(*words("one"), HOLD))
    with pytest.raises(ZeroDivisionError), client.stream(APP, "hello") as stream:
        for _ in stream:
            raise ZeroDivisionError
    gateway.wait_until_disconnected()


def test_unread_stream_opens_no_connection(gateway, client):
    client.stream(APP, "hello")
    assert gateway.accepted == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("leave", ["del stream", "stream.close()", "with stream: sys.exit()"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_forked_process_that_drops_a_stream_does_not_end_the_parents(leave, framing):
    script = f"""if True:
        import os, sys, cpsl
        client = cpsl.Client(sys.argv[1], sys.argv[2])
        stream = client.stream({APP!r}, "hello")
        print(next(stream).text, flush=True)
        if child := os.fork():
            os.waitpid(child, 0)
            print("the child has gone", flush=True)
            print(*(chunk.text for chunk in stream), stream.complete)
        else:
            try:
                {leave}
            finally:
                os._exit(0)
    """
    gone = threading.Event()
    with Gateway() as gateway:
        gateway.on("stream", streamed(*words("one"), gone, *words("two"), DONE, framing=framing))
        command = [sys.executable, "-c", script, TOKEN, gateway.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert [parent.stdout.readline() for _ in range(2)] == ["one\n", "the child has gone\n"]
            gone.set()
            assert parent.stdout.read() == "two  True\n"


def interrupt_once_sent(gateway):
    return interrupted_when(lambda: gateway.wait_for(lambda: gateway.requests), KeyboardInterrupt)


@pytest.mark.parametrize("given", SILENCES.values(), ids=SILENCES)
def test_interrupt_ends_a_stream_and_releases_the_connection(gateway, client, given):
    gateway.on("stream", given)
    stream = client.stream(APP, "hello")
    with pytest.raises(KeyboardInterrupt), interrupt_once_sent(gateway):
        list(stream)
    assert list(stream) == []
    gateway.wait_until_disconnected()


@pytest.mark.parametrize("given", [stalled(), streamed(HOLD)], ids=["no headers", "no body"])
def test_interrupt_ends_a_chat_and_releases_the_connection(gateway, client, given):
    gateway.on("chat", given)
    with pytest.raises(KeyboardInterrupt), interrupt_once_sent(gateway):
        client.chat(APP, "hello")
    gateway.wait_until_disconnected()


# Connections.


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_connection_is_reused_after_a_complete_reply(gateway, client, framing):
    gateway.otherwise = lambda request: streamed(*words("one"), DONE, framing=framing)
    for _ in range(5):
        assert list(client.stream(APP, "hello"))
    assert gateway.accepted == 1


def test_body_that_continues_after_done_does_not_block_the_caller(gateway, client):
    gateway.on("stream", streamed(*words("one"), DONE, HOLD))
    assert [chunk.text for chunk in client.stream(APP, "hello")] == ["one", ""]
    gateway.wait_until_disconnected()
    assert client.chat(APP, "again").text == "You said again"


def test_data_after_done_does_not_reach_the_next_answer(gateway, client):
    gateway.otherwise = lambda request: (
        streamed(DONE, *words("stray") * 3) if request.call == "stream" else normal_answer(request)
    )
    for number in range(3):
        assert list(client.stream(APP, "hello"))
        assert client.chat(APP, f"again {number}").text == f"You said again {number}"


def test_one_thread_may_start_a_stream_and_another_finish_it(gateway, client):
    gateway.on("stream", streamed(*words("one", "two"), DONE))
    stream = client.stream(APP, "hello")
    assert next(stream).text == "one"
    thread, received = read_in_thread(stream)
    thread.join(TEST_TIMEOUT)
    assert [received.get(timeout=1) for _ in range(3)] == ["two", "", "the end"]


def test_one_thread_may_read_two_streams(gateway, client):
    first, second = client.stream(APP, "1"), client.stream(APP, "2")
    pairs = [(a.text, b.text) for a, b in zip(first, second, strict=True)]
    assert pairs == [("You said ", "You said "), ("1", "2"), ("", "")]
