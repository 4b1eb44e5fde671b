"""Output of the commands: tables, CSV, JSON and notes, without characters that control a terminal."""

# ruff: noqa: T201 - printing is the purpose of this module

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import logging
import shutil
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any

from cpsl.sanitize import clean, escape_json, one_line

__all__ = [
    "can_encode",
    "flatten",
    "notes_on_stderr",
    "print_csv",
    "print_json",
    "print_note",
    "print_pairs",
    "print_table",
]

_MAX_CELL = 40  # characters, on a terminal
_GAP = "  "


def print_note(text: str) -> None:
    """Print a message as one line on standard error, unless that is closed or full."""
    with contextlib.suppress(OSError, ValueError):
        print(f"cpsl: {one_line(text)}", file=sys.stderr, flush=True)


class _Notes(logging.Handler):
    """Prints log records as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        print_note(record.getMessage())


@contextlib.contextmanager
def notes_on_stderr(*, verbose: bool) -> Iterator[None]:
    """Print warnings as notes within the block, and with `verbose` the retries too."""
    log, notes = logging.getLogger("cpsl"), _Notes()
    level = log.level
    log.addHandler(notes)
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)  # whatever PYTHONWARNINGS says
            warnings.showwarning = lambda message, *_, **__: print_note(f"warning: {message}")
            yield
    finally:
        log.removeHandler(notes)
        log.setLevel(level)


def flatten(record: Any) -> dict[str, Any]:
    """Flatten nested objects: ``{"payer": {"email": …}}`` becomes ``{"payer.email": …}``.

    A duplicate name gets a trailing underscore, so that no field is lost.
    """
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                add(f"{name}.{key}" if name else key, inner)
            return
        while name in flat:
            name += "_"
        flat[name] = value

    add("", record if isinstance(record, dict) else {"value": record})
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _names(records: list[dict[str, Any]]) -> list[str]:
    """Return the fields of all records in the order of their first appearance."""
    return list(dict.fromkeys(name for record in records for name in record))


def print_csv(records: list[dict[str, Any]]) -> None:
    """Print records as CSV, with a column for every field of any record."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = _names(records)
    if names:
        writer.writerow(map(clean, names))
    for record in records:
        writer.writerow(_cell(record.get(name)) for name in names)


def print_table(records: list[dict[str, Any]], what: str) -> None:
    """Print records in aligned columns; on a terminal, the first columns that fit.

    Parameters
    ----------
    records : list of dict
        The rows.
    what : str
        What the rows are, in the plural, for the note on an empty table.
    """
    if not records:
        print_note(f"There are no {what}.")
        return
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    columns = [
        _column(name, [record.get(name) for record in records], truncate=room is not None)
        for name in _names(records)
    ]
    shown = columns if room is None else columns[: _count_fitting(columns, room)]
    for row in zip(*shown, strict=True):
        print(_GAP.join(row).rstrip())
    if len(shown) < len(columns):
        print_note(
            f"{len(columns) - len(shown)} of {len(columns)} columns do not fit: redirect the output "
            "to a file or a pipe to get all of them."
        )


def _count_fitting(columns: list[list[str]], room: int) -> int:
    """Return how many of the first columns fit, at least one."""
    widths = (_width(column[0]) + len(_GAP) for column in columns)
    return max(1, sum(end - len(_GAP) <= room for end in itertools.accumulate(widths)))


def _column(name: str, values: list[Any], *, truncate: bool = False) -> list[str]:
    """Return a header and cells of equal width; numbers are aligned to the right."""
    cells = [one_line(cell) for cell in (name, *map(_cell, values))]
    if truncate:
        cells = [c if len(c) <= _MAX_CELL else c[: _MAX_CELL - 1] + "…" for c in cells]
    width = max(map(_width, cells))
    gaps = [" " * (width - _width(cell)) for cell in cells]
    types = {type(value) for value in values if value is not None}
    right = bool(types) and types <= {int, float}
    return [gap + cell if right else cell + gap for gap, cell in zip(gaps, cells, strict=True)]


def _width(text: str) -> int:
    """Return the width of a text in terminal columns."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def print_pairs(pairs: dict[str, Any]) -> None:
    """Print names and values, one pair per line."""
    names = _column("", list(pairs))[1:]
    for name, value in zip(names, pairs.values(), strict=True):
        print(f"{name}{_GAP}{one_line(_cell(value))}".rstrip())


def print_json(value: Any) -> None:
    """Print JSON with the exact values; characters that control a terminal are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=not can_encode("é😀"))
    print(escape_json(text))


def can_encode(text: str) -> bool:
    """Return whether standard output can encode these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
