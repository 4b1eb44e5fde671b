"""Every answer is the same on payments, their ledger, a masked ledger and a saved ledger."""

import pandas as pd
import pytest
from histories import random_history, service_frame

from cpsl_notebook.earnings.ledger.masking import masked
from cpsl_notebook.frames import earnings_frame

LEDGERS = 2
"""Number of random ledgers of the same apps and payers, each in a frame of its own."""
SMALL_LEDGERS = range(100, 130)
"""Seeds of small random ledgers, all in one frame, each with an app and payers of its own."""
NAMES = ["revenue", "payers", "top_payers", "mrr", "churn", "cohorts", "payouts", "reconcile"]
NAMES += ["metrics", "explain"]
SUMS = earnings_frame(
    [
        (app, {"gross_cents": 1, "fee_cents": 1, "net_cents": 1})
        for app in ("shop", "school", *(f"app {seed}" for seed in SMALL_LEDGERS))
    ]
)
SECRET = "a long secret"


def answers(payments, name):
    """Return an answer with some options, as plain values."""
    every = [{}]
    if name not in ("top_payers", "payouts", "reconcile"):
        every += [{"tz": "America/New_York", "as_of": "2024-05"}]
    if name in ("mrr", "churn", "cohorts", "payers"):
        every += [{"unit": "payer", "basis": "net"}]
    if name == "payouts":
        every += [{"as_of": "2024-04"}]
    if name == "explain":
        return [*explanations(payments)]
    if name == "reconcile":
        return [payments.capsule.reconcile(SUMS)]
    if name == "top_payers":
        return [payments.capsule.top_payers(1_000).sort_values(["currency", "net_cents", "payer"])]
    return [getattr(payments.capsule, name)(**options) for options in every]


def explanations(payments):
    """Return the payments behind some columns of several answers, without names of payers."""
    for answer, options, column in [
        ("metrics", {}, "mrr_cents"),
        ("mrr", {"unit": "payer"}, "churn_cents"),
        ("cohorts", {}, "active_payers"),
        ("revenue", {"freq": "QS"}, "refunds_cents"),
        ("payouts", {}, "net_cents"),
    ]:
        rows = getattr(payments.capsule, answer)(**options)
        yield payments.capsule.explain(rows, column).drop(columns="payer")


def histories():
    """Return random payments: some ledgers of two apps, and many small ones, each of its own app."""
    money = {"currencies": ["USD", "JPY"]}
    found = [
        random_history(seed, payers=["ada", "bo", "cy"], apps=["shop", "school"], **money)
        for seed in range(LEDGERS)
    ]
    small = [
        random_history(
            seed, payers=[f"ada{seed}", f"bo{seed}"], apps=[f"app {seed}"], size=4, **money
        )
        for seed in SMALL_LEDGERS
    ]
    return [*found, [row for history in small for row in history]]


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Payments, with their ledger in each form."""
    folder = tmp_path_factory.mktemp("ledgers")
    found = []
    for seed, history in enumerate(histories()):
        payments = service_frame(history, seed=seed)
        ledger = payments.capsule.ledger()
        payments.to_parquet(folder / "payments.parquet")
        ledger.to_parquet(folder / "ledger.parquet")
        found.append(
            {
                "payments": payments,
                "saved payments": pd.read_parquet(folder / "payments.parquet"),
                "ledger": ledger,
                "saved ledger": pd.read_parquet(folder / "ledger.parquet"),
                "ledger of the ledger": ledger.capsule.ledger(),
                "masked ledger": payments.capsule.ledger(mask_payers=SECRET),
                "without missing fields": payments.drop(
                    columns=["refunded_at", "net_cents", "disputed"]
                ),
            }
        )
        missing = found[-1].pop("without missing fields")
        missing.attrs = payments.attrs
        found.append({"payments": missing, "ledger": missing.capsule.ledger()})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_a_ledger_gives_the_same_answer(frames, name):
    rows = 0
    for forms in frames:
        expected = answers(forms["payments"], name)
        for form, frame in forms.items():
            for mine, theirs in zip(answers(frame, name), expected, strict=True):
                if name == "top_payers" and form == "masked ledger":
                    theirs = theirs.assign(payer=masked(theirs["payer"], SECRET))
                    mine, theirs = (
                        table.sort_values(["currency", "payer"], ignore_index=True).drop(
                            columns="rank"
                        )
                        for table in (mine, theirs)
                    )
                pd.testing.assert_frame_equal(
                    mine, theirs, check_dtype=False, check_categorical=False, obj=f"{form}: {name}"
                )
                assert mine.attrs == theirs.attrs
                rows += len(mine)
    assert rows


def test_masked_ledger_has_no_payer_and_no_subscription(frames):
    for forms in frames:
        if "masked ledger" in forms:
            text = forms["masked ledger"].to_csv() + str(forms["masked ledger"].attrs)
            assert "ada" not in text and "@" not in text
            names = forms["masked ledger"]["subscription"].dropna()
            assert names.str.fullmatch("subscription-[0-9a-f]{16}").all()


@pytest.mark.parametrize("name", sorted({*NAMES} - {"reconcile"}))
def test_order_of_the_payments_does_not_matter(frames, name):
    for forms in frames:
        backwards = forms["payments"][::-1]
        for mine, theirs in zip(
            answers(backwards, name), answers(forms["payments"], name), strict=True
        ):
            pd.testing.assert_frame_equal(mine, theirs, check_categorical=False)
