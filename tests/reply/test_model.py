"""Collecting a reply, reading JSON from it, and storing it."""

import copy
import json
import pickle

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
