"""The answers of a sweep: collected while it runs, and returned as a DataFrame."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.frames.column_types import STRING
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.reproducible import hide_values
from cpsl_notebook.sanitize import clean
from cpsl_notebook.sweeps.input_rows import InputRows
from cpsl_notebook.sweeps.outcomes import ANSWERED, UNKNOWN, Outcome
from cpsl_notebook.sweeps.texts import Texts
from cpsl_notebook.sweeps.variants import Requests

__all__ = ["STATUSES", "Answers", "check_names"]

STATUSES = ["ok", "error", "unparsed", "stopped", "unknown"]
_STOPPED = STATUSES.index("stopped")
_COLUMNS = (
    *("prompt", "reply", "status", "error", "attempts", "first_text_s", "total_s"),
    *("session_id", "request_id"),
)
_VARYING = ("first_text_s", "total_s", "session_id", "request_id")

Form = Literal["json", "table"]


class Answers:
    """The answers by position; answers that are never set are ``stopped``.

    They are stored as columns, because Python objects for each row would need several times the
    memory.

    Parameters
    ----------
    size : int
        The number of requests.
    form : {"json", "table"} or None
        How to parse the replies.

    Attributes
    ----------
    attempts : array of int
        The number of times each request has been sent.
    """

    def __init__(self, size: int, form: Form | None) -> None:
        self._form = form
        self._parsed: list[dict[str, Any] | None] = [None] * size if form else []
        self.attempts = array("q", bytes(8 * size))
        self._status = bytearray([_STOPPED]) * size  # indexes in STATUSES
        self._seconds = {name: array("d", [np.nan]) * size for name in ("first_text_s", "total_s")}
        self._replies, self._errors = Texts(size), Texts(size)
        self._session_ids, self._request_ids = Texts(size), Texts(size)

    def set(self, position: int, outcome: Outcome) -> str:
        """Set the answer of a request and return its status."""
        reply = _reply(outcome)
        text = reply.text
        self._replies[position] = clean(text) if text or outcome.kind == ANSWERED else None
        self.attempts[position] = outcome.attempts
        for name, column in self._seconds.items():
            seconds = getattr(outcome, name)
            column[position] = np.nan if seconds is None else seconds
        self._session_ids[position] = reply.session_id or None
        self._request_ids[position] = reply.request_id or None
        status, error = _status(outcome), outcome.error
        if status == "ok" and self._form:
            try:
                self._parsed[position] = _parse(reply, self._form)
            except UserError as problem:
                status, error = "unparsed", str(problem)
        self._status[position] = STATUSES.index(status)
        self._errors[position] = clean(error) or None
        return status

    def seconds(self) -> list[float]:
        """Return the durations of the known answers."""
        return [seconds for seconds in self._seconds["total_s"] if seconds == seconds]

    def stop(self, position: int, reason: str) -> None:
        """Record the reason why a request was not sent."""
        self._errors[position] = reason

    def stop_rest(self, reason: str) -> None:
        """Record the reason why all other requests were not sent."""
        for position, status in enumerate(self._status):
            if status == _STOPPED and self._errors[position] is None:
                self._errors[position] = reason

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
            The labels of those of ``variant``, ``app`` and ``repeat`` that the sweep varies.
        keep : bool
            Whether to include the columns of the input, before those of the answers.
        prefix : str
            The prefix of the names of the answers' columns.
        """
        size = len(requests)
        columns: dict[str, Any] = {}
        prompts = _strings(requests.prompts)
        inputs, index = rows.frame if keep else None, rows.index
        if requests.per_row > 1:
            shape = (len(rows), len(requests.prompts), len(requests.apps), requests.repeat)
            places = np.unravel_index(np.arange(size), shape) if size else [np.empty(0, int)] * 4
            row, variant = places[:2]
            for name, numbers in zip(("variant", "app", "repeat"), places[1:], strict=True):
                if name in labels:
                    columns[name] = pd.Series(labels[name]).take(numbers).array
            prompts = prompts.take(variant * len(rows) + row)
            inputs, index = inputs.take(row) if inputs is not None else None, index.take(row)
        else:  # a label does not vary
            columns |= {name: pd.Series(values * size).array for name, values in labels.items()}
        columns |= {
            "prompt": prompts,
            "reply": _strings([self._replies]),
            "status": pd.Categorical.from_codes(
                np.frombuffer(self._status, np.int8), pd.Index(STATUSES)
            ),
            "error": _strings([self._errors]),
            "attempts": np.frombuffer(self.attempts, np.int64),
            **{name: _floats(values) for name, values in self._seconds.items()},
            "session_id": _strings([self._session_ids]),
            "request_id": _strings([self._request_ids]),
        }
        columns = hide_values(columns, *_VARYING)
        taken = {f"{prefix}{name}" for name in columns}
        kept = set() if inputs is None else set(inputs.columns)
        parsed = {
            _free(f"{prefix}{name}", taken | kept, str(self._form)): values
            for name, values in self._parsed_columns().items()
        }
        named = {f"{prefix}{name}": values for name, values in columns.items()}
        answers = pd.DataFrame({**named, **parsed}, index=index, copy=False)
        return answers if inputs is None else pd.concat([inputs, answers], axis=1)

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


def _strings(columns: Iterable[Texts]) -> Any:
    """Return strings as a column, one sequence after the other."""
    arrays = [array for texts in columns for array in texts.arrays()]
    strings = pa.chunked_array(arrays, pa.large_string())
    return strings.to_pandas(types_mapper={pa.large_string(): STRING}.get).array


def _floats(values: Any) -> Any:
    """Return floats as a column in which NaN is a missing value, without a copy."""
    numbers = np.frombuffer(values, np.float64)
    return pd.arrays.FloatingArray(numbers, np.isnan(numbers))


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
        raise UserError(f"The reply contains {len(tables)} tables. Ask the app for exactly one.")
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
    """Return values as a column with missing values; nested and mixed values are kept as objects."""
    kind = pd.api.types.infer_dtype(values, skipna=True)
    dtypes = {"string": "string", "integer": "Int64", "boolean": "boolean"}
    dtypes |= {"floating": "Float64", "mixed-integer-float": "Float64"}
    dtype: Any = dtypes.get(kind, "object")
    try:
        return pd.Series(values, dtype=dtype).array
    except (TypeError, ValueError, OverflowError):  # such as an integer of more than 64 bits
        return pd.Series(values, dtype="object").array
