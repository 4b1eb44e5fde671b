"""Writing files in one step: a reader sees the old content or the new, never a part of it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

__all__ = ["create_private", "replacing", "write_private"]


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a scratch path in the same folder, and move it to *path* when the block succeeds.

    Parameters
    ----------
    path
        The file to write.
    overwrite
        Whether an existing file may be replaced.

    Yields
    ------
    pathlib.Path
        A path that does not exist yet; the block creates the file. It is removed if the block
        raises.

    Raises
    ------
    FileExistsError
        The file exists and *overwrite* is false.
    OSError
        The file cannot be written.
    """
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        yield scratch
        if overwrite:
            scratch.replace(path)
        else:
            _link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing an earlier one."""
    with replacing(path) as scratch:
        _write(scratch, text)


def create_private(path: Path, text: str) -> str:
    """Return a file's text; create it first, readable by its owner only, where it is missing.

    Of two processes that create the file at once, one writes it and both return its text.
    """
    if not path.exists():
        with contextlib.suppress(FileExistsError), replacing(path, overwrite=False) as scratch:
            _write(scratch, text)
    return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _link(scratch: Path, path: Path) -> None:
    """Give a file its name, unless another file has it."""
    os.link(scratch, path)
