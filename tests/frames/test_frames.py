"""From JSON to DataFrames: types, exactness, no field lost, whatever the service calls things."""

import datetime as dt
import json
import pickle

import pandas as pd
import pytest
from gateway import APP, TOKEN, Gateway, as_json, failed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cpsl
from cpsl_notebook import Client, UserError, progress
from cpsl_notebook.frames import apps_frame, earnings_frame, payments_frame

EMPTY = {
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


def frame(*records):
    return payments_frame([("shop", list(records))])


def types(df):
    return {name: str(dtype) for name, dtype in df.dtypes.items()}


def test_the_payments_of_the_local_workspace_are_typed_and_exact(workspace):
    df = workspace.client().list_payments("support-ops")
    rows = workspace.client().core.list_payments(workspace.client().reference("support-ops"))
    assert types(df) == EMPTY | {
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
def test_an_empty_answer_has_the_columns_with_their_types(answer):
    df = payments_frame([("shop", answer)])
    assert types(df) == EMPTY
    assert len(df) == 0


def test_an_app_without_payments_and_one_with_them_go_together(workspace):
    df = workspace.client().list_payments("diet-coach", "deal-desk")
    assert set(df["app"]) == {"deal-desk"}
    assert types(workspace.client().list_payments("diet-coach")) == EMPTY


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
def test_a_list_and_an_envelope_give_the_same_frame(answer):
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
def test_an_envelope_that_says_there_is_more_is_an_error_never_a_partial_ledger(answer):
    with pytest.raises(UserError, match="A partial ledger is not shown"):
        payments_frame([("shop", answer)])


@pytest.mark.parametrize(
    "answer",
    [
        *("text", 5, None, {"error": "no"}, {"a": [], "b": []}, {"id": "p1", "tags": ["a"]}),
        *({"ok": False, "errors": [{"message": "no"}]},),
    ],
)
def test_an_answer_that_holds_no_list_is_an_error(answer):
    with pytest.raises(UserError, match="payments of shop"):
        payments_frame([("shop", answer)])


def test_fields_that_only_some_records_have_are_columns_of_all():
    df = frame({"id": "a"}, {"id": "b", "tip_cents": 5}, {"refunded": True, "id": "c"})
    assert list(df.columns) == ["app", "id", "tip_cents", "refunded"]
    assert types(df)["tip_cents"] == "Int64" and types(df)["refunded"] == "boolean"
    assert df["tip_cents"].tolist() == [pd.NA, 5, pd.NA]


def test_integers_beside_nulls_never_become_floats():
    exact = 2**53 + 1
    df = frame({"amount": exact}, {"amount": None}, {"amount": -exact})
    assert str(df["amount"].dtype) == "Int64"
    assert df["amount"].sum() == 0 and df["amount"][0] == exact


def test_an_integer_beyond_64_bits_stays_exact():
    assert frame({"amount": 2**70}, {"amount": 2**80})["amount"].tolist() == [2**70, 2**80]
    df = frame({"amount": 2**70}, {"amount": 1})
    assert df["amount"].tolist() == [pd.NA, 1] and df["_unparsed"][0] == {"amount": 2**70}


def test_nested_objects_are_flattened_and_lists_are_kept():
    df = frame({"payer": {"id": 7, "name": {"first": "Ada"}}, "tags": ["a", "b"], "extra": {}})
    assert list(df.columns) == ["app", "payer.id", "payer.name.first", "tags", "extra"]
    assert df["tags"][0] == ["a", "b"] and df["extra"][0] == {}


def test_two_fields_that_flatten_to_one_name_keep_both_values():
    df = frame({"a": {"b": 1}, "a.b": 2})
    assert sorted(df.drop(columns="app").iloc[0]) == [1, 2]


def test_the_services_own_app_field_steps_aside_where_it_differs():
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
def test_a_time_in_any_form_is_utc_where_the_name_says_time(name, value, expected):
    df = frame({name: value}, {name: None})
    assert types(df)[name] == "datetime64[us, UTC]"
    assert df[name][0] == dt.datetime.fromisoformat(expected)
    assert df[name][1] is pd.NaT


def test_a_number_that_only_looks_like_a_time_stays_a_number():
    assert types(frame({"amount": 1761955199}))["amount"] == "Int64"


def test_epochs_of_several_units_are_each_read_by_their_size():
    df = frame({"created": 1700000000}, {"created": 1700000000000})
    assert df["created"].nunique() == 1 and types(df)["created"] == "datetime64[us, UTC]"


@pytest.mark.parametrize("value", [20240101, 0, -1, 7, 10**18])
def test_a_number_that_can_be_no_time_of_ours_stays_a_number(value):
    df = frame({"date": value}, {"date": 1700000000})
    assert types(df)["date"] == "Int64" and df["date"][0] == value


def test_an_object_that_is_empty_in_one_record_makes_no_column_of_its_own():
    df = frame({"payer": {}}, {"payer": {"id": 1}})
    assert list(df.columns) == ["app", "payer.id"]


def test_kinds_and_states_are_categories_and_other_strings_are_not():
    df = frame({"kind": "monthly", "payoutState": "paid", "currency": "USD", "note": "monthly"})
    assert [types(df)[name] for name in ("kind", "payoutState", "currency")] == ["category"] * 3
    assert types(df)["note"] == "string"


@pytest.mark.parametrize("value", [1500, 1500.0, "1500"])
def test_cents_are_integers_however_they_are_written(value):
    df = frame({"gross_cents": value}, {"gross_cents": 1})
    assert types(df)["gross_cents"] == "Int64" and df["gross_cents"].sum() == 1501


@pytest.mark.parametrize(
    "value", [15.5, "15.5", "many", " 1_000 ", "0x1F", True, [1], 2**70, -1e300]
)
def test_a_value_that_is_no_whole_number_of_cents_is_kept_apart(value):
    df = frame({"gross_cents": value}, {"gross_cents": 1})
    assert types(df)["gross_cents"] == "Int64" and df["gross_cents"].tolist() == [pd.NA, 1]
    assert df["_unparsed"].tolist() == [{"gross_cents": value}, None]
    assert type(df["_unparsed"][0]["gross_cents"]) is type(value)
    assert df.attrs["unparsed"] == "1"


@pytest.mark.parametrize("name", ["paid_at", "date"])
@pytest.mark.parametrize(
    "value", ["yesterday", "now", "", "NaT", "2025-13-01", "20", True, "0000-01-01"]
)
def test_a_time_that_cannot_be_read_is_kept_apart(value, name):
    df = frame({name: value}, {name: "2025-10-31"})
    assert types(df)[name] == "datetime64[us, UTC]"
    assert df[name].tolist() == [pd.NaT, pd.Timestamp("2025-10-31", tz="UTC")]
    assert df["_unparsed"].tolist() == [{name: value}, None]


def test_a_column_has_the_type_of_most_of_its_values_and_the_others_are_kept_apart():
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
    assert df["_unparsed"].tolist() == [None, None, {"n": "3", "s": 3, "b": "no"}]
    assert df.attrs["unparsed"] == "3"


def test_where_every_value_fits_there_is_no_column_of_those_that_do_not():
    df = frame({"gross_cents": 1, "paid_at": "2025-10-31"})
    assert list(df.columns) == ["app", "gross_cents", "paid_at"]
    assert df.attrs["unparsed"] == "0"


def test_a_field_called_as_the_column_of_what_did_not_fit_keeps_its_values():
    df = frame({"_unparsed": 5, "gross_cents": "x"})
    assert df["_unparsed_"][0] == 5 and df["_unparsed"][0] == {"gross_cents": "x"}


def test_numbers_are_exact_or_kept_apart():
    df = frame({"rate": 0.5}, {"rate": 2**53 + 1}, {"rate": 2}, {"rate": float("nan")})
    assert df["rate"].tolist() == [0.5, pd.NA, 2.0, pd.NA]
    assert df["_unparsed"][1] == {"rate": 2**53 + 1} and set(df["_unparsed"][3]) == {"rate"}


def test_text_that_is_half_a_character_is_kept_apart():
    df = frame({"note": "\ud800"}, {"note": "b"}, {"note": "c"})
    assert df["note"].tolist() == [pd.NA, "b", "c"]
    assert df["_unparsed"][0] == {"note": "\ud800"}


def test_strings_that_are_all_full_times_are_times_whatever_they_are_called():
    assert types(frame({"settled": "2025-10-31T10:00:00Z"}))["settled"] == "datetime64[us, UTC]"
    df = frame({"settled": "2025-10-31T10:00:00Z"}, {"settled": "later"})
    assert types(df)["settled"] == "string"
    assert types(frame({"version": "2025-10-31"}))["version"] == "string"


def test_many_records_give_the_same_as_few(monkeypatch):
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


def test_a_frame_says_where_its_rows_are_from(workspace):
    for read in ("list_payments", "get_earnings"):
        df = getattr(workspace.client(), read)("support-ops", "deal-desk")
        assert df.attrs == {
            "app": "support-ops, deal-desk",
            "gateway": workspace.http_url,
            "read_at": "2026-10-31T23:59:59Z",  # the local workspace's time stands still
            "currency": "USD",
            "window": "",
            "unparsed": "0",
        }


def test_the_time_of_reading_is_when_reading_began(workspace):
    core, app = workspace.client().core, workspace.client().reference("deal-desk")
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    read_at = dt.datetime.fromisoformat(Client(core).list_payments(app).attrs["read_at"])
    assert before <= read_at <= dt.datetime.now(dt.UTC)


def test_what_is_said_of_a_frame_survives_parquet_and_pickle(tmp_path, workspace):
    df = workspace.client().list_payments("deal-desk")
    df.to_parquet(tmp_path / "payments.parquet")
    for again in (pd.read_parquet(tmp_path / "payments.parquet"), pickle.loads(pickle.dumps(df))):
        assert again.attrs == df.attrs and types(again) == types(df)
        pd.testing.assert_frame_equal(again.astype(df.dtypes), df)  # pandas 2.2 stores strings anew


def test_records_that_are_no_objects_are_kept_too():
    assert frame("odd", {"id": "a"})["value"].tolist()[0] == "odd"


VALUES = st.none() | st.integers() | st.text() | st.booleans() | st.floats(allow_nan=False)
NAMES = st.sampled_from(["id", "gross_cents", "paid_at", "note", "kind", "payer", "date"])
RECORDS = st.lists(st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=2)), min_size=1)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@UNHURRIED
@given(RECORDS)
def test_whatever_the_records_hold_no_row_and_no_value_is_lost(records):
    df = frame(*records)
    assert len(df) == len(records)
    assert set(df.columns) - {"_unparsed"} == {"app"}.union(*records)
    for row, record in enumerate(records):
        apart = df["_unparsed"][row] or {} if "_unparsed" in df else {}
        for name, value in record.items():
            assert (value is None) == (
                name not in apart
                and pd.api.types.is_scalar(df[name][row])
                and pd.isna(df[name][row])
            )
            if name in apart:
                assert apart[name] == value and pd.isna(df[name][row])
    assert int(df.attrs["unparsed"]) == sum(map(len, df.get("_unparsed", pd.Series()).dropna()))


