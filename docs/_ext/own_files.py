"""Files beside the pages: each page as plain Markdown, and ``llms.txt``, which lists them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import nbformat
from generate import AUTO, find, public_methods
from sphinx.application import Sphinx

_SUMMARY = """\
# Capsule in notebooks

> Use apps deployed on Capsule from Jupyter: a %%capsule cell magic that streams replies, payments and
> earnings as pandas DataFrames, a lightweight client (cpsl.Client) and the command line cpsl. A local
> workspace is built in: examples can be tried without an account and without a network.

Each page below is plain Markdown; the page with the same name and the ending .html is for people.
"""
_SECTIONS = {
    "tutorials": "Tutorials",
    "how-to": "How-to guides",
    "reference": "Reference",
    "explanation": "Explanation",
}


def _plain(text: str) -> str:
    """Return a page without directives, comments and drawings, and with docstrings as text."""
    text = re.sub(r"^(`{3,})\{toctree\}.*?^\1\n", "", text, flags=re.M | re.S)
    text = re.sub(r"^`{3}\{eval-rst\}\n(.*?)^`{3}\n", _docstrings, text, flags=re.M | re.S)
    text = re.sub(r":::\{grid-item-card\} (.*)\n:link: (.*)\n", r"**[\1](\2.md)**\n", text)
    text = re.sub(r"^:{3,}.*\n(?:^:[\w-]+:.*\n)*|^:link-type:.*\n", "", text, flags=re.M)
    text = re.sub(r'<svg[^>]* aria-label="([^"]*)".*?</svg>', r"Drawing: \1", text, flags=re.S)
    text = re.sub(r'<div class="picture">.*?</div>\n', "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->\n?|^\([\w-]+\)=\n", "", text, flags=re.S | re.M)
    text = re.sub(r"(\]\([^):]*)\.ipynb\)", r"\1.md)", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _docstrings(block: re.Match[str]) -> str:
    return "\n".join(
        _docstring(found[1], members=":members:" in found[2]) for found in AUTO.finditer(block[1])
    )


def _docstring(name: str, *, members: bool) -> str:
    value = find(name)
    call = str(inspect.signature(value)) if inspect.isroutine(value) else ""
    call = re.sub(r"\(self(: [^,)]*)?(, )?", "(", call)
    lines = [f"`{name}{call}`", "", "```text", inspect.getdoc(value) or "", "```", ""]
    if members:
        lines += [
            _docstring(f"{name}.{each}", members=False)
            for each in public_methods(value)
            if inspect.getdoc(getattr(value, each))
        ]
    return "\n".join(lines)


def _notebook(path: Path) -> str:
    """Return a notebook as Markdown, with its outputs as text."""
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if text.strip():
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts)


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    lines = [_SUMMARY]
    pages: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    for name in sorted(app.env.found_docs):
        source = Path(app.env.doc2path(name))
        is_notebook = source.suffix == ".ipynb"
        text = _plain(_notebook(source) if is_notebook else source.read_text(encoding="utf-8"))
        Path(app.outdir, f"{name}.md").write_text(text, encoding="utf-8")
        section = name.partition("/")[0]
        if section in pages:
            pages[section].append(f"- [{app.env.titles[name].astext()}]({name}.md)")
    for section, heading in _SECTIONS.items():
        lines += [f"## {heading}", "", *pages[section], ""]
    Path(app.outdir, "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the handler."""
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
