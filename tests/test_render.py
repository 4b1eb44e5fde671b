"""A reply as HTML and text: readable, and nothing in it runs or fetches."""

from html.parser import HTMLParser

import pytest

from cpsl_notebook import Reply
from cpsl_notebook.render import clean, html, plain

ATTACKS = [
    "<script>canary()</script>",
    "<img src=x onerror=canary()>",
    "<svg onload=canary()></svg>",
    '<iframe srcdoc="<script>canary()</script>"></iframe>',
    "<style>@import url(https://evil.example/x)</style>",
    '<form action="https://evil.example"><button>x</button></form>',
    '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    "[click](javascript:canary())",
    "[click](JaVaScRiPt&colon;canary())",
    "[click](data:text/html,<script>canary()</script>)",
    "[click](vbscript:canary())",
    "[click](file:///etc/passwd)",
    "<javascript:canary()>",
    '[a](https://ok.example "\\"onmouseover=canary() x=\\"")',
    '[a](https://ok.example "</a><script>canary()</script>")',
    "![beacon](https://evil.example/pixel.png)",
    "![beacon](data:image/svg+xml,<svg onload=canary()>)",
    "[![beacon](https://evil.example/pixel.png)](https://ok.example)",
    "```html\n<script>canary()</script>\n```",
    '```"><script>canary()</script>\ncode\n```',
    "| <script>canary()</script> |\n| --- |\n| <img src=x onerror=canary()> |",
    "[ref]: javascript:canary()\n\n[ref]",
    "<https://evil.example/\"onmouseover='canary()'>",
    "&#x3C;script&#x3E;canary()&#x3C;/script&#x3E;",
]
SAFE_TAGS = set(
    "div p strong em code pre ul ol li h1 h2 h3 h4 h5 h6 a table thead tbody tr th td hr br "
    "blockquote s".split()
)
SAFE_ATTRIBUTES = {"class", "style", "role", "href", "target", "rel", "title", "start", "border"}


class Inspector(HTMLParser):
    """Reads HTML as a browser would, and objects to what could run or fetch."""

    def handle_starttag(self, tag, attributes):
        assert tag in SAFE_TAGS, tag
        for name, value in attributes:
            assert name in SAFE_ATTRIBUTES, (tag, name)
            if name == "href":
                assert value.split(":")[0].lower() in {"http", "https", "mailto"}, value
            if name == "style":
                assert "url" not in value and "expression" not in value


def inspect(reply):
    Inspector().feed(html(reply))


def reply_with(text="", status="complete", **fields):
    return Reply(app="shop", prompt="x", text=text, status=status, **fields)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("status", ["running", "complete", "failed"])
def test_text_cannot_run_or_fetch_anything(attack, status):
    inspect(reply_with(f"before {attack} after\n\n{attack}\n\n> {attack}\n\n- {attack}", status))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "kind",
    ["notification", "image", "table_preview", "suggestions", "activity", "task_card", "other"],
)
def test_blocks_cannot_run_or_fetch_anything(attack, kind):
    payload = dict.fromkeys(
        ["text", "detail", "url", "alt", "title", "mode", "label", "message", "width"], attack
    )
    payload["table"] = {"columns": [attack, {"label": attack}], "rows": [[attack, {"a": attack}]]}
    payload["suggestions"] = [{"label": attack, "value": attack}, attack, None]
    block = {"id": attack, "type": kind, "payload": payload}
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
        "<th>Threads</th>",
        "<td>33</td>",
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
    dirty = "a\x1b[31mred\x1b]0;title\x07\u202egnp.exe\u2066\x00\x9bz\r\nnext\ttab"
    assert clean(dirty) == "a[31mred]0;titlegnp.exez\nnext\ttab"
    reply = reply_with(dirty, notices=[dirty], conversation=dirty)
    for shown in (html(reply), plain(reply)):
        assert not set("\x1b\x07\u202e\u2066\x00\x9b") & set(shown)


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
