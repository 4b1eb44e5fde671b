r"""Formulas in Markdown: ``$$…$$``, ``\[…\]`` and ``\(…\)``. A single ``$`` is money.

Without rules for them, Markdown removes the backslashes and takes underscores for emphasis.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

__all__ = ["formula_html", "math_block", "math_inline"]

_ENDS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_MAX_LINES = 50  # of a formula
_MAX_TYPESET = 5_000  # characters; a longer formula stays text
# Commands that define commands, load code, style or link, or draw boxes of any size.
_FORBIDDEN = re.compile(
    r"\\(def|gdef|edef|xdef|let|futurelet|global|newcommand|renewcommand|providecommand|newenvironment"
    r"|renewenvironment|DeclareMathOperator|require|input|csname|catcode|href|url|html|class|cssId"
    r"|style|data|unicode|bbox|includegraphics|rule|mmlToken|toggle|mathtip|texttip)"
)


def formula_html(formula: str, *, typeset: bool) -> str:
    r"""Return a formula, with its delimiters, as HTML.

    Parameters
    ----------
    formula : str
        The formula.
    typeset : bool
        Whether MathJax should typeset it. A formula that defines commands, links or draws boxes
        stays text.

    Returns
    -------
    str
        The HTML.

    Examples
    --------
    >>> formula_html(r"\( x_1 < 2 \)", typeset=False)
    '\\( x_1 &lt; 2 \\)'
    >>> formula_html(r"\( x_1 \)", typeset=True)
    '<span class="tex2jax_process mathjax_process">\\( x_1 \\)</span>'
    """
    html = escape(formula, quote=False)
    if not typeset or len(formula) > _MAX_TYPESET or _FORBIDDEN.search(formula):
        return html
    return f'<span class="tex2jax_process mathjax_process">{html}</span>'


def math_inline(state: Any, silent: bool) -> bool:
    """Parse a formula within a paragraph; a rule of markdown-it."""
    start = state.pos
    end = _ENDS.get(state.src[start : start + 2])
    if end is None:
        return False
    # Where no end was found once, there is none further on: searching again would be quadratic.
    missing = state.env["missing_ends"]
    close = -1 if end in missing else state.src.find(end, start + 2)
    if close < 0:
        missing.add(end)
    if not start + 2 < close <= state.posMax - 2:
        return False
    if not silent:
        state.push("math", "", 0).content = state.src[start : close + 2]
    state.pos = close + 2
    return True


def math_block(state: Any, start: int, end: int, silent: bool) -> bool:
    """Parse a formula of several lines; a rule of markdown-it.

    A formula at the end of the text that has no end yet is one too, because its end may follow.
    """
    position = state.bMarks[start] + state.tShift[start]
    close = _ENDS.get(state.src[position : position + 2])
    if close in (None, "\\)") or state.is_code_block(start):
        return False
    last = min(end, start + _MAX_LINES)
    found = state.src.find(close, position + 2, state.eMarks[last - 1])
    if found < 0 and not (state.env.get("unfinished") and last == state.lineMax):
        return False
    stop = next((n for n in range(start, last) if 0 <= found <= state.eMarks[n]), last - 1) + 1
    if any(state.isEmpty(n) or state.sCount[n] < state.blkIndent for n in range(start, stop)):
        return False
    if found >= 0 and state.src[found + 2 : state.eMarks[stop - 1]].strip():
        return False  # text behind the formula makes it part of a paragraph
    return _add_formula(state, start, stop, silent)


def _add_formula(state: Any, start: int, end: int, silent: bool) -> bool:
    if silent:
        return True
    token = state.push("math", "", 0)
    token.block, token.map = True, [start, end]
    token.content = state.getLines(start, end, state.blkIndent, False).strip()
    state.line = end
    return True
