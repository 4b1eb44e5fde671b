"""Properties shared by all analyses of ``payments.capsule``, and one quarter in all of them."""

import inspect
import pickle
from decimal import Decimal

import pandas as pd
import pytest
from ledgers import by_month, column

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame, payments_frame

READ_AT = "2026-04-10T08:00:00Z"


def paid(day, payer, gross, kind="monthly", **more):
    fee = gross // 10
    return {
        "payment_id": f"{day} {payer} {kind}",
        "paid_at": f"{day}T12:00:00Z",
        "payer": payer,
        "kind": kind,
        "currency": "USD",
        "gross_cents": gross,
        "fee_cents": fee,
        "net_cents": gross - fee,
        "payout_state": "Paid out",
        "payout_id": "po_1",
    } | more


# Ada renews on the last day of each month, a day late in February. Bo pays for one month. Cy buys
# once, gets a partial refund in March, and subscribes. Dee pays for two months, the second at a
# higher price, and is in grace. Eve pays in euros.
QUARTER = [
    paid("2026-01-31", "ada", 1500),
    paid("2026-03-01", "ada", 1500),
    paid("2026-03-31", "ada", 1500),
    paid("2026-01-10", "bo", 1500),
    paid("2026-01-20", "cy", 4900, "one_time"),
    paid("2026-03-05", "cy", -900, "one_time"),
    paid("2026-03-12", "cy", 1500, payout_state="In progress", payout_id=None),
    paid("2026-01-25", "dee", 1500),
    paid("2026-02-25", "dee", 2500),
    paid("2026-02-02", "eve", 2000, currency="EUR"),
]


def frame(*rows, window="", app="shop"):
    made = payments_frame([(app, list(rows))])
    made.attrs |= {"read_at": READ_AT, "window": window}
    return made


@pytest.fixture
def payments():
    return frame(*QUARTER)


SUMMARY = earnings_frame([("shop", {"gross_cents": 1, "fee_cents": 1, "net_cents": 1})])
NAMES = "revenue payers top_payers mrr churn cohorts payouts reconcile".split()


def analyze(payments, name, **options):
    more = [SUMMARY] if name == "reconcile" else []
    return getattr(payments.capsule, name)(*more, **options)


def test_all_analyses_match_a_hand_computed_quarter(payments):
    # Revenue in dollars. January: 1500 + 1500 + 1500 + 4900 = 9400, with fees of a tenth.
    # February: 2500. March: 1500 + 1500 + 1500 = 4500, -900 refunded, fees 450 - 90 = 360.
    of = {"as_of": "2026-03"}
    dollars = payments.capsule.revenue(**of).query("currency == 'USD'")
    sums = dollars.groupby("period")[
        ["gross_cents", "refunds_cents", "fee_cents", "net_cents"]
    ].sum()
    assert sums.to_numpy().tolist() == [
        [9400, 0, 940, 8460],
        [2500, 0, 250, 2250],
        [4500, -900, 360, 3240],
    ]
    # Payers. January: ada, bo, cy and dee, all new: 9400 / 4 = 2350. February: dee, 2500.
    # March: ada and cy, both returning: 4500 / 2 = 2250.
    shown = payments.capsule.payers(**of).query("currency == 'USD'")
    assert column(shown, "active_payers") == [4, 1, 2]
    assert column(shown, "new_payers") == [4, 0, 0]
    assert column(shown, "returning_payers") == [0, 1, 2]
    assert column(shown, "arpp_cents") == [2350, 2500, 2250]
    # Net: cy 4410 - 810 + 1350 = 4950, ada 3 × 1350 = 4050, dee 1350 + 2250 = 3600, bo 1350;
    # together 13950.
    top = payments.capsule.top_payers(2, **of).query("currency == 'USD'")
    assert column(top, "payer") == ["cy", "ada"] and column(top, "net_cents") == [4950, 4050]
    assert column(top, "share") == [4950 / 13950, 4050 / 13950]
    # January closes with ada, bo and dee: 4500. Bo was due on 10 February and has churned after the
    # 25th. Dee pays 1000 more. Ada is due on 28 February and pays on 1 March. 1500 + 2500 = 4000.
    # In March ada pays, dee is due on the 25th and in grace, cy is new: 1500 + 2500 + 1500 = 5500.
    months = payments.capsule.mrr(**of).query("currency == 'USD'")
    assert column(months, "opening_cents") == [0, 4500, 4000]
    assert column(months, "new_cents") == [4500, 0, 1500]
    assert column(months, "expansion_cents") == [0, 1000, 0]
    assert column(months, "churn_cents") == [0, -1500, 0]
    assert column(months, "contraction_cents") == column(months, "reactivation_cents") == [0] * 3
    assert column(months, "closing_cents") == [4500, 4000, 5500]
    assert column(months, "payers") == [3, 2, 3]
    assert column(months, "state") == ["final", "final", "provisional"]
    # Net amounts are lower by a tenth.
    net = payments.capsule.mrr(**of, basis="net").query("currency == 'USD'")
    assert column(net, "closing_cents") == [4050, 3600, 4950]
    # February loses one of 3 payers and 1500 of 4500. With expansion of 1000 by dee, 4000 are left.
    lost = payments.capsule.churn(**of).query("currency == 'USD'")
    assert column(lost, "payer_churn") == [None, 1 / 3, 0]
    assert column(lost, "gross_retention") == [None, 3000 / 4500, 1]
    assert column(lost, "net_retention") == [None, 4000 / 4500, 1]
    # Two of the three payers of January stay. Cy is the cohort of March. Eve pays in euros.
    cells = payments.capsule.cohorts(**of).query("currency == 'USD' and payers > 0")
    first = cells[cells["cohort"] == "2026-01-01"]
    assert column(first, "active_payers") == [3, 2, 2]
    assert column(first, "mrr_cents") == [4500, 4000, 4000]
    # Cy's 1350 of 12 March are pending, for 19 days on 31 March. The other payments were paid out, and
    # it is unknown whether that was before April.
    row, sometime = payments.capsule.payouts(**of).query("currency == 'USD'").to_dict("records")
    assert sometime["payout_state"] == "Paid out at an unknown time"
    assert (row["net_cents"], row["days_8_30_cents"], row["oldest_days"]) == (1350, 1350, 19)
    # Dee's grace ends on 9 April, so she has churned when the payments are read on the 10th.
    april = payments.capsule.mrr().query("currency == 'USD'").iloc[-1]
    assert (april["churn_cents"], april["closing_cents"]) == (-2500, 3000)
    assert april["state"] == "running"


