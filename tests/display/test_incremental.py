"""Rendering a growing reply without rendering what is final again."""

from cpsl_notebook import Reply
from cpsl_notebook.display.incremental import BlockGroups, GrowingMarkdown

PARAGRAPH = "Some **bold** words of a paragraph that is not very long.\n\n"


def test_settled_pieces_and_rest_are_the_whole_text():
    growing = GrowingMarkdown()
    text = "".join(f"## {number}\r\n\r\n{PARAGRAPH}" for number in range(400))
    pieces = []
    for start in range(0, len(text), 7):
        growing.add(text[start : start + 7])
        pieces.append(growing.take_settled())
    assert len(list(filter(None, pieces))) > 10 and len(growing.rest) < 5_000
    assert "".join(pieces) + growing.rest == text.replace("\r\n", "\n")


def test_block_stays_in_its_group_whatever_its_size():
    reply, groups = Reply(app="x", prompt="y"), BlockGroups()
    for number in range(6):
        payload = {"label": f"{number}" * 900}
        reply.add_event({"id": number, "type": "activity", "payload": payload})
        before = groups.html(reply)
    assert 2 <= len(before) <= 4
    for label in ("short", "long " * 900, ""):
        reply.add_event({"id": 0, "type": "activity", "payload": {"label": label}})
        after = groups.html(reply)
        assert after[1:] == before[1:] and after[0] != before[0]


def test_unchanged_block_is_rendered_once(monkeypatch):
    rendered = []
    monkeypatch.setattr(
        "cpsl_notebook.display.incremental.block_html",
        lambda block, *_, **__: rendered.append(block["id"]) or "<p></p>",
    )
    reply, groups = Reply(app="x", prompt="y"), BlockGroups()
    for number in (1, 2, 1):
        reply.add_event({"id": number, "type": "activity", "payload": {}})
        groups.html(reply)
    assert rendered == [1, 2, 1]
