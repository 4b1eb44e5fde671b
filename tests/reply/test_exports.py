"""Replies in exported notebooks."""

import uuid

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter, MarkdownExporter
from replies import reply_with, table_block

from cpsl_notebook.display.displays import output_metadata
from cpsl_notebook.reply.rendering import bundle

HOSTILE = "![beacon](https://evil.example/pixel.png) <script>canary()</script>"
TEXT = f"""# One

```text
code

{HOSTILE}


    {HOSTILE}
```

> {HOSTILE}

    {HOSTILE}

    {HOSTILE}

| a |
|---|
| {HOSTILE} |
"""


@pytest.fixture
def notebook():
    reply = reply_with(TEXT, blocks=[table_block([[f"a\n\n{HOSTILE}"]], [f"b\n\n{HOSTILE}"])])
    outputs = [nbformat.v4.new_output("display_data", data=bundle(reply))] * 2
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])


def test_markdown_export_contains_no_live_markdown(notebook):
    exported, _ = MarkdownExporter().from_notebook_node(notebook)
    tokens = MarkdownIt().parse(exported)
    assert [token.type for token in tokens] == ["fence", "html_block", "html_block"]
    for token in tokens[1:]:
        assert "<script" not in token.content and "<img" not in token.content
        assert "<style" not in token.content


PROSE = """There are **4 threads** waiting for review right now, two of which concern `billing`:

1. **Refund for order 4711**: the customer asked twice, and the refund was approved on Monday.
2. **Invoice without VAT id**: waits for the finance team; the customer has sent the id already.

The other two are less urgent. They wait for *product feedback* and can stay open until Friday.

## What to do next

- Answer the refund first, because the customer has waited for three days.
- Ask finance for the corrected invoice; it takes them about a day.
- Close the feedback threads with a [template](https://example.com/templates/feedback).

"""
ROWS = "".join(f"| billing {n} | {n * 7} | {n} days | waiting for a reply |\n" for n in range(12))
SAVED = {
    "prose": (PROSE * 3, 3),
    "table": (f"| queue | open | oldest | state |\n|---|---|---|---|\n{ROWS}", 6),
    "long table": (f"| queue | open | oldest | state |\n|---|---|---|---|\n{ROWS * 20}", 4),
}


@pytest.mark.parametrize(("text", "limit"), SAVED.values(), ids=SAVED)
def test_saved_notebook_is_not_much_larger_than_its_replies(text, limit):
    reply = reply_with(text, conversation="amber-fox", turn=2, first_chunk_s=0.4, total_s=2.1)
    reply.session_id = str(uuid.UUID(int=7))
    reply.request_id = f"req_{uuid.UUID(int=7).hex}"
    output = nbformat.v4.new_output("display_data", data=bundle(reply))
    output.metadata["capsule"] = output_metadata(reply)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("")])
    assert len(nbformat.writes(notebook)) - len(nbformat.writes(empty)) < limit * len(text)


def test_html_export_keeps_blank_lines_of_code(notebook):
    exported, _ = HTMLExporter().from_notebook_node(notebook)
    assert "code\n\n![beacon]" in exported
    assert '<img src="https://evil' not in exported and "<script>canary" not in exported
