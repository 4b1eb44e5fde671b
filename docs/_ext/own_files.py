"""Files beside the pages: the Markdown of each page, and ``llms.txt``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_SUMMARY = """\
# Capsule in notebooks

> Use apps deployed on Capsule from Jupyter: a %%capsule cell magic that streams replies, payments and earnings as
> pandas DataFrames, a lightweight client (cpsl.Client) and the command line cpsl. A local workspace is built in, so
> every example runs without an account and without a network.

Each page below is plain Markdown; the page with the same name and the ending .html is for people.
"""
_SECTIONS = {
    "tutorials": "Tutorials",
    "how-to": "How-to guides",
    "reference": "Reference",
    "explanation": "Explanation",
}


def _plain(text: str) -> str:
    """Return a page without directives, comments and grids."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    text = re.sub(r"^(`{3,})\{(?:toctree|eval-rst)\}.*?^\1\n", "", text, flags=re.M | re.S)
    text = re.sub(r"^:{3,}.*\n(?:^:[\w-]+:.*\n)*", "", text, flags=re.M)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    lines = [_SUMMARY]
    pages: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    for name in sorted(app.env.found_docs):
        source = Path(app.env.doc2path(name))
        if source.suffix != ".md":
            continue
        text = _plain(source.read_text(encoding="utf-8"))
        target = Path(app.outdir, name).with_suffix(".md")
        target.write_text(text, encoding="utf-8")
        section = name.partition("/")[0]
        if section in pages and "```{eval-rst}" not in source.read_text(encoding="utf-8"):
            title = app.env.titles[name].astext()
            pages[section].append(f"- [{title}]({name}.md)")
    for section, heading in _SECTIONS.items():
        lines += [f"## {heading}", "", *pages[section], ""]
    Path(app.outdir, "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the handler."""
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
