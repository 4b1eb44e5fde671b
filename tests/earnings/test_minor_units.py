"""Currencies without cents, and with more decimals, computed by hand."""

import json
from decimal import Decimal

import pytest
from ledgers import buy, column, ledger
from service_payments import frame, payment

from cpsl_notebook.earnings.metrics.revenue import compute_revenue
from cpsl_notebook.earnings.plots.axes import amount
from cpsl_notebook.earnings.result_table import result_table
from cpsl_notebook.frames import earnings_frame, payments_frame

ANSWERS = ["revenue", "payers", "top_payers", "mrr", "churn", "cohorts", "payouts"]


@pytest.mark.parametrize(
    ("currency", "shown"), [("USD", "15.00"), ("JPY", "1500"), ("KWD", "1.500"), ("CLF", "0.1500")]
)
def test_money_has_the_decimals_of_its_currency(currency, shown):
    known = ledger(buy("2025-01-10", gross=1500, currency=currency), as_of="2025-01-31")
    table = result_table(compute_revenue(known), known, money=True)
    assert [str(value) for value in table["gross"]] == [shown]


@pytest.mark.parametrize("name", ANSWERS)
def test_yen_and_dollars_are_separate_in_every_answer(name):
    options = {"kind": "monthly", "payout_state": "In progress"}
    rows = [
        payment(1, "2026-01-05", **options),
        payment(2, "2026-01-05", currency="JPY", **options),
    ]
    cents, money = (getattr(frame(*rows).capsule, name)(money=flag) for flag in (False, True))
    compared = 0
    for column_name in (each for each in cents if each.endswith("_cents")):
        for currency, factor in [("USD", 100), ("JPY", 1)]:
            whole = column(cents, column_name, currency=currency)
            shown = column(money, column_name.removesuffix("_cents"), currency=currency)
            assert [None if one is None else int(one * factor) for one in shown] == whole
            compared += any(whole)
    assert compared


def test_findings_have_the_decimals_of_the_payment():
    rows = [payment(1, "2026-01-05", fee=1), payment(2, "2026-01-05", fee=1, currency="JPY")]
    table = frame(*rows).capsule.reconcile(earnings_frame([("shop", {"net_cents": 1})]), money=True)
    fees = table[table["check"] == "fee"]
    assert fees["expected"].tolist() == [Decimal("1.50"), Decimal("150")]
    assert "currency" not in table


@pytest.mark.parametrize("unit", ["cents", "currency"])
def test_amounts_in_currency_are_read_with_its_decimals(unit):
    rows = [{"paid_at": "2026-01-05", "currency": name, "total": 1500} for name in ("JPY", "USD")]
    known = frame(*rows).capsule.declare(amounts=unit).capsule.ledger()
    assert known["gross_cents"].tolist() == ([1500, 1500] if unit == "cents" else [1500, 150_000])
    # Yen have no smaller unit, so that the unit of their amounts does not have to be known.
    assert frame(rows[0]).capsule.ledger()["gross_cents"].tolist() == [1500]


@pytest.mark.parametrize("index", [[3, 2, 1, 0], [0, 0, 1, 1], [10, 11, 12, 13]])
def test_prices_decide_the_unit_whatever_the_index(index):
    rows = [
        ("shop", [{"paid_at": "2026-01-05", "currency": "USD", "amount": 15.0}] * 2),
        ("kiosk", [{"paid_at": "2026-01-05", "currency": "KWD", "amount": 1.5}] * 2),
    ]
    payments = payments_frame(rows).set_axis(index)
    payments.attrs["prices"] = json.dumps({"shop": 1500, "kiosk": 1500})
    assert payments.capsule.ledger()["gross_cents"].tolist() == [1500] * 4


def test_plots_show_yen_without_decimals():
    assert amount(1500, "JPY") == "1,500 JPY" and amount(1500, "KWD") == "1.500 KWD"
