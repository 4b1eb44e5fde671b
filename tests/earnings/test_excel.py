"""Excel files of payments and results."""

import datetime as dt
import sys
import tracemalloc
import uuid

import openpyxl
import pandas as pd
import pytest
from service_payments import THREE, frame

from cpsl_notebook import UserError, progress
from cpsl_notebook.earnings.export import excel


def cells(path):
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path).active.rows]


def test_excel_shows_times_in_the_time_zone(tmp_path):
    path = frame(*THREE).capsule.to_excel(tmp_path / "payments.xlsx", tz="Europe/Berlin")
    heading, first, *_ = cells(path)
    row = dict(zip(heading, first, strict=True))
    assert row["paid_at (Europe/Berlin)"] == dt.datetime(2026, 1, 15, 11)
    assert row["net_cents"] == 1350 and row["payer"] == "ada@a.example"
    assert cells(path)[3][heading.index("payer")] is None


def test_excel_keeps_formulas_large_integers_and_lists_as_text(tmp_path):
    odd = {
        "paid_at": "2026-01-15",
        "payer": '=HYPERLINK("https://x.example")',
        "net_cents": 2**53 + 1,
        "note": "a\x00b",
        "tags": ["a", "ä"],
        "number": 7,
    }
    path = frame(odd).capsule.to_excel(tmp_path / "odd.xlsx")
    sheet = openpyxl.load_workbook(path).active
    row = {heading.value: cell for heading, cell in zip(*sheet.rows, strict=True)}
    assert row["payer"].value == odd["payer"] and row["payer"].data_type == "s"
    assert row["net_cents"].value == str(2**53 + 1)
    assert row["note"].value == "a\ufffdb"
    assert row["tags"].value == '["a", "ä"]'
    assert row["number"].value == 7


def test_results_can_be_written_to_excel(tmp_path):
    shown = frame(*THREE).capsule.payouts(money=True)
    path = shown.capsule.to_excel(tmp_path / "payouts.xlsx")
    heading, first = cells(path)
    assert dict(zip(heading, first, strict=True))["net"] == 40.5


def test_excel_keeps_numbers_that_it_can_represent(tmp_path):
    sold = {"paid_at": "2026-01-15", "gross_cents": 1500, "rate": 0.5, "test": True, "id": 10**16}
    path = frame(sold, sold | {"gross_cents": None}).capsule.to_excel(tmp_path / "numbers.xlsx")
    heading, first, second = cells(path)
    row = dict(zip(heading, first, strict=True))
    assert (row["gross_cents"], row["rate"], row["test"]) == (1500, 0.5, True)
    assert row["id"] == str(10**16)
    assert dict(zip(heading, second, strict=True))["gross_cents"] is None


def test_table_too_long_for_excel_fits_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "_MOST_ROWS", 2)
    with pytest.raises(UserError) as raised:
        frame(*THREE).capsule.to_excel(tmp_path / "long.xlsx")
    assert str(raised.value) == (
        "The table has 3 rows, and an Excel sheet holds 2. Write fewer rows, or use to_parquet()."
    )
    frame(*THREE).to_parquet(tmp_path / "long.parquet")
    assert len(cells(frame(*THREE)[:2].capsule.to_excel(tmp_path / "long.xlsx"))) == 3


def test_excel_without_xlsxwriter_shows_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(UserError, match="Install it with: pip install XlsxWriter"):
        frame(*THREE).capsule.to_excel(tmp_path / "a.xlsx")


def test_excel_lists_attributes_on_a_second_sheet(tmp_path):
    shown = frame(*THREE).capsule.payouts(as_of="2026-02")
    shown.attrs["note"] = "=1+1"
    book = openpyxl.load_workbook(shown.capsule.to_excel(tmp_path / "payouts.xlsx"))
    assert book.sheetnames == ["Sheet1", "About"] and book.active.title == "Sheet1"
    assert [[cell.value for cell in row] for row in book["About"].rows] == [
        ["attribute", "value"],
        ["as_of", "2026-03-01T00:00:00+00:00"],
        ["answer", shown.attrs["answer"]],
        ["note", "=1+1"],
    ]
    assert book["About"]["B4"].data_type == "s"


def test_excel_has_number_formats_and_column_widths(tmp_path):
    rows = [
        {
            "payer": f"payer-{n}@a.example",
            "kind": "monthly",
            "paid_at": f"2026-0{month}-15T10:30:00Z",
        }
        | {"gross_cents": 1_500_000, "fee_cents": 150_000}
        for month in (1, 2)
        for n in range(month, 3)
    ]
    payments = frame(*rows)

    def sheet(shown):
        path = shown.capsule.to_excel(tmp_path / "formats.xlsx")
        return openpyxl.load_workbook(path).active

    def formats(shown):
        heading, first, *_ = sheet(shown).rows
        return {name.value: cell.number_format for name, cell in zip(heading, first, strict=True)}

    found = formats(payments)
    assert found["paid_at (UTC)"] == "yyyy-mm-dd hh:mm:ss"
    assert found["gross_cents"] == "#,##0" and found["payer"] == "General"
    found = formats(payments.capsule.metrics(money=True)[2:])
    assert found["month"] == "yyyy-mm-dd" and found["mrr"] == "#,##0.00"
    assert found["payer_churn"] == "0.0%" and found["payers"] == "General"
    written = sheet(payments)
    assert written.freeze_panes == "A2"
    widths = {
        column[0].value: int(written.column_dimensions[column[0].column_letter].width)
        for column in written.columns
    }
    assert widths["paid_at (UTC)"] == len("yyyy-mm-dd hh:mm:ss") + 2
    assert widths["payer"] == len("payer-1@a.example") + 2
    assert widths["gross_cents"] == len("1,500,000.00") + 2
    assert sheet(payments.assign(note="x" * 500)).column_dimensions["G"].width // 1 == 60


