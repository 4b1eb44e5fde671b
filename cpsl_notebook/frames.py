"""From the service's JSON to DataFrames: every field of every record, typed, cents exact.

The service does not publish its field names, so nothing here depends on them: a column's type
follows from its values, and where those leave it open (is this string a time? a kind?) from the
last word of its name.

===========================================  =====================================================
values                                       column
===========================================  =====================================================
integers                                     ``Int64``; beyond 64 bits Python's own, as objects
the same as ``1500.0`` or ``"1500"``         ``Int64``, where the name ends in cents
numbers                                      ``Float64``
booleans                                     ``boolean``
times, by name (``paid_at``, ``created``)    ``datetime64[us, UTC]``, from ISO 8601 or epochs
kinds and states, by name                    ``category``
other strings                                ``string``
objects                                      flattened, ``payer.email``
anything else, lists among it                as it is, as objects
===========================================  =====================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pyarrow as pa

from cpsl_notebook.errors import UserError

__all__ = ["apps_frame", "earnings_frame", "payments_frame"]

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
_TIME_WORDS = {"at", "date", "datetime", "time", "timestamp", "created", "updated", "on"}
_CATEGORY_WORDS = {"app", "currency", "interval", "kind", "mode", "state", "status", "type"}
_MORE_WORDS = {"hasmore", "more", "next", "cursor"} | {
    f"next{what}" for what in ("cursor", "page", "pagetoken", "token", "url", "link")
}
_COUNT_WORDS = {"total", "totalcount", "totalresults", "count"}
_TROUBLES = {"error", "errors", "warnings"}  # lists in an envelope that are no records
_PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}
_EPOCH_UNITS = {1: 1_000_000, 1_000: 1_000, 1_000_000: 1}  # a second in units -> a unit in µs
_FIRST_EPOCH, _LAST_EPOCH = 946_684_800, 4_102_444_800  # the years 2000 and 2100, in seconds


def apps_frame(apps: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a workspace's apps as a table, one row each."""
    columns = _columns([_flat(app) for app in apps]) or {"id": [], "name": [], "hostname": []}
    return pd.DataFrame({name: _strings(values) for name, values in columns.items()})


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
        currency, gross_cents, fee_cents, net_cents, payout_state`` with their types.

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
    rows = [_with_app(app, record) for app, answer in named for record in _records(answer, app)]
    if not rows:
        return pd.DataFrame(
            {name: pd.Series([], dtype=dtype) for name, dtype in _EMPTY_PAYMENTS.items()}
        )
    return _frame(rows)


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
    rows = [_with_app(app, _summary(answer, app)) for app, answer in named]
    return _frame(rows) if rows else pd.DataFrame({"app": pd.Series([], dtype="category")})


def _records(answer: Any, app: str) -> list[Any]:
    """Find the list of records in an answer: the answer itself, or in an envelope around it."""
    records = _find_records(answer)
    if records is None:
        raise UserError(f"The payments of {app} came without a list of them: check the gateway.")
    if isinstance(answer, dict) and _says_more(answer, len(records)):
        raise UserError(
            f"The service gave only a part of the payments of {app}, and says that there are more: "
            "a partial ledger is not shown."
        )
    return records


def _find_records(answer: Any) -> list[Any] | None:
    """Find the one list of objects; ``None`` where there is none, or a choice of them."""
    if isinstance(answer, list):
        return answer
    if not isinstance(answer, dict):
        return None
    if "payments" in answer and not isinstance(answer["payments"], dict):
        return answer["payments"] or []
    fields = {key: value for key, value in answer.items() if key not in _TROUBLES}
    lists = [value for value in fields.values() if _holds_objects(value)]
    objects = [value for key, value in fields.items() if isinstance(value, dict)]
    if len(lists) == 1:
        return lists[0]  # type: ignore[no-any-return]
    if not lists and len(objects) == 1:
        return _find_records(objects[0])
    return [] if not fields and not answer else None


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _says_more(answer: dict[str, Any], count: int) -> bool:
    """Say whether an envelope, or an object within it, tells of records that did not come."""
    for key, value in answer.items():
        word = re.sub(r"[^a-z]", "", key.lower())
        if word in _MORE_WORDS and value:
            return True
        if word in _COUNT_WORDS and type(value) is int and value > count:
            return True
        if isinstance(value, dict) and _says_more(value, count):
            return True
    return False


