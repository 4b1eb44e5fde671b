"""Clean untrusted text before it is shown in a terminal or on a web page.

This module imports nothing from its package: `cpsl_notebook`, which must also work alongside
another ``cpsl``, carries a generated copy of it.
"""

from __future__ import annotations

import re

__all__ = ["brief", "clean", "escape_json", "join_surrogates", "one_line", "split_complete"]

# Escape sequences of ECMA-48 without their final part: CSI (colours, cursor movements), control
# strings such as OSC (titles, links), and all others. Only the forms that begin with ESC count: in
# wrongly decoded text, the equivalent C1 controls are parts of letters. Possessive
# quantifiers keep the time linear.
_CSI = r"\x1b\[[0-?]*+[ -/]*+"
_STRING = r"\x1b[\]PX^_][^\x00-\x1f]*+"
_SEQUENCE = re.compile(
    rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\)|\x1b[!-/]++[0-~]|\x1b[0-OQ-WYZ\\`-~]"
)
# An unfinished line end, character or escape sequence.
_PENDING = re.compile(rf"(?:\r|[\ud800-\udbff]|{_CSI}|{_STRING}\x1b?|\x1b[!-/]*+)\Z")
_LINE_END = re.compile("\r\n?|[\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# C0 and C1 controls except tab and line feed, and characters that reorder or hide text or are
# invisible (Unicode Technical Report 36): soft hyphen, fillers, zero-width space, tags. Not U+200D,
# which joins emoji, and not U+200C, which Persian needs.
_CONTROLS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_CONTROL = re.compile(f"[{_CONTROLS}]")
_NOT_PLAIN = re.compile(f"[{_CONTROLS}\u2028\u2029\ud800-\udfff]")
_MAX_PENDING = 4096  # characters; an unfinished escape sequence that is longer is treated as text
_MAX_BRIEF = 300  # characters


def clean(text: str) -> str:
    r"""Remove escape sequences, control characters, and characters that reorder or hide text.

    Tabs and line ends are kept; every line ends with a line feed. Surrogates are joined or replaced
    as in `join_surrogates`.

    Parameters
    ----------
    text : str
        Text from an app or a service.

    Returns
    -------
    str
        Text that is safe to write to a terminal and, once escaped, to a page.

    Examples
    --------
    >>> clean("\x1b[31mred\x1b[0m\r\n\x1b]8;;https://a.example\x1b\\a link\x1b]8;;\x1b\\")
    'red\na link'
    """
    if text.isascii() and text.isprintable():  # most texts, in a tenth of the time
        return text
    text = _LINE_END.sub("\n", join_surrogates(text))
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def join_surrogates(text: str, lone: str = "replace") -> str:
    r"""Join surrogate pairs into characters.

    JSON may escape an emoji as two surrogates, and a service may split a text between them.

    Parameters
    ----------
    text : str
        Text that may contain surrogates.
    lone : {"replace", "surrogatepass"}
        How to handle a lone surrogate: ``"replace"`` converts it to U+FFFD, ``"surrogatepass"``
        keeps it.

    Returns
    -------
    str
        The text with one character for each pair.

    Examples
    --------
    >>> join_surrogates("\ud83d" + "\ude00"), join_surrogates("\ud83d")
    ('😀', '\ufffd')
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", lone)


def split_complete(text: str) -> tuple[str, str]:
    r"""Split growing text into a part that can be cleaned now and a part that may continue.

    Pass the second part, followed by the text that arrives next, to the next call.

    Parameters
    ----------
    text : str
        The text that has arrived and has not been shown yet.

    Returns
    -------
    complete : str
        Text that does not depend on what follows.
    pending : str
        An unfinished line end, character or escape sequence; often empty.

    Examples
    --------
    >>> split_complete("red: \x1b[3")
    ('red: ', '\x1b[3')
    """
    pending = _PENDING.search(text)
    if pending is None or len(pending[0]) > _MAX_PENDING:
        return text, ""
    return text[: pending.start()], pending[0]


def one_line(text: str) -> str:
    r"""Clean text and replace every run of white space, line ends included, with a space.

    Examples
    --------
    >>> one_line(" The database\r\nis \x1b[1mgone\x1b[0m ")
    'The database is gone'
    """
    return " ".join(clean(" ".join(text.splitlines())).split())


def brief(text: str) -> str:
    """Clean text and shorten it to one line of at most 300 characters."""
    line = one_line(text)
    return line if len(line) <= _MAX_BRIEF else line[: _MAX_BRIEF - 1] + "…"


def escape_json(json: str) -> str:
    r"""Escape the characters of a JSON text that `clean` would remove, without changing its value.

    Examples
    --------
    >>> escape_json('"\x9b"')
    '"\\u009b"'
    """
    return _NOT_PLAIN.sub(_escape, json)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
