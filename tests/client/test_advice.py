"""The advice in messages of the client and of the command ``cpsl`` works if followed literally."""

import io
import pickle
import re
import shlex
import subprocess
import warnings

import pytest
from gateway import APP, TOKEN, Gateway, GrpcGateway, failed, streamed, words

import cpsl
from cpsl import login, smoke
from cpsl.__main__ import main
from cpsl.config import load
from cpsl.messages import message

NAMES = ["deal-desk", "diet-coach", "sales", "My App"]


def command(text):
    """Return the shell command in a message."""
    return re.search("`(.*?)`", text)[1]


@pytest.fixture
def stored(monkeypatch, tmp_path, workspace):
    """A login to the local workspace, in a folder whose name has a space and a quote."""
    path = tmp_path / "it's my folder" / "config.ini"
    monkeypatch.setenv("CONFIG_PATH", str(path))
    login.store_token(workspace.token, workspace.grpc_address)
    return path


def test_chmod_in_the_warning_protects_the_file(stored):
    stored.chmod(0o644)
    with pytest.warns(UserWarning, match="Other users can read the token") as caught:
        load()
    subprocess.run(command(str(caught[0].message)), shell=True, check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load().source == str(stored)


def test_command_for_a_refused_token_logs_in_to_the_same_gateway(
    stored, workspace, monkeypatch, capsys
):
    stored.write_text(stored.read_text().replace(workspace.token, "old-token"))
    assert main(["status"]) == 2
    advised = shlex.split(command(capsys.readouterr().err))
    assert advised == ["cpsl", "login", "--gateway", workspace.grpc_address]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(workspace.token.encode())))
    assert main([*advised[1:], "--token-stdin"]) == 0
    assert main(["status"]) == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "file", "advice"),
    [
        ({"token": "a"}, {}, "", "pass another token"),
        ({}, {"CAPSULE_TOKEN": "a"}, "", "set CAPSULE_TOKEN to another token"),
        ({}, {}, "token = a", "run `cpsl login`"),
        (
            {},
            {},
            "token = a\ngateway_host = ::1\ngateway_port = 80",
            "run `cpsl login --gateway '[::1]:80'`",
        ),
        (
            {},
            {},
            "token = a\ngateway_host = b\ngateway_port = 9\ngateway_http_port = 5",
            "log in to that gateway again",
        ),
    ],
)
def test_advice_on_a_refused_token_depends_on_its_source(
    arguments, variables, file, advice, tmp_path
):
    path = tmp_path / "config.ini"
    path.write_text(f"[default]\n{file}\n")
    path.chmod(0o600)
    assert load(environ={"CONFIG_PATH": str(path), **variables}, **arguments).advice == advice


@pytest.mark.parametrize("setting", ["argument", "variable"])
def test_variables_for_a_gateway_without_a_token_work(setting, monkeypatch):
    with Gateway() as gateway:
        given = {"gateway_url": gateway.url} if setting == "argument" else {}
        if setting == "variable":
            monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        with pytest.raises(cpsl.CredentialsError) as caught:
            cpsl.Client(**given)
        advice = f"set CAPSULE_TOKEN and CAPSULE_HTTP_URL={gateway.url}"
        assert str(caught.value) == f"No credentials for {gateway.url}: {advice}."
        monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        with cpsl.Client(**given) as client:
            assert client.get_app(APP)["name"] == "support-ops"


def test_login_is_advised_if_it_goes_to_the_gateway_of_the_variables(monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", "127.0.0.1:9")
    with pytest.raises(cpsl.CredentialsError, match=r"^No credentials: run `cpsl login`, or set"):
        cpsl.Client()


def test_different_grpc_gateways_are_named(monkeypatch):
    monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
    monkeypatch.setenv("CAPSULE_HTTP_URL", "http://127.0.0.1:81")
    with pytest.raises(cpsl.CredentialsError) as caught:
        cpsl.Client(grpc_target="127.0.0.1:9", gateway_url="http://127.0.0.1:81")
    assert str(caught.value).startswith(
        "The token from the CAPSULE_* variables belongs to 127.0.0.1:80, but the gateway from the "
        "arguments is 127.0.0.1:9: set both in the same place"
    )


def test_variables_for_a_client_without_its_token_work(monkeypatch):
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        copied = pickle.loads(pickle.dumps(client))
        with pytest.raises(cpsl.CredentialsError) as caught:
            copied.get_app(APP)
        assert str(caught.value) == (
            f"This client was pickled without its token, and this process has none for {gateway.url}: "
            "set CAPSULE_TOKEN and CAPSULE_HTTP_URL here, or pickle a Client(pickle_token=True)."
        )
        monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        assert copied.get_app(APP)["name"] == "support-ops"


def test_single_character_of_an_interrupted_reply_is_singular():
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        gateway.on("stream", streamed(*words("a"), framing="close"))
        with pytest.raises(cpsl.StreamInterrupted, match=r"; 1 character had arrived\. Send the"):
            list(client.stream(APP, "hi"))


def test_network_that_requires_a_login_is_named():
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        gateway.on("chat", failed(511, "log in first"))
        with pytest.raises(cpsl.GatewayError) as caught:
            client.chat(APP, "hi")
    assert str(caught.value) == (
        "The network requires a login (511): log in first. Open a web page in a browser to log in."
    )


@pytest.mark.parametrize(
    ("token", "line"),
    [
        (lambda: None, "The token function did not return a str: return the token as a str."),
        (lambda: " ", "The token function returned an empty str: return a token."),
        (
            "",
            "The argument token is empty: pass a token, or omit it to use CAPSULE_TOKEN or the stored "
            "login.",
        ),
    ],
)
def test_empty_token_is_refused(token, line):
    with pytest.raises(cpsl.CredentialsError) as caught:
        cpsl.Client(token)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("deal-des", "did you mean 'deal-desk'?"),
        ("my app", "did you mean 'My App'?"),
        ("dealer", "it has 'My App', 'deal-desk', 'diet-coach', 'sales'."),
        ("sales-bot", "it has 'My App', 'deal-desk', 'diet-coach', 'sales'."),
    ],
)
def test_only_close_names_are_suggested(name, hint):
    apps = [message("App")(id=APP, name=each) for each in NAMES]
    with GrpcGateway([{"apps": apps}]).serving() as grpc, Gateway() as gateway:
        client = cpsl.Client(TOKEN, gateway.url, grpc_target=grpc.target)
        with client, pytest.raises(cpsl.AppNotFoundError) as caught:
            client.get_app(name)
    assert str(caught.value) == f"No app {name!r} in this workspace: {hint}"


