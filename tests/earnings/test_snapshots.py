"""Snapshots of a ledger, and the differences since."""

import pandas as pd
import pytest
from service_payments import THREE, frame

from cpsl_notebook import UserError


@pytest.fixture
def frozen(tmp_path):
    """Return a snapshot of the first two payments, as of the end of February."""
    return frame(*THREE).capsule.snapshot(tmp_path / "2026-02.parquet", as_of="2026-02-28")


def test_diff_ignores_payments_after_the_close(frozen):
    changes = frame(*THREE).capsule.diff(frozen)
    assert len(changes) == 0
    assert list(changes.columns) == ["change", "app", "payment_id", "field", "before", "after"]


def test_diff_lists_added_removed_and_changed_rows(frozen):
    paid_out = {"payout_state": "Paid out", "payout_at": "2026-03-31T06:00:00Z"}
    late = THREE[0] | {"payment_id": "pay_late", "net_cents": 1351}
    changes = frame(THREE[1] | paid_out, THREE[2], late).capsule.diff(frozen)
    assert changes.drop(columns="app").astype(object).fillna("").to_numpy().tolist() == [
        ["added", "pay_late", "net_cents", "", "1351"],
        ["removed", "pay_0", "net_cents", "1350", ""],
        ["changed", "pay_1", "payout_state", "In progress", "Paid out"],
        ["changed", "pay_1", "payout_at", "", "2026-03-31T06:00:00+00:00"],
    ]
    assert changes.attrs["as_of"] == "2026-04-01T00:00:00+00:00"


def test_payment_moved_after_the_close_is_changed(frozen):
    moved = THREE[1] | {"paid_at": "2026-03-01T00:00:00Z"}
    changes = frame(THREE[0], moved, THREE[2]).capsule.diff(frozen)
    assert changes[["change", "field"]].to_numpy().tolist() == [["changed", "paid_at"]]


def test_rows_with_the_same_id_are_matched_in_order(tmp_path):
    twins = [THREE[0], THREE[0] | {"net_cents": 1300}]
    file = frame(*twins).capsule.snapshot(tmp_path / "twins.parquet")
    assert frame(*twins).capsule.diff(file).empty
    assert frame(THREE[0]).capsule.diff(file)["change"].tolist() == ["removed"]


def test_snapshot_is_never_overwritten(frozen):
    before = frozen.read_bytes()
    with pytest.raises(UserError) as raised:
        frame(*THREE).capsule.snapshot(frozen)
    assert str(raised.value) == (
        f"{frozen} already exists, and a snapshot is never overwritten; it holds the payments as of "
        "2026-03-01 00:00 UTC. Choose another file."
    )
    assert frozen.read_bytes() == before
    assert list(frozen.parent.iterdir()) == [frozen]
    other = frame(*THREE).capsule.snapshot(frozen.with_name("other.parquet"))
    assert len(frame(*THREE).capsule.diff(other)) == 0


def test_snapshot_of_the_same_ledger_can_run_again(frozen):
    before = frozen.read_bytes()
    later = [*THREE, THREE[2] | {"payment_id": "pay_new"}]  # after the close
    for rows in (THREE, later):
        assert frame(*rows).capsule.snapshot(frozen, as_of="2026-02") == frozen
    assert frozen.read_bytes() == before
    assert list(frozen.parent.iterdir()) == [frozen]


def test_snapshot_of_a_changed_ledger_names_the_number_of_changes(frozen):
    changed = THREE[0] | {"net_cents": 1351, "fee_cents": 149}
    late = THREE[0] | {"payment_id": "pay_late"}
    with pytest.raises(UserError, match=r"have changed since: 3 changes, which diff\(\) lists\."):
        frame(changed, *THREE[1:], late).capsule.snapshot(frozen, as_of="2026-02")
    with pytest.raises(UserError, match=r"it holds the whole history\."):
        window = frame(*THREE, window="2026-01-01T00:00:00Z/")
        window.capsule.snapshot(frozen, as_of="2026-02")
    frozen.write_text("no")
    with pytest.raises(UserError, match="Cannot read the snapshot"):
        frame(*THREE).capsule.snapshot(frozen, as_of="2026-02")


def test_diff_of_different_windows_is_an_error(tmp_path):
    window = "2026-01-01T00:00:00Z/"
    file = frame(*THREE, window=window).capsule.snapshot(tmp_path / "cut.parquet")
    with pytest.raises(UserError) as raised:
        frame(*THREE).capsule.diff(file)
    assert str(raised.value) == (
        "The snapshot holds the window 2026-01-01T00:00:00Z/, but these payments are the whole "
        "history. Read the payments of the same window."
    )
    assert len(frame(*THREE, window=window).capsule.diff(file)) == 0


def test_invalid_files_are_errors(tmp_path):
    frame(*THREE).to_parquet(tmp_path / "payments.parquet")
    (tmp_path / "text").write_text("no")
    for name, message in [
        ("payments.parquet", "is not a snapshot"),
        ("text", "Cannot read"),
        ("none", "Cannot read"),
    ]:
        with pytest.raises(UserError, match=message):
            frame(*THREE).capsule.diff(tmp_path / name)
    with pytest.raises(UserError, match="Cannot write"):
        frame(*THREE).capsule.snapshot(tmp_path / "none" / "file")


def test_snapshot_can_be_read_as_frame(frozen):
    ledger = pd.read_parquet(frozen).capsule.ledger()
    assert ledger.equals(frame(*THREE[:2]).capsule.ledger())


def test_period_that_is_not_over_is_not_closed(tmp_path):
    with pytest.raises(UserError) as raised:
        frame(*THREE).capsule.snapshot(tmp_path / "2026.parquet", as_of="2026")
    assert str(raised.value) == (
        "Cannot close 2026, which is not over: the payments are known up to 2026-04-01 00:00 UTC. Omit "
        "as_of to save those, or read the payments later."
    )
    assert list(tmp_path.iterdir()) == []
    assert frame(*THREE).capsule.snapshot(tmp_path / "march.parquet", as_of="2026-03").exists()


def test_files_that_cannot_be_read_or_written_say_why(tmp_path):
    payments = frame(*THREE)
    for call, path, reason in [
        (payments.capsule.snapshot, tmp_path / "none" / "s.parquet", "No such file or directory"),
        (payments.capsule.diff, tmp_path / "missing.parquet", "No such file or directory"),
        (payments.capsule.diff, tmp_path, "Is a directory"),
    ]:
        with pytest.raises(UserError, match=rf"Cannot .*{path.name}: {reason}\. "):
            call(path)
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(UserError, match=r"text\.parquet: it is not a Parquet file\. Pass a file"):
        payments.capsule.diff(tmp_path / "text.parquet")
