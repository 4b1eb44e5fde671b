"""The tables of a reply as DataFrames."""

import tracemalloc

import pytest
from replies import reply_with, table_block

from cpsl_notebook import UserError
from cpsl_notebook.reply.rendering import html, plain


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


def test_integer_that_a_float_would_round_stays_exact():
    ids = [1234567890123456789, 1234567890123456790]
    rows = "".join(f"| {number} | {value} |\n" for number, value in zip(ids, ids, strict=True))
    (table,) = reply_with(f"| id | mixed |\n|---|---|\n{rows}| 1 | 0.5 |").tables
    assert table["id"].tolist() == [*map(str, ids), "1"]
    assert table["mixed"].tolist() == [*map(str, ids), "0.5"]
    mixed, beyond = [2**53 + 1, 2.5, None], [2**63, 2**53 + 1, None]
    cells = [list(row) for row in zip(mixed, beyond, strict=True)]
    (table,) = reply_with(blocks=[table_block(cells)]).tables
    assert [table.iloc[:, n].dropna().tolist() for n in (0, 1)] == [mixed[:2], beyond[:2]]


def test_tables_are_in_the_order_of_the_reply():
    text = "| a |\n|---|\n| 1 |"
    reply = reply_with(text, blocks=[table_block([[2]], ["b"]), {"type": "x"}])
    reply.add_event({"text": text.replace("a", "c")})
    assert [list(table.columns) for table in reply.tables] == [["a"], ["b"], ["c"]]


def test_huge_block_table_is_complete():
    (table,) = reply_with(blocks=[table_block([[n] * 60 for n in range(5_000)])]).tables
    assert table.shape == (5_000, 60)


SPARSE = {
    "different keys": [{f"k{n}": n} for n in range(10_000)],
    "one long row": [[0] * 80_000, *[[]] * 10_000],
    "many columns": [[0] * 20_000],
}


@pytest.mark.parametrize("rows", SPARSE.values(), ids=SPARSE)
def test_sparse_table_is_refused_in_little_memory(rows):
    reply = reply_with(blocks=[table_block(rows)])
    tracemalloc.start()
    try:
        shown = html(reply) + plain(reply)
        with pytest.raises(UserError, match=r"at most 2,000,000 cells and 10,000 columns"):
            reply.tables  # noqa: B018
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "more columns: see `tables`" in shown and len(shown) < 300_000
    assert peak < 100e6


def test_wide_markdown_table_is_refused():
    text = "|" + "a|" * 12_000 + "\n|" + "-|" * 12_000
    with pytest.raises(UserError, match="0 rows and 12,000 columns"):
        reply_with(text).tables  # noqa: B018


def test_cell_that_has_no_text_is_shown_as_dots():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    reply = reply_with(blocks=[table_block([[nested, 10**5_000, "x" * 5_000]])])
    assert plain(reply).split()[3:5] == ["…", "…"]
    assert f"{'x' * 1_000}…" in html(reply) and "x" * 1_001 not in html(reply)
