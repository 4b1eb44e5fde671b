"""DataFrames from JSON: types, exact numbers, and no field lost, whatever the names of fields."""

import datetime as dt
import json
import shlex

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpsl_notebook import UserError
from cpsl_notebook.frames import apps_frame, earnings_frame, payments_frame
from cpsl_notebook.frames.cells import MAX_KEYS
from cpsl_notebook.frames.payment_columns import PAYMENT_COLUMNS


def frame(*records):
    return payments_frame([("shop", list(records))])


def unparsed(df):
    """Return the fields that do not fit, by row; None in rows where all fit."""
    return [None if pd.isna(text) else json.loads(text) for text in df["_unparsed"]]


def types(df):
    return {name: str(dtype) for name, dtype in df.dtypes.items()}


def test_payment_columns_are_the_documented_ones():
    assert PAYMENT_COLUMNS == {
        "payment_id": "string",
        "app": "category",
        "paid_at": "datetime64[us, UTC]",
        "payer": "string",
        "kind": "category",
        "currency": "category",
        "gross_cents": "Int64",
        "fee_cents": "Int64",
        "net_cents": "Int64",
        "payout_state": "category",
    }


def test_payments_of_local_workspace_are_typed_and_exact(workspace):
    df = workspace.client().list_payments("support-ops")
    rows = workspace.client().core.list_payments(workspace.client().reference("support-ops"))
    assert types(df) == PAYMENT_COLUMNS | {
        "payout_id": "string",
        "paid_out_at": "datetime64[us, UTC]",
        "subscription_id": "string",
        "refund_of": "string",
    }
    assert len(df) == len(rows)
    assert df["net_cents"].sum() == sum(row["net_cents"] for row in rows)
    assert (df["fee_cents"] * 10 == df["gross_cents"]).all()
    assert df["paid_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").tolist() == [
        row["paid_at"] for row in rows
    ]


@pytest.mark.parametrize(
    "answer",
    [
        *([], {}, {"payments": []}, {"payments": None, "total": 0}, {"payments": [], "total": 0}),
        *({"data": {"payments": []}}, {"data": [], "links": {"next": None}}),
    ],
)
def test_empty_answer_has_typed_columns(answer):
    df = payments_frame([("shop", answer)])
    assert types(df) == PAYMENT_COLUMNS
    assert len(df) == 0


@pytest.mark.parametrize(
    "answer",
    [
        [{"id": "a"}],
        {"payments": [{"id": "a"}]},
        {"data": [{"id": "a"}], "count": 1},
        {"payments": [{"id": "a"}], "warnings": [], "has_more": False, "next_cursor": None},
        {"data": {"payments": [{"id": "a"}]}, "total": 1},
        {"ok": True, "result": {"items": [{"id": "a"}]}, "errors": []},
    ],
)
def test_list_and_envelope_give_same_frame(answer):
    assert payments_frame([("shop", answer)]).to_dict("records") == [{"app": "shop", "id": "a"}]


@pytest.mark.parametrize(
    "answer",
    [
        {"payments": [{"id": "a"}], "has_more": True},
        {"payments": [{"id": "a"}], "next_cursor": "b"},
        {"items": [{"id": "a"}], "nextCursor": "b"},
        {"payments": [{"id": "a"}], "pagination": {"has_more": True}},
        {"data": [{"id": "a"}], "links": {"next": "https://gateway.example/2"}},
        {"payments": [{"id": "a"}], "next_page_token": "b"},
        {"payments": [{"id": "a"}], "total": 100, "page": 1},
    ],
)
def test_partial_answer_is_an_error(answer):
    with pytest.raises(UserError, match="returned only some of the payments") as caught:
        payments_frame([("it's my shop", answer)])
    command = str(caught.value).partition("`")[2].partition("`")[0]
    assert shlex.split(command) == ["cpsl", "payments", "it's my shop", "--json"]


