"""The code in a message runs as it is written, and leads to the right number."""

import warnings

import pandas as pd
import pytest

import cpsl_notebook.earnings  # noqa: F401 - adds payments.capsule
from cpsl_notebook import UserError
from cpsl_notebook.frames import payments_frame

ROW = {
    "paid_at": "2026-01-01",
    "payer": "ada",
    "kind": "monthly",
    "gross_cents": 1500,
    "fee_cents": 150,
}
LATER = {"payer": "bo", "paid_at": "2026-01-05"}


def payments(*rows):
    rows = [{"payment_id": f"p{number}"} | row for number, row in enumerate(rows)]
    return payments_frame([("shop", rows)])


def message_of(frame, name="revenue", **options):
    with warnings.catch_warnings(), pytest.raises(UserError) as raised:
        warnings.simplefilter("ignore")
        getattr(frame.capsule, name)(**options)
    message = str(raised.value)
    assert "\n" not in message
    return message


def follow(message, frame, start, **placeholders):
    """Run the code of a message from *start* on, to the end of its last bracket."""
    code = message[message.index(start) :]
    for end in range(len(code), 0, -1):
        if code[end - 1] not in ")]":
            continue
        try:
            compiled = compile(code[:end], "advice", "exec")
        except SyntaxError:
            continue
        break
    source = code[:end]
    for name, value in placeholders.items():
        assert name in source
        source = source.replace(name, value)
    compiled = compile(source, "advice", "exec")
    names = {"payments": frame.copy(), "pd": pd}
    names["payments"].attrs = dict(frame.attrs)
    exec(compiled, names)
    return names["payments"]


def sums(frame):
    table = frame.capsule.revenue()
    return table["gross_cents"].sum(), table["refunds_cents"].sum()


TWICE = [ROW | {"payment_id": "p2"}, ROW | {"payment_id": "p2"}]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], (1500, 0)),
        ([ROW | {"payment_id": None}, ROW | {"payment_id": None} | LATER], (4500, 0)),
        (
            [
                ROW | {"payment_id": "p1"},
                ROW | {"payment_id": "p1", "gross_cents": -1500, "fee_cents": -150} | LATER,
            ],
            (3000, -1500),
        ),
        (
            [
                ROW | {"payment_id": "p1", "status": "failed"},
                ROW | {"payment_id": "p1", "status": "paid"} | LATER,
            ],
            (3000, 0),
        ),
        (
            [ROW | {"refunds": [{"amount_cents": 5}]}, ROW | {"payment_id": None} | LATER],
            (4500, -5),
        ),
    ],
    ids=["alone", "missing ids", "refund with the id", "failed attempt", "lists"],
)
@pytest.mark.parametrize("column", ["payment_id", "payment id", 'payment "id"'])
def test_copies_of_a_payment_are_dropped_and_nothing_else(others, expected, column):
    frame = payments(*others, *TWICE).rename(columns={"payment_id": column})
    message = message_of(frame)
    assert message.startswith(
        "1 row has the id of another payment of the app and would count twice, for example p2. "
        "Drop them with payments = payments["
    )
    assert sums(follow(message, frame, "payments = ")) == expected
    ignored = follow(message, frame, "payments = payments.capsule")
    assert sums(ignored)[0] == expected[0] + 1500


def test_rows_with_one_id_that_differ_are_shown():
    changed = payments(ROW, ROW | {"payment_id": "p0", "gross_cents": 900} | LATER, ROW)
    assert message_of(changed) == (
        "1 row has the id of another payment of the app and would count twice, for example p0. The "
        "rows differ in `paid_at`, `payer`, `gross_cents`: compare payments.iloc[[0, 1]], and leave "
        "out those that are wrong. If these are not ids of payments, use payments = "
        'payments.capsule.declare(roles={"id": None}).'
    )


@pytest.mark.parametrize("column", ["paid_at", "paid at"])
@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2026-01-31T23:30:00Z", "2026-02-05T00:00:00Z"], [1, 1]),
        (["2026-01-31 23:30", "2026-02-05T00:00:00.5+00:00"], [1, 1]),
        (["2026-02-01T00:30:00+01:00", "2026-02-05T00:00:00+00:00"], [1, 1]),
        (["31.01.2026 23:30", "05.02.2026 00:00"], [1, 1]),
        ([1769902200, 1770249600], [1, 1]),
        ([1769902200000, 1770249600000], [1, 1]),
    ],
    ids=["ISO", "mixed ISO", "several zones", "another format", "seconds", "milliseconds"],
)
def test_times_that_have_lost_their_type_are_converted(tmp_path, column, times, expected):
    file = tmp_path / "payments.csv"
    table = pd.DataFrame({"app": "shop", "payment_id": ["a", "b"], column: times, "gross_cents": 1})
    table.to_csv(file, index=False)
    frame = pd.read_csv(file)
    message = message_of(frame)
    what = "text" if isinstance(times[0], str) else "numbers"
    assert message.startswith(
        f"A ledger needs the paid_at: `{column}` holds {what} instead of times:"
    )
    read = follow(message, frame, f"payments['{column}'] = ")
    assert read.capsule.revenue()["payments"].tolist() == expected


