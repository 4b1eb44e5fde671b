"""Ledgers that are kept and shared: snapshots and what changed since, Excel files, pseudonyms."""

import datetime as dt
import stat

import openpyxl
import pandas as pd
import pytest

from cpsl_notebook import UserError
from cpsl_notebook.frames import payments_frame

ROWS = [
    {
        "payment_id": f"pay_{number}",
        "paid_at": f"2026-0{month}-15T10:00:00Z",
        "payer": payer,
        "kind": "one_time",
        "currency": "USD",
        "gross_cents": 1500,
        "fee_cents": 150,
        "net_cents": 1350,
        "payout_state": "In progress",
        "payout_at": None,
    }
    for number, (month, payer) in enumerate([(1, "ada@a.example"), (2, "bob@b.example"), (3, None)])
]


def payments(*rows, window=""):
    frame = payments_frame([("shop", list(rows))])
    frame.attrs |= {"read_at": "2026-04-02T00:00:00Z", "window": window}
    return frame


@pytest.fixture
def frozen(tmp_path):
    """A snapshot of the first two payments, as of the end of February."""
    return payments(*ROWS).capsule.snapshot(tmp_path / "2026-02.parquet", as_of="2026-02-28")


def test_nothing_has_changed_where_nothing_changed_before_the_close(frozen):
    changes = payments(*ROWS).capsule.diff(frozen)
    assert changes.empty
    assert list(changes.columns) == ["change", "app", "payment_id", "field", "before", "after"]


def test_what_changed_since_the_close_is_shown_row_by_row(frozen):
    paid_out = {"payout_state": "Paid out", "payout_at": "2026-04-01T06:00:00Z"}
    late = ROWS[0] | {"payment_id": "pay_late", "net_cents": 1351}
    changes = payments(ROWS[1] | paid_out, ROWS[2], late).capsule.diff(frozen)
    assert changes.drop(columns="app").astype(object).fillna("").to_numpy().tolist() == [
        ["added", "pay_late", "net_cents", "", "1351"],
        ["removed", "pay_0", "net_cents", "1350", ""],
        ["changed", "pay_1", "payout_state", "In progress", "Paid out"],
        ["changed", "pay_1", "payout_at", "", "2026-04-01T06:00:00+00:00"],
    ]
    assert changes.attrs["as_of"] == "2026-04-02T00:00:00+00:00"


def test_a_payment_that_moved_beyond_the_close_has_changed(frozen):
    moved = ROWS[1] | {"paid_at": "2026-03-01T00:00:00Z"}
    changes = payments(ROWS[0], moved, ROWS[2]).capsule.diff(frozen)
    assert changes[["change", "field"]].to_numpy().tolist() == [["changed", "paid_at"]]


def test_rows_that_share_an_id_are_matched_in_their_order(tmp_path):
    twins = [ROWS[0], ROWS[0] | {"net_cents": 1300}]
    file = payments(*twins).capsule.snapshot(tmp_path / "twins.parquet")
    assert payments(*twins).capsule.diff(file).empty
    assert payments(ROWS[0]).capsule.diff(file)["change"].tolist() == ["removed"]


def test_a_snapshot_is_never_overwritten(frozen):
    before = frozen.read_bytes()
    with pytest.raises(UserError, match="already exists, and a snapshot is never overwritten"):
        payments(*ROWS).capsule.snapshot(frozen)
    assert frozen.read_bytes() == before
    assert list(frozen.parent.iterdir()) == [frozen]


def test_only_the_same_window_is_compared(frozen):
    with pytest.raises(UserError, match="whole history, but these payments are the window 2026-02"):
        payments(*ROWS, window="2026-02").capsule.diff(frozen)