@pytest.mark.parametrize(
    "answer",
    [
        *("text", 5, None, {"error": "no"}, {"a": [], "b": []}, {"id": "p1", "tags": ["a"]}),
        *({"ok": False, "errors": [{"message": "no"}]},),
    ],
)
def test_answer_without_list_is_an_error(answer):
    with pytest.raises(UserError, match="payments of shop"):
        payments_frame([("shop", answer)])


def test_fields_of_some_records_are_columns():
    df = frame({"id": "a"}, {"id": "b", "tip_cents": 5}, {"refunded": True, "id": "c"})
    assert list(df.columns) == ["app", "id", "tip_cents", "refunded"]
    assert types(df)["tip_cents"] == "Int64" and types(df)["refunded"] == "boolean"
    assert df["tip_cents"].tolist() == [pd.NA, 5, pd.NA]


def test_integers_next_to_nulls_stay_integers():
    exact = 2**53 + 1
    df = frame({"amount": exact}, {"amount": None}, {"amount": -exact})
    assert str(df["amount"].dtype) == "Int64"
    assert df["amount"].sum() == 0 and df["amount"][0] == exact


def test_integers_beyond_64_bits_stay_exact():
    assert frame({"amount": 2**70}, {"amount": 2**80})["amount"].tolist() == [2**70, 2**80]
    df = frame({"amount": 2**70}, {"amount": 1})
    assert df["amount"].tolist() == [pd.NA, 1] and unparsed(df)[0] == {"amount": 2**70}


def test_ids_of_mixed_types_and_any_size_are_strings():
    df = frame({"payment_id": 7}, {"payment_id": "b-8"}, {"payment_id": 2**70}, {})
    assert types(df)["payment_id"] == "string" and "_unparsed" not in df
    assert df["payment_id"].tolist() == ["7", "b-8", str(2**70), pd.NA]
    assert types(frame({"id": 7}))["id"] == "Int64"
    df = frame({"id": 7.5}, {"id": "b"}, {"id": "c"})  # a float may have lost digits
    assert df["id"].tolist() == [pd.NA, "b", "c"] and unparsed(df)[0] == {"id": 7.5}


def test_frames_survive_parquet_csv_polars_and_duckdb(tmp_path):
    df = frame(
        {"paid_at": "2026-01-05", "gross_cents": 1500, "kind": "monthly", "note": "a"},
        {"paid_at": "soon", "gross_cents": 2**70, "kind": 5, "note": 1},
        {"paid_at": "2026-01-06", "gross_cents": 1500, "kind": "monthly", "note": "b"},
    )
    expected = [None, {"gross_cents": 2**70, "kind": 5, "note": 1, "paid_at": "soon"}, None]
    assert unparsed(df) == expected
    df.to_parquet(tmp_path / "frame.parquet")
    read = pd.read_parquet(tmp_path / "frame.parquet")
    pd.testing.assert_frame_equal(read.astype(df.dtypes), df)  # pandas 2.2 has two kinds of strings
    df.to_csv(tmp_path / "frame.csv", index=False)
    assert unparsed(pd.read_csv(tmp_path / "frame.csv")) == expected
    assert pl.from_pandas(df)["_unparsed"].to_list()[0] is None
    text = duckdb.sql("SELECT _unparsed FROM df WHERE gross_cents IS NULL").fetchall()[0][0]
    assert json.loads(text) == expected[1]


def test_nested_objects_are_flattened_and_lists_are_kept():
    df = frame({"payer": {"id": 7, "name": {"first": "Ada"}}, "tags": ["a", "b"], "extra": {}})
    assert list(df.columns) == ["app", "payer.id", "payer.name.first", "tags", "extra"]
    assert df["tags"][0] == ["a", "b"] and df["extra"][0] == {}


