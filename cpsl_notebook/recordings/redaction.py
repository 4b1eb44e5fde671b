"""Secrets, replaced before a recording is written."""

from __future__ import annotations

import base64
import bisect
import functools
import html
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

__all__ = ["PLACEHOLDER", "Redactor"]

PLACEHOLDER = "[redacted]"
SHORTEST_TOKEN = 4
"""Tokens with fewer characters are not looked for: they would match ordinary text."""

# What is replaced wherever it occurs; the group, if a pattern has one, is all that is replaced.
# Each pattern comes with lower-case texts; every match contains at least one of them. Searching for
# these first takes a tenth of the time. The time of a search is proportional to the length of the
# text, whatever its content.
_RUN = r"(?<![\w-])"
_PATTERNS = {
    # The values have a digit, so that "basic information" and "the secret: patience" are left alone.
    r"\b(?:bearer|basic)\s+((?=[\w.~+/=-]{0,200}\d)[\w.~+/=-]{8,})": ("bearer", "basic"),
    r"(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[\"']?\s*(?:=|:|%3d)\s*[\"']?"
    r"((?=[^\s\"'&,;]{0,200}\d)[^\s\"'&,;]{8,})": ("passw", "secret", "token", "key"),
    r"authorization[\"']?\s*[:=]\s*[\"']?(?:\w+\s+)?([^\s\"',;]{8,})": ("authorization",),
    r"\b[a-z][a-z0-9+.-]{0,20}://([^\s/@]{0,256}:[^\s/@]{1,256})@": ("://",),
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)": (
        "private key",
    ),
    _RUN + r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?": ("eyj",),  # a JSON web token
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b": ("akia", "asia"),  # AWS
    # GitHub, GitLab
    r"\b(?:gh[pousr]_|github_pat_|glpat-)\w[\w-]{18,}": ("gh", "github_pat", "glpat"),
    r"\bxox[a-z]-[\w-]{10,}": ("xox",),  # Slack
    r"\b(?:(?:sk|rk|pk)_(?:live|test)|whsec)_\w{10,}": ("_live", "_test", "whsec"),  # Stripe
    r"\bsk-[\w-]{16,}": ("sk-",),  # OpenAI, Anthropic
    r"\bAIza[\w-]{30,}": ("aiza",),  # Google
    r"\b(?:hf_|npm_|pypi-)[\w-]{16,}": ("hf_", "npm_", "pypi-"),  # Hugging Face, npm, PyPI
    _RUN + r"SG\.[\w-]{16,}\.[\w-]{16,}": ("sg.",),  # SendGrid
}
# Fields of JSON objects whose text is replaced whatever it is.
_SECRET_FIELD = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|api_?key|access_?key|private_?key|authorization)$"
)
_NAMES = 1_024  # names of fields that are remembered
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

Span = tuple[int, int]
Path = tuple[str | int, ...]


