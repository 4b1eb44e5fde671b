"""Notes on a ledger: payments that are left out of it, and what remains uncertain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

import pandas as pd

__all__ = ["LEFT_OUT", "Note", "left_out", "notes_by_app"]

LEFT_OUT = ("dates", "left out")
"""Checks whose notes are about payments that are not in the ledger."""


class Note(TypedDict):
    """What `cpsl_notebook.earnings.reconciliation` reports about some payments of an app.

    A note has no payers and no subscriptions, so that a masked ledger can keep it.

    Attributes
    ----------
    check : str
        Name of the check that reports it.
    app : str
        The app.
    payments : int
        Number of payments.
    payment_id : str or None
        Id of the first of them.
    finding : str
        What was found.
    """

    check: str
    app: str
    payments: int
    payment_id: str | None
    finding: str


def notes_by_app(rows: pd.DataFrame, check: str, finding: str) -> list[Note]:
    """Return a note for each app.

    Parameters
    ----------
    rows : pandas.DataFrame
        The payments, with the columns ``app`` and ``payment_id``.
    check : str
        Name of the check that reports them.
    finding : str
        What was found; ``{}`` is replaced by the number of payments.

    Returns
    -------
    list of Note
        The notes, in order of the apps.

    Examples
    --------
    >>> rows = pd.DataFrame({"app": ["shop", "shop"], "payment_id": ["p2", "p1"]})
    >>> notes_by_app(rows, "left out", "{} never paid")[0]["finding"]
    '2 payments never paid'
    """
    notes: list[Note] = []
    for app, own in rows.groupby(rows["app"].astype("string"), sort=True):
        count, ids = len(own), own["payment_id"].dropna()
        counted = f"{count:,} {'payment' if count == 1 else 'payments'}"
        notes.append(
            {
                "check": check,
                "app": str(app),
                "payments": count,
                "payment_id": str(ids.min()) if len(ids) else None,
                "finding": finding.replace("{}", counted),
            }
        )
    return notes


def left_out(notes: Iterable[Note]) -> str:
    """Return the notes on payments that are not in the ledger as text."""
    return "; ".join(
        f"{note['app']}: {note['finding']}" for note in notes if note["check"] in LEFT_OUT
    )
