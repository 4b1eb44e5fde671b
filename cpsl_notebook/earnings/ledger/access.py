"""The ledger of a DataFrame of payments, and the roles of its columns, for ``payments.capsule``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.dates import Moment, first_moment
from cpsl_notebook.earnings.ledger.amounts import Unit, check_unit
from cpsl_notebook.earnings.ledger.arguments import check_flag, check_mapping
from cpsl_notebook.earnings.ledger.builder import build, find_roles
from cpsl_notebook.earnings.ledger.column_values import KINDS, key
from cpsl_notebook.earnings.ledger.ledger import MAX_MONTHS
from cpsl_notebook.earnings.ledger.masking import masked
from cpsl_notebook.earnings.ledger.notes import left_out
from cpsl_notebook.earnings.ledger.roles import ROLES, Roles, table
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.evidence import ATTRIBUTE, evidence, gaps
from cpsl_notebook.pseudonyms import SAMPLE_SECRET, is_sample_payer

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["declare", "ledger", "roles_table"]

_KEPT_ATTRS = ("app", "gateway", "currency", "window", "kinds")


def ledger(
    self: Earnings,
    *,
    roles: Mapping[str, str | None] | None = None,
    amounts: Unit | None = None,
    mask_payers: bool | str = False,
    strict: bool = False,
) -> pd.DataFrame:
    """Return the payments under fixed names and types.

    Payments that were never paid are left out, refunds are negative, and kinds, payout states and
    payers have the same spelling whatever the service calls them. Of gross amount, fee and net
    amount, a missing one is derived from the other two. Every analysis of the ledger gives the same
    result as one of the payments.

    Parameters
    ----------
    roles : mapping of str to str or None, optional
        Columns of the payments by role, such as ``{"gross": "total"}``, if they cannot be found
        by name. ``None`` means that no column has the role.
    amounts : {"cents", "currency"}, optional
        Unit of the amount columns whose names do not state it.
    mask_payers : bool or str, default False
        Whether to replace payers and subscriptions with pseudonyms. ``True`` uses a key stored on this
        machine, so that a payer always gets the same pseudonym here. A secret string gives the same
        pseudonyms on every machine where it is used. If outputs are reproducible, so does ``True``
        for the sample payers of the local workspace.
    strict : bool, default False
        Whether to raise an error if a value cannot be read. Otherwise the value is missing and a
        warning is issued.

    Returns
    -------
    pandas.DataFrame
        One row per payment or refund, in order of time:

        - ``payment_id``, ``payer``, ``subscription``, ``payout_id`` (string).
        - ``refund_of`` (string): id of the refunded payment.
        - ``app``, ``kind``, ``currency``, ``payout_state``, ``payment_status`` (category).
        - ``paid_at``, ``payout_at`` (datetime64[us, UTC]). A refund at an unknown time has no
          ``paid_at``.
        - ``gross_cents``, ``fee_cents``, ``net_cents`` (Int64): in the minor unit of the currency.

        ``attrs["left_out"]`` counts the payments that are left out, if there are any.

    Raises
    ------
    UserError
        No column, or more than one, fits the app, the time or the amounts; the unit of the amounts
        is unknown; or *strict* is true and a value cannot be read.

    See Also
    --------
    declare : State roles, units and other facts for all analyses.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "total": [15.5], "created": ["2026-01-31"]})
    >>> payments["created"] = pd.to_datetime(payments["created"], utc=True)
    >>> ledger = payments.capsule.ledger(roles={"gross": "total"}, amounts="currency")
    >>> ledger[["app", "gross_cents", "currency"]]
        app  gross_cents currency
    0  shop         1550      USD
    """
    check_flag("strict", strict)
    is_secret = isinstance(mask_payers, str) and mask_payers.strip()
    if not isinstance(mask_payers, bool) and not is_secret:
        raise UserError(
            f"mask_payers must be True, False or a secret that is not blank, not {mask_payers!r}."
        )
    frame = self._frame
    built = build(frame, roles=roles, amounts=amounts, strict=strict)
    rows = built.rows.copy()  # the analyses share the others
    if mask_payers:
        secret = None if mask_payers is True else mask_payers
        only_samples = secret is None and all(map(is_sample_payer, rows["payer"].dropna().unique()))
        rows = rows.assign(
            payer=masked(rows["payer"], secret),
            subscription=masked(
                rows["subscription"], SAMPLE_SECRET if only_samples else secret, "subscription"
            ),
        )
    absent = built.missing | built.derived
    rows.attrs = {name: frame.attrs[name] for name in _KEPT_ATTRS if name in frame.attrs}
    rows.attrs |= {
        "read_at": built.as_of.isoformat().replace("+00:00", "Z"),
        "roles": json.dumps({role: None for role, name in ROLES.items() if name in absent}),
    }
    if built.notes:
        rows.attrs |= {"notes": json.dumps(built.notes), "left_out": left_out(built.notes)}
    columns = rows.columns if "payment_id" in absent else ["payment_id"]
    rows.attrs[ATTRIBUTE] = evidence(rows, columns=list(columns), known_gaps=gaps(frame))
    return rows


def declare(
    self: Earnings,
    *,
    roles: Mapping[str, str | None] | None = None,
    kinds: Mapping[str, int] | None = None,
    amounts: Unit | None = None,
    complete: bool = False,
    read_at: Moment | None = None,
) -> pd.DataFrame:
    """Return the same payments with facts that their columns do not state.

    All analyses of the returned frame use these facts. A fact that was declared before stays unless
    it is declared again.

    Parameters
    ----------
    roles : mapping of str to str or None, optional
        Columns of the payments by role, such as ``{"gross": "total"}``. ``None`` means that no
        column has the role.
    kinds : mapping of str to int, optional
        Months that a payment pays for, by its kind, such as ``{"quarterly": 3}``; 0 for a purchase.
        The kinds ``one_time``, ``monthly`` and ``yearly`` are known.
    amounts : {"cents", "currency"}, optional
        Unit of the amount columns whose names do not state it.
    complete : bool, default False
        Whether these are all payments of their apps, from the first one to *read_at*. `mrr`,
        `churn`, `cohorts`, `reconcile` and the new payers of `payers` need that. Payments that the
        client read are known to be complete until rows are removed.
    read_at : str, date, datetime or Period, optional
        When the payments were read from the service. A day, a month or a year means its beginning,
        and a time without a zone is in UTC.

    Returns
    -------
    pandas.DataFrame
        A shallow copy of the payments. The facts are stored in ``attrs``.

    Raises
    ------
    UserError
        A role or a column does not exist, a number of months is invalid, *complete* is true and the
        time of reading or the app is unknown, or *read_at* is invalid.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "total": [15], "tip": [1]})
    >>> payments = payments.capsule.declare(roles={"gross": "total"}, amounts="currency")
    >>> payments.capsule.roles.query("role == 'gross'")["column"].item()
    'total'
    """
    check_flag("complete", complete)
    check_mapping("kinds", kinds, '{"quarterly": 3}')
    frame = self._frame.copy(deep=False)
    frame.attrs = dict(self._frame.attrs)
    found = find_roles(frame, roles)
    frame.attrs["roles"] = json.dumps({role: found.columns.get(role) for role in found.given})
    if kinds is not None:
        frame.attrs["kinds"] = json.dumps(
            json.loads(frame.attrs.get("kinds", "{}")) | _terms(kinds)
        )
    if amounts is not None:
        frame.attrs["amounts"] = check_unit(amounts)
    if read_at is not None:
        frame.attrs["read_at"] = first_moment(read_at).isoformat().replace("+00:00", "Z")
    if complete:
        _declare_complete(frame, found)
    return frame


def _terms(kinds: Mapping[str, int]) -> dict[str, int]:
    """Return months by kind, in the spelling that a ledger has."""
    for kind, months in kinds.items():
        is_integer = isinstance(months, int | np.integer) and not isinstance(months, bool)
        if not is_integer or not 0 <= months <= MAX_MONTHS:
            raise UserError(
                f"Invalid number of months for the kind {kind!r}: {months!r}. "
                f"Pass an integer from 0 (a purchase) to {MAX_MONTHS}."
            )
    return {KINDS.get(key(kind), kind): int(months) for kind, months in kinds.items()}


def _declare_complete(frame: pd.DataFrame, found: Roles) -> None:
    if "read_at" not in frame.attrs:
        raise UserError(
            "complete=True needs the time at which the payments were read. "
            'Pass it too, such as read_at="2026-10-31 12:00".'
        )
    if "app" not in found.columns:
        raise UserError(
            f"complete=True needs the app of each payment: {found.why_not('app')}. "
            'Pass it too, such as roles={"app": "COLUMN"}.'
        )
    ids = [str(found.columns["id"])] if "id" in found.columns else []
    frame.attrs |= {ATTRIBUTE: evidence(frame, found.columns["app"], ids), "window": ""}


def roles_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the column found for each role, one row per role."""
    return table(find_roles(frame))
