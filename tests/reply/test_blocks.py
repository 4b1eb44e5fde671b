"""Blocks as HTML and text: tables, images, suggestions, and those of unexpected shape."""

import html as html_module
import re
from textwrap import dedent
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from replies import reply_with, table_block

from cpsl_notebook.magics import input_transformer
from cpsl_notebook.reply.blocks import block_html, block_text
from cpsl_notebook.reply.cell_source import cell_source
from cpsl_notebook.reply.rendering import html, plain
from cpsl_notebook.reply.style import TABLE
from cpsl_notebook.sanitize import clean

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42m"
    "Nk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REMOTE = "https://pictures.example/cat.png"
ODD_BLOCKS = [
    {"type": "table_preview", "payload": None},
    {"type": "table_preview", "payload": {"close": True}},
    {"type": "table_preview", "payload": {"table": {"rows": []}}},
    {"type": "table_preview", "payload": {"table": {"rows": 5, "columns": ["a"]}}},
    {"type": "table_preview", "payload": {"table": {"rows": [1, None, "x"], "columns": 5}}},
    {"type": "table_preview", "payload": {"table": {"rows": [[1, 2]], "columns": [{}, None]}}},
    {"type": "table_preview", "payload": {"table": {"rows": [{"a": 1}, [2]], "columns": ["a"]}}},
    {"type": "suggestions", "payload": {"suggestions": 5}},
    {"type": "suggestions", "payload": {"suggestions": [{"label": None}, "x"]}},
    {"type": "suggestions", "payload": []},
    {"type": None, "payload": "x"},
    {"type": ["a"], "payload": {"label": {"b": 1}}},
]


@pytest.mark.parametrize("block", ODD_BLOCKS, ids=str)
def test_block_of_unexpected_shape_does_not_fail(block):
    reply = reply_with("text", blocks=[block])
    assert "text" in html(reply) and plain(reply).startswith("text")


def test_unknown_type_is_one_line_with_its_texts():
    block = {"type": "new", "payload": {"label": "Looked it up", "detail": "<b>2</b>"}}
    assert block_text(block, "shop") == "[new] Looked it up · <b>2</b>"
    assert ">[new] Looked it up · &lt;b&gt;2&lt;/b&gt;</div>" in block_html(block, "shop")


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": "billing", "<b>": 4},
        [{"label": "queue", "value": "billing"}, {"name": "<b>", "value": 4}],
    ],
    ids=["object", "list"],
)
def test_activity_shows_links_and_fields(fields):
    links = [
        {"label": "Thread <1>", "url": "https://a.example/1"},
        {"url": "https://a.example/2"},
        {"label": "no", "url": "javascript:canary()"},
        "https://a.example/3",
    ]
    block = {"type": "activity", "payload": {"label": "Read", "links": links, "fields": fields}}
    shown = block_html(block, "shop")
    assert ">[activity] Read · queue: billing · &lt;b&gt;: 4 · <a " in shown
    assert 'href="https://a.example/1"' in shown and ">Thread &lt;1&gt;</a>" in shown
    assert "javascript" not in shown and shown.endswith("</div>")
    assert block_text(block, "shop").startswith(
        "[activity] Read · queue: billing · <b>: 4 · Thread <1> "
    )


def test_links_and_fields_that_are_left_out_are_counted():
    links = [f"https://a.example/{n};" for n in range(60)]
    fields = {f"field {n};": n for n in range(70)}
    block = {"type": "activity", "payload": {"label": "Read", "links": links, "fields": fields}}
    for shown in (block_html(block, "shop"), block_text(block, "shop")):
        assert "10 more links: see `blocks`" in shown and "20 more fields: see `blocks`" in shown
        assert "field 49;" in shown and "field 50;" not in shown


@pytest.mark.parametrize("kind", ["approval_prompt", "integration_prompt", "file_upload"])
def test_prompt_says_where_it_is_answered(kind):
    block = {"type": kind, "payload": {"title": "Send the refund?"}}
    assert block_text(block, "shop") == (
        f"[{kind}] Send the refund? (Answer it in the app on Capsule; a notebook cannot.)"
    )
    assert "(Answer it in the app on Capsule; a notebook cannot.)" in block_html(block, "shop")


def test_empty_reply_says_that_it_is_empty():
    for reply in (
        reply_with(""),
        reply_with(" \n", blocks=[{"type": "notification", "payload": {}}]),
    ):
        assert ">The reply is empty.</div>" in html(reply)
    assert "empty" not in html(reply_with("", "stopped")) + html(reply_with("x"))


def test_table_has_title_header_and_aligned_numbers():
    rows = [["billing", 33], ["mobile", 15]]
    block = table_block(rows, ["Queue", {"label": "Threads"}], title="By queue")
    shown = block_html(block, "shop")
    assert shown == (
        "<p><b>By queue</b></p>"
        f"<table style={TABLE}><thead><tr><th>Queue<th align=right>Threads"
        "<tbody><tr><td>billing<td align=right>33"
        "<tr><td>mobile<td align=right>15</table>"
    )
    assert (
        block_text(block, "shop").split() == "By queue Queue Threads billing 33 mobile 15".split()
    )


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([[1, None], [2, 3]], ["a", "b"], "a b 1 2 3"),
        ([[1234567.891234, 0.1, True]], list("abc"), "a b c 1234567.891234 0.1 True"),
        ([[1], [1, 2, 3]], ["a"], "a 1 2 1 1 2 3"),
        ([{"a": 1}, {"b": 2}], None, "a b 1 2"),
        (
            [{"b": 2, "a": 1, "c": 9}, {"a": 3}],
            [{"key": "a", "label": "Ay"}, {"key": "b", "label": "Bee"}],
            "Ay Bee 1 2 3",
        ),
    ],
)
def test_table_shows_values_as_they_came(rows, columns, words):
    assert block_text(table_block(rows, columns), "shop").split() == words.split()


