"""``%capsule history``: the turns of this kernel as a table, and saving them to a file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.errors import UserError
from cpsl_notebook.files import replacing
from cpsl_notebook.reply.markdown import close_fence
from cpsl_notebook.reproducible import hide_values
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["history_frame", "save_history"]

_DTYPES = {
    "sent_at": "datetime64[us, UTC]",
    "app": "category",
    "prompt": "string",
    "reply": "string",
    "status": "category",
    "total_s": "Float64",
    "first_chunk_s": "Float64",
    "conversation": "string",
    "turn": "Int64",
    "template": "string",
    "cell_id": "string",
    "execution_count": "Int64",
    "session_id": "string",
    "request_id": "string",
}
_VARYING = ("sent_at", "total_s", "first_chunk_s", "cell_id", "session_id", "request_id")


def history_frame(replies: list[Reply]) -> pd.DataFrame:
    """Return prompts and replies as a table.

    Parameters
    ----------
    replies : list of Reply
        The replies, oldest first.

    Returns
    -------
    pandas.DataFrame
        One row per turn, with the columns

        - ``sent_at`` (``datetime64[us, UTC]``), ``app`` (``category``), ``prompt`` (``string``),
        - ``reply`` (``string``, without escape sequences and control characters),
        - ``status`` (``category``),
        - ``total_s`` and ``first_chunk_s`` (``Float64``, seconds until the end and until the first
          text or block),
        - ``conversation`` (``string``), ``turn`` (``Int64``),
        - ``template`` (``string``; the prompt before its ``{{ }}`` placeholders were filled),
        - ``cell_id`` (``string``), ``execution_count`` (``Int64``),
        - ``session_id`` and ``request_id`` (``string``).

        If outputs are reproducible, times and ids are missing.
    """
    # The reply is cleaned, because a terminal prints the texts of a table unchanged.
    rows = [vars(reply) | {"reply": clean(reply.text)} for reply in replies]
    columns = {
        name: pd.Series([row[name] for row in rows], dtype=dtype) for name, dtype in _DTYPES.items()
    }
    return pd.DataFrame(hide_values(columns, *_VARYING))


def save_history(frame: pd.DataFrame, name: str, *, force: bool = False) -> Path:
    """Write a history to a file whose format is given by its extension.

    Parameters
    ----------
    frame : pandas.DataFrame
        What `history_frame` returns.
    name : str
        A path that ends in ``.jsonl`` (one JSON object per turn), ``.parquet`` or ``.md``.
    force : bool
        Whether to replace an existing file.

    Returns
    -------
    pathlib.Path
        The path of the file.

    Raises
    ------
    UserError
        The extension is unknown, the file exists, or it cannot be written.
    """
    path = Path(name)
    with contextlib.suppress(RuntimeError):  # the user of ~user does not exist
        path = path.expanduser()
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        *others, last = _WRITERS
        raise UserError(
            f"Cannot save {name!r}: use a name that ends in {', '.join(others)} or {last}."
        )
    exists = UserError(f"{path} already exists. Use another name, or replace it with --force.")
    try:
        if path.exists() and not force:  # checked now, because formatting may take a while
            raise exists
        with replacing(path, overwrite=force) as scratch:
            write(frame, scratch)
    except FileExistsError:
        raise exists from None
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Choose another file or folder."
        ) from None
    return path


def _write_json_lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(
        path, orient="records", lines=True, date_format="iso", date_unit="us", force_ascii=False
    )


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _write_markdown(frame: pd.DataFrame, path: Path) -> None:
    turns = [_turn(row) for row in frame.to_dict("records")]
    path.write_text("\n\n".join(["# Prompts and replies", *turns]) + "\n", "utf-8")


def _turn(row: dict[Any, Any]) -> str:
    sent_at = "" if pd.isna(row["sent_at"]) else row["sent_at"].strftime("\n\n%Y-%m-%d %H:%M UTC")
    conversation = f", conversation {row['conversation']}" if row["conversation"] else ""
    status = "" if row["status"] == "complete" else f" ({row['status']})"
    heading = f"## {row['app']}{conversation}, turn {row['turn']}{status}{sent_at}"
    return f"{heading}\n\n{_fenced(row['prompt'])}\n\n{close_fence(row['reply'].strip())}"


def _fenced(text: str) -> str:
    """Return a text in a code fence that is longer than any fence in it."""
    longest = max([2, *(len(run) for run in re.findall("`+", text))])
    return f"{'`' * (longest + 1)}text\n{text}\n{'`' * (longest + 1)}"


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
    ".md": _write_markdown,
}
