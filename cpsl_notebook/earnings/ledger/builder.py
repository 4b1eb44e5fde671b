"""Building a ledger from payments.

A ledger contains the payments for which money moved, by these rules:

- Payments with a status such as ``failed`` or ``pending`` were never paid and are left out. An
  unknown status is an error.
- Kinds with the same meaning have the same spelling, ``one_time``, ``monthly`` or ``refund``, and so
  have the documented payout states. Other kinds and states keep their spelling.
- Refunds are negative, even if the service writes their amounts without a sign.
- If one of gross amount, fee and net amount has no column, it is calculated from the other two.
- If no column has the currency, it is that of the frame (``attrs["currency"]``), or else US dollars,
  in which app sales settle.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.dates import Moment, first_day, in_utc, moment
from cpsl_notebook.earnings.ledger.amounts import Unit, cents, unit
from cpsl_notebook.earnings.ledger.column_values import (
    KINDS,
    PAYOUT_STATES,
    canonical,
    key,
    text,
    times,
)
from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS, Ledger
from cpsl_notebook.earnings.ledger.roles import AMOUNTS, ROLES, Roles, infer, listed, says_cents
from cpsl_notebook.earnings.ledger.segments import SEGMENT, segments
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.schema import AMOUNT_COLUMNS
from cpsl_notebook.frames.unparsed import unparsed_fields

__all__ = ["build", "find_roles"]

_PAID = set(
    "paid succeeded success successful complete completed captured settled "
    "refund refunded partiallyrefunded".split()
)
_UNPAID = set(
    "failed pending canceled cancelled declined void voided expired open unpaid processing "
    "incomplete authorized requiresaction requirespaymentmethod".split()
)
_TYPES = COLUMNS | DETAILS
_GROUPED = (
    " groupby(...).apply() drops the column that it groups by: use payments.groupby(...)"
    "[list(payments.columns)].apply(...)."
)
_SPELLINGS = {"kind": KINDS, "payout_state": PAYOUT_STATES}


def build(
    frame: pd.DataFrame,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    as_of: Moment | None = None,
    tz: str = "UTC",
    strict: bool = False,
    by: Hashable | None = None,
) -> Ledger:
    """Build a ledger from payments.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments as `cpsl_notebook.Client.list_payments` returns them.
    roles : mapping of str to str or None, optional
        Columns by role, where `cpsl_notebook.earnings.ledger.roles.infer` does not find them.
    amounts : {"cents", "currency"}, optional
        Unit of the amount columns whose names do not state it.
    as_of : str, datetime.date, pandas.Period or pandas.Timestamp, optional
        Moment up to which payments are included. A day, a month or a year means its end in *tz*, or
        the time of reading if that is earlier. The default is the time of reading, or the last
        payment if the frame does not have it.
    tz : str, default "UTC"
        Name of the time zone for *as_of*.
    strict : bool, default False
        Whether a value that cannot be read is an error. Otherwise it is missing, with a warning.
    by : hashable, optional
        Column of the payments that the rows of the ledger have as their segment.

    Returns
    -------
    Ledger
        The payments under fixed names and types.

    Raises
    ------
    cpsl_notebook.UserError
        If there is no column, or more than one, for the app, the time or the amounts; if the unit
        of the amounts or a payment status is unknown; or if *as_of* is after the time of reading.

    Examples
    --------
    >>> frame = pd.DataFrame({"app": ["shop"], "amount_cents": [1500]})
    >>> frame["created"] = pd.to_datetime(["2026-01-31 12:00"], utc=True)
    >>> build(frame, as_of="2026-02-01").rows[["paid_at", "gross_cents", "currency"]]
                        paid_at  gross_cents currency
    0 2026-01-31 12:00:00+00:00         1500      USD
    """
    found = find_roles(frame, roles)
    missing = _missing_columns(frame, found)
    units = _units(frame, found, amounts or frame.attrs.get("amounts"))
    columns, unread = _convert_columns(frame, found, units)
    _report(unread, strict)
    rows = _with_negative_refunds(pd.DataFrame(columns))
    if by is not None:
        rows[SEGMENT] = segments(frame, by)
    derived = _derive_amount(rows, missing)
    paid = _paid(rows)
    until = _as_of(frame, rows, as_of, tz)
    kept = paid if as_of is None else paid & ~(rows["paid_at"] >= until)
    return Ledger(
        rows=rows[kept].sort_values(["paid_at", "payment_id"], kind="stable", ignore_index=True),
        as_of=until,
        cut=str(frame.attrs.get("window") or ""),
        missing=frozenset(missing) - derived,
        derived=derived,
        unread=unread,
        unpaid=int((~paid).sum()),
        reasons=missing,
    )


def find_roles(frame: pd.DataFrame, roles: Mapping[str, str | None] | None = None) -> Roles:
    """Return the column of each role.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments; ``attrs["roles"]`` may set roles.
    roles : mapping of str to str or None, optional
        Columns by role; they take precedence over those in ``attrs``.

    Returns
    -------
    Roles
        The columns, set or found.
    """
    return infer(frame, json.loads(frame.attrs.get("roles", "{}")) | dict(roles or {}))


def _missing_columns(frame: pd.DataFrame, found: Roles) -> dict[str, str]:
    """Return the ledger columns without a source, with the reason; raise if one is indispensable."""
    missing = {
        column: f"{found.why_not(role)}. Set it with payments = payments.capsule.with_roles("
        f'{{"{role}": "COLUMN"}}). Columns: {listed(frame.columns)}.'
        for role, column in ROLES.items()
        if role not in found.columns
    }
    for column in ("app", "paid_at"):
        if column in missing:
            hint = _GROUPED if column == "app" and "app" in frame.attrs else ""
            raise UserError(f"A ledger needs the {column}: {missing[column]}{hint}")
    if "gross_cents" in missing and not missing.keys().isdisjoint({"fee_cents", "net_cents"}):
        raise UserError(f"A ledger needs the gross amount: {missing['gross_cents']}")
    return missing


def _units(frame: pd.DataFrame, found: Roles, amounts: Unit | None) -> dict[str, Unit]:
    """Return the unit of each amount role: by its name, or else as given, or else by prices."""
    if amounts not in (None, "cents", "currency"):
        raise UserError(f'amounts must be "cents" or "currency", not {amounts!r}.')
    columns = {role: found.columns[role] for role in AMOUNTS if role in found.columns}
    unnamed = {role: name for role, name in columns.items() if not says_cents(name)}
    units: dict[str, Unit] = dict.fromkeys(columns, "cents")
    if unnamed:
        prices = json.loads(frame.attrs.get("prices", "{}")) if "gross" in unnamed else {}
        name = next(iter(unnamed.values()))
        decided = amounts or unit(frame[name], frame[found.columns["app"]], prices, name)
        units |= dict.fromkeys(unnamed, decided)
    return units


def _convert_columns(
    frame: pd.DataFrame, found: Roles, units: Mapping[str, Unit]
) -> tuple[dict[str, pd.Series[Any]], dict[str, int]]:
    """Return the columns of the ledger, and the number of unreadable values of those with any."""
    columns: dict[str, pd.Series[Any]] = {}
    unread: dict[str, int] = {}
    unparsed = unparsed_fields(frame)
    for role, name in ROLES.items():
        if role not in found.columns:
            columns[name] = _empty_column(name, frame)
            continue
        source = found.columns[role]
        given = frame[source].reset_index(drop=True)
        columns[name] = _convert(name, given, units.get(role))
        unreadable = given[columns[name].isna() & given.notna()]
        count = int((unreadable.astype("string") != "").sum())
        count += sum(str(source) in fields for fields in unparsed)
        if count:
            unread[name] = count
    return {name: columns[name] for name in _TYPES}, unread


def _empty_column(name: str, frame: pd.DataFrame) -> pd.Series[Any]:
    """Return a ledger column without a source: missing values, or the default currency."""
    column = pd.Series([None] * len(frame), dtype=types.pandas_dtype(_TYPES[name]))
    if name == "currency":
        default = frame.attrs.get("currency") or "USD"
        column = column.cat.set_categories([default]).fillna(default)
    return column


def _convert(name: str, given: pd.Series[Any], unit: Unit | None) -> pd.Series[Any]:
    """Return values of the payments in the type of a ledger column."""
    if unit is not None:
        return cents(given, unit)
    if _TYPES[name].startswith("datetime"):
        return times(given)
    if _TYPES[name] == "string":
        return text(given)
    if name == "currency":
        given = given.astype("string").str.upper()
    return canonical(given, _SPELLINGS.get(name, {}))


def _with_negative_refunds(rows: pd.DataFrame) -> pd.DataFrame:
    """Negate the amounts of refunds that are written without a sign."""
    unsigned = (rows["kind"] == "refund") & (rows["gross_cents"] > 0).fillna(False)
    for name in AMOUNT_COLUMNS:
        rows[name] = rows[name].mask(unsigned.astype(bool), -rows[name])
    return rows


def _derive_amount(rows: pd.DataFrame, missing: Mapping[str, str]) -> frozenset[str]:
    """Calculate the amount without a column from the two others, and return its name."""
    gross, fee, net = (rows[name] for name in AMOUNT_COLUMNS)
    formulas = {"gross_cents": fee + net, "fee_cents": gross - net, "net_cents": gross - fee}
    absent = frozenset(formulas) & frozenset(missing)
    if len(absent) != 1:
        return frozenset()
    for name in absent:
        rows[name] = formulas[name]
    return absent


def _paid(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return for each payment whether money moved."""
    states = {value: key(value) for value in rows["payment_status"].cat.categories}
    unknown = [value for value, known in states.items() if known not in _PAID | _UNPAID]
    if unknown:
        raise UserError(
            f"Unknown payment status: {listed(unknown)}. Leave those rows out, or count every payment "
            'as paid with payments = payments.capsule.with_roles({"payment_status": None}).'
        )
    unpaid = [value for value, known in states.items() if known in _UNPAID]
    return ~rows["payment_status"].isin(unpaid)


