"""Part of the history is never taken for all of it."""

import pandas as pd
import pytest
from ledgers import column
from service_payments import frame, payment

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame, payments_frame
from cpsl_notebook.frames.evidence import gaps

ROWS = [
    payment(number, f"2026-0{month}-05", payer=payer, kind="monthly")
    for number, (month, payer) in enumerate([(1, "ada"), (2, "ada"), (2, "bo"), (3, "bo")])
]
SUMMARY = earnings_frame([("shop", {"gross_cents": 1, "fee_cents": 1, "net_cents": 1})])
WHOLE = ["mrr", "churn", "cohorts", "reconcile"]


def answer(payments, name):
    return getattr(payments.capsule, name)(*([SUMMARY] if name == "reconcile" else []))


def two_apps():
    made = payments_frame([("shop", ROWS), ("school", ROWS)])
    made.attrs["read_at"] = "2026-04-01T00:00:00Z"
    return made


PARTS = {
    "mask": (lambda whole: whole[whole["paid_at"] >= "2026-02-01"], "have 3 of the 4 rows of shop"),
    "query": (lambda whole: whole.query("payer == 'bo'"), "have 2 of the 4 rows of shop"),
    "other rows": (lambda whole: pd.concat([whole[1:], whole[1:2]]), "are not the rows of shop"),
    "twice": (lambda whole: pd.concat([whole, whole]), "have 8 rows of shop, but 4 were read"),
    "concat": (
        lambda whole: pd.concat([whole[:2], frame(*ROWS[2:])]),
        "it is unknown whether these payments are all",
    ),
    "new frame": (lambda whole: pd.DataFrame(whole.to_dict("list")), "it is unknown whether"),
    "merge": (
        lambda whole: whole.merge(pd.DataFrame({"payer": ["bo"]})),
        "it is unknown whether",
    ),
    "another app": (
        lambda whole: whole.assign(app="school"),
        "have 4 rows of school, of which none were read",
    ),
    "ledger of a part": (lambda whole: whole[1:].capsule.ledger(), "have 3 of the 4 rows of shop"),
    "part of a ledger": (lambda whole: whole.capsule.ledger()[1:], "have 3 of the 4 rows of shop"),
    "ledger of a new frame": (
        lambda whole: pd.DataFrame(whole.to_dict("list")).capsule.ledger(),
        "it is unknown whether",
    ),
    "without ids": (lambda whole: whole.drop(columns="payment_id"), "it is unknown whether"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", WHOLE)
def test_answers_that_need_the_whole_history_reject_a_part(name, part):
    select, message = PARTS[part]
    with pytest.raises(UserError) as raised:
        answer(select(frame(*ROWS)), name)
    assert str(raised.value).startswith(f"{name}() needs the whole history, and ")
    assert message in str(raised.value)
    assert "payments = payments.capsule.declare(complete=True" in str(raised.value)


def test_payers_of_a_part_have_no_new_payers_and_say_why():
    part = frame(*ROWS)[2:]
    with pytest.warns(UserWarning, match=r"payers\(\) cannot tell new from returning.*2 of the 4"):
        table = part.capsule.payers()
    assert column(table, "active_payers") == [1, 1]
    assert column(table, "new_payers") == column(table, "returning_payers") == [None, None]
    assert column(frame(*ROWS).capsule.payers(), "new_payers") == [1, 1, 0]


@pytest.mark.parametrize("name", WHOLE)
def test_whole_history_is_known_whatever_the_order_and_columns(name, tmp_path):
    whole = frame(*ROWS)
    whole.to_parquet(tmp_path / "payments.parquet")
    for same in (
        whole,
        whole[::-1],
        whole.sort_values("payer"),
        whole.assign(note="a"),
        whole.reset_index(),
        pd.read_parquet(tmp_path / "payments.parquet"),
    ):
        assert answer(same, name).equals(answer(whole, name))


def test_all_rows_of_an_app_are_the_whole_history_of_it():
    both = two_apps()
    shop = both[both["app"] == "shop"]
    assert shop.capsule.mrr()["closing_cents"].tolist() == [1500, 3000, 1500]
    with pytest.raises(UserError, match="3 of the 4 rows of school"):
        both[both.index != 7].capsule.mrr()


def test_ledger_of_a_part_is_whole_for_the_other_apps():
    both = two_apps()
    ledger = both[both.index != 7].capsule.ledger()
    assert len(ledger[ledger["app"] == "shop"].capsule.mrr()) == 3
    for part in (ledger, ledger[ledger["app"] == "school"]):
        with pytest.raises(UserError, match="3 of the 4 rows of school that were read"):
            part.capsule.mrr()


def test_payments_without_ids_are_identified_by_all_columns():
    whole = frame(*({k: v for k, v in row.items() if k != "payment_id"} for row in ROWS))
    assert len(whole.capsule.mrr()) == 3
    other = pd.concat([whole[1:], whole[1:2].assign(payer="cy")])
    other.attrs = whole.attrs
    with pytest.raises(UserError, match="are not the rows of shop that were read"):
        other.capsule.mrr()


def test_complete_csv_answers_after_it_is_declared(tmp_path):
    frame(*ROWS).to_csv(tmp_path / "payments.csv", index=False)
    read = pd.read_csv(tmp_path / "payments.csv", parse_dates=["paid_at", "payout_at"])
    with pytest.raises(UserError, match="it is unknown whether these payments are all"):
        read.capsule.mrr()
    with pytest.raises(UserError, match="complete=True needs the time at which the payments were"):
        read.capsule.declare(complete=True)
    known = read.capsule.declare(complete=True, read_at="2026-04-01")
    assert known.capsule.mrr().equals(frame(*ROWS).capsule.mrr())
    assert known.capsule.mrr().attrs["as_of"] == "2026-04-01T00:00:00+00:00"
    with pytest.raises(UserError, match="3 of the 4 rows of shop"):
        known[1:].capsule.mrr()
    assert "read" not in read.attrs


def test_part_can_be_declared_complete():
    part = frame(*ROWS)[1:].capsule.declare(complete=True)
    assert part.capsule.mrr()["new_cents"].tolist() == [3000, 0]
    window = frame(*ROWS, window="2025-12-01T00:00:00Z/").capsule.declare(complete=True)
    assert window.capsule.mrr().equals(frame(*ROWS).capsule.mrr())


def test_facts_stay_when_others_are_declared():
    rows = [row | {"total": 7, "kind": "quarterly"} for row in ROWS]
    known = frame(*rows).capsule.declare(roles={"gross": "total"})
    known = known.capsule.declare(kinds={"quarterly": 3}).capsule.declare(amounts="cents")
    assert known.capsule.ledger()["gross_cents"].tolist() == [7] * 4
    assert known.capsule.mrr()["closing_cents"].max() == 5  # 2 × 7 / 3 = 4.67


@pytest.mark.parametrize("months", [-1, 121, 1.5, True, "3"])
def test_invalid_months_of_a_kind_are_an_error(months):
    with pytest.raises(UserError, match=r"number of months for the kind 'q': .* from 0 .* to 120"):
        frame(*ROWS).capsule.declare(kinds={"q": months})


def test_complete_payments_need_an_app():
    with pytest.raises(
        UserError, match=r"complete=True needs the app.*roles=\{\"app\": \"COLUMN\"\}"
    ):
        pd.DataFrame({"total": [1]}).capsule.declare(complete=True, read_at="2026-01-01")


def test_ids_of_any_type_identify_payments():
    for ids in ([1, 2, 3, 4], ["a", 2, None, 4.5], ["\ud800", "\udfff", "c", "d"]):
        whole = frame(*(row | {"payment_id": one} for row, one in zip(ROWS, ids, strict=True)))
        assert answer(whole[::-1], "mrr").equals(answer(whole, "mrr"))
        other = whole.copy()
        other.loc[3, "payment_id"] = other.loc[0, "payment_id"]
        with pytest.raises(UserError, match="are not the rows of shop that were read"):
            answer(other, "mrr")


@pytest.mark.parametrize("number", [0, 2**14 - 1, 2**14, 2**15])
def test_each_of_many_ids_counts(number):
    whole = frame(*({"payment_id": f"pay_{row}", "app": "shop"} for row in range(2**15 + 1)))
    assert gaps(whole.sort_values("payment_id")) == {}
    whole.loc[number, "payment_id"] = "another"
    assert gaps(whole) == {"shop": "these payments are not the rows of shop that were read"}
