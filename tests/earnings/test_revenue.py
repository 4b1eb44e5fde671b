"""Revenue of ledgers whose numbers are computed by hand."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import at, buy, by_month, column, ledger, pay
from strategies import sales

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.revenue import compute_revenue as revenue

TYPES = {
    "period": "datetime64[us]",
    "app": "category",
    "kind": "category",
    "currency": "category",
    "payments": "Int64",
    "gross_cents": "Int64",
    "refunds_cents": "Int64",
    "fee_cents": "Int64",
    "net_cents": "Int64",
    "state": "category",
}


def types(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_sales_refunds_and_fees_add_up_to_net():
    # January: $49.00 - $4.90 fee = $44.10. In March, $10.00 of it and $1.00 of the fee are
    # refunded: -$10.00 + $1.00 = -$9.00. February is empty.
    table = revenue(ledger(buy("2025-01-10"), buy("2025-03-05", gross=-1000), as_of="2025-04-20"))
    january, february, march, april = table.to_dict("records")
    assert january["gross_cents"] == 4900 and january["refunds_cents"] == 0
    assert january["fee_cents"] == 490 and january["net_cents"] == 4410
    assert (february["payments"], february["gross_cents"], february["net_cents"]) == (0, 0, 0)
    assert march["gross_cents"] == 0 and march["refunds_cents"] == -1000
    assert march["fee_cents"] == -100 and march["net_cents"] == -900
    assert april["net_cents"] == 0
    assert column(table, "payments") == [1, 0, 0, 0]
    assert types(table) == TYPES


def test_refunds_are_negative_amounts_or_of_kind_refund():
    table = revenue(
        ledger(
            buy("2025-01-10", gross=4900),
            buy("2025-01-11", gross=-500),
            pay("2025-01-12", gross=-700, kind="refund"),
            as_of="2025-01-31",
        )
    )
    assert column(table, "refunds_cents", kind="one_time") == [-500]
    assert column(table, "refunds_cents", kind="refund") == [-700]
    assert column(table, "payments", kind="refund") == [0]  # it is not a sale


def test_last_second_of_a_month_counts_in_the_time_zone():
    # 23:59:59 on 31 October in New York is 03:59:59 on 1 November in UTC.
    paid = ledger(buy("2025-10-31T23:59:59-04:00"), as_of="2025-12-31")
    assert by_month(revenue(paid), "gross_cents") == {"2025-11": 4900}
    assert by_month(revenue(paid, tz="America/New_York"), "gross_cents") == {"2025-10": 4900}


def test_days_of_23_and_25_hours_are_one_day_each():
    # Summer time in Berlin was from 30 March to 26 October 2025.
    hours = ["03-29T23:00Z", "03-30T21:59Z", "03-30T22:00Z", "10-25T22:00Z", "10-26T22:59Z"]
    paid = ledger(*(buy(f"2025-{hour}", gross=100) for hour in hours), as_of="2025-11-01")
    days = revenue(paid, "D", tz="Europe/Berlin")
    found = days[days["gross_cents"] > 0]
    assert found["period"].dt.strftime("%m-%d").tolist() == ["03-30", "03-31", "10-26"]
    assert column(found, "gross_cents") == [200, 100, 200]


@pytest.mark.parametrize(
    ("freq", "first", "count"),
    [
        ("D", "2024-02-28", 3),  # 28 and 29 February, 1 March
        ("W", "2024-02-26", 1),  # Monday to Sunday
        ("MS", "2024-02-01", 2),
        ("QS", "2024-01-01", 1),
        ("YS", "2024-01-01", 1),
    ],
)
def test_periods_are_named_by_their_first_day(freq, first, count):
    days = ("2024-02-28", "2024-02-29", "2024-03-01")  # a leap year
    table = revenue(ledger(*map(buy, days), as_of="2024-03-01"), freq)
    assert len(table) == count
    assert table["period"].iloc[0] == pd.Timestamp(first)
    assert table["gross_cents"].sum() == 3 * 4900


def test_state_is_running_then_provisional_then_final():
    paid = ledger(buy("2025-10-10"))
    for as_of, state in [
        ("2025-10-31T23:59:59Z", "running"),
        ("2025-10-31", "provisional"),  # a date is the end of that day
        ("2025-11-15T23:59:59Z", "provisional"),
        ("2025-11-15", "final"),
        ("2025-10", "provisional"),  # a month is the end of that month
        ("2025", "final"),
    ]:
        assert column(revenue(at(paid, as_of)), "state")[0] == state


def test_as_of_a_date_includes_that_day_in_the_time_zone():
    paid = ledger(buy("2025-10-31T22:59:59Z"), buy("2025-10-31T23:00:00Z"))
    assert revenue(at(paid, "2025-10-31"))["payments"].sum() == 2
    assert revenue(at(paid, "2025-10-31", "Europe/Berlin"))["payments"].sum() == 1
    assert revenue(at(paid, pd.Timestamp("2025-10-31").date()))["payments"].sum() == 2


def test_since_hides_earlier_periods():
    paid = ledger(buy("2025-01-10"), buy("2025-03-10"), as_of="2025-03-31")
    shown = revenue(paid, since="2025-02")["period"]
    assert shown.dt.strftime("%m").tolist() == ["02", "03"]


def test_currencies_are_separate():
    paid = ledger(buy("2025-01-10"), buy("2025-01-11", currency="EUR"), as_of="2025-01-31")
    assert column(revenue(paid), "gross_cents") == [4900, 4900]


def test_sum_with_a_missing_amount_is_missing():
    rows = [buy("2025-01-10"), buy("2025-01-11", fee_cents=None), buy("2025-02-01")]
    table = revenue(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "fee_cents") == [None, 490]
    assert column(table, "gross_cents") == [9800, 4900]
    without = revenue(ledger(*rows, as_of="2025-02-28", missing=["fee_cents"]))
    assert column(without, "fee_cents") == [None, None]


def test_results_without_payments_keep_column_types():
    assert types(revenue(ledger())) == TYPES


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda paid: revenue(paid, "M"), "freq .*one of D, W, MS, QS, YS, not 'M'"),
        (lambda paid: revenue(paid, tz="Mars"), "Unknown time zone: 'Mars'"),
        (lambda paid: revenue(paid, since="soon"), "'soon'"),
    ],
)
def test_invalid_options_are_errors_that_show_valid_ones(call, message):
    with pytest.raises(UserError, match=message):
        call(ledger(buy("2025-01-10")))


def test_payment_without_time_is_an_error_with_its_id():
    with pytest.raises(UserError, match="p1"):
        revenue(ledger(buy("2025-01-10"), buy(None)))


CENTS = ["gross_cents", "refunds_cents", "fee_cents", "net_cents"]


@settings(deadline=None, max_examples=10)
@given(st.lists(sales, max_size=12), st.sampled_from(["D", "W", "MS", "QS", "YS"]))
def test_revenue_adds_up_to_the_payments(rows, freq):
    # Integers of Python are exact, so any intermediate float would make a difference.
    table = revenue(ledger(*rows), freq)
    for app in ("shop", "school"):
        for currency in ("USD", "EUR"):
            own = [row for row in rows if (row["app"], row["currency"]) == (app, currency)]
            part = table[(table["app"] == app) & (table["currency"] == currency)]
            stated = {name: sum(map(int, part[name])) for name in CENTS}
            assert stated["net_cents"] == sum(row["net_cents"] for row in own)
            assert stated["fee_cents"] == sum(row["fee_cents"] for row in own)
            gross = stated["gross_cents"] + stated["refunds_cents"]
            assert gross == sum(row["gross_cents"] for row in own)
    whole = table["gross_cents"] + table["refunds_cents"] - table["fee_cents"]
    assert (whole == table["net_cents"]).all()
