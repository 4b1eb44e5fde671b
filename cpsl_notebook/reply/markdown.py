"""Markdown from an app, which is not trusted: as safe HTML, and what can be taken out of it.

HTML in it stays text. Links lead to the web or to mail. Pictures are shown where the text itself
holds them; one that would have to be fetched tells its sender who reads, so it is a link, unless
the reader allows it.
"""

from __future__ import annotations

import functools
import itertools
import re
import time
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cpsl_notebook.sanitize import clean

__all__ = ["PART", "STYLE", "closed", "code", "image", "settled", "tables", "to_html"]

_LINK_SCHEMES = {"http", "https", "mailto"}
# No SVG: what shows a saved notebook may take it for a document.
_PICTURE = re.compile(r"data:image/(png|jpe?g|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_WIDEST = 2_000  # pixels
PART = "capsule-part"  # the class of a part of a long text
_PART_LINES = 40
_DEEPEST = 40  # blocks within blocks; a text that goes deeper is shown as it came
# Those whose lexers Pygments gets through at an even pace, whatever the code.
_COLOURED = frozenset(
    "Bash,C,C#,C++,Clojure,CSS,Dart,Diff,Docker,Elixir,Go,GraphQL,Haskell,HTML,Java,"
    "JavaScript,JSON,JSX,Julia,Kotlin,Lua,Markdown,Nginx configuration file,Objective-C,Perl,PHP,"
    "PowerShell,Protocol Buffer,Python,Ruby,Rust,S,Scala,SCSS,SQL,Swift,"
    "Terraform,TeX,TOML,TSX,TypeScript,VB.net,XML,YAML".split(",")
)
_LONGEST_CODE = 20_000  # characters
_COLOUR_TIME = 0.2  # seconds for a block of code, after which the rest of it stays plain

# The colours of code; on either ground each has a contrast of 4.5 or more (WCAG 2.2, 1.4.3).
LIGHT = {"k": "#b31d28", "s": "#0a3069", "c": "#57606a", "m": "#0550ae", "n": "#6639ba"}
DARK = {"k": "#ff7b72", "s": "#a5d6ff", "c": "#9ea7b3", "m": "#79c0ff", "n": "#d2a8ff"}
_DARK_PAGES = ("[data-jp-theme-light=false]", ".vscode-dark", "html[theme=dark]")


def _style() -> str:
    """Write the style sheet."""
    dark = ",".join(f"{page} .capsule-reply" for page in _DARK_PAGES)
    rules = [
        f".capsule-reply{{{_variables(LIGHT)}}}{dark}{{{_variables(DARK)}}}",
        *(f".capsule-reply pre .{kind}{{color:var(--capsule-{kind})}}" for kind in LIGHT),
    ]
    # What is not in view is not laid out; it is still found, read aloud and printed.
    rules.append(
        f".{PART}{{display:flow-root;overflow-x:auto;content-visibility:auto;"
        f"contain-intrinsic-height:auto {_PART_LINES * 1.6:g}em}}"
    )
    # A page's own rules have two classes: with three, these hold in a widget as in an output.
    ours = ".capsule-reply" * 3
    rules += [
        f"{ours} table{{margin-left:0;overflow-wrap:normal}}",
        f"{ours} :is(td,th){{text-align:left}}",
        f"{ours} pre{{margin:0 0 1em;padding:.4em .7em;border-radius:3px;"
        "background:rgba(128,128,128,.1);white-space:pre-wrap;overflow-wrap:anywhere}",
        f"{ours} pre code{{padding:0;background:none}}",
    ]
    return f"<style>{''.join(rules)}</style>"


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--capsule-{kind}:{colour};" for kind, colour in colours.items())


STYLE = _style()


def to_html(text: str, *, remote_images: bool = False, in_parts: bool = False) -> str:
    r"""Return Markdown as HTML that runs nothing and, but for remote images, fetches nothing.

    Parameters
    ----------
    text
        The Markdown.
    remote_images
        Whether pictures of other servers are shown.
    in_parts
        Whether a long text is divided, so that a page lays out only what is in view.

    Examples
    --------
    >>> to_html("**4** threads <script>")
    '<p><strong>4</strong> threads &lt;script&gt;</p>\n'
    """
    parser, env = _parser(), {"remote_images": remote_images}
    text = clean(text)
    tokens = parser.parse(text, env)
    if any(token.level >= _DEEPEST - 2 for token in tokens):
        return f"<pre>{escape(text)}</pre>"
    parts = _parts(tokens) if in_parts else [tokens]
    rendered = [parser.renderer.render(part, parser.options, env) for part in parts]
    if len(rendered) > 1:
        rendered = [f'<div class="{PART}">{part}</div>' for part in rendered]
    return clean("".join(rendered))  # twice: an entity may stand for a character


def settled(text: str) -> int:
    r"""Return how much of a growing Markdown text, from its start, no longer depends on the rest.

    That is all but the last block: a paragraph, list, table or fence may still go on.

    Examples
    --------
    >>> settled("First.\n\nSecond, wh")
    0
    >>> settled("First.\n\nSecond.\n\nThird, wh")
    8
    """
    whole = text[: text.rfind("\n") + 1]  # a line that is not complete may turn into anything
    starts = [
        token.map[0]
        for token in _block_parser().parse(whole)
        if token.level == 0 and token.map and token.nesting >= 0
    ]
    if len(starts) < 2:
        return 0
    return sum(len(line) + 1 for line in whole.split("\n")[: starts[-1]])


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a Markdown text: rows of cells' texts, the header first."""
    found: list[list[list[str]]] = []
    before = ""
    for token in _parser().parse(clean(text)):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and before in ("th_open", "td_open"):
            found[-1][-1].append(_text(token))
        before = token.type
    return found


def code(text: str) -> list[str]:
    """Return the contents of the fenced code blocks of a Markdown text."""
    return [t.content for t in _block_parser().parse(clean(text)) if t.type == "fence"]


def closed(text: str) -> str:
    r"""Return a Markdown text with an end to the fence that it leaves open, as one that broke off.

    Examples
    --------
    >>> print(closed("~~~python\nx = 1"))
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


def image(url: str, alt: str, width: Any = None, *, remote_images: bool = False) -> str:
    """Return a picture as HTML: shown where the URL holds it, else a link, or what it shows."""
    alt = clean(alt)
    remote = _is_web(url)
    if _PICTURE.fullmatch(url) or (remote and remote_images):
        wide = f' width="{width}"' if type(width) is int and 0 < width <= _WIDEST else ""
        return (
            f'<img src="{escape(url)}" alt="{escape(alt)}"{wide} '
            'referrerpolicy="no-referrer" style="max-width:100%">'
        )
    said = escape(alt or "without a description")
    if not remote:
        return f"[image: {said}]"
    link = f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{said}</a>'
    return f"[remote image, not loaded: {link}]"


def _parts(tokens: list[Token]) -> list[list[Token]]:
    """Divide a text between blocks, into parts of so many lines or more."""
    parts: list[list[Token]] = [[]]
    first = 0
    for token in tokens:
        opens = token.level == 0 and token.nesting >= 0
        if opens and token.map and token.map[0] >= first + _PART_LINES:
            parts.append([])
            first = token.map[0]
        parts[-1].append(token)
    return parts


@functools.cache
def _parser() -> MarkdownIt:
    options = {"html": False, "highlight": _highlighted, "maxNesting": _DEEPEST}
    parser = MarkdownIt("commonmark", options)
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _is_harmless  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _open_link)
    parser.add_render_rule("image", _image)
    return parser


@functools.cache
def _block_parser() -> MarkdownIt:
    """Return a parser that only divides a text into blocks."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _is_harmless(url: str) -> bool:
    scheme = urlsplit(url.strip()).scheme.lower()
    return scheme in _LINK_SCHEMES or _PICTURE.fullmatch(url) is not None


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in ("http", "https")
    except ValueError:
        return False


def _open_link(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    link = tokens[position]
    if _PICTURE.fullmatch(str(link.attrGet("href"))):
        del link.attrs["href"]
    link.attrSet("target", "_blank")
    link.attrSet("rel", "noopener noreferrer")
    rendered: str = renderer.renderToken(tokens, position, options, env)
    return rendered


def _image(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    url, alt = str(tokens[position].attrGet("src") or ""), tokens[position].content
    depth = sum(token.nesting for token in tokens[:position] if token.type.startswith("link_"))
    if depth and not _PICTURE.fullmatch(url):
        return escape(clean(alt))  # a link cannot hold another
    return image(url, alt, remote_images=env.get("remote_images", False))


@functools.lru_cache(maxsize=32)  # what grows is painted again, and all of it once it is done
def _highlighted(source: str, language: str, _: str) -> str:
    """Mark up a fence's code; an empty string where it stays plain."""
    from pygments.lexers import get_lexer_by_name

    if language.lower() not in _coloured() or len(source) > _LONGEST_CODE:
        return ""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    tokens = _in_time(lexer.get_tokens(source), source)
    runs = itertools.groupby(tokens, lambda token: _colour(token[0]))
    return "".join(_span(colour, "".join(text for _, text in run)) for colour, run in runs)


@functools.cache
def _coloured() -> frozenset[str]:
    """Return what the coloured languages are called."""
    from pygments.lexers import get_all_lexers

    known = get_all_lexers(plugins=False)
    return frozenset(name for title, names, *_ in known if title in _COLOURED for name in names)


def _in_time(tokens: Iterator[tuple[Any, str]], source: str) -> Iterator[tuple[Any, str]]:
    """Give tokens until the time is up, and then the rest of the code as plain text."""
    from pygments.token import Text

    until = time.monotonic() + _COLOUR_TIME
    done = 0
    for kind, text in tokens:
        yield kind, text
        done += len(text)
        if time.monotonic() > until:
            yield Text, source[done:]
            return


def _span(colour: str, text: str) -> str:
    """Return code as HTML, marked only where it has a colour: a page feels every element."""
    text = escape(text, quote=False)
    return f'<span class="{colour}">{text}</span>' if colour else text


@functools.cache
def _colour(kind: Any) -> str:
    """Return the colour's name for a Pygments token: keyword, string, comment, number or name."""
    from pygments.token import STANDARD_TYPES

    short = next(STANDARD_TYPES[part] for part in reversed(kind.split()) if part in STANDARD_TYPES)
    if short in ("nf", "nc", "nb"):
        return "n"
    return short[0] if short and short[0] in "kscm" else ""


def _text(token: Token) -> str:
    """Return what is read of an inline token, without its marks."""
    parts = []
    for child in token.children or []:
        parts.append("\n" if child.type in ("softbreak", "hardbreak") else child.content)
    return clean("".join(parts)).strip()
