"""Filling a prompt: expressions of the notebook between double braces, each filled once.

What is between ``{{`` and ``}}`` is an expression of Jinja's, over the notebook's variables and
Python's built-in functions; one that only Python can read is Python's, where it uses a variable of the
notebook. Whatever else a prompt holds is not touched, so JSON, code, LaTeX and the templates of other
languages arrive byte for byte: Jinja's own ``{% %}`` and ``{# #}`` too, and double braces that hold no
expression, such as ``{{ .Values.name }}``.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import keyword
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import TemplateAssertionError, TemplateRuntimeError
from jinja2.runtime import Undefined
from jinja2.utils import missing

from cpsl_notebook.errors import PromptError, did_you_mean

__all__ = ["Filled", "evaluate", "fill", "find", "near", "plain"]

_RAW = "(--raw sends braces as they are.)"
_NO_VALUE = (ast.GeneratorExp, ast.NamedExpr, ast.Lambda)
_VALUES = {"True", "False", "None"}  # keywords that are expressions
_LONGEST, _DEEPEST = 10_000, 20  # characters of an expression, and brackets in brackets
# What braces of other languages hold: a number, and in Go's templates a word before `.Values`.
_FOREIGN = re.compile(r"\A\s*\d+\s*\Z|\w[ \t]+\.\w")
_QUOTED = re.compile(r""" "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' """, re.S | re.X)
_PIECES = re.compile(rf"""{_QUOTED.pattern} | ["'(){{}}\[\]] """, re.S | re.X)


@dataclass(frozen=True)
class Filled:
    """A prompt as it shall be sent.

    Attributes
    ----------
    text
        The prompt.
    left
        The double braces in it that hold no expression, as they stand.
    """

    text: str
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Braces:
    """Double braces in a text, from ``start`` to ``end``; ``value`` computes what is in them."""

    source: str
    start: int
    end: int
    value: Callable[..., Any] | None


def fill(text: str, namespace: Mapping[str, Any]) -> Filled:
    """Fill the expressions of a prompt from the notebook's variables.

    Raises
    ------
    UserError
        A name is missing, or an expression fails.

    Examples
    --------
    >>> fill("Compare {{ a + b }} with {{ .Values.c }} and {d}", {"a": 1, "b": 2})
    Filled(text='Compare 3 with {{ .Values.c }} and {d}', left=['{{ .Values.c }}'])
    >>> fill("{{ [n * 2 for n in numbers] }}", {"numbers": [1, 2]}).text
    '[2, 4]'
    """
    pieces, left, position = [], [], 0
    for braces in find(text, namespace):
        if braces.value is None:
            left.append(braces.source)
            continue
        pieces += [text[position : braces.start], evaluate(braces, namespace)]
        position = braces.end
    return Filled("".join([*pieces, text[position:]]), left)


def find(text: str, namespace: Mapping[str, Any]) -> Iterator[Braces]:
    """Find the double braces of a text, with or without an expression; empty ones are none."""
    compiled = functools.cache(functools.partial(_compiled, _environment(namespace), namespace))
    start = text.find("{{")
    while start >= 0:
        end = _end(text, start)
        if end is None:
            end = start + 2
        else:
            source = text[start:end]
            if source[2:-2].strip("{} \t\r\n"):
                yield Braces(source, start, end, compiled(source))
        start = text.find("{{", end)


def plain(value: Any) -> str:
    """Return a value as a prompt shows it: a table as bounded Markdown, a reply as its text.

    Examples
    --------
    >>> plain(1500), plain("as it is")
    ('1500', 'as it is')
    """
    if inspect.isroutine(value):
        raise TypeError(f"it is a function: call it, as in {getattr(value, '__name__', 'f')}()")
    if "pandas" in sys.modules:  # else it cannot be a table of its
        from cpsl_notebook.prompt.markdown_table import is_table, markdown

        if is_table(value):
            return markdown(value)
    return str(value)


def evaluate(
    braces: Braces, namespace: Mapping[str, Any], show: Callable[[Any], Any] = plain
) -> Any:
    """Return what an expression comes to, as text.

    Raises
    ------
    UserError
        A name is missing, or the expression fails.
    """
    if braces.value is None:
        return show(braces.source)
    shown = " ".join(braces.source.split())
    try:
        return show(braces.value(namespace))
    except UndefinedError as error:
        raise PromptError(f"{shown}: {error.message} {_RAW}", label="NameError") from error
    except NameError as error:
        missing_name = f"there is no variable {error.name}{near(str(error.name), namespace)}"
        raise PromptError(f"{shown}: {missing_name} {_RAW}", label="NameError") from error
    except Exception as error:
        said = " ".join(str(error).split()) or "no message"
        raise PromptError(f"{shown} fails: {said}", label=type(error).__name__) from error


