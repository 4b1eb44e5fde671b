"""Ledgers: the same payments give the same ledger, whatever the names of their fields."""

import datetime as dt
import functools
import json
from decimal import Decimal

import pandas as pd
import pytest
from gateway import APP, TOKEN, Gateway, as_json
from hypothesis import given, settings
from hypothesis import strategies as st

import cpsl
from cpsl_notebook import Client, UserError
from cpsl_notebook.earnings.ledger import column_values
from cpsl_notebook.earnings.ledger.amounts import cents
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS
from cpsl_notebook.earnings.ledger.roles import infer
from cpsl_notebook.frames import earnings_frame, payments_frame

PLAIN = [
    {
        "payment_id": f"pay_{number}",
        "paid_at": paid_at,
        "payer": payer,
        "kind": kind,
        "currency": "USD",
        "gross_cents": gross,
        "fee_cents": fee,
        "net_cents": gross - fee,
        "payout_state": state,
        "payout_id": payout,
        "subscription_id": subscription,
    }
    for number, (paid_at, payer, kind, gross, fee, state, payout, subscription) in enumerate(
        [
            (
                "2026-01-31T09:00:00Z",
                "ada@a.example",
                "monthly",
                1500,
                150,
                "Paid out",
                "po1",
                "s1",
            ),
            ("2026-02-03T10:30:00Z", "bob@b.example", "one_time", 4900, 490, "Failed", None, None),
            (
                "2026-02-28T09:00:01Z",
                "ada@a.example",
                "monthly",
                1500,
                150,
                "Paid out",
                "po2",
                "s1",
            ),
            (
                "2026-03-02T00:00:00Z",
                "eve@e.example",
                "one_time",
                4900,
                490,
                "In progress",
                None,
                None,
            ),
            ("2026-03-05T12:00:00Z", "bob@b.example", "one_time", -4900, -490, "Held", None, None),
        ]
    )
]


@pytest.fixture
def gateway():
    with Gateway() as started:
        yield started


def camel_case(row):
    return {
        "id": row["payment_id"],
        "paidAt": row["paid_at"].replace("Z", ".000+00:00"),
        "customerEmail": row["payer"],
        "pricingType": row["kind"].replace("one_time", "oneTime"),
        "currencyCode": "usd",
        "grossAmountCents": row["gross_cents"],
        "platformFeeCents": row["fee_cents"],
        "developerShareCents": row["net_cents"],
        "payoutStatus": row["payout_state"],
        "payoutId": row["payout_id"],
        "subscriptionId": row["subscription_id"],
    }


def nested(row):
    return {
        "id": row["payment_id"],
        "created_at": row["paid_at"],
        "customer": {"email": row["payer"], "name": {"first": "A", "last": "B"}},
        "plan": {"interval": row["kind"]},
        "amounts": {
            "currency": "USD",
            "cents": {
                "gross": row["gross_cents"],
                "fee": row["fee_cents"],
                "net": row["net_cents"],
            },
        },
        "payout": {"state": row["payout_state"], "id": row["payout_id"]},
        "subscription": {"id": row["subscription_id"]} if row["subscription_id"] else None,
    }


def epochs(row):
    return {
        "transaction_id": row["payment_id"],
        "timestamp": int(dt.datetime.fromisoformat(row["paid_at"]).timestamp()) * 1000,
        "buyer": row["payer"],
        "billing_type": {"monthly": "Monthly", "one_time": "One-time"}[row["kind"]],
        "currency": "USD",
        "amount_cents": row["gross_cents"],
        "fee_cents": row["fee_cents"],
        "net_cents": row["net_cents"],
        "transfer_status": row["payout_state"].lower().replace(" ", "_"),
        "transfer_id": row["payout_id"],
        "subscription": row["subscription_id"],
    }


def strings(row):
    def money(cents):
        return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"

    return {
        "payment_id": row["payment_id"],
        "date": row["paid_at"],
        "user_id": row["payer"],
        "type": row["kind"],
        "currency": "USD",
        "total": money(row["gross_cents"]),
        "fees": money(row["fee_cents"]),
        "earned": money(row["net_cents"]),
        "payout_status": row["payout_state"],
        "payout_ref": row["payout_id"],
        "sub_id": row["subscription_id"],
    }


