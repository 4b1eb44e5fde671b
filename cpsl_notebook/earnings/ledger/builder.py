"""Building a ledger from payments.

A ledger contains the payments for which money moved, by these rules:

- Payments with a status such as ``failed`` or ``pending`` were never paid and are left out. An
  unknown status is an error.
- Kinds with the same meaning have the same spelling, such as ``one_time``, ``monthly``, ``yearly``
  or ``refund``, and so have the documented payout states. Other kinds and states keep their
  spelling.
- Rows of the kind ``payout``, and positive rows of the kind ``chargeback``, are neither sales nor
  refunds and are left out.
- Refunds are negative, even if the service writes their amounts without a sign. Refunds that a
  payment records in its own fields become rows, see `cpsl_notebook.earnings.ledger.refunds`.
- Payers have one spelling each, see `cpsl_notebook.earnings.ledger.payers`.
- If one of gross amount, fee and net amount has no column, it is calculated from the other two.
- If no column has the currency, it is that of the frame (``attrs["currency"]``), or else US dollars,
  in which app sales settle.
- A payment that is dated more than `CLOCK_SKEW_DAYS` after the time of reading is left out.

What is left out is counted in the notes of the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api import types

from cpsl_notebook.earnings.dates import Moment, first_day, in_utc, moment
from cpsl_notebook.earnings.ledger.amounts import Unit, cents, check_unit, unit
from cpsl_notebook.earnings.ledger.arguments import check_mapping
from cpsl_notebook.earnings.ledger.cache import FrameCache, contents
from cpsl_notebook.earnings.ledger.column_values import (
    KINDS,
    PAYOUT_STATES,
    are_paid,
    are_positive,
    canonical,
    key,
    text,
    times,
)
from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS, TERMS, Ledger, Unread
from cpsl_notebook.earnings.ledger.lost_types import listed
from cpsl_notebook.earnings.ledger.notes import Note, notes_by_app
from cpsl_notebook.earnings.ledger.overflow import check_amounts
from cpsl_notebook.earnings.ledger.payers import merge_payers
from cpsl_notebook.earnings.ledger.refund_columns import (
    dispute_marks,
    listed_refunds,
    refund_hints,
)
from cpsl_notebook.earnings.ledger.refunds import add_refund_rows
from cpsl_notebook.earnings.ledger.repeats import how_to_drop
from cpsl_notebook.earnings.ledger.roles import (
    ADJUSTING_ROLES,
    AMOUNTS,
    ROLES,
    Roles,
    infer,
    name_implies_cents,
)
from cpsl_notebook.earnings.ledger.segments import SEGMENT, segments
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.evidence import find_gap
from cpsl_notebook.frames.payment_columns import AMOUNT_COLUMNS
from cpsl_notebook.frames.unparsed import unparsed_fields
from cpsl_notebook.reproducible import warn

__all__ = ["CLOCK_SKEW_DAYS", "build", "find_roles", "terms"]

CLOCK_SKEW_DAYS = 1
"""Days after the time of reading from which a payment's date is a mistake."""

_TYPES = COLUMNS | DETAILS
_POSITION = "position"  # row of the frame, while a ledger is built
_GROUPED = (
    " groupby(...).apply() drops the column that it groups by: use payments.groupby(...)"
    "[list(payments.columns)].apply(...)."
)


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
        the time of reading if that is earlier, with a warning if it is more than a day earlier. The
        default is the time of reading, or the last payment if the frame does not have it.
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
    amounts = frame.attrs.get("amounts") if amounts is None else check_unit(amounts)
    whole = _whole_history(frame, found, amounts)
    _report(whole.unread, strict)
    rows, positions = whole.rows, whole.positions
    until = whole.latest
    if as_of is not None:
        until = _as_of(as_of, tz, _read_at(frame), whole.latest, "read_at" in frame.attrs)
        is_known = (~(rows["paid_at"] >= until)).to_numpy()
        rows, positions = rows[is_known].reset_index(drop=True), positions[is_known]
    if by is not None:
        own = segments(frame, by).take(positions).set_axis(rows.index)
        rows = rows.assign(**{SEGMENT: own})
    return Ledger(
        rows=rows,
        as_of=until,
        cut=str(frame.attrs.get("window") or ""),
        missing=frozenset(whole.missing) - whole.derived,
        derived=whole.derived,
        unread=whole.unread,
        reasons=whole.missing,
        notes=whole.notes,
        terms=whole.terms,
        in_past=until < whole.latest,
        columns=found.columns,
        find_gap=lambda: whole.find_gap(frame),
        may_repeat=whole.may_repeat,
        how_to_drop=lambda again: how_to_drop(frame, found.columns, rows, again, positions),
        read_at_known="read_at" in frame.attrs,
    )


