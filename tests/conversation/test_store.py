"""The file of conversations, which many kernels share."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from conversations import another_kernel, last, registry, save
from shells import new_shell

from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.conversation.registry import ConversationRecord

WRITER = """
import sys
from pathlib import Path
from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry
from cpsl_notebook.conversation.store import Store
path, name, count = sys.argv[1:]
known = ConversationRegistry(Store(Path(path)), name, "workspace")
for number in range(int(count)):
    record = known.current("app") or ConversationRecord("app")
    known.record_turn(record, f"{name}-session")
    known.save(record)
    print(number, flush=True)
"""


def writer(path, name, count, **options):
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def turns(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(database.execute("SELECT notebook, turns FROM conversations"))


def test_concurrent_and_killed_writers_lose_nothing(tmp_path):
    path = tmp_path / "store" / "conversations.sqlite"
    to_end = {f"n{n}": writer(path, f"n{n}", 4) for n in range(40)}
    to_kill = {f"k{n}": writer(path, f"k{n}", 200) for n in range(10)}
    written = {}
    for name, process in to_kill.items():
        written[name] = int(process.stdout.readline()) + 1
        process.send_signal(signal.SIGKILL)
    for process in [*to_end.values(), *to_kill.values()]:
        process.communicate()
    assert {process.returncode for process in to_end.values()} == {0}
    kept = turns(path)
    assert {name: kept[name] for name in to_end} == dict.fromkeys(to_end, 4)
    assert all(kept[name] >= written[name] for name in to_kill)


def test_full_disk_is_a_warning_and_keeps_earlier_rows(tmp_path):
    path = tmp_path / "conversations.sqlite"
    save(registry(path), ConversationRecord("app"), "kept")
    full = path.stat().st_size

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))

    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "x" * 10_000, "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    shown, warned = process.communicate()
    assert (process.returncode, shown) == (0, "0\n1\n2\n")
    assert warned.count("Conversations are not saved for later kernels") == 1
    assert turns(path) == {"/books/one.ipynb": 1}


def test_read_only_file_is_read(tmp_path):
    # Outside pytest's folder, which a process that is not root cannot enter.
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "conversations.sqlite"
        save(registry(path), ConversationRecord("app"), "kept")
        before = path.read_bytes()
        folder.chmod(0o555)
        path.chmod(0o444)
        code = (
            "import os, psutil, sys, warnings; from pathlib import Path\n"
            "from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry\n"
            "from cpsl_notebook.conversation.store import Store\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "known = ConversationRegistry(Store(Path(sys.argv[1])), '/books/one.ipynb', 'workspace')\n"
            "print(known.earlier('app').session_id)\n"
            "print(known.resume_if_free(known.earlier('app')))\n"
            "new = ConversationRecord('app')\n"
            "known.record_turn(new, 'new')\n"
            "known.save(new)\n"
            "print(known.current('app').session_id)"
        )
        command = [sys.executable, "-c", code, str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ran.stdout.split() == ["kept", "False", "new"]
        assert ran.stderr.count("Conversations are not saved for later kernels") == 1
        assert path.read_bytes() == before
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def not_a_database(path):
    path.write_bytes(b"this is not a database" * 100)


def corrupted(path):
    save(registry(path), ConversationRecord("app"), "kept")
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def locked(path):
    save(registry(path), ConversationRecord("app"), "kept")
    database = sqlite3.connect(path)
    database.execute("BEGIN EXCLUSIVE")
    return database


def other_tables(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE conversations (session_id TEXT, app TEXT)")


def a_view(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE VIEW conversations AS SELECT 1 AS session_id")


@pytest.mark.parametrize("break_file", [not_a_database, corrupted, locked, other_tables, a_view])
def test_unusable_file_is_a_warning_and_cells_work(shell, tmp_path, monkeypatch, break_file):
    monkeypatch.setattr("cpsl_notebook.conversation.store._LOCK_TIMEOUT", 0.1)
    path = tmp_path / "capsule" / "conversations.sqlite"
    path.parent.mkdir(exist_ok=True)
    lock = break_file(path)
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="not saved for later kernels"):
        shell.shell.run_cell("%%capsule diet-coach\nan apple")
        shell.shell.run_cell("%%capsule diet-coach\nan apple")
    assert (last(shell).status, last(shell).turn) == ("complete", 2)
    assert path.read_bytes() == before
    if lock is not None:
        lock.close()
        assert turns(path) == {"/books/one.ipynb": 1}


DAMAGE = {
    "no such process": ("kernel", "123"),
    "text for a process": ("kernel", f"x@{socket.gethostname()} y"),
    "huge process": ("kernel", f"{'9' * 50}@{socket.gethostname()} {'9' * 500}"),
    "text for a number": ("turns", "many"),
    "huge number": ("turns", 2**63 - 1),
    "escape sequence": ("app", "\x1b[31mred"),
    "bytes": ("app", b"\xff\xfe"),
    "no time": ("last_at", "yesterday"),
    "other time": ("started_at", "2026-11-27"),
    "no bytes of UTF-8": ("name", None),
}


@pytest.mark.parametrize(("column", "value"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_row_fails_no_cell(shell, tmp_path, column, value):
    path = tmp_path / "capsule" / "conversations.sqlite"
    shell.run("%%capsule diet-coach\nan apple")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        changed = "CAST(x'fffe' AS TEXT)" if value is None else "?"
        values = [] if value is None else [value]
        database.execute(f"UPDATE conversations SET {column} = {changed}", values)
    with another_kernel() as later:
        later.run("%capsule session list --all")
        later.run("%capsule session")
        later.run("%%capsule diet-coach\nan apple")
        assert last(later).status == "complete"
    with new_shell() as later:
        assert "\x1b" not in later.run("%load_ext cpsl_notebook").text


def test_path_that_is_not_utf8_is_kept_like_any_other(shell, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", os.fsdecode(b"/books/caf\xe9.ipynb"))
    shell.run("%%capsule diet-coach\nan apple")
    session_id = last(shell).session_id
    with another_kernel() as later:
        (found,) = current_context().conversations.all()
        assert found.session_id == session_id
        later.run("%capsule session list --all")
        later.run("%%capsule diet-coach\nan apple")


def test_folder_that_is_not_utf8_is_used(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 100%?") / "conversations.sqlite"
    save(registry(path), ConversationRecord("app"), "kept")
    assert registry(path).earlier("app").session_id == "kept"


@pytest.mark.parametrize("replied", [False, True])
def test_waiting_for_a_locked_file_can_be_interrupted(shell, tmp_path, monkeypatch, replied):
    """Before the prompt is sent, and after its reply is complete."""
    path = tmp_path / "capsule" / "conversations.sqlite"
    path.parent.mkdir(exist_ok=True)
    if replied:
        shell.run("%%capsule diet-coach\nan apple")
    else:
        shell.run("%config CapsuleMagics.resume = True")
    with contextlib.closing(locked(path)):
        waiting = threading.Event()
        monkeypatch.setattr("cpsl_notebook.conversation.store._LOCK_TIMEOUT", 60)
        monkeypatch.setattr("random.uniform", lambda *_: waiting.set() or 0.01)

        def interrupt():
            waiting.wait()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        line = shell.error("%%capsule diet-coach -o kept\nan apple")
        thread.join()
    if replied:
        assert line == (
            "Stopped: the reply is complete, but its conversation is not saved for later kernels."
        )
        assert shell.variables["kept"].status == "complete"
    else:
        assert line == "Stopped: the command was interrupted."
        assert "kept" not in shell.variables


def test_path_is_fixed_when_the_kernel_changes_its_directory(shell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPSULE_HOME", "here")
    current_context().connect(current_context().client)
    current_context()._conversations.clear()
    shell.run("%%capsule diet-coach\nan apple")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shell.run("%%capsule diet-coach\nan apple")
    assert shell.run("%capsule session").value["turns"].tolist() == [2]
    assert [path.parent.parent for path in tmp_path.rglob("conversations.sqlite")] == [tmp_path]


def test_file_is_private(tmp_path):
    path = tmp_path / "home" / "conversations.sqlite"
    save(registry(path), ConversationRecord("app"), "kept")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