def missing_fields(row):
    return {
        name: value
        for name, value in row.items()
        if name not in ("currency", "net_cents") and value is not None
    }


STYLES = [camel_case, nested, epochs, strings, missing_fields]


def payments(style=None, rows=PLAIN):
    frame = payments_frame([("shop", [style(row) if style else row for row in rows])])
    frame.attrs["prices"] = json.dumps({"shop": 4900})
    return frame


def types(df):
    return {name: str(dtype) for name, dtype in df.dtypes.items()}


@pytest.mark.parametrize("style", STYLES)
def test_naming_styles_give_same_ledger(style):
    plain, styled = payments().capsule.ledger(), payments(style).capsule.ledger()
    # Payout states that the service does not document keep their spelling.
    styled["payout_state"] = styled["payout_state"].cat.rename_categories(
        lambda state: "Held" if state == "held" else state
    )
    assert styled.astype(object).equals(plain.astype(object))
    assert types(styled) == types(plain) == COLUMNS | DETAILS


@functools.cache
def plain_answers():
    names = ("revenue", "payers", "top_payers", "mrr", "churn", "cohorts")
    return {name: getattr(payments().capsule, name)(tz="Europe/Berlin") for name in names}


@pytest.mark.parametrize("style", STYLES)
def test_naming_styles_give_same_answers(style):
    plain, styled = payments().capsule, payments(style).capsule
    for name, ours in plain_answers().items():
        assert len(ours) and ours.equals(getattr(styled, name)(tz="Europe/Berlin")), name
    shown = styled.payouts(tz="Europe/Berlin")
    shown["payout_state"] = shown["payout_state"].replace("held", "Held")
    shown = shown.sort_values("payout_state", ignore_index=True)
    assert shown.equals(plain.payouts(tz="Europe/Berlin"))
    for answer in ("revenue", "mrr"):
        mine, theirs = (getattr(each, answer)(as_of="2026-04") for each in (plain, styled))
        pd.testing.assert_frame_equal(theirs, mine)
    summary = earnings_frame([("shop", {"gross_cents": 7900, "fee_cents": 790, "net_cents": 7110})])
    ours, theirs = (
        found[found["severity"].isin(["error", "information"])].reset_index(drop=True)
        for found in (plain.reconcile(summary), styled.reconcile(summary))
    )
    assert ours["check"].tolist() == ["negatives"] and ours.equals(theirs)


PAYMENTS = st.fixed_dictionaries(
    {
        "paid_at": st.datetimes(dt.datetime(2025, 1, 1), dt.datetime(2026, 6, 30)).map(
            lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
        "payer": st.sampled_from(["ada@a.example", "bob@b.example", "eve@e.example"]),
        "kind": st.sampled_from(["monthly", "one_time"]),
        "gross_cents": st.integers(1, 10**7),
        "payout_state": st.sampled_from(["Paid out", "Needs onboarding", "In progress", "Failed"]),
        "payout_id": st.sampled_from(["po1", "po2"]),
        "subscription_id": st.sampled_from(["s1", "s2"]),
    }
)


@settings(deadline=None, max_examples=15)
@given(st.lists(PAYMENTS, min_size=1, max_size=12))
def test_naming_styles_give_same_ledger_for_random_payments(rows):
    for number, row in enumerate(rows):
        fee = row["gross_cents"] // 10
        row |= {"payment_id": f"pay_{number}", "currency": "USD", "fee_cents": fee}
        row["net_cents"] = row["gross_cents"] - fee
    plain = build(payments(rows=rows)).rows
    for style in STYLES:
        styled = build(payments(style, rows), amounts="currency").rows
        pd.testing.assert_frame_equal(styled, plain)


def test_empty_frame_has_empty_ledger_of_same_types():
    assert types(payments_frame([("shop", [])]).capsule.ledger()) == COLUMNS | DETAILS


def test_roles_are_shown_and_can_be_set():
    frame = payments_frame([("shop", [{"created": "2026-01-01", "total": 15, "amount": 15}])])
    shown = frame.capsule.roles.set_index("role")
    assert shown.loc["time", "column"] == "created"
    assert shown.loc["gross", "note"] == "`total`, `amount` fit the role gross equally well"
    with pytest.raises(UserError, match="gross amount: `total`, `amount` fit the role gross"):
        frame.capsule.ledger(amounts="cents")
    known = frame.capsule.declare(roles={"gross": "total"}, amounts="currency")
    assert known.capsule.roles.set_index("role").loc["gross", "column"] == "total"
    assert known.capsule.ledger()["gross_cents"].tolist() == [1500]
    assert frame.capsule.ledger(roles={"gross": "total"}, amounts="cents")["gross_cents"][0] == 15
    assert "roles" not in frame.attrs


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"grand": "total"}, "Unknown role: 'grand'. The roles are id, app, time"),
        (
            {"gross": "sum"},
            "no column 'sum' for the role gross. Columns: `app`, `created`, `total`",
        ),
    ],
)
def test_unknown_role_or_column_is_an_error(roles, message):
    frame = payments_frame([("shop", [{"created": "2026-01-01", "total": 15}])])
    with pytest.raises(UserError, match=message):
        frame.capsule.declare(roles=roles)


