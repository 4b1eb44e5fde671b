"""The store: what is sent again and what is not, after any change of the rows or end of the process."""

import contextlib
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading

import pandas as pd
import pytest
from fast_gateway import APP, BROKEN, CRASHED, HANGING, LIMITED, REFUSED, TOKEN

from cpsl_notebook import sweep
from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.sweeps.answer_store import _APPLICATION_ID as ID
from cpsl_notebook.sweeps.answer_store import _check_content

ROWS = pd.DataFrame({"n": range(6)})


def test_a_second_sweep_sends_nothing_and_gives_the_same_frame(client, gateway, store):
    first = sweep(ROWS, "{{ n }}", APP, client=client, store=store)
    second = sweep(ROWS, "{{ n }}", APP, client=client, store=store)
    pd.testing.assert_frame_equal(first, second)
    assert sum(gateway.received.values()) == 6


def test_only_new_rows_are_sent(client, gateway, store):
    sweep(ROWS, "{{ n }}", APP, client=client, store=store)
    changed = pd.DataFrame({"n": [9, 5, 4, 3, 0]})
    answers = sweep(changed, "{{ n }}", APP, client=client, store=str(store))
    assert answers["reply"].tolist() == [f"You said {n}" for n in (9, 5, 4, 3, 0)]
    assert gateway.received == {**dict.fromkeys("012345", 1), "9": 1}


def test_an_edited_prompt_another_app_or_workspace_is_sent(client, gateway, store):
    sweep(ROWS.head(2), "{{ n }}", APP, client=client, store=store)
    sweep(ROWS.head(2), "Number {{ n }}", APP, client=client, store=store)
    assert gateway.received["Number 0"] == 1
    sweep(ROWS.head(2), "{{ n }}", APP.replace("1", "2"), client=client, store=store)
    assert gateway.received["0"] == 2
    with type(gateway)() as elsewhere:
        core = type(client)(token=TOKEN, gateway_url=elsewhere.url)
        sweep(ROWS.head(2), "{{ n }}", APP, client=core, store=store)
        assert elsewhere.received["0"] == 1


def test_equal_rows_are_distinguished_by_occurrence(client, gateway, store):
    first = sweep(["a", "a", "b"], "{{ value }}", APP, client=client, store=store)
    assert first["session_id"].nunique() == 3
    second = sweep(["b", "a", "a", "a"], "{{ value }}", APP, client=client, store=store)
    assert gateway.received == {"a": 3, "b": 1}
    assert (
        second["session_id"].tolist()[:3]
        == first["session_id"].tolist()[2:] + first["session_id"].tolist()[:2]
    )
    sweep(["a"], "{{ value }}", APP, client=client, store=store, repeat=5)
    assert gateway.received["a"] == 5


def test_a_session_continues_where_it_was_however_rows_are_sorted(client, gateway, store):
    frame = pd.DataFrame({"who": ["x", "y"] * 2, "text": ["Hello", "Hello", "one", "two"]})
    options = {"client": client, "store": store, "session": "who"}
    first = sweep(frame, "{{ text }}", APP, **options).set_index(frame["who"])
    longer = pd.concat([frame, pd.DataFrame({"who": ["x", "y"], "text": ["more", "more"]})])
    longer = longer.sort_values("who", ascending=False, kind="stable")
    second = sweep(longer, "{{ text }}", APP, **options).set_index(longer["who"])
    assert sum(gateway.received.values()) == 6
    for who in "xy":
        assert second.loc[who, "session_id"].nunique() == 1
        assert second.loc[who, "session_id"].iloc[0] == first.loc[who, "session_id"].iloc[0]


def test_an_earlier_turn_that_changes_sends_the_later_ones(client, gateway, store):
    options = {"client": client, "store": store, "session": "who"}
    sweep(pd.DataFrame({"who": 1, "t": ["a", "b", "c"]}), "{{ t }}", APP, **options)
    sweep(pd.DataFrame({"who": 1, "t": ["a", "B", "c"]}), "{{ t }}", APP, **options)
    assert gateway.received == {"a": 1, "b": 1, "B": 1, "c": 2}


