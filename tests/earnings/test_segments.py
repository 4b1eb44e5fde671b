"""Results by a column of the payments: revenue, payers, MRR and churn of segments."""

import pandas as pd
import pytest
from hypothesis import given, settings
from ledgers import buy, ledger, monthly, random_payments

import cpsl_notebook.earnings  # noqa: F401 (adds payments.capsule)
from cpsl_notebook import UserError

COUNTRIES = {"ada": "DE", "bo": "FR", "cy": None}


def payments(*rows, read_at="2026-04-01T00:00:00Z"):
    """Return payments with a column that has one value per payer, and one that has not."""
    frame = ledger(*rows).rows
    # A subscription belongs to one payer.
    frame["subscription"] = frame["payer"] + "-" + frame["subscription"]
    frame["country"] = frame["payer"].map(COUNTRIES)
    frame["number"] = range(len(frame))
    return frame.capsule.declare(complete=True, read_at=read_at)


@pytest.fixture
def three():
    return payments(
        *monthly("2026-01-05", 3, "ada"),
        *monthly("2026-01-06", 1, "bo", 2500),
        *monthly("2026-02-07", 2, "cy", 700),
        buy("2026-03-08", "bo"),
    )


def test_mrr_by_country(three):
    table = three.capsule.mrr(by="country")
    march = table[table["month"] == "2026-03-01"].set_index("country")["closing_cents"]
    assert march["DE"] == 1500 and march["FR"] == 0
    assert march[march.index.isna()].tolist() == [700]
    assert list(table.columns[:4]) == ["month", "app", "currency", "country"]
    assert len(table) == 9  # three months and countries


def test_churn_payers_and_revenue_by_country(three):
    churn = three.capsule.churn(by="country")
    lost = churn[(churn["country"] == "FR") & (churn["churned_payers"] == 1)]
    assert lost[["churn_cents", "payer_churn"]].to_numpy().tolist() == [[-2500, 1.0]]
    payers = three.capsule.payers(by="country").query("country == 'FR'")
    assert payers["new_payers"].tolist() == [1, 0, 0]
    assert payers["returning_payers"].tolist() == [0, 0, 1]
    revenue = three.capsule.revenue("QS", by="country")
    assert revenue.groupby("country", dropna=False)["gross_cents"].sum().tolist() == [
        4500,
        7400,
        1400,
    ]


def test_revenue_by_a_column_that_varies_per_payer(three):
    revenue = three.capsule.revenue("YS", by="number")
    assert revenue["gross_cents"].sum() == three["gross_cents"].sum()
    assert revenue["number"].nunique() == len(three)


@pytest.mark.parametrize("name", ["mrr", "churn", "payers"])
def test_segment_that_varies_per_payer_is_an_error(three, name):
    with pytest.raises(UserError) as raised:
        getattr(three.capsule, name)(by="number")
    assert str(raised.value) == (
        "by= needs a column with one value per payer. Payers with several: 3, for example ada with "
        "[0, 2, 4]. Choose or add another column, such as the first value of each payer."
    )


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("region", r"The payments have no column 'region'\. Columns: `payment_id`"),
        ("app", r"^The result has rows for each app already\. Omit by='app'\.$"),
        ("tags", r"Cannot separate the result by `tags`: its values are lists or dicts\."),
    ],
)
def test_columns_that_cannot_be_segments_are_errors(three, column, message):
    three["tags"] = [["a"]] * len(three)
    with pytest.raises(UserError, match=message):
        three.capsule.revenue(by=column)


def test_plots_have_a_panel_for_each_segment(three):
    axes = three.capsule.plot.mrr(by="country")
    assert [each.get_title(loc="left") for each in axes[::2]] == [
        "Monthly recurring revenue · shop · DE",
        "Monthly recurring revenue · shop · FR",
        "Monthly recurring revenue · shop · nan",
    ]


@settings(deadline=None, max_examples=15)
@given(random_payments)
def test_segments_add_up_and_equal_the_answer_of_their_payments(drawn):
    frame = payments(*drawn)
    options = {"as_of": "2026-03", "since": "2020"}
    for name in ("mrr", "churn", "payers", "revenue"):
        analysis = getattr(frame.capsule, name)
        if frame.empty:
            assert analysis(by="country", **options).empty
            continue
        whole, split = analysis(**options), analysis(by="country", **options)
        keys = [key for key in ("month", "period", "app", "kind", "currency") if key in whole]
        sums = [key for key in whole if key.endswith("_cents") and key != "arpp_cents"]
        added = split.groupby(keys, observed=True)[sums].sum()
        expected = whole.set_index(keys)[sums]
        pd.testing.assert_frame_equal(added, expected, check_index_type=False)
        for country in split["country"].dropna().unique():
            own = frame[frame["country"] == country]
            own = own.capsule.declare(complete=True, read_at="2026-04-01T00:00:00Z")
            own = getattr(own.capsule, name)(**options)
            part = split[split["country"] == country].drop(columns="country")
            part = part[part[keys[0]] >= own[keys[0]].min()]
            groups = own[keys[1:]].drop_duplicates().astype("string")
            part = part.astype(dict.fromkeys(keys[1:], "string")).merge(groups)
            own = own.astype(dict.fromkeys(keys[1:], "string"))
            pd.testing.assert_frame_equal(part[own.columns].reset_index(drop=True), own)
