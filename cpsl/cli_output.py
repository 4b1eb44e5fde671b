"""What the commands print: tables, CSV, JSON, notes; nothing in it can disturb a terminal."""

# ruff: noqa: T201 - printing is what this module is for

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import unicodedata
from typing import Any

from cpsl.sanitize import clean, escape_json, one_line

__all__ = [
    "can_show",
    "flat",
    "note",
    "show_csv",
    "show_json",
    "show_pairs",
    "show_table",
]

_WIDEST_CELL = 40  # columns, on a terminal
_ID = re.compile(r"(?:^|[._])id$|[a-z]Id$")
_TELLING = re.compile("payer|customer|email|kind|type|state|status")  # who paid, and for what


def note(text: str) -> None:
    """Say something on standard error, on a line of its own."""
    print(f"cpsl: {one_line(text)}", file=sys.stderr, flush=True)


def flat(record: Any) -> dict[str, Any]:
    """Flatten nested objects, ``{"payer": {"email": …}}`` to ``payer.email``; no field is lost."""
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                add(f"{name}.{key}" if name else key, inner)
            return
        while name in flat:  # a field whose own name has a dot
            name += "_"
        flat[name] = value

    add("", record if isinstance(record, dict) else {"value": record})
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _columns(records: list[dict[str, Any]]) -> list[str]:
    """Return the fields of all records, each once, in the order in which they first appear."""
    return list(dict.fromkeys(name for record in records for name in record))


def show_csv(records: list[dict[str, Any]]) -> None:
    """Print records as CSV, with a column for every field of any of them."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = _columns(records)
    if columns:
        writer.writerow(map(clean, columns))
    for record in records:
        writer.writerow(_cell(record.get(name)) for name in columns)


def show_table(records: list[dict[str, Any]], what: str) -> None:
    """Show records in aligned columns; on a terminal, as many columns as fit."""
    if not records:
        note(f"There are no {what}.")
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    values = {name: [record.get(name) for record in records] for name in _columns(records)}
    columns = {name: _column(name, values[name], room) for name in values}
    hidden = _too_many(values, {name: len(column[0]) for name, column in columns.items()}, room)
    for row in zip(*(columns[name] for name in columns if name not in hidden), strict=True):
        print("  ".join(row).rstrip())
    if hidden:
        note(f"Not shown, for lack of room (a pipe or a file has all): {', '.join(hidden)}.")


def _too_many(values: dict[str, list[Any]], widths: dict[str, int], room: int | None) -> list[str]:
    """Return the columns to leave out, those that say least, until all fits."""
    kept = list(values)
    numbers = [name for name in kept if _is_number(values[name])]

    def dispensable(name: str) -> int:
        if _ID.search(name):
            return 5
        differ = any(value != values[name][0] for value in values[name])
        if name in numbers:  # the first is the amount paid; of the others, the last says most
            return 2 if name != numbers[0] else 0
        if _TELLING.search(name) and (differ or values[name][0] is not None):
            return 1
        return 3 if differ or len(values[name]) == 1 else 4

    ranks = {name: dispensable(name) for name in kept}
    while room and len(kept) > 1 and sum(widths[name] + 2 for name in kept) - 2 > room:
        most = max(ranks[name] for name in kept)
        found = [name for name in kept if ranks[name] == most]
        kept.remove(found[0 if most == 2 else -1])
    return [name for name in values if name not in kept]


def _column(name: str, values: list[Any], room: int | None) -> list[str]:
    """Return a column's header and cells, padded to one width; numbers to the right."""
    cells = [one_line(cell) for cell in (name, *map(_cell, values))]
    if room:
        cells = [c if len(c) <= _WIDEST_CELL else c[: _WIDEST_CELL - 1] + "…" for c in cells]
    width = max(map(_width, cells))
    number = _is_number(values)
    gaps = [" " * (width - _width(cell)) for cell in cells]
    return [gap + cell if number else cell + gap for gap, cell in zip(gaps, cells, strict=True)]


def _is_number(values: list[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds) and kinds <= {int, float}


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def show_pairs(pairs: dict[str, Any]) -> None:
    """Print names and values, a line each."""
    names = _column("", list(pairs), None)[1:]
    for name, value in zip(names, pairs.values(), strict=True):
        print(f"{name}  {one_line(_cell(value))}".rstrip())


def show_json(value: Any) -> None:
    """Print JSON, exactly; what could disturb a terminal is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=not can_show("é😀"))
    print(escape_json(text))


def can_show(text: str) -> bool:
    """Say whether standard output has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
