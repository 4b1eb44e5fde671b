"""Sums beyond 64 bits are exact or refused, never wrapped around."""

import pytest
from ledgers import column
from service_payments import frame, payment

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame

HALF = 2**62 + 1  # two of them are beyond 64 bits
SUMS = earnings_frame([("shop", {"gross_cents": 1, "fee_cents": 1, "net_cents": 1})])
IN_TURN = [
    payment(n, f"2026-0{n}-05", gross=HALF, fee=0, payer="ada", kind="monthly") for n in (1, 2)
]
AT_ONCE = [
    payment(
        n, "2026-01-05", gross=HALF, fee=0, payer=f"payer {n}", kind="monthly", payout_state="Held"
    )
    for n in (1, 2)
]


def test_amounts_of_several_months_are_exact():
    payments = frame(*IN_TURN)
    assert column(payments.capsule.revenue(), "gross_cents") == [HALF, HALF, 0]
    assert column(payments.capsule.payers(), "arpp_cents") == [HALF, HALF, None]
    mrr = payments.capsule.mrr()
    assert column(mrr, "closing_cents") == [HALF, HALF, 0]
    assert payments.capsule.explain(mrr, "closing_cents")["counted_cents"].tolist() == [HALF, HALF]
    assert column(payments.capsule.cohorts(), "mrr_cents") == [HALF, HALF, 0]


@pytest.mark.parametrize(
    ("name", "options", "columns"),
    [
        ("metrics", {}, "closing_cents"),
        ("revenue", {}, "gross_cents"),
        ("payers", {}, "gross_cents"),
        ("payers", {"unit": "payer", "basis": "net"}, "gross_cents"),
        ("top_payers", {}, "net_cents"),
        ("mrr", {}, "opening_cents"),
        ("churn", {}, "opening_cents"),
        ("cohorts", {}, "mrr_cents"),
        ("payouts", {}, "net_cents"),
        ("payouts", {"by": "payout_id"}, "gross_cents"),
        ("reconcile", {"earnings": SUMS}, "gross_cents"),
    ],
)
def test_sums_beyond_64_bits_are_refused_and_name_the_column(name, options, columns):
    with pytest.raises(UserError) as raised:
        getattr(frame(*AT_ONCE).capsule, name)(**options)
    problem = f"{columns}, about 9.22e+18, is beyond 64 bits. Correct the amounts, or leave those "
    assert str(raised.value) in (f"The sum of {problem}rows out.", f"A sum in {problem}rows out.")
    assert len(frame(*AT_ONCE).capsule.ledger()) == 2


def test_arr_and_extra_payments_beyond_64_bits_are_refused():
    with pytest.raises(UserError, match=r"A sum in arr_cents, about 5\.53e\+19, is beyond 64 bits"):
        frame(*IN_TURN).capsule.metrics()
    extra = [
        payment(n, f"2026-01-0{n}", gross=HALF, fee=0, payer="ada", kind="monthly") for n in (1, 2)
    ]
    extra += [payment(3, "2026-01-03", gross=100, payer="bo", kind="yearly")]
    table = frame(*extra).capsule.mrr()
    assert column(table, "unclassified_cents")[0] == HALF
    with pytest.raises(UserError, match="A sum in unclassified_cents"):
        frame(*extra, extra[1] | {"payment_id": "x", "paid_at": "2026-01-04"}).capsule.mrr()


def test_derived_amount_beyond_64_bits_is_refused():
    row = {name: value for name, value in AT_ONCE[0].items() if name != "gross_cents"}
    with pytest.raises(UserError, match=r"gross_cents, about 9.22e\+18, is beyond 64 bits"):
        frame(row | {"fee_cents": HALF, "net_cents": HALF}).capsule.ledger()
