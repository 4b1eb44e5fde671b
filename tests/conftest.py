"""Fixtures for all tests: a local workspace, and isolation from the developer's own settings."""

import os
import signal
from pathlib import Path

import pytest

import cpsl
from cpsl_notebook import local

# A background job of a shell ignores SIGINT, and so would the processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_real_login(monkeypatch, tmp_path):
    """Hide the developer's login and settings, and keep files out of the home folder."""
    for name in list(os.environ):
        if name.startswith("CAPSULE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "none" / "config.ini"))
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "capsule"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A local workspace, shared by a module's tests."""
    with local.start(tmp_path_factory.mktemp("workspace") / "data", pace=0) as started:
        yield started


@pytest.fixture
def client(workspace):
    """A `cpsl.Client` for the local workspace."""
    with cpsl.Client(token=workspace.token, gateway_url=workspace.http_url) as connected:
        yield connected


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parent.parent
