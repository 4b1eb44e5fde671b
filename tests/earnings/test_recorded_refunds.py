"""Refunds that payments record in their own fields, computed by hand."""

import pandas as pd
import pytest
from ledgers import column
from service_payments import frame, payment

from cpsl_notebook import UserError
from cpsl_notebook.frames import earnings_frame

SALE = payment(1, "2026-01-05T12:00:00Z", payer="ada")  # $15.00, of which $1.50 is the fee
OTHER = payment(2, "2026-02-05T12:00:00Z", payer="bo")


def refunds_of(*rows, **options):
    """Return time, gross amount, fee and net amount of the refunds in a ledger, and their payment."""
    ledger = frame(*rows).capsule.ledger(**options)
    found = ledger[ledger["gross_cents"].isna() | (ledger["gross_cents"] < 0)]
    times = found["paid_at"].dt.strftime("%m-%d").astype(object)
    shown = found.assign(paid_at=times.where(times.notna(), None)).astype(object)
    names = ["paid_at", "gross_cents", "fee_cents", "net_cents", "refund_of"]
    return shown[names].where(shown[names].notna(), None).to_numpy().tolist()


@pytest.mark.parametrize(
    ("marks", "refund"),
    [
        ({"status": "refunded"}, [None, -1500, -150, -1350, "pay_1"]),
        ({"refunded": True}, [None, -1500, -150, -1350, "pay_1"]),
        ({"disputed": True}, [None, -1500, -150, -1350, "pay_1"]),
        ({"dispute_status": "under_review"}, [None, -1500, -150, -1350, "pay_1"]),
        ({"refund_status": "full"}, [None, -1500, -150, -1350, "pay_1"]),
        # A third of the payment, and a third of the fee.
        ({"amount_refunded_cents": 500}, [None, -500, -50, -450, "pay_1"]),
        ({"refunded_cents": 500}, [None, -500, -50, -450, "pay_1"]),
        ({"status": "partially_refunded", "refunded_cents": 500}, [None, -500, -50, -450, "pay_1"]),
        (
            {"refunded_cents": 500, "refunded_at": "2026-03-04T00:00:00Z"},
            ["03-04", -500, -50, -450, "pay_1"],
        ),
        # The net amount already lacks the refund, so the fee of $1.00 does too: $15 - $5 - $1 = $9.
        (
            {"refunded_cents": 500, "fee_cents": 100, "net_cents": 900},
            [None, -500, 0, -500, "pay_1"],
        ),
        ({"status": "partially_refunded"}, [None, None, None, None, "pay_1"]),
        # 1 cent of $15.00 has a fee of 0.1 cents; 5 cents have 0.5, which is rounded up.
        ({"refunded_cents": 1}, [None, -1, 0, -1, "pay_1"]),
        ({"refunded_cents": 5}, [None, -5, -1, -4, "pay_1"]),
    ],
)
def test_recorded_refund_is_a_row(marks, refund):
    plain = dict.fromkeys(marks) | {"status": "paid"} if "status" in marks else dict.fromkeys(marks)
    assert refunds_of(SALE | marks, OTHER | plain) == [refund]


@pytest.mark.parametrize(
    "marks",
    [
        {"status": "succeeded"},
        {"refunded": False},
        {"disputed": False},
        {"dispute_status": "won"},
        {"refunded_cents": 0},
        {"refunded_cents": None},
    ],
)
def test_payment_without_a_recorded_refund_has_none(marks):
    assert refunds_of(SALE | marks, OTHER | marks) == []


def test_separate_refunds_are_not_counted_twice():
    back = payment(3, "2026-01-20T00:00:00Z", gross=-1500, payer="ada")
    for more in ({"refund_of": "pay_1"}, {"refund_of": None}, {}):
        marked = [SALE | {"status": "refunded"}, back | {"status": "refunded"} | more]
        assert len(refunds_of(*marked)) == 1
    # $5.00 were refunded separately, and the payment records $9.00.
    part = payment(3, "2026-01-20T00:00:00Z", gross=-500, payer="ada", refund_of="pay_1")
    recorded = refunds_of(SALE | {"refunded_cents": 900}, part | {"refunded_cents": None})
    assert [row[1] for row in recorded] == [-500, -400]
    # A refund of somebody else does not count.
    other = back | {"payer": "bo"}
    assert len(refunds_of(SALE | {"status": "refunded"}, other | {"status": "paid"})) == 2


def test_undated_refund_is_in_totals_but_in_no_month():
    payments = frame(SALE | {"refunded": True}, OTHER | {"refunded": False})
    table = payments.capsule.revenue()
    assert column(table, "gross_cents") == [1500, 1500, 0, 0]
    assert column(table, "refunds_cents") == [0, 0, 0, -1500]
    assert column(table, "net_cents") == [1350, 1350, 0, -1350]
    assert table["period"].isna().tolist() == table["state"].isna().tolist() == [False] * 3 + [True]
    assert len(payments.capsule.revenue(since="2026-01")) == 3
    payers = payments.capsule.payers(basis="net")
    assert column(payers, "revenue_cents") == [1350, 1350, 0, -1350]
    assert column(payers, "active_payers") == [1, 1, 0, 0]
    top = payments.capsule.top_payers()
    assert dict(zip(top["payer"], top["net_cents"], strict=True)) == {"bo": 1350, "ada": 0}


