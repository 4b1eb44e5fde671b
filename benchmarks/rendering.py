"""Measure every renderer of replies against the size of its input, and fit an exponent.

An exponent of 1 means time proportional to the size, 2 means its square. Part of ``make bench``; exits
with an error if an exponent is above 1.2. ``python benchmarks/rendering.py [RENDERER ...]`` runs some
renderers.
"""

from __future__ import annotations

import gc
import io
import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Any

from cpsl_notebook import Reply
from cpsl_notebook.display.displays import choose
from cpsl_notebook.display.incremental import GrowingReply
from cpsl_notebook.display.interrupt import Stopper
from cpsl_notebook.reply.markdown import last_block, table_cells
from cpsl_notebook.reply.rendering import html, plain

SIZES = [12_500, 25_000, 50_000, 100_000, 400_000, 1_600_000]  # characters
MAX_EXPONENT = 1.2
MIN_SECONDS, MIN_BYTES = 0.01, 1e6  # smaller figures say nothing
LINK = "[![a](https://x.example/a.png)](https://x.example) "
TEXTS = {
    "prose": "Some **bold** words, `code` and a [link](https://a.example).\n\n",
    "list": "- an item\n",
    "table": "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "code": "```python\nx = 'a'  # b\n```\n",
    "linked images": LINK,
    "images": "![",
    "brackets": "[",
    "emphasis": "*a ",
    "CDATA": "<![CDATA[",
    "formulas": "\\[ x\n",
    "flags": "-x ",
    "escapes": "\x1b[31m",
    "lines": "a\n",
}
ROW = "{:16}{:16}{:>10}{:>12}{:>12}{:>10}"


def with_text(piece: str, size: int) -> Reply:
    return Reply("shop", "x", pieces=[(piece * (size // len(piece) + 1))[:size]], status="complete")


def with_blocks(block: Callable[[int], dict[str, Any]], size: int) -> Reply:
    reply, length = Reply("shop", "x", status="complete"), 0
    while length < size:
        made = block(len(reply.pieces))
        reply.add_event(made)
        length += len(str(made))
    return reply


def activity(number: int) -> dict[str, Any]:
    return {"id": str(number), "type": "activity", "payload": {"label": f"step {number}"}}


def small_table(number: int) -> dict[str, Any]:
    table = {"rows": [[number, "a"]] * 10, "columns": ["n", "a"]}
    return {"type": "table_preview", "payload": {"table": table}}


def suggestion(number: int) -> dict[str, Any]:
    item = {"label": "a", "value": "-x " * 300}
    return {"type": "suggestions", "payload": {"suggestions": [item] * 10}}


def one_table(size: int) -> Reply:
    rows = [{f"k{n}": n} for n in range(size // 14)]
    block = {"type": "table_preview", "payload": {"table": {"rows": rows}}}
    return Reply("shop", "x", pieces=[block], status="complete")


def one_suggestion(size: int) -> Reply:
    item = {"label": "a", "value": "-x " * (size // 3)}
    block = {"type": "suggestions", "payload": {"suggestions": [item]}}
    return Reply("shop", "x", pieces=[block], status="complete")


INPUTS: dict[str, Callable[[int], Reply]] = {
    **{name: lambda size, piece=piece: with_text(piece, size) for name, piece in TEXTS.items()},
    "activities": lambda size: with_blocks(activity, size),
    "small tables": lambda size: with_blocks(small_table, size),
    "suggestions": lambda size: with_blocks(suggestion, size),
    "sparse table": one_table,
    "one suggestion": one_suggestion,
}


def terminal(reply: Reply) -> None:
    display = choose("text")
    with redirect_stdout(io.StringIO()), Stopper() as stopper:
        display.start(reply, stopper)
        display.finish(reply)


def panel(reply: Reply) -> None:
    growing = GrowingReply(reply)
    growing.update()
    growing.pages()
    growing.rest_html()


RENDERERS: dict[str, Callable[[Reply], Any]] = {
    "HTML": html,
    "plain text": plain,
    "terminal": terminal,
    "panel": panel,
    "Markdown tables": lambda reply: table_cells(reply.text[:100_000]),
    "settled text": lambda reply: last_block(reply.text[:100_000]),
}


def measured(render: Callable[[Reply], Any], reply: Reply) -> tuple[float, float]:
    """Return the CPU time in seconds, the best of two, and the peak memory in bytes."""
    seconds = []
    gc.collect()
    gc.disable()  # collections cost more the more there is, whoever made it
    for _ in range(2):
        started = time.process_time()
        render(reply)
        seconds.append(time.process_time() - started)
    gc.enable()
    tracemalloc.start()
    render(reply)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(seconds), peak


def steepest(sizes: list[int], values: list[float], smallest: float) -> float:
    """Return the larger exponent of the sizes that are formatted in full, and of all sizes."""
    found = [
        [
            (size, value)
            for size, value in zip(sizes, values, strict=True)
            if value >= smallest and size <= limit
        ]
        for limit in (100_000, sizes[-1])
    ]
    return max(exponent(*zip(*pairs, strict=True)) if len(pairs) > 2 else 0.0 for pairs in found)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of a line through the logarithms, by least squares."""
    x, y = ([math.log(number) for number in numbers] for numbers in (sizes, values))
    return statistics.linear_regression(x, y).slope


def main() -> None:
    """Measure every renderer with every input."""
    print(ROW.format("renderer", "input", "seconds", "peak", "exponent", "of memory"))
    steep = []
    for name in sys.argv[1:] or RENDERERS:
        for kind, make in INPUTS.items():
            results = [(size, *measured(RENDERERS[name], make(size))) for size in SIZES]
            sizes, seconds, peaks = (list(column) for column in zip(*results, strict=True))
            of_time = steepest(sizes, seconds, MIN_SECONDS)
            of_memory = steepest(sizes, peaks, MIN_BYTES)
            figures = [f"{max(seconds):.2f}", f"{max(peaks) / 1e6:.1f} MB"]
            exponents = [f"{value:.2f}" if value else "-" for value in (of_time, of_memory)]
            print(ROW.format(name, kind, *figures, *exponents), flush=True)
            if max(of_time, of_memory) > MAX_EXPONENT:
                steep.append(f"{name} of {kind}")
    if steep:
        sys.exit(f"The exponent is above {MAX_EXPONENT}: {', '.join(steep)}")


if __name__ == "__main__":
    main()
