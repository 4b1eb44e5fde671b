"""The settings of a notebook, which ``%config CapsuleMagics`` changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cpsl_notebook.reproducible import is_reproducible

__all__ = ["MAX_TIMEOUT", "Settings"]

MAX_TIMEOUT = 1_000_000.0  # seconds; sockets refuse much larger numbers


@dataclass
class Settings:
    """The values of ``%config CapsuleMagics``; `CapsuleMagics` documents them."""

    app: str = ""
    timeout: float | None = None
    display: str = "auto"
    resume: bool = False
    remote_images: bool = False
    math: bool = False
    reproducible: bool = field(default_factory=is_reproducible)