def test_object_with_a_key_per_record_stays_one_column():
    records = [
        {"id": n, "metadata": {f"order_{n}": n, "shop": {"city": "Bonn"}}} for n in range(500)
    ]
    df = frame(*records, {"id": 500, "metadata": {"shop": None}}, {"id": 501, "metadata": {}})
    assert df.columns.tolist() == ["app", "id", "metadata"]
    assert str(df["metadata"].dtype) == "string"
    assert [json.loads(text) for text in df["metadata"][:500]] == [r["metadata"] for r in records]
    assert df["metadata"][500:].isna().all()
    few = frame(*records[: MAX_KEYS - 1])
    assert len(few.columns) == 2 + MAX_KEYS and few["metadata.shop.city"].eq("Bonn").all()


def test_object_with_many_keys_keeps_other_values_of_its_field():
    records = [{"state": {f"order_{n}": n}} for n in range(500)]
    df = frame({"state": "open"}, {"state": "done"}, *records)
    assert df.columns.tolist() == ["app", "state", "state_"]
    assert df["state"].tolist()[:2] == ["open", "done"] and df["state"][2:].isna().all()
    assert str(df["state_"].dtype) == "string"
    assert json.loads(df["state_"][2]) == {"order_0": 0}


def test_fields_with_same_flattened_name_keep_both_values():
    df = frame({"a": {"b": 1}, "a.b": 2})
    assert sorted(df.drop(columns="app").iloc[0]) == [1, 2]


def test_app_field_of_service_is_renamed_if_it_differs():
    df = frame({"app": "shop", "id": "a"})
    assert list(df.columns) == ["app", "id"]
    df = frame({"app": "0815", "id": "a"})
    assert df.to_dict("records") == [{"app": "shop", "service.app": "0815", "id": "a"}]
    df = frame({"app": {"id": 1}, "id": "a"}, {"app": "b", "service.app": "c"}, {"app": "shop"})
    assert list(df.columns) == ["app", "app.id", "service.app_", "id", "service.app"]
    assert df["service.app_"].tolist()[1] == "b" and df["app.id"].tolist()[0] == 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("paid_at", "2025-10-31T23:59:59Z", "2025-10-31T23:59:59+00:00"),
        ("paid_at", "2025-10-31T23:59:59", "2025-10-31T23:59:59+00:00"),
        ("paid_at", "2025-10-31 23:59", "2025-10-31T23:59:00+00:00"),
        ("paid_at", "2025-10-31 23:59:59 +02:00", "2025-10-31T21:59:59+00:00"),
        ("paid_at", "2025-10-31T23:59:59.5Z", "2025-10-31T23:59:59.500000+00:00"),
        ("paid_at", "2025-10-31T23:59:59,123456789-0230", "2025-11-01T02:29:59.123456+00:00"),
        ("paid_at", "2025-10-31T23:59:59.123456789012Z", "2025-10-31T23:59:59.123456+00:00"),
        ("created", "1761955199", "2025-10-31T23:59:59+00:00"),
        ("paidAt", "2025-10-31T23:59:59.123456+02:00", "2025-10-31T21:59:59.123456+00:00"),
        ("date", "2025-10-31", "2025-10-31T00:00:00+00:00"),
        ("created", 1761955199, "2025-10-31T23:59:59+00:00"),
        ("created_at", 1761955199123, "2025-10-31T23:59:59.123000+00:00"),
        ("settled.time", 1761955199.5, "2025-10-31T23:59:59.500000+00:00"),
        ("created_at", 1761955199123456, "2025-10-31T23:59:59.123456+00:00"),
    ],
)
def test_time_of_any_form_is_read_as_utc(name, value, expected):
    df = frame({name: value}, {name: None})
    assert types(df)[name] == "datetime64[us, UTC]"
    assert df[name][0] == dt.datetime.fromisoformat(expected)
    assert df[name][1] is pd.NaT


def test_number_of_epoch_size_stays_number_under_other_name():
    assert types(frame({"amount": 1761955199}))["amount"] == "Int64"


def test_epoch_unit_is_recognised_per_value():
    df = frame({"created": 1700000000}, {"created": 1700000000000})
    assert df["created"].nunique() == 1 and types(df)["created"] == "datetime64[us, UTC]"


