"""``payments.capsule``: what follows from a frame of payments, where the frame is."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd

from cpsl_notebook.earnings import roles as naming
from cpsl_notebook.earnings.amounts import Unit
from cpsl_notebook.earnings.bookkeeping import build, find_roles
from cpsl_notebook.earnings.ledger import COLUMNS, Ledger
from cpsl_notebook.earnings.times import Moment

__all__ = ["Earnings"]


@pd.api.extensions.register_dataframe_accessor("capsule")
class Earnings:
    """What follows from payments.

    ``as_of`` says for which moment an answer holds, by default the time of reading; a day means its
    end, in the zone *tz*. Amounts are integer cents; ``money=True`` gives exact decimals in
    currency.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "amount_cents": [1500]})
    >>> payments["created"] = pd.to_datetime(["2026-01-31 12:00"], utc=True)
    >>> payments.capsule.ledger()["gross_cents"].tolist()
    [1500]
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @property
    def roles(self) -> pd.DataFrame:
        """Which column is what: ``role, column, becomes, note``, one row per role."""
        return naming.table(self._frame, find_roles(self._frame))

    def with_roles(
        self, roles: Mapping[str, str | None] | None = None, *, amounts: Unit | None = None
    ) -> pd.DataFrame:
        """Return the same payments with roles set, for all that follows from them.

        Parameters
        ----------
        roles
            Role to column, such as ``{"gross": "total"}``; ``None`` for a role that no column has.
        amounts
            ``"cents"`` or ``"currency"``: what the amounts are in whose names do not say it.

        Examples
        --------
        >>> payments = pd.DataFrame({"app": ["shop"], "total": [15], "tip": [1]})
        >>> payments = payments.capsule.with_roles({"gross": "total"}, amounts="currency")
        >>> payments.capsule.roles.query("role == 'gross'")["column"].item()
        'total'
        """
        found = find_roles(self._frame, roles)
        frame = self._frame.copy(deep=False)
        given = {role: found.columns.get(role) for role in found.given}
        frame.attrs = self._frame.attrs | {"roles": json.dumps(given)}
        if amounts is not None:
            frame.attrs["amounts"] = amounts
        return frame

    def ledger(
        self,
        *,
        roles: Mapping[str, str | None] | None = None,
        amounts: Unit | None = None,
        strict: bool = False,
    ) -> pd.DataFrame:
        """Return the payments under fixed names and types, by the rules of `bookkeeping`.

        Parameters
        ----------
        roles, amounts
            As `with_roles` takes them.
        strict
            Whether a value that cannot be read is an error; otherwise it is missing, with a warning.

        Returns
        -------
        pandas.DataFrame
            ``payment_id, app, paid_at, payer, kind, currency, gross_cents, fee_cents, net_cents,
            payout_state``, in order of time.
        """
        rows = build(self._frame, roles=roles, amounts=amounts, strict=strict).rows[list(COLUMNS)]
        kept = ("app", "gateway", "read_at", "currency", "window")
        rows.attrs = {name: self._frame.attrs[name] for name in kept if name in self._frame.attrs}
        return rows

    def _ledger(self, as_of: Moment | None = None, tz: str = "UTC") -> Ledger:
        return build(self._frame, as_of=as_of, tz=tz)
