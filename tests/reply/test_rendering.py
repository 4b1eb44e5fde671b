"""A reply as HTML and text: readable, and nothing in it runs or fetches."""

import re
import time
from html.parser import HTMLParser

import pytest
from attacks import ATTACKS, KINDS, RAN, hostile_block
from hypothesis import given
from hypothesis import strategies as st

from cpsl_notebook import Reply, UserError
from cpsl_notebook.reply.markdown import DARK, LIGHT, STYLE, settled, to_html
from cpsl_notebook.reply.rendering import html, plain
from cpsl_notebook.sanitize import clean, split_complete

SAFE_TAGS = set(
    "div p strong em code pre ul ol li h1 h2 h3 h4 h5 h6 a table thead tbody tr th td hr br "
    "blockquote s span".split()
)
SAFE_ATTRIBUTES = {"class", "style", "role", "href", "target", "rel", "title", "start", "border"}


class Inspector(HTMLParser):
    """Reads HTML as a browser would, and objects to what could run or fetch."""

    def handle_starttag(self, tag, attributes):
        if tag == "style":
            return  # the whole of it is compared below
        if tag == "img":
            attributes = dict(attributes)
            assert attributes.pop("src").startswith("data:image/png;base64,")
            assert set(attributes) <= {"alt", "width", "referrerpolicy", "style"}
            return
        assert tag in SAFE_TAGS, tag
        for name, value in attributes:
            assert name in SAFE_ATTRIBUTES, (tag, name)
            if name == "href":
                assert value.split(":")[0].lower() in {"http", "https", "mailto"}, value
            if name == "style":
                assert "url" not in value and "expression" not in value


def inspect(reply):
    shown = html(reply)
    Inspector().feed(shown)
    assert "<style" not in shown.replace(STYLE, "")
    assert plain(reply) is not None and RAN == []


def reply_with(text="", status="complete", **fields):
    return Reply(app="shop", prompt="x", pieces=[text], status=status, **fields)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("status", ["running", "complete", "failed"])
def test_text_cannot_run_or_fetch_anything(attack, status):
    inspect(reply_with(f"before {attack} after\n\n{attack}\n\n> {attack}\n\n- {attack}", status))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_cannot_run_or_fetch_anything(attack, kind):
    block = hostile_block(attack, kind)
    for status in ("running", "complete"):
        inspect(reply_with("", status, blocks=[block]))
    inspect(reply_with(blocks=[block | {"type": attack}]))


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_and_notices_cannot_run_or_fetch_anything(attack):
    inspect(reply_with(conversation=attack, notices=[attack], session_id=attack))
    inspect(Reply(app=attack, prompt="x", status="failed"))


ODD_BLOCKS = [
    {"type": "table_preview", "payload": None},
    {"type": "table_preview", "payload": {"close": True}},
    {"type": "table_preview", "payload": {"table": {"rows": []}}},
    {"type": "table_preview", "payload": {"table": {"rows": [1, None, "x"], "columns": 5}}},
    {"type": "table_preview", "payload": {"table": {"rows": [[1], [1, 2, 3]], "columns": ["a"]}}},
    {"type": "table_preview", "payload": {"table": {"rows": [{"a": 1}, {"b": 2}]}}},
    {"type": "table_preview", "payload": {"table": {"rows": [[1, 2]], "columns": [{}, None]}}},
    {"type": "table_preview", "payload": {"table": {"rows": [{"a": 1}, [2]], "columns": ["a"]}}},
    {"type": "suggestions", "payload": {"suggestions": 5}},
    {"type": "suggestions", "payload": []},
    {"type": None, "payload": "x"},
    {"type": ["a"], "payload": {"label": {"b": 1}}},
]


@pytest.mark.parametrize("block", ODD_BLOCKS, ids=str)
def test_a_block_of_an_unexpected_shape_never_fails(block):
    reply = reply_with("text", blocks=[block])
    inspect(reply)
    assert plain(reply).startswith("text")


def test_a_table_block_becomes_a_table_with_its_title_and_all_its_rows():
    table = {"columns": ["Queue", {"label": "Threads"}], "rows": [["billing", 33], ["mobile", 15]]}
    block = {"type": "table_preview", "payload": {"title": "By queue", "table": table}}
    shown = html(reply_with(blocks=[block]))
    for piece in (
        "By queue",
        "<th>Queue</th>",
        '<th style="text-align:right">Threads</th>',
        '<td style="text-align:right">33</td>',
        "<td>mobile</td>",
    ):
        assert piece in shown