def _summary(answer: Any, app: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise UserError(f"The earnings of {app} are no JSON object: check the gateway's address.")
    values = list(answer.values())
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else answer


def _with_app(app: str, record: Any) -> dict[str, Any]:
    """Flatten a record and add the app; a field of that name with another value steps aside."""
    fields = _flat(record if isinstance(record, dict) else {"value": record})
    given = fields.pop("app", app)
    if given != app:
        fields["service.app"] = given
    return {"app": app, **fields}


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested objects into fields with dots; two fields of one name keep both values."""
    fields: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        inner = _flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
        for field, inner_value in inner.items():
            while field in fields:
                field += "_"
            fields[field] = inner_value
    return fields


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns, from the union of all their fields in order of appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    # An object that is empty in one record and has fields in another is no column of its own.
    parents = {name.rpartition(".")[0] for name in names}
    return {
        name: values
        for name, values in columns.items()
        if name not in parents or any(value not in ({}, None) for value in values)
    }


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = _columns(rows)
    return pd.DataFrame({name: _typed(name, values) for name, values in columns.items()})


def _typed(name: str, values: list[Any]) -> pd.Series[Any]:
    """Return the values as a column of the type that fits all of them."""
    kinds = set(map(type, values)) - {type(None)}
    try:
        return _converter(name, kinds)(values)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        return pd.Series(values, dtype=object)  # exactly what came


def _converter(name: str, kinds: set[type]) -> Callable[[list[Any]], pd.Series[Any]]:
    word = _last_word(name)
    if not kinds:
        return _by_name(name, word)
    if word == "cents" and kinds <= {int, float, str}:
        return lambda values: _integers([_cents(value) for value in values])
    if word in _TIME_WORDS and kinds <= {int, float}:
        return _epochs
    if kinds == {int}:
        return _integers
    if kinds <= {int, float}:
        return _floats
    if kinds == {bool}:
        return _booleans
    if kinds == {str}:
        return _by_name(name, word)
    return lambda values: pd.Series(values, dtype=object)


def _by_name(name: str, word: str) -> Callable[[list[Any]], pd.Series[Any]]:
    """Choose for strings, and for columns with nothing in them."""
    if word in _TIME_WORDS:
        return _times
    if word == "cents":
        return _integers
    return _categories if word in _CATEGORY_WORDS else _strings


def _last_word(name: str) -> str:
    """Return the last word of a name: that of ``paid_at``, ``paidAt`` and ``paid.at`` is "at"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return words[-1].lower() if words else ""


def _cents(value: Any) -> int | None:
    """Read an amount of cents; only a whole number is one."""
    if value is None:
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?\d+", value):
        raise ValueError(value)
    if int(value) != (value if isinstance(value, float) else int(value)):
        raise ValueError(value)
    return int(value)


def _integers(values: list[Any]) -> pd.Series[Any]:
    return _from_arrow(values, pa.int64())


def _floats(values: list[Any]) -> pd.Series[Any]:
    return _from_arrow(values, pa.float64())


def _booleans(values: list[Any]) -> pd.Series[Any]:
    return _from_arrow(values, pa.bool_())


def _strings(values: list[Any]) -> pd.Series[Any]:
    return _from_arrow(values, pa.string())


def _categories(values: list[Any]) -> pd.Series[Any]:
    return pd.Series(values, dtype="category")


def _times(values: list[Any]) -> pd.Series[Any]:
    # pandas would also read "", "now" and "today".
    if not all(value is None or re.match(r"\d{4}-\d\d-\d\d", value) for value in values):
        raise ValueError("not ISO 8601")
    times = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
    return times.astype("datetime64[us, UTC]")


def _epochs(values: list[Any]) -> pd.Series[Any]:
    """Read seconds, milliseconds or microseconds, each by its size; other numbers stay numbers."""
    micros = [None if value is None else _microseconds(value) for value in values]
    if any(
        micro is None and value is not None for micro, value in zip(micros, values, strict=True)
    ):
        return _floats(values) if float in map(type, values) else _integers(values)
    return _from_arrow(micros, pa.timestamp("us", tz="UTC"))


def _microseconds(value: float) -> int | None:
    """Return an epoch in microseconds; ``None`` for what is none of the years 2000 to 2100."""
    for second, factor in _EPOCH_UNITS.items():
        if _FIRST_EPOCH <= value / second < _LAST_EPOCH:
            return round(value * factor)
    return None


def _from_arrow(values: list[Any], kind: pa.DataType) -> pd.Series[Any]:
    """Convert through an Arrow array: unlike pandas, it never makes a float of an integer."""
    converted: pd.Series[Any] = pa.array(values, kind).to_pandas(types_mapper=_PANDAS_TYPES.get)
    return converted
