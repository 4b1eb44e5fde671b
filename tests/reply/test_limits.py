"""Replies that are made to take long: what is formatted is bounded, and nothing of it is lost."""

import time

import pytest
from replies import reply_with, table_block

from cpsl_notebook import Reply
from cpsl_notebook.reply import markdown, model, rendering
from cpsl_notebook.reply.expected_format import format_error
from cpsl_notebook.reply.limits import (
    MAX_BLOCKS,
    MAX_FORMATTED,
    MAX_IMAGES,
    MAX_LINES,
    MAX_PLAIN,
    Budget,
)
from cpsl_notebook.reply.rendering import html, plain
from cpsl_notebook.sanitize import clean

LINK = "[![a](https://x.example/a.png)](https://x.example) "
PIECES = [
    *("![", "[", "*a ", "**a** ", "_a ", "`a", "<", "<![CDATA[", "<!--", "&", "~~a", LINK, "[a](b"),
    *(
        "a\n",
        "- a\n",
        "1. a\n",
        "> a\n",
        "# a\n",
        "|a|\n|-|\n",
        "```\na\n",
        "```c\na\n```\n",
        "[a]: x\n",
    ),
    *(
        "\\(",
        "\\[\n",
        "$$\n",
        "$$",
        "- [ ] a\n",
        "\x1b[31m",
        "-x ",
        "![\n\n",
        "a\n\n",
        "~~~java\na b\n~~~\n",
    ),
]
WIDE = "|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "|\n" * 600 + "\n"
BLOCKS = {
    "table": table_block([["abc"] * 50] * 100),
    "suggestions": {
        "type": "suggestions",
        "payload": {"suggestions": [{"label": "a", "value": "-x " * 50_000}] * 200},
    },
    "activity": {
        "type": "activity",
        "payload": {"label": "a" * 100_000, "links": ["https://a.example"] * 10_000},
    },
    "unknown": {
        "type": "x" * 100_000,
        "payload": dict.fromkeys(["label", "text"], "a" * 1_000_000),
    },
}


def seconds_to_show(reply):
    started = time.process_time()
    html(reply)
    plain(reply)
    return time.process_time() - started


