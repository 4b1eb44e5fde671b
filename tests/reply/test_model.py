"""Collecting a reply, reading JSON from it, and storing it."""

import copy
import json
import pickle
import time
from types import SimpleNamespace

import pytest
from replies import reply_with

import cpsl
from cpsl_notebook import Reply, UserError
from cpsl_notebook.errors import ClientError, StoppedError
from cpsl_notebook.reply.rendering import html, plain


@pytest.mark.parametrize("frame", ["itself", "block", "json"])
def test_block_is_found_in_every_frame_and_replaced_by_the_same_id(frame):
    reply = reply_with()
    for label in ("one", "two"):
        block = {"id": "b", "type": "activity", "payload": {"label": label}}
        data = {
            "itself": block,
            "block": {"block": block},
            "json": {"block_json": json.dumps(block)},
        }
        reply.add_event(data[frame])
    assert [block["payload"]["label"] for block in reply.blocks] == ["two"]


def test_plain_text_is_unchanged_markdown():
    assert plain(reply_with("**bold** | and _so_\n")) == "**bold** | and _so_"


def test_emoji_split_between_pieces_is_joined():
    reply = Reply(app="x", prompt="y", pieces=["Hello \ud83d", "\ude00 world \ud83d"])
    assert reply.text == "Hello 😀 world \ufffd"
    reply.add_event({"session_id": "s\ud83d\x1b[31m", "request_id": 7})
    assert (reply.session_id, reply.request_id) == ("s\ufffd", "7")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (Reply.add_event, "Invalid data: 5. It must be a dict."),
        (Reply.add_response, "Invalid response: 5. It must be a cpsl.ChatResponse."),
    ],
)
def test_what_is_not_of_a_reply_is_refused_in_one_line(call, line):
    with pytest.raises(UserError) as caught:
        call(Reply(app="x", prompt="y"), 5)
    assert caught.value._render_traceback_() == [f"TypeError: {line}"]


def test_repr_shortens_the_text():
    assert repr(reply_with("one\ntwo")) == "<Reply of shop, complete: 'one two'>"
    assert repr(reply_with("x" * 100)) == f"<Reply of shop, complete: '{'x' * 80}…'>"


def test_code_returns_contents_of_fences():
    assert reply_with("a\n\n```python\nx = 1\n\n\ny = 2\n```\n\n    z\n\n~~~\nw\n~~~").code == [
        "x = 1\n\n\ny = 2\n",
        "w\n",
    ]


@pytest.mark.parametrize("text", ['{"a": [1]}', 'Here:\n\n```json\n{"a": [1]}\n```\nfine?'])
def test_json_reads_whole_text_or_only_fence(text):
    assert reply_with(text).json() == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no", "is not JSON"),
        ("", "is not JSON"),
        ("```\n1\n```\n```\n2\n```", "contains 2 JSON values"),
        ("[" * 100_000, "is not JSON"),  # a RecursionError in Python
        ("NaN", "is not JSON"),
        ('{"a": Infinity}', "is not JSON"),
    ],
    ids=["text", "empty", "two values", "deeply nested", "NaN", "Infinity"],
)
def test_json_refuses_anything_but_one_value(text, problem):
    with pytest.raises(UserError, match=f"^The reply {problem}. Ask for a single JSON value"):
        reply_with(text).json()


def test_deeply_nested_block_json_is_ignored():
    reply = reply_with()
    reply.add_event({"block_json": "[" * 100_000})
    assert reply.blocks == []


