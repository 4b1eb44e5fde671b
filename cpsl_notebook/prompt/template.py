"""Filling ``{{ expression }}`` in a prompt from the notebook's variables.

The text between double braces is a Python expression, with an optional conversion and format spec as in
an f-string: ``{{ table["n"].sum() }}``, ``{{ name!r }}``, ``{{ total:>{width},.2f }}``. Prompts also
contain code and templates of other languages. Double braces without an expression are therefore sent
unchanged, and a notice gives the reason; `_parse` implements the rule.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from cpsl_notebook.errors import PromptError, did_you_mean

__all__ = ["FilledPrompt", "Placeholder", "as_text", "evaluate", "fill", "find_placeholders"]

_MAX_SHOWN = 40  # characters of a placeholder in a message
_MAX_LENGTH, _MAX_DEPTH = 10_000, 20  # characters of a placeholder; nested brackets in it

_STRING = re.compile(r""" "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' """, re.S | re.X)
_TOKEN = re.compile(rf"""{_STRING.pattern} | !(?!=) | [:"'(){{}}\[\]] """, re.S | re.X)
_FORMAT = re.compile(r"(?:!(?P<conversion>[rsa])\s*)?(?::(?P<spec>.*))?", re.S)
_NESTED = re.compile(r"\{([^{}]*)\}")  # an expression in a format spec
_SPACE_BEFORE_DOT = re.compile(r"\w[ \t]+\.\w")
_UNCLOSED = re.compile(r"\{\{([^{}]*)\}{1,2}")  # the part of unclosed double braces to show

_NOT_CLOSED = "its braces, brackets or quotes are not closed"
_NOT_PYTHON = "it is not a Python expression"
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "r": repr,
    "s": str,
    "a": ascii,
}
_FOREIGN: dict[type[ast.expr], str] = {
    ast.Constant: "it is a constant",
    ast.GeneratorExp: "it is a generator expression",
    ast.NamedExpr: "it is an assignment",
    ast.Lambda: "it is a lambda",
}


@dataclass(frozen=True)
class FilledPrompt:
    """A prompt after filling.

    Attributes
    ----------
    text : str
        The text to send.
    unfilled : tuple of Placeholder
        The double braces in it that do not contain an expression.
    missing : tuple of Placeholder
        The placeholders whose values are missing: ``None``, NaN, NaT or ``pandas.NA``. A conversion,
        as in ``{{ n!s }}``, sends such a value as text.
    """

    text: str
    unfilled: tuple[Placeholder, ...] = ()
    missing: tuple[Placeholder, ...] = ()


@dataclass(frozen=True)
class Placeholder:
    """Double braces in a text.

    Attributes
    ----------
    source : str
        The placeholder with its braces.
    start, end : int
        Its position in the text.
    expression : ast.expr or None
        The expression in it; ``None`` if it has none and is sent unchanged.
    conversion : {"", "r", "s", "a"}
        The conversion of the expression's value.
    spec : ast.expr or None
        The format spec of the expression's value.
    reason : str
        Why it has no expression; empty if it has one.
    """

    source: str
    start: int
    end: int
    expression: ast.expr | None = None
    conversion: str = ""
    spec: ast.expr | None = None
    reason: str = ""

    @property
    def label(self) -> str:
        """The placeholder for a message: one line, shortened."""
        line = " ".join(self.source.split())
        return line if len(line) <= _MAX_SHOWN else f"{line[:_MAX_SHOWN]}…"


def fill(
    text: str,
    namespace: Mapping[str, Any],
    advice: str = "Use --raw to send braces unchanged.",
) -> FilledPrompt:
    """Replace the expressions in a prompt with their values.

    Parameters
    ----------
    text : str
        The prompt.
    namespace : mapping of str to object
        The notebook's variables.
    advice : str
        How to send braces unchanged, for the error about a variable that does not exist.

    Returns
    -------
    FilledPrompt
        Values are inserted once: double braces in a value are not filled again.

    Raises
    ------
    PromptError
        A variable does not exist, or an expression fails.

    Examples
    --------
    >>> filled = fill("Compare {{ a + b }} with {{ .Values.c }} and {d}", {"a": 1, "b": 2})
    >>> filled.text
    'Compare 3 with {{ .Values.c }} and {d}'
    >>> [(found.source, found.reason) for found in filled.unfilled]
    [('{{ .Values.c }}', 'it is not a Python expression')]
    >>> fill("{{ share:.1%}} of {{ [n * 2 for n in counts] }}", {"share": 0.5, "counts": [1, 2]}).text
    '50.0% of [2, 4]'
    """
    pieces: list[str] = []
    unfilled: list[Placeholder] = []
    missing: list[Placeholder] = []
    position = 0
    for found in _find(text, namespace):
        if found.expression is None:
            unfilled.append(found)
            continue
        try:
            value, piece = _evaluate(found, namespace, as_text)
        except PromptError as error:
            if error.label != "NameError":
                raise
            raise PromptError(f"{error} {advice}", label=error.label) from error.__cause__
        if not found.conversion and _is_missing(value):
            missing.append(found)
        pieces += [text[position : found.start], piece]
        position = found.end
    return FilledPrompt("".join([*pieces, text[position:]]), tuple(unfilled), tuple(missing))


