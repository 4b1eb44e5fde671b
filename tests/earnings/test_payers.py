"""Payers of ledgers whose numbers are computed by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import buy, column, ledger
from strategies import sales

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.payers import compute_payers as payers
from cpsl_notebook.earnings.metrics.payers import compute_top_payers as top_payers


def test_payers_are_new_once_then_returning():
    # January: ada and bo are new, and bo buys twice: 3 sales, $147.00 / 2 = $73.50.
    # February: no payers. March: ada returns and cy is new: $98.00 / 2 = $49.00.
    days = [("01-05", "ada"), ("01-06", "bo"), ("01-07", "bo"), ("03-01", "ada"), ("03-02", "cy")]
    paid = ledger(*(buy(f"2025-{day}", payer) for day, payer in days), as_of="2025-03-31")
    table = payers(paid)
    assert column(table, "active_payers") == [2, 0, 2]
    assert column(table, "new_payers") == [2, 0, 1]
    assert column(table, "returning_payers") == [0, 0, 1]
    assert column(table, "arpp_cents") == [7350, None, 4900]
    assert column(payers(paid, basis="net"), "arpp_cents") == [6615, None, 4410]  # less a tenth
    assert column(table, "revenue_cents") == [14700, 0, 9800]
    assert column(payers(paid, basis="net"), "revenue_cents") == [13230, 0, 8820]


def test_payer_with_only_a_refund_is_not_active():
    # January: $49.00 less a tenth. In February, $10.00 of it and $1.00 of the fee are refunded.
    rows = [buy("2025-01-05"), buy("2025-02-05", gross=-1000)]
    table = payers(ledger(*rows, as_of="2025-02"), basis="net")
    assert column(table, "active_payers") == [1, 0]
    assert column(table, "revenue_cents") == [4410, -900]
    assert column(table, "arpp_cents") == [4410, None]
    gross = payers(ledger(*rows, as_of="2025-02"))
    assert column(gross, "revenue_cents") == [4900, 0]


def test_average_is_rounded_half_up_to_a_cent():
    # $1.00 and $0.01 from two payers are 50.5 cents each.
    paid = ledger(buy("2025-01-05", "ada", 100), buy("2025-01-05", "bo", 1), as_of="2025-01-31")
    assert column(payers(paid), "arpp_cents") == [51]


def test_payer_of_two_apps_counts_in_both_apps_or_once_by_payer():
    paid = ledger(buy("2025-01-05"), buy("2025-01-06", app="school"), as_of="2025-01-31")
    assert column(payers(paid), "active_payers") == [1, 1]
    assert column(payers(paid, unit="payer"), "active_payers") == [1]


def test_new_payers_of_a_window_are_missing():
    table = payers(ledger(buy("2025-01-05"), as_of="2025-01-31", cut="2025-01-01T00:00:00Z/"))
    assert column(table, "active_payers") == [1]
    assert column(table, "new_payers") == column(table, "returning_payers") == [None]


def test_top_payers_have_the_highest_net_and_their_share():
    # Net: ada $90 - $45 = $45, bo $90, cy $45, in total $180.
    paid = ledger(
        buy("2025-01-05", "ada", 10_000),
        buy("2025-02-05", "ada", -5_000),
        buy("2025-01-06", "bo", 10_000),
        buy("2025-01-06", "cy", 5_000),
    )
    table = top_payers(paid, 2)
    assert column(table, "payer") == ["bo", "ada"]  # ada before cy, in order of names
    assert column(table, "rank") == [1, 2]
    assert column(table, "net_cents") == [9_000, 4_500]
    assert column(table, "share") == [0.5, 0.25]
    assert column(top_payers(paid, since="2025-02"), "share") == [None]  # only a refund


def test_payers_without_payer_column_are_an_error():
    with pytest.raises(UserError, match=r"Cannot compute payers\(\): no field"):
        payers(ledger(buy("2025-01-05"), missing=["payer"]))


def test_currencies_are_separate():
    paid = ledger(buy("2025-01-10"), buy("2025-01-11", currency="EUR"), as_of="2025-01-31")
    assert column(payers(paid), "active_payers") == [1, 1]
    assert column(top_payers(paid), "share") == [1, 1]


def test_results_without_payments_have_no_rows():
    columns = ["period", "app", "currency", "active_payers", "new_payers", "returning_payers"]
    columns += ["revenue_cents", "arpp_cents", "state"]
    assert payers(ledger()).empty and payers(ledger()).columns.tolist() == columns
    columns = ["currency", "rank", "payer", "payments", "gross_cents", "refunds_cents", "fee_cents"]
    columns += ["net_cents", "share"]
    assert top_payers(ledger()).empty and top_payers(ledger()).columns.tolist() == columns


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda paid: payers(paid, unit="head"), 'unit .*"app" or "payer", not .head'),
        (lambda paid: payers(paid, basis="grand"), 'basis .*"gross" or "net", not .grand'),
        (lambda paid: top_payers(paid, 0), r"Invalid n: 0\. Pass the number of payers"),
    ],
)
def test_invalid_options_are_errors_that_show_valid_ones(call, message):
    with pytest.raises(UserError, match=message):
        call(ledger(buy("2025-01-10")))


@settings(deadline=None, max_examples=10)
@given(st.lists(sales, min_size=1, max_size=12))
def test_payers_add_up_and_each_is_new_once(rows):
    table = payers(ledger(*rows))
    total = table["new_payers"] + table["returning_payers"]
    assert (total == table["active_payers"]).all()
    sold = {(r["payer"], r["app"], r["currency"]) for r in rows if r["gross_cents"] > 0}
    assert table["new_payers"].sum() == len(sold)
    everybody = top_payers(ledger(*rows), 1000)
    assert sum(everybody["net_cents"]) == sum(row["net_cents"] for row in rows)
