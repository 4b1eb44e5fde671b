"""Read and write ``config.ini``, which is shared with the official CLI."""

from __future__ import annotations

import configparser
import errno
import os
import tempfile
from pathlib import Path

from cpsl.errors import CredentialsError

__all__ = ["SECTION", "check_writable", "read", "write"]

SECTION = "default"  # configparser's default section, as in the official CLI


def read(path: Path, *, optional: bool = False) -> configparser.ConfigParser:
    """Read the file.

    Parameters
    ----------
    path : pathlib.Path
        The file; it may not exist.
    optional : bool
        Whether to treat a file that cannot be opened as missing.

    Returns
    -------
    configparser.ConfigParser
        All sections of the file; empty if there is no file.

    Raises
    ------
    CredentialsError
        The file cannot be read or is not valid.
    """
    parser = configparser.ConfigParser(default_section=SECTION, interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))  # editors may write a BOM
        return parser
    except (FileNotFoundError, NotADirectoryError):
        return parser
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        if optional and isinstance(error, OSError):
            return parser
        reason = type(error).__name__
    # Raised outside the except block: the parser's frames hold the lines of the file.
    raise CredentialsError(f"Cannot read {path} ({reason}): fix or remove the file.")


def write(path: Path, parser: configparser.ConfigParser) -> CredentialsError | None:
    """Replace the file atomically; only its owner can read it.

    All sections and keys of the parser are written. Comments are not: configparser drops them when
    it reads. If the write fails or the process is killed, the old file is unchanged.

    Parameters
    ----------
    path : pathlib.Path
        The file; a symbolic link is followed.
    parser : configparser.ConfigParser
        The new content.

    Returns
    -------
    CredentialsError or None
        The error if the file cannot be written. The caller raises it, because the frames of this
        function hold the token.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.")  # 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                parser.write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(target)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        return _not_writable(path, error.errno)
    return None


def check_writable(path: Path) -> None:
    """Raise the error that `write` would return for the file's folder; change nothing.

    Raises
    ------
    CredentialsError
        The folder cannot be created or written to.
    """
    folder = Path(os.path.realpath(path)).parent
    existing = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    if not existing.is_dir():
        raise _not_writable(path, errno.ENOTDIR)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _not_writable(path, errno.EACCES)


def _not_writable(path: Path, code: int | None) -> CredentialsError:
    return CredentialsError(
        f"Cannot write {path} ({os.strerror(code or 0)}): make its folder writable, or set "
        "CONFIG_PATH to another file."
    )
