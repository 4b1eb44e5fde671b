"""The answers of a sweep: collected while it runs, and returned as a DataFrame."""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pandas as pd

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.reproducible import hide_values
from cpsl_notebook.sanitize import clean
from cpsl_notebook.sweeps.input_rows import InputRows
from cpsl_notebook.sweeps.outcomes import ANSWERED, UNKNOWN, Outcome
from cpsl_notebook.sweeps.variants import Requests

__all__ = ["STATUSES", "Answers", "check_names"]

STATUSES = ["ok", "error", "unparsed", "stopped", "unknown"]
_COLUMNS: dict[str, Any] = {
    "prompt": "string",
    "reply": "string",
    "status": pd.CategoricalDtype(STATUSES),
    "error": "string",
    "attempts": "int64",
    "first_text_s": "Float64",
    "total_s": "Float64",
    "session_id": "string",
    "request_id": "string",
}
_VARYING = ("first_text_s", "total_s", "session_id", "request_id")

Form = Literal["json", "table"]


class Answers:
    """The answers by position; those that are never set are ``stopped``.

    Parameters
    ----------
    size : int
        The number of requests.
    form : {"json", "table"} or None
        How to parse the replies.

    Attributes
    ----------
    attempts : array of int
        How many times each request has been sent.
    """

    def __init__(self, size: int, form: Form | None) -> None:
        self._form = form
        self._parsed: list[dict[str, Any] | None] = [None] * size if form else []
        self.attempts = array("q", bytes(8 * size))
        self._columns: dict[str, MutableSequence[Any]] = {
            "reply": [None] * size,
            "status": ["stopped"] * size,
            "error": [None] * size,
            "first_text_s": array("d", [np.nan]) * size,
            "total_s": array("d", [np.nan]) * size,
            "session_id": [None] * size,
            "request_id": [None] * size,
        }

    def set(self, position: int, outcome: Outcome) -> str:
        """Set the answer of a request and return its status."""
        reply = _reply(outcome)
        columns = self._columns
        text = reply.text
        columns["reply"][position] = clean(text) if text or outcome.kind == ANSWERED else None
        self.attempts[position] = outcome.attempts
        for name in ("first_text_s", "total_s"):
            seconds = getattr(outcome, name)
            columns[name][position] = np.nan if seconds is None else seconds
        columns["session_id"][position] = reply.session_id or None
        columns["request_id"][position] = reply.request_id or None
        status, error = _status(outcome), outcome.error
        if status == "ok" and self._form:
            try:
                self._parsed[position] = _parse(reply, self._form)
            except UserError as problem:
                status, error = "unparsed", str(problem)
        columns["status"][position] = status
        columns["error"][position] = clean(error) or None
        return status

    def seconds(self) -> list[float]:
        """Return how long the known answers took."""
        return [seconds for seconds in self._columns["total_s"] if seconds == seconds]

    def stop(self, position: int, reason: str) -> None:
        """Record why a request was not sent."""
        self._columns["error"][position] = reason

    def stop_rest(self, reason: str) -> None:
        """Record why all other requests were not sent."""
        errors = self._columns["error"]
        for position, status in enumerate(self._columns["status"]):
            if status == "stopped" and errors[position] is None:
                errors[position] = reason

    def can_parse(self, outcome: Outcome) -> bool:
        """Return whether an answer has the requested format."""
        try:
            return not self._form or _parse(_reply(outcome), self._form) is not None
        except UserError:
            return False

    def frame(
        self,
        rows: InputRows,
        requests: Requests,
        labels: dict[str, list[Any]],
        *,
        keep: bool,
        prefix: str,
    ) -> pd.DataFrame:
        """Return the answers in the order of the input; called once, at the end.

        Parameters
        ----------
        rows : InputRows
            The input.
        requests : Requests
            What was sent.
        labels : dict
            The labels of ``variant``, ``app`` and ``repeat``, for those that the sweep varies.
        keep : bool
            Whether to put the columns of the input in front.
        prefix : str
            What to put in front of the names of the answers' columns.
        """
        size = len(requests)
        row, *numbers = (
            np.unravel_index(
                np.arange(size),
                (len(rows), len(requests.prompts), len(requests.apps), requests.repeat),
            )
            if size
            else [np.empty(0, int)] * 4
        )
        index = rows.frame.index.take(row)
        columns: dict[str, Any] = {}
        for name, places in zip(("variant", "app", "repeat"), numbers, strict=True):
            if name in labels:
                columns[name] = pd.Series(labels[name]).take(places).array
        self._columns["attempts"] = self.attempts
        self._columns["prompt"] = [requests.prompt(position) for position in range(size)]
        for name, dtype in _COLUMNS.items():
            # Taken out, so that no more than one column is in memory twice.
            columns[name] = pd.Series(self._columns.pop(name), dtype=dtype).array
        taken = {f"{prefix}{name}" for name in columns}
        kept = rows.frame.take(row) if keep else pd.DataFrame(index=index)
        parsed = {
            _free(f"{prefix}{name}", taken | set(kept.columns), str(self._form)): values
            for name, values in self._parsed_columns().items()
        }
        named = {f"{prefix}{name}": values for name, values in columns.items()}
        answers = pd.DataFrame({**named, **parsed}, index=index)
        answers = hide_values(answers, *(f"{prefix}{name}" for name in _VARYING))
        return pd.concat([kept, answers], axis=1) if keep else answers

    def _parsed_columns(self) -> dict[str, Any]:
        """Return the parsed answers as columns; a table of several rows becomes lists."""
        found = self._parsed
        if self._form == "table":
            lengths = {len(cells) for row in found if row for cells in row.values()}
            if lengths == {1}:
                found = [row and {name: cells[0] for name, cells in row.items()} for row in found]
        names = dict.fromkeys(name for row in found if row for name in row)
        return {name: _typed([row.get(name) if row else None for row in found]) for name in names}


