"""Apps, payments and earnings as DataFrames."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from cpsl_notebook.frames.cells import Fields, values_by_field
from cpsl_notebook.frames.column_types import STRING, categorical, typed_column
from cpsl_notebook.frames.envelope import find_records, read_batches, unwrap_summary
from cpsl_notebook.frames.evidence import ATTRIBUTE, evidence
from cpsl_notebook.frames.field_names import last_word
from cpsl_notebook.frames.payment_columns import PAYMENT_COLUMNS, UNPARSED
from cpsl_notebook.frames.unparsed import unparsed_column

__all__ = ["apps_frame", "earnings_frame", "payments_frame"]

_APP_COLUMNS = dict.fromkeys(("id", "name", "hostname"), "string")


def apps_frame(apps: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the apps of a workspace as a DataFrame.

    Parameters
    ----------
    apps : list of dict
        The apps as the service lists them.

    Returns
    -------
    pandas.DataFrame
        One row per app, with a column for every field. Without any app, it has the string columns
        ``id``, ``name`` and ``hostname``.

    Examples
    --------
    >>> apps_frame([{"id": "1", "name": "shop"}]).to_dict("records")
    [{'id': '1', 'name': 'shop'}]
    """
    if not apps:
        return _empty_frame(_APP_COLUMNS)
    fields = Fields()
    fields.add(values_by_field(apps))
    return _to_frame({}, fields, len(apps))


def payments_frame(answers: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """Return payments as a DataFrame.

    Parameters
    ----------
    answers : iterable of (str, object)
        Name of an app, and the service's answer for it: a list of records or an envelope around
        one, either decoded or as the bytes of the JSON.

    Returns
    -------
    pandas.DataFrame
        One row per record, with ``app`` and a column for every field, typed as
        `cpsl_notebook.frames` describes. Without any record, it has the columns ``payment_id, app,
        paid_at, payer, kind, currency, gross_cents, fee_cents, net_cents, payout_state``, with
        their types. ``attrs`` has ``app``, ``currency``, ``unparsed`` and ``read`` as strings.

    Raises
    ------
    cpsl_notebook.UserError
        If an answer has no list of records, or says that the list is incomplete.

    Examples
    --------
    >>> frame = payments_frame([("support-ops", [{"id": "p1", "amount_cents": 1500}])])
    >>> frame.to_dict("records")
    [{'app': 'support-ops', 'id': 'p1', 'amount_cents': 1500}]
    """
    frame = _frame_of_apps((app, find_records(answer, app)) for app, answer in answers)
    frame.attrs[ATTRIBUTE] = evidence(frame)
    if not len(frame):
        empty = _empty_frame(PAYMENT_COLUMNS)
        empty.attrs = frame.attrs
        return empty
    return frame


def earnings_frame(answers: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """Return earnings summaries as a DataFrame.

    Parameters
    ----------
    answers : iterable of (str, object)
        Name of an app, and the service's decoded answer for it.

    Returns
    -------
    pandas.DataFrame
        One row per app, with ``app`` and a column for every field, on a default index.

    Raises
    ------
    cpsl_notebook.UserError
        If an answer is not a JSON object.

    Examples
    --------
    >>> earnings_frame([("deal-desk", {"net_cents": 4410})]).to_dict("records")
    [{'app': 'deal-desk', 'net_cents': 4410}]
    """
    return _frame_of_apps((app, [unwrap_summary(answer, app)]) for app, answer in answers)


def _frame_of_apps(answers: Iterable[tuple[str, list[Any]]]) -> pd.DataFrame:
    """Return the records of several apps as one DataFrame with a column ``app``."""
    fields, counts = Fields(), list[tuple[str, int]]()
    length = 0
    for app, records in answers:
        with _garbage_collection_paused():
            for start, batch in read_batches(records):
                fields.add(_without_app(batch, app), length + start)
        counts.append((app, len(records)))
        length += len(records)
    names = [pa.repeat(pa.scalar(app, pa.large_string()), count) for app, count in counts]
    column = categorical(pa.chunked_array(names, pa.large_string()))
    frame = _to_frame({"app": column}, fields, length)
    frame.attrs["app"] = ", ".join(dict(counts))
    return frame


@contextlib.contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause garbage collection: it would visit every decoded record, and none is in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _to_frame(first: dict[str, pd.Series[Any]], fields: Fields, length: int) -> pd.DataFrame:
    """Return a DataFrame of the columns *first*, the fields, and the values that do not fit."""
    columns, unparsed = dict(first), dict[int, dict[str, Any]]()
    for name, cells in fields.columns(reserved={*first, UNPARSED}).items():
        columns[name], misfits = typed_column(name, cells, length)
        for row, value in misfits:
            unparsed.setdefault(row, {})[name] = value
    if unparsed:
        columns[UNPARSED] = unparsed_column(unparsed, length)
    frame = pd.DataFrame(columns, copy=False)
    frame.attrs = {
        "currency": _currencies(frame),
        "unparsed": str(sum(map(len, unparsed.values()))),
    }
    return frame


def _without_app(batch: Mapping[str, Sequence[Any]], app: str) -> Mapping[str, Sequence[Any]]:
    """Drop a field ``app`` that repeats the app's name; rename it if it holds something else."""
    if "app" not in batch:
        return batch
    rest = {name: values for name, values in batch.items() if name != "app"}
    # Objects are kept: they are flattened, so their columns have names such as ``app.id``.
    objects = [value if type(value) is dict else None for value in batch["app"]]
    others = [None if value == app or type(value) is dict else value for value in batch["app"]]
    name = "service.app"
    while name in rest:
        name += "_"
    kept = {"app": objects, name: others}
    return {
        name: values for name, values in kept.items() if any(v is not None for v in values)
    } | rest


def _currencies(frame: pd.DataFrame) -> str:
    """Return the currencies in columns whose name ends in "currency", separated by commas."""
    columns = [name for name in frame.columns if last_word(name) == "currency"]
    found = {str(value) for name in columns for value in frame[name].dropna().unique()}
    return ", ".join(sorted(found))


def _empty_frame(types: Mapping[str, str]) -> pd.DataFrame:
    """Return a DataFrame without rows."""
    columns = {
        name: categorical(pa.chunked_array([], pa.large_string()))
        if dtype == "category"
        else pd.Series([], dtype=STRING if dtype == "string" else dtype)
        for name, dtype in types.items()
    }
    return pd.DataFrame(columns)
