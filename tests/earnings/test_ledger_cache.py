"""Analyses of one DataFrame share a ledger, which is built again when the DataFrame has changed."""

import copy
import gc
import pickle
import weakref
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from service_payments import THREE, frame

from cpsl_notebook import UserError
from cpsl_notebook.earnings.ledger import builder, cache
from cpsl_notebook.frames import payments_frame

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


@pytest.fixture
def built(monkeypatch):
    """The frames from which a ledger was built, as numbers of rows."""
    build, rows = builder._build_whole, []

    def counted(frame, *args):
        rows.append(len(frame))
        return build(frame, *args)

    monkeypatch.setattr(builder, "_build_whole", counted)
    return rows


def made():
    rows = [
        {
            "payment_id": f"p{number}",
            "paid_at": f"2026-0{number}-05T12:00:00Z",
            "payer": "ada",
            "kind": "monthly",
            "currency": "USD",
            "gross_cents": 1500,
            "fee_cents": 150,
            "net_cents": 1350,
            "payout_state": "Paid out",
        }
        for number in (1, 2, 3)
    ]
    payments = payments_frame([("shop", rows)])
    payments.attrs |= {"read_at": "2026-03-10T00:00:00Z", "window": ""}
    return payments


def test_all_analyses_of_a_frame_build_one_ledger(built):
    payments = made()
    for _ in range(2):
        payments.capsule.revenue()
        payments.capsule.mrr(as_of="2026-01", tz="Europe/Berlin")
        payments.capsule.churn(by="payer")
        payments.capsule.explain(payments.capsule.mrr(), "closing_cents")
        payments.capsule.ledger()
    assert built == [3]


def change_cell(payments):
    payments.loc[2, "gross_cents"] = 1700


def change_category(payments):
    payments.loc[0, "kind"] = payments.loc[1, "kind"]
    payments["kind"] = payments["kind"].cat.rename_categories({"monthly": "one_time"})


def change_text(payments):
    payments.loc[1, "payer"] = "bo"


def change_time(payments):
    payments.iloc[0, payments.columns.get_loc("paid_at")] = pd.Timestamp("2026-01-07", tz="UTC")


def swap_cells(payments):
    payments.loc[[0, 1], "paid_at"] = payments.loc[[1, 0], "paid_at"].tolist()


def forget_cell(payments):
    payments.loc[1, "fee_cents"] = pd.NA


def add_column(payments):
    payments["payment_status"] = ["paid", "failed", "paid"]


def rename_column(payments):
    payments.rename(columns={"payer": "person"}, inplace=True)


def sort(payments):
    payments.sort_values("paid_at", ascending=False, inplace=True)


def drop_rows(payments):
    payments.drop(index=1, inplace=True)


def drop_column(payments):
    payments.drop(columns="payout_state", inplace=True)


def change_attrs(payments):
    payments.attrs["kinds"] = '{"monthly": 0}'


def change_time_of_reading(payments):
    payments.attrs["read_at"] = "2026-03-01T00:00:00Z"


CHANGES = [change_cell, change_category, change_text, change_time, swap_cells, forget_cell]
CHANGES += [add_column, rename_column, sort, drop_rows, drop_column, change_attrs]
CHANGES += [change_time_of_reading]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", ["typed", "object"])
def test_changed_frame_gets_a_new_ledger(change, dtype, built):
    payments = made()
    if dtype == "object" and change is not change_category:
        texts = ["payment_id", "payer", "kind", "gross_cents"]
        payments = payments.astype(dict.fromkeys(texts, "object"))
    before = payments.capsule.ledger()
    change(payments)
    changed = pd.DataFrame(payments.to_dict("series"))
    changed.attrs = dict(payments.attrs)
    after = payments.capsule.ledger()
    pd.testing.assert_frame_equal(after, changed.capsule.ledger())
    assert len(built) == 3
    assert change is sort or not after.equals(before) or after.attrs != before.attrs


def decimals(places):
    return pd.Series([Decimal(1500).scaleb(-places)] * 3, dtype=object)


def dictionary(*kinds):
    chunks = pa.chunked_array([pa.array(kinds).dictionary_encode()])
    return pd.Series(pd.arrays.ArrowExtensionArray(chunks))


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        ("total", decimals(1), decimals(2)),
        ("refunds", [[{"amount_cents": 500}], [], []], [[{"fee_cents": 500}], [], []]),
        ("kind", dictionary(*["monthly"] * 3), dictionary(*["one_time"] * 3)),
    ],
)
def test_values_with_the_same_bytes_get_a_new_ledger(column, before, after):
    payments = made().drop(columns=["gross_cents", "fee_cents"] if column == "total" else [])
    payments["fee"] = 0
    payments.attrs["amounts"] = "currency"
    payments[column] = before
    first = payments.capsule.ledger()
    payments[column] = after
    second = payments.capsule.ledger()
    assert not second.equals(first)
    pd.testing.assert_frame_equal(second, payments.copy().capsule.ledger())


