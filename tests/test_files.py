"""Paths of the user's files, and atomic writes."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cpsl_notebook import files
from cpsl_notebook.files import create_private, replacing, write_private
from cpsl_notebook.paths import capsule_home


@pytest.fixture(params=["hard links", "no hard links", "no os.link"])
def links(request, monkeypatch):
    """Run a test on a file system with hard links, and on one without."""

    def unsupported(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", unsupported)
    if request.param == "no os.link":
        monkeypatch.delattr(os, "link")
    return request.param


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_capsule_home_is_a_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for value, expected in {
        "": tmp_path / ".capsule",
        "~/mine": tmp_path / "mine",
        "/srv/capsule": Path("/srv/capsule"),
    }.items():
        monkeypatch.setenv("CAPSULE_HOME", value)
        assert capsule_home() == expected
    monkeypatch.delenv("CAPSULE_HOME")
    assert capsule_home() == tmp_path / ".capsule"


def test_replacing_moves_scratch_file_to_path(tmp_path):
    path = tmp_path / "report.xlsx"
    path.write_text("old")
    with replacing(path) as scratch:
        scratch.write_text("new")
        assert path.read_text() == "old"
        assert scratch.parent == tmp_path and scratch.suffix == ".xlsx"
    assert path.read_text() == "new" and names(tmp_path) == ["report.xlsx"]


def test_replacing_removes_scratch_file_on_failure(tmp_path):
    path = tmp_path / "report.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as scratch:
        scratch.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["report.txt"]


def test_replacing_waits_until_other_programs_have_closed_the_file_on_windows(
    tmp_path, monkeypatch
):
    path = tmp_path / "report.txt"
    path.write_text("old")
    attempts = []

    def replace(scratch, target):
        attempts.append(target)
        if len(attempts) < 3:
            raise PermissionError(errno.EACCES, "The file is open")
        scratch.rename(target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError):  # elsewhere, waiting is useless
        write_private(path, "new")
    assert len(attempts) == 1
    monkeypatch.setattr(sys, "platform", "win32")
    write_private(path, "new")
    assert path.read_text() == "new" and names(tmp_path) == ["report.txt"]


def test_replacing_fails_if_a_file_stays_open_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_OPEN_TIMEOUT", 0.05)
    monkeypatch.setattr(sys, "platform", "win32")
    (tmp_path / "folder").mkdir()

    def replace(scratch, target):
        raise PermissionError(errno.EACCES, "The file is open")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError):
        write_private(tmp_path / "folder" / "report.txt", "new")
    assert names(tmp_path / "folder") == []


def test_replacing_writes_target_of_symbolic_link(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_private(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_replacing_without_overwrite_creates_file(links, tmp_path):
    with replacing(tmp_path / "new.txt", overwrite=False) as scratch:
        scratch.write_text("new")
    assert (tmp_path / "new.txt").read_text() == "new" and names(tmp_path) == ["new.txt"]


def test_replacing_without_overwrite_refuses_existing_file_at_once(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(FileExistsError, match="exists"), replacing(path, overwrite=False):
        pytest.fail("the block must not run")
    assert path.read_text() == "old" and names(tmp_path) == ["kept.txt"]


def test_replacing_without_overwrite_keeps_file_created_meanwhile(links, tmp_path):
    path = tmp_path / "kept.txt"
    with pytest.raises(FileExistsError), replacing(path, overwrite=False) as scratch:
        scratch.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs" and names(tmp_path) == ["kept.txt"]


def test_replacing_leaves_no_file_if_block_wrote_none(links, tmp_path):
    for overwrite in (True, False):
        with (
            pytest.raises(FileNotFoundError),
            replacing(tmp_path / "none.txt", overwrite=overwrite),
        ):
            pass
    assert names(tmp_path) == []


def test_private_files_are_readable_by_owner_only(links, tmp_path):
    write_private(tmp_path / "written", "secret")
    assert create_private(tmp_path / "created", "ключ") == "ключ"
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["created", "written"]


def test_write_private_restricts_existing_file(tmp_path):
    path = tmp_path / "config.ini"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_create_private_keeps_existing_content(tmp_path):
    path = tmp_path / "key"
    assert create_private(path, "first") == create_private(path, "second") == "first"


def test_create_private_replaces_empty_file(links, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CLAIM_TIMEOUT", 0.05)
    path = tmp_path / "key"
    path.touch()
    assert create_private(path, "new") == path.read_text() == "new"


def test_create_private_waits_for_another_process_that_claimed_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CLAIM_TIMEOUT", 60)
    path = tmp_path / "key"
    path.touch()
    reading = threading.Event()
    sleep = files.time.sleep

    def notify(seconds):
        reading.set()
        sleep(seconds)

    monkeypatch.setattr(files.time, "sleep", notify)
    found = []
    thread = threading.Thread(target=lambda: found.append(create_private(path, "mine")))
    thread.start()
    assert reading.wait(30)
    write_private(path, "theirs")
    thread.join(30)
    assert found == ["theirs"]


CREATE = """
import os, sys
from pathlib import Path
from cpsl_notebook.files import create_private

def unsupported(*arguments):
    raise OSError(1, "Operation not permitted")

if sys.argv[2] == "no hard links":
    os.link = unsupported
print("ready", flush=True)
sys.stdin.readline()
print(create_private(Path(sys.argv[1]), str(os.getpid())))
"""


def test_processes_that_create_at_once_read_the_same_content(links, tmp_path):
    command = [sys.executable, "-c", CREATE, str(tmp_path / "key"), links]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    read = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert read == {(tmp_path / "key").read_text()}
    assert names(tmp_path) == ["key"]
