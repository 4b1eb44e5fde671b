"""Field names are split into the same words for columns and for roles."""

import pytest

from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.frames import payments_frame
from cpsl_notebook.frames.field_names import last_word, words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gross_cents", "gross cents"),
        ("gross-cents", "gross cents"),
        ("gross cents", "gross cents"),
        ("grossCents", "gross cents"),
        ("GrossCents", "gross cents"),
        ("GROSS_CENTS", "gross cents"),
        ("amounts.grossCents", "amounts gross cents"),
        ("grossUSDCents", "gross usd cents"),
        ("USDCents", "usd cents"),
        ("paidUTCTime", "paid utc time"),
        ("paidAtUTC", "paid at utc"),
        ("payoutID", "payout id"),
        ("HTTPStatus", "http status"),
        ("paid_at_2", "paid at 2"),
        ("line1Cents", "line 1 cents"),
        ("x509ID", "x 509 id"),
        ("größe_cents", "größe cents"),
        ("_unparsed_", "unparsed"),
        ("paid", "paid"),
        ("A", "a"),
        ("", ""),
        ("__", ""),
        (7, "7"),
    ],
)
def test_words_splits_names_of_every_style(name, expected):
    assert words(name) == expected.split()
    assert last_word(name) == (expected.split() or [""])[-1]


def test_acronyms_do_not_hide_types_and_roles():
    record = {"grossUSDCents": 1500, "feeUSDCents": "150", "paidUTCTime": 1767225600}
    frame = payments_frame([("shop", [record])])
    assert frame.dtypes.astype(str).to_dict() == {
        "app": "category",
        "grossUSDCents": "Int64",
        "feeUSDCents": "Int64",
        "paidUTCTime": "datetime64[us, UTC]",
    }
    rows = build(frame, roles={"time": "paidUTCTime"}).rows
    assert rows["gross_cents"].tolist() == [1500] and rows["net_cents"].tolist() == [1350]