def test_money_is_no_formula_and_markdown_is_formatted():
    shown = html(reply_with("**$5** and $10\n\n1. one\n2. two\n\n| a |\n|---|\n| b |"))
    assert "mathjax_ignore" in shown
    for piece in ("<strong>$5</strong> and $10", "<li>two</li>", "<td>b</td>"):
        assert piece in shown


def test_links_to_the_web_open_apart_and_tell_nothing():
    shown = html(reply_with("[site](https://ok.example/a?b=c)"))
    assert 'href="https://ok.example/a?b=c"' in shown
    assert 'rel="noopener noreferrer"' in shown and 'target="_blank"' in shown


def test_control_characters_and_bidirectional_overrides_are_removed():
    dirty = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\u202egnp.exe\u2066\x00\x9bz\r\nnext\ttab"
    assert clean(dirty) == "aredgnp.exez\nnext\ttab"
    reply = reply_with(dirty, notices=[dirty], conversation=dirty)
    for shown in (html(reply), plain(reply)):
        assert not set("\x1b\x07\u202e\u2066\x00\x9b") & set(shown)


def test_a_text_that_was_decoded_wrongly_loses_no_letter():
    wrong = "Die Straße am Ende: Über “hello” 500".encode().decode("latin-1")
    assert clean(wrong) == re.sub("[\x80-\x9f]", "", wrong)


SEQUENCES = (
    "start \x1b(0lqk\x1b(B mid \x1b[1;31mred\x1b[0m "
    "\x1b]8;;https://a.example\x1b\\link\x1b]8;;\x07 😀 end"
)


def test_a_text_is_the_same_however_it_was_cut():
    halves = SEQUENCES.encode("utf-16-le", "surrogatepass")
    pieces = [
        halves[n : n + 2].decode("utf-16-le", "surrogatepass") for n in range(0, len(halves), 2)
    ]
    shown, held = "", ""
    for piece in pieces:
        whole, held = split_complete(held + piece)
        shown += clean(whole)
    assert shown + clean(held) == "start lqk mid red link 😀 end" == clean(SEQUENCES)


@pytest.mark.parametrize(
    "hostile", ["\x9d", "\x1b]", "\x1b[", "\x1b[0;", "\x1b]8;;x", "\ud83d", "\r"]
)
def test_cleaning_takes_time_in_proportion(hostile):
    started = time.monotonic()
    clean(hostile * 500_000)
    split_complete(hostile * 500_000)
    assert time.monotonic() - started < 10  # by the square of the length it would take an hour


def test_what_looks_like_a_title_that_never_ends_is_shown_soon():
    whole, held = split_complete("\x1b]this is no title, " + "but a text " * 400)
    assert held == "" and clean(whole).startswith("]this is no title")


def test_an_entity_cannot_bring_back_what_was_removed():
    table = {"columns": ["a"], "rows": [[{"x": "\u202eevil"}]]}
    block = {"type": "table_preview", "payload": {"table": table}}
    assert "\u202e" not in html(reply_with("&#x202e;evil &#8238;evil", blocks=[block]))


def test_a_table_shows_its_values_as_they_came():
    def shown(rows, columns):
        payload = {"table": {"rows": rows, "columns": columns}}
        return plain(reply_with(blocks=[{"type": "table_preview", "payload": payload}])).split()

    assert shown([[1, None], [2, 3]], ["a", "b"]) == ["a", "b", "1", "2", "3"]
    assert shown([[1234567.891234, 0.1, True]], list("abc"))[3:] == [
        "1234567.891234",
        "0.1",
        "True",
    ]
    rows = [{"b": 2, "a": 1, "c": 9}, {"a": 3}]
    columns = [{"key": "a", "label": "Ay"}, {"key": "b", "label": "Bee"}]
    assert shown(rows, columns) == ["Ay", "Bee", "1", "2", "3"]


def test_a_notification_is_the_status_until_text_follows():
    reply = reply_with("", "running")
    reply.take("block", {"block": {"type": "notification", "payload": {"text": "Reading…"}}})
    assert "Reading…" in html(reply)
    reply.take("message", {"text": "Done."})
    assert "Reading…" not in html(reply) and "Reading…" not in plain(reply)


@pytest.mark.parametrize("form", ["itself", "block", "json"])
def test_a_block_is_found_however_it_is_framed_and_the_same_id_replaces_it(form):
    import json

    reply = reply_with()
    for label in ("one", "two"):
        block = {"id": "b", "type": "activity", "payload": {"label": label}}
        data = {
            "itself": block,
            "block": {"block": block},
            "json": {"block_json": json.dumps(block)},
        }
        reply.take("any", data[form])
    assert [block["payload"]["label"] for block in reply.blocks] == ["two"]


