"""Syntax highlighting of fenced code, with a time limit per block."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from html import escape
from typing import Any

__all__ = ["highlight"]

# Languages whose Pygments lexers take time proportional to the code, whatever the code is.
_LANGUAGES = frozenset(
    "Bash,C,C#,C++,Clojure,CSS,Dart,Diff,Docker,Elixir,Go,GraphQL,Haskell,HTML,Java,"
    "JavaScript,JSON,JSX,Julia,Kotlin,Lua,Markdown,Nginx configuration file,Objective-C,Perl,PHP,"
    "PowerShell,Protocol Buffer,Python,Ruby,Rust,S,Scala,SCSS,SQL,Swift,"
    "Terraform,TeX,TOML,TSX,TypeScript,VB.net,XML,YAML".split(",")
)
_MAX_LENGTH = 20_000  # characters; longer code stays plain
_MAX_TIME = 0.1  # seconds of CPU per block; after that, the rest of the code stays plain


@functools.lru_cache(maxsize=32)  # a growing reply is rendered repeatedly
def highlight(source: str, language: str) -> str:
    """Return code as HTML with a ``span`` around every token that has a colour.

    Parameters
    ----------
    source : str
        The code.
    language : str
        The language as written after the fence, for example ``"python"`` or ``"py"``.

    Returns
    -------
    str
        The HTML; empty for an unknown language or very long code, which is shown plain.
    """
    from pygments.lexers import get_lexer_by_name

    if language.lower() not in _known_aliases() or len(source) > _MAX_LENGTH:
        return ""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    tokens = _until_timeout(lexer.get_tokens(source), source)
    runs = itertools.groupby(tokens, lambda token: _colour(token[0]))
    return "".join(_span(name, "".join(text for _, text in run)) for name, run in runs)


@functools.cache
def _known_aliases() -> frozenset[str]:
    """Return every name by which a highlighted language can be requested."""
    from pygments.lexers import get_all_lexers

    lexers = get_all_lexers(plugins=False)
    return frozenset(
        alias for name, aliases, *_ in lexers if name in _LANGUAGES for alias in aliases
    )


def _until_timeout(tokens: Iterator[tuple[Any, str]], source: str) -> Iterator[tuple[Any, str]]:
    """Yield tokens until the time is up, then the remaining code as plain text."""
    from pygments.token import Text

    deadline = time.thread_time() + _MAX_TIME
    position = 0
    for kind, text in tokens:
        yield kind, text
        position += len(text)
        if time.thread_time() > deadline:
            yield Text, source[position:]
            return


def _span(name: str, text: str) -> str:
    # Text without a colour gets no element: many elements slow the page down.
    text = escape(text, quote=False)
    return f"<span {name}>{text}</span>" if name else text


@functools.cache
def _colour(kind: Any) -> str:
    """Return the colour of a Pygments token: k(eyword), s(tring), c(omment), n(ame), or none."""
    from pygments.token import STANDARD_TYPES

    short = next(STANDARD_TYPES[part] for part in reversed(kind.split()) if part in STANDARD_TYPES)
    if short in ("nf", "nc", "nb"):
        return "n"
    return short[0] if short and short[0] in "ksc" else ""
