"""Notebooks with many stored conversations, and kernels with many conversations and replies."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys

import psutil
import pytest
from conversations import another_kernel, last, registry, save
from shells import new_shell, tab

from cpsl_notebook import Reply, compat
from cpsl_notebook.conversation import kernels
from cpsl_notebook.conversation.context import NotebookContext, current_context
from cpsl_notebook.conversation.registry import MAX_STORED, ConversationRecord
from cpsl_notebook.conversation.store import Store

MANY = 100_000
ENDED = f"999999@{socket.gethostname()} 1700000000"
COLUMNS = "session_id, notebook, workspace, app, name, started_at, last_at, turns, kernel"


def fill(path, workspace, *, kernel=ENDED, notebook="/books/one.ipynb", count=MANY):
    """Store conversations of one notebook, as many earlier kernels would have done."""
    save(registry(path, "/books/other.ipynb"), ConversationRecord("diet-coach"), "elsewhere")
    times = (
        f"20{n // 28 // 12 % 15 + 10}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}T00:00:00+00:00"
        for n in range(count)
    )
    rows = (
        (f"{n:08}", notebook, workspace, "diet-coach", "", time, time, 1, kernel)
        for n, time in enumerate(times)
    )
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            f"INSERT INTO conversations ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )


def stored(path, notebook="/books/one.ipynb"):
    """Return the number of stored conversations of a notebook."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        query = "SELECT count(*) FROM conversations WHERE notebook = ?"
        return database.execute(query, [notebook]).fetchone()[0]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "capsule").mkdir()
    return tmp_path / "capsule" / "conversations.sqlite"


@pytest.fixture
def looked_up(monkeypatch):
    """The process ids whose start time was looked up."""
    found = []
    original = psutil.Process

    def process(pid):
        found.append(pid)
        return original(pid)

    kernels.this_kernel()
    monkeypatch.setattr(psutil, "Process", process)
    return found


def test_cells_of_a_notebook_with_many_conversations_read_few_of_them(
    workspace, path, looked_up, monkeypatch
):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    fill(path, workspace.client().scope)
    read = []
    original = Store.read

    def count(self, *query):
        rows = original(self, *query)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(Store, "read", count)
    with new_shell() as shell:
        shown = shell.run("%load_ext cpsl_notebook\n%config CapsuleMagics.resume = True").text
        assert "`%capsule session` lists all 1,000." in shown
        shell.run("%capsule local")
        assert "Resumed conversation 0" in shell.run("%%capsule\nan apple").text
        if compat.context_matcher is not None:  # IPython 8.6 or newer
            assert len(tab(shell, "%capsule session use 00")) > 100
        assert len(shell.run("%capsule session").value) == MAX_STORED
        # For the line on loading, to find the one to resume, and once more before it is resumed.
        assert looked_up == [999999] * 3
    assert max(read) == MAX_STORED


def test_kernel_that_holds_many_conversations_is_looked_up_once(tmp_path, looked_up):
    path = tmp_path / "conversations.sqlite"
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
        started = psutil.Process(running.pid).create_time()
        looked_up.clear()
        kernel = f"{running.pid}@{socket.gethostname()} {started:.0f}"
        fill(path, "workspace", kernel=kernel, count=MAX_STORED)
        latest = registry(path).earlier("diet-coach")
        assert latest.is_used_elsewhere and looked_up == [running.pid] * 2
        assert latest.session_id == registry(path).all()[0].session_id
        running.communicate(b"\n")


def test_queries_of_a_notebook_use_the_index(path):
    save(registry(path), ConversationRecord("diet-coach"), "first")
    with contextlib.closing(sqlite3.connect(path)) as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM conversations WHERE notebook = ? AND workspace = ? "
            "ORDER BY last_at DESC, rowid DESC LIMIT 1000",
            ["", ""],
        ).fetchall()
    assert [step[3] for step in plan] == [
        "SEARCH conversations USING INDEX by_notebook (notebook=?)"
    ]


def test_latest_conversations_of_a_notebook_are_kept(path):
    fill(path, "workspace", count=MAX_STORED + 50)
    assert stored(path) == MAX_STORED + 50
    known = registry(path)
    before = [each.session_id for each in known.all()]
    save(known, ConversationRecord("diet-coach"), "new")
    assert stored(path) == MAX_STORED and stored(path, "/books/other.ipynb") == 1
    assert [each.session_id for each in registry(path).all()] == ["new", *before[: MAX_STORED - 1]]