def test_plain_text_is_the_replys_own():
    assert plain(reply_with("**bold** | and _so_\n")) == "**bold** | and _so_"


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42m"
    "Nk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REMOTE = "https://pictures.example/cat.png"


def image_block(url, **payload):
    return {"type": "image", "payload": {"url": url, **payload}}


def test_a_picture_is_shown_where_the_reply_holds_it():
    shown = html(reply_with(f"![dot]({PIXEL})", blocks=[image_block(PIXEL, alt="a dot", width=40)]))
    assert shown.count(f'<img src="{PIXEL}"') == 2
    assert 'alt="dot"' in shown and 'alt="a dot" width="40"' in shown


def test_a_remote_picture_is_a_link_unless_the_reader_allows_it():
    reply = reply_with(f"![cat]({REMOTE})", blocks=[image_block(REMOTE, alt="the cat")])
    shown = html(reply)
    assert "<img" not in shown and shown.count(f'<a href="{REMOTE}"') == 2
    assert shown.count("remote image, not loaded") == 2
    reply.remote_images = True
    assert html(reply).count(f'<img src="{REMOTE}"') == 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:canary()", "//x.example", "["])
def test_a_picture_from_elsewhere_is_never_shown(url):
    reply = reply_with(blocks=[image_block(url, alt="odd")], remote_images=True)
    assert "<img" not in html(reply) and "<a" not in html(reply) and "odd" in html(reply)


def test_suggestions_say_how_to_send_them():
    items = [{"label": "Urgent ones", "target": "composer", "value": "Which are <urgent>?"}]
    reply = reply_with(blocks=[{"type": "suggestions", "payload": {"suggestions": items}}])
    assert ">%capsule ask shop Which are &lt;urgent&gt;?</code>" in html(reply)
    assert "- Urgent ones: %capsule ask shop Which are <urgent>?" in plain(reply)


def test_tables_of_the_text_and_of_blocks_are_data_frames():
    text = "| queue | open | share | code |\n|---|---|---|---|\n| `a\\|b` | 4 | 1.5 | 007 |"
    text += "\n| b | | 2 | 1 |"
    rows = [[2**60 + 1, 12, 1.0, "\x1b]0;title\x07a"], [2, None, 2.0, None]]
    payload = {"table": {"columns": ["n", "gaps", "share", "\x1b[2Jname"], "rows": rows}}
    of_text, of_block = reply_with(
        text, blocks=[{"type": "table_preview", "payload": payload}]
    ).tables
    assert of_text.dtypes.astype(str).tolist() == ["string", "Int64", "Float64", "string"]
    assert of_text["queue"].tolist() == ["a|b", "b"] and of_text["code"].tolist() == ["007", "1"]
    assert of_text["open"].isna().tolist() == [False, True]
    assert of_block["n"].tolist() == [2**60 + 1, 2]
    assert list(map(str, of_block.dtypes))[:3] == ["Int64", "Int64", "float64"]
    assert of_block["gaps"].isna().tolist() == [False, True]
    assert of_block["name"][0] == "a"


def test_a_huge_table_is_shown_in_part_and_is_whole_in_tables():
    rows = [[n] * 60 for n in range(50_000)]
    block = {"type": "table_preview", "payload": {"table": {"rows": rows}}}
    reply = reply_with(blocks=[block])
    for shown in (html(reply), plain(reply)):
        assert "49,900 more rows and 10 more columns" in shown and len(shown) < 300_000
    assert reply.tables[0].shape == (50_000, 60)


def test_what_is_nested_deeply_is_not_left_out():
    for depth in (15, 60):
        text = "\n".join(f"{'  ' * level}- level {level};" for level in range(depth))
        shown = html(reply_with(text))
        assert [level for level in range(depth) if f"level {level};" not in shown] == []
    assert "the end" in html(reply_with(f"{'>' * 200} the end"))


HARD_CODE = {
    "java": "a b ",
    "csharp": "a\n ",
    "c": "\n",
    "javascript": "a.",
    "autoit": " ",
    "fan": "a",
    "python": "  \n",
}


@pytest.mark.parametrize(("language", "piece"), HARD_CODE.items())
def test_code_that_is_hard_to_colour_takes_no_longer_than_a_reader_waits(language, piece):
    code = (piece * 20_000)[:19_999]
    started = time.monotonic()
    shown = to_html(f"~~~{language}\n{code}\n~~~")
    assert time.monotonic() - started < 5  # where it was 10 to 70
    assert "".join(re.findall("<[^>]*>|([^<]*)", shown)) == f"{code}\n\n"


