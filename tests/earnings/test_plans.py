"""Trials, free months and plans for several months, computed by hand."""

from dataclasses import replace

import pytest
from ledgers import at, by_month, column, ledger, monthly, pay

from cpsl_notebook import UserError
from cpsl_notebook.earnings.metrics.churn import compute_churn as churn
from cpsl_notebook.earnings.metrics.cohorts import compute_cohorts as cohorts
from cpsl_notebook.earnings.metrics.mrr import compute_mrr as mrr
from cpsl_notebook.earnings.metrics.payers import compute_payers as payers


def closings(*payments, as_of, **options):
    return by_month(mrr(ledger(*payments, as_of=as_of), **options), "closing_cents")


def yearly(paid_at, gross, payer="ada", **more):
    return pay(paid_at, payer, gross, "yearly", **more)


def test_trial_opens_no_subscription():
    # The trial of 10 January ends on the 24th, and the first payment follows.
    rows = [pay("2025-01-10", gross=0), *monthly("2025-01-24", 2)]
    table = mrr(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "closing_cents") == [1500, 1500]
    assert by_month(table, "new_cents") == {"2025-01": 1500}
    assert not table["unclassified_cents"].any()
    assert mrr(ledger(rows[0], as_of="2025-02-28")).empty


def test_free_month_is_contraction_and_expansion_and_keeps_the_payer():
    rows = [*monthly("2025-01-10", 2), pay("2025-03-10", gross=0), pay("2025-04-10")]
    known = ledger(*rows, as_of="2025-04-30")
    table = mrr(known)
    assert column(table, "closing_cents") == [1500, 1500, 0, 1500]
    assert by_month(table, "contraction_cents") == {"2025-03": -1500}
    assert by_month(table, "expansion_cents") == {"2025-04": 1500}
    assert not table[["churn_cents", "reactivation_cents"]].any(axis=None)
    assert column(table, "payers") == [1, 1, 1, 1]
    assert column(churn(known), "churned_payers") == [0, 0, 0, 0]
    assert column(churn(known), "opening_payers") == [0, 1, 1, 1]
    assert column(cohorts(known), "active_payers") == [1, 1, 1, 1]


def test_payment_of_zero_makes_nobody_a_payer():
    rows = [pay("2025-01-10", gross=0), pay("2025-02-10"), pay("2025-02-11", "bo", gross=0)]
    table = payers(ledger(*rows, as_of="2025-02-28"))
    assert column(table, "active_payers") == [0, 1]
    assert column(table, "new_payers") == [0, 1]


def test_year_counts_a_twelfth_in_each_month_and_has_an_exact_sum():
    # $100 a year is $8.33 a month, 12 of them are worth $100 a month, and 3 are worth $25.
    assert closings(yearly("2025-01-10", 10_000), as_of="2025-02-28") == {
        "2025-01": 833,
        "2025-02": 833,
    }
    for count, cents in [(12, 10_000), (3, 2_500), (2, 1_667)]:
        rows = [yearly("2025-01-10", 10_000, f"payer {number}") for number in range(count)]
        assert closings(*rows, as_of="2025-01-31") == {"2025-01": cents}


def test_year_ends_after_its_term_and_the_days_of_grace():
    # Paid until 9 January 2026, in grace until the 25th.
    table = mrr(ledger(yearly("2025-01-10", 12_000), as_of="2026-01-25"))
    assert column(table, "closing_cents") == [1000] * 13
    table = mrr(ledger(yearly("2025-01-10", 12_000), as_of="2026-01-26"))
    assert column(table, "closing_cents") == [1000] * 12 + [0]
    # A renewal that is 15 days late is in time.
    rows = [yearly("2025-01-10", 12_000), yearly("2026-01-25", 24_000)]
    table = mrr(ledger(*rows, as_of="2026-02-28"))
    assert column(table, "closing_cents") == [1000] * 12 + [2000] * 2
    assert by_month(table, "expansion_cents") == {"2026-01": 1000}


def test_other_kinds_count_for_their_declared_months():
    # $20 a quarter is $6.67 a month, with a fee of $2: $6.00 net.
    known = ledger(pay("2025-01-31", gross=2000, kind="quarterly"), as_of="2025-06-30")
    with pytest.raises(UserError, match=r"quarterly \(1\).*declare\(kinds="):
        mrr(known)
    known = replace(known, terms=known.terms | {"quarterly": 3})
    # Due on 30 April, in grace until 15 May.
    assert by_month(mrr(known), "closing_cents") == dict.fromkeys(
        ["2025-01", "2025-02", "2025-03", "2025-04"], 667
    )
    assert by_month(mrr(known, basis="net"), "closing_cents")["2025-01"] == 600


