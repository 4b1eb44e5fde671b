"""``config.ini`` as a text to edit: what others wrote in it stays."""

from __future__ import annotations

import configparser
import errno
import io
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpsl.errors import CapsuleError, CredentialsError

__all__ = ["SECTION", "parsed", "read", "unwritable", "with_values", "write"]

SECTION = "default"  # configparser's default section, as the official CLI writes it


def read(path: Path) -> str:
    """Return the file's text, empty where there is none; refuse what could not be kept."""
    try:
        text = path.read_text(encoding="utf-8")
        parsed(text)
        return text
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = f"{path} cannot be read ({type(error).__name__}): mend it, or move it away."
    raise CredentialsError(reason)


def parsed(text: str) -> configparser.ConfigParser:
    """Read a text as the official CLI does."""
    parser = configparser.ConfigParser(default_section=SECTION, interpolation=None)
    parser.read_string(text)
    return parser


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return an INI text with these values in its default section; all else stays, comments too.

    Where the text is written in a way that this cannot edit, configparser writes it anew: every
    value is kept then, comments are not.
    """
    wanted = parsed(text)
    wanted[SECTION].update(values)
    edited = _edited(text, values)
    try:
        if _contents(parsed(edited)) == _contents(wanted):
            return edited
    except configparser.Error:
        pass
    anew = io.StringIO()
    wanted.write(anew)
    return anew.getvalue()


def _edited(text: str, values: Mapping[str, str]) -> str:
    """Replace the lines that set the values; add what is missing below the section's header."""
    missing = dict(values)
    lines: list[str] = []
    place: int | None = None
    inside = replaced = False
    for line in text.split("\n"):
        if header := re.match(r"\[(.+)\]", line):
            inside, replaced = header[1] == SECTION, False
        elif inside and (key := re.match(r"([^\s=:#;][^=:]*?)\s*[=:]", line)):
            name = key[1].lower()
            replaced = name in values
            if replaced:
                lines.append(_line(name, missing.pop(name, "")))
                continue
        elif replaced and line[:1] in (" ", "\t"):
            continue  # the old value went on here
        lines.append(line)
        if header and inside and place is None:
            place = len(lines)
    added = [_line(name, value) for name, value in missing.items()]
    if place is None:
        return "\n".join([f"[{SECTION}]", *added, *([""] if text else []), *lines])
    return "\n".join([*lines[:place], *added, *lines[place:]])


def _line(name: str, value: str) -> str:
    return f"{name} = {value}".rstrip()


def _contents(parser: configparser.ConfigParser) -> dict[str, Any]:
    return {name: dict(section) for name, section in parser.items()}


def write(path: Path, text: str) -> CapsuleError | None:
    """Put a file in place in one step, for its owner's eyes only; return what went wrong.

    A write that fails or is killed leaves the old file whole.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.")  # 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(target)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        return _unwritable(path, error.strerror)
    return None


def unwritable(path: Path) -> CapsuleError | None:
    """Say beforehand, without changing anything, that `write` would fail for its folder."""
    folder = Path(os.path.realpath(path)).parent
    nearest = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    if not nearest.is_dir():
        return _unwritable(path, os.strerror(errno.ENOTDIR))
    if not os.access(nearest, os.W_OK | os.X_OK):
        return _unwritable(path, os.strerror(errno.EACCES))
    return None


def _unwritable(path: Path, why: str | None) -> CredentialsError:
    return CredentialsError(
        f"{path} cannot be written ({why}): make its folder writable, or name another file in "
        "CONFIG_PATH."
    )