def _as_of(frame: pd.DataFrame, rows: pd.DataFrame, as_of: Moment | None, tz: str) -> pd.Timestamp:
    """Return the moment up to which the rows are complete: *as_of*, but not after the reading.

    The clock of the service may be ahead of ours, so the last payment may be after the reading.
    """
    read = moment(frame.attrs["read_at"]) if "read_at" in frame.attrs else pd.NaT
    after_last = rows["paid_at"].max() + pd.Timedelta(1, "us")
    known = [time for time in (read, after_last) if not pd.isna(time)]
    latest = max(known, default=pd.Timestamp.now("UTC").as_unit("us"))
    if as_of is None:
        return latest
    asked = moment(as_of, tz)
    if pd.isna(read) or asked <= latest:
        return asked
    if in_utc(first_day(as_of, tz), tz) > latest:
        raise UserError(
            f"as_of ends at {asked:%Y-%m-%d %H:%M} UTC, but the payments were read at "
            f"{read:%Y-%m-%d %H:%M} UTC. Read them again after that, or choose an earlier as_of."
        )
    return latest  # as_of is in the day, month or year of the reading, which was not over


def _report(unread: Mapping[str, int], strict: bool) -> None:
    """Warn once about all values that could not be read, or raise an error if *strict*."""
    if not unread:
        return
    counts = ", ".join(f"{count:,} of {name}" for name, count in unread.items())
    message = f"Some values could not be read and are missing from the ledger: {counts}."
    if strict:
        raise UserError(message)
    warnings.warn(f"{message} ledger(strict=True) makes this an error.", stacklevel=4)