class Redactor:
    """Replaces workspace tokens and everything that looks like a secret with ``[redacted]``.

    These are replaced in all texts, in names of fields too:

    - the given tokens: plain, percent-encoded, escaped for HTML, in Base64 and in hexadecimal,
    - the value of ``Authorization``, and after ``Bearer`` and ``Basic`` values of at least
      8 characters, one of them a digit,
    - passwords in URLs,
    - private keys in PEM format and JSON web tokens,
    - keys and tokens of AWS, GitHub, GitLab, Slack, Stripe, OpenAI, Anthropic, Google, Hugging Face,
      npm, PyPI and SendGrid, which have documented prefixes,
    - values of at least 8 characters, one of them a digit, after ``password``, ``secret``,
      ``token``, ``api_key`` or ``access_key`` and ``=`` or ``:``,
    - the text of JSON fields that have such a name, or a name that ends in one of these words.

    Parameters
    ----------
    tokens : iterable of str
        The tokens; those of fewer than 4 characters are ignored.
    """

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        flags = re.IGNORECASE | re.DOTALL
        self._patterns = [(re.compile(p, flags), hints) for p, hints in _PATTERNS.items()]
        self._name = functools.lru_cache(_NAMES)(self._checked_name)
        forms = {form for token in tokens if len(token) >= SHORTEST_TOKEN for form in _forms(token)}
        if forms:
            # The longest first: a form may begin with another.
            ordered = sorted(forms, key=len, reverse=True)
            pattern = re.compile("|".join(map(re.escape, ordered)), flags)
            self._patterns.append((pattern, tuple(form.lower() for form in ordered)))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return _replaced(text, self._spans(text))

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return dict(self._field(str(key), item) for key, item in value.items())
        return value

    def pieces(self, values: list[Any]) -> list[Any]:
        """Return the data of a stream's chunks without secrets, even those that chunks split.

        Texts that the chunks have in the same place are read as one text.
        """
        places: dict[Path, list[tuple[int, str]]] = {}
        for number, value in enumerate(values):
            for path, text in _texts(value):
                places.setdefault(path, []).append((number, text))
        changed: dict[Path, str] = {}
        for path, texts in places.items():
            for (number, _), text in zip(texts, self._parts([t for _, t in texts]), strict=True):
                changed[number, *path] = text
        whole: list[Any] = self.value(_with_texts(values, (), changed))
        return whole

    def _field(self, name: str, value: Any) -> tuple[str, Any]:
        """Return a field of an object, name and value, without secrets."""
        clean, is_secret = self._name(name)
        if is_secret and isinstance(value, str) and value:
            return clean, PLACEHOLDER
        return clean, self.value(value)

    def _checked_name(self, name: str) -> tuple[str, bool]:
        """Return a name without secrets, and whether it is that of a secret."""
        words = _CAMEL.sub("_", name).replace("-", "_").lower()
        return self.text(name), _SECRET_FIELD.search(words) is not None

    def _parts(self, texts: list[str]) -> list[str]:
        """Replace secrets in the parts of one text."""
        whole = "".join(texts)
        spans = self._spans(whole)
        if not spans:
            return texts
        starts = [start for start, _ in spans]
        parts, position = [], 0
        for text in texts:
            end = position + len(text)
            here = []
            for start, stop in spans[max(0, bisect.bisect_right(starts, position) - 1) :]:
                if start >= end:
                    break
                if stop > position:
                    # The placeholder stands where the secret begins.
                    word = PLACEHOLDER if start >= position else ""
                    here.append((max(start, position) - position, min(stop, end) - position, word))
            for start, stop, word in reversed(here):
                text = text[:start] + word + text[stop:]
            parts.append(text)
            position = end
        return parts

    def _spans(self, text: str) -> list[Span]:
        """Return where secrets are, in order and without overlaps."""
        lower = text.lower()
        found = [
            match.span(1 if pattern.groups else 0)
            for pattern, hints in self._patterns
            if any(hint in lower for hint in hints)
            for match in pattern.finditer(text)
        ]
        spans: list[Span] = []
        for start, stop in sorted(found):
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(stop, spans[-1][1])
            else:
                spans.append((start, stop))
        return spans


def _replaced(text: str, spans: list[Span]) -> str:
    for start, stop in reversed(spans):
        text = text[:start] + PLACEHOLDER + text[stop:]
    return text


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the texts of a JSON value, each with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _with_texts(value: Any, path: Path, texts: dict[Path, str]) -> Any:
    """Return a JSON value with the texts that belong to its places."""
    if isinstance(value, str):
        return texts[path]
    if isinstance(value, dict):
        return {key: _with_texts(item, (*path, key), texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, (*path, index), texts) for index, item in enumerate(value)]
    return value


def _forms(token: str) -> Iterator[str]:
    """Yield the forms in which a token may be repeated."""
    data = token.encode("utf-8", "surrogatepass")
    yield token
    yield quote(token, safe="", errors="replace")
    yield html.escape(token)
    yield data.hex()
    # In Base64 the token begins at one of three positions; the outer characters depend on what
    # surrounds it.
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data).decode().rstrip("=")
        inner = encoded[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))
