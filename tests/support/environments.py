"""Separate virtual environments for tests: with the official SDK, with pandas 2.2, as on Binder.

They are kept under ``build/environments`` and rebuilt when their requirements change.
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
_REQUIREMENTS = (
    "pyproject.toml",
    "cpsl/pyproject.toml",
    "requirements.lock",
    "binder/requirements.txt",
)


class NotInstalledError(Exception):
    """A package could not be installed."""


def environment(name: str, *packages: str, ours: tuple[str, ...] = ()) -> Path:
    """Return the Python of a virtual environment.

    Parameters
    ----------
    name
        The name of its folder.
    packages
        Arguments of ``pip install``, run when the environment is created.
    ours
        Our own distributions, which are installed again in every call.

    Raises
    ------
    NotInstalledError
        pip failed, for instance because there is no network.
    """
    requirements = [*packages, *((ROOT / file).read_text() for file in _REQUIREMENTS)]
    digest = hashlib.sha256(repr(requirements).encode()).hexdigest()
    folder = ROOT / "build" / "environments" / name
    stamp = folder / "requirements.sha256"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        _install(folder, *packages)
        stamp.write_text(digest)
    if ours:
        _install(folder, "--no-deps", "--force-reinstall", *ours)
    return folder / "bin" / "python"


def _install(folder: Path, *packages: str) -> None:
    # Most modules are never imported, and compiling them takes half of the time.
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    installed = subprocess.run([*pip, *packages], cwd=ROOT, capture_output=True, text=True)
    if installed.returncode:
        raise NotInstalledError(f"Cannot install {' '.join(packages)}: {installed.stderr[-300:]}")
