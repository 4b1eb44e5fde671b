"""The style sheet of a reply, and the elements that every reply is built from."""

from __future__ import annotations

from html import escape

from cpsl_notebook.sanitize import clean

__all__ = ["DARK", "LIGHT", "STYLE", "framed", "quiet_line"]

# The colours of code. Each has a contrast of at least 4.5 to its background (WCAG 2.2, 1.4.3).
LIGHT = {"k": "#b31d28", "s": "#0a3069", "c": "#57606a", "m": "#0550ae", "n": "#6639ba"}
DARK = {"k": "#ff7b72", "s": "#a5d6ff", "c": "#9ea7b3", "m": "#79c0ff", "n": "#d2a8ff"}
_DARK_PAGES = ("[data-jp-theme-light=false]", ".vscode-dark", "html[theme=dark]")
_QUIET = "opacity:.75;font-size:.85em"


def framed(content: str, attributes: str = "") -> str:
    """Return HTML inside the element that the style sheet applies to."""
    # Without these classes, MathJax turns "$5 and $10" into a formula.
    classes = "capsule-reply mathjax_ignore tex2jax_ignore"
    return f'<div class="{classes}" style="overflow-wrap:anywhere"{attributes}>{content}</div>'


def quiet_line(text: str, attributes: str = "") -> str:
    """Return an unobtrusive line of text as HTML."""
    space = " " if attributes else ""
    return f'<div {attributes}{space}style="{_QUIET}">{escape(clean(text))}</div>'


def _style_sheet() -> str:
    dark = ",".join(f"{page} .capsule-reply" for page in _DARK_PAGES)
    # JupyterLab's own rules have two classes. Three make these win in widgets and in outputs.
    reply = ".capsule-reply" * 3
    rules = [
        f".capsule-reply{{{_variables(LIGHT)}}}{dark}{{{_variables(DARK)}}}",
        *(f".capsule-reply pre .{kind}{{color:var(--capsule-{kind})}}" for kind in LIGHT),
        f"{reply} table{{margin-left:0;overflow-wrap:normal}}",
        f"{reply} :is(td,th){{text-align:left}}",
        f"{reply} pre{{margin:0 0 1em;padding:.4em .7em;border-radius:3px;"
        "background:rgba(128,128,128,.1);white-space:pre-wrap;overflow-wrap:anywhere}",
        f"{reply} pre code{{padding:0;background:none}}",
    ]
    return f"<style>{''.join(rules)}</style>"


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--capsule-{kind}:{colour};" for kind, colour in colours.items())


STYLE = _style_sheet()
