"""Plain types for libraries that do not know those of pandas."""

import datetime as dt
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from ledgers import buy, ledger, monthly
from service_payments import THREE, frame


@pytest.fixture
def odd():
    return frame(
        {"paid_at": "2026-01-15", "gross_cents": 1500, "test": True, "rate": 0.5, "tags": [1, "a"]},
        {"paid_at": None, "gross_cents": None, "test": None, "extra": 2**70},
    )


def test_plain_payments_have_types_of_numpy(odd):
    plain = odd.capsule.to_plain()
    assert plain.dtypes.astype(str).to_dict() == {
        "app": "object",
        "paid_at": "datetime64[us, UTC]",
        "gross_cents": "object",
        "test": "object",
        "rate": "float64",
        "tags": "object",
        "extra": "object",
    }
    assert plain["gross_cents"].tolist() == [1500, None]
    assert plain["test"].tolist() == [True, None]
    assert plain["tags"].tolist() == ['[1, "a"]', None]
    assert plain["extra"].tolist() == [None, 2**70]
    assert plain.attrs == odd.attrs
    assert odd["app"].dtype == "category"  # unchanged


@pytest.mark.parametrize("name", ["mrr", "revenue", "payouts", "ledger"])
def test_rows_of_plain_results_hold_only_plain_python_values(name):
    """Spark without Arrow converts a frame row by row, as ``to_records()`` does."""
    known = ledger(*monthly("2026-01-05", 3), buy("2026-03-01", payout_state="Failed")).rows
    known = known.capsule.declare(complete=True, read_at="2026-04-01")
    options = {} if name == "ledger" else {"money": True}
    plain = getattr(known.capsule, name)(**options).capsule.to_plain()
    records = plain.to_records(index=False).tolist()
    allowed = {str, int, float, bool, type(None), Decimal, dt.datetime, pd.Timestamp, type(pd.NaT)}
    assert records
    assert {type(value) for record in records for value in record} <= allowed
    assert all(isinstance(dtype, np.dtype | pd.DatetimeTZDtype) for dtype in plain.dtypes)


def test_plain_frames_pass_arrow_polars_and_duckdb():
    plain = frame(*THREE).capsule.to_plain()
    assert pa.Table.from_pandas(plain).num_rows == 3
    assert pl.from_pandas(plain)["net_cents"].sum() == plain["net_cents"].sum()
    assert duckdb.sql("SELECT sum(net_cents) FROM plain").fetchall() == [
        (plain["net_cents"].sum(),)
    ]


def test_plain_frame_without_rows_or_with_columns_of_one_name():
    empty = frame(*THREE)[:0].capsule.to_plain()
    assert len(empty) == 0 and empty["net_cents"].dtype == "int64"
    twins = pd.DataFrame([[1, "a"]], columns=["x", "x"]).capsule.to_plain()
    assert twins.to_numpy().tolist() == [[1, "a"]]
