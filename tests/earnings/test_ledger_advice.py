"""The advice in error messages of ledgers works when it is followed literally."""

import numpy as np
import pandas as pd
import pytest
from ledgers import buy, ledger

from cpsl_notebook import Client, UserError
from cpsl_notebook.earnings.ledger.roles import infer, table
from cpsl_notebook.frames import payments_frame

ROW = {
    "paid_at": "2026-01-01",
    "payer": "ada",
    "kind": "monthly",
    "gross_cents": 1500,
    "fee_cents": 150,
}


def payments(*rows):
    rows = [{"payment_id": f"p{number}"} | row for number, row in enumerate(rows)]
    return payments_frame([("shop", rows)])


def error_of(call, *arguments, **options):
    with pytest.raises(UserError) as raised:
        call(*arguments, **options)
    return str(raised.value)


@pytest.mark.parametrize("answer", ["ledger", "revenue", "payers", "mrr", "cohorts"])
@pytest.mark.parametrize(("unit", "cents"), [("cents", 15), ("currency", 1500)])
def test_unit_of_amounts_can_be_set_for_every_answer(answer, unit, cents):
    row = {name: value for name, value in ROW.items() if not name.endswith("_cents")}
    unclear = payments(row | {"amount": 15, "net": 13})
    assert error_of(getattr(unclear.capsule, answer)) == (
        "Cannot tell whether the amounts in `amount` are cents or currency. Set it with "
        'payments = payments.capsule.declare(amounts="cents") or amounts="currency".'
    )
    clear = unclear.capsule.declare(amounts=unit)
    assert len(getattr(clear.capsule, answer)())
    assert clear.capsule.ledger()["gross_cents"].tolist() == [cents]


def test_missing_role_can_be_set():
    row = {name: value for name, value in ROW.items() if name != "payer"} | {"who": "ada"}
    without = payments(row)
    assert error_of(without.capsule.mrr) == (
        "Cannot compute mrr(): no column fits the role payer. Set it with payments = "
        'payments.capsule.declare(roles={"payer": "COLUMN"}). Columns: `app`, `payment_id`, '
        "`paid_at`, `kind`, `gross_cents`, `fee_cents`, `who`."
    )
    assert len(without.capsule.declare(roles={"payer": "who"}).capsule.mrr())


def test_other_kinds_can_be_declared():
    mixed = payments(ROW, ROW | {"kind": "weekly"}, ROW | {"kind": "donation"})
    assert error_of(mixed.capsule.mrr) == (
        "mrr() needs to know for how many months each kind pays, and the payments have other kinds "
        "than one_time, monthly, yearly: donation (1), weekly (1). State it with payments = "
        'payments.capsule.declare(kinds={"KIND": MONTHS}), with 0 for a purchase.'
    )
    known = mixed.capsule.declare(kinds={"donation": 0, "Weekly": 0})
    assert known.capsule.mrr()["closing_cents"].max() == 1500


def test_rows_without_a_time_can_be_left_out_or_corrected():
    undated = payments(ROW, ROW | {"paid_at": None})
    assert error_of(undated.capsule.revenue) == (
        "Payments without a readable time: 1, for example p1. Correct the time, or leave those rows "
        "out."
    )
    left = undated[undated["paid_at"].notna()]
    assert left.capsule.revenue()["gross_cents"].sum() == 1500
    undated["paid_at"] = undated["paid_at"].fillna(pd.Timestamp("2026-01-02", tz="UTC"))
    assert undated.capsule.revenue()["gross_cents"].sum() == 3000


def test_rows_without_an_amount_can_be_left_out():
    unpriced = payments(ROW, ROW | {"gross_cents": None})
    assert error_of(unpriced.capsule.mrr) == (
        "mrr() needs the amount of every payment of a plan. Payments without one in whole cents: 1, "
        "for example p1. Correct the amounts, or leave those rows out."
    )
    left = unpriced.dropna(subset="gross_cents")
    assert "complete=True" in error_of(left.capsule.mrr)
    assert len(left.capsule.declare(complete=True, read_at="2026-02-01").capsule.mrr())


def test_rows_with_an_unknown_status_can_be_left_out_or_counted():
    rows = [ROW | {"status": status} for status in ("paid", "failed", "disputed")]
    strange = payments(*rows)
    assert error_of(strange.capsule.revenue) == (
        "Unknown payment status: `disputed`. Leave those rows out, or count every payment as paid "
        'with payments = payments.capsule.declare(roles={"payment_status": None}).'
    )
    left = strange[strange["status"] != "disputed"]
    assert left.capsule.revenue()["gross_cents"].sum() == 1500
    every = strange.capsule.declare(roles={"payment_status": None})
    assert every.capsule.revenue()["gross_cents"].sum() == 4500


