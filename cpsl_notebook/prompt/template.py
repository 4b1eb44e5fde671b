"""Filling ``{{ expression }}`` in a prompt from the notebook's variables.

The text between double braces is a Python expression, with an optional conversion and format spec as in
an f-string: ``{{ table["n"].sum() }}``, ``{{ name!r }}``, ``{{ total:>{width},.2f }}``. Prompts also
contain code and templates of other languages. Double braces without an expression are therefore sent
unchanged; `_parse` is the rule.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.errors import PromptError, did_you_mean

__all__ = ["FilledPrompt", "Placeholder", "as_text", "evaluate", "fill", "find_placeholders"]

_MAX_LENGTH, _MAX_DEPTH = 10_000, 20  # characters of a placeholder; nested brackets in it

_STRING = re.compile(r""" "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' """, re.S | re.X)
_TOKEN = re.compile(rf"""{_STRING.pattern} | !(?!=) | [:"'(){{}}\[\]] """, re.S | re.X)
_FORMAT = re.compile(r"(?:!(?P<conversion>[rsa])\s*)?(?::(?P<spec>.*))?", re.S)
_NESTED = re.compile(r"\{([^{}]*)\}")  # an expression in a format spec
_SPACE_BEFORE_DOT = re.compile(r"\w[ \t]+\.\w")


@dataclass(frozen=True)
class FilledPrompt:
    """A prompt after filling.

    Attributes
    ----------
    text : str
        The text to send.
    unfilled : tuple of str
        The double braces in it without an expression.
    """

    text: str
    unfilled: tuple[str, ...] = ()


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
        The expression in it; ``None`` if it holds none and is to be left unchanged.
    """

    source: str
    start: int
    end: int
    expression: ast.expr | None


def fill(text: str, namespace: Mapping[str, Any]) -> FilledPrompt:
    """Replace the expressions in a prompt with their values.

    Parameters
    ----------
    text : str
        The prompt.
    namespace : mapping of str to object
        The notebook's variables.

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
    >>> fill("Compare {{ a + b }} with {{ .Values.c }} and {d}", {"a": 1, "b": 2})
    FilledPrompt(text='Compare 3 with {{ .Values.c }} and {d}', unfilled=('{{ .Values.c }}',))
    >>> fill("{{ share:.1%}} of {{ [n * 2 for n in counts] }}", {"share": 0.5, "counts": [1, 2]}).text
    '50.0% of [2, 4]'
    """
    pieces, unfilled, position = [], [], 0
    for found in find_placeholders(text, namespace):
        if found.expression is None:
            unfilled.append(found.source)
            continue
        try:
            value = evaluate(found, namespace)
        except PromptError as error:
            if error.label != "NameError":
                raise
            hint = f"{error} Use --raw to send braces unchanged."
            raise PromptError(hint, label=error.label) from error.__cause__
        pieces += [text[position : found.start], value]
        position = found.end
    return FilledPrompt("".join([*pieces, text[position:]]), tuple(unfilled))


def find_placeholders(text: str, namespace: Mapping[str, Any]) -> Iterator[Placeholder]:
    """Find the double braces in a text, except empty ones."""
    start = text.find("{{")
    while start >= 0:
        end, format_start = _scan(text, start + 2)
        content = text[start + 2 : end - 2]
        if content.strip("{} \t\r\n"):
            yield Placeholder(text[start:end], start, end, _parse(content, format_start, namespace))
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
    convert = convert or as_text
    if placeholder.expression is None:
        return convert(placeholder.source)
    source = " ".join(placeholder.source.split())
    try:
        _refuse_filters(placeholder.expression, source, namespace)
        return convert(_value(placeholder.expression, namespace))
    except PromptError:
        raise
    except Exception as error:
        raise PromptError(_message(source, error, namespace), label=type(error).__name__) from error


def as_text(value: Any) -> str:
    """Return a value as text for a prompt: a table as bounded Markdown, a reply as its text.

    Examples
    --------
    >>> as_text(1500), as_text("unchanged")
    ('1500', 'unchanged')
    """
    if inspect.isroutine(value):
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


def _parse(text: str, format_start: int | None, namespace: Mapping[str, Any]) -> ast.expr | None:
    """Return the expression in double braces; ``None`` if they belong to another language."""
    if text[0] in "{#-+" or _SPACE_BEFORE_DOT.search(_STRING.sub("''", text)):
        return None
    expression = _python(text)
    if expression is not None:
        return None if _is_foreign(expression) else expression
    if format_start is not None:
        return _formatted(text[:format_start], text[format_start:], namespace)
    return None


def _is_foreign(expression: ast.expr) -> bool:
    """Return whether valid Python is more likely to be another language's."""
    if isinstance(expression, ast.Tuple):
        # Values with commas between, as in C++ and JSX, begin at the parenthesis of `_python`.
        return expression.col_offset == 0
    if isinstance(expression, ast.UnaryOp):
        expression = expression.operand
    if isinstance(expression, ast.Constant):
        return not isinstance(expression.value, str)
    return isinstance(expression, ast.GeneratorExp | ast.NamedExpr | ast.Lambda)


def _formatted(text: str, formatting: str, namespace: Mapping[str, Any]) -> ast.expr | None:
    """Return an expression with a conversion or format spec as an f-string."""
    found, value = _FORMAT.fullmatch(formatting), _python(text)
    if found is None or value is None or isinstance(value, ast.Constant) or _is_foreign(value):
        return None
    if isinstance(value, ast.Name) and value.id not in namespace:
        return None  # a built-in function, such as `id`, is a common key in JavaScript
    spec = _spec(found["spec"] or "")
    if spec is None:
        return None
    conversion = ord(found["conversion"]) if found["conversion"] else -1
    formatted = ast.JoinedStr([ast.FormattedValue(value, conversion, spec)])
    return formatted if all(_is_known(name, namespace) for name in _names(formatted)) else None


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
    code = compile(ast.fix_missing_locations(ast.Expression(expression)), "<prompt>", "eval")
    return eval(code, dict(namespace))  # noqa: S307 - the user's own expression


def _refuse_filters(expression: ast.expr, source: str, namespace: Mapping[str, Any]) -> None:
    """Raise an error for ``{{ name | upper }}``, a filter in Jinja; here it is Python's operator."""
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
    """Return one line that says why an expression failed."""
    if isinstance(error, NameError) and error.name:
        problem = f"there is no variable {error.name!r}."
        return f"{source}: {problem} {did_you_mean(error.name, namespace)}".rstrip()
    if isinstance(error, AttributeError) and error.name:
        problem = f"a {type(error.obj).__name__} has no attribute {error.name!r}."
        if isinstance(error.obj, Mapping) and error.name in error.obj:
            return f"{source}: {problem} Write [{error.name!r}] instead."
        return f"{source}: {problem} {did_you_mean(error.name, dir(error.obj))}".rstrip()
    if isinstance(error, KeyError):
        return f"{source}: there is no key {error}."
    reason = " ".join(str(error).split()) or "no message"
    return f"{source} fails: {reason}"