def test_missing_time_is_an_error_that_lists_columns():
    frame = payments_frame([("shop", [{"amount_cents": 15, "note": "a"}])])
    with pytest.raises(
        UserError, match=r"needs the paid_at: no column fits the role time.*`app`, `amount_"
    ):
        frame.capsule.ledger()


def priced(amounts, price):
    rows = [{"paid_at": "2026-01-01", "amount": amount} for amount in amounts]
    frame = payments_frame([("shop", rows)])
    frame.attrs["prices"] = json.dumps({"shop": price})
    return frame


@pytest.mark.parametrize(
    ("amounts", "price", "cents"),
    [
        ([1500, 1500, 900], 1500, [1500, 1500, 900]),
        ([15, 15, 9], 1500, [1500, 1500, 900]),
        ([15.0, 14.99], 1499, [1500, 1499]),
        (["15.00", "-3.5"], 1500, [1500, -350]),
    ],
)
def test_price_decides_unit_of_amounts(amounts, price, cents):
    assert priced(amounts, price).capsule.ledger()["gross_cents"].tolist() == cents


@pytest.mark.parametrize(
    ("amounts", "price"),
    [([1500, 15], 1500), ([20, 20, 15], 1500), ([7], 1500), ([1500], 0), ([-15], 1500), ([], 1500)],
)
def test_undecided_unit_is_an_error(amounts, price):
    frame = priced(amounts, price)
    if amounts:
        with pytest.raises(
            UserError, match=r'`amount` are cents or currency.*declare\(amounts="cents"'
        ):
            frame.capsule.ledger()
    factor = {"cents": 1, "currency": 100}
    for unit in factor:
        read = frame.capsule.ledger(amounts=unit)["gross_cents"].tolist()
        assert read == [amount * factor[unit] for amount in amounts]


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=6), st.booleans())
def test_cents_are_exact_up_to_64_bits(amounts, as_strings):
    rows = [
        {"paid_at": "2026-01-01", "amount_cents": str(amount) if as_strings else amount}
        for amount in amounts
    ]
    ledger = payments_frame([("shop", rows)]).capsule.ledger()
    assert ledger["gross_cents"].tolist() == amounts


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(-(10**11), 10**11), min_size=1, max_size=6), st.booleans())
def test_currency_is_exact_from_floats_and_strings(cents, as_strings):
    amounts = [f"{cent / 100:.2f}" if as_strings else cent / 100 for cent in cents]
    rows = [{"paid_at": "2026-01-01", "amount": amount} for amount in amounts]
    ledger = payments_frame([("shop", rows)]).capsule.ledger(amounts="currency")
    assert ledger["gross_cents"].tolist() == cents


