"""Reconciliation of payments whose findings are computed by hand."""

import pandas as pd
import pytest
from service_payments import frame, payment

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame


def summary(*rows, **changes):
    sums = {
        name: sum(row[name] for row in rows) for name in ("gross_cents", "fee_cents", "net_cents")
    }
    return earnings_frame([("shop", {"payments": len(rows)} | sums | changes)])


GOOD = [payment(1, "2026-01-05"), payment(2, "2026-02-05", gross=4900), payment(3, "2026-03-05")]


def findings(rows, earnings=None, **options):
    table = frame(*rows).capsule.reconcile(
        summary(*rows) if earnings is None else earnings, **options
    )
    return table, table[table["severity"] != "passed"]


def test_consistent_payments_are_balanced():
    table, not_passed = findings(GOOD)
    assert not_passed.empty and table.attrs["balanced"] == "yes"
    assert table.attrs["as_of"] == "2026-04-01T00:00:00+00:00"
    assert table["check"].unique().tolist() == [
        *("complete", "net", "fee", "duplicates", "currencies"),
        *("payout ids", "renewals", "negatives", "repeated"),
        *("refunds", "dates", "payers", "left out", "sums"),
    ]
    assert "the net sum equals the summary's `net_cents`" in table["finding"].tolist()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # 1500 − 150 is 1350, not 1351.
        ({"net_cents": 1351}, ("net", 1350, 1351)),
        # A tenth of 1500 is 150.
        ({"fee_cents": 151, "net_cents": 1349}, ("fee", 150, 151)),
        ({"fee_cents": 149, "net_cents": 1351}, ("fee", 150, 149)),
        ({"fee_cents": 0, "net_cents": 1500}, ("fee", 150, 0)),
    ],
)
def test_wrong_amount_is_an_error_with_the_expected_amount(change, expected):
    rows = [GOOD[0] | change, *GOOD[1:]]
    table, not_passed = findings(rows)
    found = not_passed[["check", "expected_cents", "found_cents"]].to_numpy().tolist()
    assert found == [list(expected)]
    assert not_passed["payment_id"].tolist() == ["pay_1"] and not_passed["severity"].tolist() == [
        "error"
    ]
    assert table.attrs["balanced"] == "no"


@pytest.mark.parametrize("fee", [149, 150])
def test_fee_of_half_a_cent_may_be_rounded_up_or_down(fee):
    # A tenth of 1495 is 149.5.
    assert findings([payment(1, "2026-01-05", gross=1495, fee=fee)])[1].empty


def test_duplicates_and_mixed_currencies_are_errors():
    rows = [*GOOD, GOOD[0] | {"payer": "x"}, payment(4, "2026-03-06", currency="EUR")]
    table, _ = findings(rows)
    errors = table[table["severity"] == "error"]
    assert errors["check"].tolist() == ["duplicates", "currencies", "currencies"]
    assert errors["finding"].tolist() == [
        *("2 rows share this id", "1 payment in EUR", "4 payments in USD")
    ]
    # Sums across currencies are meaningless.
    assert table[table["check"] == "sums"]["severity"].unique().tolist() == ["not checked"]


def test_unreadable_amount_is_an_error():
    with pytest.warns(UserWarning, match="1 of net_cents"):
        table, _ = findings([GOOD[0] | {"net_cents": "13,50"}], summary(GOOD[0]))
    errors = table[table["severity"] == "error"]
    assert errors[["check", "payment_id", "finding"]].to_numpy().tolist() == [
        ["complete", "pay_1", "no net_cents"]
    ]


def test_different_summary_is_an_error_that_names_the_column():
    _, not_passed = findings(GOOD, summary(*GOOD, fee_cents=791))
    # 150 + 490 + 150 = 790
    assert not_passed[["severity", "expected_cents", "found_cents"]].to_numpy().tolist() == [
        ["error", 790, 791]
    ]
    assert not_passed["finding"].item() == "the fee sum differs from the summary's `fee_cents`"


def test_advice_on_column_and_unit_of_a_summary_works():
    other = earnings_frame([("shop", {"taken": 79.0, "fees": 7.9, "developerShare": 71.1})])
    _, not_passed = findings(GOOD, other)
    assert not_passed["finding"].tolist() == [
        'the gross column of the summary is unknown: pass roles={"gross": "COLUMN"} to reconcile()',
        "the unit of the summary's `fees` is unknown: "
        'pass amounts="cents" or amounts="currency" to reconcile()',
        "the unit of the summary's `developerShare` is unknown: "
        'pass amounts="cents" or amounts="currency" to reconcile()',
    ]
    assert not_passed["severity"].tolist() == ["not checked"] * 3
    table, _ = findings(GOOD, other, roles={"gross": "taken"}, amounts="currency")
    assert table.attrs["balanced"] == "yes"


