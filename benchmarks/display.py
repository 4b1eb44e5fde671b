"""Measure a streamed reply in JupyterLab: the load on the kernel, the network and the page.

Compares the live panel with ``text/markdown`` that is updated at 10 Hz and at every chunk. Part of
``make bench``; ``python benchmarks/display.py [CASE ...]`` runs some cases.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Error

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from growth import COUNTED
from lab import Notebook, browser_page, jupyterlab

from cpsl_notebook import local

CHUNK = 5  # characters
CASES = {  # number of chunks, chunks per second, kind of text
    "long": (20_000, 1_000, "blocks"),
    "short": (500, 50, "blocks"),
    "one-list": (20_000, 1_000, "list"),
}
WAYS = ("panel", "markdown at 10 Hz", "markdown at every chunk")
TIMEOUT_MS = 240_000
NEVER_MS = 90_000  # after the cell has ended; an end that is not shown by then never is
FIGURES = "figures.json"
ROW = "{:10}{:26}{:>10}{:>12}{:>12}{:>12}{:>12}"
MEASURE = (
    COUNTED
    + """
import json, pathlib, time
from IPython.display import display, Markdown
from cpsl_notebook import Client

def quiet(app):
    get_ipython().run_cell_magic("capsule", f"{app} --once -q", "go")

def panel(app):
    get_ipython().run_cell_magic("capsule", f"{app} --once", "go")

def markdown(app, pause):
    text, handle, painted = "", display(Markdown(""), display_id=True), 0
    for chunk in Client().stream(app, "go"):
        text += chunk.text
        if time.monotonic() - painted >= pause or chunk.done:
            handle.update(Markdown(text))
            painted = time.monotonic()

ways = {
    "quiet": quiet,
    "panel": panel,
    "markdown at 10 Hz": lambda app: markdown(app, 0.1),
    "markdown at every chunk": lambda app: markdown(app, 0),
}

def measure(app, way):
    sizes.clear()
    began = time.process_time()
    ways[way](app)
    figures[way] = [len(sizes), sum(sizes), time.process_time() - began]
    pathlib.Path("FIGURES").write_text(json.dumps(figures))

figures = {}
""".replace("FIGURES", FIGURES)
)
WATCH = """index => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
    const seen = window.seen = {frozen: 0, late: null};
    let before = performance.now();
    clearInterval(window.beat);
    window.beat = setInterval(() => {
        const now = performance.now();
        if (now - before > 100) seen.frozen += now - before;
        before = now;
        const end = /END-(\\d{13})-/.exec(cell.node.textContent);
        if (end && seen.late === null) seen.late = Date.now() - Number(end[1]);
    }, 20);
}"""


def main() -> None:
    """Measure every case in every way, each in a new JupyterLab."""
    print(ROW.format("reply", "display", "messages", "IOPub", "kernel CPU", "page frozen", "delay"))
    for case in sys.argv[1:] or CASES:
        for way in WAYS:
            messages, size, cpu, frozen, late = measured(case, way)
            delay = "never" if late is None else f"{late:.2f} s"
            figures = [f"{size / 1e6:.2f} MB", f"{cpu:.2f} s", f"{frozen:.2f} s", delay]
            print(ROW.format(case, way, messages, *figures), flush=True)
    print("Targets of the panel: long 3 MB, 1.5 s, 1 s, 1 s; short 0.3 MB")


def measured(case: str, way: str) -> tuple[int, int, float, float, float | None]:
    """Return messages and bytes, and in seconds: CPU for display, page frozen, delay of the end.

    The delay is ``None`` if the end was never shown: JupyterLab drops messages that it cannot handle.
    It may not even notice that the cell has ended, so the figures come from a file, and every wait for
    the page has a limit.
    """
    with tempfile.TemporaryDirectory() as name, local.start(Path(name, "data")) as workspace:
        folder = Path(name)
        workspace.app(case)(lambda session, text: paced(case))
        cells = [MEASURE, *(f"measure('{case}', '{shown}')" for shown in ("quiet", way))]
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, folder / "bench.ipynb")
        environ = workspace.environ | {"CAPSULE_HOME": str(folder / "home")}
        with browser_page() as page, jupyterlab(folder, **environ) as url:
            page.set_default_timeout(TIMEOUT_MS)
            opened = Notebook(page, url, "bench.ipynb")
            opened.run(0)
            opened.run(1)
            page.evaluate(WATCH, 2)
            opened.run(2, wait=False)
            figures = figures_of(folder / FIGURES, way)
            late, frozen = None, NEVER_MS / 1e3
            with contextlib.suppress(Error):
                page.wait_for_function("() => window.seen.late !== null", timeout=NEVER_MS)
            with contextlib.suppress(Error):
                seen = page.wait_for_function("() => window.seen", timeout=NEVER_MS).json_value()
                late, frozen = seen["late"], seen["frozen"] / 1e3
    reading, (messages, size, cpu) = figures["quiet"][2], figures[way]
    return messages, size, cpu - reading, frozen, None if late is None else late / 1e3


def figures_of(path: Path, way: str) -> dict[str, Any]:
    """Return what the kernel has measured; NaN if it does not end within `TIMEOUT_MS`."""
    deadline = time.monotonic() + TIMEOUT_MS / 1e3
    while time.monotonic() < deadline:
        with contextlib.suppress(ValueError):  # the file is not complete yet
            figures: dict[str, Any] = json.loads(path.read_text())
            if way in figures:
                return figures
        time.sleep(0.2)
    return {"quiet": [0, 0, 0.0], way: [0, 0, math.nan]}


def paced(case: str) -> Iterator[str]:
    """Yield a case's chunks on schedule, and at the end the time at which the last one was sent."""
    count, rate, kind = CASES[case]
    text = (text_of_blocks if kind == "blocks" else text_of_a_list)(count * CHUNK)
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield text[number * CHUNK : (number + 1) * CHUNK]
    yield f"\n\nEND-{time.time() * 1e3:.0f}-"


def text_of_blocks(length: int) -> str:
    """Return Markdown in blocks of at most 2 kB: paragraphs, lists, fenced code and tables."""
    words = "The queue holds **urgent** threads from `billing`, and _some_ wait for a reply. "
    line = "    total = sum(thread.age for thread in threads if thread.open)  # days\n"
    row = "| billing | 33 | 0.25 | waiting for a reply |\n"
    blocks = [
        "## A heading\n\n",
        words * 24 + "\n\n",
        "".join(f"- item {number}: {words}\n" for number in range(18)) + "\n",
        "```python\ndef age(threads):\n" + line * 24 + "```\n\n",
        "| queue | open | share | state |\n|---|---|---|---|\n" + row * 36 + "\n",
        words * 4 + "\n\n",
    ]
    return ("".join(blocks) * (length // 1_000))[:length]


def text_of_a_list(length: int) -> str:
    """Return one long list, a single block that keeps growing."""
    return "".join(f"- item {number} of **one** long list\n" for number in range(length))[:length]


if __name__ == "__main__":
    main()
