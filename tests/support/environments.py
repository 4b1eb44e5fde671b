"""Virtual environments beside the one that runs: with the official SDK, or as Binder makes it.

They are kept under ``build/environments``, and made anew where what they are made from has changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CI = os.environ.get("CI") == "true"
SDK = "cpsl==0.3.181"  # the official one
_MADE_FROM = (
    "pyproject.toml",
    "cpsl/pyproject.toml",
    "requirements.lock",
    "binder/requirements.txt",
)


class NotInstalledError(Exception):
    """A package cannot be had here."""


def environment(name: str, *installs: str, ours: tuple[str, ...] = ()) -> Path:
    """Make, or find, a virtual environment, bring our packages in it up to date; return its Python."""
    made_from = [*installs, *((ROOT / file).read_text() for file in _MADE_FROM)]
    digest = hashlib.sha256(repr(made_from).encode()).hexdigest()
    folder = ROOT / "build" / "environments" / name
    mark = folder / "made-from"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        _install(folder, *installs)
        mark.write_text(digest)
    if ours:
        _install(folder, "--no-deps", "--force-reinstall", *ours)
    return folder / "bin" / "python"


def _install(folder: Path, *what: str) -> None:
    # What is never imported need not be compiled: that takes half the time.
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    installed = subprocess.run([*pip, *what], cwd=ROOT, capture_output=True, text=True)
    if installed.returncode:
        raise NotInstalledError(f"{' '.join(what)} cannot be installed: {installed.stderr[-300:]}")
