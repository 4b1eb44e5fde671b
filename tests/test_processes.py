"""Whether a process that was noted down still runs."""

import os
import subprocess
import sys

import psutil
import pytest

from cpsl_notebook.processes import is_running, this_start_time

STARTED = (
    "from cpsl_notebook.processes import this_start_time; print(this_start_time(), flush=True)"
)


@pytest.fixture
def other():
    """A running process, and when it started according to itself."""
    command = [sys.executable, "-c", f"{STARTED}; input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process, int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize(("drift", "running"), [(0, True), (2, True), (-2, True), (3_600, False)])
def test_process_is_known_by_its_start_time_although_clocks_drift(other, drift, running):
    process, started = other
    assert is_running(process.pid, started + drift) is running


def test_ended_process_is_not_running_although_nobody_has_waited_for_it(other):
    process, started = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert not is_running(process.pid, started)


def test_earlier_process_with_the_id_of_this_one_is_not_running():
    started = this_start_time()
    assert is_running(os.getpid(), started)
    assert not is_running(os.getpid(), started - 5)


def test_fork_has_its_own_start_time():
    started = this_start_time()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, str(is_running(os.getpid(), started)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "False"
