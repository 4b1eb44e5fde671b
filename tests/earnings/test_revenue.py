"""Revenue and payers, from ledgers whose every figure is worked out by hand."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import at, buy, by_month, column, ledger, pay

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.payers import payers, top_payers
from cpsl_notebook.earnings.metrics.revenue import revenue

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


def test_sales_refunds_and_fees_stand_apart_and_add_up_to_the_net():
    # January: $49.00 - $4.90 fee = $44.10. A part of it, $10.00, goes back in March, and $1.00 of
    # the fee with it: -$10.00 - -$1.00 = -$9.00. February is empty: zeros.
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


def test_a_refund_is_a_negative_amount_or_a_row_of_that_kind():
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
    assert column(table, "payments", kind="refund") == [0]  # it is no sale


def test_the_last_second_of_a_month_belongs_to_the_month_of_the_zone():
    # 23:59:59 on 31 October in New York is 03:59:59 on 1 November in UTC.
    paid = ledger(buy("2025-10-31T23:59:59-04:00"), as_of="2025-12-31")
    assert by_month(revenue(paid), "gross_cents") == {"2025-11": 4900}
    assert by_month(revenue(paid, tz="America/New_York"), "gross_cents") == {"2025-10": 4900}


def test_a_day_of_23_hours_and_one_of_25_are_each_one_day():
    # Berlin went to summer time on 30 March 2025, and back on 26 October 2025.
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
def test_a_period_is_named_by_its_first_day(freq, first, count):
    days = ("2024-02-28", "2024-02-29", "2024-03-01")  # a leap year
    table = revenue(ledger(*map(buy, days), as_of="2024-03-01"), freq)
    assert len(table) == count
    assert table["period"].iloc[0] == pd.Timestamp(first)
    assert table["gross_cents"].sum() == 3 * 4900


def test_a_month_is_running_then_provisional_for_15_days_then_final():
    paid = ledger(buy("2025-10-10"))
    for as_of, state in [
        ("2025-10-31T23:59:59Z", "running"),
        ("2025-10-31", "provisional"),  # a date is the end of that day
        ("2025-11-15T23:59:59Z", "provisional"),
        ("2025-11-15", "final"),
        ("2025-10", "provisional"),  # and a month the end of that month
        ("2025", "final"),
    ]:
        assert column(revenue(at(paid, as_of)), "state")[0] == state


def test_as_of_a_date_knows_what_was_paid_on_that_day_in_the_zone_and_nothing_later():
    paid = ledger(buy("2025-10-31T22:59:59Z"), buy("2025-10-31T23:00:00Z"))
    assert revenue(at(paid, "2025-10-31"))["payments"].sum() == 2
    assert revenue(at(paid, "2025-10-31", "Europe/Berlin"))["payments"].sum() == 1
    assert revenue(at(paid, pd.Timestamp("2025-10-31").date()))["payments"].sum() == 2


def test_what_lies_before_since_is_not_shown():
    paid = ledger(buy("2025-01-10"), buy("2025-03-10"), as_of="2025-03-31")
    shown = revenue(paid, since="2025-02")["period"]
    assert shown.dt.strftime("%m").tolist() == ["02", "03"]


def test_currencies_are_never_added():
    paid = ledger(buy("2025-01-10"), buy("2025-01-11", currency="EUR"), as_of="2025-01-31")
    assert column(revenue(paid), "gross_cents") == [4900, 4900]
    assert column(payers(paid), "active_payers") == [1, 1]
    assert column(top_payers(paid), "share") == [1, 1]


def test_a_sum_of_which_a_part_is_missing_is_missing():
    rows = [buy("2025-01-10"), buy("2025-01-11", fee_cents=None), buy("2025-02-01")]
    table = revenue(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "fee_cents") == [None, 490]
    assert column(table, "gross_cents") == [9800, 4900]
    without = revenue(ledger(*rows, as_of="2025-02-28", missing=["fee_cents"]))
    assert column(without, "fee_cents") == [None, None]


def test_without_payments_there_are_the_columns_with_their_types():
    assert types(revenue(ledger())) == TYPES
    assert payers(ledger()).empty and top_payers(ledger()).empty


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda paid: revenue(paid, "M"), "freq is one of D, W, MS, QS, YS, not 'M'"),
        (lambda paid: revenue(paid, tz="Mars"), "no time zone 'Mars'"),
        (lambda paid: revenue(paid, since="soon"), "'soon' is no moment"),
        (lambda paid: payers(paid, unit="head"), "unit is"),
        (lambda paid: payers(paid, basis="grand"), "basis is"),
        (lambda paid: top_payers(paid, 0), r"how many to show, such as 10, not 0"),
    ],
)
def test_what_cannot_be_understood_is_an_error_that_says_what_can(call, said):
    with pytest.raises(UserError, match=said):
        call(ledger(buy("2025-01-10")))


def test_a_payment_without_a_time_is_an_error_that_names_it():
    with pytest.raises(UserError, match="When was p1 paid"):
        revenue(ledger(buy("2025-01-10"), buy(None)))


def test_payers_are_new_once_and_returning_after():
    # January: ada and bo, both new, bo buys twice: 3 sales, $147.00 / 2 = $73.50.
    # February: nobody; no average. March: ada returns and cy is new: $98.00 / 2 = $49.00.
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


def test_a_month_in_which_a_payer_was_only_refunded_has_no_active_payer():
    # January: $49.00 less a tenth. February: $10.00 of it goes back, and $1.00 of the fee.
    rows = [buy("2025-01-05"), buy("2025-02-05", gross=-1000)]
    table = payers(ledger(*rows, as_of="2025-02"), basis="net")
    assert column(table, "active_payers") == [1, 0]
    assert column(table, "revenue_cents") == [4410, -900]
    assert column(table, "arpp_cents") == [4410, None]


def test_an_average_is_rounded_half_up_to_a_cent():
    # $1.00 and $0.01 from two payers: 50.5 cents each.
    paid = ledger(buy("2025-01-05", "ada", 100), buy("2025-01-05", "bo", 1), as_of="2025-01-31")
    assert column(payers(paid), "arpp_cents") == [51]


def test_a_payer_of_two_apps_counts_in_both_or_once():
    paid = ledger(buy("2025-01-05"), buy("2025-01-06", app="school"), as_of="2025-01-31")
    assert column(payers(paid), "active_payers") == [1, 1]
    assert column(payers(paid, unit="payer"), "active_payers") == [1]


def test_of_a_part_of_the_payments_who_is_new_is_not_known():
    table = payers(ledger(buy("2025-01-05"), as_of="2025-01-31", cut="2025-01-01T00:00:00Z/"))
    assert column(table, "active_payers") == [1]
    assert column(table, "new_payers") == column(table, "returning_payers") == [None]


def test_top_payers_are_those_with_the_highest_net_and_their_share_of_all():
    # Net: ada $90 - $45 refunded = $45, bo $90, cy $45; together $180.
    paid = ledger(
        buy("2025-01-05", "ada", 10_000),
        buy("2025-02-05", "ada", -5_000),
        buy("2025-01-06", "bo", 10_000),
        buy("2025-01-06", "cy", 5_000),
    )
    table = top_payers(paid, 2)
    assert column(table, "payer") == ["bo", "ada"]  # ada before cy: by name
    assert column(table, "rank") == [1, 2]
    assert column(table, "net_cents") == [9_000, 4_500]
    assert column(table, "share") == [0.5, 0.25]
    assert column(top_payers(paid, since="2025-02"), "share") == [None]  # only a refund


def test_without_a_field_for_the_payer_it_says_how_to_name_one():
    with pytest.raises(UserError, match=r"payers\(\) cannot be answered: no field"):
        payers(ledger(buy("2025-01-05"), missing=["payer"]))


sales = st.builds(
    lambda day, payer, gross, app, currency: buy(
        pd.Timestamp("2024-01-01") + pd.Timedelta(hours=day),
        payer,
        gross,
        app=app,
        currency=currency,
    ),
    st.integers(0, 24 * 500),
    st.sampled_from("abc"),
    st.integers(-(10**12), 10**12) | st.integers(2**53, 2**57),
    st.sampled_from(["shop", "school"]),
    st.sampled_from(["USD", "EUR"]),
)
CENTS = ["gross_cents", "refunds_cents", "fee_cents", "net_cents"]


@settings(deadline=None, max_examples=10)
@given(st.lists(sales, max_size=12), st.sampled_from(["D", "W", "MS", "QS", "YS"]))
def test_the_parts_add_up_to_the_whole(rows, freq):
    # Python's integers are exact whatever their size; a float on the way would show.
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


@settings(deadline=None, max_examples=10)
@given(st.lists(sales, min_size=1, max_size=12))
def test_payers_add_up_and_everybody_is_new_once(rows):
    table = payers(ledger(*rows))
    total = table["new_payers"] + table["returning_payers"]
    assert (total == table["active_payers"]).all()
    sold = {(r["payer"], r["app"], r["currency"]) for r in rows if r["gross_cents"] >= 0}
    assert table["new_payers"].sum() == len(sold)
    everybody = top_payers(ledger(*rows), 1000)
    assert sum(everybody["net_cents"]) == sum(row["net_cents"] for row in rows)
