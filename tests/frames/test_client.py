"""The notebook client: what importing it loads, and what it passes on to `cpsl.Client`."""

import subprocess
import sys

import pytest

from cpsl_notebook import Client, UserError


def test_importing_client_loads_accessor_without_display_or_plots():
    code = """
import sys
from cpsl_notebook import Client
import pandas
assert hasattr(pandas.DataFrame, "capsule")
unwanted = (
    "matplotlib", "ipywidgets", "markdown_it",
    "cpsl_notebook.display", "cpsl_notebook.magics", "cpsl_notebook.reply",
    "cpsl_notebook.conversation", "cpsl_notebook.prompt", "cpsl_notebook.local",
)
print(*(name for name in unwanted if name in sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_importing_frames_does_not_load_earnings():
    code = "import sys, cpsl_notebook.frames; print('cpsl_notebook.earnings' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


class Core:
    """A client that records its calls and has no connections to close."""

    gateway_url = "https://gateway.example"

    def __init__(self):
        self.calls = []

    def list_apps(self):
        return [{"id": "0", "name": "shop", "hostname": "h"}]

    def get_app(self, name):
        self.calls.append(("get_app", name))
        return {"app": {"id": "0", "name": name}}

    def create_checkout(self, app, return_url):
        self.calls.append(("create_checkout", app, return_url))
        return "https://pay.example"

    def chat(self, app, text, session_id, **options):
        self.calls.append(("chat", app, text, session_id, options))
        return "reply"

    def stream(self, app, text, session_id, **options):
        self.calls.append(("stream", app, text, session_id, options))
        return iter(["reply"])


def test_calls_are_passed_to_wrapped_client():
    core = Core()
    with Client(core) as client:
        assert client.get_app("shop") == {"id": "0", "name": "shop"}
        assert client.create_checkout("shop", "https://back.example") == "https://pay.example"
        assert client.chat("shop", "hello", "s1", timeout=5) == "reply"
        assert list(client.stream("shop", "hello")) == ["reply"]
    assert core.calls == [
        ("get_app", "shop"),
        ("create_checkout", "shop", "https://back.example"),
        ("chat", "shop", "hello", "s1", {"timeout": 5}),
        ("stream", "shop", "hello", None, {}),
    ]


def test_repr_names_gateway():
    assert repr(Client(Core())) == "<cpsl_notebook.Client of https://gateway.example>"


def test_known_apps_are_names_of_last_listing():
    client = Client(Core())
    assert client.known_apps() == []
    assert client.list_apps()["name"].tolist() == client.known_apps() == ["shop"]


def test_directory_maps_names_to_ids():
    core = Core()
    client = Client(core, directory=lambda: [{"id": "42", "name": "shop", "hostname": "h"}])
    client.get_app("shop")
    assert core.calls == [("get_app", "42")]
    assert client.known_apps() == ["shop"]
    with pytest.raises(UserError, match=r"'shp'.*[Dd]id you mean .?shop"):
        client.get_app("shp")
