"""Measure how time, traffic and memory grow with use, and fit an exponent.

An exponent of 1 means a cost proportional to the size, 0 a constant cost, 2 its square. Each case has
three sizes and an aim. Part of ``make bench``; exits with an error if an aim is missed.
``python benchmarks/growth.py [ITEM ...]`` runs some items, such as ``2 13``; ``--list`` names them.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbclient
import nbformat
import numpy as np
import pandas as pd
from earnings import fresh
from frames import payment
from jupyter_client.manager import KernelManager
from rendering import exponent

import cpsl
from cpsl_notebook import Client, Reply, local
from cpsl_notebook.frames import earnings_frame, payments_frame

ROUNDS = 3
READ_AT = "2026-06-01T00:00:00Z"
LATENCY = 0.05  # seconds until the slow gateway answers
PACE = 500  # characters per second of a streamed reply
PARAGRAPH = "The queue **billing** has 14 open threads, of which _six_ wait for `review`. " * 3
FENCE = "    total = sum(thread.age for thread in threads if thread.open)  # days\n"
ROW = "| billing | 33 | 0.25 | waiting |\n"
TABLE_HEAD = "| queue | open | share | state |\n|---|---|---|---|\n"


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes
    ----------
    item : int
        The number of the item that the case belongs to.
    title : str
        What the cost is.
    sizes : tuple of int or str
        Three sizes, from small to large. Texts name variants, which have no exponent.
    measure : callable
        Returns the cost at a size.
    most : float, optional
        The largest cost that is allowed at each size, in relation to the size if *relative*.
    exponent : float, optional
        The largest exponent that is allowed.
    relative : bool
        Whether the aim and the printed costs are divided by the size.
    """

    item: int
    title: str
    sizes: tuple[Any, ...]
    measure: Callable[[Any], float]
    most: float | None = None
    exponent: float | None = None
    relative: bool = False


# What several cases use.


