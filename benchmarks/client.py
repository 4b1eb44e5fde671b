"""The client against the official SDK, side by side in one run: ``make bench``."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from environments import SDK, environment
from server import serving

WORKER = Path(__file__).with_name("worker.py")
ROUNDS = 5
ROWS = {
    "bulk-chunked": ("CPU for a stream of 100,000 chunks, chunked", 0.5),
    "bulk-closed": ("CPU for a stream of 100,000 chunks, until close", 0.5),
    "chat": ("time per chat over TLS", 1 / 3),
    "paced-chunked": ("a chunk to the caller, chunked", None),
    "paced-closed": ("a chunk to the caller, until close", None),
    "import": ("import", None),
}


def main() -> None:
    """Measure in turns, ours and theirs, and print the medians with their ratios."""
    pythons = {"ours": environment("client", "./cpsl", ours=("./cpsl",))}
    pythons["theirs"] = environment("sdk", SDK)
    print(f"{'':50}{'ours':>12}{SDK:>16}{'ratio':>8}{'aim':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for what, (title, aim) in ROWS.items():
            with serving(Path(folder), tls=what == "chat") as (url, bundle):
                measured = {name: [] for name in pythons}
                for _ in range(ROUNDS):
                    for name, python in pythons.items():
                        measured[name].append(measure(python, what, url, bundle))
            report(title, aim, measured)


def measure(python: Path, what: str, url: str, bundle: Path) -> dict:
    """Run one measurement in a process of its own, outside the checkout."""
    trust = {"SSL_CERT_FILE": str(bundle)} if bundle.exists() else {}
    environ = {"PATH": os.environ["PATH"], "HOME": str(bundle.parent), **trust}
    command = [str(python), str(WORKER), what, url]
    ran = subprocess.run(
        command, cwd=bundle.parent, env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


def report(title: str, aim: float | None, measured: dict[str, list[dict]]) -> None:
    """Print a row: medians in milliseconds, and the ratio."""
    ours, theirs = (
        statistics.median(figures["seconds"] for figures in measured[name])
        for name in ("ours", "theirs")
    )
    wanted = f"≤ {aim:.2f}" if aim else ""
    print(f"{title:50}{ours * 1e3:9.2f} ms{theirs * 1e3:13.2f} ms{ours / theirs:8.2f}{wanted:>8}")


if __name__ == "__main__":
    main()
