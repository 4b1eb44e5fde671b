"""From payments to a ledger.

A ledger tells of money that moved. Where the payments have a status, those that were never paid
(``failed``, ``pending``) are left out; a status that is not known is asked for. Kinds that mean the
same are written the same, ``one_time``, ``monthly`` and ``refund``, and so are the documented payout
states; others keep their names. A refund is negative, also where the service writes its amounts
without a sign. Of gross, fee and net, two give the third. Where no field names the currency it is
the frame's, or else US dollars, in which app sales settle.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.dates import Moment, first_day, in_utc, moment
from cpsl_notebook.earnings.ledger.amounts import Unit, cents, unit
from cpsl_notebook.earnings.ledger.column_values import (
    KINDS,
    PAYOUT_STATES,
    categories,
    key,
    text,
    times,
)
from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS, Ledger
from cpsl_notebook.earnings.ledger.roles import AMOUNTS, ROLES, Roles, infer, listed, says_cents
from cpsl_notebook.errors import UserError

__all__ = ["build", "find_roles"]

_PAID = set(
    "paid succeeded success successful complete completed captured settled "
    "refund refunded partiallyrefunded".split()
)
_UNPAID = set(
    "failed pending canceled cancelled declined void voided expired open unpaid processing "
    "incomplete authorized requiresaction requirespaymentmethod".split()
)


def build(
    frame: pd.DataFrame,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    as_of: Moment | None = None,
    tz: str = "UTC",
    strict: bool = False,
) -> Ledger:
    """Turn payments into a ledger.

    Parameters
    ----------
    frame
        Payments as `cpsl_notebook.Client.list_payments` gives them.
    roles
        Roles that are known better than `cpsl_notebook.earnings.ledger.roles.infer` finds them.
    amounts
        ``"cents"`` or ``"currency"``: what the amounts are in whose names do not say it.
    as_of
        Up to when: payments from then on are left out. A day, a month or a year means up to its end
        in *tz*, or up to the reading where it is not over. By default the time of reading, or where
        the frame does not tell it, the last payment.
    strict
        Whether a value that cannot be read is an error; otherwise it is missing, with a warning.

    Raises
    ------
    UserError
        The app, the time or the amounts have no column, or more than one; the unit of the amounts
        is open; *as_of* is later than the time of reading.

    Examples
    --------
    >>> frame = pd.DataFrame({"app": ["shop"], "amount_cents": [1500]})
    >>> frame["created"] = pd.to_datetime(["2026-01-31 12:00"], utc=True)
    >>> build(frame, as_of="2026-02-01").rows[["paid_at", "gross_cents", "currency"]]
                        paid_at  gross_cents currency
    0 2026-01-31 12:00:00+00:00         1500      USD
    """
    found = find_roles(frame, roles)
    missing = _missing(frame, found)
    rows, unread = _read(frame, found, amounts or frame.attrs.get("amounts"))
    _report(unread, strict)
    derived = _derive(rows, missing)
    happened = _paid(rows)
    until = _as_of(frame, rows, as_of, tz)
    kept = happened if as_of is None else happened & ~(rows["paid_at"] >= until)
    return Ledger(
        rows=rows[kept].sort_values(["paid_at", "payment_id"], kind="stable", ignore_index=True),
        as_of=until,
        cut=str(frame.attrs.get("window") or ""),
        missing=frozenset(missing) - derived,
        derived=derived,
        unread=unread,
        unpaid=int((~happened).sum()),
        reasons=missing,
    )


def find_roles(frame: pd.DataFrame, roles: Mapping[str, str | None] | None = None) -> Roles:
    """Find the roles of payments; those given here go before those that the frame carries."""
    return infer(frame, json.loads(frame.attrs.get("roles", "{}")) | dict(roles or {}))


def _missing(frame: pd.DataFrame, found: Roles) -> dict[str, str]:
    """Return the columns that no field is for, each with the reason; some must not be missing."""
    missing = {
        column: f"{found.why_not(role)} as {role}. The payments have {listed(frame.columns)}: "
        f'payments.capsule.with_roles({{"{role}": …}}) names the one.'
        for role, column in ROLES.items()
        if role not in found.columns
    }
    for column in ("app", "paid_at"):
        if column in missing:
            raise UserError(f"A ledger needs the {column}: {missing[column]}")
    if "gross_cents" in missing and ({"fee_cents", "net_cents"} & set(missing)):
        raise UserError(f"A ledger needs the gross amount: {missing['gross_cents']}")
    return missing


def _read(
    frame: pd.DataFrame, found: Roles, amounts: Unit | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of a ledger, and how many values of each column could not be read."""
    units = _units(frame, found, amounts)
    columns: dict[str, pd.Series[Any]] = {}
    unread = _unparsed(frame, found)
    for role, name in ROLES.items():
        if role not in found.columns:
            dtype = (COLUMNS | DETAILS)[name]
            columns[name] = pd.Series([None] * len(frame), dtype=types.pandas_dtype(dtype))
            continue
        given = frame[found.columns[role]].reset_index(drop=True)
        columns[name] = _converted(name, given, units.get(role))
        unreadable = given[columns[name].isna() & given.notna()]
        lost = int((unreadable.astype("string") != "").sum())
        if lost:
            unread[name] = unread.get(name, 0) + lost
    if "currency" not in found.columns:
        stated = frame.attrs.get("currency") or "USD"
        columns["currency"] = columns["currency"].cat.set_categories([stated]).fillna(stated)
    rows = pd.DataFrame({name: columns[name] for name in (*COLUMNS, *DETAILS)})
    return _signed(rows), unread