def find_placeholders(text: str, namespace: Mapping[str, Any]) -> Iterator[Placeholder]:
    """Find the closed double braces in a text, except empty ones."""
    return (found for found in _find(text, namespace) if found.reason != _NOT_CLOSED)


def _find(text: str, namespace: Mapping[str, Any]) -> Iterator[Placeholder]:
    """Find the double braces in a text, except empty ones; those that are not closed may overlap."""
    start = text.find("{{")
    while start >= 0:
        end, format_start = _scan(text, start + 2)
        content = text[start + 2 : end - 2]
        if content.strip("{} \t\r\n"):
            yield _parse(Placeholder(text[start:end], start, end), format_start, namespace)
        elif end == start + 2 and (shown := _UNCLOSED.match(text, start)) and shown[1].strip():
            yield Placeholder(shown[0], start, shown.end(), reason=_NOT_CLOSED)
        start = text.find("{{", end)


def evaluate(
    placeholder: Placeholder,
    namespace: Mapping[str, Any],
    convert: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the value of a placeholder's expression.

    Parameters
    ----------
    placeholder : Placeholder
        One of `find_placeholders`. Without an expression, its value is its source.
    namespace : mapping of str to object
        The notebook's variables.
    convert : callable, optional
        Converts the value; by default `as_text`.

    Raises
    ------
    PromptError
        A variable does not exist, or the expression fails; the label is the exception's name.
    """
    return _evaluate(placeholder, namespace, convert or as_text)[1]


def _evaluate(
    placeholder: Placeholder, namespace: Mapping[str, Any], convert: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Return the value of a placeholder's expression, before and after its formatting."""
    expression, spec = placeholder.expression, placeholder.spec
    if expression is None:
        return placeholder.source, convert(placeholder.source)
    source = " ".join(placeholder.source.split())
    try:
        if spec is None:
            _refuse_filters(expression, source, namespace)
            value = _value(expression, namespace)
            return value, convert(value)
        value = _value(expression, namespace)
        converted = _CONVERSIONS[placeholder.conversion](value)
        return value, convert(format(converted, _value(spec, namespace)))
    except PromptError:
        raise
    except Exception as error:
        raise PromptError(_message(source, error, namespace), label=type(error).__name__) from error


def as_text(value: Any) -> str:
    """Return a value as text for a prompt: a table as Markdown of limited size, a reply as its text.

    Examples
    --------
    >>> as_text(1500), as_text("unchanged")
    ('1500', 'unchanged')
    """
    if callable(value) and inspect.isroutine(value):  # `callable` first, because it is fast
        raise TypeError("it is a function. Add parentheses to call it.")
    if "pandas" in sys.modules:  # otherwise no value can be a DataFrame
        from cpsl_notebook.prompt.markdown_table import is_table, to_markdown

        if is_table(value):
            return to_markdown(value)
    return str(value)


def _scan(text: str, start: int) -> tuple[int, int | None]:
    """Return where double braces end, and where a conversion or format spec begins in them.

    Without closing braces, the end is the start: the braces are empty. Strings, brackets and
    nested specs may contain further braces.
    """
    depth, format_start = 0, None
    for found in _TOKEN.finditer(text, start, start + _MAX_LENGTH):
        mark = found[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            if depth == 0:
                closed = text.startswith("}}", found.start())
                return (found.start() + 2, format_start) if closed else (start, None)
            depth -= 1
        elif mark in "!:":
            if depth == 0 and format_start is None:
                format_start = found.start() - start
        elif len(mark) == 1:  # a quote that is not closed
            break
        if depth > _MAX_DEPTH:
            break
    return start, None


def _is_missing(value: Any) -> bool:
    if "pandas" not in sys.modules:
        return value is None or (isinstance(value, float) and value != value)
    from cpsl_notebook.prompt.markdown_table import is_missing

    return is_missing(value)


def _parse(
    found: Placeholder, format_start: int | None, namespace: Mapping[str, Any]
) -> Placeholder:
    """Add the expression in double braces, or the reason why they belong to another language."""
    text = found.source[2:-2]
    if text[0] in "{#-+":
        return replace(found, reason=f"it begins with {text[0]!r}")
    if _SPACE_BEFORE_DOT.search(_STRING.sub("''", text)):
        return replace(found, reason="it has a space before a dot")
    expression = _python(text)
    if expression is None and format_start is not None:
        return _formatted(found, text[:format_start], text[format_start:], namespace)
    reason = _other_language_reason(expression)
    return replace(found, reason=reason) if reason else replace(found, expression=expression)


def _other_language_reason(expression: ast.expr | None) -> str:
    """Return why code is probably in another language; empty if it is not."""
    if expression is None:
        return _NOT_PYTHON
    if isinstance(expression, ast.Tuple):
        # A tuple without parentheses, as in C++ and JSX, begins at the parenthesis of `_python`.
        return "it is a tuple without parentheses" if expression.col_offset == 0 else ""
    if isinstance(expression, ast.UnaryOp):
        expression = expression.operand
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return ""
    return _FOREIGN.get(type(expression), "")


def _formatted(
    found: Placeholder, text: str, formatting: str, namespace: Mapping[str, Any]
) -> Placeholder:
    """Add an expression with a conversion or format spec, or the reason why it is not one."""
    parts, value = _FORMAT.fullmatch(formatting), _python(text)
    if isinstance(value, ast.Constant):
        return replace(found, reason=_FOREIGN[ast.Constant])
    reason = _other_language_reason(value)
    if reason or value is None:
        return replace(found, reason=reason)
    # A built-in function, such as `id`, is a common key in JavaScript.
    unknown = {value.id} - set(namespace) if isinstance(value, ast.Name) else set()
    spec = None if parts is None else _spec(parts["spec"] or "")
    for expression in (value, spec):
        names = set() if expression is None else _names(expression)
        unknown |= {name for name in names if not _is_known(name, namespace)}
    if unknown:
        return replace(found, reason=f"there is no variable {min(unknown)!r}")
    if parts is None or spec is None:
        return replace(found, reason="its conversion or format spec is invalid")
    return replace(found, expression=value, conversion=parts["conversion"] or "", spec=spec)


@functools.lru_cache(256)  # so that `_compiled` finds the same expression again
def _spec(text: str) -> ast.JoinedStr | None:
    if text.startswith(" "):
        return None
    parts: list[ast.expr] = []
    for position, piece in enumerate(_NESTED.split(text.rstrip())):
        if position % 2 == 0:
            parts.append(ast.Constant(piece))
        elif (width := _python(piece)) is not None:
            parts.append(ast.FormattedValue(width, -1, None))
        else:
            return None
    return ast.JoinedStr(parts)


@functools.lru_cache(256)  # a sweep fills one prompt for each row
def _python(text: str) -> ast.expr | None:
    """Parse a Python expression; ``None`` for anything else."""
    try:
        with warnings.catch_warnings(action="ignore"):
            # The parentheses permit line breaks; the newline ends a comment.
            expression = ast.parse(f"({text}\n)", mode="eval").body
            compile(ast.Expression(expression), "<prompt>", "eval")  # refuses `yield`
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return expression


def _names(expression: ast.expr) -> set[str]:
    """Return the names that an expression reads and does not define itself."""
    nodes = list(ast.walk(expression))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    defined = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    parameters = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {name.id for name in names} - defined - parameters


def _is_known(name: str, namespace: Mapping[str, Any]) -> bool:
    return name in namespace or hasattr(builtins, name)


def _value(expression: ast.expr, namespace: Mapping[str, Any]) -> Any:
    if isinstance(expression, ast.Name) and expression.id not in namespace:
        raise NameError(name=expression.id)  # also for the name of a built-in function
    return eval(_compiled(expression), dict(namespace))  # noqa: S307 - the user's own expression


@functools.lru_cache(256)  # `_python` and `_spec` return the same expression for each row
def _compiled(expression: ast.expr) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Expression(expression)), "<prompt>", "eval")


