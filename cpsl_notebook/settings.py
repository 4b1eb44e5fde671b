"""The settings of a notebook, as ``%config CapsuleMagics`` changes them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LONGEST_SILENCE", "Settings"]

LONGEST_SILENCE = 1_000_000.0  # seconds; what waits for a socket takes no number of any size


@dataclass
class Settings:
    """What ``%config CapsuleMagics`` sets, which documents it."""

    app: str = ""
    timeout: float | None = None
    display: str = "auto"
    resume: bool = False
    remote_images: bool = False