def test_unreadable_values_give_one_warning_or_an_error_if_strict():
    rows = [{"paid_at": "2026-01-01", "amount_cents": amount} for amount in (15, "a lot", 1.5, "x")]
    frame = payments_frame([("shop", rows)])
    with pytest.warns(UserWarning, match="3 of gross_cents") as raised:
        assert frame.capsule.ledger()["gross_cents"].isna().tolist() == [False, True, True, True]
    assert len(raised) == 1
    with pytest.raises(UserError, match="3 of gross_cents"):
        frame.capsule.ledger(strict=True)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2026-01-31T12:00:00+02:00", "soon"], ["2026-01-31T10:00:00+00:00", None]),
        (pd.to_datetime(["2026-01-31 12:00", None]), ["2026-01-31T12:00:00+00:00", None]),
        ([1769860800, 5], [None, None]),
    ],
)
def test_times_of_other_frames_are_converted_to_utc(times, expected):
    converted = column_values.times(pd.Series(times))
    assert str(converted.dtype) == "datetime64[us, UTC]"
    assert [None if pd.isna(time) else time.isoformat() for time in converted] == expected


def test_amounts_of_other_frames_are_exact_or_missing():
    amounts = [Decimal("15.00"), 15, "15.005", True, [15], "1e400", "", None, 2**62]
    found = cents(pd.Series(amounts, dtype=object), "currency")
    assert found.tolist() == [1500, 1500, *[pd.NA] * 7]
    large = cents(pd.Series([2**62, 1], dtype="Int64"), "currency")
    assert large.tolist() == [pd.NA, 100] and str(large.dtype) == "Int64"


def test_types_that_no_role_has_are_not_taken():
    frame = pd.DataFrame({"app": ["shop"], "paid": [True], "user": [1.5], "fee": [1]})
    frame["paid_on"] = pd.to_datetime(["2026-01-31"])
    frame["net"] = pd.Series(["5"], dtype="category")
    assert infer(frame).columns == {"app": "app", "time": "paid_on", "fee": "fee"}


def test_wrappers_and_units_in_names_do_not_count():
    frame = pd.DataFrame({"app": ["shop"], "data.payment.gross": [1500], "cents": [1], "usd": [1]})
    assert infer(frame).columns == {"app": "app", "gross": "data.payment.gross"}


def test_missing_amount_is_derived_from_other_two():
    for absent in ("gross_cents", "fee_cents", "net_cents"):
        rows = [{name: value for name, value in row.items() if name != absent} for row in PLAIN]
        ledger = build(payments(rows=rows))
        assert ledger.rows[absent].tolist() == build(payments()).rows[absent].tolist()
        assert absent not in ledger.missing and ledger.derived == {absent}


def test_unsigned_refund_becomes_negative():
    row = PLAIN[0] | {"kind": "Refund"}
    ledger = payments(rows=[row, row | {"gross_cents": -1500, "fee_cents": -150}]).capsule.ledger()
    assert ledger["gross_cents"].tolist() == [-1500, -1500]
    assert ledger["fee_cents"].tolist() == [-150, -150]
    assert set(ledger["kind"]) == {"refund"}


def test_unpaid_payments_are_left_out_and_unknown_status_is_an_error():
    rows = [row | {"status": "succeeded"} for row in PLAIN]
    rows[1]["status"], rows[3]["status"] = "failed", "requires_action"
    ledger = build(payments(rows=rows))
    assert ledger.rows["payment_id"].tolist() == ["pay_0", "pay_2", "pay_4"]
    assert [note["finding"] for note in ledger.notes] == [
        "1 payment with the status failed, never paid",
        "1 payment with the status requires_action, never paid",
    ]
    rows[0]["status"] = "disputed"
    with pytest.raises(UserError, match="Unknown payment status: `disputed`"):
        build(payments(rows=rows))
    assert len(build(payments(rows=rows), roles={"payment_status": None}).rows) == 5


def test_status_with_payout_values_is_payout_state():
    rows = [
        {"paid_at": "2026-01-01", "net_cents": 9, "amount_cents": 10, "status": status}
        for status in ("Paid out", "In progress", "Failed")
    ]
    frame = payments_frame([("shop", rows)])
    assert frame.capsule.ledger()["payout_state"].tolist() == ["Paid out", "In progress", "Failed"]
    assert len(build(frame).rows) == 3


