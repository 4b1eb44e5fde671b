"""Fixtures for the tests of the client: a gateway over TCP or TLS, and other waits."""

import pytest
import trustme
from gateway import TEST_TIMEOUT, Gateway

from cpsl import retry, stream


@pytest.fixture
def quick_retries(monkeypatch):
    """Shorten the waits between attempts."""
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.001)


@pytest.fixture
def slow_machine(monkeypatch):
    """Wait for the end of a body as long as a machine under load may need."""
    monkeypatch.setattr(stream, "_BODY_END_TIMEOUT", TEST_TIMEOUT)


@pytest.fixture
def authority(monkeypatch, tmp_path):
    """A certificate authority that clients trust; its certificate is in ``ca.pem``."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def layer():
    """The layer below HTTP: TCP, unless a test or a module sets TLS."""
    return "TCP"


@pytest.fixture
def gateway(layer, request):
    """A gateway without faults."""
    authority = request.getfixturevalue("authority") if layer == "TLS" else None
    with Gateway(authority) as started:
        yield started