def test_texts_that_are_not_times_are_named_and_can_be_left_out():
    frame = payments(ROW, ROW, ROW).assign(paid_at=["2026-01-01T00:00Z", "2026-01-02", "it's late"])
    message = message_of(frame)
    assert message.endswith('values such as "it\'s late" become missing.')
    read = follow(message, frame, "payments['paid_at'] = ")
    assert message_of(read).startswith("Payments without a readable time: 1, for example p2.")
    assert sums(read[read["paid_at"].notna()]) == (3000, 0)


def test_numbers_that_are_not_times_are_not_converted():
    message = message_of(payments(ROW).assign(paid_at=[46023.5]))
    assert message.endswith("numbers instead of times: convert `paid_at` to datetime64[us, UTC].")


def test_payment_without_time_and_id_has_no_example():
    frame = payments_frame([("shop", [ROW, ROW | {"paid_at": None}])])
    assert message_of(frame) == (
        "Payments without a readable time: 1. Correct the time, or leave those rows out."
    )


@pytest.mark.parametrize("name", ["revenue", "mrr", "churn", "payers"])
@pytest.mark.parametrize("by", ["app", "currency"])
def test_segment_that_the_result_has_anyway_is_omitted(name, by):
    frame = payments(ROW | {"currency": "EUR"})
    message = message_of(frame, name, by=by)
    assert message == f"The result has rows for each {by} already. Omit by='{by}'."
    assert getattr(frame.capsule, name)()["currency"].tolist()[0] == "EUR"


@pytest.mark.parametrize(
    ("name", "column"),
    [("revenue", "period"), ("mrr", "month"), ("churn", "month"), ("payers", "period")],
)
def test_segment_with_the_name_of_another_column_is_copied(name, column):
    frame = payments(ROW | {column: 'it\'s "new"'})
    message = message_of(frame, name, by=column)
    copied = follow(message, frame, 'payments["segment"] = ')
    table = getattr(copied.capsule, name)(by="segment")
    assert table["segment"].unique().tolist() == ['it\'s "new"']


def test_columns_about_refunds_get_a_role_or_are_ignored():
    frame = payments(ROW | {"refund note": "broken", "chargeback's code": 'a"b'}, ROW)
    message = message_of(frame)
    dispute = '{"dispute": "chargeback\'s code"}'
    assert dispute in message
    disputed = frame.capsule.declare(roles={"dispute": "chargeback's code", "refunded": None})
    assert sums(disputed) == (3000, -1500)
    assert '{"refunded": None, "dispute": None} to ignore' in message
    assert sums(frame.capsule.declare(roles={"refunded": None, "dispute": None})) == (3000, 0)


@pytest.mark.parametrize("word", ["refund", "dispute"])
def test_advice_about_one_column_names_only_its_role(word):
    message = message_of(payments(ROW | {f"{word}_note": "broken"}, ROW))
    role = {"refund": "refunded", "dispute": "dispute"}[word]
    assert message.endswith(f'{{"{role}": None}} to ignore `{word}_note`.')


def test_refund_status_of_unknown_meaning_is_an_error():
    frame = payments(ROW | {"refund note": "broken"}, ROW | {"refund note": "pending"})
    frame = frame.capsule.declare(roles={"refund_status": "refund note"})
    message = message_of(frame)
    assert message.startswith(
        "Unknown refund status: `broken`. Replace it with full, partial or none, or ignore the column"
    )
    assert sums(follow(message, frame, "payments = ")) == (3000, 0)
    frame["refund note"] = frame["refund note"].astype("string").replace("broken", "full")
    assert sums(frame) == (3000, -1500)


def test_refunded_amount_that_cannot_be_read_is_not_zero():
    frame = payments(ROW | {"refund note": "broken"}, ROW)
    frame = frame.capsule.declare(roles={"refunded": "refund note"})
    with pytest.warns(UserWarning, match=r"1 of refunded \(such as 'broken'\)"):
        table = frame.capsule.revenue()
    assert table["refunds_cents"].isna().tolist() == [False, True]


def test_columns_that_fit_a_role_equally_are_chosen_together():
    frame = payments(
        ROW | {"currency": "EUR", "currency_code": "EUR", "sub_id": "s", "sub_uid": "t"}
    )
    message = message_of(frame)
    assert message.endswith(
        'payments.capsule.declare(roles={"currency": "COLUMN", "subscription": "COLUMN"}).'
    )
    chosen = frame.capsule.declare(roles={"currency": "currency", "subscription": "sub_id"})
    assert chosen.capsule.revenue()["currency"].tolist() == ["EUR"]
    ignored = message_of(frame.drop(columns=["currency", "currency_code"]))
    assert ignored.endswith("None instead of a column ignores them.")


