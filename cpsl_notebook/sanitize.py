"""Foreign text, made fit to be shown in a page and in a terminal."""

from __future__ import annotations

import re

__all__ = ["clean", "joined", "split_whole"]

# What steers a terminal (ECMA-48, sections 5.4 and 5.6): colours and movements, titles and links,
# and the choice of a character set. Each begins with ESC: in a text that was decoded wrongly, the C1
# controls that stand for the same are letters.
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~] | \x1b[\]PX^_][^\x00-\x1f]*(?:\x07|\x1b\\) | \x1b[()*+][0-9AB]", re.X
)
# C0 and C1 controls but tab and line feed, and what reorders or hides text (Unicode TR 36).
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_HALVES = re.compile("[\ud800-\udfff]")
# The first part of a line end, of a character, or of what steers a terminal.
_BEGUN = re.compile(
    r"(?:\r|[\ud800-\udbff]|\x1b(?:\[[0-?]{0,99}[ -/]{0,9}|[\]PX^_][^\x00-\x1f]{0,300}\x1b?|[()*+])?)\Z"
)


def clean(text: str) -> str:
    r"""Remove what steers a terminal, control characters, and what reorders text.

    Lines and tabs stay; half of a character becomes U+FFFD.

    Examples
    --------
    >>> clean("\x1b[31mred\x1b[0m\r\nand \ud83d\ude00")
    'red\nand 😀'
    """
    text = joined(text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


def joined(text: str) -> str:
    r"""Join characters of which each half came on its own; a half that stays alone is U+FFFD.

    JSON writes an emoji as two halves, which a service may have cut between.

    Examples
    --------
    >>> joined("\ud83d" + "\ude00"), joined("\ud83d")
    ('😀', '\ufffd')
    """
    if not _HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def split_whole(text: str) -> tuple[str, str]:
    r"""Divide a text that grows into what can be shown, and an end that may be half of something.

    Examples
    --------
    >>> split_whole("red: \x1b[3")
    ('red: ', '\x1b[3')
    """
    begun = _BEGUN.search(text)
    end = begun.start() if begun else len(text)
    return text[:end], text[end:]
