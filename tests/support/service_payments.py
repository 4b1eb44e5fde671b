"""Payments as the service sends them, and DataFrames of them."""

import cpsl_notebook.earnings  # noqa: F401 (adds payments.capsule)
from cpsl_notebook.frames import payments_frame


def payment(number, paid_at, **fields):
    """Return a payment that is paid out; a tenth of its gross amount is the fee."""
    gross = fields.pop("gross", 1500)
    fee = fields.pop("fee", gross // 10)
    return {
        "payment_id": f"pay_{number}",
        "paid_at": paid_at,
        "payer": f"payer {number}",
        "kind": "one_time",
        "currency": "USD",
        "gross_cents": gross,
        "fee_cents": fee,
        "net_cents": gross - fee,
        "payout_state": "Paid out",
        "payout_id": "po_1",
        "payout_at": "2026-03-25T06:00:00Z",
        **fields,
    }


def waiting(number, paid_at, state="In progress", **fields):
    """Return a payment that is not paid out."""
    return payment(number, paid_at, payout_state=state, payout_id=None, payout_at=None, **fields)


def frame(*rows, read_at="2026-04-01T00:00:00Z", window=""):
    """Return payments of one app as a DataFrame."""
    made = payments_frame([("shop", list(rows))])
    made.attrs |= {"read_at": read_at, "window": window}
    return made


THREE = [
    waiting(number, f"2026-0{month}-15T10:00:00Z", payer=payer)
    for number, (month, payer) in enumerate([(1, "ada@a.example"), (2, "bob@b.example"), (3, None)])
]
"""Payments of January, February and March; the last one has no payer."""
