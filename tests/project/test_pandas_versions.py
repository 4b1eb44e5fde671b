"""The tests of frames and earnings, run again with pandas 2.2 instead of the pinned version."""

import os
import subprocess
import sys

import pytest
from environments import CI, ROOT, NotInstalledError, environment


@pytest.fixture(scope="module")
def environ():
    """Environment variables that put pandas 2.2 before the pinned version."""
    try:
        python = environment("pandas-2.2", "--no-deps", "pandas==2.2.*", "pytz")
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    return os.environ | {"PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"}


def test_environment_has_pandas_2_2(environ):
    command = [sys.executable, "-c", "import pandas; print(pandas.__version__)"]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("2.2.")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("package", "options"),
    [
        ("frames", []),
        ("earnings", ["-m", "not hypothesis"]),  # its property tests take minutes
    ],
)
def test_package_passes_with_pandas_2_2(environ, package, options):
    tests = [
        str(path)
        for path in sorted((ROOT / "tests" / package).rglob("test_*.py"))
        if "matplotlib" not in path.read_text()
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *options]
    ran = subprocess.run([*command, *tests], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]  # 5 if it ran no tests
