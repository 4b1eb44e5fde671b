"""A long sweep that is killed again and again: the gateway's log shows what was sent how often."""

import json
import random
import subprocess
import sys
import time

from fast_gateway import APP, BROKEN, LIMITED, FastGateway

ROWS = 10_000
KILLS = 10
LIMITED_SHARE, BROKEN_SHARE = 0.05, 0.01
SWEEP = """
import json, sys
import cpsl
from cpsl_notebook import sweep
rows, app, store, resend = json.loads(sys.argv[1])
answers = sweep(range(rows), "{{ value }}", app, client=cpsl.Client(), store=store, max_active=16,
                resend_unknown=resend, progress=False)
print(json.dumps({"status": answers.status.tolist(), "attempts": answers.attempts.tolist()}))
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

    with FastGateway(rule) as gateway:
        for name, value in gateway.environ.items():
            monkeypatch.setenv(name, value)
        for kill in range(KILLS):
            process = start(tmp_path, resend=False)
            goal = (kill + 1) * ROWS // (KILLS + 2)
            gateway.wait_for(lambda: len(gateway.received) >= goal)  # noqa: B023
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
            process.wait()
        answers = finish(start(tmp_path, resend=False))
        assert set(gateway.received.values()) == {1}
        unknown = {row for row, status in enumerate(answers["status"]) if status == "unknown"}
        assert {row for row, status in enumerate(answers["status"]) if status != "ok"} == unknown
        # Each kill leaves at most those in flight, and the few that are ready to go.
        assert len(unknown - set(map(int, broken_row))) <= KILLS * (16 + 4)
        # Whatever is "ok" was received once and answered; nothing was lost.
        assert all(gateway.answered[str(row)] == 1 for row in range(ROWS) if row not in unknown)
        assert len(gateway.limited) == len(limited_row) > ROWS * LIMITED_SHARE / 2

        answers = finish(start(tmp_path, resend=True))
        twice = {int(row) for row, times in gateway.received.items() if times > 1}
        assert twice <= unknown
        assert max(gateway.received.values()) == 2
        assert len(gateway.received) == ROWS
        assert answers["status"].count("ok") + answers["status"].count("unknown") == ROWS


def start(folder, *, resend):
    arguments = json.dumps([ROWS, APP, str(folder / "answers.db"), resend])
    return subprocess.Popen(
        [sys.executable, "-c", SWEEP, arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return json.loads(out)
