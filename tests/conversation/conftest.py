"""A shell for the tests of conversations."""

import pytest
from shells import new_shell


@pytest.fixture
def shell(workspace, monkeypatch):
    """A shell that uses the local workspace, in a notebook of its own."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started
