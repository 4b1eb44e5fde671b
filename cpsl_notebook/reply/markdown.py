"""Markdown from an app, which is not trusted: rendering it as safe HTML, and extracting its parts.

HTML in the Markdown stays text. Links lead to the web or to mail addresses only.
"""

from __future__ import annotations

import functools
from html import escape
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cpsl_notebook.reply.highlighting import highlight
from cpsl_notebook.reply.images import image_html, is_embedded_image
from cpsl_notebook.sanitize import clean

__all__ = ["close_fence", "code_blocks", "settled_length", "table_cells", "to_html"]

_LINK_SCHEMES = {"http", "https", "mailto"}
_MAX_NESTING = 40  # blocks within blocks; a text with deeper nesting is shown unformatted


def to_html(text: str, *, remote_images: bool = False) -> str:
    r"""Return Markdown as HTML that runs no code and fetches nothing but allowed images.

    Parameters
    ----------
    text : str
        The Markdown.
    remote_images : bool
        Whether images of other servers are shown.

    Returns
    -------
    str
        The HTML.

    Examples
    --------
    >>> to_html("**4** threads <script>")
    '<p><strong>4</strong> threads &lt;script&gt;</p>\n'
    """
    parser, env = _parser(), {"remote_images": remote_images}
    text = clean(text)
    tokens = parser.parse(text, env)
    if any(token.level >= _MAX_NESTING - 2 for token in tokens):
        return f"<pre>{escape(text)}</pre>"
    # Cleaned again, because an HTML entity may stand for a control character.
    return clean(parser.renderer.render(tokens, parser.options, env))


def settled_length(text: str) -> int:
    r"""Return how many characters of a growing Markdown text are final, whatever follows.

    The last block is not final: a paragraph, list, table or fence may continue.

    Examples
    --------
    >>> settled_length("First.\n\nSecond, wh")
    0
    >>> settled_length("First.\n\nSecond.\n\nThird, wh")
    8
    """
    complete = text[: text.rfind("\n") + 1]  # an unfinished line may still become anything
    starts = [
        token.map[0]
        for token in _block_parser().parse(complete)
        if token.level == 0 and token.map and token.nesting >= 0
    ]
    if len(starts) < 2:
        return 0
    return sum(len(line) + 1 for line in complete.split("\n")[: starts[-1]])


def table_cells(text: str) -> list[list[list[str]]]:
    """Return the tables of a Markdown text, each as rows of cell texts, the header first."""
    tables: list[list[list[str]]] = []
    previous = ""
    for token in _parser().parse(clean(text)):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and previous in ("th_open", "td_open"):
            tables[-1][-1].append(_plain_text(token))
        previous = token.type
    return tables


def code_blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks of a Markdown text."""
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


@functools.cache
def _parser() -> MarkdownIt:
    options = {"html": False, "highlight": highlight, "maxNesting": _MAX_NESTING}
    parser = MarkdownIt("commonmark", options)
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _is_allowed_link  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _render_link)
    parser.add_render_rule("image", _render_image)
    return parser


@functools.cache
def _block_parser() -> MarkdownIt:
    """Return a parser that only finds blocks, which is faster."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _is_allowed_link(url: str) -> bool:
    scheme = urlsplit(url.strip()).scheme.lower()
    return scheme in _LINK_SCHEMES or is_embedded_image(url)


def _render_link(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    link = tokens[position]
    if is_embedded_image(str(link.attrGet("href"))):
        del link.attrs["href"]
    link.attrSet("target", "_blank")
    link.attrSet("rel", "noopener noreferrer")
    rendered: str = renderer.renderToken(tokens, position, options, env)
    return rendered


def _render_image(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    url, alt = str(tokens[position].attrGet("src") or ""), tokens[position].content
    depth = sum(token.nesting for token in tokens[:position] if token.type.startswith("link_"))
    if depth and not is_embedded_image(url):
        return escape(clean(alt))  # a link cannot contain another link
    return image_html(url, alt, remote_images=env.get("remote_images", False))


def _plain_text(token: Token) -> str:
    """Return the text of an inline token without its Markdown marks."""
    parts = []
    for child in token.children or []:
        parts.append("\n" if child.type in ("softbreak", "hardbreak") else child.content)
    return clean("".join(parts)).strip()
