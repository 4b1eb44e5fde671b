"""A sweep from a cell: ``%%capsule APP --each FRAME``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.errors import PromptError, UsageError, did_you_mean
from cpsl_notebook.sweeps.input_rows import InputRows
from cpsl_notebook.sweeps.sweep import sweep

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CONFIRMED_ROWS", "check_each", "sweep_cell"]

_MAX_SHOWN = 60  # characters of an invalid expression in its error message
CONFIRMED_ROWS = 100  # above this number, a cell needs --yes
_FILLED = re.compile(r"""--each(?:\s+|=)["']?(?:\{\{\s*(?P<braces>.+?)\s*\}\}|\$(?P<name>\w+))""")


def check_each(line: str, namespace: Mapping[str, Any]) -> None:
    """Check that ``--each`` names its rows; they must not be inserted into the line as text.

    Parameters
    ----------
    line : str
        The line of the cell magic, before it is filled.
    namespace : mapping of str to object
        The notebook's variables. One that holds a string, such as the name of a table, may be
        inserted.

    Raises
    ------
    UsageError
        The rows are in double braces or follow ``$``.
    """
    found = _FILLED.search(line)
    if found is None:
        return
    expression = found["braces"] or found["name"]
    if not isinstance(namespace.get(expression), str):
        quoted = f'"{expression}"' if re.search(r"\s", expression) else expression
        raise UsageError(
            f"--each takes the name of a variable, not its value. Write --each {quoted}."
        )


def sweep_cell(
    shell: Any, options: argparse.Namespace, cell: str, namespace: Mapping[str, Any]
) -> pd.DataFrame | None:
    """Send the text of a cell for each row of a table.

    Parameters
    ----------
    shell : InteractiveShell
        The shell that gets the variable of ``--out``.
    options : argparse.Namespace
        The options of the cell's line.
    cell : str
        The text of the cell.
    namespace : mapping of str to object
        The notebook's variables.

    Returns
    -------
    pandas.DataFrame or None
        The answers; ``None`` with ``--quiet`` and ``--dry-run``.

    Raises
    ------
    UserError
        The rows do not exist or are too many without ``--yes``, or a prompt cannot be sent.
    """
    for option in ("new", "once"):
        if getattr(options, option):
            raise UsageError(
                f"--{option} cannot be used with --each: each row has its own conversation."
            )
    rows = _rows(options.each, namespace)
    count = len(InputRows(rows))
    if count > CONFIRMED_ROWS and not (options.yes or options.dry_run):
        raise UsageError(
            f"This cell sends {count:,} prompts. Add --yes to send them, or --dry-run to see what "
            "would be sent."
        )
    answers = sweep(
        rows,
        cell.removesuffix("\n"),
        options.app,
        session=options.session or None,
        json=options.form == "json",
        table=options.form == "table",
        stream=options.stream,
        timeout=options.timeout or current_context().settings.timeout,
        store=options.store or None,
        namespace=namespace,
        raw=options.raw,
        progress=not options.quiet,
        dry_run=options.dry_run,
    )
    if answers is not None and options.out:
        shell.push({options.out: answers})
    return None if options.quiet else answers


def _rows(expression: str, namespace: Mapping[str, Any]) -> Any:
    """Return the value of a variable or an expression, such as ``threads.head(10)``."""
    try:
        rows = eval(expression, dict(namespace))  # noqa: S307 - the notebook's own code
    except NameError as error:
        hint = did_you_mean(str(error.name), namespace)
        raise PromptError(
            f"--each {expression}: variable {error.name!r} does not exist. {hint}".rstrip(),
            label="NameError",
        ) from error
    except SyntaxError as error:
        raise PromptError(
            f"--each {' '.join(expression.split())[:_MAX_SHOWN]} is not a Python expression. Write a "
            'variable, or an expression in quotes, as in --each "df[df.n > 2]".',
            label="SyntaxError",
        ) from error
    except Exception as error:
        raise PromptError(f"--each {expression}: {error}", label=type(error).__name__) from error
    return list(rows) if isinstance(rows, Iterator) else rows
