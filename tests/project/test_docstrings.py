"""The examples in docstrings: they run, and the functions that users call have one."""

import doctest
import importlib
import inspect

import pytest
from environments import ROOT

import cpsl
import cpsl_notebook
from cpsl_notebook import local

MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("cpsl", "cpsl_notebook")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_produce_the_documented_output(name):
    results = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert results.attempted > 0
    assert results.failed == 0


CLIENT_METHODS = "list_apps get_app create_checkout list_payments get_earnings chat stream".split()


@pytest.mark.parametrize(
    "function",
    [
        *(getattr(cpsl.Client, name) for name in CLIENT_METHODS),
        cpsl_notebook.ask,
        cpsl_notebook.Reply.json,
        local.start,
        local.Workspace.app,
    ],
    ids=lambda function: function.__qualname__,
)
def test_public_function_has_an_example(function):
    assert "\nExamples\n--------\n" in inspect.getdoc(function)