def test_what_may_have_been_acted_on_is_sent_again_only_on_request(client, gateway, store):
    verdicts = {"0": BROKEN, "1": CRASHED, "2": REFUSED}
    gateway.rule = lambda text, number: verdicts.get(text, "fine")
    first = sweep(ROWS.head(4), "{{ n }}", APP, client=client, store=store)
    assert first["status"].tolist() == ["unknown", "error", "error", "ok"]
    assert first["reply"].iloc[0] == "Half"
    gateway.rule = lambda text, number: "better"
    second = sweep(ROWS.head(4), "{{ n }}", APP, client=client, store=store)
    assert second["status"].tolist() == ["unknown", "error", "ok", "ok"]
    assert second["error"].iloc[0] == first["error"].iloc[0]
    assert gateway.received == {"0": 1, "1": 1, "2": 2, "3": 1}
    third = sweep(ROWS.head(4), "{{ n }}", APP, client=client, store=store, resend_unknown=True)
    assert third["status"].tolist() == ["ok"] * 4
    assert third["attempts"].tolist() == [2, 2, 2, 1]
    assert gateway.received == {"0": 2, "1": 2, "2": 2, "3": 1}


def test_an_answer_that_does_not_parse_is_sent_again_only_on_request(client, gateway, store):
    gateway.rule = lambda text, number: "no JSON" if text == "0" else "1"
    options = {"client": client, "store": store, "json": True}
    assert sweep(ROWS.head(2), "{{ n }}", APP, **options)["status"].tolist() == ["unparsed", "ok"]
    gateway.rule = lambda text, number: "2"
    assert sweep(ROWS.head(2), "{{ n }}", APP, **options)["status"].tolist() == ["unparsed", "ok"]
    answers = sweep(ROWS.head(2), "{{ n }}", APP, **options, resend_unparsed=True)
    assert answers["value"].tolist() == [2, 1]
    assert answers["attempts"].tolist() == [2, 1]
    # Asked for in another form, the same answers are taken from the store.
    texts = sweep(ROWS.head(2), "{{ n }}", APP, client=client, store=store)
    assert texts["reply"].tolist() == ["2", "1"]
    assert gateway.received == {"0": 2, "1": 1}


def test_rows_in_flight_when_the_process_is_killed_are_unknown(gateway, client, store):
    gateway.rule = lambda text, number: HANGING if text in "23" else "fine"
    process = start_sweep(store, rows=6, max_active=2)
    gateway.wait_for(lambda: gateway.received["2"] and gateway.received["3"])
    process.kill()
    process.wait()
    gateway.rule = lambda text, number: "fine"
    answers = sweep(ROWS, "{{ n }}", APP, client=client, store=store, max_active=1)
    assert answers["status"].tolist()[:4] == ["ok", "ok", "unknown", "unknown"]
    assert "it may have been sent" in answers["error"].iloc[2]
    assert answers["status"].tolist()[4:] == ["ok", "ok"]
    assert gateway.received["2"] == gateway.received["3"] == 1
    again = sweep(ROWS, "{{ n }}", APP, client=client, store=store, resend_unknown=True)
    assert again["status"].tolist() == ["ok"] * 6
    assert again["attempts"].tolist()[:4] == [1, 1, 2, 2]
    assert gateway.received["2"] == gateway.received["3"] == 2


def test_two_processes_on_one_store_share_the_rows(gateway, store):
    gateway.delay = 0.05
    processes = [start_sweep(store, rows=120, max_active=4) for _ in range(2)]
    outputs = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert [output["status"] for output in outputs] == [["ok"] * 120] * 2
    assert outputs[0]["session"] == outputs[1]["session"]
    assert set(gateway.received.values()) == {1} and len(gateway.received) == 120


def test_store_that_another_process_creates_meanwhile_is_accepted(store):
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as ours:

        def create(statement):
            """Create the store in the middle of our check."""
            if "sqlite_master" in statement:
                ours.set_trace_callback(None)
                with (
                    contextlib.closing(sqlite3.connect(store, timeout=0)) as other,
                    contextlib.suppress(sqlite3.OperationalError),
                ):
                    other.executescript(
                        f"BEGIN; CREATE TABLE answers (n); PRAGMA application_id = {ID}; COMMIT"
                    )

        ours.set_trace_callback(create)
        _check_content(ours, store)


