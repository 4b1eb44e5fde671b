"""The notebook client: DataFrames with their origin, progress, and calls of the wrapped client."""

import datetime as dt
import pickle
import threading
from typing import get_args

import pandas as pd
import pytest
from gateway import APP, TOKEN, Answer, Gateway, as_json, failed, interrupted_when

import cpsl
from cpsl_notebook import Client, UserError, progress, recording, replay
from cpsl_notebook.frames.payment_columns import PAYMENT_COLUMNS
from cpsl_notebook.front_end import FrontEnd


def types(df):
    return {name: str(dtype) for name, dtype in df.dtypes.items()}


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


def test_apps_with_and_without_payments_combine(workspace):
    df = workspace.client().list_payments("diet-coach", "deal-desk")
    assert set(df["app"]) == {"deal-desk"}
    assert types(workspace.client().list_payments("diet-coach")) == PAYMENT_COLUMNS


def test_attrs_name_origin_of_rows(workspace):
    for read in ("list_payments", "get_earnings"):
        df = getattr(workspace.client(), read)("support-ops", "deal-desk")
        evidence = df.attrs.pop("read", None)
        assert (evidence is None) == (read == "get_earnings")
        assert df.attrs == {
            "app": "support-ops, deal-desk",
            "gateway": workspace.http_url,
            "read_at": "2026-10-31T23:59:59Z",  # the clock of the local workspace stands still
            "currency": "USD",
            "window": "",
            "unparsed": "0",
        }


def test_read_at_is_start_of_reading(workspace):
    core, app = workspace.client().core, workspace.client().reference("deal-desk")
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    read_at = dt.datetime.fromisoformat(Client(core).list_payments(app).attrs["read_at"])
    assert before <= read_at <= dt.datetime.now(dt.UTC)


def test_attrs_and_types_survive_parquet_and_pickle(tmp_path, workspace):
    df = workspace.client().list_payments("deal-desk")
    df.to_parquet(tmp_path / "payments.parquet")
    for again in (pd.read_parquet(tmp_path / "payments.parquet"), pickle.loads(pickle.dumps(df))):
        assert again.attrs == df.attrs and types(again) == types(df)
        pd.testing.assert_frame_equal(
            again.astype(df.dtypes), df
        )  # pandas 2.2 changes string storage


def test_overridden_list_payments_is_called(workspace):
    class Audited(cpsl.Client):
        def list_payments(self, app):
            return [{"id": "mine"}]

    with Audited(token=workspace.token, gateway_url=workspace.http_url) as core:
        assert Client(core).list_payments("deal-desk")["id"].tolist() == ["mine"]


def show_bar_at_once(monkeypatch):
    """Show the progress bar at once, as in a terminal."""
    monkeypatch.setattr(progress, "_OPTIONS", progress._OPTIONS | {"delay": 0, "mininterval": 0})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)


def test_long_reading_of_one_app_shows_its_bytes(workspace, monkeypatch, capsys):
    show_bar_at_once(monkeypatch)
    workspace.client().list_payments("support-ops")
    shown = capsys.readouterr().err
    assert "Reading support-ops: 100%" in shown and "B/s]" in shown
    assert shown.endswith(" \r")  # the bar is removed from the terminal


@pytest.mark.parametrize("what", ["payments", "earnings"])
def test_long_reading_of_several_apps_shows_one_bar(workspace, monkeypatch, capsys, what):
    show_bar_at_once(monkeypatch)
    read = {"payments": "list_payments", "earnings": "get_earnings"}[what]
    getattr(workspace.client(), read)()
    shown = capsys.readouterr().err
    assert f"Reading {what}: 100%" in shown and "| 3/3 [" in shown and " apps/s" in shown
    assert (" MB]" in shown) == (what == "payments")
    assert shown.endswith(" \r")
    assert shown.count("\n") == 0


@pytest.mark.parametrize("where", get_args(FrontEnd))
def test_reading_shows_its_progress_where_output_is_updated(workspace, monkeypatch, capsys, where):
    show_bar_at_once(monkeypatch)
    monkeypatch.setattr(progress, "front_end", lambda: where)
    workspace.client().get_earnings()
    shown = capsys.readouterr()
    assert ("Reading earnings: 100%" in shown.out) == (where in ("widget", "console"))
    assert ("Reading earnings: 100%" in shown.err) == (where == "text")