def test_runs_without_a_notebook_count_as_one_notebook(path):
    for number in range(3):
        fill(path, "workspace", notebook=f"kernel {number}", count=MAX_STORED // 2)
    save(registry(path, "kernel new"), ConversationRecord("diet-coach"), "new")
    kept = [stored(path, f"kernel {name}") for name in (0, 1, 2, "new")]
    assert sum(kept) == MAX_STORED and kept[-1] == 1 and stored(path, "/books/other.ipynb") == 1


def test_continued_conversation_that_was_removed_is_stored_again(path):
    known = registry(path)
    first = ConversationRecord("diet-coach")
    save(known, first, "first")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM conversations")
    save(known, first, "first")
    assert [(each.session_id, each.turns) for each in registry(path).all()] == [("first", 2)]


def steps(function, *arguments):
    """Return how many lines of Python a call executes."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(None)
    return count


def test_message_costs_the_same_however_many_conversations_a_kernel_has(tmp_path):
    known = registry(tmp_path / "conversations.sqlite")
    context = NotebookContext({})

    def send(number):
        record = known.current("app", f"name {number}") or ConversationRecord(
            "app", f"name {number}"
        )
        known.record_turn(record, f"session {number}")
        assert known.is_current(record)
        reply = Reply("app", "x", cell_id="a", execution_count=number)
        reply.add_event({"text": "ok", "session_id": f"session {number}"})
        assert context.earlier_turn(reply) is None
        context.add_reply(reply)

    first = [steps(send, number) for number in (0, 0)]
    for number in range(1, 3_000):
        send(number)
    assert [steps(send, number) for number in (3_000, 0)] == first


def test_hint_counts_the_conversations_that_the_list_will_show(workspace, path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    fill(path, "https://api.capsule.new", count=3)
    with another_kernel() as shell:
        shell.run("%%capsule diet-coach\nan apple")
        shell.run("%%capsule diet-coach --new\nan apple")
    with new_shell() as shell:
        assert "lists all 2." in shell.run("%load_ext cpsl_notebook").text
        shell.run("%capsule local")
        assert len(shell.run("%capsule session").value) == 2


def test_stored_conversations_are_listed_and_forgotten_without_credentials(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run("%%capsule support-ops -s other\nHow many?")
    shell.run("%%capsule support-ops -s third\nHow many?")
    with new_shell() as later:
        later.run("%load_ext cpsl_notebook")
        table = later.run("%capsule session").value
        assert table["name"].tolist() == ["third", "other", ""] and not table["current"].any()
        assert table["workspace"].str.startswith("local:").all()
        assert len(later.run("%capsule session list --all").value) == 3
        assert later.run("%capsule status").value.loc["conversations", "value"] == "3"
        assert later.run(f"%capsule session forget other {first[:8]}").text == (
            "Forgot 2 conversations.\n"
        )
        assert not current_context().is_connected
        assert later.run("%capsule session").value["name"].tolist() == ["third"]
        assert later.run("%capsule session forget --all").text == "Forgot 1 conversation.\n"
        assert len(later.run("%capsule session").value) == 0


def test_name_stands_for_all_conversations_with_it(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    for new in ("", "--new"):
        shell.run(f"%%capsule diet-coach -s other {new}\nan apple")
    if compat.context_matcher is not None:  # IPython 8.6 or newer
        assert tab(shell, "%capsule session forget oth") == {"other"}
    assert shell.run("%capsule session forget other").text == "Forgot 2 conversations.\n"
    assert [each.session_id for each in current_context().conversations.all()] == [first]
    assert shell.error("%capsule session forget other") == (
        "No conversation of this notebook has the name 'other' or an id that begins with it. List them "
        "with `%capsule session`."
    )


def test_list_needs_no_valid_configuration(shell, tmp_path, monkeypatch):
    shell.run("%%capsule diet-coach\nan apple")
    (tmp_path / "config.ini").write_text("not an INI file")
    monkeypatch.setenv("CONFIG_PATH", os.fspath(tmp_path / "config.ini"))
    with new_shell() as later:
        later.run("%load_ext cpsl_notebook")
        assert later.run("%capsule session").value["app"].tolist() == ["diet-coach"]