@pytest.mark.parametrize("drift", [0, 1])  # seconds by which we read another start time
def test_rows_of_a_sweep_that_dies_beside_ours_are_unknown(gateway, client, store, drift):
    gateway.rule = lambda text, number: HANGING if text == "0" else "fine"
    other = start_sweep(store, rows=1, max_active=1)
    gateway.wait_for(lambda: gateway.received["0"])
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        database.execute("UPDATE runs SET started = started + ?", (drift,))
    results = []
    ours = threading.Thread(
        target=lambda: results.append(sweep(ROWS, "{{ n }}", APP, client=client, store=store))
    )
    ours.start()
    gateway.wait_for(lambda: len(gateway.received) == 6)  # all but the other one's row
    ours.join(1)
    assert ours.is_alive()  # it waits for the other one
    other.kill()
    other.wait()
    ours.join(30)
    assert results[0]["status"].tolist() == ["unknown"] + ["ok"] * 5
    assert gateway.received["0"] == 1


def test_a_row_that_was_limited_when_the_process_died_is_sent(gateway, client, store):
    gateway.rule, gateway.retry_after = (lambda text, number: LIMITED), "60"
    process = start_sweep(store, rows=1, max_active=1)
    gateway.wait_for(lambda: gateway.limited["0"])
    with sqlite3.connect(store) as database:
        while database.execute("SELECT state FROM answers").fetchall() != [("rate-limited",)]:
            pass
    process.kill()
    process.wait()
    gateway.rule = lambda text, number: "fine"
    answers = sweep(ROWS.head(1), "{{ n }}", APP, client=client, store=store)
    assert answers["status"].tolist() == ["ok"]
    assert answers["attempts"].tolist() == [2]


def test_a_dry_run_counts_only_what_is_new(client, store, capsys):
    sweep(ROWS, "{{ n }}", APP, client=client, store=store)
    sweep(pd.DataFrame({"n": range(8)}), "{{ n }}", APP, client=client, store=store, dry_run=True)
    shown = capsys.readouterr().out
    assert f"Not sent: 2 requests to {APP}; 6 more have an answer in the store." in shown
    assert "assuming" not in shown  # the answers in the store tell how long one takes


def test_a_dry_run_is_printed_on_any_terminal(client, monkeypatch):
    written = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", written)
    sweep(["costs 5 → 6\x1b[2J"], "It {{ value }}", APP, client=client, dry_run=True)
    assert written.buffer.getvalue().decode("ascii").endswith("\nIt costs 5 ? 6\n")


def test_a_sweep_works_without_standard_streams(client, monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, None)
    monkeypatch.setattr("cpsl_notebook.sweeps.sweep_progress.LINE_INTERVAL", 0)
    answers = sweep(ROWS, "{{ n }}", APP, client=client)
    assert answers["status"].tolist() == ["ok"] * 6


def test_a_dry_run_does_not_create_the_store(client, store):
    sweep(ROWS, "{{ n }}", APP, client=client, store=store, dry_run=True)
    assert not store.exists()


def test_the_store_is_private_and_readable_as_a_table(client, store):
    sweep(ROWS.head(1), "Number {{ n }}", APP, client=client, store=store)
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    with sqlite3.connect(store) as database:
        (row,) = database.execute("SELECT state, app, prompt, attempts FROM answers").fetchall()
        assert row == ("answered", APP, "Number 0", 1)
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_lone_surrogate_in_a_reply_survives_the_store(client, gateway, store):
    gateway.rule = lambda text, number: "half \ud83d"
    first = sweep(ROWS.head(1), "{{ n }}", APP, client=client, store=store)
    second = sweep(ROWS.head(1), "{{ n }}", APP, client=client, store=store)
    assert first["reply"].iloc[0] == second["reply"].iloc[0]


