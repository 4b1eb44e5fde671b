"""Fixtures of the tests in JupyterLab."""

import pytest
from lab import browser_page


@pytest.fixture(scope="module")
def page():
    with browser_page() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def pictures(root):
    """The folder for screenshots."""
    made = root / "build" / "screenshots"
    made.mkdir(parents=True, exist_ok=True)
    return made
