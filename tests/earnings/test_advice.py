"""The advice of error messages, followed literally."""

import re

import pandas as pd
import pytest
from service_payments import THREE, frame, payment

from cpsl_notebook import UserError
from cpsl_notebook.earnings.export import excel
from cpsl_notebook.frames import earnings_frame, payments_frame

MONTHLY = [
    payment(number, f"2026-0{number}-10", kind="monthly", payer="ada") for number in (1, 2, 3)
]
CLOSED = {"as_of": "2026-03"}


def error_of(call):
    """Return the message of the `UserError` that a call raises, after checking that it is one line."""
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_unknown_unit_is_set_with_roles():
    names = {"gross_cents": "gross", "fee_cents": "fee", "net_cents": "net"}
    rows = [{names.get(name, name): value for name, value in row.items()} for row in MONTHLY]
    payments = frame(*rows)
    assert "`gross`" in error_of(lambda: payments.capsule.mrr(**CLOSED))
    payments = payments.capsule.with_roles(amounts="cents")
    assert payments.capsule.mrr(**CLOSED)["closing_cents"].tolist() == [1500, 1500, 1500]


def test_missing_payer_is_set_with_roles():
    rows = [{("bought_by" if n == "payer" else n): v for n, v in row.items()} for row in MONTHLY]
    payments = frame(*rows)
    assert 'with_roles({"payer": ' in error_of(lambda: payments.capsule.mrr(**CLOSED))
    payments = payments.capsule.with_roles({"payer": "bought_by"})
    assert payments.capsule.mrr(**CLOSED)["closing_cents"].tolist() == [1500, 1500, 1500]


def test_rows_of_other_kinds_can_be_left_out():
    yearly = payment(9, "2026-02-01", kind="yearly", payer="bo", gross=90_000)
    payments = frame(*MONTHLY, yearly)
    message = error_of(lambda: payments.capsule.mrr(**CLOSED))
    assert "yearly (1)" in message and re.search("[Ll]eave those rows out", message)
    payments = payments[payments["kind"] != "yearly"]
    assert payments.capsule.mrr(**CLOSED)["closing_cents"].tolist() == [1500, 1500, 1500]


def test_rows_without_a_time_can_be_left_out():
    payments = frame(*THREE, THREE[0] | {"payment_id": "p", "paid_at": None})
    assert "leave those rows out" in error_of(lambda: payments.capsule.revenue())
    payments = payments[payments["paid_at"].notna()]
    assert payments.capsule.revenue()["gross_cents"].tolist() == [1500, 1500, 1500]


def test_whole_history_with_since_replaces_a_window():
    payments = frame(*MONTHLY, window="2026-02-01T00:00:00Z/")
    assert "since=" in error_of(lambda: payments.capsule.mrr(**CLOSED))
    payments = frame(*MONTHLY)
    shown = payments.capsule.mrr(**CLOSED, since="2026-02")
    assert shown["closing_cents"].tolist() == [1500, 1500]


def test_summary_column_and_unit_are_set_in_reconcile():
    other = earnings_frame([("shop", {"taken": 45.0, "fees": 4.5, "developerShare": 40.5})])
    payments = frame(*MONTHLY)
    findings = payments.capsule.reconcile(other)["finding"].tolist()
    gross = 'the gross column of the summary is unknown: pass roles={"gross": …} to reconcile()'
    assert gross in findings
    roles = {"gross": "taken"}
    findings = payments.capsule.reconcile(other, roles=roles)["finding"].tolist()
    unit = (
        "the unit of the summary's `taken` is unknown: "
        'pass amounts="cents" or amounts="currency" to reconcile()'
    )
    assert unit in findings
    balanced = payments.capsule.reconcile(other, roles=roles, amounts="currency")
    assert balanced.attrs["balanced"] == "yes"


def test_summaries_need_a_column_app():
    sums = {"gross_cents": 4500, "fee_cents": 450, "net_cents": 4050}
    message = error_of(lambda: frame(*MONTHLY).capsule.reconcile(pd.DataFrame([sums])))
    assert message == "The summaries have no column `app`. Pass the result of get_earnings()."
    table = frame(*MONTHLY).capsule.reconcile(earnings_frame([("shop", sums)]))
    assert table.attrs["balanced"] == "yes"


def test_strict_reconcile_names_the_way_to_all_findings():
    sums = earnings_frame([("shop", {"gross_cents": 4500, "fee_cents": 450, "net_cents": 4051})])
    message = error_of(lambda: frame(*MONTHLY).capsule.reconcile(sums, strict=True))
    assert message == (
        "Not balanced: errors: 1, not checked: 0. First finding: sums, shop: "
        "the net sum differs from the summary's `net_cents`. List all findings with strict=False."
    )
    table = frame(*MONTHLY).capsule.reconcile(sums, strict=False)
    assert table["severity"].tolist().count("error") == 1


def test_existing_snapshot_needs_another_file(tmp_path):
    first = frame(*THREE).capsule.snapshot(tmp_path / "close.parquet")
    message = error_of(lambda: frame(*THREE).capsule.snapshot(first))
    assert message.endswith(
        "already exists, and a snapshot is never overwritten. Choose another file."
    )
    second = frame(*THREE).capsule.snapshot(tmp_path / "close-2.parquet")
    assert frame(*THREE).capsule.diff(second).empty


def test_diff_of_another_window_needs_the_same_one(tmp_path):
    file = frame(*THREE, window="2026-01-01T00:00:00Z/").capsule.snapshot(tmp_path / "cut.parquet")
    message = error_of(lambda: frame(*THREE).capsule.diff(file))
    assert message == (
        "The snapshot holds the window 2026-01-01T00:00:00Z/, but these payments are the whole "
        "history. Read the payments of the same window."
    )
    assert frame(*THREE, window="2026-01-01T00:00:00Z/").capsule.diff(file).empty


def test_table_too_long_for_excel_fits_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "_MOST_ROWS", 2)
    payments = frame(*THREE)
    message = error_of(lambda: payments.capsule.to_excel(tmp_path / "long.xlsx"))
    assert message == (
        "The table has 3 rows, and an Excel sheet holds 2. Write fewer rows, or use to_parquet()."
    )
    payments.to_parquet(tmp_path / "long.parquet")
    payments[:2].capsule.to_excel(tmp_path / "long.xlsx")


def test_top_payers_take_a_number():
    payments = frame(*MONTHLY)
    message = error_of(lambda: payments.capsule.top_payers(0))
    assert message == "Invalid n: 0. Pass the number of payers to show, such as 10."
    assert payments.capsule.top_payers(10)["payer"].tolist() == ["ada"]


def test_results_of_no_payments_have_no_rows():
    assert payments_frame([("shop", [])]).capsule.mrr().empty