def test_another_file_is_not_taken_for_a_store(client, gateway, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("my notes, which are longer than the header of a database " * 10)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE answers (mine)")
    for path, message in [
        (text, "cannot be used"),
        (other, "is not the store of a sweep"),
        (tmp_path, "cannot be used"),
    ]:
        with pytest.raises(UserError, match=message):
            sweep(ROWS, "{{ n }}", APP, client=client, store=path)
    assert text.read_text().startswith("my notes")
    assert not gateway.received


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":memory:", "Invalid store: ':memory:'. A store is a file on disk"),
        (
            "file:answers.db?mode=memory",
            "A store is a file on disk: use a name such as 'answers.db'",
        ),
        ("", "Invalid store: ''. A store is a file on disk"),
        (b"answers.db", "store must be a file name, not a bytes"),
        (5, "store must be a file name, not a int"),
        ("answers.csv", "A store is a SQLite file, not a .csv file"),
        ("missing/answers.db", "The folder .*missing does not exist: create it first"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_store_that_is_not_a_file_in_a_folder_is_refused(
    client, gateway, tmp_path, monkeypatch, name, message, dry_run
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        sweep(ROWS, "{{ n }}", APP, client=client, store=name, dry_run=dry_run)
    assert not gateway.received and not list(tmp_path.iterdir())


NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int answer(const char *name, int fd, int command, void *argument) {
    if (command == F_SETLK || command == F_SETLKW || command == F_GETLK) {
        errno = ENOLCK;
        return -1;
    }
    return ((int (*)(int, int, void *))dlsym(RTLD_NEXT, name))(fd, command, argument);
}
int fcntl(int fd, int command, ...) {
    va_list list; va_start(list, command);
    return answer("fcntl", fd, command, va_arg(list, void *));
}
int fcntl64(int fd, int command, ...) {
    va_list list; va_start(list, command);
    return answer("fcntl64", fd, command, va_arg(list, void *));
}
"""


def test_a_file_system_without_locks_is_refused_before_the_first_request(gateway, tmp_path):
    (tmp_path / "no_locks.c").write_text(NO_LOCKS)
    library = tmp_path / "no_locks.so"
    try:
        command = ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "no_locks.c", "-ldl"]
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler")
    environ = os.environ | {"LD_PRELOAD": str(library)}
    process = start_sweep(tmp_path / "answers.db", rows=2, max_active=1, env=environ)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        "does not support file locks" in errors
        and "Pass a file on a local disk as store=" in errors
    )
    assert not gateway.received


def test_a_store_that_fails_midway_stops_the_sweep_and_keeps_the_answers(
    client, gateway, store, monkeypatch
):
    from cpsl_notebook.sweeps import answer_store

    def fill_the_disk(text, number):
        if number == 3:
            monkeypatch.setattr(answer_store.Outcome, "to_json", None)  # cannot be called
        return "fine"

    gateway.rule = fill_the_disk
    with pytest.warns(UserWarning, match=r"The store could not be written: .* were not sent"):
        answers = sweep(ROWS, "{{ n }}", APP, client=client, store=store, max_active=1)
    assert answers["status"].tolist()[:3] == ["ok"] * 3
    assert answers["status"].tolist()[4:] == ["stopped"] * 2


SWEEP = """
import json, sys
import cpsl
from cpsl_notebook import sweep
answers = sweep(range({rows}), "{{{{ value }}}}", {app!r}, client=cpsl.Client(),
                store={store!r}, max_active={max_active}, progress=False)
print(json.dumps({{"status": answers.status.tolist(), "session": answers.session_id.tolist()}}))
"""


def start_sweep(store, *, rows, max_active, env=None):
    """Start a sweep in a process of its own."""
    code = textwrap.dedent(SWEEP).format(
        rows=rows, app=APP, store=str(store), max_active=max_active
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def test_unknown_row_stays_unknown_if_it_is_refused_when_sent_again(client, gateway, store):
    options = {"app": APP, "client": client, "store": store}
    gateway.rule = lambda text, number: BROKEN
    assert sweep(ROWS, "{{ n }}", **options)["status"].eq("unknown").all()
    gateway.rule = lambda text, number: REFUSED
    sweep(ROWS, "{{ n }}", resend_unknown=True, **options)
    gateway.rule = lambda text, number: "fine"
    again = sweep(ROWS, "{{ n }}", **options)
    assert again["status"].eq("unknown").all()
    assert gateway.received == dict.fromkeys("012345", 2)


def states(store):
    """Return how many rows of a store are in each state."""
    with sqlite3.connect(store) as database:
        return dict(database.execute("SELECT state, count(*) FROM answers GROUP BY state"))


def test_unparsed_answer_is_kept_if_its_row_is_refused_when_sent_again(client, gateway, store):
    options = {"app": APP, "client": client, "store": store, "json": True}
    gateway.rule = lambda text, number: "no JSON"
    sweep(ROWS, "{{ n }}", **options)
    gateway.rule = lambda text, number: REFUSED
    refused = sweep(ROWS, "{{ n }}", resend_unparsed=True, **options)
    assert refused["status"].eq("error").all()
    again = sweep(ROWS, "{{ n }}", **options)
    assert again["status"].eq("unparsed").all() and again["reply"].eq("no JSON").all()
    assert again["attempts"].eq(1).all()
    assert gateway.received == dict.fromkeys("012345", 2)


def interrupted(gateway, requests, *arguments, **options):
    """Run a sweep that is interrupted after a number of requests, with some rows ready to be sent."""
    gateway.delay = 0.2
    goal = gateway.received.total() + requests
    thread = threading.Thread(
        target=lambda: [
            gateway.wait_for(lambda: gateway.received.total() >= goal),
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT),
        ]
    )
    thread.start()
    with pytest.warns(UserWarning, match="Stopped by an interrupt"):
        answers = sweep(*arguments, **options, max_active=8)
    thread.join()
    gateway.delay = 0
    return answers


def test_interrupt_gives_back_rows_that_were_not_sent(client, gateway, store):
    options = {"app": APP, "client": client, "store": store}
    answers = interrupted(gateway, 8, range(100), "{{ value }}", **options)
    assert states(store) == {"answered": len(gateway.received)}
    assert (answers["status"] == "ok").sum() == len(gateway.received) < 40


@pytest.mark.parametrize("kind", ["unknown", "unparsed"])
def test_interrupt_restores_what_was_known_of_rows_to_be_sent_again(client, gateway, store, kind):
    options = {"app": APP, "client": client, "store": store, "json": True}
    gateway.rule = lambda text, number: BROKEN if kind == "unknown" else "no JSON"
    first = sweep(range(100), "{{ value }}", **options)
    assert first["status"].eq(kind).all()
    gateway.rule = lambda text, number: "1"
    answers = interrupted(
        gateway, 8, range(100), "{{ value }}", **options, **{f"resend_{kind}": True}
    )
    sent = gateway.received.total() - 100
    assert (answers["status"] == "ok").sum() == sent < 40
    answered = {"answered": sent, "unknown": 100 - sent} if kind == "unknown" else {"answered": 100}
    assert states(store) == answered
    again = sweep(range(100), "{{ value }}", **options)
    assert again["status"].value_counts().to_dict() == {
        **dict.fromkeys(["error", "stopped", "unknown", "unparsed"], 0),
        "ok": sent,
        kind: 100 - sent,
    }
    assert gateway.received.total() == 100 + sent


def test_later_turns_of_a_limited_session_are_given_back(client, gateway, store):
    frame = pd.DataFrame({"who": "x", "text": ["one", "two", "three"]})
    options = {"app": APP, "client": client, "store": store, "session": "who"}
    gateway.rule, gateway.retry_after = (lambda text, number: LIMITED), "7200"
    with pytest.warns(UserWarning, match="requested a pause of 2 h 0 min"):
        sweep(frame, "{{ text }}", **options)
    assert states(store) == {"rate-limited": 1}
    gateway.rule = lambda text, number: "fine"
    answers = sweep(frame, "{{ text }}", **options)
    assert answers["status"].tolist() == ["ok"] * 3
    assert [text for _, text in gateway.sessions[1:]] == ["one", "two", "three"]
