"""Fixtures of the sweeps: a fast gateway, and a client of it."""

import pytest
from fast_gateway import TOKEN, FastGateway

import cpsl


@pytest.fixture
def gateway(monkeypatch):
    """A gateway that answers at once; processes find it in their environment."""
    with FastGateway() as started:
        for name, value in started.environ.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.fixture
def store(tmp_path):
    return tmp_path / "answers.db"


@pytest.fixture
def client(gateway):
    with cpsl.Client(token=TOKEN, gateway_url=gateway.url) as connected:
        yield connected
