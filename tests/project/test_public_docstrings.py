"""The docstrings of everything that users call: parameters, results and an example."""

import importlib
import inspect

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import cpsl
import cpsl_notebook
from cpsl_notebook import local
from cpsl_notebook.earnings.accessor import Earnings
from cpsl_notebook.earnings.plots.plotter import Plots


def exported(package, names):
    for name in names:
        value = getattr(package, name)
        if inspect.isclass(value) and not issubclass(value, Exception):
            yield from methods(value, f"{package.__name__}.{name}")
        elif inspect.isfunction(value):
            yield f"{package.__name__}.{name}", value


def methods(cls, name):
    for method, value in inspect.getmembers(cls, inspect.isfunction):
        if not method.startswith("_"):
            yield f"{name}.{method}", value


FUNCTIONS = dict(
    [
        *exported(cpsl, cpsl.__all__),
        *exported(cpsl_notebook, sorted({*cpsl_notebook.__all__} - {"load_ipython_extension"})),
        *exported(local, local.__all__),
        *methods(Earnings, "payments.capsule"),
        *methods(Plots, "payments.capsule.plot"),
    ]
)
CLASSES = [cpsl.Client, cpsl_notebook.Client, cpsl_notebook.Reply, local.Workspace]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_function_documents_its_parameters_and_result(name):
    function = FUNCTIONS[name]
    doc = FunctionDoc(function)
    documented = {
        part.strip(" *\\")
        for parameter in doc["Parameters"] + doc["Other Parameters"]
        for part in parameter.name.split(",")
    }
    taken = set(inspect.signature(function).parameters)
    assert taken - {"self", "earnings", "plots"} <= documented  # what the accessor passes
    assert all(parameter.type for parameter in doc["Parameters"])
    returns = inspect.signature(function).return_annotation
    if returns not in ("None", None, inspect.Signature.empty):
        assert doc["Returns"] or doc["Yields"] or doc["Summary"][0].startswith("Return")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_public_class_has_an_example(cls):
    assert ClassDoc(cls)["Examples"]


def test_exported_names_can_be_imported():
    for package in (cpsl, cpsl_notebook):
        for name in package.__all__:
            assert getattr(importlib.import_module(package.__name__), name) is not None
