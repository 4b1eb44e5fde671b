"""Displays without a kernel: standard streams that cannot show everything, and order in a terminal."""

import io
import sys

import pytest

from cpsl_notebook import Reply
from cpsl_notebook.conversation.transmission import receive
from cpsl_notebook.display.displays import choose
from cpsl_notebook.display.interrupt import Stopper
from cpsl_notebook.reply.limits import MAX_BLOCKS


class Chunk:
    def __init__(self, data, event="message"):
        self.data, self.event, self.done = data, event, event == "done"
        self.text = data.get("text", "")


def shown(*events, kind="text", **fields):
    """Show a reply of some events, and return it."""
    reply = Reply("shop", "x", **fields)
    chunks = [Chunk({"text": e} if isinstance(e, str) else {"block": e}) for e in events]
    display = choose(kind)
    with Stopper() as stopper:
        receive(reply, display, lambda: iter([*chunks, Chunk({}, "done")]), stopper)
        display.finish(reply)
    return reply


def activity(label, key=None):
    return {"id": key, "type": "activity", "payload": {"label": label}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("kind", ["text", "html"])
def test_characters_that_the_terminal_cannot_encode_are_replaced(monkeypatch, encoding, kind):
    written = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", written)
    reply = shown("It costs 5 → ", "6 😀, done", kind=kind)
    assert (reply.status, reply.text) == ("complete", "It costs 5 → 6 😀, done")
    assert "It costs 5 ? 6 ?, done" in written.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("kind", ["text", "quiet"])
def test_nothing_is_written_without_standard_streams(monkeypatch, kind):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    reply = shown("words", kind=kind, lost_conversation="It was lost.")
    assert (reply.status, reply.error) == ("complete", None)


def test_closed_stdout_does_not_affect_the_reply(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    assert shown("some ", "words").text == "some words"


def test_text_and_blocks_are_written_in_order_and_replaced_blocks_again(capsys):
    shown(
        "One ",
        "two.",
        activity("step 1", "a"),
        "Three.\n",
        activity("step 2"),
        "\nFour.",
        activity("done", "a"),
    )
    text, _, footer = capsys.readouterr().out.rpartition("[shop")
    assert text == (
        "One two.\n\n[activity] step 1\n\nThree.\n\n[activity] step 2\n\nFour.\n\n[activity] done\n\n"
    )
    assert footer.endswith(" s]\n")


def test_replaced_blocks_that_the_limits_hide_are_counted_once(capsys):
    steps = range(MAX_BLOCKS + 3)
    shown(
        *(activity(f"step {n}", str(n)) for n in steps), *(activity("done", str(n)) for n in steps)
    )
    out = capsys.readouterr().out
    assert (out.count("[activity] step"), out.count("[activity] done")) == (MAX_BLOCKS, MAX_BLOCKS)
    assert "Not shown: 3 blocks." in out


@pytest.mark.parametrize("kind", ["text", "quiet", "headless"])
def test_finished_reply_keeps_one_string(capsys, kind):
    reply = shown("One ", "two", " three.", activity("step 1"), "Four", ".", kind=kind)
    assert [p for p in reply.pieces if isinstance(p, str)] == ["One two three.", "Four."]


def test_empty_reply_says_that_it_is_empty(capsys):
    shown()
    assert capsys.readouterr().out.startswith("The reply is empty.\n[shop")


def test_terminal_shows_that_it_is_waiting_on_a_line_that_disappears(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    notification = {"type": "notification", "payload": {"text": "Reading\n" + "x" * 200}}
    shown(notification, "Done.")
    waiting, reading = "Waiting for shop…", "Reading " + "x" * 62
    assert terminal.getvalue().startswith(
        f"\r\r{waiting}\r{' ' * len(waiting)}\r{reading}\r{' ' * 70}\rDone.\n[shop"
    )