def test_huge_table_is_shown_in_part():
    block = table_block([[n] * 60 for n in range(50_000)])
    for shown in (block_html(block, "shop"), block_text(block, "shop")):
        assert "49,900 more rows and 10 more columns: see `tables`" in shown
        assert len(shown) < 300_000


def test_table_with_one_very_wide_row_is_shown_in_part():
    block = table_block([[0] * 200_000, *[[]] * 200_000])
    assert "199,901 more rows and 199,950 more columns" in block_text(block, "shop")


def image_block(url, **payload):
    return {"type": "image", "payload": {"url": url, **payload}}


def test_embedded_image_is_shown():
    shown = html(reply_with(f"![dot]({PIXEL})", blocks=[image_block(PIXEL, alt="a dot", width=40)]))
    assert shown.count(f'<img src="{PIXEL}"') == 2
    assert 'alt="dot"' in shown and 'alt="a dot" width="40"' in shown


def test_remote_image_is_a_link_unless_allowed():
    reply = reply_with(f"![cat]({REMOTE})", blocks=[image_block(REMOTE, alt="the cat")])
    shown = html(reply)
    assert "<img" not in shown and shown.count(f'<a href="{REMOTE}"') == 2
    assert shown.count("%config CapsuleMagics.remote_images = True") == 2
    assert plain(reply).endswith(f"[image: the cat {REMOTE}]")
    reply.remote_images = True
    assert html(reply).count(f'<img src="{REMOTE}"') == 2


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:canary()", "//x.example", "http://["]
)
def test_image_with_other_url_is_never_shown(url):
    shown = block_html(image_block(url, alt="odd"), "shop", remote_images=True)
    assert shown == (
        "<p>[image: odd; not shown, because it is neither a web address nor an embedded PNG, JPEG, "
        "GIF or WebP]</p>"
    )


def test_notification_is_the_status_until_text_follows():
    reply = reply_with("", "running")
    reply.add_event({"block": {"type": "notification", "payload": {"text": "Reading…"}}})
    assert "<div role=status style=opacity:.75;font-size:.85em>Reading…</div>" in html(reply)
    reply.add_event({"text": "Done."})
    assert "Reading…" not in html(reply) and "Reading…" not in plain(reply)


def suggestions(*items):
    return {"type": "suggestions", "payload": {"suggestions": list(items)}}


def test_suggestion_is_one_line_with_the_cell_that_sends_it():
    block = suggestions(
        {"label": "Which are <urgent>?", "value": "Which are <urgent>?"},
        {"label": "By queue", "value": "Count the threads of each queue."},
        {"value": "Is {{ x }} open?"},
    )
    shown = block_html(block, "shop")
    assert re.findall("<summary>(.*?)</summary>", shown) == [
        "Which are &lt;urgent&gt;?",
        "By queue",
        "Is {{ x }} open?",
    ]
    assert [
        html_module.unescape(cell) for cell in re.findall("<pre [^>]*>([^<]*)</pre>", shown)
    ] == [
        "%%capsule shop\nWhich are <urgent>?",
        "%%capsule shop\nCount the threads of each queue.",
        "%%capsule shop --raw\nIs {{ x }} open?",
    ]
    assert block_text(block, "shop") == dedent("""\
        You could ask, in a cell that starts with `%%capsule shop`:
        - Which are <urgent>?
        - By queue:

            %%capsule shop
            Count the threads of each queue.

        - Is {{ x }} open?:

            %%capsule shop --raw
            Is {{ x }} open?
        """)


def test_suggestions_that_are_left_out_are_counted():
    block = suggestions(*({"label": f"Question {n};"} for n in range(60)))
    for shown in (block_html(block, "shop"), block_text(block, "shop")):
        assert shown.count("Question 49;") and not shown.count("Question 50;")
        assert "10 more suggestions: see `blocks` of the reply" in shown


def test_very_long_prompt_is_not_cut_off_in_its_cell():
    block = suggestions(
        {"label": "Try", "value": "x" * 10_001}, {"label": "a", "value": "x" * 10_000}
    )
    for shown in (block_html(block, "shop"), block_text(block, "shop")):
        assert "Try (its prompt is too long: see `blocks` of the reply (`%capsule last`))" in shown
        assert "x" * 10_000 in shown and "x" * 10_001 not in shown and "…" not in shown


PROMPTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["C", "Z"]), st.sampled_from(" ?;#$\"'{}\\-%!()[]n>")
    )
).map(lambda text: " ".join(clean(text).split()))


@settings(deadline=None)
@given(PROMPTS.filter(bool))
def test_suggestion_copied_from_page_or_text_sends_its_prompt(prompt):
    block = suggestions({"label": "Try", "value": prompt})
    page = block_html(block, "shop").partition("user-select:all>")[2].partition("</pre>")[0]
    text = block_text(block, "shop").partition("- Try:")[2]
    manager = TransformerManager()
    input_transformer.install(SimpleNamespace(input_transformer_manager=manager))
    sent = []
    shell = SimpleNamespace(run_cell_magic=lambda *cell: sent.append(cell))
    raw = " --raw" if "{{" in prompt else ""
    for cell in (html_module.unescape(page), dedent(text).strip("\n")):
        assert cell == cell_source("shop", prompt)
        exec(manager.transform_cell(cell), {"get_ipython": lambda: shell})
    assert sent == [("capsule", f"shop{raw}", f"{prompt}\n")] * 2


def test_cell_source_quotes_the_app():
    assert cell_source("support ops", "Which?") == "%%capsule 'support ops'\nWhich?"