ERRORS = [
    StoppedError("the text received so far is kept."),
    UserError("The reply contains no table."),
    ClientError("no such session", label="NotFoundError"),
    cpsl.CapsuleError("failed", status=500, request_id="r-1", detail="why"),
    cpsl.RateLimitedError("slow down", status=429),
    cpsl.AppNotFoundError("No app 'x'.", matches=("y",)),
    cpsl.StreamTimedOut("silent"),
    ConnectionError("a client of one's own"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "duplicate", [lambda reply: pickle.loads(pickle.dumps(reply)), copy.deepcopy]
)
def test_reply_with_error_can_be_pickled_and_copied(error, duplicate):
    reply = reply_with("first part", "stopped", error=error, blocks=[{"type": "x", "payload": {}}])
    copied = duplicate(reply)
    assert type(copied.error) is type(error) and str(copied.error) == str(error)
    assert vars(copied.error) == vars(error)
    assert vars(copied) | {"error": error} == vars(reply)
    assert html(copied) == html(reply) and plain(copied) == plain(reply)


def test_parts_are_in_the_order_in_which_they_were_sent():
    reply = Reply("shop", "x")
    first, second = ({"id": n, "type": "activity", "payload": {"label": f"step {n}"}} for n in "12")
    for event in ({"text": "One"}, {"text": " two.\n"}, {"block": first}, {"text": "Three."}):
        reply.add_event(event)
    reply.add_event({"block": {"type": "notification", "payload": {"text": "Reading…"}}})
    reply.add_event({"text": " Four."})
    reply.add_event({"block": second})
    replacement = {"id": "1", "type": "activity", "payload": {"label": "done"}}
    reply.add_event({"block": replacement})
    assert reply.parts == ["One two.\n", replacement, "Three. Four.", second]
    assert reply.text == "One two.\n\nThree. Four."
    assert [block["type"] for block in reply.blocks] == ["activity", "notification", "activity"]
    assert plain(reply) == "One two.\n\n[activity] done\n\nThree. Four.\n\n[activity] step 2"
    shown = html(reply)
    places = [shown.index(text) for text in ("One two.", "done", "Three. Four.", "step 2")]
    assert places == sorted(places)


def test_whole_response_keeps_the_order_of_texts_and_blocks():
    block = {"type": "x", "payload": {}}
    replies = [
        {"text": "one"},
        {"text": "two", "block": block},
        {"text": "", "block": block},
        {"text": "3"},
    ]
    reply = Reply("shop", "x")
    reply.add_response(
        SimpleNamespace(text="one", session_id="s", request_id="r", raw={"replies": replies})
    )
    assert reply.parts == ["one\n\ntwo", block, block, "3"]


def test_joined_pieces_are_the_same_reply_with_one_string_for_each_text():
    reply = Reply("shop", "x")
    for _ in range(1_000):
        reply.add_event({"text": "word "})
    reply.add_event({"text": "\ud83d"})
    reply.add_event({"id": "n", "type": "notification", "payload": {"text": "Reading…"}})
    reply.add_event({"text": "\ude00"})
    for number in range(3):
        reply.add_event({"id": str(number), "type": "x", "payload": {}})
    parts, text, blocks = reply.parts, reply.text, reply.blocks
    reply.join_pieces()
    assert len(reply.pieces) == 6 and reply.pieces[0] == "word " * 1_000 + "\ud83d"
    assert (reply.parts, reply.text, reply.blocks) == (parts, text, blocks)
    assert reply.text.endswith(" 😀")
    replacement = {"id": "1", "type": "y", "payload": {}}
    reply.add_event(replacement)
    assert reply.blocks[2] is replacement and len(reply.blocks) == 4


def test_block_without_a_usable_id_replaces_none():
    reply = Reply("shop", "x")
    for _ in range(2):
        reply.add_event({"id": ["a"], "type": "x", "payload": {}})
        reply.add_event({"id": None, "type": "x", "payload": {}})
        reply.add_event({"id": "", "type": "x", "payload": {}})
    assert len(reply.blocks) == 6


def test_ten_thousand_blocks_with_ids_are_collected_in_linear_time():
    reply = Reply("shop", "x")
    started = time.process_time()
    for number in range(200_000):
        reply.add_event({"id": str(number % 100_000), "type": "x", "payload": {}})
    assert time.process_time() - started < 10
    assert len(reply.blocks) == 100_000
