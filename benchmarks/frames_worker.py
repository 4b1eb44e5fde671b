"""Run one way from payments to a typed frame and print its time and memory as JSON.

Usage: ``frames_worker.py WAY SOURCE``. A way is a function below. The source is a JSON file of
payments, which is decoded before the measurement, or the URL of a gateway. The memory is the
process's peak during the measurement, less its memory at the start.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEW, ALL = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(2))  # app ids
TIMES, CATEGORIES = ("paid_at",), ("kind", "currency", "payout_state")
CENTS = ("gross_cents", "fee_cents", "net_cents")
STRINGS = ("payment_id", "payer.id", "payer.email")


def converted(frame: Any) -> Any:
    """Convert columns to the types that our frames have; the names are known in advance."""
    import pandas as pd

    for name in CENTS:
        frame[name] = frame[name].astype("Int64")
    for name in CATEGORIES:
        frame[name] = frame[name].astype("category")
    for name in STRINGS:
        frame[name] = frame[name].astype("string")
    for name in TIMES:
        times = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        frame[name] = times.astype("datetime64[us, UTC]")
    return frame


def ours_from_dicts(records: list[dict[str, Any]]) -> Any:
    from cpsl_notebook.frames import payments_frame

    return payments_frame([("shop", records)])


def dataframe_from_dicts(records: list[dict[str, Any]]) -> Any:
    import pandas as pd

    frame = pd.DataFrame(records)
    payer = pd.DataFrame(frame.pop("payer").tolist()).add_prefix("payer.")
    return converted(pd.concat([frame, payer], axis=1))


def normalize_from_dicts(records: list[dict[str, Any]]) -> Any:
    import pandas as pd

    return converted(pd.json_normalize(records))


def polars_from_dicts(records: list[dict[str, Any]]) -> Any:
    import polars as pl

    return polars_typed(pl.DataFrame(records, infer_schema_length=None))


def polars_typed(frame: Any) -> Any:
    import polars as pl

    return frame.unnest("payer").with_columns(
        pl.col("paid_at").str.to_datetime(time_zone="UTC"), pl.col(CATEGORIES).cast(pl.Categorical)
    )


def ours_from_gateway(url: str, app: str) -> Any:
    import cpsl
    from cpsl_notebook import Client

    return Client(cpsl.Client(token="bench", gateway_url=url)).list_payments(app)


def normalize_from_gateway(url: str, app: str) -> Any:
    import cpsl

    return normalize_from_dicts(cpsl.Client(token="bench", gateway_url=url).list_payments(app))


def polars_from_gateway(url: str, app: str) -> Any:
    import polars as pl

    import cpsl

    body = cpsl.Client(token="bench", gateway_url=url).read_payments(app)
    return polars_typed(pl.read_json(bytes(body), infer_schema_length=None))


def duckdb_from_gateway(url: str, app: str) -> Any:
    import tempfile

    import duckdb

    import cpsl

    body = cpsl.Client(token="bench", gateway_url=url).read_payments(app)
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(body)
        file.flush()
        return duckdb.sql(
            "SELECT * EXCLUDE (payer), payer.id AS payer_id, payer.email AS payer_email "
            f"FROM read_json('{file.name}', maximum_object_size=10000000)"
        ).df()


def main() -> None:
    """Run the way on a few payments first, so that imports are not measured."""
    way, source = globals()[sys.argv[1]], sys.argv[2]
    if source.startswith("http"):
        way(source, FEW)
        result = measured(lambda: way(source, ALL))
    else:
        records = json.loads(Path(source).read_bytes())
        way(records[:100])
        result = measured(lambda: way(records))
    print(json.dumps(result))


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Return the seconds that *work* takes, and its peak memory in MB."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _memory("VmRSS")
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak": _memory("VmHWM") - before, "rows": len(result)}


def _memory(name: str) -> float:
    """Return a value of ``/proc/self/status`` in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
