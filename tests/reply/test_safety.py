"""Nothing that an app sends runs or is fetched, wherever it appears in a reply."""

from html.parser import HTMLParser

import pytest
from attacks import ATTACKS, KINDS, RAN, hostile_block
from replies import reply_with

from cpsl_notebook import Reply
from cpsl_notebook.reply.rendering import html, plain
from cpsl_notebook.sanitize import clean

SAFE_TAGS = set(
    "div p b em code pre ul ol li h1 h2 h3 h4 h5 h6 a table thead tbody tr th td hr br "
    "blockquote s span details summary".split()
)
SAFE_ATTRIBUTES = set("class dir align style role href target rel title start k s c n".split())


class Inspector(HTMLParser):
    """Parses HTML and fails on everything that could run or fetch."""

    def handle_starttag(self, tag, attributes):
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


def assert_safe(reply):
    Inspector().feed(html(reply))
    assert isinstance(plain(reply), str) and RAN == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_and_names_render_as_safe_html(attack):
    text = f"before {attack} after\n\n{attack}\n\n> {attack}\n\n- {attack}"
    for status in ("running", "complete", "failed"):
        for math in (False, True):
            assert_safe(reply_with(text, status, math=math))
    assert_safe(reply_with(conversation=attack, notices=[attack], session_id=attack))
    assert_safe(Reply(app=attack, prompt="x", status="failed", error=ValueError(attack)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_blocks_of_every_type_are_safe(attack):
    for kind in KINDS:
        block = hostile_block(attack, kind)
        for status in ("running", "complete"):
            assert_safe(reply_with("", status, blocks=[block]))
    assert_safe(reply_with(blocks=[block | {"type": attack}]))


def test_control_and_bidirectional_characters_are_removed():
    dirty = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\u202egnp.exe\u2066\x00\x9bz\r\nnext\ttab"
    assert clean(dirty) == "aredgnp.exez\nnext\ttab"
    reply = reply_with(dirty, notices=[dirty], conversation=dirty)
    for shown in (html(reply), plain(reply)):
        assert not set("\x1b\x07\u202e\u2066\x00\x9b") & set(shown)


def test_html_entity_cannot_restore_removed_character():
    table = {"columns": ["a"], "rows": [[{"x": "\u202eevil"}]]}
    block = {"type": "table_preview", "payload": {"table": table}}
    assert "\u202e" not in html(reply_with("&#x202e;evil &#8238;evil", blocks=[block]))
