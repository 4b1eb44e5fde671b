"""From the service's JSON to DataFrames: every field of every record, typed, cents exact.

The service does not publish its field names, so nothing here depends on them: a column's type
follows from the last word of its name where that says it (a time, cents, a kind), else from its
values: the type that most of them have.

===========================================  =====================================================
values                                       column
===========================================  =====================================================
cents, by name (``net_cents``)               ``Int64``; ``1500.0`` and ``"1500"`` are read too
times, by name (``paid_at``, ``created``)    ``datetime64[us, UTC]``, from ISO 8601 or epochs
kinds and states, by name                    ``category``
integers                                     ``Int64``
numbers                                      ``Float64``
booleans                                     ``boolean``
strings that all are full times              ``datetime64[us, UTC]``
other strings                                ``string``
objects                                      flattened, ``payer.email``
anything else, lists among it                as it is, as objects
===========================================  =====================================================

A value that does not fit its column is missing there and kept as it came in a last column,
``_unparsed``: a dict from field to value, missing in rows where all is well. The column is there
only where a value needs it; ``attrs["unparsed"]`` always says how many do. A time without a zone is
in UTC. A column that is named like a time but holds other numbers (``time: 12``) is typed by its
values, unless the name ends in ``at``, ``datetime`` or ``timestamp``.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from cpsl_notebook import earnings as _earnings  # noqa: F401  (adds payments.capsule)
from cpsl_notebook.frames.cells import Fields, by_name
from cpsl_notebook.frames.columns import STRING, categories, last_word, typed
from cpsl_notebook.frames.envelope import batches, records, summary

__all__ = ["UNPARSED", "apps_frame", "earnings_frame", "payments_frame"]

UNPARSED = "_unparsed"
_EMPTY_PAYMENTS = {
    "payment_id": "string",
    "app": "category",
    "paid_at": "datetime64[us, UTC]",
    "payer": "string",
    "kind": "category",
    "currency": "category",
    "gross_cents": "Int64",
    "fee_cents": "Int64",
    "net_cents": "Int64",
    "payout_state": "category",
}


def apps_frame(apps: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a workspace's apps as a table, one row each."""
    if not apps:
        return _typed_empty(dict.fromkeys(("id", "name", "hostname"), "string"), {})
    fields = Fields()
    fields.add(by_name(apps))
    return _table({}, fields, len(apps))


def payments_frame(named: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """Return payments as a table.

    Parameters
    ----------
    named
        Pairs of an app's name and the service's answer for it: a list of records, or an envelope
        that holds one.

    Returns
    -------
    pandas.DataFrame
        One row per record. Without any record, the columns ``payment_id, app, paid_at, payer, kind,
        currency, gross_cents, fee_cents, net_cents, payout_state`` with their types. ``attrs`` has
        ``app``, ``currency`` and ``unparsed`` as strings.

    Raises
    ------
    UserError
        An answer holds no list of records, or says that it is not the whole.

    Examples
    --------
    >>> frame = payments_frame([("support-ops", [{"id": "p1", "amount_cents": 1500}])])
    >>> frame.to_dict("records")
    [{'app': 'support-ops', 'id': 'p1', 'amount_cents': 1500}]
    """
    frame = _frame((app, records(answer, app)) for app, answer in named)
    if not len(frame):
        frame = _typed_empty(_EMPTY_PAYMENTS, frame.attrs)
    return frame


def earnings_frame(named: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """Return earnings summaries as a table, one row per app, on a plain index.

    Parameters
    ----------
    named
        Pairs of an app's name and the service's answer for it.

    Examples
    --------
    >>> earnings_frame([("deal-desk", {"net_cents": 4410})]).to_dict("records")
    [{'app': 'deal-desk', 'net_cents': 4410}]
    """
    return _frame((app, [summary(answer, app)]) for app, answer in named)


def _frame(named: Iterable[tuple[str, list[Any]]]) -> pd.DataFrame:
    """Return the records of apps as one table, with the app of each."""
    fields, lengths = Fields(), list[tuple[str, int]]()
    length = 0
    for app, found in named:
        with _no_collection():
            for start, batch in batches(found):
                fields.add(_without_app(batch, app), length + start)
        lengths.append((app, len(found)))
        length += len(found)
    names = [pa.repeat(pa.scalar(app, pa.large_string()), count) for app, count in lengths]
    column = categories(pa.chunked_array(names, pa.large_string()))
    frame = _table({"app": column}, fields, length)
    frame.attrs["app"] = ", ".join(dict(lengths))
    return frame


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking over every record that is being read: no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _table(given: dict[str, pd.Series[Any]], fields: Fields, length: int) -> pd.DataFrame:
    """Return columns that are there already, and those of the fields; what fits none comes last."""
    columns, unparsed = dict(given), dict[int, dict[str, Any]]()
    for name, cells in fields.columns(taken={*given, UNPARSED}).items():
        columns[name], misfits = typed(name, cells, length)
        for row, value in misfits:
            unparsed.setdefault(row, {})[name] = value
    if unparsed:
        columns[UNPARSED] = pd.Series([unparsed.get(row) for row in range(length)], dtype=object)
    frame = pd.DataFrame(columns, copy=False)
    frame.attrs = {
        "currency": _currencies(frame),
        "unparsed": str(sum(map(len, unparsed.values()))),
    }
    return frame


def _without_app(batch: Mapping[str, Sequence[Any]], app: str) -> Mapping[str, Sequence[Any]]:
    """Take out the field that names the app; a field of that name for something else moves."""
    if "app" not in batch:
        return batch
    rest = {name: values for name, values in batch.items() if name != "app"}
    objects = [value if type(value) is dict else None for value in batch["app"]]
    others = [None if value == app or type(value) is dict else value for value in batch["app"]]
    name = "service.app"
    while name in rest:
        name += "_"
    moved = {"app": objects, name: others}  # the fields of an object have names of their own
    return {
        name: values for name, values in moved.items() if any(v is not None for v in values)
    } | rest


def _currencies(frame: pd.DataFrame) -> str:
    """Return the currencies of the records, as far as a field is called so."""
    named = [name for name in frame.columns if last_word(str(name)) == "currency"]
    found = {str(value) for name in named for value in frame[name].dropna().unique()}
    return ", ".join(sorted(found))


def _typed_empty(types: dict[str, str], attrs: dict[Any, Any]) -> pd.DataFrame:
    """Return a table without rows."""
    columns = {
        name: categories(pa.chunked_array([], pa.large_string()))
        if kind == "category"
        else pd.Series([], dtype=STRING if kind == "string" else kind)
        for name, kind in types.items()
    }
    frame = pd.DataFrame(columns)
    frame.attrs = dict(attrs)
    return frame
