"""Replies in exported notebooks."""

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter, MarkdownExporter
from replies import reply_with, table_block

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


def test_html_export_keeps_blank_lines_of_code(notebook):
    exported, _ = HTMLExporter().from_notebook_node(notebook)
    assert "code\n\n![beacon]" in exported
    assert '<img src="https://evil' not in exported and "<script>canary" not in exported
