"""Atomic file writes, so that readers see the old or the new content, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["create_private", "lock", "replacing", "unlock", "write_private"]

_CLAIM_TIMEOUT = 1.0  # seconds to wait while a file that another process creates is empty
_OPEN_TIMEOUT = 1.0  # seconds to wait while Windows refuses to replace an open file


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Provide a scratch path, and move that file to *path* when the block succeeds.

    Parameters
    ----------
    path : pathlib.Path
        File to write. If it is a symbolic link, the file that it points to is written.
    overwrite : bool, default True
        Whether to replace an existing file.

    Yields
    ------
    pathlib.Path
        Path in the same folder, with the same suffix, for the block to create. The file is removed
        if the block raises.

    Raises
    ------
    FileExistsError
        If the file exists and *overwrite* is false.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "report.txt")
    ...     with replacing(path) as scratch:
    ...         size = scratch.write_text("done")
    ...     path.read_text()
    'done'
    """
    path = path.resolve()
    if not overwrite and path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield scratch
        if overwrite:
            _replace(scratch, path)
        else:
            _move_to_unused(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing an existing one.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    text : str
        Its content.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(path) as scratch:
        _write(scratch, text)


def create_private(path: Path, text: str) -> str:
    """Return the content of a file; create it first if it is missing or empty.

    If two processes create the file at once, one writes it and both return the same content. An
    empty file is replaced: a full disk can leave one behind.

    Parameters
    ----------
    path : pathlib.Path
        File to read or to create, readable by its owner only.
    text : str
        Content of a new file.

    Returns
    -------
    str
        The content of the file.

    Raises
    ------
    OSError
        If the file cannot be read or written.
    """
    if not _read_when_written(path):
        with contextlib.suppress(FileNotFoundError):
            if not path.stat().st_size:
                path.unlink()
        with contextlib.suppress(FileExistsError), replacing(path, overwrite=False) as scratch:
            _write(scratch, text)
    return _read_when_written(path)


def lock(file: IO[Any], *, shared: bool = False, wait: bool = False) -> bool | None:
    """Lock an open file until it is closed, here and in forked processes that have it open.

    Parameters
    ----------
    file : file object
        The file.
    shared : bool, default False
        Whether other processes may have a shared lock, too.
    wait : bool, default False
        Whether to wait until other processes have released it.

    Returns
    -------
    bool or None
        Whether the file is locked; `False` if another process has locked it, ``None`` if the
        platform or the file system has no locks.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     with open(file.name) as one, open(file.name) as two:
    ...         lock(one, shared=True), lock(two, shared=True), lock(two)
    (True, True, False)
    """
    if fcntl is None:
        return None
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def unlock(file: IO[Any]) -> None:
    """Release the lock of an open file, also for forked processes that have the file open."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_when_written(path: Path) -> str:
    """Return the content of a file; an empty string if it is missing or remains empty."""
    deadline = time.monotonic() + _CLAIM_TIMEOUT
    text = ""
    with contextlib.suppress(FileNotFoundError):
        while not (text := path.read_text(encoding="utf-8")) and time.monotonic() < deadline:
            time.sleep(0.01)
    return text


def _move_to_unused(scratch: Path, path: Path) -> None:
    """Move a file to a new name; raise `FileExistsError` if the name exists."""
    try:
        os.link(scratch, path)
        return
    except FileExistsError:
        raise
    except (OSError, AttributeError):
        # FAT, some network file systems and some platforms have no hard links: claim the name with
        # an empty file.
        path.touch(mode=0o600, exist_ok=False)
    try:
        _replace(scratch, path)
    except OSError:
        path.unlink()
        raise


def _replace(scratch: Path, path: Path) -> None:
    """Move a file to *path*; on Windows, wait until no program has *path* open."""
    deadline = time.monotonic() + (_OPEN_TIMEOUT if sys.platform == "win32" else 0)
    while True:
        try:
            scratch.replace(path)
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.01)
