"""Time windows of payments: half-open, in a time zone, and without guessing."""

import datetime as dt

import pandas as pd
import pytest
from shells import new_shell

from cpsl_notebook import UserError
from cpsl_notebook.earnings.dates import first_day, first_moment, moment
from cpsl_notebook.earnings.window import Window
from cpsl_notebook.frames import payments_frame


def frame(*times):
    return payments_frame([("shop", [{"id": n, "paid_at": time} for n, time in enumerate(times)])])


def kept(times, **bounds):
    return Window.of(**bounds).cut(frame(*times))["id"].tolist()


EDGES = [
    "2025-09-30T23:59:59.999999Z",
    "2025-10-01T00:00:00Z",
    "2025-10-31T23:59:59.999999Z",
    "2025-11-01T00:00:00Z",
]


@pytest.mark.parametrize(
    ("bounds", "ids"),
    [
        ({"month": "2025-10"}, [1, 2]),
        ({"since": "2025-10-01"}, [1, 2, 3]),
        ({"until": "2025-10-01"}, [0]),
        ({"since": dt.date(2025, 10, 1), "until": dt.date(2025, 11, 1)}, [1, 2]),
        ({"since": "2025-10-01T00:00:00.000001"}, [2, 3]),
        ({"since": pd.Timestamp("2025-11-01", tz="UTC")}, [3]),
        ({"month": "2025-10", "tz": "Europe/Berlin"}, [0, 1]),
        ({"month": "2025-10", "tz": "America/New_York"}, [2, 3]),
        ({"since": "2025-10-01T00:00+02:00", "until": "2025-10-01", "tz": "UTC"}, [0]),
        ({"since": "2025-10"}, [1, 2, 3]),
        ({"since": "2025-10", "until": "2025-11"}, [1, 2]),
        ({"until": "2025"}, []),
        ({"since": "2025", "until": "2026"}, [0, 1, 2, 3]),
        ({"since": pd.Period("2025-10")}, [1, 2, 3]),
        ({"month": pd.Period("2025-10")}, [1, 2]),
        ({"since": "2025-11", "tz": "America/New_York"}, []),
        ({}, [0, 1, 2, 3]),
    ],
)
def test_window_includes_since_and_excludes_until(bounds, ids):
    assert kept(EDGES, **bounds) == ids


def test_month_with_clock_change_has_extra_hour():
    # Berlin leaves summer time on 26 October 2025: the month has 31 days and an hour.
    window = Window.of(month="2025-10", tz="Europe/Berlin")
    assert window.until - window.since == pd.Timedelta(days=31, hours=1)
    assert str(window) == "2025-09-30T22:00:00Z/2025-10-31T23:00:00Z"


def test_day_without_midnight_begins_at_first_existing_time():
    # Beirut went from 00:00 to 01:00 on 30 March 2025.
    window = Window.of(since="2025-03-30", tz="Asia/Beirut")
    assert str(window) == "2025-03-29T22:00:00Z/"


def test_day_with_two_midnights_begins_at_the_first():
    # Havana went from 01:00 back to 00:00 on 2 November 2025.
    havana = "America/Havana"
    midnight = pd.Timestamp("2025-11-02 04:00", tz="UTC")
    assert Window.of(since="2025-11-02", tz=havana).since == midnight
    assert moment("2025-11-01", havana) == midnight
    assert first_day("2025-11-02T04:30Z", havana) == pd.Timestamp("2025-11-02")


def test_time_that_occurs_twice_is_first_in_windows_and_second_in_as_of():
    # Berlin went from 03:00 back to 02:00 on 26 October 2025.
    time = "2025-10-26 02:30"
    assert first_moment(time, "Europe/Berlin") == pd.Timestamp("2025-10-26 00:30", tz="UTC")
    assert moment(time, "Europe/Berlin") == pd.Timestamp("2025-10-26 01:30", tz="UTC")


def test_periods_of_any_length_are_dates():
    assert first_moment(pd.Period("2025-10-01 05:00", "h")) == pd.Timestamp(
        "2025-10-01 05", tz="UTC"
    )
    assert moment(pd.Period("2025Q3", "Q")) == pd.Timestamp("2025-10-01", tz="UTC")
    assert first_day(pd.Period("2025-10-01/2025-10-07", "W-TUE")) == pd.Timestamp("2025-10-01")


def test_far_future_is_a_date_or_a_user_error():
    try:
        assert first_moment("2999") == pd.Timestamp("2999-01-01", tz="UTC")
    except UserError as error:  # pandas 2.2 has no times after 2262
        assert "Invalid date or time: '2999'" in str(error)