@UNHURRIED
@given(RECORDS, st.randoms())
def test_types_and_values_do_not_depend_on_the_order_of_the_records(records, chance):
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


@UNHURRIED
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=5), st.booleans())
def test_the_bytes_of_an_answer_give_the_same_frame_as_its_objects(records, enveloped):
    text = json.dumps({"data": records, "total": len(records)} if enveloped else records)
    body = bytearray(text.replace("1e+300", "1e400").encode())
    decoded = payments_frame([("shop", json.loads(body))])
    pd.testing.assert_frame_equal(payments_frame([("shop", body)]), decoded)


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"{}", b' {"payments": null}', b'\xef\xbb\xbf[{"id": 1}]', b'[{"id": "\\ud800"}]'),
        *(b'[{"id": 1, "id": 2}]', b'{"a": [], "a": [{"id": 1}]}', b'[1, "x", {"id": 2}, null]'),
        *('[{"id": "é"}]'.encode("utf-16"), b'[{"n": 1e400}, {"n": -Infinity}, {"n": 0.1}]'),
        b'{"errors": [], "data": {"items": [{"id": 1}], "total": 1}}',
    ],
)
def test_bytes_of_any_form_give_the_same_frame_as_pythons_own_decoder(body):
    pd.testing.assert_frame_equal(
        payments_frame([("shop", body)]), payments_frame([("shop", json.loads(body))])
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'[{"id": 1}', b'[{"id": "\xff"}]', b"[] []", b"[" * 99_999]
)
def test_bytes_that_are_no_json_are_an_error(body):
    with pytest.raises(UserError, match="is not JSON"):
        payments_frame([("shop", body)])