def test_movements_of_rounded_sums_add_up():
    # $1.00 a year is 8 1/3 cents a month. Bo's is new in February, and ada pays twice as much from
    # January 2026.
    rows = [yearly("2025-01-10", 100), yearly("2026-01-10", 200), yearly("2025-02-10", 100, "bo")]
    table = mrr(ledger(*rows, as_of="2026-01-31"))
    assert column(table, "closing_cents") == [8, *[17] * 11, 25]
    moved = sum(table[f"{name}_cents"] for name in ("opening", "new", "expansion", "contraction"))
    assert (moved == table["closing_cents"]).all()
    assert by_month(table, "new_cents") == {"2025-01": 8, "2025-02": 9}
    assert by_month(table, "expansion_cents") == {"2026-01": 8}


def test_large_amounts_of_several_terms_are_exact():
    large = 12 * (2**59 + 1)
    rows = [yearly("2025-01-10", large, f"payer {n}", fee=0) for n in range(3)]
    assert closings(*rows, as_of="2025-01-31") == {"2025-01": 3 * (2**59 + 1)}


def test_full_refund_of_a_year_ends_its_term():
    year = yearly("2025-01-10", 12_000, payment_id="y")
    back = yearly("2025-03-20", -12_000, payment_id="r", refund_of="y")
    part = yearly("2025-03-01", -2_000, payment_id="q", refund_of="y")
    rest = yearly("2025-04-02", -10_000, payment_id="r", refund_of="y")
    unnamed = back | {"refund_of": None}
    for refunds, months in [
        ([back], ["2025-01", "2025-02"]),
        ([unnamed], ["2025-01", "2025-02"]),
        ([part], ["2025-01", "2025-02", "2025-03", "2025-04"]),
        ([part, rest], ["2025-01", "2025-02", "2025-03"]),
        ([back | {"gross_cents": -11_999}], ["2025-01", "2025-02", "2025-03", "2025-04"]),
    ]:
        found = closings(year, *refunds, as_of="2025-04-30")
        assert found == dict.fromkeys(months, 1000)
    # The chain ends with the refund, so that a later payment is new and not extra.
    again = yearly("2025-04-02", 24_000)
    table = mrr(ledger(year, back, again, as_of="2025-04-30"))
    assert column(table, "closing_cents") == [1000, 1000, 0, 2000]
    assert by_month(table, "reactivation_cents") == {"2025-04": 2000}


def test_full_refund_at_an_unknown_time_ends_the_term_when_it_was_read():
    year = yearly("2025-01-10", 12_000, payment_id="y")
    back = yearly(None, -12_000, payment_id="r", refund_of="y")
    known = ledger(year, back, as_of="2025-04-20")
    assert column(mrr(known), "closing_cents") == [1000, 1000, 1000, 0]
    earlier = replace(at(known, "2025-03"), in_past=True)
    assert column(mrr(earlier), "closing_cents") == [1000, 1000, 1000]


def test_refund_of_a_month_is_not_a_movement():
    rows = [
        *monthly("2025-01-10", 1, payment_id="m"),
        pay("2025-01-11", gross=-1500, refund_of="m"),
    ]
    assert closings(*rows, as_of="2025-01-31") == {"2025-01": 1500}


def test_second_plan_without_ids_counts_from_its_second_due_date():
    # $49 on 20 January, beside $15. It recurs on 20 February. The first one stays unclassified, so
    # that January, which is final on 16 February, does not change.
    rows = [*monthly("2025-01-10", 3), *monthly("2025-01-20", 3, gross=4900)]
    known = ledger(*rows, as_of="2025-03-31")
    for as_of, expected in [("2025-02-16", [1500, 1500]), ("2025-03-31", [1500, 6400, 6400])]:
        table = mrr(at(known, as_of))
        assert column(table, "closing_cents") == expected
        assert by_month(table, "unclassified_cents") == {"2025-01": 4900}
    assert by_month(table, "expansion_cents") == {"2025-02": 4900}