INVALID = r"Invalid date or time: .*\. Write it as '2026-10', '2026-10-31' or '2026-10-31 12:00'\."


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"month": "2025-13"}, "Invalid date or time: '2025-13'"),
        ({"month": "October"}, r"Invalid month: 'October'\. Write it as '2025-10'\."),
        ({"month": "2025"}, "Invalid month: '2025'"),
        ({"month": "2025-10", "since": "2025-10-01"}, "month cannot be combined with since or"),
        ({"since": "yesterday"}, INVALID),
        ({"since": "now"}, INVALID),
        ({"until": ""}, INVALID),
        ({"since": 20251001}, INVALID),
        ({"since": "2025-02-30"}, INVALID),
        ({"since": "01/10/2025"}, INVALID),
        ({"until": pd.NaT}, INVALID),
        ({"since": "2025-10-02", "until": "2025-10-01"}, "The window from .* is empty"),
        ({"since": "2025-10-01", "until": "2025-10-01"}, "until is exclusive"),
        ({"month": "2025-10", "tz": "Mars/Olympus"}, "Unknown time zone"),
    ],
)
def test_invalid_window_is_an_error_that_shows_valid_forms(bounds, message):
    with pytest.raises(UserError, match=message):
        Window.of(**bounds)


def test_payment_without_time_is_an_error():
    with pytest.raises(UserError, match="Payments without a time in `paid_at`: 1"):
        kept(["2025-10-01", None], month="2025-10")


def test_table_without_time_column_is_an_error():
    with pytest.raises(UserError, match="Cannot tell which column is the time of a payment"):
        Window.of(month="2025-10").cut(payments_frame([("shop", [{"id": 1}])]))


def test_unparsed_values_are_counted_within_window():
    records = [
        {"paid_at": "2025-10-01", "net_cents": "much"},
        {"paid_at": "2025-11-01", "net_cents": 1},
    ]
    df = payments_frame([("shop", records)])
    october, november = (Window.of(month=f"2025-{m}").cut(df) for m in (10, 11))
    assert october.attrs["unparsed"] == "1" and november.attrs["unparsed"] == "0"
    assert "_unparsed" not in november
    assert "window" not in df.attrs and df["net_cents"].isna().tolist() == [True, False]


def test_unreadable_time_is_an_error():
    with pytest.raises(UserError, match="Payments without a time in `paid_at`: 1"):
        kept(["2025-10-01T00:00:00Z", "last October"], until="2025-10-02")


def test_answers_of_window_have_no_rows_outside_it(workspace):
    cut = workspace.client().list_payments(month="2026-02")
    whole = workspace.client().list_payments()
    for answer in ("revenue", "payers"):
        found, all_of_it = (getattr(df.capsule, answer)() for df in (cut, whole))
        assert found["period"].unique().tolist() == [pd.Timestamp("2026-02-01")]
        assert len(all_of_it["period"].unique()) > 12
    months = whole.capsule.revenue()
    same = months[(months["period"] == pd.Timestamp("2026-02-01")) & (months["gross_cents"] != 0)]
    for column in ("app", "kind", "gross_cents", "refunds_cents", "net_cents", "state"):
        assert cut.capsule.revenue()[column].tolist() == same[column].tolist()


def test_mrr_refuses_window(workspace):
    cut = workspace.client().list_payments(since="2026-02-01")
    with pytest.raises(UserError, match=r"needs the whole history.*Read them without a window"):
        cut.capsule.mrr()


def test_magic_and_client_cut_same_window(workspace):
    whole = workspace.client().list_payments()
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook\n%capsule local")
        df = shell.run("%capsule payments --month 2026-02").value
        assert "month cannot be combined with since or until" in shell.error(
            "%capsule payments --month 2026-02 --since 2026-02-01"
        )
    assert df.attrs["window"] == "2026-02-01T00:00:00Z/2026-03-01T00:00:00Z"
    assert df.equals(workspace.client().list_payments(since="2026-02-01", until="2026-03-01"))
    assert len(df) == (whole["paid_at"].dt.strftime("%Y-%m") == "2026-02").sum() > 50
    assert list(df.index) == list(range(len(df)))
    assert whole.attrs["window"] == ""


def test_payments_and_answers_accept_the_same_dates(workspace):
    client = workspace.client()
    for since in ("2026-08", "2026-08-01", dt.date(2026, 8, 1), pd.Period("2026-08")):
        read = client.list_payments("deal-desk", since=since)
        assert read.attrs["window"] == "2026-08-01T00:00:00Z/"
        shown = client.list_payments("deal-desk").capsule.revenue(since=since)
        assert read.capsule.revenue()["net_cents"].sum() == shown["net_cents"].sum() != 0
    with pytest.raises(UserError, match=INVALID):
        client.list_payments("deal-desk", since="August")
    with pytest.raises(UserError, match=INVALID):
        read.capsule.revenue(since="August")


def test_empty_window_keeps_columns_and_types(workspace):
    client = workspace.client()
    df = client.list_payments("deal-desk", until="2020-01-01")
    assert len(df) == 0 and (df.dtypes == client.list_payments("deal-desk").dtypes).sum() > 5
