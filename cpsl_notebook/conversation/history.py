"""``%capsule history --save``: the turns of a kernel as a file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cpsl_notebook.errors import UserError
from cpsl_notebook.reply.markdown import closed

__all__ = ["save"]


def save(frame: pd.DataFrame, name: str, *, force: bool = False) -> Path:
    """Write a history to a file, in the way that the name's ending says.

    Parameters
    ----------
    frame
        What `history_frame` returns.
    name
        A path that ends in ``.jsonl`` (a JSON object a turn), ``.parquet`` or ``.md``.
    force
        Replace a file that is there.

    Raises
    ------
    UserError
        The ending is another, the file is there, or it cannot be written.
    """
    path = Path(name).expanduser()
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"{path.name}: end it in {', '.join(_WRITERS)}, to say what to write.")
    scratch = path.with_name(f".{os.getpid()}.part")
    try:
        if path.exists() and not force:
            raise UserError(f"{path} is there already: name another, or --force replaces it.")
        writer(frame, scratch)
        scratch.replace(path)  # in one step: what was there is not lost where writing fails
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def _write_lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(
        path, orient="records", lines=True, date_format="iso", date_unit="us", force_ascii=False
    )


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _write_markdown(frame: pd.DataFrame, path: Path) -> None:
    turns = [_turn(row) for row in frame.to_dict("records")]
    path.write_text("\n\n".join(["# What was asked and answered", *turns]) + "\n", "utf-8")


def _turn(row: dict[Any, Any]) -> str:
    at = row["sent_at"].strftime("%Y-%m-%d %H:%M UTC")
    conversation = f", conversation {row['conversation']}" if row["conversation"] else ""
    ending = "" if row["status"] == "complete" else f" ({row['status']})"
    head = f"## {row['app']}{conversation}, turn {row['turn']}{ending}\n\n{at}"
    return f"{head}\n\n{_fenced(row['prompt'])}\n\n{closed(row['reply'].strip())}"


def _fenced(text: str) -> str:
    """Return a text in a fence that is longer than any in it."""
    longest = max([2, *(len(run) for run in re.findall("`+", text))])
    return f"{'`' * (longest + 1)}text\n{text}\n{'`' * (longest + 1)}"


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".jsonl": _write_lines,
    ".parquet": _write_parquet,
    ".md": _write_markdown,
}