def test_a_file_that_is_no_snapshot_is_an_error(tmp_path):
    payments(*ROWS).to_parquet(tmp_path / "payments.parquet")
    (tmp_path / "text").write_text("no")
    for name, said in [
        ("payments.parquet", "is not a snapshot"),
        ("text", "Cannot read"),
        ("none", "Cannot read"),
    ]:
        with pytest.raises(UserError, match=said):
            payments(*ROWS).capsule.diff(tmp_path / name)
    with pytest.raises(UserError, match="Cannot write"):
        payments(*ROWS).capsule.snapshot(tmp_path / "none" / "file")


def test_a_snapshot_read_back_is_a_ledger_as_any_other(frozen):
    ledger = pd.read_parquet(frozen).capsule.ledger()
    assert ledger.equals(payments(*ROWS[:2]).capsule.ledger())


def cells(path):
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path).active.rows]


def test_excel_shows_times_as_the_clocks_of_a_zone_do(tmp_path):
    path = payments(*ROWS).capsule.to_excel(tmp_path / "payments.xlsx", tz="Europe/Berlin")
    heading, first, *_ = cells(path)
    row = dict(zip(heading, first, strict=True))
    assert row["paid_at (Europe/Berlin)"] == dt.datetime(2026, 1, 15, 11)
    assert row["net_cents"] == 1350 and row["payer"] == "ada@a.example"
    assert cells(path)[3][heading.index("payer")] is None


def test_excel_keeps_what_it_would_change(tmp_path):
    odd = {
        "paid_at": "2026-01-15",
        "payer": '=HYPERLINK("https://x.example")',
        "net_cents": 2**53 + 1,
        "note": "a\x00b",
        "tags": ["a", "ä"],
        "number": 7,
    }
    path = payments(odd).capsule.to_excel(tmp_path / "odd.xlsx")
    sheet = openpyxl.load_workbook(path).active
    row = {heading.value: cell for heading, cell in zip(*sheet.rows, strict=True)}
    assert row["payer"].value == odd["payer"] and row["payer"].data_type == "s"
    assert row["net_cents"].value == str(2**53 + 1)
    assert row["note"].value == "a\ufffdb"
    assert row["tags"].value == '["a", "ä"]'
    assert row["number"].value == 7


def test_answers_go_to_excel_too(tmp_path):
    shown = payments(*ROWS).capsule.payouts(money=True)
    path = shown.capsule.to_excel(tmp_path / "payouts.xlsx")
    heading, first = cells(path)
    assert dict(zip(heading, first, strict=True))["net"] == 40.5


def test_a_zone_or_folder_that_there_is_not_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no time zone 'Mars'"):
        payments(*ROWS).capsule.to_excel(tmp_path / "a.xlsx", tz="Mars")
    with pytest.raises(UserError, match="Cannot write"):
        payments(*ROWS).capsule.to_excel(tmp_path / "none" / "a.xlsx")


def test_masked_payers_are_the_same_in_every_run_and_keep_what_is_counted(tmp_path):
    rows = [*ROWS, ROWS[0] | {"payment_id": "again"}]
    first, second = (payments(*rows).capsule.ledger(mask_payers=True) for _ in range(2))
    assert first.equals(second)
    plain = payments(*rows).capsule.ledger()
    assert first["payer"].str.fullmatch("payer-[0-9a-f]{16}").sum() == 3
    assert first["payer"].isna().equals(plain["payer"].isna())
    assert first.groupby("payer").size().tolist().count(2) == 1
    assert first.drop(columns="payer").equals(plain.drop(columns="payer"))
    key = tmp_path / "capsule" / "mask-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    assert not payments(*rows).capsule.ledger(mask_payers=True).equals(first)


def test_masking_with_a_secret_is_the_same_on_every_machine_and_keeps_no_key(tmp_path):
    ledger = payments(*ROWS).capsule.ledger(mask_payers="a long secret")
    assert ledger["payer"][0] == "payer-0ec79c2fe6260e61"
    assert payments(*ROWS).capsule.ledger(mask_payers="another")["payer"][0] != ledger["payer"][0]
    assert not (tmp_path / "capsule").exists()
