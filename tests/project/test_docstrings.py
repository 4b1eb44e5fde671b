"""The examples of the docstrings, run."""

import doctest
import importlib
import pkgutil

import pytest

import cpsl
import cpsl_notebook

NAMES = [
    module.name
    for package in (cpsl, cpsl_notebook)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_module_say_what_it_does(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples_to_run():
    found = (doctest.DocTestFinder().find(importlib.import_module(name)) for name in NAMES)
    assert sum(len(test.examples) for tests in found for test in tests) > 20