@pytest.mark.parametrize("value", [20240101, 0, -1, 7, 10**18])
def test_number_outside_epochs_stays_number(value):
    df = frame({"date": value}, {"date": 1700000000})
    assert types(df)["date"] == "Int64" and df["date"][0] == value


def test_empty_object_next_to_nested_fields_adds_no_column():
    df = frame({"payer": {}}, {"payer": {"id": 1}})
    assert list(df.columns) == ["app", "payer.id"]


def test_kinds_and_states_are_categories_but_other_strings_are_not():
    df = frame({"kind": "monthly", "payoutState": "paid", "currency": "USD", "note": "monthly"})
    assert [types(df)[name] for name in ("kind", "payoutState", "currency")] == ["category"] * 3
    assert types(df)["note"] == "string"


@pytest.mark.parametrize("value", [1500, 1500.0, "1500"])
def test_cents_of_any_notation_are_integers(value):
    df = frame({"gross_cents": value}, {"gross_cents": 1})
    assert types(df)["gross_cents"] == "Int64" and df["gross_cents"].sum() == 1501


@pytest.mark.parametrize(
    "value", [15.5, "15.5", "many", " 1_000 ", "0x1F", True, [1], 2**70, -1e300]
)
def test_value_other_than_whole_cents_is_unparsed(value):
    df = frame({"gross_cents": value}, {"gross_cents": 1})
    assert types(df)["gross_cents"] == "Int64" and df["gross_cents"].tolist() == [pd.NA, 1]
    assert unparsed(df) == [{"gross_cents": value}, None]
    assert type(unparsed(df)[0]["gross_cents"]) is type(value)
    assert df.attrs["unparsed"] == "1"


@pytest.mark.parametrize("name", ["paid_at", "date"])
@pytest.mark.parametrize(
    "value", ["yesterday", "now", "", "NaT", "2025-13-01", "20", True, "0000-01-01"]
)
def test_unreadable_time_is_unparsed(value, name):
    df = frame({name: value}, {name: "2025-10-31"})
    assert types(df)[name] == "datetime64[us, UTC]"
    assert df[name].tolist() == [pd.NaT, pd.Timestamp("2025-10-31", tz="UTC")]
    assert unparsed(df) == [{name: value}, None]


def test_column_has_type_of_most_values_and_others_are_unparsed():
    df = frame(
        {"n": 1, "s": "a", "b": True, "l": [1], "m": "x"},
        {"n": 2, "s": "b", "b": False, "l": [2], "m": "y"},
        {"n": "3", "s": 3, "b": "no", "l": "three", "m": {"deep": "z"}},
    )
    assert [types(df)[name] for name in "nsblm"] == [
        "Int64",
        "string",
        "boolean",
        "object",
        "string",
    ]
    assert df["l"].tolist() == [[1], [2], "three"] and df["m.deep"].tolist() == [pd.NA, pd.NA, "z"]
    assert unparsed(df) == [None, None, {"n": "3", "s": 3, "b": "no"}]
    assert df.attrs["unparsed"] == "3"


def test_no_unparsed_column_if_all_values_fit():
    df = frame({"gross_cents": 1, "paid_at": "2025-10-31"})
    assert list(df.columns) == ["app", "gross_cents", "paid_at"]
    assert df.attrs["unparsed"] == "0"


def test_field_named_like_unparsed_column_keeps_values():
    df = frame({"_unparsed": 5, "gross_cents": "x"})
    assert df["_unparsed_"][0] == 5 and unparsed(df)[0] == {"gross_cents": "x"}


def test_numbers_are_exact_or_unparsed():
    df = frame({"rate": 0.5}, {"rate": 2**53 + 1}, {"rate": 2}, {"rate": float("nan")})
    assert df["rate"].tolist() == [0.5, pd.NA, 2.0, pd.NA]
    assert unparsed(df)[1] == {"rate": 2**53 + 1} and set(unparsed(df)[3]) == {"rate"}