def near(name: str, known: Iterable[Any]) -> str:
    """Return the end of a sentence that names the nearest of the names known.

    Examples
    --------
    >>> near("tabel", ["table", "other"])
    ': did you mean table?'
    """
    names = (one for one in known if isinstance(one, str) and not one.startswith("_"))
    asked = did_you_mean(name, names)
    return f": {asked}" if asked else "."


def _end(text: str, start: int) -> int | None:
    """Return where the double braces that open here close; strings and dicts may hold others."""
    depth = 0
    for piece in _PIECES.finditer(text, start + 2, start + _LONGEST):
        character = piece[0]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            if depth == 0:
                closed = text.startswith("}}", piece.start())
                return piece.start() + 2 if closed else None
            depth -= 1
        elif len(character) == 1:  # a quote without its fellow
            return None
        if depth > _DEEPEST:
            return None
    return None


def _compiled(
    environment: Environment, namespace: Mapping[str, Any], source: str
) -> Callable[..., Any] | None:
    """Return what computes the expression in braces; ``None`` where they hold none."""
    expression = source[2:-2]
    if expression[0] in "-+":
        return None  # other templates' sign for "without the space before"
    if _FOREIGN.search(_QUOTED.sub("''", expression)) or _is_list(expression):
        return None
    if keyword.iskeyword(expression.strip()) and expression.strip() not in _VALUES:
        return None  # {{ else }} of other templates
    try:
        return environment.compile_expression(expression, undefined_to_none=False)
    except TemplateAssertionError as error:  # a filter or test that there is not
        # Python reads `a | b` and `a is not None` otherwise; a misspelt filter is no name it knows.
        python = _python(expression, lambda names: all(map(_known_in(namespace), names)))
        if python is not None:
            return python
        shown = " ".join(source.split())
        raise PromptError(f"{shown}: {error.message} {_RAW}", label="NameError") from error
    except (TemplateSyntaxError, SyntaxError, RecursionError):  # the last two: it reads, but fails
        return _python(expression, lambda names: any(name in namespace for name in names))


def _python(
    expression: str, is_meant: Callable[[set[str]], bool]
) -> Callable[[Mapping[str, Any]], Any] | None:
    """Return what computes an expression of Python's whose names say that it is meant as one."""
    tree = _read(expression)
    # Three braces are more likely another language's than a set of Python's.
    if tree is None or isinstance(tree.body, _NO_VALUE) or expression.startswith("{"):
        return None
    try:
        code = compile(tree, "<prompt>", "eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not is_meant(names):
        return None
    return lambda namespace: eval(code, dict(namespace))  # noqa: S307 - the notebook's own


def _read(expression: str) -> ast.Expression | None:
    """Read an expression as Python does; ``None`` where it is none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful syntax
            return ast.parse(f"({expression.strip()}\n)", mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _is_list(expression: str) -> bool:
    """Say whether it is several values with commas between: C++ and JSX write such in braces."""
    tree = _read(expression)
    bare = tree is not None and isinstance(tree.body, ast.Tuple)
    return bare and not expression.strip().startswith("(")


def _known_in(namespace: Mapping[str, Any]) -> Callable[[str], bool]:
    return lambda name: name in namespace or hasattr(builtins, name)


def _environment(namespace: Mapping[str, Any]) -> Environment:
    class Missing(StrictUndefined):
        """A name that is missing; it says which one might be meant."""

        __slots__ = ()

        def __init__(
            self,
            hint: str | None = None,
            obj: Any = missing,
            name: str | None = None,
            exc: type[TemplateRuntimeError] = UndefinedError,
        ) -> None:
            super().__init__(hint or _explained(obj, name, namespace), obj, name, exc)

        __repr__ = StrictUndefined.__str__  # in a list too, a missing name is an error

    environment = Environment(undefined=Missing)  # noqa: S701 - it is no HTML
    environment.globals = vars(builtins).copy()
    return environment


def _explained(value: Any, name: Any, namespace: Mapping[str, Any]) -> str:
    if value is missing:
        return f"there is no variable {name}{near(str(name), namespace)}"
    if isinstance(value, Undefined) or not isinstance(name, str):
        return f"a {type(value).__name__} has no such item."
    keys = list(value.keys()) if hasattr(value, "keys") else []
    return f"a {type(value).__name__} has no {name!r}{near(name, [*keys, *dir(value)])}"