def test_client_reads_prices_only_if_unit_is_unclear(gateway):
    rows = [{"paid_at": "2026-01-01T00:00:00Z", "amount": 15}]
    gateway.on("list_payments", as_json(rows), as_json([{"amount_cents": 15}]))
    gateway.on("get_app", as_json({"id": APP, "name": "shop", "price_in_cents": 1500}))
    with Client(cpsl.Client(token=TOKEN, gateway_url=gateway.url)) as client:
        frame = client.list_payments(APP)
        assert frame.capsule.ledger()["gross_cents"].tolist() == [1500]
        assert "prices" not in client.list_payments(APP).attrs
    assert gateway.count("get_app") == 1


def test_as_of_day_means_its_end_in_zone():
    frame = payments()
    assert len(build(frame, as_of="2026-02-28").rows) == 3
    assert len(build(frame, as_of="2026-02-28 09:00:01").rows) == 2
    # 2 March, 00:00 UTC, is still 1 March in New York, and is 2 March in Berlin.
    assert len(build(frame, as_of="2026-03-01", tz="America/New_York").rows) == 4
    assert len(build(frame, as_of="2026-03-01", tz="Europe/Berlin").rows) == 3


def test_as_of_month_means_its_end_and_time_means_itself():
    frame = payments()
    assert len(build(frame, as_of="2026-02").rows) == 3
    assert len(build(frame, as_of="2026").rows) == 5
    assert len(build(frame, as_of=dt.date(2026, 2, 28)).rows) == 3
    assert len(build(frame, as_of=pd.Period("2026-02")).rows) == 3
    assert len(build(frame, as_of=dt.datetime(2026, 2, 28)).rows) == 2
    assert build(frame, as_of="2026-02", tz="Europe/Berlin").as_of == pd.Timestamp(
        "2026-02-28 23:00", tz="UTC"
    )


@pytest.mark.parametrize("value", ["soon", "10/11/2026", "2026-13", "2026-02-30", "0026", pd.NaT])
def test_invalid_as_of_is_an_error_that_shows_valid_forms(value):
    with pytest.raises(UserError, match=r"Invalid date or time: .* Write it as '2026-10', '2026"):
        build(payments(), as_of=value)


def test_as_of_after_reading_is_an_error():
    frame = payments()
    frame.attrs["read_at"] = "2026-03-10T08:00:00+00:00"
    assert build(frame).as_of == pd.Timestamp("2026-03-10 08:00", tz="UTC")
    assert build(frame, as_of="2026-03-10").as_of == pd.Timestamp("2026-03-10 08:00", tz="UTC")
    with pytest.raises(UserError, match=r"were read at 2026-03-10 08:00 UTC\. Read them again"):
        build(frame, as_of="2026-03-11")
    # The month of the reading is not over, so the ledger ends at the reading.
    assert build(frame, as_of="2026-03").as_of == pd.Timestamp("2026-03-10 08:00", tz="UTC")
    with pytest.raises(UserError, match="Read them again"):
        build(frame, as_of="2026-04")


def test_frame_from_parquet_has_same_ledger(tmp_path):
    frame = payments().capsule.declare(roles={"payout_id": None})
    frame.to_parquet(tmp_path / "payments.parquet")
    again = pd.read_parquet(tmp_path / "payments.parquet")
    assert again.attrs == frame.attrs
    assert again.capsule.ledger().equals(frame.capsule.ledger())
    assert "payout_id" in build(again).missing


def test_ledger_of_ledger_is_unchanged():
    ledger = payments(camel_case).capsule.ledger()
    assert ledger.capsule.ledger().equals(ledger)


@pytest.mark.parametrize("step", [1, -1])
def test_payments_of_the_same_time_are_in_order_of_their_ids(step):
    given = [("c", 2), ("a", 2), (None, 2), ("b", 2), ("e", 1), ("d", 3), ("f", 3)]
    rows = [
        {
            "payment_id": name,
            "paid_at": f"2026-01-0{day}T12:00:00Z",
            "gross_cents": 1,
            "fee_cents": 0,
        }
        for name, day in given
    ]
    ids = payments_frame([("shop", rows[::step])]).capsule.ledger()["payment_id"]
    assert ids.fillna("-").tolist() == ["e", "a", "b", "c", "-", "d", "f"]


@settings(deadline=None, max_examples=8)
@given(st.permutations(PLAIN))
def test_order_of_payments_does_not_change_ledger(rows):
    assert payments(rows=rows).capsule.ledger().equals(payments().capsule.ledger())
