"""One measurement, with whichever ``cpsl`` is installed: it uses the documented surface only.

Prints a JSON object of figures. Run by ``client.py`` with the Python of one environment or another.
"""

import json
import statistics
import sys
import time

APP = "00000000-0000-4000-8000-000000000001"


def main() -> None:
    what, url = sys.argv[1:]
    started = time.perf_counter()
    import cpsl

    imported = time.perf_counter() - started
    if what == "import":
        figures = {"seconds": imported}
    else:
        figures = MEASURES[what](cpsl.Client(token="bench", gateway_url=url))
    print(json.dumps(figures))


def bulk(client, framing):
    """Read a long stream as fast as it comes."""
    client.chat(APP, "warm up")  # so that what a client imports late is no part of a chunk's time
    cpu = time.process_time()
    count = sum(1 for _ in client.stream(APP, f"bulk {framing}"))
    return {"seconds": time.process_time() - cpu, "chunks": count}


def chat(client):
    """Send short messages one after the other."""
    client.chat(APP, "warm up")
    started = time.perf_counter()
    for _ in range(200):
        client.chat(APP, "hello")
    return {"seconds": (time.perf_counter() - started) / 200}


def paced(client, framing):
    """Take chunks that come one by one, and see how long ago each was sent."""
    late = [
        (time.monotonic_ns() - chunk.data["sent"]) / 1e9
        for chunk in client.stream(APP, f"paced {framing}")
        if "sent" in chunk.data
    ]
    return {"seconds": statistics.median(late), "first": late[0], "worst": max(late)}


MEASURES = {
    "chat": chat,
    "bulk-chunked": lambda client: bulk(client, "chunked"),
    "bulk-closed": lambda client: bulk(client, "closed"),
    "paced-chunked": lambda client: paced(client, "chunked"),
    "paced-closed": lambda client: paced(client, "closed"),
}

main()
