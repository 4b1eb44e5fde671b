"""The same answers on pandas 2.2 as on the pandas that is pinned: the same tests run on both."""

import os
import subprocess
import sys

import pytest
from environments import CI, ROOT, NotInstalledError, environment

# Those of frames and of what follows from them, but for the pictures.
TESTS = [
    str(path)
    for folder in ("frames", "earnings")
    for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))
    if "matplotlib" not in path.read_text()
]


@pytest.fixture(scope="module")
def environ():
    """An environment with pandas 2.2, and all else as it is pinned."""
    try:
        python = environment("pandas-2.2", "--no-deps", "pandas==2.2.*", "pytz")
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))
    (older,) = python.parent.parent.glob("lib/python*/site-packages")
    return os.environ | {"PYTHONPATH": f"{older}{os.pathsep}{ROOT}"}  # found before the pinned one


def test_the_environment_has_the_version_that_it_is_for(environ):
    command = [sys.executable, "-c", "import pandas; print(pandas.__version__)"]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("2.2.")


@pytest.mark.parametrize("properties", [True, False], ids=["frames", "earnings"])
def test_frames_and_earnings_are_the_same_on_pandas_2_2(environ, properties):
    """Properties are tested of frames alone: those of the rest take minutes."""
    tests = [path for path in TESTS if ("test_frames" in path) == properties]
    chosen = [] if properties else ["-m", "not hypothesis"]
    assert len(tests) == 1 if properties else len(tests) > 5
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen]
    ran = subprocess.run([*command, *tests], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