def best(
    work: Callable[[], Any], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the shortest of several times, in seconds."""
    seconds = []
    for _ in range(rounds):
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def cpu(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the shortest of several CPU times, which other programs hardly change."""
    return best(work, rounds, time.process_time)


@contextlib.contextmanager
def workspace() -> Iterator[local.Workspace]:
    """Start a local workspace with the app ``echo`` and a folder for the files of notebooks."""
    with tempfile.TemporaryDirectory() as folder, local.start(Path(folder, "data")) as started:
        started.app("echo")(lambda session, text: f"You said {text}")
        yield started


def environ(started: local.Workspace, **more: str) -> dict[str, str]:
    """Return the environment of a process that uses a workspace, and has no other settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CAPSULE_")}
    home = started.folder.parent / "home"
    return own | started.environ | {"CAPSULE_HOME": str(home)} | more


def python(code: str, *arguments: Any, env: dict[str, str] | None = None) -> float:
    """Run a program in a new process, and return the number that it prints last."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ran = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return float(ran.stdout.splitlines()[-1])


CELLS = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()

def run(*cells, clock=time.perf_counter):
    began = clock()
    for cell in cells:
        shell.run_cell(cell).raise_error()
    return clock() - began
"""


@contextlib.contextmanager
def slow_gateway(answers: dict[str, Any]) -> Iterator[str]:
    """Answer requests for apps after a latency: by the last part of the path, as JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            time.sleep(LATENCY)
            body = json.dumps(answers.get(self.path.rpartition("/")[2], {"id": "a"})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # with the default of 5, connections wait for a second
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def payments_of(records: list[dict[str, Any]], apps: int = 1) -> pd.DataFrame:
    """Return payments of one or more apps as they are read."""
    parts = [(f"app-{number:05}", records[number::apps]) for number in range(apps)]
    frame = payments_frame(parts)
    frame.attrs |= {"read_at": READ_AT, "window": ""}
    return frame


# 1: the local workspace.


def warm_chats(count: int) -> float:
    """Return the seconds of chats on a connection that is open."""
    with workspace() as started, started.client() as client:
        client.chat("echo", "hello")
        return best(lambda: [client.chat("echo", "hello") for _ in range(count)])


# 2: all apps.


def read_apps(method: str, count: int) -> float:
    """Return the seconds for reading apps, in relation to one request after the other."""
    apps = [f"00000000-0000-4000-8000-{number:012}" for number in range(count)]
    answers = {"payments": [{"id": "p", "amount": 5}], "earnings": {"net_cents": 5}}
    with slow_gateway(answers) as url, cpsl.Client(token="t", gateway_url=url) as core:
        client = Client(core)
        requests = 2 if method == "list_payments" else 1  # payments like these need prices, too
        return best(lambda: getattr(client, method)(*apps), 1) / (count * LATENCY * requests)


def read_payments(apps: int) -> float:
    return read_apps("list_payments", apps)


def read_earnings(apps: int) -> float:
    return read_apps("get_earnings", apps)


# 3: the first cell.


def first_cells(count: int) -> float:
    """Return the time of the first cells of a kernel, in relation to importing pandas."""
    timed = "import time; t = time.time(); import pandas; print(time.time() - t)"
    pandas = min(python(timed) for _ in range(ROUNDS))
    code = f"""{CELLS}
print(run("%load_ext cpsl_notebook", *["%%capsule echo -q\\nhello"] * int(sys.argv[1])))"""
    with workspace() as started:
        return min(python(code, count, env=environ(started)) for _ in range(ROUNDS)) / pandas


def pandas_imports(count: int) -> float:
    """Return whether the first cells of a kernel import pandas, with ``%capsule local``."""
    code = f"""{CELLS}
cells = ["%%capsule diet-coach -q\\ntwo eggs"] * int(sys.argv[1])
run("%load_ext cpsl_notebook", "%capsule local", *cells)
print(int("pandas" in sys.modules))"""
    with workspace() as started:
        plain = {name: text for name, text in environ(started).items() if name != "CAPSULE_TOKEN"}
        return python(code, count, env=plain)


# 4: the command.


def command(arguments: str) -> float:
    """Return the time of the command ``cpsl``, in relation to a program that does nothing."""
    run = functools.partial(subprocess.run, capture_output=True)
    nothing = best(lambda: run([sys.executable, "-c", "pass"]), 7)
    return best(lambda: run([sys.executable, "-m", "cpsl", *arguments.split()]), 7) / nothing


# 5: a growing reply.

COUNTED = """
%load_ext cpsl_notebook
from ipykernel.kernelapp import IPKernelApp
session = IPKernelApp.instance().kernel.session
serialize, sizes = session.serialize, []

def counted(message, *others, **options):
    parts = serialize(message, *others, **options)
    if not message["header"]["msg_type"].endswith("_reply"):  # replies are not sent on IOPub
        sizes.append(sum(map(len, parts)))
    return parts

session.serialize = counted
"""


def traffic(head: str, line: str, size: int) -> float:
    """Return the bytes that a kernel sends on IOPub while it shows a streamed text."""
    text = head + line * (size // len(line))

    def paced(session: Any, prompt: str) -> Iterator[str]:
        began = time.monotonic()
        for place in range(0, len(text), 5):
            time.sleep(max(0.0, began + place / PACE - time.monotonic()))
            yield text[place : place + 5]

    with workspace() as started:
        started.app("paced")(paced)
        # Jupyter Server sets the name, by which the kernel knows that it is in a notebook.
        env = environ(started, JPY_SESSION_NAME=str(started.folder / "a.ipynb"))
        with kernel(env) as run:
            run(COUNTED)
            run("%%capsule paced\ngo")
            return float(run("print(sum(sizes))"))


def fence_traffic(size: int) -> float:
    return traffic("```python\n", FENCE, size)


def table_traffic(size: int) -> float:
    return traffic(TABLE_HEAD, ROW, size)


@contextlib.contextmanager
def kernel(env: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """Start a kernel; yield a function that runs code in it and returns what was printed."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=env, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)

        def run(code: str) -> str:
            printed: list[str] = []

            def take(message: dict[str, Any]) -> None:
                if message["msg_type"] == "stream":
                    printed.append(message["content"]["text"])
                if message["msg_type"] == "error":
                    raise RuntimeError("\n".join(message["content"]["traceback"]))

            client.execute_interactive(code, timeout=120, output_hook=take, allow_stdin=False)
            return "".join(printed)

        # A front end in which nobody can answer shows no widgets.
        client.session.metadata["cellId"] = "a"  # without it, the front end is a console
        execute = client.execute_interactive
        client.execute_interactive = lambda code, **options: execute(
            code, **options | {"allow_stdin": True, "stdin_hook": lambda message: None}
        )
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


# 6: saved notebooks.


def saved_reply(size: int) -> float:
    """Return the size of a reply with paragraphs, a list and code in a notebook file."""
    parts = [PARAGRAPH + "\n\n", "- one **item**\n- another\n\n", f"```python\n{FENCE}```\n\n"]
    text = "".join(parts[number % 3] for number in range(100))[:size]
    return saved(text)


def saved_table(rows: int) -> float:
    """Return the size of a short table in a notebook file."""
    return saved(TABLE_HEAD + ROW * rows)


def saved(text: str) -> float:
    """Return the bytes of a reply in a notebook file, in relation to its text."""
    with workspace() as started:
        started.app("fixed")(lambda session, prompt: text)
        cells = ["%load_ext cpsl_notebook", "%%capsule fixed\ngo"]
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        nbclient.NotebookClient(notebook, timeout=60).execute(
            env=environ(started), stderr=subprocess.DEVNULL
        )
        return len(json.dumps(notebook.cells[1].outputs, indent=1)) / len(text)


# 7 to 11: earnings.


def monthly_sales(count: int, months: int = 12, payers: int = 0) -> list[dict[str, Any]]:
    """Return payments, each of a subscription that lasts some months."""
    records = []
    for number in range(count):
        chain, month = divmod(number, months)
        paid_at = datetime(2025, month % 12 + 1, chain % 28 + 1, tzinfo=UTC)
        paid_at += timedelta(seconds=chain % 86_400)
        records.append(
            payment(number)
            | {
                "paid_at": paid_at.isoformat().replace("+00:00", "Z"),
                "kind": "monthly",
                "payer": f"payer {chain % payers}" if payers else f"payer {chain}",
                "subscription_id": f"sub_{chain}",
                "gross_cents": 1_500,
                "fee_cents": 150,
                "net_cents": 1_350,
            }
        )
    return records


PAGE = (15.0, 15.0 * math.sqrt(2))  # inches
PLOTS = ("metrics", "mrr", "churn", "cohorts", "payers", "payouts")  # with panels for each app


@functools.cache
def plotted(apps: int) -> tuple[float, float]:
    """Return the height of the highest plot of many apps, in pages, and the CPU seconds of all.

    A page has the largest width of a plot, and the shape of A4.
    """
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plots = payments_of(monthly_sales(12 * apps), apps).capsule.plot
    heights = []
    began = time.process_time()
    for name in PLOTS:
        figure = np.atleast_1d(getattr(plots, name)()).flat[0].figure
        figure.canvas.draw()
        width, height = figure.get_size_inches()
        heights.append(max(height / PAGE[1], width / PAGE[0]))
        plt.close(figure)
    return max(heights), time.process_time() - began


def plot_height(apps: int) -> float:
    return plotted(apps)[0]


def plot_seconds(apps: int) -> float:
    return plotted(apps)[1]


def mrr(subscriptions: int) -> float:
    """Return the seconds of the recurring revenue of one payer with many subscriptions."""
    frame = payments_of(monthly_sales(3 * subscriptions, months=3, payers=1))
    return cpu(lambda: fresh(frame).capsule.mrr())


def reconcile(apps: int) -> float:
    """Return the seconds of comparing 60,000 payments of many apps with the apps' summaries."""
    frame = payments_of(monthly_sales(60_000), apps)
    sums = frame.groupby("app", observed=True)[["gross_cents", "fee_cents", "net_cents"]].sum()
    answers = zip(sums.index, sums.astype(object).to_dict("records"), strict=True)
    summaries = earnings_frame(answers)
    return cpu(lambda: fresh(frame).capsule.reconcile(summaries))


def ten_looks(rows: int) -> float:
    """Return the time of ten answers about the same payments, in relation to the first one."""
    frame = payments_of(monthly_sales(rows))
    first, more = [], []
    for _ in range(ROUNDS):
        looked_at = fresh(frame)
        first.append(cpu(lambda: looked_at.capsule.revenue(), 1))  # noqa: B023 - called at once
        more.append(cpu(lambda: [looked_at.capsule.revenue() for _ in range(10)], 1))  # noqa: B023
    return min(more) / min(first)


def excel_seconds(rows: int) -> float:
    """Return the seconds for writing an Excel file."""
    frame = payments_of(monthly_sales(rows))
    with tempfile.TemporaryDirectory() as folder:
        return cpu(lambda: frame.capsule.to_excel(f"{folder}/a.xlsx"))


def excel_share(rows: int) -> float:
    """Return the time for writing an Excel file, in relation to pandas with openpyxl."""
    frame = payments_of(monthly_sales(rows))
    naive = frame.assign(paid_at=frame["paid_at"].dt.tz_localize(None))
    with tempfile.TemporaryDirectory() as folder:
        ours = cpu(lambda: frame.capsule.to_excel(f"{folder}/a.xlsx"))
        return ours / cpu(lambda: naive.to_excel(f"{folder}/b.xlsx", engine="openpyxl"))


def excel_memory(rows: int) -> float:
    """Return the megabytes that writing an Excel file needs at its peak."""
    frame = payments_of(monthly_sales(rows))
    with tempfile.TemporaryDirectory() as folder:
        return peak(lambda: frame.capsule.to_excel(f"{folder}/a.xlsx")) / 1e6


def peak(work: Callable[[], Any]) -> float:
    """Return the largest memory in use during a call, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# 12: conversations.

STORED = """
INSERT INTO conversations WITH RECURSIVE numbers(n) AS (
    SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
SELECT {columns} FROM conversations, numbers"""


def stored_conversations(program: str, count: int) -> float:
    """Return what a program prints in a notebook with many stored conversations."""
    with workspace() as started:
        env = environ(started, JPY_SESSION_NAME=str(started.folder / "a.ipynb"))
        python(f"{CELLS}\nprint(run({FIRST_CELL}))", env=env)
        path = Path(env["CAPSULE_HOME"], "conversations.sqlite")
        with contextlib.closing(sqlite3.connect(path)) as database:
            found = [row[1] for row in database.execute("PRAGMA table_info(conversations)")]
            columns = [f"{c} || n" if c == "session_id" else c for c in found]
            database.execute(STORED.format(count=count, columns=", ".join(columns)))
            database.commit()
        return python(CELLS + program, env=env)


FIRST_CELL = '"%load_ext cpsl_notebook", "%%capsule echo -q\\nhello"'
TIMED_CELL = f"\nprint(run({FIRST_CELL}, clock=time.process_time))"
COMPLETED = f"""
run({FIRST_CELL})
began = time.process_time()
shell.complete("", "%capsule session use ", len("%capsule session use "))
print(time.process_time() - began)"""


def first_cell(count: int) -> float:
    return stored_conversations(TIMED_CELL, count)


def completion(count: int) -> float:
    return stored_conversations(COMPLETED, count)


def named_conversations(count: int) -> float:
    """Return the CPU seconds of cells that each start a conversation with another name."""
    program = f"""{CELLS}
run({FIRST_CELL})
names = range(int(sys.argv[1]))
cells = [f"%%capsule echo -q -s name-{{number}}\\nhello" for number in names]
print(run(*cells, clock=time.process_time))"""
    with workspace() as started:
        env = environ(started, JPY_SESSION_NAME=str(started.folder / "a.ipynb"))
        return python(program, count, env=env)


# 13: replies, frames and the history of the local workspace.


def blocks(count: int) -> float:
    """Return the seconds for taking blocks with ids into a reply."""
    events = [{"id": f"b{n}", "type": "activity", "payload": {"label": "x"}} for n in range(count)]

    def take() -> None:
        reply = Reply("shop", "x")
        for event in events:
            reply.add_event(event)

    gc.disable()  # collections cost more the more there is, whoever made it
    try:
        return cpu(take)
    finally:
        gc.enable()


def kept_reply(pieces: int) -> float:
    """Return the bytes that a reply of many pieces of 5 characters keeps, per character."""
    program = """
import sys, tracemalloc
from cpsl_notebook import ask
ask("1", app="pieces")
tracemalloc.start()
reply = ask(sys.argv[1], app="pieces")
print(tracemalloc.get_traced_memory()[0] / len(reply.text))"""
    with workspace() as started:
        started.app("pieces")(lambda session, text: (f"{n % 1000:04} " for n in range(int(text))))
        return python(program, pieces, env=environ(started))


def distinct_keys(count: int) -> float:
    """Return the seconds for payments whose metadata have a key for each payment."""
    records = [payment(n) | {"metadata": {f"order_{n}": n}} for n in range(count)]
    body = json.dumps(records).encode()
    return cpu(lambda: payments_frame([("shop", body)]))


def long_session(turns: int) -> float:
    """Return the seconds of a turn of a local conversation that is long."""
    with workspace() as started, started.client() as client:
        session_id = client.chat("echo", "hello").session_id
        database = started.folder / "workspace.sqlite"
        with contextlib.closing(sqlite3.connect(database)) as opened:
            rows = ((session_id, n, "prompt " * 10, "reply " * 50) for n in range(1, turns))
            opened.executemany("INSERT INTO turns VALUES (?, ?, ?, ?)", rows)
            opened.commit()
        return best(lambda: client.chat("echo", "hello", session_id), 5)


SIZES = {
    "apps": (25, 50, 100),
    "characters": (20_000, 30_000, 40_000),
    "panels": (10, 30, 90),
    "rows": (5_000, 10_000, 20_000),
    "more rows": (10_000, 20_000, 40_000),
    "stored": (1_000, 10_000, 100_000),
    "many": (1_000, 4_000, 16_000),
}
CASES = [
    Case(1, "warm chats of the local workspace, s", (10, 40, 160), warm_chats, 0.02, 1.2, True),
    Case(2, "payments of many apps / one by one", SIZES["apps"], read_payments, 0.3),
    Case(2, "earnings of many apps / one by one", SIZES["apps"], read_earnings, 0.3),
    Case(3, "first cells / import pandas", (1, 2, 4), first_cells, 1.4),
    Case(3, "%capsule local and cells import pandas", (1, 2, 4), pandas_imports, 0.0),
    Case(4, "cpsl … / python -c pass", ("--version", "--help", "--wrong"), command, 3.0),
    Case(5, "IOPub, growing code fence, B", SIZES["characters"], fence_traffic, 10.0, 1.2, True),
    Case(5, "IOPub, growing table, B", SIZES["characters"], table_traffic, 10.0, 1.2, True),
    Case(6, "reply in a notebook file / its text", (1_000, 2_000, 3_000), saved_reply, 3.0),
    Case(6, "short table in a file / its text", (10, 15, 20), saved_table, 6.0),
    Case(7, "plots of many apps, pages", SIZES["panels"], plot_height, 1.0),
    Case(7, "plots of many apps, s", SIZES["panels"], plot_seconds, None, 0.3),
    Case(8, "mrr of one payer by subscriptions, s", (1_000, 2_000, 4_000), mrr, None, 1.3),
    Case(9, "reconcile 60,000 payments by apps, s", (500, 1_500, 4_500), reconcile, None, 0.6),
    Case(10, "ten more answers / the first", (50_000, 100_000, 200_000), ten_looks, 6.0),
    Case(11, "to_excel by rows, s", SIZES["rows"], excel_seconds, None, 1.2),
    Case(11, "to_excel / pandas with openpyxl", SIZES["rows"], excel_share, 0.5),
    Case(11, "to_excel by rows, peak MB", SIZES["more rows"], excel_memory, None, 0.1),
    # The first cell deletes the conversations beyond the limit, once.
    Case(12, "first cell, stored conversations, s", SIZES["stored"], first_cell, None, 0.2),
    Case(12, "completion, stored conversations, s", SIZES["stored"], completion, None, 0.2),
    Case(12, "cells of new conversations, s", (50, 100, 200), named_conversations, None, 1.3),
    Case(13, "blocks of a reply, s", SIZES["many"], blocks, None, 1.2),
    Case(13, "bytes kept of a reply per character", (2_000, 8_000, 32_000), kept_reply, 3.0),
    Case(13, "payments with own metadata keys, s", SIZES["many"], distinct_keys, None, 1.2),
    Case(13, "turn of a long local conversation, s", SIZES["stored"], long_session, None, 0.3),
]
ROW_FORMAT = "{:>4}  {:46}{:>24}{:>30}{:>9}  {}"


def measured(case: Case) -> bool:
    """Measure and print a case; return whether its aims are met."""
    costs = [case.measure(size) for size in case.sizes]
    has_numbers = all(isinstance(size, int) for size in case.sizes)
    fitted = exponent(case.sizes, costs) if has_numbers and min(costs) > 0 else math.nan
    shown = [c / s if case.relative else c for c, s in zip(costs, case.sizes, strict=True)]
    aims = [f"≤ {case.most:g}"] if case.most is not None else []
    aims += [f"exponent ≤ {case.exponent:g}"] if case.exponent is not None else []
    missed = case.most is not None and max(shown) > case.most
    missed |= case.exponent is not None and fitted > case.exponent
    sizes = " ".join(f"{size:,}" if isinstance(size, int) else size for size in case.sizes)
    figures = " ".join(f"{cost:9.4g}" for cost in shown)
    aim = f"{', '.join(aims)}{'  MISSED' if missed else ''}"
    power = "" if math.isnan(fitted) else f"{fitted:.2f}"
    print(ROW_FORMAT.format(case.item, case.title, sizes, figures, power, aim), flush=True)
    return not missed


def main() -> None:
    """Measure the items that the arguments name, or all."""
    items = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    chosen = [case for case in CASES if not items or case.item in items]
    if "--list" in sys.argv:
        print("\n".join(f"{case.item:>4}  {case.title}" for case in chosen))
        return
    print(ROW_FORMAT.format("item", "cost", "at sizes", "is", "exponent", "aim"))
    missed = [f"{case.item} ({case.title})" for case in chosen if not measured(case)]
    if missed:
        sys.exit(f"The aim is missed by item {'; item '.join(missed)}.")


if __name__ == "__main__":
    main()
