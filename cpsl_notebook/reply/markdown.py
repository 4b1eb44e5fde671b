"""Markdown from an app, which is not trusted: rendering it as safe HTML, and extracting its parts.

HTML in the Markdown stays text. Links lead to the web or to mail addresses only. Rendering takes time
proportional to the text; see `cpsl_notebook.reply.limits` for how much of it is formatted.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import table
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from cpsl_notebook.reply.formulas import formula_html, math_block, math_inline
from cpsl_notebook.reply.highlighting import highlight
from cpsl_notebook.reply.images import image_html, is_embedded_image
from cpsl_notebook.reply.limits import Budget
from cpsl_notebook.reply.style import TABLE, code_block, direction, plain_block
from cpsl_notebook.sanitize import clean, split_complete

__all__ = [
    "LastBlock",
    "are_numbers",
    "close_fence",
    "code_blocks",
    "has_table",
    "last_block",
    "table_cells",
    "to_html",
]

_LINK_SCHEMES = {"http", "https", "mailto"}
_MAX_NESTING = 40  # blocks within blocks; a text with deeper nesting is shown unformatted
_MAX_PARAGRAPH = 20_000  # characters; a longer paragraph stays unformatted
_DELIMITERS = re.compile(r"^[ \t>]*\|?[ \t]*:?-", re.MULTILINE)
_DIRECTED = {"paragraph_open", "heading_open", "list_item_open", "th_open", "td_open"}
_UNLIMITED = 1 << 60
_CHECK_BOXES = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}
_SHOWN_IN_PARTS = {"fence", "table_open"}  # see `cpsl_notebook.reply.open_block`
_NEEDS_NO_QUOTES = re.compile(r"[\w.:;#%-]+")  # a value of an attribute
_SHORT_TAGS = {"strong": "b"}
_OPTIONAL_ENDS = {"p", "li", "thead", "tbody", "tr", "th", "td"}
_NUMBER = re.compile(r"[-+−]?[$€£]?\d[\d.,]*(?: ?%)?")


class _Renderer(RendererHTML):
    """Writes HTML as short as HTML 5 allows: without line breaks and optional end tags and quotes."""

    def renderToken(  # noqa: N802
        self, tokens: Any, idx: int, options: Any, env: Any
    ) -> str:
        token = tokens[idx]
        if token.hidden or (token.nesting < 0 and token.tag in _OPTIONAL_ENDS):
            return ""
        tag = _SHORT_TAGS.get(token.tag, token.tag)
        return f"</{tag}>" if token.nesting < 0 else f"<{tag}{self.renderAttrs(token)}>"

    @staticmethod
    def renderAttrs(token: Token) -> str:  # noqa: N802
        attributes = []
        for name, value in token.attrItems():
            text = escape(str(value))
            attributes.append(
                f" {name}={text}" if _NEEDS_NO_QUOTES.fullmatch(text) else f' {name}="{text}"'
            )
        return "".join(attributes)

    def softbreak(self, tokens: Any, idx: int, options: Any, env: Any) -> str:
        return "<br>"

    hardbreak = softbreak

    def text(self, tokens: Any, idx: int, options: Any, env: Any) -> str:
        return escape(tokens[idx].content, quote=False)

    def code_inline(self, tokens: Any, idx: int, options: Any, env: Any) -> str:
        return f"<code>{escape(tokens[idx].content, quote=False)}</code>"


def to_html(
    text: str,
    *,
    remote_images: bool = False,
    math: bool = False,
    is_part: bool = False,
    budget: Budget | None = None,
) -> str:
    r"""Return Markdown as HTML that runs no code and fetches only allowed images.

    Line breaks are kept, formulas are not changed, and ``- [x]`` is a check box.

    Parameters
    ----------
    text : str
        The Markdown.
    remote_images : bool
        Whether images of other servers are shown.
    math : bool
        Whether formulas are typeset.
    is_part : bool
        Whether the text is a part of a growing one: a single line of code may be one of several.
    budget : Budget, optional
        What may still be formatted; this call reduces it. By default, the limits of one reply.

    Returns
    -------
    str
        The HTML.

    Examples
    --------
    >>> to_html("**4** threads <script>")
    '<p><b>4</b> threads &lt;script&gt;'
    """
    parser, budget = _parser(), budget or Budget()
    formatted, plain = budget.split(text)
    if plain:
        formatted, pending = split_complete(formatted)
        plain = clean(pending + plain)
    formatted = clean(formatted)
    env = {"remote_images": remote_images, "math": math, "is_part": is_part, "budget": budget}
    tokens = parser.parse(formatted, env)
    if any(token.level >= _MAX_NESTING - 2 for token in tokens):
        return _one_line(plain_block(formatted + plain))
    # Cleaned again, because an HTML entity may stand for a control character.
    html = clean(parser.renderer.render(tokens, parser.options, env))
    return _one_line(html + (plain_block(plain) if plain else ""))


class LastBlock(NamedTuple):
    """The last block of a growing Markdown text, such as a paragraph, which may continue.

    Attributes
    ----------
    start, end : int
        Its position in the text; the text before it is final.
    kind : str
        The type of its token, such as ``"paragraph_open"`` or ``"fence"``.
    info : str
        What follows the opening fence.
    """

    start: int
    end: int
    kind: str
    info: str


def last_block(text: str) -> LastBlock:
    r"""Return the last block of a growing text.

    Examples
    --------
    >>> last_block("First.\n\nSecond, wh").start
    0
    >>> last_block("First.\n\nSecond.\n\nThird, wh").start
    8
    """
    complete = text[: text.rfind("\n") + 1]  # the meaning of an unfinished line is not known
    blocks = [
        token
        for token in _block_parser().parse(complete, {"unfinished": True})
        if token.level == 0 and token.map and token.nesting >= 0
    ]
    if not blocks:
        return LastBlock(0, 0, "", "")
    lines, (first, after) = [f"{line}\n" for line in complete.split("\n")], blocks[-1].map or [0, 0]
    is_only = len(blocks) == 1 and blocks[-1].type not in _SHOWN_IN_PARTS
    start = 0 if is_only else sum(map(len, lines[:first]))
    end = sum(map(len, lines[:after]))
    return LastBlock(start, end, blocks[-1].type, blocks[-1].info)


def table_cells(text: str) -> list[list[list[str]]]:
    """Return the tables of a Markdown text, each as rows of cell texts, the header first."""
    tables: list[list[list[str]]] = []
    previous = ""
    unlimited = Budget(cells=_UNLIMITED, brackets=_UNLIMITED)
    for token in _parser().parse(clean(text), {"budget": unlimited}):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and previous in ("th_open", "td_open"):
            tables[-1][-1].append(_plain_text(token))
        previous = token.type
    return tables


def has_table(text: str) -> bool:
    r"""Return whether a Markdown text contains a table.

    Examples
    --------
    >>> has_table("| a |\n|---|\n| 1 |"), has_table("a | b")
    (True, False)
    """
    # A table needs a line such as |---|---|, so most text need not be parsed.
    if not _DELIMITERS.search(text):
        return False
    return any(token.type == "table_open" for token in _block_parser().parse(clean(text)))


def are_numbers(cells: list[str]) -> bool:
    """Return whether the cells of a column are numbers or empty, and at least one is a number."""
    filled = list(filter(None, cells))
    return bool(filled) and all(map(_NUMBER.fullmatch, filled))


def code_blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks of a Markdown text."""
    if "```" not in text and "~~~" not in text:  # most text need not be parsed
        return []
    return [t.content for t in _block_parser().parse(clean(text)) if t.type == "fence"]