def test_summaries_need_a_column_app():
    sums = {"gross_cents": 7900, "fee_cents": 790, "net_cents": 7110}
    with pytest.raises(UserError) as raised:
        findings(GOOD, pd.DataFrame([sums]))
    assert str(raised.value) == (
        "The summaries have no column `app`. Pass the result of get_earnings()."
    )
    assert findings(GOOD, earnings_frame([("shop", sums)]))[0].attrs["balanced"] == "yes"


def test_findings_for_information_leave_payments_balanced():
    monthly = [
        payment(number, paid_at, kind="monthly", payer="ada")
        for number, paid_at in enumerate(("2025-12-31", "2026-01-31", "2026-03-18", "2026-03-18"))
    ]
    refund = payment(9, "2026-03-20", gross=-1500, payer="ada")
    table, not_passed = findings([*monthly, refund])
    # A month and 15 days after 31 January is 15 March; 18 March is 46 days after 31 January.
    assert not_passed[["check", "payment_id", "severity"]].to_numpy().tolist() == [
        ["renewals", "pay_2", "information"],
        ["negatives", "pay_9", "information"],
        ["repeated", "pay_3", "information"],
    ]
    assert not_passed["finding"].iloc[0] == "46 days after the last payment"
    assert table.attrs["balanced"] == "yes"


@pytest.mark.parametrize(
    ("paid_at", "check"),
    [
        ("2026-02-01T09:00:00Z", ["repeated"]),  # exactly a day later
        ("2026-02-01T09:00:01Z", []),
        ("2026-03-15T23:59:59Z", []),  # a month and 15 days after 31 January
        ("2026-03-16T00:00:00Z", ["renewals"]),
    ],
)
def test_late_or_repeated_payment_is_found_beyond_its_limit(paid_at, check):
    first = payment(1, "2026-01-31T09:00:00Z", kind="monthly", payer="ada")
    second = payment(2, paid_at, kind="monthly", payer="ada")
    _, not_passed = findings([first, second])
    assert not_passed["check"].tolist() == check


@pytest.mark.parametrize(
    ("without", "check"),
    [
        *(("payout_id", "payout ids"), ("net_cents", "net"), ("payer", "renewals")),
        *(("payment_id", "duplicates"), ("currency", "currencies")),
    ],
)
def test_check_that_cannot_run_is_not_balanced(without, check):
    rows = [{name: value for name, value in row.items() if name != without} for row in GOOD]
    table, not_passed = findings(rows, summary(*GOOD))
    skipped = not_passed[not_passed["severity"] == "not checked"]
    assert check in skipped["check"].tolist()
    assert skipped["finding"].str.contains(f"the payments have no {without}").all()
    assert table.attrs["balanced"] == "no"


def test_since_lists_later_findings_and_counts_earlier_ones():
    wrong = [row | {"net_cents": row["net_cents"] + 1} for row in GOOD]
    table, not_passed = findings(wrong, since="2026-03")
    net = not_passed[not_passed["check"] == "net"]
    assert net["payment_id"].fillna("").tolist() == ["pay_3", ""]
    assert net["paid_at"].iloc[0] == pd.Timestamp("2026-03-05", tz="UTC")
    assert net["finding"].tolist()[1] == "2 in earlier payments"
    assert table.attrs["balanced"] == "no"
    # In Berlin, 5 March begins an hour earlier than in UTC.
    early = [GOOD[0] | {"net_cents": 1, "paid_at": "2026-03-04T23:30:00Z"}]
    for tz, shown in [("UTC", ["1 in earlier payments"]), ("Europe/Berlin", ["gross − fee ≠ net"])]:
        _, not_passed = findings(early, since="2026-03-05", tz=tz)
        assert not_passed[not_passed["check"] == "net"]["finding"].tolist() == shown


def test_strict_raises_unless_balanced():
    findings(GOOD, strict=True)
    wrong = [GOOD[0] | {"net_cents": 1351}]
    with pytest.raises(UserError) as raised:
        findings(wrong, strict=True)
    assert str(raised.value) == (
        "Not balanced: errors: 1, not checked: 0. First finding: net, shop, pay_1: "
        "gross − fee ≠ net. List all findings with strict=False."
    )
    _, not_passed = findings(wrong, strict=False)
    assert not_passed["finding"].tolist() == ["gross − fee ≠ net"]


def test_reconcile_rejects_a_window():
    cut = frame(*GOOD)
    cut.attrs["window"] = "from 2026-01-01"
    with pytest.raises(UserError, match=r"whole history.*limited to from 2026-01-01"):
        cut.capsule.reconcile(summary(*GOOD))


def test_local_workspace_is_balanced(workspace):
    client = workspace.client()
    payments, earnings = client.list_payments(), client.get_earnings()
    table = payments.capsule.reconcile(earnings, strict=True)
    assert table.attrs["balanced"] == "yes"
    part = payments[payments.index != 7]
    with pytest.raises(
        UserError, match=r"reconcile\(\) needs the whole history.*611 of the 612 rows"
    ):
        part.capsule.reconcile(earnings)
    with pytest.raises(UserError, match="Not balanced"):
        part.capsule.declare(complete=True).capsule.reconcile(earnings, strict=True)


