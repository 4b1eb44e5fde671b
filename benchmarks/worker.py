"""Run one measurement with the installed ``cpsl`` and print the result as JSON.

Uses only the documented interface, so that it runs with our client and with the official SDK.
``client.py`` runs it in an environment for each.
"""

import json
import statistics
import sys
import time

APP = "00000000-0000-4000-8000-000000000001"


def main() -> None:
    name, url = sys.argv[1:]
    started = time.perf_counter()
    import cpsl

    client_class = cpsl.Client  # ours imports it at the first access
    imported = time.perf_counter() - started
    if name == "import":
        result = {"seconds": imported}
    else:
        result = MEASUREMENTS[name](client_class(token="bench", gateway_url=url))
    print(json.dumps(result))


def bulk(client, framing):
    """Read a long stream that is sent as fast as possible."""
    client.chat(APP, "warm up")  # some modules are imported by the first call
    cpu = time.process_time()
    count = sum(1 for _ in client.stream(APP, f"bulk {framing}"))
    return {"seconds": time.process_time() - cpu, "chunks": count}


def chat(client):
    """Send short messages, one after another."""
    client.chat(APP, "warm up")
    started = time.perf_counter()
    for _ in range(200):
        client.chat(APP, "hello")
    return {"seconds": (time.perf_counter() - started) / 200}


def paced(client, framing):
    """Measure the time from sending a chunk to receiving it."""
    latencies = [
        (time.monotonic_ns() - chunk.data["sent"]) / 1e9
        for chunk in client.stream(APP, f"paced {framing}")
        if "sent" in chunk.data
    ]
    return {"seconds": statistics.median(latencies), "first": latencies[0], "worst": max(latencies)}


MEASUREMENTS = {
    "chat": chat,
    "bulk-chunked": lambda client: bulk(client, "chunked"),
    "bulk-closed": lambda client: bulk(client, "closed"),
    "paced-chunked": lambda client: paced(client, "chunked"),
    "paced-closed": lambda client: paced(client, "closed"),
}

main()
