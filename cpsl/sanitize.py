"""Foreign text, made safe to show: nothing in it can disturb a terminal."""

from __future__ import annotations

import re

__all__ = ["Pieces", "brief", "escaped", "one_line", "plain"]

# Control characters but tab and line feed, what reorders or hides text, and what is no text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
# The escape sequences of ECMA-48, without their ends: CSI (colours, the cursor), strings such as OSC
# (titles, links), and all others. Each begins with ESC: in a text that was decoded wrongly, the C1
# controls that stand for the same are letters. What is possessive needs no second look, so that time
# is linear.
_CSI = r"\x1b\[[0-?]*+[ -/]*+"
_STRING = r"\x1b[\]PX^_][^\x00-\x1f]*+"
_SEQUENCE = re.compile(
    rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\)|\x1b[!-/]++[0-~]|\x1b[0-OQ-WYZ\\`-~]"
)
_UNFINISHED = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|\x1b[!-/]*+)\Z")
_LONGEST_SEQUENCE = 4096  # characters that are waited for; what is longer is text
_LONGEST_BRIEF = 300  # characters


def plain(text: str) -> str:
    r"""Leave out escape sequences and control characters; lines and tabs stay.

    Examples
    --------
    >>> plain("\x1b[31mred\x1b[0m, \x1b]8;;https://a.example\x1b\\a link\x1b]8;;\x1b\\")
    'red, a link'
    """
    return _UNSAFE.sub("", _SEQUENCE.sub("", text))


class Pieces:
    r"""`plain` for a text that comes in pieces, which may cut a sequence in two.

    Examples
    --------
    >>> pieces = Pieces()
    >>> pieces.feed("\x1b[3"), pieces.feed("1mred\x1b"), pieces.end()
    ('', 'red', '')
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece; return what can be shown by now."""
        text = self._held + text
        cut = _UNFINISHED.search(text)
        end = cut.start() if cut and len(cut[0]) <= _LONGEST_SEQUENCE else len(text)
        self._held = text[end:]
        return plain(text[:end])

    def end(self) -> str:
        """Return what was held back for an end that never came."""
        held, self._held = self._held, ""
        return plain(held)


def one_line(text: str) -> str:
    """Bring text to one line without escape sequences and control characters."""
    return " ".join(plain(" ".join(text.splitlines())).split())


def brief(text: str) -> str:
    """Bring text to one short line without escape sequences and control characters."""
    line = one_line(text)
    return line if len(line) <= _LONGEST_BRIEF else line[: _LONGEST_BRIEF - 1] + "…"


def escaped(json: str) -> str:
    """Escape in JSON what could disturb a terminal; it means the same."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
