"""A minimal gateway for the benchmarks, over TCP or TLS."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trustme

CHUNKS = 100_000
PACED = 200  # chunks that are sent one by one, each with the time it was sent
PAUSE = 0.005  # seconds between two paced chunks

_CHAT = json.dumps({"replies": [{"text": "hi"}], "session_id": "s", "request_id": "r"}).encode()
_BULK = b"".join(
    b"event: message\ndata: %b\n\n" % json.dumps({"text": f"w{n % 10} "}).encode()
    for n in range(CHUNKS)
)
_DONE = b'event: done\ndata: {"done": true, "session_id": "s"}\n\n'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_CHAT)))
        self.end_headers()
        self.wfile.write(_CHAT)

    def do_GET(self) -> None:
        what = parse_qs(urlsplit(self.path).query)["text"][0]
        chunked = what.endswith("chunked")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header(
            *(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close"))
        )
        self.end_headers()
        for piece in _paced() if what.startswith("paced") else (_BULK, _DONE):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = not chunked

    def log_message(self, *args: object) -> None:
        pass


def _paced() -> Iterator[bytes]:
    for _ in range(PACED):
        time.sleep(PAUSE)
        yield b"data: %b\n\n" % json.dumps({"text": "w", "sent": time.monotonic_ns()}).encode()
    yield _DONE


@contextlib.contextmanager
def serving(folder: Path, *, tls: bool = False) -> Iterator[tuple[str, Path]]:
    """Serve on loopback; yield the URL, and the path of the CA certificate to trust."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    bundle = folder / "ca.pem"
    if tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(bundle)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", bundle
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