@dataclass
class _Whole:
    """A ledger of all payments of a frame, from which those as of any moment are taken.

    It is shared, so nothing in it may be changed.

    Attributes
    ----------
    rows : pandas.DataFrame
        Rows of the ledger.
    positions : numpy.ndarray of int
        Row of the frame that each row comes from.
    latest : pandas.Timestamp
        Moment up to which the rows are complete.
    missing, derived, unread, notes, terms
        See `Ledger`; ``missing`` has the reasons.
    """

    rows: pd.DataFrame
    positions: npt.NDArray[np.int64]
    latest: pd.Timestamp
    missing: dict[str, str]
    derived: frozenset[str]
    unread: dict[str, Unread]
    notes: tuple[Note, ...]
    terms: dict[str, int]
    _gap: str | None = None
    _may_repeat: bool | None = None

    def find_gap(self, frame: pd.DataFrame) -> str:
        """Return why the frame may lack rows, or an empty string."""
        if self._gap is None:
            self._gap = find_gap(frame)
        return self._gap

    def may_repeat(self) -> bool:
        """Return whether rows share an id."""
        if self._may_repeat is None:
            self._may_repeat = not self.rows["payment_id"].dropna().is_unique
        return self._may_repeat


_cache = FrameCache[_Whole]()


def _whole_history(frame: pd.DataFrame, found: Roles, amounts: Unit | None) -> _Whole:
    """Return the ledger of all payments: the one that was built before if the frame is unchanged."""
    key = str(found), amounts, str(frame.attrs), contents(frame)
    whole = _cache.get(frame, key)
    if whole is None:
        whole, is_lasting = _build_whole(frame, found, amounts)
        if is_lasting:
            _cache.put(frame, key, whole)
    return whole


