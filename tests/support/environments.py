"""Separate virtual environments for tests: with the official SDK, with pandas 2.2, as on a host.

They are kept under ``build/environments`` and rebuilt when their requirements change.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import uv

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


def environment(
    name: str, *packages: str, ours: tuple[str, ...] = (), python: Path | None = None
) -> Path:
    """Return the Python of a virtual environment.

    Parameters
    ----------
    name
        The name of its folder.
    packages
        Arguments of ``uv pip install``, run when the environment is created.
    ours
        Our own distributions, which are installed again in every call.
    python
        The Python of the environment; by default, this one.

    Raises
    ------
    NotInstalledError
        A package cannot be installed, for instance because there is no network.
    """
    files = [ROOT / file for file in (*_REQUIREMENTS, *packages) if (ROOT / file).is_file()]
    requirements = [str(python), *packages, *(file.read_text() for file in files)]
    digest = hashlib.sha256(repr(requirements).encode()).hexdigest()
    folder = ROOT / "build" / "environments" / name
    stamp = folder / "requirements.sha256"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        run_uv("venv", "--python", str(python or sys.executable), str(folder))
        install(folder / "bin" / "python", *packages)
        stamp.write_text(digest)
    if ours:
        install(folder / "bin" / "python", "--no-deps", "--reinstall", *ours)
    return folder / "bin" / "python"


def install(python: Path, *packages: str) -> None:
    """Install packages into the environment of a Python, as ``pip install`` does."""
    run_uv("pip", "install", "--python", str(python), *packages)


def run_uv(*arguments: str) -> str:
    """Run uv in the root of the repository; return what it printed."""
    command = [uv.find_uv_bin(), *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ran.returncode:
        raise NotInstalledError(f"uv {' '.join(arguments)} failed: {ran.stderr[-500:]}")
    return ran.stdout


def find_python(version: str) -> Path | None:
    """Return a Python of a version such as ``"3.12"`` that the machine has, also one of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [str(folder) for folder in pyenv.glob(f"versions/{version}.*/bin")]
    command = [uv.find_uv_bin(), "python", "find", "--system", version]
    environ = os.environ | {
        "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    ran = subprocess.run(command, env=environ, capture_output=True, text=True)
    return Path(ran.stdout.strip()) if ran.returncode == 0 else None