def test_columns_of_any_type_are_compared():
    payments = made()
    payments["clicks"] = pd.arrays.SparseArray([1, 0, 0])
    payments["path"] = [1 + 2j, "a", b"b"]
    first = cache.contents(payments)
    assert cache.contents(payments.copy()) == first
    payments["clicks"] = pd.arrays.SparseArray([2, 0, 0])
    assert cache.contents(payments) != first


def test_change_inside_a_long_array_gets_a_new_ledger():
    payments = made()
    refunds = np.array([{"amount_cents": 0}, {"amount_cents": "0"}] * 1000, dtype=object)
    payments["refunds"] = pd.Series([refunds, [], []], dtype=object)
    first = payments.capsule.ledger()
    refunds[1000] = {"amount_cents": 500}
    second = payments.capsule.ledger()
    assert len(second) == len(first) + 1
    assert second["gross_cents"].min() == -500


def test_ledger_of_a_frame_with_objects_that_cannot_be_pickled_is_not_kept(built):
    payments = made()
    payments["note"] = [lambda: None, "a", 1]
    for _ in range(2):
        assert len(payments.capsule.ledger()) == 3
    assert built == [3, 3]


def test_completeness_is_checked_again_after_a_change():
    payments = made()
    assert payments.capsule.mrr()["closing_cents"].tolist() == [1500] * 3
    payments.drop(index=1, inplace=True)
    with pytest.raises(UserError, match="2 of the 3 rows of shop"):
        payments.capsule.mrr()


def test_segments_follow_their_column():
    payments = made()[::-1]
    payments["seats"] = [3, 2, 1]
    first = payments.capsule.revenue(by="seats").query("payments > 0")
    assert first["seats"].tolist() == [1, 2, 3]
    payments["seats"] = [9, 2, 1]
    assert payments.capsule.revenue(by="seats").query("payments > 0")["seats"].tolist() == [1, 2, 9]


def test_segments_as_of_an_earlier_moment_follow_their_column():
    payments = made()[::-1]
    payments["seats"] = [3, 2, 1]
    payments.capsule.revenue()
    earlier = payments.capsule.revenue(by="seats", as_of="2026-02").query("payments > 0")
    assert earlier["seats"].tolist() == [1, 2]


def test_options_of_a_ledger_get_their_own_ledger():
    payments = made()
    assert payments.capsule.ledger()["gross_cents"].tolist() == [1500] * 3
    fees = payments.capsule.ledger(roles={"gross": "fee_cents"})
    assert fees["gross_cents"].tolist() == [150] * 3
    payments = payments.rename(columns={"gross_cents": "total"})
    assert payments.capsule.ledger(amounts="cents")["gross_cents"].tolist() == [1500] * 3
    assert payments.capsule.ledger(amounts="currency")["gross_cents"].tolist() == [150_000] * 3


def test_changing_a_returned_ledger_changes_no_other_result():
    payments = made()
    first = payments.capsule.ledger()
    first.loc[:, "gross_cents"] = 0
    first["payer"] = "bo"
    assert payments.capsule.ledger()["gross_cents"].tolist() == [1500] * 3
    assert payments.capsule.top_payers()["payer"].tolist() == ["ada"]


def test_ledger_goes_with_its_frame():
    gc.collect()
    before = len(builder._cache)
    payments = made()
    payments.capsule.mrr()
    assert len(builder._cache) == min(before + 1, cache.SIZE)
    reference = weakref.ref(payments)
    del payments
    gc.collect()
    assert reference() is None and len(builder._cache) <= before


def test_cache_holds_few_ledgers():
    frames = [made() for _ in range(cache.SIZE + 3)]
    for payments in frames:
        payments.capsule.revenue()
    assert len(builder._cache) == cache.SIZE


def test_frames_with_a_ledger_can_be_copied_and_saved(tmp_path):
    payments = made()
    expected = payments.capsule.mrr()
    payments.to_parquet(tmp_path / "payments.parquet")
    copies = [pickle.loads(pickle.dumps(payments)), copy.deepcopy(payments), payments.copy()]
    for each in [*copies, pd.read_parquet(tmp_path / "payments.parquet")]:
        assert each.attrs == payments.attrs == made().attrs
        pd.testing.assert_frame_equal(each.capsule.mrr(), expected)


def test_ledger_that_depends_on_the_clock_is_not_kept(built):
    payments = frame(*THREE)
    payments.attrs.pop("read_at", None)
    future = pd.Timestamp.now("UTC") + pd.Timedelta(days=400)
    payments.loc[0, "paid_at"] = future
    assert payments.capsule.ledger().attrs["left_out"] != ""
    payments.capsule.ledger()
    assert len(built) == 2


def test_ledger_without_any_time_is_not_kept(built):
    payments = made()
    del payments.attrs["read_at"]
    payments["paid_at"] = pd.Series(pd.NaT, payments.index, dtype="datetime64[us, UTC]")
    first, second = (payments.capsule.ledger().attrs["read_at"] for _ in range(2))
    assert first != second and len(built) == 2