def test_dated_refund_is_in_its_month():
    payments = frame(SALE | {"refunded_cents": 500, "refunded_at": "2026-03-04T00:00:00Z"})
    assert column(payments.capsule.revenue(), "refunds_cents") == [0, 0, -500]


def test_refund_of_an_unknown_amount_leaves_the_total_missing():
    payments = frame(SALE | {"status": "partially_refunded"})
    assert column(payments.capsule.revenue(), "refunds_cents") == [0, 0, 0, None]


def test_refund_of_a_payment_that_was_paid_out_has_an_unknown_payout():
    waits = SALE | {"payout_state": "In progress", "payout_id": None, "payout_at": None}
    assert column(frame(waits | {"refunded": True}).capsule.payouts(), "net_cents") == [0]
    shown = frame(SALE | {"refunded": True}).capsule.payouts()
    assert shown[["payout_state", "net_cents"]].to_numpy().tolist() == [["Unknown", -1350]]


def test_reconcile_counts_recorded_refunds():
    sums = {"gross_cents": 1500, "fee_cents": 150, "net_cents": 1350}
    table = frame(SALE | {"refunded": True}).capsule.reconcile(earnings_frame([("shop", sums)]))
    assert table.attrs["balanced"] == "no"
    refund = table[table["check"] == "refunds"]
    assert refund[["payment_id", "finding"]].to_numpy().tolist() == [
        ["pay_1/refund", "refunded at an unknown time"]
    ]
    none = dict.fromkeys(sums, 0)
    table = frame(SALE | {"refunded": True}).capsule.reconcile(earnings_frame([("shop", none)]))
    assert table.attrs["balanced"] == "yes"


def test_unreadable_refunded_amount_is_reported():
    with pytest.warns(UserWarning, match="1 of refunded"):
        frame(SALE | {"amount_refunded": "some"}).capsule.ledger(amounts="cents")


def test_sale_without_a_time_is_still_an_error():
    with pytest.raises(UserError, match="without a readable time: 1, for example pay_2"):
        frame(SALE, OTHER | {"paid_at": None}).capsule.revenue()


def test_roles_of_refunds_can_be_set():
    row = SALE | {"given_back": 500, "back_on": "2026-03-04T00:00:00Z"}
    made = frame(row)
    made["back_on"] = pd.to_datetime(made["back_on"], utc=True)
    roles = {"refunded": "given_back", "refund_time": "back_on"}
    known = made.capsule.declare(roles=roles, amounts="cents")
    assert column(known.capsule.revenue(), "refunds_cents") == [0, 0, -500]
    shown = known.capsule.roles.set_index("role")
    assert shown.loc["refunded", ["column", "becomes"]].tolist() == ["given_back", "gross_cents"]


PART = {"id": "re_1", "amount_cents": 500, "created": "2026-01-20T00:00:00Z"}
REST = {"id": "re_2", "amount_cents": 300, "created": 1_769_040_000}  # 22 January


@pytest.mark.parametrize(
    ("marks", "refunds"),
    [
        ({"refunds": [PART]}, [["01-20", -500, -50, -450, "pay_1"]]),
        (
            {"refunds": {"object": "list", "data": [PART], "has_more": False}},
            [["01-20", -500, -50, -450, "pay_1"]],
        ),
        # The payment records $9.00, of which the list has $8.00.
        (
            {"amount_refunded_cents": 900, "refunds": [REST, PART]},
            [
                ["01-20", -500, -50, -450, "pay_1"],
                ["01-22", -300, -30, -270, "pay_1"],
                [None, -100, -10, -90, "pay_1"],
            ],
        ),
        # A refund that failed moved no money.
        (
            {"refunds": [PART | {"status": "failed"}, REST | {"status": "succeeded"}]},
            [["01-22", -300, -30, -270, "pay_1"]],
        ),
        # The fee of $1.51 is returned once, half of it with each half of the payment.
        (
            {
                "fee_cents": 151,
                "net_cents": 1349,
                "refunds": [PART | {"amount_cents": 750}, REST | {"amount_cents": 750}],
            },
            [["01-20", -750, -76, -674, "pay_1"], ["01-22", -750, -75, -675, "pay_1"]],
        ),
        # Unknown amounts: of one refund, or of all.
        (
            {"refunds": [{"id": "re_3"}, PART]},
            [["01-20", -500, -50, -450, "pay_1"], [None, None, None, None, "pay_1"]],
        ),
        ({"refunds": ["re_1"]}, [[None, None, None, None, "pay_1"]]),
        ({"status": "refunded", "refunds": [{"id": "r"}]}, [[None, -1500, -150, -1350, "pay_1"]]),
        (
            {"disputes": [{"status": "won"}, {"status": "lost"}]},
            [[None, -1500, -150, -1350, "pay_1"]],
        ),
        ({"disputes": [{"status": "won"}]}, []),
        ({"charged_back": True}, [[None, -1500, -150, -1350, "pay_1"]]),
        (
            {"refund": {"amount_cents": 500, "created_at": "2026-01-20T00:00:00Z"}},
            [["01-20", -500, -50, -450, "pay_1"]],
        ),
    ],
)
def test_refunds_in_lists_and_objects_are_rows(marks, refunds):
    plain = {"refunds": [], "disputes": [], "status": "paid"}
    other = {name: plain.get(name) for name in marks if name not in OTHER}
    assert refunds_of(SALE | marks, OTHER | other) == refunds