def test_lone_surrogate_is_unparsed():
    df = frame({"note": "\ud800"}, {"note": "b"}, {"note": "c"})
    assert df["note"].tolist() == [pd.NA, "b", "c"]
    assert unparsed(df)[0] == {"note": "\ud800"}


def test_full_times_are_times_under_any_name():
    assert types(frame({"settled": "2025-10-31T10:00:00Z"}))["settled"] == "datetime64[us, UTC]"
    df = frame({"settled": "2025-10-31T10:00:00Z"}, {"settled": "later"})
    assert types(df)["settled"] == "string"
    assert types(frame({"version": "2025-10-31"}))["version"] == "string"


def test_batches_give_same_frame_as_one_batch(monkeypatch):
    records = [
        {"id": n if n % 7 else f"p{n}", "paid_at": 1_700_000_000 + n, "amount_cents": str(n)}
        | ({"payer": {"name": "a", "age": n}} if n % 3 else {"payer": "b", "late": True})
        for n in range(100)
    ]
    records[50] = "odd"
    records[60] |= {'a "quoted" field': 1, "nothing": float("nan")}
    whole = frame(*records)
    monkeypatch.setattr("cpsl_notebook.frames.envelope._BATCH_SIZE", 7)
    pd.testing.assert_frame_equal(frame(*records), whole)
    body = json.dumps(records).encode()
    pd.testing.assert_frame_equal(payments_frame([("shop", body)]), whole)


def test_record_other_than_object_is_kept():
    assert frame("odd", {"id": "a"})["value"].tolist()[0] == "odd"


VALUES = st.none() | st.integers() | st.text() | st.booleans() | st.floats(allow_nan=False)
NAMES = st.sampled_from(["id", "gross_cents", "paid_at", "note", "kind", "payer", "date"])
RECORDS = st.lists(st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=2)), min_size=1)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(RECORDS)
def test_no_row_and_no_value_is_lost(records):
    df = frame(*records)
    assert len(df) == len(records)
    assert set(df.columns) - {"_unparsed"} == {"app"}.union(*records)
    for row, record in enumerate(records):
        others = unparsed(df)[row] or {} if "_unparsed" in df else {}
        for name, value in record.items():
            assert (value is None) == (
                name not in others
                and pd.api.types.is_scalar(df[name][row])
                and pd.isna(df[name][row])
            )
            if name in others:
                assert others[name] == value and pd.isna(df[name][row])
    fields = [row for row in unparsed(df) if row] if "_unparsed" in df else []
    assert int(df.attrs["unparsed"]) == sum(map(len, fields))


@SLOW
@given(RECORDS, st.randoms())
def test_order_of_records_does_not_change_types_or_values(records, chance):
    order = list(range(len(records)))
    chance.shuffle(order)
    straight, shuffled = frame(*records), frame(*(records[i] for i in order))
    pd.testing.assert_frame_equal(
        straight.iloc[order].reset_index(drop=True), shuffled, check_like=True
    )


