"""Pace, failures, progress and interrupts."""

import itertools
import signal
import threading
import time

import pytest
from fast_gateway import APP, BROKEN, CRASHED, HANGING, LIMITED, REFUSED
from terminal import Terminal

from cpsl_notebook import sweep
from cpsl_notebook.sweeps import scheduling, sweep_progress
from cpsl_notebook.sweeps.rate_limit import RateLimit
from cpsl_notebook.sweeps.sweep import SweepError
from cpsl_notebook.sweeps.sweep_progress import SweepProgress


def test_a_limited_row_is_sent_again_after_the_time_that_the_service_names(client, gateway):
    gateway.retry_after = "1"
    gateway.rule = lambda text, number: LIMITED if number == 1 else "fine"
    answers = sweep(range(8), "{{ value }}", APP, client=client, max_active=1)
    assert answers["status"].tolist() == ["ok"] * 8
    assert answers["attempts"].tolist() == [2] + [1] * 7
    waits = [b - a for a, b in itertools.pairwise(gateway.times)]
    assert waits[0] > 0.9  # nothing is sent while the sweep waits


def test_the_client_does_not_wait_for_429_by_itself(client, gateway):
    gateway.rule = lambda text, number: LIMITED if number <= 3 else "fine"
    answers = sweep(["a"], "{{ value }}", APP, client=client)
    assert answers["attempts"].tolist() == [4]
    assert gateway.limited == {"a": 3} and gateway.received == {"a": 1}


def test_the_pace_halves_once_for_all_rows_in_flight_and_recovers():
    pace = RateLimit(max_active=16)
    for _ in range(10):
        pace.limited(sent_at=0.0, now=1.0, retry_after=0.0)
    assert pace.active == 8
    pace.limited(sent_at=2.0, now=3.0, retry_after=0.0)
    assert pace.active == 4
    for _ in range(100):
        pace.answered()
    assert pace.active == 16


def test_pauses_grow_while_the_service_does_not_say_how_long():
    pace = RateLimit(max_active=4)
    pauses = []
    for now in range(30):
        pace.limited(sent_at=float(now), now=float(now), retry_after=None)
        pauses.append(pace.next_start - now)
    assert pauses[0] <= 0.1
    assert max(pauses) <= 31


def test_a_row_is_not_sent_without_end(client, gateway, monkeypatch):
    monkeypatch.setattr(scheduling, "MAX_ATTEMPTS", 3)
    gateway.rule = lambda text, number: LIMITED if text == "a" else "fine"
    answers = sweep(["a", "b"], "{{ value }}", APP, client=client)
    assert answers["status"].tolist() == ["error", "ok"]
    assert answers["attempts"].tolist() == [3, 1]
    assert gateway.limited["a"] == 3
    assert answers["error"].iloc[0].startswith("RateLimitedError: ")


def test_a_pause_that_is_too_long_ends_the_sweep(client, gateway):
    gateway.retry_after = "7200"
    gateway.rule = lambda text, number: LIMITED if number > 2 else "fine"
    with pytest.warns(UserWarning, match=r"requested a pause of 2 h 0 min\. 3 rows were not sent"):
        answers = sweep(range(5), "{{ value }}", APP, client=client, max_active=1)
    assert answers["status"].tolist() == ["ok"] * 2 + ["stopped"] * 3
    assert answers["attempts"].tolist()[:2] == [1, 1]


def test_rpm_spreads_requests(client, gateway):
    sweep(range(6), "{{ value }}", APP, client=client, rpm=600)
    gaps = [b - a for a, b in itertools.pairwise(gateway.times)]
    assert sum(gaps) > 0.45


def test_a_few_limited_rows_and_broken_streams_do_not_end_a_sweep(client, gateway):
    gateway.rule = lambda text, number: (
        LIMITED if number % 20 == 0 else BROKEN if int(text) % 100 == 7 else "fine"
    )
    answers = sweep(range(400), "{{ value }}", APP, client=client)
    unknown = answers.index[answers["status"] == "unknown"]
    assert unknown.tolist() == [7, 107, 207, 307]
    assert set(gateway.received.values()) == {1}
    assert (answers["status"] == "ok").sum() == 396


def test_never_more_in_flight_than_allowed(client, gateway):
    gateway.delay = 0.02
    sweep(range(60), "{{ value }}", APP, client=client, max_active=5)
    assert gateway.most_active == 5


def test_many_in_flight_work(client, gateway):
    gateway.delay = 0.3
    answers = sweep(range(1024), "{{ value }}", APP, client=client, max_active=512)
    assert (answers["status"] == "ok").all()
    assert gateway.most_active > 256