def test_separate_refunds_account_for_refunds_in_lists():
    back = payment(3, "2026-01-21T00:00:00Z", gross=-300, payer="ada", refund_of="pay_1")
    listed = SALE | {"refunds": [PART, REST]}
    assert [row[:2] for row in refunds_of(listed, back | {"payment_id": "re_2"})] == [
        ["01-20", -500],
        ["01-21", -300],
    ]
    # It has another id, so it accounts for the oldest one.
    assert [row[:2] for row in refunds_of(listed, back)] == [
        ["01-20", -200],
        ["01-21", -300],
        ["01-22", -300],
    ]


def test_refunds_in_lists_survive_parquet_and_are_refused_as_text(tmp_path):
    payments = frame(SALE | {"refunds": [PART]}, OTHER | {"refunds": []})
    payments.to_parquet(tmp_path / "payments.parquet")
    saved = pd.read_parquet(tmp_path / "payments.parquet")
    assert saved.capsule.ledger().equals(payments.capsule.ledger())
    payments.to_csv(tmp_path / "payments.csv", index=False)
    text = pd.read_csv(tmp_path / "payments.csv", parse_dates=["paid_at", "payout_at"])
    with pytest.raises(UserError, match=r"`refunds` holds text instead of lists: save lists with"):
        text.capsule.revenue()


def test_list_with_only_some_of_the_refunds_is_refused():
    part = SALE | {"refunds": {"data": [PART], "has_more": True}}
    with pytest.raises(
        UserError, match=r"more refunds than `refunds\.data` shows \(`refunds\.has_mo"
    ):
        frame(part).capsule.revenue()
    assert [row[1] for row in refunds_of(part | {"amount_refunded_cents": 900})] == [-500, -400]


def test_unit_and_status_of_refunds_in_lists_must_be_known():
    payments = frame(SALE | {"refunds": [{"amount": 5}]})
    with pytest.raises(UserError, match=r"the amounts in `refunds` are cents or currency\. Set it"):
        payments.capsule.revenue()
    known = payments.capsule.declare(amounts="currency")
    assert column(known.capsule.revenue(), "refunds_cents") == [0, 0, 0, -500]
    with pytest.raises(
        UserError, match=r'status: `odd`\. Change.*declare\(roles=\{"refunds": None'
    ):
        frame(SALE | {"refunds": [PART | {"status": "odd"}]}).capsule.revenue()


@pytest.mark.parametrize(
    "marks",
    [
        {"refunded_at": "2026-01-20T00:00:00Z"},
        {"refund_id": "re_1"},
        {"has_refund": True},
        {"chargeback_cents": 1500},
        {"refunded": False, "refund_status": "partial"},
        {"dispute_reason": "fraud"},
    ],
)
def test_sale_that_may_be_refunded_is_refused(marks):
    name = list(marks)[-1]
    with pytest.raises(
        UserError, match=rf"Cannot tell what was refunded: `{name}` has values for s"
    ):
        frame(SALE | marks, OTHER).capsule.revenue()
    roles = dict.fromkeys(["refunded", "refund_status", "dispute"])
    ignored = frame(SALE | marks, OTHER).capsule.declare(roles=roles)
    assert not ignored.capsule.revenue()["refunds_cents"].any()


def test_details_of_a_known_refund_are_not_refused():
    details = {"refund_id": "re_1", "refund_reason": "asked", "refund_policy": "30 days"}
    none = dict.fromkeys(details) | {"refunded": False, "refund_policy": "30 days"}
    assert len(refunds_of(SALE | details | {"refunded": True}, OTHER | none)) == 1
    back = payment(3, "2026-01-20", gross=-1500, payer="ada", refund_of="pay_1", **details)
    assert len(refunds_of(SALE, back)) == 1


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (("refunded_cents", "amount_refunded_cents"), "refunded"),
        (("status", "state"), "payment_status"),
        (("subscription", "subscription_id"), "subscription"),
    ],
)
def test_columns_that_decide_what_counts_are_not_ignored_if_several_fit(names, role):
    payments = frame(SALE | dict.fromkeys(names, 500 if role == "refunded" else "paid"))
    with pytest.raises(UserError) as raised:
        payments.capsule.revenue()
    assert str(raised.value) == (
        f"Cannot tell which payments count: `{names[0]}`, `{names[1]}` fit the role {role} equally "
        f'well. Choose with payments = payments.capsule.declare(roles={{"{role}": "COLUMN"}}). '
        "None instead of a column ignores them."
    )
    for name in (*names, None):
        assert len(payments.capsule.declare(roles={role: name}).capsule.revenue())