def close_fence(text: str) -> str:
    r"""Return a Markdown text with its last code fence closed, as a stopped reply may need.

    Examples
    --------
    >>> print(close_fence("~~~python\nx = 1"))
    ~~~python
    x = 1
    ~~~
    """
    tokens = _block_parser().parse(text)
    if not tokens or tokens[-1].type != "fence" or tokens[-1].map is None:
        return text
    mark = tokens[-1].markup
    _, *lines = text.rstrip("\n").split("\n")[tokens[-1].map[0] :]
    end = lines[-1].strip() if lines else ""
    return text if end.startswith(mark) and set(end) == {mark[0]} else f"{text}\n{mark}"


def _one_line(html: str) -> str:
    return html.replace("\n", "&#10;")


@functools.cache
def _parser() -> MarkdownIt:
    parser = _new_parser().enable(["table", "strikethrough"])
    parser.core.ruler.at("inline", _parse_inline)
    parser.core.ruler.push("numbers", _align_numbers)
    parser.core.ruler.push("details", _add_details)
    parser.inline.ruler.before("escape", "math", math_inline)
    parser.validateLink = _is_allowed_link  # type: ignore[method-assign]
    for name, rule in _RENDER_RULES.items():
        parser.add_render_rule(name, rule)
    return parser


@functools.cache
def _block_parser() -> MarkdownIt:
    """Return a parser that only finds blocks, which is faster."""
    parser = _new_parser().enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _new_parser() -> MarkdownIt:
    logger = logging.getLogger("markdown_it")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)  # at DEBUG, it writes a line for every rule that it tries
    options = {"html": False, "maxNesting": _MAX_NESTING}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    parser.block.ruler.at("table", _parse_table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.before(
        "fence", "math", math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    return parser


def _budget(env: Any) -> Budget:
    budget: Budget = env.setdefault("budget", Budget())
    return budget


def _parse_table(state: Any, start: int, end: int, silent: bool) -> bool:
    """Parse a table, limited to the cells that may still be formatted.

    Every row gets as many cells as the header, so a table may have many more cells than characters.
    """
    header = state.src[state.bMarks[start] : state.eMarks[start]]
    columns = header.count("|") + 1
    rows = _budget(state.env).cells // columns
    if rows < 1:
        return False
    found = table(state, start, min(end, start + 1 + rows), silent)
    if found and not silent:
        _budget(state.env).cells -= columns * (state.line - start)
    return found


def _parse_inline(state: StateCore) -> None:
    """Parse the text of paragraphs and cells, except where that could take very long."""
    budget = _budget(state.env)
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children, state.env["missing_ends"] = [], set()
        brackets = token.content.count("[")
        if len(token.content) > _MAX_PARAGRAPH or brackets > budget.brackets:
            token.children = [Token("text", "", 0, content=token.content)]
            continue
        budget.brackets -= brackets
        state.md.inline.parse(token.content, state.md, state.env, token.children)


def _add_details(state: StateCore) -> None:
    """Add text directions and check boxes."""
    kinds = ("", "")
    opened: list[Token] = []
    for token in state.tokens:
        if token.type in _DIRECTED:
            opened.append(token)
        elif token.nesting < 0 and opened and token.tag == opened[-1].tag:
            opened.pop()
        if token.type == "inline" and direction(token.content):
            for element in opened:
                element.attrSet("dir", "auto")
        is_item = kinds == ("list_item_open", "paragraph_open")
        if token.type == "inline" and is_item and token.children:
            text = token.children[0]
            box = _CHECK_BOXES.get(text.content[:4]) if text.type == "text" else None
            if box:
                text.content = box + text.content[4:]
        kinds = (kinds[1], token.type)


def _align_numbers(state: StateCore) -> None:
    """Align the columns that contain only numbers to the right, unless the Markdown aligns them."""
    columns: list[list[Token]] = []
    column = 0
    texts: dict[int, str] = {}  # of the cells
    previous: Token | None = None
    for token in state.tokens:
        if token.type == "table_open":
            columns = []
        elif token.type == "tr_open":
            column = 0
        elif token.type in ("th_open", "td_open"):
            columns += [[]] if column == len(columns) else []
            columns[column].append(token)
            column += 1
        elif token.type == "inline" and previous is not None and previous.type == "td_open":
            texts[id(previous)] = token.content
        elif token.type == "table_close":
            for header, *cells in columns:
                contents = [texts.get(id(cell), "") for cell in cells]
                if not header.attrs and are_numbers(contents):
                    for cell in (header, *cells):
                        cell.attrSet("style", "text-align:right")
        previous = token


def _is_allowed_link(url: str) -> bool:
    try:
        scheme = urlsplit(url.strip()).scheme.lower()
    except ValueError:
        return False
    return scheme in _LINK_SCHEMES or is_embedded_image(url)


def _render_link(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    link = tokens[position]
    if is_embedded_image(str(link.attrGet("href"))):
        del link.attrs["href"]
    link.attrSet("target", "_blank")
    link.attrSet("rel", "noreferrer")
    return _render_nested(renderer, tokens, position, options, env)


def _render_nested(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    env["links"] = env.get("links", 0) + tokens[position].nesting
    rendered: str = renderer.renderToken(tokens, position, options, env)
    return rendered


def _render_image(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    url, alt = str(tokens[position].attrGet("src") or ""), tokens[position].content
    if env.get("links") and not is_embedded_image(url):
        return escape(clean(alt))  # a link cannot contain another link
    return image_html(url, alt, remote_images=env.get("remote_images", False))


def _render_code(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    token, budget = tokens[position], _budget(env)
    language = (token.info.split() or [""])[0]
    code = ""
    # A single line needs no colours, which take space.
    has_lines = "\n" in token.content.strip("\n") or env.get("is_part")
    if language and has_lines and budget.highlighting > 0:
        started = time.thread_time()
        code = highlight(token.content, language)
        budget.highlighting -= time.thread_time() - started
    return code_block(code or escape(token.content, quote=False))


def _render_table(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    return f"<table style={TABLE}>"


def _render_cell(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    cell = tokens[position]
    if cell.attrGet("style") == "text-align:right":  # also shown by front ends that remove styles
        del cell.attrs["style"]
        cell.attrSet("align", "right")
    return f"<{cell.tag}{renderer.renderAttrs(cell)}>"


def _render_formula(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    html = formula_html(tokens[position].content, typeset=env.get("math", False))
    return f"<p>{html}" if tokens[position].block else html


_RENDER_RULES = {
    "link_open": _render_link,
    "link_close": _render_nested,
    "image": _render_image,
    "fence": _render_code,
    "code_block": _render_code,
    "table_open": _render_table,
    "th_open": _render_cell,
    "td_open": _render_cell,
    "math": _render_formula,
}


def _plain_text(token: Token) -> str:
    """Return the text of an inline token without its Markdown marks."""
    parts = []
    for child in token.children or []:
        parts.append("\n" if child.type in ("softbreak", "hardbreak") else child.content)
    return clean("".join(parts)).strip()