def _build_whole(frame: pd.DataFrame, found: Roles, amounts: Unit | None) -> tuple[_Whole, bool]:
    """Return the ledger of all payments, and whether it will be the same at any later time."""
    missing = _missing_columns(frame, found)
    found.check()
    units = _units(frame, found, amounts)
    known_terms = terms(frame)
    columns, unread = _convert_columns(frame, found, units, known_terms)
    rows = _with_negative_refunds(pd.DataFrame({name: columns[name] for name in _TYPES}))
    derived = _derive_amount(rows, missing)
    rows["payer"], notes = merge_payers(rows, columns.get("email"))
    rows[_POSITION] = np.arange(len(rows))
    paid, is_payment = are_paid(rows["payment_status"]), _is_payment(rows)
    latest = _latest(frame, rows)
    is_late = rows["paid_at"] > latest
    # Without a time of reading, a late payment is one in the future, which depends on the clock.
    is_lasting = "read_at" in frame.attrs or (not is_late.any() and rows["paid_at"].notna().any())
    kept = paid & is_payment & ~is_late
    if not kept.all():
        notes += _notes_on_left_out(rows, paid, is_payment, is_late)
        rows = rows[kept]
    of_refunds = ("refunded", "unread_refund", "refund_status", "refund_time", "dispute")
    rows = add_refund_rows(
        rows,
        {role: columns[role] for role in of_refunds if role in columns},
        _listed_refunds(frame, found, units, amounts, columns["currency"]),
        refund_hints(frame, found.columns, found.given),
    )
    rows = _in_order(rows)
    whole = _Whole(
        positions=rows.pop(_POSITION).to_numpy(np.int64),
        rows=rows,
        latest=latest,
        missing=missing,
        derived=derived,
        unread=unread,
        notes=(*json.loads(frame.attrs.get("notes", "[]")), *notes),
        terms=known_terms,
    )
    return whole, bool(is_lasting)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in order of time and id, on a default index. Missing values come last."""
    times = rows["paid_at"].dt.tz_localize(None).to_numpy()
    order = np.argsort(times, kind="stable")
    ids = rows["payment_id"].take(order).array
    is_same_time = np.diff(times[order].view(np.int64)) == 0
    is_in_order = (ids[:-1] <= ids[1:]).fillna(False).astype(bool)
    if (is_same_time & ~is_in_order).any():
        tied = np.flatnonzero(np.append(is_same_time, False) | np.append(False, is_same_time))
        table = pa.table({"time": times[order[tied]], "id": pa.array(ids[tied], from_pandas=True)})
        # Arrow's sort is stable, and several times as fast as that of pandas.
        by = [("time", "ascending"), ("id", "ascending")]
        order[tied] = order[tied][pc.sort_indices(table, sort_keys=by).to_numpy()]
    return rows.take(order).reset_index(drop=True)


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
    check_mapping("roles", roles, '{"gross": "total"}')
    return infer(frame, json.loads(frame.attrs.get("roles", "{}")) | dict(roles or {}))


def terms(frame: pd.DataFrame) -> dict[str, int]:
    """Return the months that a payment pays for by its kind; ``attrs["kinds"]`` adds kinds."""
    return {**TERMS, **json.loads(frame.attrs.get("kinds", "{}"))}


def _missing_columns(frame: pd.DataFrame, found: Roles) -> dict[str, str]:
    """Return the ledger columns without a source, with the reason; raise if one is required."""
    known = listed(frame.columns) or "none"
    missing = {
        column: f"{found.why_not(role)}."
        if role in found.unfit and role not in found.rivals
        else f"{found.why_not(role)}. Set it with payments = payments.capsule.declare("
        f'roles={{"{role}": "COLUMN"}}). Columns: {known}.'
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
    amount_roles = (*AMOUNTS, "refunded")
    columns = {role: found.columns[role] for role in amount_roles if role in found.columns}
    unnamed = {role: name for role, name in columns.items() if not name_implies_cents(name)}
    units: dict[str, Unit] = dict.fromkeys(columns, "cents")
    if unnamed:
        prices = json.loads(frame.attrs.get("prices", "{}")) if "gross" in unnamed else {}
        name = next(iter(unnamed.values()))
        given, apps = (
            frame[column].reset_index(drop=True) for column in (name, found.columns["app"])
        )
        decided = amounts or unit(given, apps, prices, name, _currency(frame, found))
        units |= dict.fromkeys(unnamed, decided)
    return units


def _convert_columns(
    frame: pd.DataFrame, found: Roles, units: Mapping[str, Unit], known_terms: Mapping[str, int]
) -> tuple[dict[str, pd.Series[Any]], dict[str, Unread]]:
    """Return the columns of the ledger, and the unreadable values of those with any.

    Columns of adjusting roles have the names of their roles.
    """
    columns = {"currency": _currency(frame, found)}
    spellings = {
        "kind": KINDS | {key(kind): kind for kind in known_terms},
        "payout_state": PAYOUT_STATES,
    }
    unread: dict[str, Unread] = {}
    unparsed = unparsed_fields(frame)
    for role, name in (ROLES | {role: role for role in ADJUSTING_ROLES}).items():
        if name == "currency":
            continue
        dtype = _TYPES.get(name, "datetime64[us, UTC]" if role == "refund_time" else "string")
        if role not in found.columns or role == "refunds":
            if name in _TYPES:
                columns[name] = pd.Series(None, range(len(frame)), types.pandas_dtype(dtype))
            continue
        source = found.columns[role]
        given = frame[source].reset_index(drop=True)
        if role == "dispute":
            columns[name] = dispute_marks(given)
        elif role in units:
            columns[name] = cents(given, units[role], columns["currency"])
        elif dtype.startswith("datetime"):
            columns[name] = times(given)
        elif dtype == "string":
            columns[name] = text(given)
        else:
            columns[name] = canonical(given, spellings.get(name, {}))
        unreadable = given[columns[name].isna() & given.notna()].astype("string")
        values = [*unreadable[unreadable != ""]]
        values += [fields[str(source)] for fields in unparsed if str(source) in fields]
        if values:
            unread[name] = Unread(len(values), values[0])
        if role == "refunded":
            is_unread = given.index.isin(unreadable[unreadable != ""].index)
            columns["unread_refund"] = pd.Series(is_unread, given.index)
    return columns, unread


def _listed_refunds(
    frame: pd.DataFrame,
    found: Roles,
    units: Mapping[str, Unit],
    amounts: Unit | None,
    currency: pd.Series[Any],
) -> pd.DataFrame | None:
    """Return the refunds that payments have in lists; ``None`` if no column has any."""
    if "refunds" not in found.columns:
        return None
    name = found.columns["refunds"]
    more = f"{str(name).rpartition('.')[0]}.has_more"
    is_partial = more in frame and (frame[more].astype("boolean").fillna(False)).any()
    if is_partial and "refunded" not in found.columns:
        raise UserError(
            f"Some payments have more refunds than `{name}` shows (`{more}`), so totals would be "
            "wrong. Add a column with the refunded amount of each payment, and set its role with "
            'payments = payments.capsule.declare(roles={"refunded": "COLUMN"}).'
        )
    gross = found.columns.get("gross")
    unit = amounts or frame.attrs.get("amounts")
    if gross is not None and not name_implies_cents(gross):
        unit = units["gross"]
    return listed_refunds(frame[name].reset_index(drop=True), name, unit, currency)


def _currency(frame: pd.DataFrame, found: Roles) -> pd.Series[Any]:
    """Return the currency of each payment, on a default index."""
    if "currency" in found.columns:
        given = frame[found.columns["currency"]].reset_index(drop=True)
        return canonical(given, {}, upper=True)
    default = frame.attrs.get("currency") or "USD"
    return pd.Series(default, range(len(frame)), pd.CategoricalDtype([default]))


def _with_negative_refunds(rows: pd.DataFrame) -> pd.DataFrame:
    """Negate the amounts of refunds that are written without a sign."""
    unsigned = (rows["kind"] == "refund") & are_positive(rows["gross_cents"])
    for name in AMOUNT_COLUMNS:
        rows[name] = rows[name].mask(unsigned, -rows[name])
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
        sizes = [rows[each].abs().astype("float64") for each in AMOUNT_COLUMNS if each != name]
        check_amounts({name: sizes[0] + sizes[1]})
    return absent


def _is_payment(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return for each row whether its kind is that of a sale or a refund."""
    positive = are_positive(rows["gross_cents"])
    return ~((rows["kind"] == "payout") | ((rows["kind"] == "chargeback") & positive))