JSON = st.recursive(
    VALUES | st.sampled_from([2**63, -(2**70), 1e300, float("nan"), float("inf"), "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@SLOW
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=5), st.booleans())
def test_bytes_give_same_frame_as_decoded_objects(records, enveloped):
    text = json.dumps({"data": records, "total": len(records)} if enveloped else records)
    body = bytearray(text.replace("1e+300", "1e400").encode())
    decoded = payments_frame([("shop", json.loads(body))])
    pd.testing.assert_frame_equal(payments_frame([("shop", body)]), decoded)


def without_nulls(value):
    """Return an object as its JSON text represents it; ``None`` for one without values."""
    if not isinstance(value, dict):
        return value
    items = {name: without_nulls(item) for name, item in value.items()}
    return {name: item for name, item in items.items() if item is not None} or (value and None)


@SLOW
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=6), st.integers(1, 3))
def test_objects_with_many_keys_are_json_whatever_the_order_of_records(objects, batch):
    """With a limit of 2 keys and small batches, so that both occur in many places."""
    records = [{"metadata": found} for found in objects]
    keys = {name for found in objects for name in found}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cpsl_notebook.frames.cells.MAX_KEYS", 2)
        patch.setattr("cpsl_notebook.frames.envelope._BATCH_SIZE", batch)
        df = frame(*records)
    assert ("metadata" in df) == (len(keys) > 2 or (bool(records) and not keys))
    if len(keys) > 2:
        expected = [without_nulls(found) or None for found in objects]
        texts = [None if pd.isna(text) else text for text in df["metadata"]]
        assert texts == [found and json.dumps(found, sort_keys=True) for found in expected]


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"{}", b' {"payments": null}', b'\xef\xbb\xbf[{"id": 1}]', b'[{"id": "\\ud800"}]'),
        *(b'[{"id": 1, "id": 2}]', b'{"a": [], "a": [{"id": 1}]}', b'[1, "x", {"id": 2}, null]'),
        *('[{"id": "é"}]'.encode("utf-16"), b'[{"n": 1e400}, {"n": -Infinity}, {"n": 0.1}]'),
        b'{"errors": [], "data": {"items": [{"id": 1}], "total": 1}}',
    ],
)
def test_bytes_of_any_form_give_same_frame_as_python_decoder(body):
    pd.testing.assert_frame_equal(
        payments_frame([("shop", body)]), payments_frame([("shop", json.loads(body))])
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'[{"id": 1}', b'[{"id": "\xff"}]', b"[] []", b"[" * 99_999]
)
def test_bytes_other_than_json_are_an_error(body):
    with pytest.raises(UserError, match="is not JSON"):
        payments_frame([("shop", body)])


@pytest.mark.parametrize(
    "body", [b'{"payments": [{"id": 1}], "has_more": true}', b'{"a": 1}', b"5"]
)
def test_partial_bytes_are_an_error(body):
    with pytest.raises(UserError, match="payments of shop"):
        payments_frame([("shop", body)])


def test_unparsed_values_are_counted_without_warnings(recwarn):
    df = frame(*[{"gross_cents": "much", "paid_at": "soon", "n": 1.5}] * 9, {"n": "x"})
    assert df.attrs["unparsed"] == "19" and len(recwarn) == 0


def test_earnings_envelope_is_removed_and_field_names_are_kept():
    df = earnings_frame([("shop", {"earnings": {"grossRevenue": 5, "payouts": {"paid": 3}}})])
    assert df.to_dict("records") == [{"app": "shop", "grossRevenue": 5, "payouts.paid": 3}]
    assert list(earnings_frame([]).columns) == ["app"]


@pytest.mark.parametrize("answer", [[], "text", None, 5])
def test_earnings_other_than_object_are_an_error(answer):
    with pytest.raises(UserError, match="response for the earnings of shop is not a JSON object"):
        earnings_frame([("shop", answer)])


@pytest.mark.parametrize("answer", [{"payments": "text"}, {"payments": 5}])
def test_payments_field_other_than_list_is_an_error(answer):
    with pytest.raises(UserError, match="payments of shop contains no list of records"):
        payments_frame([("shop", answer)])


def test_apps_frame_has_columns_without_apps():
    assert list(apps_frame([]).columns) == ["id", "name", "hostname"]
    df = apps_frame([{"id": "1", "name": "a", "hostname": "h"}])
    assert df.to_dict("records") == [{"id": "1", "name": "a", "hostname": "h"}]


def test_payers_of_mixed_types_and_any_size_are_strings():
    df = frame({"payer": 7}, {"payer": "b-8"}, {"payer": 2**70})
    assert df["payer"].tolist() == ["7", "b-8", str(2**70)] and "_unparsed" not in df


def test_strings_of_many_records_are_in_one_array():
    # Operations on many small arrays, one for each batch of records, take several times as long.
    df = frame(*({"payment_id": f"pay_{number}"} for number in range(5_000)))
    assert df["payment_id"].array.__arrow_array__().num_chunks == 1
    assert df["payment_id"].tolist() == [f"pay_{number}" for number in range(5_000)]