def check_names(rows: InputRows, labels: dict[str, Any], prefix: str) -> None:
    """Check that the columns of the answers can be joined to those of the input.

    Raises
    ------
    UsageError
        A name would occur twice.
    """
    clashing = [name for name in (*labels, *_COLUMNS) if f"{prefix}{name}" in rows.frame.columns]
    if clashing:
        names = ", ".join(f"{prefix}{name}" for name in clashing)
        raise UsageError(
            f"The input already has a column {names}: pass prefix= to rename the columns of the "
            "answers, such as prefix='answer_'."
        )


def _reply(outcome: Outcome) -> Reply:
    reply = Reply(app="", prompt="")
    if "whole" in outcome.payload:
        reply.add_response(SimpleNamespace(**outcome.payload["whole"]))
    for _, data in outcome.payload.get("events", ()):
        reply.add_event(data)
    return reply


def _status(outcome: Outcome) -> str:
    if outcome.kind == ANSWERED:
        return "ok"
    return "unknown" if outcome.kind == UNKNOWN else "error"


def _parse(reply: Reply, form: Form) -> dict[str, Any]:
    """Return the columns of an answer: the keys of a JSON object, or those of a table with lists.

    Raises
    ------
    UserError
        The reply is not JSON, or does not contain exactly one table.
    """
    if form == "json":
        value = reply.json()
        return value if isinstance(value, dict) else {"value": value}
    tables = reply.tables
    if len(tables) != 1:
        raise UserError(f"The reply contains {len(tables)} tables. Ask for exactly one.")
    (table,) = tables
    columns: dict[str, Any] = {}
    for place, name in enumerate(table.columns):
        columns[_free(str(name), set(columns), "2")] = table.iloc[:, place].tolist()
    return columns


def _free(name: str, taken: set[Any], suffix: str) -> str:
    while name in taken:
        name = f"{name}_{suffix}"
    return name


def _typed(values: list[Any]) -> Any:
    """Return values as a column with missing values; nested and mixed ones stay as objects."""
    kind = pd.api.types.infer_dtype(values, skipna=True)
    dtypes = {"string": "string", "integer": "Int64", "boolean": "boolean"}
    dtypes |= {"floating": "Float64", "mixed-integer-float": "Float64"}
    dtype: Any = dtypes.get(kind, "object")
    try:
        return pd.Series(values, dtype=dtype).array
    except (TypeError, ValueError, OverflowError):  # for example, an integer of more than 64 bits
        return pd.Series(values, dtype="object").array
