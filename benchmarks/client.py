"""Compare our client with the official SDK. Part of ``make bench``."""

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
ROWS = {  # measurement: label, target ratio
    "bulk-chunked": ("CPU time, 100,000 chunks, chunked encoding", 0.5),
    "bulk-closed": ("CPU time, 100,000 chunks, closed connection", 0.5),
    "chat": ("time per chat over TLS", 1 / 3),
    "paced-chunked": ("latency of a chunk, chunked encoding", None),
    "paced-closed": ("latency of a chunk, closed connection", None),
    "import": ("import time", None),
}


def main() -> None:
    """Run all measurements with both clients in turn, and print medians and ratios."""
    pythons = {"ours": environment("client", "./cpsl", ours=("./cpsl",))}
    pythons["theirs"] = environment("sdk", SDK)
    print(f"{'':50}{'ours':>12}{SDK:>16}{'ratio':>8}{'target':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (title, target) in ROWS.items():
            with serving(Path(folder), tls=name == "chat") as (url, bundle):
                measured = {client: [] for client in pythons}
                for _ in range(ROUNDS):
                    for client, python in pythons.items():
                        measured[client].append(measure(python, name, url, bundle))
            report(title, target, measured)


def measure(python: Path, name: str, url: str, bundle: Path) -> dict:
    """Run one measurement in a separate process, outside the repository."""
    trust = {"SSL_CERT_FILE": str(bundle)} if bundle.exists() else {}
    environ = {"PATH": os.environ["PATH"], "HOME": str(bundle.parent), **trust}
    command = [str(python), str(WORKER), name, url]
    ran = subprocess.run(
        command, cwd=bundle.parent, env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


def report(title: str, target: float | None, measured: dict[str, list[dict]]) -> None:
    """Print the medians in milliseconds, their ratio and the target."""
    ours, theirs = (
        statistics.median(result["seconds"] for result in measured[client])
        for client in ("ours", "theirs")
    )
    limit = f"≤ {target:.2f}" if target else ""
    print(f"{title:50}{ours * 1e3:9.2f} ms{theirs * 1e3:13.2f} ms{ours / theirs:8.2f}{limit:>8}")


if __name__ == "__main__":
    main()