@pytest.mark.parametrize("piece", [*PIECES, WIDE], ids=lambda piece: repr(piece)[:20])
@pytest.mark.parametrize("length", [MAX_FORMATTED, 3_000_000])
def test_any_text_is_shown_in_bounded_time(piece, length):
    reply = reply_with((piece * (length // len(piece) + 1))[:length])
    assert seconds_to_show(reply) < 5


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_any_blocks_are_shown_in_bounded_time(block):
    reply = reply_with(blocks=[block] * 2_000)
    assert seconds_to_show(reply) < 5
    for shown in (html(reply), plain(reply)):
        assert "Not shown: 1,800 blocks. They are in `blocks` of the reply" in shown
        assert len(shown) < 2_000_000


LONG_BLOCKS = {
    "table": table_block([["x" * 1_000] * 50] * 100),
    "wide table": table_block(
        [[f"{row} " * (row == column) * 500 for column in range(50)] for row in range(50)]
    ),
    "suggestions": BLOCKS["suggestions"],
}


@pytest.mark.parametrize("block", LONG_BLOCKS.values(), ids=LONG_BLOCKS)
def test_long_blocks_are_shown_in_part_and_later_ones_too(block):
    blocks = []
    for number in range(50):
        blocks += [block, {"type": "activity", "payload": {"label": f"step {number};"}}]
    reply = reply_with(blocks=blocks)
    for shown in (html(reply), plain(reply)):
        assert "Not shown" not in shown and len(shown) < 2_000_000
        assert all(f"step {number};" in shown for number in range(50))
        assert shown.count(" more ") >= 30


def test_many_blocks_are_counted():
    blocks = [{"type": "activity", "payload": {"label": f"step {n};"}} for n in range(1_000)]
    reply = reply_with("the text", blocks=blocks)
    for shown in (html(reply), plain(reply)):
        assert f"step {MAX_BLOCKS - 1};" in shown and f"step {MAX_BLOCKS};" not in shown
        assert "Not shown: 800 blocks." in shown
    assert len(reply.blocks) == 1_000


def test_long_text_is_formatted_then_plain_then_counted():
    line = "**bold** words of a longer line\n\n"
    reply = reply_with(line * 200_000)
    shown = html(reply)
    formatted = MAX_FORMATTED // len(line) * len(line)
    assert shown.count("<b>") == MAX_FORMATTED // len(line)
    assert "**bold** words" in shown
    hidden = 200_000 * len(line) - formatted - 1_000_000
    assert f"Not shown: {hidden:,} characters." in shown
    text, note = plain(reply).rsplit("\n\n", 1)
    assert reply.text.startswith(text) and len(text) > 1_000_000
    assert note.startswith(f"Not shown: {hidden:,} characters.")


def test_text_of_many_lines_is_formatted_in_part():
    shown = html(reply_with("- a\n" * (MAX_LINES + 100)))
    assert shown.count("<li>") == MAX_LINES and shown.count("- a&#10;") == 100


LARGE = {
    "text": "word " * 4_000_000,
    "lines": "a\n" * 10_000_000,
    "controls": "\x9b" * 20_000_000,
    "escapes": "\x1b[31m" * 4_000_000,
    "surrogates": "\ud83d" * 20_000_000,
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_only_the_shown_part_of_a_large_text_is_cleaned_and_converted(monkeypatch, text):
    cleaned = []

    def counted(part):
        cleaned.append(len(part))
        return clean(part)

    def convert(text, lone=None):
        raise AssertionError("the whole text is converted")

    for module in (markdown, rendering):
        monkeypatch.setattr(module, "clean", counted)
    monkeypatch.setattr(model, "join_surrogates", convert)
    reply = reply_with(text)
    assert "Not shown: " in html(reply) and "Not shown: " in plain(reply)
    assert sum(cleaned) < 3 * (MAX_FORMATTED + MAX_PLAIN)


@pytest.mark.parametrize("size", [5, 5_000_000])
def test_images_beyond_the_limit_are_not_shown_and_the_reason_is_given(size):
    url = "data:image/png;base64," + "A" * size
    reply = reply_with(blocks=[{"type": "image", "payload": {"url": url, "alt": "a chart"}}] * 6)
    shown = html(reply)
    fitting = 6 if size == 5 else MAX_IMAGES // size - 1
    assert shown.count("<img ") == fitting
    reason = "[image: a chart; not shown, because it is too large: see `blocks` of the reply"
    assert shown.count(reason) == 6 - fitting


def test_limits_are_those_of_the_whole_reply():
    reply = Reply("shop", "x", status="complete")
    for number in range(50):
        reply.add_event({"text": f"**bold {number};** " * 300})
        reply.add_event({"type": "activity", "payload": {"label": "x"}})
    shown = html(reply)
    assert shown.count("<b>") < 2 * MAX_FORMATTED / len("**bold 10;** ")
    assert "**bold 49;**" in shown


@pytest.mark.parametrize("form", ["json", "table"])
@pytest.mark.parametrize("piece", ["```json\n1\n```\n\n", "|---|\n", "[1,\n", '{"a":1}\n', "a\n"])
def test_any_reply_with_a_format_is_checked_and_shown_in_bounded_time(form, piece):
    reply = reply_with(piece * (1_000_000 // len(piece)), form=form)
    started = time.process_time()
    reply.error = format_error(reply)
    assert time.process_time() - started < 10
    assert seconds_to_show(reply) < 5


def test_valid_long_json_is_shown_as_it_came():
    reply = reply_with(f"[{'1, ' * 100_000}1]", form="json")
    assert format_error(reply) is None
    assert plain(reply) == reply.text


def test_budget_ends_the_formatted_part_at_a_line_end():
    budget = Budget(formatted=10, plain=5)
    assert budget.split("one\ntwo\nthree\nfour") == ("one\ntwo\n", "three")
    assert (budget.formatted, budget.plain, budget.hidden_characters) == (0, 0, 5)
    assert budget.split("five") == ("", "")
    assert budget.note == (
        "Not shown: 9 characters. They are in `text` of the reply (`%capsule last`)."
    )
    assert Budget(hidden_blocks=1).note == (
        "Not shown: 1 block. It is in `blocks` of the reply (`%capsule last`)."
    )
