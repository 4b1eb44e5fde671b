"""Rendering a growing reply without rendering what is final again."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpsl_notebook import Reply
from cpsl_notebook.display.incremental import GrowingReply
from cpsl_notebook.reply.limits import MAX_BLOCK_LENGTH, MAX_BLOCKS, MAX_FORMATTED
from cpsl_notebook.reply.markdown import to_html
from cpsl_notebook.reply.style import TABLE

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


CODE = "def first(a):\n    x = 'text'  # a comment\n    return x\n\n\n" * 2
STRING = 'x = """a text\n\nof several lines\n  with = code\n""" + y\n\n'
ROWS = "".join(f"| a **{n}** | {'long ' * (n % 4)} | {n} |\n" for n in range(12))
GROWING_BLOCKS = [
    f"```python\n{CODE}```",
    f"~~~~ py title\n{STRING}{CODE}```\n{STRING}~~~~",
    f"  ```\n  {CODE}\n\n\n  ```\n\n\n",
    f"```nonesuch\n{CODE}",
    f"| a | b | c |\n|---|:-:|---|\n{ROWS}",
    f"a | b | c\n-|-|-\n{ROWS}no pipe\n\n",
    f"- a list\n\n  ```python\n  {CODE}",
    f"> | a | b |\n> |---|---|\n> | 1 | 2 |\n{ROWS}",
    "A paragraph\nof two lines.",
    "# A heading",
    "    indented\n\n    code",
    "",
]


SEAM = re.compile(  # a browser drops a line end after <pre>
    r'(?:</pre></div><div class="capsule-more[^>]*><pre [^>]*>(?:&#10;)?'
    r'|</table></div><div class="capsule-more[^>]*><table [^>]*><colgroup>.*?</colgroup><tbody>)'
)
FIXED_TABLE = re.compile("<table [^>]*table-layout[^>]*><colgroup>.*?</colgroup>")


def whole(parts):
    """Return the HTML of pages as if fences and tables had not been shown in parts."""
    joined = re.sub("<style>.*?</style>", "", "".join(parts))
    joined = SEAM.sub("", re.sub('<table class="[^"]*"', "<table", joined))
    joined = re.sub('<div class="[^"]*">|</div>', "", joined)
    return without_alignment(FIXED_TABLE.sub(f"<table style={TABLE}>", joined))


def without_alignment(page):
    """Return HTML without the alignment of cells, which depends on the first rows of a table."""
    return re.sub("<(t[hd]) [^>]*>", r"<\1>", page)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(GROWING_BLOCKS), min_size=1, max_size=4), st.data())
def test_reply_cut_anywhere_is_shown_as_if_rendered_at_once(monkeypatch, blocks, data):
    piece, lines = (data.draw(st.sampled_from(sizes)) for sizes in ([1, 200, 2_000], [1, 40, 200]))
    monkeypatch.setattr("cpsl_notebook.display.incremental._MIN_PIECE", piece)
    for name in ("_MIN_FIRST", "_MIN_LINES"):
        monkeypatch.setattr(f"cpsl_notebook.reply.open_block.{name}", lines)
    text = "\n\n".join(blocks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=30)))
    events = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    pages, rest = grown(*filter(None, events))
    assert whole([*pages, rest]) == without_alignment(to_html(text))


@pytest.mark.parametrize("kind", ["fence", "table"])
def test_finished_lines_of_a_fence_or_table_are_final(kind):
    lines = "x = 'a'  # b\n" if kind == "fence" else "| billing | 33 | waiting for a reply |\n"
    head = "```python\n" if kind == "fence" else "| a | b | c |\n|---|---|---|\n"
    reply = Reply("shop", "x")
    growing = GrowingReply(reply)
    reply.add_event({"text": head})
    longest, before = 0, []
    for _ in range(1_000):
        reply.add_event({"text": lines})
        growing.update()
        pages = growing.pages()
        assert pages[: len(before)] == before
        before = pages
        longest = max(longest, len(growing.rest))
    assert growing.is_continued and longest < 2_500 and len(before) < 40


def test_columns_of_a_growing_table_are_aligned_by_one_style_sheet():
    row = "| billing | 33 | waiting for a reply |\n"
    pages, rest = grown("| a | b | c |\n|---|---|:-:|\n", *[row] * 300)
    parts = [*pages, rest]
    assert len(parts) > 4 and "".join(parts).count("<style>") == 1
    right, center = ".right2 :is(td,th):nth-child(2){", ".center3 :is(td,th):nth-child(3){"
    assert right in pages[0] and center in pages[0]
    assert all('<table class="right2 center3"' in part for part in parts)
    assert "<td>billing<td>33<td>waiting for a reply" in rest


def test_texts_and_blocks_stay_in_order():
    pages, rest = grown(
        "One **tw", "o**.", activity("step 1"), "Three.\x1b[3", "1m", activity("step 2"), "4"
    )
    shown = "".join([*pages, rest])
    texts = ("One <b>two</b>.", "step 1", "Three.", "step 2", ">4")
    places = [shown.index(text) for text in texts]
    assert places == sorted(places) and "\x1b" not in shown


def test_replaced_block_changes_only_its_page():
    events = [activity(f"{number}" * 900, str(number)) for number in range(6)]
    before, _ = grown(*events)
    assert 2 <= len(before) <= 6
    for label in ("short", "long " * 900):
        after, _ = grown(*events, activity(label, "0"))
        assert after[1:] == before[1:] and after[0] != before[0]


def test_blocks_that_grow_when_they_are_replaced_are_limited():
    def table(rows, number):
        payload = {"table": {"columns": ["a"] * 50, "rows": [["x" * 900] * 50] * rows}}
        return {"id": str(number), "type": "table_preview", "payload": payload}

    pages, _ = grown(*(table(size, number) for size in (0, 100) for number in range(20)))
    assert MAX_BLOCK_LENGTH / 2 < len("".join(pages)) < 1.5 * MAX_BLOCK_LENGTH


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
    assert shown.count("<b>") <= MAX_FORMATTED // len(PARAGRAPH)
    assert shown.count("**bold**") > 100 and shown.count("[activity]") == MAX_BLOCKS
