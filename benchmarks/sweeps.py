"""Sweeps against what they are made of: a bare thread pool, and Dask's own tasks; ``make bench``."""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from dask.distributed import Client, LocalCluster
from fast_gateway import APP, TOKEN, FastGateway

import cpsl
from cpsl_notebook import sweep

ROUNDS = 5
ROWS, ACTIVE, DELAY = 1_024, 32, 0.1
DASK_ROWS, DASK_ACTIVE = 600, 16
SIZES = (4_000, 20_000)  # rows, for memory
PROMPT = "Classify this thread in one word: {{ value }}"

MEASURED = """
import sys
import cpsl
from cpsl_notebook import sweep

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) * 1024

rows, app = int(sys.argv[1]), sys.argv[2]
client = cpsl.Client()
sweep(range(2_000), "{{ value }}", app, client=client, progress=False)  # imports, and threads
before = memory("VmRSS")
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")  # the peak is that from now on
answers = sweep(range(rows), "row {{ value }}", app, client=client, progress=False)
print(memory("VmHWM") - before - answers.memory_usage(deep=True).sum())
"""


def main() -> None:
    """Measure each in turns, and print the medians beside the aims."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with FastGateway() as gateway, tempfile.TemporaryDirectory() as folder:
        os.environ.update(gateway.environ)
        client = cpsl.Client(token=TOKEN, gateway_url=gateway.url)
        sweep(range(ACTIVE), PROMPT, APP, client=client, progress=False)  # imports
        threads(gateway, client, Path(folder))
        many_in_flight(gateway, client)
        memory(gateway)
        dask(gateway, client)


def threads(gateway: FastGateway, client: cpsl.Client, folder: Path) -> None:
    """Compare the time and CPU of a sweep with a store with a bare pool around the client."""
    gateway.delay = DELAY
    bare, swept = [], []
    for number in range(ROUNDS):
        bare.append(timed(lambda: run_bare(client)))
        store = folder / f"{number}.db"
        swept.append(
            timed(
                lambda: sweep(
                    range(ROWS),
                    PROMPT,
                    APP,
                    client=client,
                    max_active=ACTIVE,
                    store=store,  # noqa: B023 - called at once
                    progress=False,
                )
            )
        )
    (bare_times, bare_cpu), (times, cpu) = (zip(*figures, strict=True) for figures in (bare, swept))
    rate = statistics.median(bare_times) / statistics.median(times)
    show(f"rate of a bare pool, {ROWS:,} rows, {ACTIVE} in flight", rate, "≥ 0.97")
    # Other work on the machine only adds CPU time, so the lowest of each is compared.
    more = min(cpu) - min(bare_cpu)
    show("CPU of the bare pool, ms a row", min(bare_cpu) / ROWS * 1e3, "")
    show("CPU beyond the bare pool, ms a row", more / ROWS * 1e3, "≤ 0.3")


def run_bare(client: cpsl.Client) -> None:
    """Send the same prompts with nothing but a pool."""

    def ask(number: int) -> str:
        with client.stream(APP, f"Classify this thread in one word: {number}") as stream:
            for _ in stream:
                pass
        return stream.text

    with ThreadPoolExecutor(ACTIVE) as pool:
        list(pool.map(ask, range(ROWS)))


def many_in_flight(gateway: FastGateway, client: cpsl.Client) -> None:
    """Run a sweep with very many rows in flight."""
    gateway.delay = 1.0
    gateway.most_active = 0
    answers = sweep(range(1_024), PROMPT, APP, client=client, max_active=512, progress=False)
    assert (answers["status"] == "ok").all()
    show("most requests in progress, 512 in flight", gateway.most_active, "512")
    gateway.delay = 0.0


def memory(gateway: FastGateway) -> None:
    """Compare the peak of a process's memory, beside the result, of short and long sweeps."""
    gateway.keeps_log = False
    beside = []
    for rows in SIZES:
        command = [sys.executable, "-c", MEASURED, str(rows), APP]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        beside.append(int(ran.stdout))
        show(f"memory beside the result, {rows:,} rows, MB", beside[-1] / 1e6, "")
    gateway.keeps_log = True
    grown = (beside[-1] - beside[0]) / (SIZES[-1] - SIZES[0])
    show("memory beside the result, bytes a further row", grown, "≤ 50")


def dask(gateway: FastGateway, client: cpsl.Client) -> None:
    """Compare a sweep on a cluster of two processes with tasks that do nothing."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=4,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as connected,
    ):
        executor = connected.get_executor(pure=False)

        def run() -> None:
            sweep(
                range(DASK_ROWS),
                PROMPT,
                APP,
                client=client,
                executor=executor,
                max_active=DASK_ACTIVE,
                progress=False,
            )

        def ask(number: int) -> None:
            for _ in client.stream(APP, f"row {number}"):
                pass

        run()
        nothing = [timed(lambda: run_nothing(executor))[0] for _ in range(ROUNDS)]
        swept = [timed(run)[0] for _ in range(ROUNDS)]
        asked = [timed(lambda: list(map(ask, range(200))))[0] / 200 for _ in range(ROUNDS)]
        no_op, row, request = (
            statistics.median(nothing) / DASK_ROWS,
            statistics.median(swept) / DASK_ROWS,
            statistics.median(asked),
        )
        show("Dask: a task that does nothing, ms", no_op * 1e3, "")
        show("Dask: a request alone, ms", request * 1e3, "")
        show("Dask: a row without its request, against nothing", (row - request) / no_op, "≤ 2")


def run_nothing(executor: Executor) -> None:
    """Run tasks that do nothing, with as many in flight."""
    waiting: deque = deque()
    for number in range(DASK_ROWS):
        waiting.append(executor.submit(int, number))
        if len(waiting) >= DASK_ACTIVE:
            waiting.popleft().result()
    for future in waiting:
        future.result()


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of a call."""
    began, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - began, time.process_time() - cpu


def show(title: str, value: float, aim: str) -> None:
    """Print a row."""
    print(f"{title:60}{value:10.2f}{aim:>10}", flush=True)


if __name__ == "__main__":
    main()
