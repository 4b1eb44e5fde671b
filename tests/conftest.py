"""What the tests share: a local workspace, and an environment that no real login can reach."""

import os
import signal
from pathlib import Path

import pytest

import cpsl
from cpsl_notebook import local

# A job in the background of a shell ignores interrupts, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_real_login(monkeypatch, tmp_path):
    """Keep a developer's own settings out of every test, and the tests' files out of the home."""
    for name in list(os.environ):
        if name.startswith("CAPSULE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "none" / "config.ini"))
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "capsule"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A local workspace: one for each module, since tests add apps to it."""
    with local.start(tmp_path_factory.mktemp("workspace") / "data", pace=0) as started:
        yield started


@pytest.fixture
def client(workspace):
    """A `cpsl.Client` of the local workspace."""
    with cpsl.Client(token=workspace.token, gateway_url=workspace.http_url) as connected:
        yield connected


@pytest.fixture
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parent.parent
