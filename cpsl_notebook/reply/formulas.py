r"""Formulas in Markdown: ``$$…$$``, ``\[…\]`` and ``\(…\)``. A single ``$`` is a currency sign.

Without rules for them, Markdown removes the backslashes and treats underscores as emphasis.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

__all__ = ["formula_html", "math_block", "math_inline"]

_ENDS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_MAX_LINES = 50  # of a formula
_MAX_TYPESET = 5_000  # characters; a longer formula stays text
_MAX_NEGATIVE_SPACES = 4  # each moves what follows by a sixth of a letter to the left
# The commands that are typeset: letters, symbols, accents, fonts and structures of mathematics, as in
# "Supported TeX/LaTeX commands" of MathJax's documentation. None defines a command, loads, links, has
# a size or a distance as its argument, or moves what follows over something else.
_COMMANDS = frozenset(
    r"""
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu
    nu xi omicron pi varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma
    Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega digamma aleph beth gimel daleth hbar hslash
    ell imath jmath wp Re Im partial nabla infty emptyset varnothing forall exists nexists neg lnot
    top bot angle measuredangle triangle square Box Diamond diamond blacksquare bigstar star prime
    backprime degree sharp flat natural clubsuit diamondsuit heartsuit spadesuit dag ddag dagger
    ddagger S P pounds yen copyright checkmark complement
    + - * / times div pm mp cdot ast circ bullet oplus ominus otimes oslash odot cap cup uplus sqcap
    sqcup vee lor wedge land setminus smallsetminus wr amalg bigcirc dotplus ltimes rtimes
    sum prod coprod int iint iiint oint bigcap bigcup bigvee bigwedge bigoplus bigotimes bigodot
    biguplus bigsqcup lim limsup liminf varlimsup varliminf max min sup inf argmax argmin det dim
    ker hom deg gcd Pr arg exp ln log lg sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh
    coth
    = < > le leq ge geq ne neq ll gg lll ggg leqslant geqslant lesssim gtrsim equiv sim simeq approx
    approxeq cong doteq propto asymp prec succ preceq succeq subset supset subseteq supseteq
    subsetneq supsetneq nsubseteq nsupseteq sqsubseteq sqsupseteq in notin ni mid nmid parallel
    nparallel perp models vdash dashv Vdash vDash smile frown bowtie triangleq coloneqq colon not
    because therefore
    to gets leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow longleftarrow
    longrightarrow longleftrightarrow Longleftarrow Longrightarrow Longleftrightarrow implies
    impliedby iff mapsto longmapsto hookleftarrow hookrightarrow leftharpoonup rightharpoonup
    leftharpoondown rightharpoondown rightleftharpoons uparrow downarrow updownarrow Uparrow
    Downarrow Updownarrow nearrow searrow swarrow nwarrow leadsto rightsquigarrow xleftarrow
    xrightarrow
    dots ldots cdots vdots ddots dotsc dotsb dotsm dotsi
    left right middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm
    Biggm lbrace rbrace lbrack rbrack langle rangle lceil rceil lfloor rfloor lvert rvert lVert
    rVert vert Vert lgroup rgroup backslash
    frac dfrac tfrac cfrac binom dbinom tbinom choose over sqrt overline underline overbrace
    underbrace overset underset stackrel substack boxed limits nolimits
    hat widehat tilde widetilde bar vec dot ddot dddot acute grave check breve mathring
    overrightarrow overleftarrow overleftrightarrow
    mathrm mathbf mathit mathsf mathtt mathbb mathcal mathfrak mathscr mathnormal boldsymbol bm pmb
    rm bf it sf tt cal text textrm textbf textit textsf texttt textnormal mbox operatorname mathop
    mathbin mathrel mathord mathopen mathclose mathpunct mathinner
    displaystyle textstyle scriptstyle scriptscriptstyle
    pmod bmod mod pod hline quad qquad begin end
    """.split()
) | frozenset(" \n\t,:;!{}|_%$#&\\()[]")
_ENVIRONMENTS = frozenset(
    """
    matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array cases split aligned gathered align
    align* gather gather* equation equation* multline multline*
    """.split()
)
_COMMAND = re.compile(r"\\([A-Za-z]+|.|\Z)", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{([A-Za-z]+\*?)\}")
_COLUMNS = re.compile(r"\\begin\{array\}\{[lcr|]*\}")  # no widths, no other contents
_ROW_DISTANCE = re.compile(r"\\\\\s*\*?\s*\[")  # as in \\[2em]


def formula_html(formula: str, *, typeset: bool) -> str:
    r"""Return a formula, with its delimiters, as HTML.

    Parameters
    ----------
    formula : str
        The formula.
    typeset : bool
        Whether MathJax should typeset it. A formula of more than 5,000 characters, or with a command
        that is not in the list of this module, stays text.

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
    if not typeset or not _is_mathematics(formula):
        return html
    return f'<span class="tex2jax_process mathjax_process">{html}</span>'


def math_inline(state: Any, silent: bool) -> bool:
    """Parse a formula within a paragraph; a rule of markdown-it."""
    start = state.pos
    end = _ENDS.get(state.src[start : start + 2])
    if end is None:
        return False
    # If no end was found before, there is none further on: searching again would be quadratic.
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

    In a growing text, an unclosed formula at the end counts, too, because its end may follow.
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
        return False  # text after the formula makes it part of a paragraph
    return _add_formula(state, start, stop, silent)


def _is_mathematics(formula: str) -> bool:
    """Return whether a formula consists of listed commands and environments only."""
    if len(formula) > _MAX_TYPESET or formula.count(r"\!") > _MAX_NEGATIVE_SPACES:
        return False
    commands, environments = _COMMAND.findall(formula), _ENVIRONMENT.findall(formula)
    return (
        _COMMANDS.issuperset(commands)
        and _ENVIRONMENTS.issuperset(environments)
        and len(environments) == commands.count("begin") + commands.count("end")
        and len(_COLUMNS.findall(formula)) == formula.count(r"\begin{array}")
        and not _ROW_DISTANCE.search(formula)
        and "%" not in _COMMAND.sub("", formula)  # a comment would hide what follows
    )


def _add_formula(state: Any, start: int, end: int, silent: bool) -> bool:
    if silent:
        return True
    token = state.push("math", "", 0)
    token.block, token.map = True, [start, end]
    token.content = state.getLines(start, end, state.blkIndent, False).strip()
    state.line = end
    return True