def test_status_can_be_replaced():
    frame = payments(ROW | {"status": "failed"}, ROW | {"status": "settled late"})
    assert "Replace it with paid or failed, leave those rows out" in message_of(frame)
    frame["status"] = frame["status"].astype("string").replace("settled late", "paid")
    assert sums(frame) == (1500, 0)


@pytest.mark.parametrize("missing", [None, " "])
def test_payments_without_a_kind_can_get_one(missing):
    frame = payments(ROW, ROW | {"kind": missing} | LATER)
    message = message_of(frame, "mrr")
    assert "one_time, monthly, yearly: (missing) (1)." in message
    named = follow(message, frame, "payments['kind'] = ", KIND="monthly")
    assert named.capsule.mrr()["closing_cents"].tolist()[0] == 3000


def test_rows_of_a_known_time_of_reading_keep_it_when_they_are_declared_complete():
    frame = payments(ROW, ROW | LATER, ROW | {"payer": "cy"})
    frame.attrs["read_at"] = "2026-03-10T00:00:00Z"
    message = message_of(frame[1:], "mrr")
    complete = follow(message, frame[1:], "payments = ")
    assert complete.attrs["read_at"] == "2026-03-10T00:00:00Z"
    assert complete.capsule.mrr()["closing_cents"].tolist()[0] == 3000


def test_time_of_reading_that_is_unknown_is_asked_for():
    frame = pd.DataFrame(payments(ROW, ROW | LATER).to_dict("list"))
    message = message_of(frame, "mrr")
    assert message.endswith("where TIME is when they were read, such as 2026-10-31 12:00.")
    complete = follow(message, frame, "payments = ", TIME="2026-02-01")
    assert complete.capsule.mrr()["closing_cents"].tolist()[0] == 3000


FIVE = 5
ANSWERS = ["mrr", "churn", "cohorts", "metrics", "payers", "top_payers", "payouts", "revenue"]


@pytest.mark.parametrize(
    "value", [pd.DataFrame({"a": [1, 2]}), ["net"], {"a": 1}, b"x", FIVE, "", "no"]
)
@pytest.mark.parametrize("option", ["basis", "unit", "tz", "since", "as_of", "by", "n", "freq"])
def test_options_of_any_type_are_refused_in_one_line(option, value):
    frame = payments(ROW | {"payout_state": "In progress"})
    for name in ANSWERS:
        function = getattr(frame.capsule, name)
        if option not in function.__func__.__code__.co_varnames or (
            option == "n" and value is FIVE
        ):
            continue
        assert message_of(frame, name, **{option: value})


@pytest.mark.parametrize("value", [pd.DataFrame({"a": [1, 2]}), "", "dollars", ["cents"]])
def test_unit_of_any_type_is_refused_in_one_line(value):
    assert message_of(payments(ROW), "ledger", amounts=value).startswith("amounts must be ")


@pytest.mark.parametrize("name", ["reconcile", "snapshot"])
def test_time_zone_is_checked_even_if_it_is_not_needed(name, tmp_path):
    frame = payments(ROW).capsule.declare(complete=True, read_at="2026-02")
    needed = {"reconcile": {"earnings": frame}, "snapshot": {"path": tmp_path / "a.parquet"}}
    assert message_of(frame, name, tz="Mars", **needed[name]).startswith(
        "Unknown time zone: 'Mars'."
    )
    assert not list(tmp_path.iterdir())


def test_encoded_secret_is_not_shown():
    assert "hunter2" not in message_of(payments(ROW), "ledger", mask_payers=b"hunter2-secret")


def test_rows_that_explain_cannot_use_are_refused_in_one_line():
    frame = payments(ROW).capsule.declare(complete=True, read_at="2026-02")
    mrr, revenue = frame.capsule.mrr(), frame.capsule.revenue(money=True)
    for rows, column, message in [
        (mrr[["month"]], "state", "explain() needs a figure of mrr(). Pass rows with all"),
        (mrr[["month", "closing_cents"]], "closing_cents", "explain() needs `app`, `currency` of"),
        (mrr.assign(closing_cents="x"), "closing_cents", "'closing_cents' has other values than"),
        (revenue.assign(gross=1.5), "gross", "'gross' has other values than the result. Pass unc"),
    ]:
        assert message_of(frame, "explain", rows=rows, column=column).startswith(message)
    assert len(frame.capsule.explain(mrr, "closing_cents")) == len(frame.capsule.mrr())


def test_snapshot_of_payments_without_ids_cannot_be_compared(tmp_path):
    file = payments_frame([("shop", [ROW])]).capsule.snapshot(tmp_path / "no ids.parquet")
    assert message_of(payments(ROW), "diff", path=file) == (
        f"The payments in {file} have no ids, so they cannot be compared. Choose a snapshot of "
        "payments with ids."
    )
    named = payments(ROW).capsule.snapshot(tmp_path / "ids.parquet")
    assert payments(ROW).capsule.diff(named).empty


def test_folder_is_not_a_snapshot(tmp_path):
    assert message_of(payments(ROW), "snapshot", path=tmp_path) == (
        f"Cannot write {tmp_path}: Is a directory. Choose a file in it."
    )
