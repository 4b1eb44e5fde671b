"""A gateway for the tests of recordings, and a client for it."""

import pytest
from gateway import TOKEN, Gateway

import cpsl


@pytest.fixture
def gateway():
    with Gateway() as served:
        yield served


@pytest.fixture
def live(gateway):
    with cpsl.Client(token=TOKEN, gateway_url=gateway.url, max_retries=0) as client:
        yield client