@pytest.mark.parametrize(
    "body", [b'{"payments": [{"id": 1}], "has_more": true}', b'{"a": 1}', b"5"]
)
def test_bytes_that_are_not_the_whole_are_an_error_as_well(body):
    with pytest.raises(UserError, match="payments of shop"):
        payments_frame([("shop", body)])


def test_a_client_that_reads_payments_its_own_way_is_not_passed_by(workspace):
    class Audited(cpsl.Client):
        def list_payments(self, app):
            return [{"id": "mine"}]

    with Audited(token=workspace.token, gateway_url=workspace.http_url) as core:
        assert Client(core).list_payments("deal-desk")["id"].tolist() == ["mine"]


def test_a_long_reading_shows_how_far_it_is(workspace, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_OPTIONS", progress._OPTIONS | {"delay": 0, "mininterval": 0})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    workspace.client().list_payments("support-ops", "deal-desk")
    shown = capsys.readouterr().err
    for part in ("support-ops (1 of 2)", "deal-desk (2 of 2)"):
        assert f"Reading {part}: 100%" in shown
    assert shown.endswith(" \r")  # the terminal is cleared of it


def test_a_short_reading_shows_nothing(workspace, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    workspace.client().list_payments("deal-desk")
    assert capsys.readouterr().err == ""


def test_what_fits_no_column_is_told_in_the_frame_and_not_by_a_warning_a_row(recwarn):
    df = frame(*[{"gross_cents": "much", "paid_at": "soon", "n": 1.5}] * 9, {"n": "x"})
    assert df.attrs["unparsed"] == "19" and len(recwarn) == 0


def test_payments_are_of_all_apps_or_of_one_or_of_several_and_always_name_the_app(workspace):
    client = workspace.client()
    several = [(), ("support-ops",), ("deal-desk",), ("support-ops", "deal-desk")]
    read = {apps: client.list_payments(*apps) for apps in several}
    for apps, df in read.items():
        assert df.columns[0] == "app" and str(df["app"].dtype) == "category"
        assert set(df["app"]) == set(apps or ("support-ops", "deal-desk"))
    assert len(read[()]) == len(read["support-ops", "deal-desk"]) > len(read["support-ops",]) > 0
    assert client.list_payments("deal-desk", "deal-desk").equals(read["deal-desk",])


@pytest.mark.parametrize("read", ["list_payments", "get_earnings"])
def test_an_app_that_fails_fails_the_call(read):
    other = "00000000-0000-4000-8000-000000000002"
    with Gateway() as gateway, cpsl.Client(token=TOKEN, gateway_url=gateway.url) as core:
        well = {"list_payments": [{"id": "a"}], "get_earnings": {"net_cents": 1}}[read]
        gateway.on(read, as_json(well), failed(500))
        with pytest.raises(cpsl.GatewayError):
            getattr(Client(core), read)(APP, other)
        assert gateway.count(read) == 2


def test_earnings_have_one_row_per_app_on_a_plain_index(workspace):
    client = workspace.client()
    df = client.get_earnings("support-ops", "deal-desk")
    assert list(df["app"]) == ["support-ops", "deal-desk"] and list(df.index) == [0, 1]
    assert str(df["net_cents"].dtype) == "Int64"
    for app in df["app"]:
        assert df.set_index("app").loc[app, "net_cents"] == (
            client.list_payments(app)["net_cents"].sum()
        )
    assert len(client.get_earnings("support-ops")) == 1
    assert len(client.get_earnings()) == len(client.list_apps())


def test_an_earnings_envelope_is_opened_and_fields_keep_their_names():
    df = earnings_frame([("shop", {"earnings": {"grossRevenue": 5, "payouts": {"paid": 3}}})])
    assert df.to_dict("records") == [{"app": "shop", "grossRevenue": 5, "payouts.paid": 3}]
    assert list(earnings_frame([]).columns) == ["app"]


def test_apps_are_a_table_and_an_empty_workspace_has_its_columns():
    assert list(apps_frame([]).columns) == ["id", "name", "hostname"]
    df = apps_frame([{"id": "1", "name": "a", "hostname": "h"}])
    assert df.to_dict("records") == [{"id": "1", "name": "a", "hostname": "h"}]
