"""One person under several spellings, computed by hand."""

import pytest
from ledgers import column
from service_payments import frame, payment

from cpsl_notebook.frames import earnings_frame


def monthly(number, paid_at, **more):
    return payment(number, paid_at, kind="monthly", **more)


def payers_of(*rows):
    return frame(*rows).capsule.ledger()["payer"].fillna("?").tolist()


def notes_of(*rows):
    empty = earnings_frame([("shop", {"gross_cents": 0})])
    table = frame(*rows).capsule.reconcile(empty)
    return table.loc[
        (table["check"] == "payers") & (table["severity"] != "passed"), "finding"
    ].tolist()


def test_email_addresses_compare_without_case():
    rows = [
        monthly(1, "2026-01-05", payer="Ada@A.example"),
        monthly(2, "2026-02-05", payer="ada@a.example "),
        monthly(3, "2026-03-05", payer="ADA"),
    ]
    assert payers_of(*rows) == ["ada@a.example", "ada@a.example", "ADA"]
    table = frame(*rows).capsule.payers()
    assert column(table, "new_payers") == [1, 0, 1]
    assert column(frame(*rows[:2]).capsule.mrr(), "closing_cents") == [1500, 1500, 0]


def person(number, customer, email, month=1, **more):
    row = monthly(number, f"2026-0{month}-{number:02}", customer_id=customer, customer_email=email)
    del row["payer"]
    return row | more


@pytest.mark.parametrize(
    ("people", "payers"),
    [
        # The id is the payer, whatever the address.
        ([("c1", "a@a.example"), ("c1", "b@b.example")], ["c1", "c1"]),
        # An id that is missing falls back to the payer who had the address, or else to the address.
        (
            [("c1", "a@a.example"), (None, "A@a.example"), (None, "b@b.example")],
            ["c1", "c1", "b@b.example"],
        ),
        # An address that pays first stays one person when the id is known.
        ([(None, "a@a.example"), ("c1", "a@a.example"), ("c1", None)], ["a@a.example"] * 3),
        # c1 and c2 share an address, so they are two payers, and a payment without an id is c1's.
        ([("c1", "a@a.example"), ("c2", "a@a.example"), (None, "a@a.example")], ["c1", "c2", "c1"]),
        # c1 was known before, so the address of the second payment is not its own person's.
        (
            [("c1", "a@a.example"), (None, "b@b.example"), ("c1", "b@b.example")],
            ["c1", "b@b.example", "c1"],
        ),
        ([("c1", None), (None, None)], ["c1", "?"]),
    ],
)
def test_missing_id_falls_back_to_the_email_address(people, payers):
    rows = [person(number, *who) for number, who in enumerate(people, 1)]
    assert payers_of(*rows) == payers


def test_shared_address_is_a_finding_only_if_it_decides():
    rows = [person(1, "c1", "a@a.example"), person(2, "c2", "a@a.example")]
    assert notes_of(*rows) == []
    rows.append(person(3, None, "a@a.example"))
    assert notes_of(*rows) == ["3 payments with an email address of several payers"]


def test_subscription_has_one_payer():
    # The subscription changes hands in February: it stays the same, and nobody churns.
    rows = [
        monthly(1, "2026-01-05", payer="ada", subscription_id="s"),
        monthly(2, "2026-02-05", payer="bo", subscription_id="s"),
        monthly(3, "2026-03-05", payer="bo", subscription_id="s"),
        monthly(4, "2026-03-06", payer="bo", subscription_id=None),
    ]
    assert payers_of(*rows) == ["ada", "ada", "ada", "bo"]
    table = frame(*rows).capsule.mrr()
    assert column(table, "closing_cents") == [1500, 1500, 3000]
    assert column(table, "churn_cents") == [0, 0, 0]
    assert notes_of(*rows) == ["2 payments of a subscription of another payer, who counts instead"]


def test_subscription_whose_payer_was_unknown_at_first_is_one_subscription():
    rows = [
        monthly(1, "2026-01-05", payer=None, subscription_id="s"),
        monthly(2, "2026-02-05", payer="ada", subscription_id="s"),
    ]
    table = frame(*rows).capsule.mrr()
    assert column(table, "closing_cents") == [1500, 1500, 0]
    assert column(table, "new_cents") == [1500, 0, 0]
    assert column(table, "unclassified_cents") == [0, 0, 0]