def test_rows_are_written_some_at_a_time_so_that_memory_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "_ROWS_AT_ONCE", 200)
    monkeypatch.setattr(excel, "_ROWS_MEASURED", 200)

    def peak(rows):
        payments = frame(*(THREE[0] | {"payment_id": f"p{number}"} for number in range(rows)))
        payments.capsule.to_excel(tmp_path / "warm.xlsx")
        tracemalloc.start()
        path = payments.capsule.to_excel(tmp_path / "many.xlsx")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, path

    few, _ = peak(600)
    many, path = peak(2_401)
    assert many < 1.5 * few
    sheet = openpyxl.load_workbook(path, read_only=True).active
    ids = [row[1] for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert ids == [f"p{number}" for number in range(2_401)]


def test_long_writing_shows_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_OPTIONS", progress._OPTIONS | {"delay": 0, "mininterval": 0})
    monkeypatch.setattr(progress, "front_end", lambda: "widget")
    frame(*THREE).capsule.to_excel(tmp_path / "payments.xlsx")
    assert "Writing: 100%" in capsys.readouterr().out
    monkeypatch.setattr(progress, "front_end", lambda: "headless")
    frame(*THREE).capsule.to_excel(tmp_path / "payments.xlsx")
    assert capsys.readouterr() == ("", "")


def test_excel_writes_any_value(tmp_path):
    odd = frame(*THREE).assign(
        error=["#N/A", "#1", "x"],
        ratio=[float("inf"), float("nan"), 0.5],
        other=[uuid.UUID(int=1), dt.date(2026, 1, 1), None],
    )
    path = odd.capsule.to_excel(tmp_path / "odd.xlsx")
    heading, *rows = openpyxl.load_workbook(path).active.rows
    place = {cell.value: number for number, cell in enumerate(heading)}
    assert [row[place["error"]].value for row in rows] == ["#N/A", "#1", "x"]
    assert [row[place["error"]].data_type for row in rows] == ["s"] * 3
    assert [row[place["ratio"]].value for row in rows] == ["inf", None, 0.5]
    assert [row[place["other"]].value for row in rows] == [
        str(uuid.UUID(int=1)),
        dt.datetime(2026, 1, 1),
        None,
    ]


def test_excel_shows_each_kind_of_value_in_its_format(tmp_path):
    values = [
        dt.datetime(2026, 1, 2, 3),
        dt.date(2026, 1, 2),
        dt.time(3, 4),
        dt.timedelta(hours=30),
    ]
    values += [True, 1.5, "half \ud83d"]
    shown = frame(*[THREE[0]] * len(values)).assign(odd=pd.Series(values, dtype=object))
    _, *rows = openpyxl.load_workbook(shown.capsule.to_excel(tmp_path / "odd.xlsx")).active.rows
    assert [(row[-1].value, row[-1].number_format) for row in rows] == [
        (dt.datetime(2026, 1, 2, 3), "yyyy-mm-dd hh:mm:ss"),
        (dt.datetime(2026, 1, 2), "yyyy-mm-dd"),
        (dt.time(3, 4), "hh:mm:ss"),
        (dt.timedelta(hours=30), "[h]:mm:ss"),
        (True, "General"),
        (1.5, "General"),
        ("half \ufffd", "General"),
    ]


def test_excel_replaces_a_file_only_when_complete(tmp_path, monkeypatch):
    path = frame(*THREE).capsule.to_excel(tmp_path / "payments.xlsx")
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(excel, "_write", fail)
    with pytest.raises(
        UserError, match=r"Cannot write .*payments\.xlsx: No space left on device\."
    ):
        frame(THREE[0]).capsule.to_excel(path)
    assert path.read_bytes() == before
    assert list(tmp_path.glob("payments*")) == [path]
    monkeypatch.undo()
    frame(THREE[0]).capsule.to_excel(path)
    assert len(cells(path)) == 2


def test_excel_with_unknown_zone_or_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="Unknown time zone: 'Mars'"):
        frame(*THREE).capsule.to_excel(tmp_path / "a.xlsx", tz="Mars")
    with pytest.raises(UserError, match="Cannot write"):
        frame(*THREE).capsule.to_excel(tmp_path / "none" / "a.xlsx")
