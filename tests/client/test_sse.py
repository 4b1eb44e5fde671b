"""The event stream format of the WHATWG HTML standard, section 9.2."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpsl import TooLargeError
from cpsl.sse import Event, EventDecoder


def decode(*pieces: bytes, limit: int = 1 << 24) -> list[Event]:
    decoder = EventDecoder(limit)
    return [event for piece in pieces for event in decoder.feed(piece)]


def datas(*pieces: bytes) -> list[str]:
    return [event.data for event in decode(*pieces)]


def reference(stream: bytes) -> list[Event]:
    """Apply the rules of the standard to the whole text at once."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = re.split(r"\r\n|\r|\n", text)
    events, data, kind, last_id = [], [], "", ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append(Event(kind or "message", "\n".join(data), last_id))
            data, kind = [], ""
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


def as_bytes(pieces: list[str]) -> bytes:
    return "".join(pieces).encode("utf-8", "surrogateescape")


# Pieces that are likely to make interesting streams.
PIECES = st.sampled_from(
    "data|event|id|retry|:|: | |x|\n|\r|\r\n|\n\n|\ufeff|€|\0|done|\u2028|\x85|\x0b|\x0c|\x1e|Data"
    "|data: |event: done\n|data\n|\udcff|\udce2\udc82|\udcf0\udc9f".split("|")
)
STREAMS = st.one_of(st.lists(PIECES, max_size=40).map(as_bytes), st.binary(max_size=60))


@settings(max_examples=600, deadline=None)
@given(STREAMS, st.data())
def test_events_do_not_depend_on_where_bytes_are_cut(stream, data):
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    edges = [0, *places, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*pieces) == decode(stream) == reference(stream)


@settings(max_examples=100, deadline=None)
@given(STREAMS)
def test_events_may_arrive_byte_by_byte(stream):
    assert decode(*(bytes([byte]) for byte in stream)) == reference(stream)


@settings(max_examples=200, deadline=None)
@given(STREAMS, st.integers(0, 12), st.data())
def test_events_before_one_that_is_too_large_do_not_depend_on_cuts(stream, limit, data):
    def outcome(pieces):
        decoder, events = EventDecoder(limit), []
        try:
            for piece in pieces:
                for event in decoder.feed(piece):
                    events.append(event)
        except TooLargeError:
            events.append("too large")
        return events

    place = data.draw(st.integers(0, len(stream)))
    assert outcome([stream]) == outcome([stream[:place], stream[place:]])


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_end_at_cr_lf_and_crlf(end):
    stream = f"event: a{end}data: 1{end}{end}data: 2{end}{end}".encode()
    assert decode(stream) == [Event("a", "1"), Event("message", "2")]


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_lines_do_not_end_at_other_characters(char):
    assert datas(f"data: a{char}b\n\n".encode()) == [f"a{char}b"]


def test_event_that_ends_with_cr_does_not_wait_for_a_lf():
    decoder = EventDecoder()
    assert list(decoder.feed(b"data: 1\r\r")) == [Event("message", "1")]
    assert list(decoder.feed(b"\ndata: 2\r")) == []  # the LF belongs to the CR before it
    assert list(decoder.feed(b"\n\r")) == [Event("message", "2")]


def test_crlf_split_across_two_reads_is_one_line_end():
    assert datas(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_only_one_leading_bom_is_dropped():
    assert datas(b"\xef", b"\xbb\xbfdata: 1\n\n") == ["1"]
    assert datas(b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n") == []  # the field has another name
    assert datas(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n") == ["1"]


def test_utf8_is_decoded_across_cuts_and_bad_bytes_are_replaced():
    assert datas(b"data: \xe2", b"\x82", b"\xac\n\n") == ["€"]
    assert datas(b"data: \xff\xe2\x82\n\n") == ["\ufffd\ufffd"]


def test_comments_are_ignored():
    assert decode(b": hello\n\n:\ndata: 1\n: more\n\n") == [Event("message", "1")]


def test_only_one_leading_space_is_dropped():
    assert datas(b"data:x\n\ndata: x\n\ndata:  x\n\ndata:\tx\n\n") == ["x", "x", " x", "\tx"]


def test_field_without_a_colon_has_an_empty_value():
    assert datas(b"data\n\ndata\ndata\n\n") == ["", "\n"]


def test_empty_data_is_dispatched():
    assert datas(b"data:\n\n") == [""]


def test_data_lines_are_joined_by_lf_and_keep_their_colons():
    assert datas(b"data: a: b\ndata:\ndata: c\n\n") == ["a: b\n\nc"]


@pytest.mark.parametrize("name", [b"Data", b"DATA", b" data", b"data ", b"dat", b"datas"])
def test_field_names_are_exact(name):
    assert decode(name + b": 1\n\n") == []


def test_event_type_without_data_is_reset():
    assert decode(b"event: done\n\ndata: 1\n\n") == [Event("message", "1")]


def test_last_event_type_wins():
    assert decode(b"event: a\nevent: b\ndata: 1\n\n") == [Event("b", "1")]
    assert decode(b"event: a\nevent\ndata: 1\n\n") == [Event("message", "1")]


def test_id_stays_until_an_empty_one_resets_it():
    stream = b"id: 7\ndata: 1\n\ndata: 2\n\nid\ndata: 3\n\n"
    assert [event.id for event in decode(stream)] == ["7", "7", ""]


def test_id_of_an_event_without_data_is_kept():
    assert decode(b"id: 7\n\ndata: 1\n\n") == [Event("message", "1", "7")]


def test_id_with_nul_is_ignored():
    assert decode(b"id: 7\nid: a\0b\ndata: 1\n\n") == [Event("message", "1", "7")]


@pytest.mark.parametrize("value", ["-1", "1.5", "1s", "", "+1", "٣", "²", "1 ", "9" * 5000])
def test_invalid_retry_is_ignored(value):
    decoder = EventDecoder()
    assert list(decoder.feed(f"retry: 250\nretry: {value}\n\n".encode())) == []
    assert decoder.retry == 250


def test_unfinished_event_is_discarded():
    assert datas(b"data: 1\n\ndata: 2\n") == ["1"]
    assert datas(b"data: 1\n\ndata: 2") == ["1"]


def test_event_above_the_limit_is_an_error():
    for stream in (b"data: " + b"x" * 100, b"data: xxxx\n" * 30, b"data\n" * 101, b":" * 101):
        with pytest.raises(TooLargeError, match="100 characters"):
            decode(stream, limit=100)


def test_event_at_the_limit_is_accepted():
    event = b"data: " + b"x" * 94 + b"\n\n"
    assert len(decode(event * 50, limit=100)) == 50


def test_events_before_one_that_is_too_large_are_yielded():
    events = EventDecoder(20).feed(b"data: 1\n\ndata: " + b"x" * 50)
    assert next(events) == Event("message", "1")
    with pytest.raises(TooLargeError):
        next(events)
