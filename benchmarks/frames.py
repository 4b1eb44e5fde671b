"""Compare ways from a million payments to a typed DataFrame. Part of ``make bench``."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("frames_worker.py")
ROWS, FEW, ROUNDS = 1_000_000, 100, 3
DICTS = {
    "ours_from_dicts": "ours",
    "dataframe_from_dicts": "pd.DataFrame with conversion",
    "normalize_from_dicts": "pd.json_normalize with conversion",
    "polars_from_dicts": "polars",
}
GATEWAY = {
    "ours_from_gateway": "ours",
    "normalize_from_gateway": "pd.json_normalize(client.list_payments(app)) with conversion",
    "polars_from_gateway": "polars, from the raw bytes",
    "duckdb_from_gateway": "DuckDB, from the raw bytes",
}


def main() -> None:
    """Run all ways in turn, each in a separate process, and print the medians."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        payments = Path(folder, "all")
        for path, count in ((payments, rows), (payments.with_name("few"), FEW)):
            path.write_text(json.dumps([payment(number) for number in range(count)]))
        title = f"{rows:,} payments with ten fields, one of them nested"
        report(f"{title}, from dicts (target: 4 s, 300 MB)", DICTS, str(payments))
        with gateway(Path(folder)) as url:
            size = payments.stat().st_size / 1e6
            target = "target: 0.33 of the time and 0.50 of the memory of json_normalize"
            report(f"The same from a gateway, {size:,.0f} MB ({target})", GATEWAY, url)


def report(title: str, ways: dict[str, str], source: str) -> None:
    """Print the medians, and the ratio of ours to each."""
    rounds = [{way: measure(way, source) for way in ways} for _ in range(ROUNDS)]
    medians = {
        way: [
            statistics.median(results[way][quantity] for results in rounds)
            for quantity in ("seconds", "peak")
        ]
        for way in ways
    }
    print(f"\n{title}\n{'':60}{'time':>9}{'memory':>10}{'ours / this':>17}")
    ours = next(iter(medians.values()))
    for way, (seconds, peak) in medians.items():
        ratios = f"{ours[0] / seconds:9.2f}{ours[1] / peak:8.2f}"
        print(f"{ways[way]:60}{seconds:7.2f} s{peak:7.0f} MB{ratios}")


def measure(way: str, source: str) -> dict[str, float]:
    """Run one way in a separate process."""
    command = [sys.executable, str(WORKER), way, source]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return result


def payment(number: int) -> dict[str, Any]:
    """Build a payment."""
    gross = 100 * (number % 90 + 10)
    paid_at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=31 * number)
    return {
        "payment_id": f"pay_{number:016x}",
        "paid_at": paid_at.isoformat().replace("+00:00", "Z"),
        "payer": {
            "id": f"cus_{number % 50_021:08x}",
            "email": f"payer{number % 50_021}@example.com",
        },
        "kind": "monthly" if number % 3 else "one_time",
        "currency": "USD",
        "gross_cents": gross,
        "fee_cents": gross // 10,
        "net_cents": gross - gross // 10,
        "payout_state": ("Paid out", "In progress", "Failed")[number % 17 % 3],
        "subscription_id": f"sub_{number % 40_009:012x}" if number % 3 else None,
    }


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[str]:
    """Serve files of payments; `FILES` maps app ids to their names."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = folder / FILES[self.path.split("/")[4]]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


FILES = {f"00000000-0000-4000-8000-00000000000{n}": name for n, name in enumerate(("few", "all"))}

if __name__ == "__main__":
    main()
