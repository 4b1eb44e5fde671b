"""Filling the prompts of all rows before the first one is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cpsl_notebook.errors import PromptError, UserError
from cpsl_notebook.prompt.template import fill
from cpsl_notebook.sweeps.input_rows import InputRows

__all__ = ["fill_prompts"]


def fill_prompts(
    template: str, rows: InputRows, namespace: Mapping[str, Any], *, raw: bool = False
) -> list[str]:
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
        Leave ``{{ }}`` unchanged.

    Raises
    ------
    UserError
        A prompt cannot be filled or sent; the message names the row.

    Examples
    --------
    >>> fill_prompts("{{ greeting }} {{ value }}", InputRows(["Ada"]), {"greeting": "Hello"})
    ['Hello Ada']
    """
    if raw or "{{" not in template:
        prompts = [template] * len(rows)
    else:
        base = dict(namespace)
        prompts = []
        for number, variables in enumerate(rows.variables()):
            try:
                prompts.append(fill(template, base | variables).text)
            except PromptError as error:
                raise PromptError(f"{rows.name(number)}: {error}", label=error.label) from error
    for number, prompt in enumerate(prompts):
        problem = _problem(prompt)
        if problem:
            raise UserError(f"{rows.name(number)}: {problem}")
    return prompts


def _problem(prompt: str) -> str:
    if not prompt or prompt.isspace():
        return "the prompt is empty."
    if not prompt.isascii():
        try:
            prompt.encode()
        except UnicodeEncodeError:
            return "the prompt contains a lone surrogate: remove it."
    return ""
