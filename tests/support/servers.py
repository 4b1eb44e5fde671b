"""Waiting for servers that other processes start."""

import socket
import time


def wait_until_open(address):
    """Wait until a server accepts connections."""
    host, port = address.split(":")
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