def _notes_on_left_out(
    rows: pd.DataFrame,
    paid: pd.Series[bool],
    is_payment: pd.Series[bool],
    is_late: pd.Series[bool],
) -> list[Note]:
    """Count the rows that are left out, by app and reason."""
    notes: list[Note] = []
    for status, own in rows[~paid].groupby("payment_status", observed=True):
        notes += notes_by_app(own, "left out", f"{{}} with the status {status}, never paid")
    for kind, own in rows[paid & ~is_payment].groupby("kind", observed=True):
        finding = f"{{}} of the kind {kind}, neither a sale nor a refund"
        notes += notes_by_app(own, "left out", finding)
    finding = "{} dated after the time of reading"
    return notes + notes_by_app(rows[paid & is_payment & is_late], "dates", finding)


def _read_at(frame: pd.DataFrame) -> pd.Timestamp:
    """Return the time of reading; now if it is unknown."""
    if "read_at" in frame.attrs:
        return moment(frame.attrs["read_at"])
    return pd.Timestamp.now("UTC").as_unit("us")


def _latest(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.Timestamp:
    """Return the moment up to which the rows are complete.

    That is the time of reading. If it is unknown, the rows are complete up to the last payment. The
    clock of the service may be ahead of ours, so the last payment may be after the reading, but by no
    more than `CLOCK_SKEW_DAYS`.
    """
    read, paid_at = _read_at(frame), rows["paid_at"]
    last = paid_at[paid_at <= read + pd.Timedelta(days=CLOCK_SKEW_DAYS)].max()
    known = [read] if "read_at" in frame.attrs else []
    if not pd.isna(last):
        known.append(last + pd.Timedelta(1, "us"))
    return max(known, default=read)


def _as_of(
    as_of: Moment, tz: str, read: pd.Timestamp, latest: pd.Timestamp, is_known: bool
) -> pd.Timestamp:
    """Return the end of *as_of*, but not after the reading, with a warning if that is much earlier."""
    asked = moment(as_of, tz)
    end = max(read, latest)
    if asked <= end:
        return asked
    when = f"{'the payments were read at' if is_known else 'it is'} {read:%Y-%m-%d %H:%M} UTC"
    if in_utc(first_day(as_of, tz), tz) > end:
        raise UserError(
            f"as_of ends at {asked:%Y-%m-%d %H:%M} UTC, but {when}. Read them again after that, or "
            "choose an earlier as_of."
        )
    # as_of is in the day, month or year of the reading, which was not over
    if asked - end > pd.Timedelta(days=1):
        warn(
            f"as_of={as_of} is not over: {when}. The result holds for that moment; omit as_of to "
            "ask for it.",
            stacklevel=4,
        )
    return end


def _report(unread: Mapping[str, Unread], strict: bool) -> None:
    """Warn once about all values that could not be read, or raise an error if *strict*."""
    if not unread:
        return
    counts = ", ".join(f"{found.count:,} of {name} ({found})" for name, found in unread.items())
    message = f"Some values could not be read and are missing from the ledger: {counts}."
    if strict:
        raise UserError(message)
    warn(f"{message} ledger(strict=True) makes this an error.", stacklevel=4)
