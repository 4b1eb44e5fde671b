"""Type checkers know every public name of the package, and no other."""

import os
import subprocess
import sys

import pytest

import cpsl

CORRECT = """
import cpsl

limit: cpsl.Seconds = (1, 2.5)
client = cpsl.Client("a-token", timeout=limit)
reply: cpsl.ChatResponse = client.chat("support-ops", "hello", timeout=3, max_seconds=4)
stream: cpsl.Stream = client.stream("support-ops", "hello", reply.session_id, timeout=limit)
text: str = "".join(chunk.text for chunk in stream)
try:
    client.list_apps()
except cpsl.RateLimitedError as error:
    wait: float | None = error.retry_after
"""
MISSPELT = "import cpsl\n\ntry:\n    pass\nexcept cpsl.RateLimitError:\n    pass\n"


def check(tool, text, tmp_path, root):
    """Run a type checker on a program; return its exit status and output."""
    (tmp_path / "program.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", *tool, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "MYPYPATH": str(root)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


MYPY = ["mypy", "--strict"]


def test_mypy_accepts_public_names(tmp_path, root):
    assert check(MYPY, CORRECT, tmp_path, root)[0] == 0


def test_mypy_refuses_a_misspelt_name(tmp_path, root):
    status, output = check(MYPY, MISSPELT, tmp_path, root)
    assert status == 1
    assert "RateLimitError" in output


def test_pyright_knows_every_type(tmp_path, root):
    pytest.importorskip("pyright")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]])}

    def pyright(*arguments):
        command = [sys.executable, "-m", "pyright", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)

    if pyright("--version").returncode:
        pytest.skip("pyright cannot run here")
    shown = pyright("--verifytypes", "cpsl", "--ignoreexternal").stdout
    assert "Type completeness score: 100%" in shown
    (tmp_path / "program.py").write_text(CORRECT)
    assert pyright("program.py").returncode == 0
    (tmp_path / "program.py").write_text(MISSPELT)
    assert "RateLimitError" in pyright("program.py").stdout


def test_every_public_name_exists():
    assert all(getattr(cpsl, name) is not None for name in cpsl.__all__)
    assert set(cpsl.__all__) <= set(dir(cpsl))
    with pytest.raises(AttributeError, match="RateLimitError"):
        cpsl.RateLimitError  # noqa: B018
