"""``payments.capsule``: what follows from a frame of payments, where the frame is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cpsl_notebook.earnings.closing import Closing
from cpsl_notebook.earnings.export import excel
from cpsl_notebook.earnings.ledger import roles as naming
from cpsl_notebook.earnings.ledger.amounts import Unit
from cpsl_notebook.earnings.ledger.builder import build, find_roles
from cpsl_notebook.earnings.ledger.ledger import COLUMNS
from cpsl_notebook.earnings.ledger.masking import masked
from cpsl_notebook.earnings.plots.plotter import Plots
from cpsl_notebook.earnings.recurring import Recurring
from cpsl_notebook.earnings.sales import Sales

__all__ = ["Earnings"]


@pd.api.extensions.register_dataframe_accessor("capsule")
class Earnings(Sales, Recurring, Closing):
    """What follows from payments: for each question a table, and under `plot` a picture.

    Amounts are ``Int64`` cents in columns whose names end in ``_cents``, or exact decimals in
    currency with ``money=True``; counts are ``Int64``, ratios ``Float64``, periods their first day,
    apps, kinds, currencies and states categories; what is not known is missing. Currencies have
    rows of their own and are never added. Every answer says in its corner, and in
    ``attrs["as_of"]``, for which moment it holds: the time of reading, or ``as_of``, where a day, a
    month or a year means its end in the zone *tz*. A period is ``running`` until it ends,
    ``provisional`` for the 15 days in which a late renewal can still arrive, then ``final``. A frame
    without payments gives tables without rows.

    Examples
    --------
    >>> payments = pd.DataFrame({"app": ["shop"], "amount_cents": [1500]})
    >>> payments["created"] = pd.to_datetime(["2026-01-31 12:00"], utc=True)
    >>> payments.capsule.ledger()["gross_cents"].tolist()
    [1500]
    """

    @property
    def plot(self) -> Plots:
        """Pictures of the answers, such as ``payments.capsule.plot.mrr()``."""
        return Plots(self)

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
        mask_payers: bool | str = False,
        strict: bool = False,
    ) -> pd.DataFrame:
        """Return the payments under fixed names and types, by the rules of `bookkeeping`.

        Parameters
        ----------
        roles, amounts
            As `with_roles` takes them.
        mask_payers
            Whether to replace payers by pseudonyms, the same in every run on this machine; with a
            secret of your own, the same wherever it is given. See
            `cpsl_notebook.earnings.ledger.masking`.
        strict
            Whether a value that cannot be read is an error; otherwise it is missing, with a warning.

        Returns
        -------
        pandas.DataFrame
            ``payment_id, app, paid_at, payer, kind, currency, gross_cents, fee_cents, net_cents,
            payout_state``, in order of time; amounts are ``Int64`` cents, times are in UTC.

        Raises
        ------
        UserError
            The app, the time or the amounts have no column, or more than one; the unit of the
            amounts is open; *strict* and a value cannot be read.
        """
        rows = build(self._frame, roles=roles, amounts=amounts, strict=strict).rows[list(COLUMNS)]
        if mask_payers:
            rows["payer"] = masked(rows["payer"], None if mask_payers is True else mask_payers)
        kept = ("app", "gateway", "read_at", "currency", "window")
        rows.attrs = {name: self._frame.attrs[name] for name in kept if name in self._frame.attrs}
        return rows

    def to_excel(self, path: str | Path, *, tz: str = "UTC") -> Path:
        """Write the table, payments or an answer, to an Excel file; needs openpyxl.

        Parameters
        ----------
        path
            The file; one that is there is overwritten.
        tz
            The zone whose clocks show the times, for Excel knows no zones; headings name it.

        Returns
        -------
        pathlib.Path
            The file. What is text stays text, also where it begins with ``=``; integers beyond 15
            digits become text, for Excel would round them; lists become JSON.

        Raises
        ------
        UserError
            openpyxl is not installed, the file cannot be written, or there are more rows than a
            sheet holds.

        Examples
        --------
        >>> import tempfile
        >>> from cpsl_notebook.frames import payments_frame
        >>> payments = payments_frame([("shop", [{"paid_at": "2026-01-31T23:30Z"}])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = payments.capsule.to_excel(f"{folder}/payments.xlsx", tz="Europe/Berlin")
        ...     str(pd.read_excel(path)["paid_at (Europe/Berlin)"][0])
        '2026-02-01 00:30:00'
        """
        return excel.write(self._frame, path, tz)
