"""A long sweep that is killed again and again: the gateway's log shows what was sent how often."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

from fast_gateway import APP, BROKEN, LIMITED, FastGateway

ROWS = 10_000
KILLS = 10
LIMITED_SHARE, BROKEN_SHARE = 0.05, 0.01
# Forks a process for each line, so that twelve sweeps import everything once.
SWEEPS = """
import json, os, sys
import cpsl
from cpsl_notebook import sweep

def run(rows, app, store, resend, file):
    answers = sweep(range(rows), "{{ value }}", app, client=cpsl.Client(), store=store, max_active=16,
                    resend_unknown=resend, progress=False)
    with open(file, "w") as result:
        columns = {"status": answers.status.tolist(), "attempts": answers.attempts.tolist()}
        json.dump(columns, result)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(*json.loads(line))
            status = 0
        finally:
            os._exit(status)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_ten_thousand_rows_survive_kills_and_each_is_sent_once(tmp_path, monkeypatch):
    chance = random.Random(22)
    limited_row, broken_row = set(), set()

    def rule(text, number):
        """Limit some rows once, and break some streams once."""
        if text not in limited_row and chance.random() < LIMITED_SHARE:
            limited_row.add(text)
            return LIMITED
        if text not in broken_row and chance.random() < BROKEN_SHARE:
            broken_row.add(text)
            return BROKEN
        return f"You said {text}"

    with FastGateway(rule) as gateway, contextlib.ExitStack() as cleanup:
        for name, value in gateway.environ.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-c", SWEEPS]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        sweeps = cleanup.enter_context(subprocess.Popen(command, **pipes))
        file = tmp_path / "answers.json"

        def start(*, resend):
            arguments = [ROWS, APP, str(tmp_path / "answers.db"), resend, str(file)]
            print(json.dumps(arguments), file=sweeps.stdin, flush=True)
            return int(sweeps.stdout.readline())

        def finish():
            assert int(sweeps.stdout.readline()) == 0
            return json.loads(file.read_text())

        for kill in range(KILLS):
            process = start(resend=False)
            goal = (kill + 1) * ROWS // (KILLS + 2)
            gateway.wait_for(lambda: len(gateway.received) >= goal)  # noqa: B023
            time.sleep(chance.uniform(0, 0.05))
            os.kill(process, signal.SIGKILL)
            assert int(sweeps.stdout.readline()) == signal.SIGKILL
        start(resend=False)
        answers = finish()
        assert set(gateway.received.values()) == {1}
        unknown = {row for row, status in enumerate(answers["status"]) if status == "unknown"}
        assert {row for row, status in enumerate(answers["status"]) if status != "ok"} == unknown
        # Each kill leaves at most those in flight, and the few that are ready to go.
        assert len(unknown - set(map(int, broken_row))) <= KILLS * (16 + 4)
        # Whatever is "ok" was received once and answered; nothing was lost.
        assert all(gateway.answered[str(row)] == 1 for row in range(ROWS) if row not in unknown)
        assert len(gateway.limited) == len(limited_row) > ROWS * LIMITED_SHARE / 2

        start(resend=True)
        answers = finish()
        twice = {int(row) for row, times in gateway.received.items() if times > 1}
        assert twice <= unknown
        assert max(gateway.received.values()) == 2
        assert len(gateway.received) == ROWS
        assert answers["status"].count("ok") + answers["status"].count("unknown") == ROWS