@pytest.mark.parametrize("language", ["python", "Py3", "json", "r", "c++", "bash", "yaml"])
def test_code_of_the_usual_languages_has_colours(language):
    assert "<span class=" in to_html(f'```{language}\nif x: "text" # 1\n```')


def test_an_emoji_that_came_in_halves_is_one():
    reply = Reply(app="x", prompt="y", pieces=["Hello \ud83d", "\ude00 world \ud83d"])
    assert reply.text == "Hello 😀 world \ufffd"
    reply.take("message", {"session_id": "s\ud83d\x1b[31m", "request_id": 7})
    assert (reply.session_id, reply.request_id) == ("s\ufffd", "7")


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", '{"a": Infinity}'])
def test_what_python_alone_would_read_or_fail_on_is_no_json(text):
    with pytest.raises(UserError, match="is no JSON"):
        reply_with(text).json()
    reply_with().take("message", {"block_json": text})


def test_fenced_code_is_taken_out_as_it_is():
    assert reply_with("a\n\n```python\nx = 1\n\n\ny = 2\n```\n\n    z\n\n~~~\nw\n~~~").code == [
        "x = 1\n\n\ny = 2\n",
        "w\n",
    ]


@pytest.mark.parametrize("text", ['{"a": [1]}', 'Here:\n\n```json\n{"a": [1]}\n```\nfine?'])
def test_a_json_answer_is_read(text):
    assert reply_with(text).json() == {"a": [1]}


@pytest.mark.parametrize("text", ["no", "", "```\n1\n```\n```\n2\n```"])
def test_an_answer_that_is_not_one_json_value_is_an_error_that_says_so(text):
    with pytest.raises(UserError, match=r"is no JSON|holds 2 pieces"):
        reply_with(text).json()


def luminance(colour):
    """Of WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colours", "grounds"),
    [(LIGHT, ["#ffffff", "#f5f5f5", "#f7f7f7"]), (DARK, ["#111111", "#212121", "#1e1e1e"])],
)
def test_the_colours_of_code_can_be_read_on_either_ground(colours, grounds):
    for colour in colours.values():
        for ground in grounds:
            darker, lighter = sorted([luminance(colour), luminance(ground)])
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (colour, ground)


def test_code_has_colours_where_its_language_is_known():
    assert '<span class="k">def</span>' in html(reply_with("```python\ndef f(): pass\n```"))
    assert "<span" not in html(reply_with("```nonesuch\ndef f(): pass\n```"))


BLOCKS = [
    "A paragraph\nof two lines.",
    "- a\n- b\n\n  more of b",
    "1. one\n2. two",
    "```python\nx = 1\n\ny = 2\n```",
    "| a |\n|---|\n| 1 |",
    "# Heading",
    "> quoted\ngoes on",
    "Title\n---",
    "***",
    "    indented",
]


LONG = [f"Paragraph {n} of a long reply, with [a link][home] and `code`." for n in range(100)]


def test_a_long_reply_is_divided_so_that_a_page_lays_out_only_what_is_in_view():
    text = "\n\n".join([*LONG, "[home]: https://example.com/"])

    divided = to_html(text, in_parts=True)

    start, end = '<div class="capsule-part">', "</div>"
    assert divided.count(start) == 5  # of 200 lines
    assert divided.replace(start, "").replace(end, "") == to_html(text)
    assert divided.count('href="https://example.com/"') == 100
    page = html(Reply("support-ops", "All of them?", pieces=[text], status="complete"))
    assert divided in page
    assert STYLE in page and "content-visibility:auto" in STYLE


def test_a_block_is_never_divided_and_a_short_text_not_either():
    items = "\n".join(f"- item {n}\n\n  and its second paragraph" for n in range(100))
    for text in (items, "```python\n" + "x = 1\n" * 200 + "```", "\n\n".join(LONG[:10])):
        assert to_html(text, in_parts=True) == to_html(text)


@given(st.lists(st.sampled_from(BLOCKS), max_size=6), st.data())
def test_what_is_settled_stays_as_it_is_whatever_follows(blocks, data):
    text = "\n\n".join(blocks)
    part = text[: data.draw(st.integers(0, len(text)))]
    cut = settled(part)
    assert to_html(text) == to_html(text[:cut]) + to_html(text[cut:])
