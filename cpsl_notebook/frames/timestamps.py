"""Parsing times: ISO 8601 strings and epochs to microseconds in UTC."""

from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["TIMESTAMP", "are_full_times", "cast_or_null", "parse_epochs", "parse_strings"]

TIMESTAMP = pa.timestamp("us", tz="UTC")

_EMPTY = pa.scalar("", pa.large_string())
_ISO = (
    r"^\d{4}-\d\d-\d\d"
    r"(?:[Tt ]\d\d(?::\d\d(?::\d\d(?:[.,]\d+)?)?)?(?: ?(?:[Zz]|[+-]\d\d(?::?\d\d)?))?)?$"
)
# The form that Arrow parses itself.
_ARROW_FORM = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)$"
_ZONE = r"[T ]\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
_FULL_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d"
_DIGITS = r"^\d{9,16}(?:\.\d+)?$"
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 and 9999, in µs
_EPOCH_UNITS = (1, 1_000, 1_000_000)  # of a second
_FIRST_EPOCH, _LAST_EPOCH = 946_684_800, 4_102_444_800  # the years 2000 and 2100, in seconds


def parse_strings(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse ISO 8601 strings and epochs written in digits.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Large strings: times with or without a zone (without one, they are UTC), dates, or epochs.

    Returns
    -------
    pyarrow.ChunkedArray
        Timestamps in UTC; null where a string is not a time.

    Examples
    --------
    >>> texts = ["2025-10-31", "2025-10-31T23:59:59.5+02:00", "soon"]
    >>> texts = pa.chunked_array([texts], pa.large_string())
    >>> [str(time) for time in parse_strings(texts)]
    ['2025-10-31 00:00:00+00:00', '2025-10-31 21:59:59.500000+00:00', 'None']
    """
    with contextlib.suppress(pa.ArrowInvalid):
        return _null_out_of_range(values.cast(TIMESTAMP))  # if all have the form that Arrow parses
    times = _null_out_of_range(cast_or_null(_to_arrow_form(values), TIMESTAMP))
    digits = pc.if_else(pc.match_substring_regex(values, _DIGITS), values, None)
    if digits.null_count == len(digits):
        return times
    return pc.coalesce(times, parse_epochs(digits.cast(pa.float64())))


def parse_epochs(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert epochs; the magnitude of each number shows whether it is in s, ms or µs.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Floats, which represent every microsecond of the supported years exactly.

    Returns
    -------
    pyarrow.ChunkedArray
        Timestamps in UTC; null where a number is not within the years 2000 to 2100 in any unit.
    """
    numbers = values.to_numpy(zero_copy_only=False)
    micros = np.zeros(len(numbers), "int64")
    known = np.zeros(len(numbers), "bool")
    for unit in _EPOCH_UNITS:
        fits = (numbers >= _FIRST_EPOCH * unit) & (numbers < _LAST_EPOCH * unit)
        micros[fits] = np.rint(numbers[fits] * (1_000_000 // unit)).astype("int64")
        known |= fits
    return pa.chunked_array([pa.array(micros, mask=~known).cast(TIMESTAMP)])


def are_full_times(values: pa.ChunkedArray) -> bool:
    """Return whether every string has both a date and a time of day."""
    first = pc.match_substring_regex(values.drop_null().slice(0, 100), _FULL_TIME)
    if not pc.all(first).as_py():
        return False
    return bool(parse_strings(values).null_count == values.null_count)


def cast_or_null(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast values to a type; those that cannot be cast become null."""
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.chunked_array([pa.nulls(1, kind)])
    half = len(values) // 2
    parts = (cast_or_null(part, kind) for part in (values[:half], values[half:]))
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)


def _to_arrow_form(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert ISO 8601 strings to the form that Arrow parses; other strings become null."""
    # Trying a cast first would be slower: one value that fails costs as much as this function.
    if pc.all(pc.match_substring_regex(values, _ARROW_FORM)).as_py():
        return values
    text = pc.if_else(pc.match_substring_regex(values, _ISO), values, None)
    text = pc.replace_substring(pc.ascii_upper(text), ",", ".")
    text = pc.if_else(pc.match_substring_regex(text, r"\.\d{7}"), _truncate_fraction(text), text)
    if pc.any(pc.match_substring(text, " ")).as_py():
        text = pc.replace_substring_regex(text, r" ([Z+-])", r"\1")
    text = _append(text, "T00", where=pc.equal(pc.binary_length(text), len("2025-10-31")))
    return _append(text, "Z", where=pc.invert(pc.match_substring_regex(text, _ZONE)))


def _truncate_fraction(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Remove digits of the fraction after the sixth; slices are five times faster than a regex."""
    end = len("2025-10-31T23:59:59.123456")
    zone = pc.ascii_ltrim(pc.utf8_slice_codeunits(text, end), "0123456789")
    return pc.binary_join_element_wise(pc.utf8_slice_codeunits(text, 0, end), zone, _EMPTY)


def _append(text: pa.ChunkedArray, suffix: str, where: pa.ChunkedArray) -> pa.ChunkedArray:
    longer = pc.binary_join_element_wise(text, pa.scalar(suffix, pa.large_string()), _EMPTY)
    return pc.if_else(where, longer, text)


def _null_out_of_range(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace times outside the years 1 to 9999, which `datetime` cannot represent, with null."""
    low, high = (pa.scalar(bound, pa.int64()).cast(TIMESTAMP) for bound in (_FIRST, _LAST))
    outside = pc.or_(pc.less(times, low), pc.greater(times, high))
    return pc.if_else(outside, None, times) if pc.any(outside).as_py() else times