def test_strict_ledger_turns_the_warning_into_an_error():
    unreadable = payments(ROW, ROW | {"gross_cents": "a lot"})
    with pytest.warns(
        UserWarning, match=r"1 of gross_cents \(such as 'a lot'\)\. ledger\(strict=True\) m"
    ):
        unreadable.capsule.revenue()
    assert error_of(unreadable.capsule.ledger, strict=True) == (
        "Some values could not be read and are missing from the ledger: 1 of gross_cents (such as "
        "'a lot')."
    )


def test_columns_with_the_same_name_can_be_renamed_or_dropped():
    frame = payments(ROW).assign(note="a", other="b").rename(columns={"other": "note"})
    assert error_of(frame.capsule.ledger) == (
        "Several columns have the same name: `note`. Rename or drop all but one."
    )
    assert len(frame.loc[:, ~frame.columns.duplicated()].capsule.ledger()) == 1


def test_amounts_option_names_its_values():
    message = error_of(payments(ROW).capsule.ledger, amounts="dollars")
    assert message == 'amounts must be "cents" or "currency", not \'dollars\'.'


def test_payments_without_gross_amount_name_the_role():
    frame = payments({name: value for name, value in ROW.items() if not name.endswith("cents")})
    assert error_of(frame.capsule.ledger).startswith(
        "A ledger needs the gross amount: no column fits the role gross. Set it with"
    )


def test_roles_table_explains_every_role():
    frame = payments(ROW | {"total": 1, "note": "a", "user_email": "a@b.example"})
    notes = table(infer(frame, {"fee": None, "net": "total"})).set_index("role")
    assert notes.loc["gross"].tolist() == ["gross_cents", "gross_cents", "found"]
    assert notes.loc["net"].tolist() == ["total", "net_cents", "set"]
    assert notes.loc["fee", "note"] == "set to none"
    assert notes.loc["payout_id", "note"] == "no column fits the role payout_id"
    assert notes["column"].isna()["payout_id"] and str(notes["column"].dtype) == "string"


def test_client_lists_apps_when_a_name_is_unknown(workspace):
    client = workspace.client()
    assert isinstance(client, Client)
    message = error_of(client.list_payments, "deal-dsk")
    assert message.startswith("No app 'deal-dsk' in this workspace. ") and "deal-desk" in message


def test_times_that_are_text_in_a_csv_file_get_advice(tmp_path):
    known = ledger(buy("2026-01-05")).rows
    known.to_csv(tmp_path / "payments.csv", index=False)
    read = pd.read_csv(tmp_path / "payments.csv")
    with pytest.raises(UserError) as raised:
        read.capsule.revenue()
    assert str(raised.value).startswith(
        "A ledger needs the paid_at: `paid_at` holds text instead of times: read a CSV file with "
        "pd.read_csv(..., parse_dates=['paid_at'])."
    )
    read = pd.read_csv(tmp_path / "payments.csv", parse_dates=["paid_at"])
    assert read.capsule.revenue(as_of="2026-01")["gross_cents"].tolist() == [4900]


def test_apply_on_groups_without_the_app_gets_advice():
    known = payments_frame([("shop", [{"paid_at": "2026-01-05", "gross_cents": 1}])])
    if pd.__version__ >= "3":  # pandas 2.2 keeps the column that it groups by
        with pytest.raises(UserError, match=r"apply\(\) drops the column that it groups by: use"):
            known.groupby("app", observed=True).apply(lambda own: own.capsule.ledger())
    groups = known.groupby("app", observed=True)[list(known.columns)]
    assert len(groups.apply(lambda own: own.capsule.ledger())) == 1


@pytest.mark.parametrize("n", [np.int64(1), 1])
def test_numbers_may_be_of_numpy(n):
    known = ledger(buy("2026-01-05"), buy("2026-01-06", "bo")).rows
    assert known.capsule.declare(kinds={"q": n}).attrs["kinds"] == '{"q": 1}'
    assert len(known.capsule.top_payers(n)) == 1
    with pytest.raises(UserError, match=r"Invalid n: True\."):
        known.capsule.top_payers(True)


def test_summaries_that_are_a_dict_are_an_error():
    known = ledger(buy("2026-01-05")).rows.capsule.declare(complete=True, read_at="2026-02")
    with pytest.raises(
        UserError, match=r"summaries must be a DataFrame, not dict\. Pass the result"
    ):
        known.capsule.reconcile({"app": "shop", "gross_cents": 4900})


