"""Run a Python program in a pseudo-terminal, as a user would."""

import errno
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

# Makes the terminal the controlling terminal, so that Ctrl-C reaches the command.
IN_TERMINAL = """if True:
    import fcntl, os, sys, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """A Python program in a pseudo-terminal of its own."""

    def __init__(self, *arguments, columns=80, **environ):
        self.seen = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "COLUMNS": "", "PYTHONUNBUFFERED": "", **environ},
            start_new_session=True,
        )
        os.close(slave)

    @property
    def status(self):
        return self._process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def read_until(self, text):
        """Read until the terminal shows a text, or until the program ends if it is ``None``."""
        wanted = text.encode() if text is not None else None
        deadline = time.monotonic() + 30
        while wanted is None or wanted not in self.seen:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            try:
                data = os.read(self._master, 4096)
            except OSError as error:  # on Linux, the program has ended
                assert error.errno == errno.EIO
                data = b""
            if not data:
                assert wanted is None, f"no {text!r} in {self.seen!r}"
                break
            self.seen += data
        return self.seen.decode()

    def type(self, text):
        os.write(self._master, text.encode())

    def end(self):
        return self.read_until(None)