def test_each_kind_of_failure_has_its_status(client, gateway):
    verdicts = {"a": BROKEN, "b": CRASHED, "c": REFUSED, "d": "fine"}
    gateway.rule = lambda text, number: verdicts[text]
    answers = sweep(list("abcd"), "{{ value }}", APP, client=client)
    assert answers["status"].tolist() == ["unknown", "error", "error", "ok"]
    assert [error.split(":")[0] for error in answers["error"].dropna()] == [
        "StreamInterrupted",
        "GatewayError",
        "InvalidRequestError",
    ]


def test_a_gateway_that_is_not_there_gives_errors_and_not_unknown_rows(client, gateway):
    gateway.__exit__()
    answers = sweep(["a"], "{{ value }}", APP, client=client)
    assert answers["status"].tolist() == ["error"]
    assert answers["error"].iloc[0].startswith("CannotConnectError: ")


class DocumentedClient:
    """A client with the documented methods only, whose errors are those of urllib."""

    def __init__(self, core):
        self.core = core

    def stream(self, app, text, session_id=None):
        import urllib.error

        try:
            yield from self.core.stream(app, text, session_id)
        except Exception as error:
            if error.status in (400, 429):
                headers = {"Retry-After": "0"}
                raise urllib.error.HTTPError("", error.status, "no", headers, None) from None
            raise OSError("broken") from None


def test_a_client_without_typed_errors_is_treated_with_care(client, gateway):
    documented = DocumentedClient(client.with_options(max_retries=0))
    verdicts = {"a": BROKEN, "b": REFUSED}
    gateway.rule = lambda text, number: LIMITED if number == 1 else verdicts.get(text, "fine")
    answers = sweep(list("abc"), "{{ value }}", APP, client=documented)
    assert answers["status"].tolist() == ["unknown", "error", "ok"]
    assert gateway.received == {"a": 1, "b": 1, "c": 1}
    assert sum(answers["attempts"]) == 4


def test_on_error_raise_ends_with_the_first_failure_and_keeps_the_answers(client, gateway):
    gateway.rule = lambda text, number: CRASHED if text == "2" else "fine"
    with pytest.raises(SweepError, match="Row 2: GatewayError: ") as caught:
        sweep(range(50), "{{ value }}", APP, client=client, on_error="raise", max_active=1)
    assert str(caught.value).endswith(
        "in a notebook, `import sys; sys.last_value.answers` shows them."
    )
    statuses = caught.value.answers["status"].tolist()
    assert statuses == ["ok", "ok", "error"] + ["stopped"] * 47
    assert len(gateway.received) == 3


def test_max_failures_ends_a_sweep_that_does_not_work(client, gateway):
    gateway.rule = lambda text, number: CRASHED
    with pytest.warns(UserWarning, match="Stopped after 3 failed rows"):
        answers = sweep(range(50), "{{ value }}", APP, client=client, max_failures=3, max_active=1)
    assert answers["status"].tolist() == ["error"] * 3 + ["stopped"] * 47
    assert answers["error"].iloc[-1] == "Stopped after 3 failed rows."


def interrupt_when(came):
    """Interrupt the main thread once something has happened."""

    def run():
        came()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_interrupt_lets_rows_in_flight_finish_and_returns_the_answers(client, gateway, tmp_path):
    gateway.delay = 0.2
    thread = interrupt_when(lambda: gateway.wait_for(lambda: len(gateway.received) >= 6))
    store = tmp_path / "answers.db"
    with pytest.warns(UserWarning, match="Stopped by an interrupt"):
        answers = sweep(range(100), "{{ value }}", APP, client=client, max_active=4, store=store)
    thread.join()
    finished = len(gateway.received)
    assert (answers["status"] == "ok").sum() == finished < 20
    assert (answers["status"] == "stopped").sum() == 100 - finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    gateway.delay = 0
    answers = sweep(range(100), "{{ value }}", APP, client=client, max_active=4, store=store)
    assert (answers["status"] == "ok").all()
    assert set(gateway.received.values()) == {1}


