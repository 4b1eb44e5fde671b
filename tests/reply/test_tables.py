"""The tables of a reply as DataFrames."""

from replies import reply_with, table_block


def test_column_of_markdown_table_is_numeric_if_all_cells_are():
    text = "| queue | open | share | code |\n|---|---|---|---|\n| `a\\|b` | 4 | 1.5 | 007 |"
    text += "\n| b | | 2 | 1 |"
    (table,) = reply_with(text).tables
    assert table.dtypes.astype(str).tolist() == ["string", "Int64", "Float64", "string"]
    assert table["queue"].tolist() == ["a|b", "b"] and table["code"].tolist() == ["007", "1"]
    assert table["open"].isna().tolist() == [False, True]


def test_block_table_has_typed_columns_and_clean_texts():
    rows = [[2**60 + 1, 12, 1.0, "\x1b]0;title\x07a"], [2, None, 2.0, None]]
    (table,) = reply_with(blocks=[table_block(rows, ["n", "gaps", "share", "\x1b[2Jname"])]).tables
    assert table["n"].tolist() == [2**60 + 1, 2]
    assert list(map(str, table.dtypes))[:3] == ["Int64", "Int64", "float64"]
    assert table["gaps"].isna().tolist() == [False, True]
    assert table["name"][0] == "a"


def test_tables_of_text_come_before_those_of_blocks():
    reply = reply_with("| a |\n|---|\n| 1 |", blocks=[table_block([[2]], ["b"]), {"type": "x"}])
    assert [list(table.columns) for table in reply.tables] == [["a"], ["b"]]


def test_huge_block_table_is_complete():
    (table,) = reply_with(blocks=[table_block([[n] * 60 for n in range(5_000)])]).tables
    assert table.shape == (5_000, 60)