def _converted(name: str, given: pd.Series[Any], unit: Unit | None) -> pd.Series[Any]:
    dtype = (COLUMNS | DETAILS)[name]
    if unit is not None:
        return cents(given, unit)
    if dtype.startswith("datetime"):
        return times(given)
    if dtype == "string":
        return text(given)
    if name == "currency":
        return categories(given.astype("string").str.upper(), {})
    return categories(given, {"kind": KINDS, "payout_state": PAYOUT_STATES}.get(name, {}))


def _units(frame: pd.DataFrame, found: Roles, amounts: Unit | None) -> dict[str, Unit]:
    """Return what each amount is in: what its name says, else what is asked for or proved."""
    if amounts not in (None, "cents", "currency"):
        raise UserError(f'amounts= is "cents" or "currency", not {amounts!r}.')
    columns = {role: found.columns[role] for role in AMOUNTS if role in found.columns}
    open_ones = {role: name for role, name in columns.items() if not says_cents(name)}
    units: dict[str, Unit] = dict.fromkeys(columns, "cents")
    if open_ones:
        prices = json.loads(frame.attrs.get("prices", "{}")) if "gross" in open_ones else {}
        name = next(iter(open_ones.values()))
        decided = amounts or unit(frame[name], frame[found.columns["app"]], prices, name)
        units |= dict.fromkeys(open_ones, decided)
    return units


def _signed(rows: pd.DataFrame) -> pd.DataFrame:
    """Make the amounts of refunds negative."""
    written_positive = (rows["kind"] == "refund") & (rows["gross_cents"] > 0).fillna(False)
    for name in ("gross_cents", "fee_cents", "net_cents"):
        rows[name] = rows[name].mask(written_positive.astype(bool), -rows[name])
    return rows


def _derive(rows: pd.DataFrame, missing: Mapping[str, str]) -> frozenset[str]:
    """Fill in the one amount that follows from the two others."""
    gross, fee, net = rows["gross_cents"], rows["fee_cents"], rows["net_cents"]
    absent = [name for name in ("gross_cents", "fee_cents", "net_cents") if name in missing]
    if len(absent) != 1:
        return frozenset()
    rows[absent[0]] = {
        "gross_cents": fee + net,
        "fee_cents": gross - net,
        "net_cents": gross - fee,
    }[absent[0]]
    return frozenset(absent)


def _paid(rows: pd.DataFrame) -> pd.Series[Any]:
    """Say of every row whether money moved."""
    states = {value: key(value) for value in rows["payment_status"].cat.categories}
    strange = [value for value, known in states.items() if known not in _PAID | _UNPAID]
    if strange:
        raise UserError(
            f"Were payments with the status {listed(strange)} paid? That is not known: set the "
            'role payment_status to another column, or with {"payment_status": None} count all.'
        )
    unpaid = [value for value, known in states.items() if known in _UNPAID]
    return ~rows["payment_status"].isin(unpaid)


def _as_of(frame: pd.DataFrame, rows: pd.DataFrame, as_of: Moment | None, tz: str) -> pd.Timestamp:
    """Return up to when the rows tell what happened: to the reading, or at least the last payment.

    A service's clock may be ahead of ours, so a payment may be later than the reading.
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
            f"What happened until {asked:%Y-%m-%d %H:%M} UTC is not known: these payments were read "
            f"at {read:%Y-%m-%d %H:%M} UTC. Read them again."
        )
    return latest  # the day or the month of the reading, which is not over


def _unparsed(frame: pd.DataFrame, found: Roles) -> dict[str, int]:
    """Count the values that found no place in their typed column, by column of the ledger.

    From Parquet, every row names every field that any row names.
    """
    if "_unparsed" not in frame.columns:
        return {}
    kept = frame["_unparsed"].dropna()
    counts = {
        ROLES[role]: sum(fields.get(str(column)) is not None for fields in kept)
        for role, column in found.columns.items()
    }
    return {name: count for name, count in counts.items() if count}


def _report(unread: Mapping[str, int], strict: bool) -> None:
    """Say once what could not be read."""
    if not unread:
        return
    counts = ", ".join(f"{count} of {name}" for name, count in unread.items())
    said = f"Some values could not be read and are missing from the ledger: {counts}."
    if strict:
        raise UserError(said)
    warnings.warn(f"{said} strict=True makes that an error.", stacklevel=4)