def _refuse_filters(expression: ast.expr, source: str, namespace: Mapping[str, Any]) -> None:
    """Raise an error for ``{{ name | upper }}``: a filter in Jinja, but an operator in Python."""
    if not (isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitOr)):
        return
    _refuse_filters(expression.left, source, namespace)
    right = expression.right
    function, arguments = (right.func, right.args) if isinstance(right, ast.Call) else (right, [])
    if not isinstance(function, ast.Name) or function.id in namespace:
        return
    value = _value(expression.left, namespace)
    if isinstance(value, str) and hasattr(value, function.id):
        method = ast.Attribute(expression.left, function.id, ast.Load())
        advice = ast.unparse(ast.Call(method, arguments, []))
    elif callable(getattr(builtins, function.id, None)):
        advice = ast.unparse(ast.Call(function, [expression.left, *arguments], []))
    else:
        raise PromptError(f"{source}: filters are not supported: write a Python expression.")
    raise PromptError(f"{source}: filters are not supported: write `{{{{ {advice} }}}}`.")


def _message(source: str, error: Exception, namespace: Mapping[str, Any]) -> str:
    """Return the reason why an expression failed, as one line."""
    if isinstance(error, NameError) and error.name:
        problem = f"there is no variable {error.name!r}."
        known = [name for name in namespace if not hasattr(builtins, name)]  # IPython adds `open`
        return f"{source}: {problem} {did_you_mean(error.name, known)}".rstrip()
    if isinstance(error, AttributeError) and error.name:
        kind = type(error.obj).__name__
        article = "an" if kind[0].lower() in "aeiou" else "a"
        problem = f"{article} {kind} has no attribute {error.name!r}."
        if isinstance(error.obj, Mapping) and error.name in error.obj:
            return f"{source}: {problem} Write [{error.name!r}] instead."
        return f"{source}: {problem} {did_you_mean(error.name, dir(error.obj))}".rstrip()
    if isinstance(error, KeyError):
        return f"{source}: there is no key {error}."
    reason = " ".join(str(error).split()) or "no message"
    return f"{source} fails: {reason}"