def test_a_second_interrupt_leaves_rows_in_flight_unknown(client, gateway, tmp_path):
    gateway.rule = lambda text, number: HANGING if text == "3" else "fine"

    def came():
        gateway.wait_for(lambda: gateway.received["3"])
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.3)

    thread = interrupt_when(came)
    store = tmp_path / "answers.db"
    with pytest.warns(UserWarning, match="Stopped by an interrupt"):
        answers = sweep(range(50), "{{ value }}", APP, client=client, max_active=1, store=store)
    thread.join()
    assert answers["status"].tolist()[:4] == ["ok"] * 3 + ["unknown"]
    assert answers["error"].iloc[3] == "The sweep was abandoned with this row in flight."
    assert set(answers["status"].iloc[4:]) == {"stopped"}
    gateway.rule = lambda text, number: "fine"
    answers = sweep(range(50), "{{ value }}", APP, client=client, store=store)
    assert answers.index[answers["status"] != "ok"].tolist() == [3]


def test_a_sweep_in_another_thread_leaves_interrupts_alone(client, gateway):
    before = signal.getsignal(signal.SIGINT)
    results = []
    thread = threading.Thread(
        target=lambda: results.append(sweep(["a"], "{{ value }}", APP, client=client))
    )
    thread.start()
    thread.join(30)
    assert results[0]["status"].tolist() == ["ok"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [1000.0]
    monkeypatch.setattr(sweep_progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("workers", "slots", "rows"),
    [(8, 8, 1000), (2, 8, 200), (32, 32, 2000), (1, 1, 100), (8, 8, 100)],
)
def test_the_time_left_is_right_after_a_twentieth_of_the_rows(clock, workers, slots, rows):
    """A simulated sweep: replies take 0.8 to 1.2 s, and rows wait for a worker."""
    progress = SweepProgress(rows, slots, shown=False)
    free = [1000.0] * workers
    flights = []  # (end, time of submission, time of the request) of each row
    submitted = [1000.0] * slots
    for number in range(rows):
        start = submitted.pop(0)
        worker = free.index(min(free))
        took = 0.8 + 0.4 * (number * 7919 % 101) / 100
        free[worker] = max(free[worker], start) + took
        flights.append((free[worker], start, took))
        submitted = sorted([*submitted, free[worker]])
    flights.sort()
    for done, (end, start, took) in enumerate(flights, 1):
        clock[0] = end
        progress.finished(False, took, end - start)
        if done >= rows / 20 and done <= rows * 0.9:
            left = flights[-1][0] - end
            assert progress.seconds_left == pytest.approx(left, rel=0.2), done


def test_unwatched_sweep_prints_lines_of_text(client, gateway, monkeypatch, capsys):
    monkeypatch.setattr(sweep_progress, "LINE_INTERVAL", 0.2)
    gateway.delay = 0.05
    gateway.rule = lambda text, number: CRASHED if text == "3" else "fine"
    sweep(range(60), "{{ value }}", APP, client=client, max_active=4)
    shown = capsys.readouterr()
    assert shown.out == ""
    first = shown.err.splitlines()[-1]
    assert first.startswith("Sweep: ") and " of 60 rows, 1 failed, " in first
    assert first.endswith(" s left")
    sweep(range(60), "{{ value }}", APP, client=client, max_active=4, progress=False)
    assert capsys.readouterr().err == ""


WATCHED = """
import cpsl
from cpsl_notebook import sweep
sweep(range(40), "{{ value }}", "%s", client=cpsl.Client(), max_active=4)
print("done")
"""


def test_a_bar_in_a_terminal_shows_rows_failures_rate_and_time_left(gateway):
    gateway.delay = 0.1
    gateway.rule = lambda text, number: CRASHED if text == "3" else "fine"
    with Terminal("-c", WATCHED % APP, columns=120, **gateway.environ) as terminal:
        terminal.read_until("/40 rows, 1 failed, ")
        terminal.read_until(" rows/s, ")
        terminal.read_until(" s left")
        terminal.read_until("done")
        assert terminal.status == 0


FAILED = """
import cpsl
from cpsl_notebook import sweep
for app in ["no-such-app", "%s"]:
    try:
        sweep(range(40), "{{ value }}", app, client=cpsl.Client(), max_active=4)
    except Exception as error:
        kept = error  # its traceback keeps the progress bar
print("done")
"""


def test_a_failed_sweep_closes_its_bar_so_that_later_bars_are_not_moved_down(gateway):
    gateway.delay = 0.05
    with Terminal("-c", FAILED % APP, columns=120, **gateway.environ) as terminal:
        assert "\x1b[A" not in terminal.read_until("done")
        assert "40/40 rows" in terminal.seen.decode()
        assert terminal.status == 0


def test_no_line_is_printed_for_a_short_sweep(client, capsys):
    sweep(range(20), "{{ value }}", APP, client=client)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