@pytest.mark.parametrize("name", NAMES)
def test_results_carry_as_of_in_their_attributes(payments, name):
    assert analyze(payments, name).attrs["as_of"] == "2026-04-10T08:00:00+00:00"
    if name != "reconcile":
        early = analyze(payments, name, as_of="2026-02")
        berlin = analyze(payments, name, as_of="2026-02", tz="Europe/Berlin")
        assert early.attrs["as_of"] == "2026-03-01T00:00:00+00:00"
        assert berlin.attrs["as_of"] == "2026-02-28T23:00:00+00:00"


def test_results_without_rows_carry_as_of_too(payments):
    nothing = payments.capsule.payouts(as_of="2025-12")
    assert nothing.empty and nothing.attrs["as_of"] == "2026-01-01T00:00:00+00:00"
    assert pickle.loads(pickle.dumps(nothing)).attrs == nothing.attrs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("money", [False, True])
def test_results_are_plain_dataframes(payments, name, money, tmp_path):
    table = analyze(payments, name, money=money)
    assert type(table) is pd.DataFrame
    assert table.columns.name is None and table.index.names == [None]
    assert type(table.index) is pd.RangeIndex
    assert table.melt().columns.tolist() == ["variable", "value"]
    assert table.stack().index.names == [None, None]
    twice = pd.concat([table, table], ignore_index=True)
    pd.testing.assert_frame_equal(twice[: len(table)], table)
    table.to_parquet(tmp_path / "table.parquet")
    again = pd.read_parquet(tmp_path / "table.parquet")
    assert again.attrs == table.attrs
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize("name", NAMES)
def test_cents_are_integers_and_money_is_exact(name):
    large = 2**53 + 1  # a float cannot represent it
    rows = [
        paid(day, "ada", gross, fee_cents=0, net_cents=gross, payout_state="Held")
        for day, gross in [("2026-01-10", large), ("2026-02-10", 2)]
    ]
    cents, money = (analyze(frame(*rows), name, money=flag) for flag in (False, True))
    names = [each for each in cents if each.endswith("_cents")]
    assert names and {str(cents[name].dtype) for name in names} == {"Int64"}
    assert not any(each.endswith("_cents") for each in money)
    for each in names:
        amounts = money[each.removesuffix("_cents")].tolist()
        assert {type(amount) for amount in amounts} <= {Decimal, type(None)}
        assert [None if amount is None else int(amount * 100) for amount in amounts] == column(
            cents, each
        )
    odd = [exact for each in names for exact in column(cents, each) if exact and exact % 2]
    assert max(odd) >= large  # including its last digit


