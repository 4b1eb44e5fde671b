"""The workspace tokens that a recording must not contain."""

from __future__ import annotations

import configparser
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["known_tokens"]

_LEVELS = 3  # of attributes: client, transport, settings


def known_tokens(client: Any = None) -> set[str]:
    """Return the tokens of a client, of the environment and of ``config.ini``."""
    found = {os.environ.get("CAPSULE_TOKEN", ""), *_of_config(), *_of_attributes(client, _LEVELS)}
    return {str(token).strip() for token in found} - {""}


def _of_config() -> Iterator[str]:
    config = configparser.ConfigParser(default_section="default", interpolation=None)
    with contextlib.suppress(OSError, RuntimeError, configparser.Error, UnicodeDecodeError):
        path = os.environ.get("CONFIG_PATH") or "~/.capsule/config.ini"
        config.read(Path(path).expanduser(), encoding="utf-8-sig")  # editors may write a BOM
    for section in (config.default_section, *config.sections()):
        yield config[section].get("token") or ""


def _of_attributes(value: Any, levels: int) -> Iterator[str]:
    """Find strings named ``token`` among the attributes of a client.

    Neither client has a public attribute for its token, which an app may repeat in a reply.
    """
    for name, attribute in getattr(value, "__dict__", {}).items():
        if isinstance(attribute, str) and "token" in name:
            yield attribute
        elif levels and type(attribute).__module__.partition(".")[0] in ("cpsl", "cpsl_notebook"):
            yield from _of_attributes(attribute, levels - 1)