def test_short_reading_shows_nothing(workspace, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    workspace.client().list_payments("deal-desk")
    assert capsys.readouterr().err == ""


def test_payments_of_all_or_some_apps_have_app_column(workspace):
    client = workspace.client()
    several = [(), ("support-ops",), ("deal-desk",), ("support-ops", "deal-desk")]
    read = {apps: client.list_payments(*apps) for apps in several}
    for apps, df in read.items():
        assert df.columns[0] == "app" and str(df["app"].dtype) == "category"
        assert set(df["app"]) == set(apps or ("support-ops", "deal-desk"))
    assert len(read[()]) == len(read["support-ops", "deal-desk"]) > len(read["support-ops",]) > 0
    assert client.list_payments("deal-desk", "deal-desk").equals(read["deal-desk",])


@pytest.mark.parametrize("read", ["list_payments", "get_earnings"])
def test_failure_of_one_app_fails_the_call(read):
    other = "00000000-0000-4000-8000-000000000002"
    with Gateway() as gateway, cpsl.Client(token=TOKEN, gateway_url=gateway.url) as core:
        success = {"list_payments": [{"id": "a"}], "get_earnings": {"net_cents": 1}}[read]
        gateway.on(read, as_json(success), failed(500))
        with pytest.raises(cpsl.GatewayError):
            getattr(Client(core), read)(APP, other)
        assert gateway.count(read) == 2


def test_earnings_have_one_row_per_app_and_default_index(workspace):
    client = workspace.client()
    df = client.get_earnings("support-ops", "deal-desk")
    assert list(df["app"]) == ["support-ops", "deal-desk"] and list(df.index) == [0, 1]
    assert str(df["net_cents"].dtype) == "Int64"
    for app in df["app"]:
        assert df.set_index("app").loc[app, "net_cents"] == (
            client.list_payments(app)["net_cents"].sum()
        )
    assert len(client.get_earnings("support-ops")) == 1
    assert len(client.get_earnings()) == len(client.list_apps())


APPS = [f"00000000-0000-4000-8000-{number:012}" for number in range(17)]


def _pair(read, value):
    return {"list_payments": [{"id": value}], "get_earnings": {"id": value}}[read]


@pytest.mark.parametrize("read", ["list_payments", "get_earnings"])
def test_eight_apps_are_read_at_the_same_time_and_results_keep_their_order(read):
    """The gateway answers the 16 apps after the first in rounds, when eight requests wait."""
    rounds = [threading.Event() for _ in range(3)]

    def answer(request):
        app = request.path.split("/")[-2]
        place = request.number - 2
        if place % 8 == 7:
            rounds[place // 8].set()
        return Answer([rounds[place // 8], *as_json(_pair(read, app)).parts])

    rounds[-1].set()  # for the first app, whose place is -1
    with Gateway() as gateway, cpsl.Client(token=TOKEN, gateway_url=gateway.url) as core:
        gateway.otherwise = answer
        frame = getattr(Client(core), read)(*APPS)
        assert gateway.accepted <= 1 + 8  # each of them keeps its connection
    assert frame["app"].tolist() == frame["id"].tolist() == APPS
    assert frame.attrs["app"] == ", ".join(APPS)


def test_prices_of_several_apps_are_read_too():
    with Gateway() as gateway, cpsl.Client(token=TOKEN, gateway_url=gateway.url) as core:
        gateway.otherwise = lambda request: as_json(
            [{"id": request.path, "amount": 15}]
            if request.call == "list_payments"
            else {"price_in_cents": 1500}
        )
        frame = Client(core).list_payments(*APPS)
    assert frame.attrs["prices"] == str(dict.fromkeys(APPS, 1500)).replace("'", '"')


def test_failure_of_an_app_ends_reading():
    with Gateway() as gateway, cpsl.Client(token=TOKEN, gateway_url=gateway.url) as core:
        gateway.otherwise = lambda request: (
            failed(500) if APPS[2] in request.path else as_json([{"id": "a"}])
        )
        with pytest.raises(cpsl.GatewayError):
            Client(core).list_payments(*APPS)
        gateway.otherwise = lambda request: as_json([{"id": "a"}])
        assert len(Client(core).list_payments(*APPS)) == len(APPS)
        assert gateway.count("list_payments") <= 3 + 8 + len(APPS)


def test_interrupt_ends_reading_of_several_apps():
    never = threading.Event()
    with Gateway() as gateway, cpsl.Client(token=TOKEN, gateway_url=gateway.url) as core:
        gateway.otherwise = lambda request: (
            as_json([{"id": "a"}]) if request.number == 1 else Answer([never])
        )
        nine = interrupted_when(
            lambda: gateway.wait_for(lambda: gateway.count("list_payments") == 9), KeyboardInterrupt
        )
        with nine, pytest.raises(KeyboardInterrupt):
            Client(core).list_payments(*APPS)
        gateway.otherwise = lambda request: as_json([{"id": "b"}])
        assert Client(core).list_payments(*APPS)["id"].tolist() == ["b"] * len(APPS)


def test_all_apps_can_be_recorded_and_replayed(workspace, tmp_path):
    file = tmp_path / "apps.jsonl"
    with recording(file, workspace.client()):
        recorded = [workspace.client().list_payments(), workspace.client().get_earnings()]
    client = Client(replay(file))
    for frame, again in zip(recorded, [client.list_payments(), client.get_earnings()], strict=True):
        pd.testing.assert_frame_equal(frame, again)
        assert frame.attrs == again.attrs