def test_a_long_list_of_apps_says_how_many_more_there_are():
    apps = [message("App")(id=APP, name=f"app-{n:02d}") for n in range(12)]
    with GrpcGateway([{"apps": apps}]).serving() as grpc, Gateway() as gateway:
        client = cpsl.Client(TOKEN, gateway.url, grpc_target=grpc.target)
        with client, pytest.raises(cpsl.AppNotFoundError, match=r"'app-09' and 2 more\.$"):
            client.get_app("zzz")


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        (["apps", "--jsn"], "apps"),
        (["apps", "more"], "apps"),
        (["chat", "echo", "two", "words"], "chat"),
        (["chat", "echo", ""], "chat"),
        (["smoke", "echo", "--max-seconds", "soon"], "smoke"),
        (["login", "--gateway"], "login"),
    ],
)
def test_help_of_the_command_is_named(arguments, about, capsys):
    assert main(arguments) == 2
    advised = shlex.split(command(capsys.readouterr().err))
    assert main(advised[1:]) == 0
    assert capsys.readouterr().out.startswith(f"usage: cpsl {about} ")


WRONG = [5, b"text", ["a"]]


@pytest.mark.parametrize("value", [*WRONG, None])
@pytest.mark.parametrize(
    "call",
    [
        lambda client, value: client.get_app(value),
        lambda client, value: client.chat(value, "hi"),
        lambda client, value: client.chat(APP, value),
        lambda client, value: client.stream(APP, value),
        lambda client, value: client.create_checkout(APP, value),
        lambda client, value: login.begin(value),
        lambda client, value: login.store_token(TOKEN, value),
    ],
)
def test_wrong_type_is_an_error_of_the_client(call, value):
    client = cpsl.Client(TOKEN, "http://127.0.0.1:9")
    with pytest.raises(cpsl.InvalidRequestError, match=r"^Invalid .*(Pass|use) a str"):
        call(client, value)


@pytest.mark.parametrize("option", ["allow_insecure", "pickle_token"])
@pytest.mark.parametrize("value", ["0", 0, "no"])
def test_switch_must_be_a_bool(option, value):
    with pytest.raises(cpsl.InvalidRequestError, match=f"^Invalid {option} .*: use True or False"):
        cpsl.Client(TOKEN, "http://127.0.0.1:9", **{option: value})


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b"tok", "The token must be a str, not bytes: pass token.decode()."),
        (5, "The token must be a str, not int: pass a str."),
    ],
)
@pytest.mark.parametrize("use", [cpsl.Client, login.store_token])
def test_token_of_a_wrong_type_is_refused(use, value, line):
    with pytest.raises(cpsl.CredentialsError) as caught:
        use(value)
    assert str(caught.value) == line


def test_functions_and_patterns_are_checked_before_anything_is_sent():
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        with pytest.raises(cpsl.InvalidRequestError, match="Invalid progress 5: pass a function"):
            client.read_payments(APP, progress=5)
        with pytest.raises(cpsl.InvalidRequestError, match=r"'4': pass re\.compile\('4'\)"):
            smoke.smoke(client, APP, expect="4")
        with pytest.raises(cpsl.InvalidRequestError, match="Invalid max_seconds None"):
            smoke.smoke(client, APP, max_seconds=None)
        pending = login.Login(client._transport.settings, "id", "https://a.example", False)
        with pytest.raises(cpsl.InvalidRequestError, match="Invalid timeout '5'"):
            pending.wait(timeout="5")
        with pytest.raises(cpsl.InvalidRequestError, match="Invalid interval '5'"):
            pending.wait(interval="5")
        with pytest.raises(cpsl.InvalidRequestError, match="Invalid on_tick 5"):
            pending.wait(5)
        assert gateway.requests == []