@pytest.mark.parametrize("name", sorted({*NAMES} - {"reconcile"}))
def test_results_keep_currencies_of_one_payer_and_app_separate(name):
    rows = [paid("2026-01-10", "ada", 1500, payout_state="Held")]
    both = [*rows, rows[0] | {"payment_id": "x", "currency": "EUR", "gross_cents": 700}]
    for unit in ({}, {"unit": "payer"} if name in ("payers", "mrr", "churn", "cohorts") else {}):
        alone, beside = (analyze(frame(*these), name, **unit) for these in (rows, both))
        dollars = beside[beside["currency"] == "USD"].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            dollars.astype({"currency": str}),
            alone.astype({"currency": str}),
            check_column_type=False,
        )
        assert len(beside) == 2 * len(alone)


@pytest.mark.parametrize("name", NAMES)
def test_analyses_that_need_the_whole_history_reject_a_window(name, workspace):
    october = workspace.client().list_payments(month="2026-10")
    if name not in ("mrr", "churn", "cohorts", "reconcile"):
        assert len(analyze(october, name)) > 0
        return
    with pytest.raises(UserError) as refused:
        analyze(october, name)
    message = str(refused.value)
    assert message.startswith(
        f"{name}() needs the whole history, but these payments are limited to "
    )
    assert "read them without a window; since=" in message.lower()
    assert "\n" not in message


@pytest.mark.parametrize("name", NAMES)
def test_results_do_not_depend_on_payment_order(payments, name):
    backwards = payments[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(analyze(backwards, name), analyze(payments, name))


@pytest.mark.parametrize("name", ["revenue", "payers", "mrr", "churn", "cohorts"])
def test_since_limits_rows_without_changing_numbers(payments, name):
    whole, part = analyze(payments, name), analyze(payments, name, since="2026-02")
    label = {"mrr": "month", "churn": "month", "cohorts": "cohort"}.get(name, "period")
    kept = whole[whole[label] >= "2026-02-01"].reset_index(drop=True)
    assert 0 < len(part) < len(whole)
    pd.testing.assert_frame_equal(part, kept)


@pytest.mark.parametrize("name", ["payers", "mrr", "churn", "cohorts"])
def test_unit_payer_counts_a_payer_of_two_apps_once(name):
    rows = [paid("2026-01-10", "ada", 1500), paid("2026-01-10", "bo", 1500)]
    two = payments_frame([("shop", rows), ("school", rows[:1])])
    two.attrs |= {"read_at": READ_AT, "window": ""}
    by_app, by_payer = (
        analyze(two, name, unit=unit, as_of="2026-02-20") for unit in ("app", "payer")
    )
    counted = {"payers": "active_payers", "mrr": "payers", "churn": "opening_payers"}
    count = counted.get(name, "payers")
    first = {"cohorts": "cohort", "payers": "period"}.get(name, "month")
    month = pd.Timestamp("2026-02-01" if name == "churn" else "2026-01-01")
    found = [table.loc[table[first] == month, count] for table in (by_app, by_payer)]
    assert sorted(found[0].drop_duplicates()) == [1, 2] and found[1].unique().tolist() == [2]
    assert "app" in by_app and "app" not in by_payer


def test_month_of_reading_is_running(workspace):
    # The clock of the local workspace shows the last second of 31 October.
    october = workspace.client().list_payments().capsule.mrr(since="2026-10")
    assert column(october, "state") == ["running"]


def test_month_is_provisional_for_15_days_then_final():
    paid_in_october = paid("2025-10-10", "ada", 1500)
    for read_at, state in [
        ("2025-10-31T23:59:59Z", "running"),
        ("2025-11-01T00:00:00Z", "provisional"),
        ("2025-11-15T23:59:59Z", "provisional"),
        ("2025-11-16T00:00:00Z", "final"),
    ]:
        made = frame(paid_in_october)
        made.attrs["read_at"] = read_at
        for name in ("revenue", "mrr", "cohorts"):
            assert column(analyze(made, name), "state")[0] == state


@pytest.mark.parametrize("name", NAMES)
def test_methods_document_parameters_and_columns(payments, name):
    method = getattr(payments.capsule, name)
    text = inspect.getdoc(method)
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{section}\n---" in text
    assert all(f"\n{each} : " in text for each in inspect.signature(method).parameters)
    assert all(f"``{each}``" in text for each in analyze(payments, name))


def test_months_without_payments_have_zeros():
    rows = [paid("2026-01-10", "ada", 1500), paid("2026-04-01", "ada", 1500)]
    assert column(analyze(frame(*rows), "revenue"), "gross_cents") == [1500, 0, 0, 1500]
    assert by_month(analyze(frame(*rows), "mrr"), "closing_cents") == {
        "2026-01": 1500,
        "2026-04": 1500,
    }
