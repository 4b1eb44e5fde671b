"""The payments behind figures: they add up exactly, in every answer."""

import pandas as pd
import pytest
from histories import random_history, service_frame
from ledgers import buy, ledger, monthly, pay

import cpsl_notebook.earnings  # noqa: F401 (adds payments.capsule)
from cpsl_notebook import UserError

NOT_EXPLAINED = {"mrr_per_payer_cents", "lifetime_value_cents", "arpp_cents", "rank", "age"}
NOT_EXPLAINED |= {"oldest_days"}


def payments(*rows):
    frame = ledger(*rows).rows
    # A subscription belongs to one payer.
    frame["subscription"] = frame["payer"] + "-" + frame["subscription"]
    frame["country"] = frame["payer"].map({"ada": "DE", "bo": "FR"})
    return frame.capsule.declare(complete=True, read_at="2026-04-01T00:00:00Z")


@pytest.fixture
def year():
    return payments(
        *monthly("2026-01-05", 2, "ada"),
        *monthly("2026-03-05", 1, "ada", 2500),
        *monthly("2026-01-06", 1, "bo", 700),
        buy("2026-03-08", "bo", 4900),
        buy("2026-03-09", "bo", -900),
        pay("2026-03-10", "cy", 1100, app="school"),
    )


def explained(frame, rows, column):
    """Return payer, day and contribution of the payments behind a column."""
    found = frame.capsule.explain(rows, column)
    days = found["paid_at"].dt.strftime("%m-%d")
    return list(zip(found["payer"], days, found.iloc[:, -1], strict=True))


def test_movements_are_explained_by_payments_now_and_the_month_before(year):
    mrr = year.capsule.mrr()
    march = mrr[(mrr["month"] == "2026-03-01") & (mrr["app"] == "shop")]
    assert explained(year, march, "expansion_cents") == [
        ("ada", "02-05", -1500),
        ("ada", "03-05", 2500),
    ]
    assert explained(year, march, "opening_cents") == [("ada", "02-05", 1500)]
    february = mrr[(mrr["month"] == "2026-02-01") & (mrr["app"] == "shop")]
    assert explained(year, february, "churn_cents") == [("bo", "01-06", -700)]
    assert explained(year, february, "payers") == [("ada", "02-05", 1)]
    assert explained(year, february, "new_cents") == []


def test_late_renewal_explains_the_month_that_it_pays_for():
    frame = payments(pay("2026-01-20", "ada"), pay("2026-03-02", "ada"))
    mrr = frame.capsule.mrr()
    assert explained(frame, mrr[mrr["month"] == "2026-02-01"], "closing_cents") == [
        ("ada", "03-02", 1500)
    ]
    assert explained(frame, mrr, "churn_cents") == []


def test_revenue_payers_and_metrics_are_explained(year):
    revenue = year.capsule.revenue(money=True)
    assert explained(year, revenue, "refunds") == [("bo", "03-09", -900)]
    assert list(year.capsule.explain(revenue, "net").columns) == [
        *("period", "app", "kind", "currency", "payment_id", "paid_at", "payer"),
        *("gross_cents", "fee_cents", "net_cents", "counted_cents"),
    ]
    payers = year.capsule.payers(unit="payer")
    payers = payers[payers["period"] == "2026-03-01"]
    assert explained(year, payers, "new_payers") == [("cy", "03-10", 1)]
    metrics = year.capsule.metrics()
    total = metrics[(metrics["app"] == "(all apps)") & (metrics["month"] == "2026-03-01")]
    assert explained(year, total, "arr_cents") == [
        ("ada", "03-05", 12 * 2500),
        ("cy", "03-10", 12 * 1100),
    ]


def test_result_of_explain_says_when_it_holds(year):
    mrr = year.capsule.mrr(as_of="2026-02")
    assert year.capsule.explain(mrr, "payers").attrs["as_of"] == "2026-03-01T00:00:00+00:00"


def test_ratios_and_averages_are_not_explained(year):
    with pytest.raises(UserError) as raised:
        year.capsule.explain(year.capsule.payers(money=True), "arpp")
    assert str(raised.value) == (
        "explain() cannot explain 'arpp': no payments add up to it. "
        "Choose one of: active_payers, new_payers, returning_payers, revenue."
    )


def test_other_rows_are_not_explained(year):
    mrr = year.capsule.mrr()
    changed = mrr.assign(closing_cents=mrr["closing_cents"] + 1)
    with pytest.raises(UserError, match=r"do not add up to 'closing_cents' in 6 of 6 rows\. Pass"):
        year.capsule.explain(changed, "closing_cents")
    with pytest.raises(UserError, match=r"do not add up to 'closing_cents' in 1 of 6 rows"):
        year[year["payer"] != "cy"].capsule.explain(mrr, "closing_cents")
    for other in (year, pd.DataFrame(mrr.to_dict("list")), {"month": 1}):
        with pytest.raises(
            UserError, match=r"explain\(\) needs rows of the result of metrics, rev"
        ):
            year.capsule.explain(other, "closing_cents")


NONE = {"country": "none"}
ANSWERS = [
    ("metrics", {}),
    ("mrr", {"basis": "net", "by": "country"}),
    ("mrr", {"unit": "payer"}),
    ("churn", {"tz": "America/New_York"}),
    ("cohorts", {}),
    ("revenue", {"freq": "W", "by": "country", "money": True}),
    ("payers", {"freq": "D", "basis": "net"}),
    ("payers", {"unit": "payer", "by": "country"}),
    ("top_payers", {"since": "2024-03"}),
    ("top_payers", {"since": pd.Period("2024Q2")}),
    ("payouts", {}),
    ("payouts", {"by": "payout_id"}),
]


@pytest.fixture(scope="module")
def history():
    """Return payments as the service sends them, with long plans, refunds and many amounts."""
    rows = [
        row
        for seed in range(30)
        for row in random_history(
            seed, [f"ada{seed}"], ["shop", "school"], currencies=["USD", "JPY"]
        )
    ]
    frame = service_frame(rows)
    frame["country"] = frame["customer_email"].str[3].map({"1": "DE", "2": "FR"})
    return frame


@pytest.mark.filterwarnings("ignore:Some values could not be read")
@pytest.mark.parametrize(("name", "options"), ANSWERS)
def test_explained_payments_add_up_to_every_figure(history, name, options):
    for as_of in ("2024-06-20", None):
        rows = getattr(history.capsule, name)(**options, as_of=as_of)
        rows = rows[::2]  # any selection
        for column in rows.columns:
            is_number = str(rows[column].dtype) in ("Int64", "object")
            if not is_number or column in NOT_EXPLAINED | {"country"}:
                continue
            found = history.capsule.explain(rows, column)
            keys = [key for key in ("month", "app", "currency", "country") if key in rows]
            names = dict.fromkeys(set(keys) - {"month"}, "string")
            shown, found = rows.astype(names).fillna(NONE), found.astype(names).fillna(NONE)
            figures = shown.groupby(keys)[column].sum()
            counted = found.groupby(keys)[found.columns[-1]].sum()
            if "money" in options and found.columns[-1] == "counted_cents":
                scale = [1 if "JPY" in key else 100 for key in figures.index]
                figures = figures * scale
            figures = figures[figures != 0]
            assert counted[counted != 0].tolist() == figures.tolist()
