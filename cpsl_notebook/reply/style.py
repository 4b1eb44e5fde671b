"""The styles of a reply, and the elements that every reply is built from.

Cells and coloured code have a short form while a reply is rendered (``<td>``, ``<span k>``).
`framed` writes their styles out as attributes, because a style sheet would be repeated for every
reply of an export. Only if there are more than `MAX_STYLED` of them does it add a style sheet of one
line instead, which also aligns the columns of tables. Text contains no such elements, because its
``<`` is escaped.
"""

from __future__ import annotations

import re
from html import escape

from cpsl_notebook.sanitize import clean

__all__ = [
    "CODE",
    "COLOURS",
    "SHEET",
    "TABLE",
    "aligned_by_column",
    "cell_block",
    "code_block",
    "direction",
    "framed",
    "plain_block",
    "quiet_line",
    "sheet",
]

# The colours of code, each mixed with the colour of the text, so that they suit light and dark pages.
# Each has a contrast of at least 4.5 to its background (WCAG 2.2, 1.4.3).
COLOURS = {"k": "#e54", "s": "#49f", "c": "#888", "n": "#96e"}  # keyword, string, comment, name
TEXT_SHARE = 40  # percent
MAX_STYLED = 150  # cells and coloured tokens with their own styles; more of them get a style sheet
_PRE = "margin:1em;overflow:auto"
CODE = f"{_PRE};white-space:pre"
TABLE = "overflow-wrap:normal"
_QUIET = "opacity:.75;font-size:.85em"
_MIXED = {
    kind: f"color-mix(in srgb,currentColor {TEXT_SHARE}%,{colour})"
    for kind, colour in COLOURS.items()
}
# JupyterLab aligns cells to the right.
_STYLED = {
    "<td>": "<td style=text-align:start>",
    "<th>": "<th style=text-align:start>",
    "<td dir=auto>": "<td dir=auto style=text-align:start>",
    "<th dir=auto>": "<th dir=auto style=text-align:start>",
    **{f"<span {kind}>": f"<span style=color:var(--{kind})>" for kind in COLOURS},
}
# Hebrew to Arabic Extended-A, their presentation forms, and the scripts like them above U+FFFF.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_SHORT = re.compile("|".join(_STYLED))
_WHOLE_TABLE = re.compile("<table .*?</table>", re.DOTALL)
_CELL = re.compile("<(t[hd])( [^>]*|)>")
_ALIGNMENT = re.compile(
    " (?:align=|style=text-align:)([a-z]+)"
)  # the same for all cells of a column


def sheet(coloured: str) -> str:
    """Return the style sheet of cells and coloured code.

    Parameters
    ----------
    coloured : str
        The selector of a coloured token, with ``{}`` for its kind.
    """
    cells = ".capsule-reply :is(td,th):not([align],[style]){text-align:start!important}"
    colours = (
        f".capsule-reply {coloured.format(k)}{{color:{mixed}}}" for k, mixed in _MIXED.items()
    )
    return cells + "".join(colours)


SHEET = sheet("[{}]")  # of a long reply


def aligned_by_column(html: str) -> tuple[str, str]:
    """Return a style sheet that aligns the columns of tables, and the HTML without attributes for it.

    Examples
    --------
    >>> rules, html = aligned_by_column(
    ...     "<table style=x><thead><tr><th align=right>n<tbody><tr><td align=right>1</table>"
    ... )
    >>> rules
    '.capsule-reply .right1 :is(td,th):nth-child(1){text-align:right!important}'
    >>> html
    '<table class="right1" style=x><thead><tr><th>n<tbody><tr><td>1</table>'
    """
    rules: dict[str, None] = {}

    def shorten(found: re.Match[str]) -> str:
        header = found[0].partition("<tbody>")[0]
        names = []
        for column, cell in enumerate(_CELL.finditer(header), 1):
            if alignment := _ALIGNMENT.search(cell[2]):
                names.append(f"{alignment[1]}{column}")
                selector = f".capsule-reply .{names[-1]} :is(td,th):nth-child({column})"
                rules[f"{selector}{{text-align:{alignment[1]}!important}}"] = None
        if not names:
            return found[0]
        table = _CELL.sub(lambda cell: f"<{cell[1]}{_ALIGNMENT.sub('', cell[2])}>", found[0])
        return table.replace("<table", f'<table class="{" ".join(names)}"', 1)

    html = _WHOLE_TABLE.sub(shorten, html)
    return "".join(rules), html


def framed(content: str) -> str:
    """Return HTML in the element that encloses every reply; the result contains no line break.

    A blank line would end the HTML in an export to Markdown, and what follows would be Markdown.
    """
    variables = ""
    if len(_SHORT.findall(content)) > MAX_STYLED:
        rules, content = aligned_by_column(content)
        content = f"<style>{SHEET}{rules}</style>{content}"
    else:
        content = _SHORT.sub(lambda found: _STYLED[found[0]], content)
        used = [kind for kind in COLOURS if f"var(--{kind})>" in content]
        variables = "".join(f"--{kind}:{_MIXED[kind]};" for kind in used)
    # Without these classes, MathJax turns "$5 and $10" into a formula.
    opening = '<div dir=ltr class="capsule-reply mathjax_ignore tex2jax_ignore"'
    style = f'"{variables}overflow-wrap:anywhere"' if variables else "overflow-wrap:anywhere"
    content = content.replace("\n", "&#10;")
    return f"{opening} style={style}>{content}</div>"


def direction(text: str) -> str:
    """Return the attribute that makes an element's text decide its direction; often empty.

    Every reply runs from left to right, so only text that contains Hebrew, Arabic or a similar script
    needs it.
    """
    is_left_to_right = text.isascii() or _RIGHT_TO_LEFT.search(text) is None
    return "" if is_left_to_right else " dir=auto"


def code_block(code: str) -> str:
    """Return code, which must be HTML already, in an element that scrolls sideways."""
    return _preformatted(code, CODE)


def plain_block(text: str) -> str:
    """Return text as HTML without any formatting; long lines are wrapped."""
    return _preformatted(escape(text, quote=False), f"{_PRE};white-space:pre-wrap")


def cell_block(source: str) -> str:
    """Return the source of a cell as HTML that a click selects as a whole."""
    style = f"{_PRE};padding:.5em;background:#8882;white-space:pre-wrap;user-select:all"
    return _preformatted(escape(source, quote=False), style)


def quiet_line(text: str, attributes: str = "") -> str:
    """Return an unobtrusive line of text as HTML."""
    space = " " if attributes else ""
    return f"<div {attributes}{space}style={_QUIET}>{escape(clean(text))}</div>"


def _preformatted(html: str, style: str) -> str:
    first = "\n" if html.startswith("\n") else ""  # browsers drop a line end after <pre>
    return f"<pre style={style}>{first}{html}</pre>"