def test_types_that_a_csv_file_changes_get_one_advice(tmp_path):
    rows = [ROW | {"payer": 1, "payout_at": "2026-02-01"}, ROW | {"payer": None}]
    payments(*rows).to_csv(tmp_path / "payments.csv", index=False)
    read = pd.read_csv(tmp_path / "payments.csv", parse_dates=["paid_at"])
    advice = (
        "`payout_at` holds text instead of times and `payer` holds floats instead of ids: read a CSV "
        "file with pd.read_csv(..., parse_dates=['payout_at'], dtype={'payer': 'string'})"
    )
    assert error_of(read.capsule.revenue) == (
        f"Cannot read every column: {advice}. To ignore a column, use payments = "
        'payments.capsule.declare(roles={"payer": None}).'
    )
    assert read.capsule.roles.set_index("role")["note"]["payer"] == advice
    ignored = read.capsule.declare(roles={"payer": None, "payout_time": None})
    assert len(ignored.capsule.revenue())
    read = pd.read_csv(
        tmp_path / "payments.csv", parse_dates=["paid_at", "payout_at"], dtype={"payer": "string"}
    )
    assert read.capsule.ledger()["payer"].dropna().tolist() == ["1"]


def test_empty_frame_has_no_columns_to_choose_from():
    assert error_of(pd.DataFrame().capsule.ledger).endswith("Columns: none.")


@pytest.mark.parametrize(("amount", "shown"), [(1500.5, "1500.5"), ("15,00", "'15,00'")])
def test_amount_that_cannot_be_read_is_shown(amount, shown):
    halves = payments(ROW, ROW | {"gross_cents": amount})
    with pytest.warns(UserWarning, match="1 of gross_cents"):
        message = error_of(halves.capsule.mrr)
    assert message == (
        "mrr() needs the amount of every payment of a plan. Payments without one in whole cents: 1, "
        f"for example p1 (gross_cents cannot be read, such as {shown}). Correct the amounts, or leave "
        "those rows out."
    )


def test_times_before_1970_are_no_times():
    # Some services send 0001-01-01 for a time that is unknown.
    rows = payments(ROW, ROW | {"paid_at": "0001-01-01T00:00:00Z"})
    with pytest.warns(UserWarning, match="1 of paid_at"):
        assert "without a readable time: 1, for example p1" in error_of(rows.capsule.revenue)


SUMS = pd.DataFrame({"app": ["shop"], "gross_cents": [1], "fee_cents": [1], "net_cents": [1]})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "ledger",
            {"mask_payers": ""},
            "mask_payers must be True, False or a secret that is not b",
        ),
        ("ledger", {"mask_payers": " "}, "a secret that is not blank, not ' '."),
        ("ledger", {"mask_payers": 5}, "a secret that is not blank, not 5."),
        ("ledger", {"mask_payers": None}, "a secret that is not blank, not None."),
        ("ledger", {"strict": "yes"}, "strict must be True or False, not 'yes'."),
        ("ledger", {"roles": 5}, 'roles must be a dict such as {"gross": "total"}, not 5.'),
        ("ledger", {"roles": ["payer"]}, "roles must be a dict such as"),
        ("declare", {"roles": {1: "payer"}}, "roles must be a dict such as"),
        ("declare", {"kinds": 5}, 'kinds must be a dict such as {"quarterly": 3}, not 5.'),
        ("declare", {"kinds": {5: 3}}, "kinds must be a dict such as"),
        ("declare", {"amounts": "dollars"}, 'amounts must be "cents" or "currency"'),
        ("declare", {"complete": "yes"}, "complete must be True or False, not 'yes'."),
        ("declare", {"read_at": "2999"}, "Invalid date or time: '2999'."),
        ("mrr", {"money": "yes"}, "money must be True or False, not 'yes'."),
        ("revenue", {"money": 1}, "money must be True or False, not 1."),
        ("revenue", {"freq": ["MS"]}, "freq must be one of D, W, MS, QS, YS, not ['MS']."),
        ("revenue", {"by": ["app"]}, "The payments have no column ['app']."),
        ("reconcile", {"earnings": 5}, "The summaries must be a DataFrame, not int."),
        ("reconcile", {"earnings": SUMS, "strict": 1}, "strict must be True or False, not 1."),
        ("reconcile", {"earnings": SUMS, "roles": 5}, "roles must be a dict such as"),
        ("reconcile", {"earnings": SUMS, "amounts": "x"}, 'amounts must be "cents" or "currency"'),
        ("explain", {"rows": SUMS, "column": 5}, "column must be the name of a column, such as"),
        (
            "snapshot",
            {"path": 5},
            "path must be the path of a file, such as '2026-10.parquet', not 5.",
        ),
        ("diff", {"path": 5}, "path must be the path of a file, such as '2026-10.parquet', not 5."),
        ("diff", {"path": SUMS}, "such as '2026-10.parquet', not DataFrame."),
        ("diff", {"path": ""}, "such as '2026-10.parquet', not ''."),
        ("to_excel", {"path": None}, "such as 'payments.xlsx', not NoneType."),
    ],
)
def test_arguments_of_the_wrong_type_are_one_line(name, options, message):
    known = payments(ROW).capsule.declare(complete=True, read_at="2026-02")
    found = error_of(getattr(known.capsule, name), **options)
    assert message in found and "\n" not in found