@pytest.mark.parametrize(
    ("summaries", "finding"),
    [
        ([("shop", {"net_cents": 1}), ("shop", {"net_cents": 1})], "the app has 2 summaries"),
        ([("school", {"net_cents": 1})], "the app has no summary"),
        ([("shop", {"net_cents": None})], "the summary's `net_cents` is not an amount"),
    ],
)
def test_summary_that_cannot_be_compared_is_not_checked(summaries, finding):
    table, _ = findings(GOOD, earnings_frame(summaries))
    sums = table[(table["check"] == "sums") & (table["app"] == "shop")]
    assert sums["severity"].unique().tolist() == ["not checked"]
    assert sums["finding"].iloc[-1] == finding


def test_summary_of_an_app_without_payments_is_not_checked():
    sums = [("school", {"gross_cents": 0, "fee_cents": 0, "net_cents": 1})]
    table, _ = findings(GOOD, earnings_frame(sums))
    of_school = table[table["app"] == "school"]
    assert of_school[["severity", "finding"]].to_numpy().tolist() == [
        ["not checked", "no payments of school were read"],
        ["passed", "the gross sum equals the summary's `gross_cents`"],
        ["passed", "the fee sum equals the summary's `fee_cents`"],
    ]


def test_payout_states_are_compared_with_the_summary(workspace):
    client = workspace.client()
    payments, summaries = client.list_payments(), client.get_earnings()
    found = payments.capsule.reconcile(summaries)
    states = found[found["check"] == "payout states"]
    assert set(states["severity"]) == {"passed"} and len(states) >= 3
    assert found.attrs["balanced"] == "yes"
    (name,) = [name for name in summaries if name.endswith("state.Failed")]
    app = summaries.loc[summaries[name].notna(), "app"].iloc[0]
    summaries.loc[summaries["app"] == app, name] += 1
    found = payments.capsule.reconcile(summaries)
    (wrong,) = found[found["severity"] == "error"].to_dict("records")
    assert (wrong["check"], wrong["app"]) == ("payout states", app)
    assert wrong["found_cents"] == wrong["expected_cents"] + 1
    assert wrong["finding"] == "the net sum of the state 'Failed' differs from that of the summary"


def test_refunds_that_name_their_payment_are_no_finding(workspace):
    payments = workspace.client().list_payments()
    assert (payments["gross_cents"] < 0).sum() == payments["refund_of"].notna().sum() > 0
    found = payments.capsule.reconcile(workspace.client().get_earnings())
    assert found.loc[found["check"] == "negatives", "severity"].tolist() == ["passed"]
    unnamed = payments.drop(columns="refund_of").capsule.declare(complete=True)
    found = unnamed.capsule.reconcile(workspace.client().get_earnings())
    assert (found["check"] == "negatives").sum() == (payments["gross_cents"] < 0).sum()


def test_very_many_apps_are_compared_with_their_summaries():
    # Selecting the rows of each app would take minutes.
    count = 20_000
    apps = [f"app {number}" for number in range(count)]
    amounts = {"gross_cents": 1500, "fee_cents": 150, "net_cents": 1350}
    payments = pd.DataFrame({"app": apps, "payment_id": "p", "payout_state": "Paid out"})
    payments = payments.assign(paid_at=pd.Timestamp("2026-01-05", tz="UTC"), **amounts)
    payments = payments.capsule.declare(complete=True, read_at="2026-04-10")
    summaries = pd.DataFrame({"app": apps}).assign(**amounts)
    summaries["net_cents_by_payout_state.Paid out"] = 1350
    summaries["net_cents_by_payout_state.Failed"] = 0
    summaries.loc[7, ["net_cents", "net_cents_by_payout_state.Failed"]] = 1, 7
    table = payments.capsule.reconcile(summaries)
    sums = table[table["check"].isin(["sums", "payout states"])]
    assert len(sums) == 5 * count and (sums["severity"] == "passed").sum() == 5 * count - 2
    errors = table[table["severity"] == "error"]
    assert errors[["app", "expected_cents", "found_cents"]].to_numpy().tolist() == [
        ["app 7", 1350, 1],
        ["app 7", 0, 7],
    ]


@pytest.mark.parametrize("value", [1350.5, "n/a"])
def test_payout_states_of_a_summary_without_amounts_are_not_checked(value):
    rows = [payment(1, "2026-01-05", payout_state="Paid out")]
    summary = pd.DataFrame({"app": ["shop"], "net_cents": [1350]})
    summary["net_cents_by_payout_state.Paid out"] = [value]
    table = frame(*rows).capsule.reconcile(summary)
    assert table.loc[table["check"] == "payout states", "severity"].tolist() == ["not checked"]


def test_no_payments_are_reconciled_without_a_warning(recwarn):
    table, _ = findings([])
    assert table.attrs["balanced"] == "no" and not recwarn.list
