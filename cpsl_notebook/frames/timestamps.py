"""Times in any form, to microseconds in UTC."""

from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["TIMESTAMP", "cast_each", "from_numbers", "from_strings", "is_full_time"]

TIMESTAMP = pa.timestamp("us", tz="UTC")

_NOTHING = pa.scalar("", pa.large_string())
_ISO = (
    r"^\d{4}-\d\d-\d\d"
    r"(?:[Tt ]\d\d(?::\d\d(?::\d\d(?:[.,]\d+)?)?)?(?: ?(?:[Zz]|[+-]\d\d(?::?\d\d)?))?)?$"
)
_USUAL = (
    r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)$"  # as Arrow reads it
)
_ZONE = r"[T ]\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
_FULL_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d"
_DIGITS = r"^\d{9,16}(?:\.\d+)?$"
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 and 9999, in µs
_EPOCH_UNITS = (1, 1_000, 1_000_000)  # of a second
_FIRST_EPOCH, _LAST_EPOCH = 946_684_800, 4_102_444_800  # the years 2000 and 2100, in seconds


def from_strings(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read ISO 8601, with or without a zone (then it is UTC), a date alone, or an epoch in digits.

    Parameters
    ----------
    values
        Large strings.

    Returns
    -------
    pyarrow.ChunkedArray
        Timestamps; null where a string is no time.

    Examples
    --------
    >>> texts = ["2025-10-31", "2025-10-31T23:59:59.5+02:00", "soon"]
    >>> texts = pa.chunked_array([texts], pa.large_string())
    >>> [str(time) for time in from_strings(texts)]
    ['2025-10-31 00:00:00+00:00', '2025-10-31 21:59:59.500000+00:00', 'None']
    """
    with contextlib.suppress(pa.ArrowInvalid):
        return _within(values.cast(TIMESTAMP))  # all in the one form that Arrow reads
    times = _within(cast_each(_canonical(values), TIMESTAMP))
    digits = pc.if_else(pc.match_substring_regex(values, _DIGITS), values, None)
    if digits.null_count == len(digits):
        return times
    return pc.coalesce(times, from_numbers(digits.cast(pa.float64())))


def from_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read epochs in seconds, milliseconds or microseconds, each by its size.

    Parameters
    ----------
    values
        Numbers as floats, which hold every microsecond of these years exactly.

    Returns
    -------
    pyarrow.ChunkedArray
        Timestamps; null where a number is none of the years 2000 to 2100 in any unit.
    """
    numbers = values.to_numpy(zero_copy_only=False)
    micros = np.zeros(len(numbers), "int64")
    known = np.zeros(len(numbers), "bool")
    for unit in _EPOCH_UNITS:
        fits = (numbers >= _FIRST_EPOCH * unit) & (numbers < _LAST_EPOCH * unit)
        micros[fits] = np.rint(numbers[fits] * (1_000_000 // unit)).astype("int64")
        known |= fits
    return pa.chunked_array([pa.array(micros, mask=~known).cast(TIMESTAMP)])


def is_full_time(values: pa.ChunkedArray) -> bool:
    """Say whether every string has a date and a time of day, so that it can be nothing else."""
    first = pc.match_substring_regex(values.drop_null().slice(0, 100), _FULL_TIME)
    if not pc.all(first).as_py():
        return False
    return bool(from_strings(values).null_count == values.null_count)


def cast_each(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast what can be cast; null where it cannot."""
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.chunked_array([pa.nulls(1, kind)])
    half = len(values) // 2
    parts = (cast_each(part, kind) for part in (values[:half], values[half:]))
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)


def _canonical(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bring ISO 8601 to the one form that Arrow reads; null what is not."""
    # A cast is not simply tried: every value that fails costs it as much as all of this.
    if pc.all(pc.match_substring_regex(values, _USUAL)).as_py():
        return values
    text = pc.if_else(pc.match_substring_regex(values, _ISO), values, None)
    text = pc.replace_substring(pc.ascii_upper(text), ",", ".")
    text = pc.if_else(pc.match_substring_regex(text, r"\.\d{7}"), _cut(text), text)
    if pc.any(pc.match_substring(text, " ")).as_py():
        text = pc.replace_substring_regex(text, r" ([Z+-])", r"\1")
    text = _with(text, "T00", where=pc.equal(pc.binary_length(text), len("2025-10-31")))
    return _with(text, "Z", where=pc.invert(pc.match_substring_regex(text, _ZONE)))


def _cut(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cut a fraction after its sixth digit, with slices: a regex would take five times as long."""
    end = len("2025-10-31T23:59:59.123456")
    zone = pc.ascii_ltrim(pc.utf8_slice_codeunits(text, end), "0123456789")
    return pc.binary_join_element_wise(pc.utf8_slice_codeunits(text, 0, end), zone, _NOTHING)


def _with(text: pa.ChunkedArray, end: str, where: pa.ChunkedArray) -> pa.ChunkedArray:
    longer = pc.binary_join_element_wise(text, pa.scalar(end, pa.large_string()), _NOTHING)
    return pc.if_else(where, longer, text)


def _within(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null what Python's own times cannot show: a year 0, or one beyond 9999."""
    low, high = (pa.scalar(bound, pa.int64()).cast(TIMESTAMP) for bound in (_FIRST, _LAST))
    outside = pc.or_(pc.less(times, low), pc.greater(times, high))
    return pc.if_else(outside, None, times) if pc.any(outside).as_py() else times
