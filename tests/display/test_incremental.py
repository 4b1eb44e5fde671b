"""Rendering a growing reply without rendering what is final again."""

from cpsl_notebook import Reply
from cpsl_notebook.display.incremental import GrowingReply
from cpsl_notebook.reply.limits import MAX_BLOCKS, MAX_FORMATTED
from cpsl_notebook.reply.markdown import to_html

PARAGRAPH = "Some **bold** words of a paragraph that is not very long.\n\n"


def activity(label, key=None):
    return {"id": key, "type": "activity", "payload": {"label": label}}


def grown(*events, step=1):
    """Return the pages and the rest of a reply that was updated after every few events."""
    reply = Reply("shop", "x")
    growing = GrowingReply(reply)
    for number, event in enumerate(events):
        reply.add_event({"text": event} if isinstance(event, str) else event)
        if number % step == 0:
            growing.update()
            growing.pages()
    growing.update()
    return growing.pages(), growing.rest_html()


def test_settled_pages_and_rest_are_the_whole_text():
    text = "".join(f"## {number}\r\n\r\n{PARAGRAPH}" for number in range(400))
    pages, rest = grown(*(text[start : start + 7] for start in range(0, len(text), 7)))
    assert len(pages) > 10 and len(rest) < 5_000
    assert "".join(pages) + rest == to_html(text)


def test_texts_and_blocks_stay_in_order():
    pages, rest = grown(
        "One **tw", "o**.", activity("step 1"), "Three.\x1b[3", "1m", activity("step 2"), "4"
    )
    shown = "".join([*pages, rest])
    texts = ("One <strong>two</strong>.", "step 1", "Three.", "step 2", ">4")
    places = [shown.index(text) for text in texts]
    assert places == sorted(places) and "\x1b" not in shown


def test_replaced_block_changes_only_its_page():
    events = [activity(f"{number}" * 900, str(number)) for number in range(6)]
    before, _ = grown(*events)
    assert 2 <= len(before) <= 6
    for label in ("short", "long " * 900):
        after, _ = grown(*events, activity(label, "0"))
        assert after[1:] == before[1:] and after[0] != before[0]


def test_unchanged_block_is_rendered_once(monkeypatch):
    rendered = []
    monkeypatch.setattr(
        "cpsl_notebook.reply.rendering.block_html",
        lambda block, *_, **__: rendered.append(block["id"]) or "<p></p>",
    )
    grown(activity("a", "1"), activity("b", "2"), activity("c", "1"))
    assert rendered == ["1", "2", "1"]


def test_long_reply_is_limited_while_it_grows():
    pages, rest = grown(*[PARAGRAPH * 100] * 40, *map(activity, map(str, range(1_000))), step=10)
    shown = "".join([*pages, rest])
    assert shown.count("<strong>") <= MAX_FORMATTED // len(PARAGRAPH)
    assert shown.count("**bold**") > 100 and shown.count("[activity]") == MAX_BLOCKS
