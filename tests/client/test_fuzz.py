"""Random byte streams: a call gets its own answer or an error of this package, never another's."""

import contextlib
import itertools
import warnings

import pytest
from gateway import (
    APP,
    DONE,
    TOKEN,
    Answer,
    Gateway,
    answer,
    as_json,
    followed,
    interim,
    normal_answer,
    streamed,
    words,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cpsl

STRAY = b"".join(as_json({"replies": [{"text": "of another app"}], "session_id": "s-9"}).parts)
STRAY_STREAM = b"".join(streamed(*words("of another app"), DONE).parts)
ASCII = st.binary(max_size=60)
LINES = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 103 Early Hints\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n",
            b"HTTP/1.0 200\r\n",
            b"HTTP/1.1 204 No Content\r\n",
            b"Content-Length: 2\r\n",
            b"Content-Length: 0\r\n",
            b"Content-Length: -1\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Content-Type: text/event-stream\r\n",
            b"Retry-After: inf\r\n",
            b"Connection: close\r\n",
            b"\r\n",
            b"\n",
            b"2\r\n{}\r\n",
            b"0\r\n\r\n",
            b"{}",
            b'{"replies": []}',
            b"data: [DONE]\n\n",
            b'data: {"text": NaN, "n": 1e400}\n\n',
            b"event: done\n\n",
        ]
    ),
    max_size=14,
).map(b"".join)


@st.composite
def behaviours(draw):
    """Draw a function from the normal answer to what is sent instead, and whether it stays right."""
    kind = draw(st.sampled_from(["normal", "around", "cut", "garbage", "lines", "inserted"]))
    strays = draw(st.sampled_from([STRAY, STRAY_STREAM, b"HTTP/1.1 200 OK\r\n", b"\r\n", b"0"]))
    count = draw(st.integers(0, 22))
    where, data = draw(st.integers(0, 400)), draw(ASCII | LINES)

    def behave(given):
        body = b"".join(given.parts)
        match kind:
            case "around":
                return followed(interim(given, *[103] * count), strays)
            case "cut":
                return Answer((body[:where],), closes=True)
            case "garbage" | "lines":
                return Answer((data,), closes=True)
            case "inserted":
                return Answer((body[:where] + data + body[where:],), closes=True)
            case _:
                return given

    return behave, kind == "normal" or (kind == "around" and count <= 20), kind == "inserted"


@pytest.mark.parametrize("call", ["chat", "stream"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(behaviours(), min_size=1, max_size=4), st.booleans())
def test_answer_is_right_or_an_error(call, chosen, chunked):
    numbers, last = itertools.count(), Answer(())

    def behave(request):
        normal = normal_answer(request)
        if chunked and call == "chat":
            normal = answer(b"".join(normal.parts).partition(b"\r\n\r\n")[2], framing="chunked")
        nonlocal last
        behaviour = next(waiting, None)
        last = behaviour[0](normal) if behaviour else normal
        return last

    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url, timeout=(5, 20)) as client:
        waiting = iter(chosen)
        gateway.otherwise = behave
        for _, right, altered in chosen:
            text = f"message {next(numbers)}"
            reply = None
            with warnings.catch_warnings(), contextlib.suppress(cpsl.CapsuleError):
                warnings.simplefilter("ignore")  # of replies without a final chunk
                if call == "chat":
                    reply = client.chat(APP, text).text
                else:
                    reply = "".join(chunk.text for chunk in client.stream(APP, text))
            assert reply is not None or not right
            if not altered and reply:  # inserted bytes may change the text itself
                assert reply in (f"You said {text}", "You said ")
            assert gateway.messages[text] == 1
            if last.closes:  # otherwise the next message may be sent while the connection ends
                gateway.wait_until_disconnected()
        # Whatever has happened, the next message gets its own answer.
        assert client.chat(APP, "the last").text == "You said the last"
