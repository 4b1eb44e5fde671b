"""Filling the prompts of all rows before the first one is sent."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cpsl_notebook.errors import PromptError, UserError
from cpsl_notebook.prompt.template import fill
from cpsl_notebook.sweeps.input_rows import InputRows
from cpsl_notebook.sweeps.texts import Texts

__all__ = ["fill_prompts"]

_EMPTY = re.compile(r"\{\{\s*\}\}")
_SEND_BRACES = (
    'For two literal braces, write {{ "{{" }}; to send all braces unchanged, pass raw=True (--raw in a '
    "cell)."
)


def fill_prompts(
    template: str, rows: InputRows, namespace: Mapping[str, Any], *, raw: bool = False
) -> Texts:
    """Return a prompt filled for each row.

    Parameters
    ----------
    template : str
        The prompt with its ``{{ }}``.
    rows : InputRows
        The rows; their columns take precedence over other variables.
    namespace : mapping of str to object
        The other variables.
    raw : bool
        Whether to send ``{{ }}`` unchanged.

    Raises
    ------
    UserError
        A prompt cannot be filled or sent, double braces would be sent unchanged, or a value in a
        prompt is missing; the message names the row.

    Examples
    --------
    >>> prompts = fill_prompts("{{ greeting }} {{ value }}", InputRows(["Ada"]), {"greeting": "Hello"})
    >>> list(prompts)
    ['Hello Ada']
    """
    missing: dict[str, list[int]] = {}
    texts = (
        itertools.repeat(template, len(rows))
        if raw or "{{" not in template
        else _filled(template, rows, namespace, missing)
    )
    prompts = Texts(len(rows))
    for number, text in enumerate(texts):
        problem = _problem(text)
        if problem:
            raise UserError(f"{rows.name(number)}: {problem}")
        prompts[number] = text
    for label, numbers in missing.items():
        first = rows.name(numbers[0])
        raise PromptError(
            f"{label} has no value in {len(numbers):,} of {len(rows):,} rows; the first is {first}. "
            f"Fill or drop these rows, or add a conversion, as in {{{{ n!s }}}}, to send "
            "missing values as text."
        )
    return prompts


def _filled(
    template: str, rows: InputRows, namespace: Mapping[str, Any], missing: dict[str, list[int]]
) -> Iterator[str]:
    """Fill the prompt of each row, and add the rows without a value to *missing*."""
    base = dict(namespace)
    if empty := _EMPTY.search(template):
        raise PromptError(f"{empty[0]} is empty. Write an expression in it. {_SEND_BRACES}")
    for number, variables in enumerate(rows.variables()):
        try:
            filled = fill(template, base | variables, _SEND_BRACES)
        except PromptError as error:
            raise PromptError(f"{rows.name(number)}: {error}", label=error.label) from error
        for braces in filled.unfilled:
            column = braces.source[2:-2].strip()
            is_column = column in rows.frame.columns
            correct = f"Write {{{{ row[{column!r}] }}}}." if is_column else "Correct it."
            raise PromptError(
                f"{rows.name(number)}: {braces.label} would be sent unchanged, because "
                f"{braces.reason}. {correct} {_SEND_BRACES}"
            )
        for label in {found.label for found in filled.missing}:
            missing.setdefault(label, []).append(number)
        yield filled.text


def _problem(prompt: str) -> str:
    if not prompt or prompt.isspace():
        return "the prompt is empty."
    if not prompt.isascii():
        try:
            prompt.encode()
        except UnicodeEncodeError:
            return "the prompt contains a lone surrogate: remove it."
    return ""
