"""The token is sent only to its own gateway and is shown nowhere."""

import copy
import itertools
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import grpc
import pytest
from gateway import (
    APP,
    DONE,
    HOLD,
    TEST_TIMEOUT,
    TOKEN,
    Answer,
    Gateway,
    GrpcGateway,
    Proxy,
    answer,
    as_json,
    cut,
    dropped,
    event,
    failed,
    interrupted_when,
    rate_limited,
    stalled,
    streamed,
    words,
)

import cpsl
from cpsl import config
from cpsl.call import Call
from cpsl.config import Settings
from cpsl.options import Options
from cpsl.timeouts import Timeout
from cpsl.tracebacks import without_frames
from cpsl.transport import Transport

pytestmark = pytest.mark.usefixtures("quick_retries")

CALLS = {
    "get_app": lambda client: client.get_app(APP),
    "get_earnings": lambda client: client.get_earnings(APP),
    "create_checkout": lambda client: client.create_checkout(APP),
    "chat": lambda client: client.chat(APP, "hello"),
    "stream": lambda client: list(client.stream(APP, "hello")),
}


def client_of(gateway, **options):
    """Create a client here, so that no variable of a test holds the token."""
    return cpsl.Client(TOKEN, gateway.url, **options)


def all_of(error):
    """Return everything that a tool may show of an error, local variables included."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join(shown.format()) + repr(error) + repr(vars(error))


def failure_of(call, client):
    """Return everything about the error that a call raises, and its message."""
    with pytest.raises(cpsl.CapsuleError) as caught:
        call(client)
    return all_of(caught.value), str(caught.value)


# Where the token is sent.


@pytest.mark.parametrize("call", CALLS)
def test_every_request_has_the_token(gateway, call):
    with client_of(gateway) as client:
        CALLS[call](client)
    assert {r.headers["Authorization"] for r in gateway.requests} == {f"Bearer {TOKEN}"}


def test_list_apps_sends_the_token():
    with GrpcGateway().serving() as grpc_gateway:
        cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=grpc_gateway.target).list_apps()
    assert grpc_gateway.tokens == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize(
    ("call", "status"),
    [*(("chat", status) for status in (301, 303, 307, 308)), *((call, 302) for call in CALLS)],
)
def test_redirect_is_not_followed(gateway, call, status):
    with Gateway() as elsewhere:
        gateway.on(call, failed(status, Location=f"{elsewhere.url}/api/v1/apps/{APP}"))
        with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="redirect"):
            CALLS[call](client)
        gateway.on(call, failed(status, Location="/here"))
        with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="redirect"):
            CALLS[call](client)
        assert elsewhere.accepted == 0
    assert gateway.count(call) == 2


@pytest.mark.parametrize("call", ["chat", "stream"])
def test_netrc_entry_does_not_replace_the_token(gateway, call, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with client_of(gateway) as client:
        CALLS[call](client)
    assert {r.headers["Authorization"] for r in gateway.requests} == {f"Bearer {TOKEN}"}


@pytest.fixture
def reached(monkeypatch):
    """The hosts of attempted connections; all attempts fail."""
    hosts: list[str] = []

    def getaddrinfo(host, *args, **kwargs):
        hosts.append(host)
        raise ConnectionRefusedError

    def insecure_channel(target, *args, **kwargs):
        hosts.append(target.rpartition(":")[0])
        raise NotImplementedError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(grpc, "insecure_channel", insecure_channel)
    return hosts


NOT_LOOPBACK = [
    "http://example.com",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127.0.0.1\\@example.com",
    "http://127.0.0.1@example.com",
    "http://localhost:80@example.com",
    "http://example.com\\@127.0.0.1",
    "http://example.com#@127.0.0.1",
    "http://example.com?@127.0.0.1",
    "http://127.0.0.1\t.example.com",
    "http://127.0.0.1%2eexample.com",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "http://2130706433",
    "http://[::ffff:8.8.8.8]",
    "http://[fe80::1]",
    "HTTP://EXAMPLE.COM",
    " http://example.com",
    "http:///example.com",
    "//example.com",
    "ftp://example.com",
]


@pytest.mark.parametrize("url", NOT_LOOPBACK)
def test_token_is_not_sent_unencrypted_to_another_machine(url, reached):
    with pytest.raises(cpsl.CapsuleError) as caught:
        cpsl.Client(TOKEN, url).chat(APP, "hello")
    assert TOKEN not in str(caught.value)
    with pytest.raises(cpsl.CapsuleError):
        cpsl.Client(TOKEN, url).list_apps()
    assert reached == []


def transport_of(settings, allow_insecure):
    options = Options(
        timeout=Timeout(),
        max_retries=0,
        max_answer_bytes=9,
        max_reply_bytes=9,
        max_event_bytes=9,
        max_url_bytes=999,
        allow_insecure=allow_insecure,
        pickle_token=False,
    )
    return Transport(settings, options)


@pytest.mark.parametrize("url", NOT_LOOPBACK)
def test_prepared_url_is_checked(url, reached):
    # As if the settings had accepted the address.
    settings = Settings(TOKEN, "http://127.0.0.1", "127.0.0.1:80", "a test")
    transport = transport_of(settings, allow_insecure=False)
    object.__setattr__(settings, "http_url", url)
    with pytest.raises(cpsl.CapsuleError):
        transport.json("GET", "/api/v1/apps/x", check=bool, limit=9, call=Call(Timeout()))
    assert set(reached) <= {"127.0.0.1"}


@pytest.mark.parametrize("url", ["https://example.com", "https://127.0.0.1.example.com"])
def test_token_is_not_sent_to_another_host_over_tls(url, reached):
    settings = Settings(TOKEN, "https://gateway.example", "gateway.example:443", "a test")
    transport = transport_of(settings, allow_insecure=True)
    object.__setattr__(settings, "http_url", url)
    with pytest.raises(cpsl.CredentialsError, match="not sent to"):
        transport.json("GET", "/api/v1/apps/x", check=bool, limit=9, call=Call(Timeout()))
    assert reached == []


def test_without_frames_removes_traceback_cause_and_context():
    def fail():
        try:
            raise ValueError
        except ValueError as error:
            raise KeyError from error

    with pytest.raises(KeyError) as caught:
        fail()
    error = without_frames(caught.value)
    assert error.__traceback__ is error.__cause__ is error.__context__ is None


def test_insecure_gateway_is_refused_by_the_constructor(reached):
    with pytest.raises(cpsl.CredentialsError, match="CAPSULE_ALLOW_INSECURE=1"):
        cpsl.Client(TOKEN, "http://10.0.0.1:8081")


@pytest.mark.parametrize(
    "target", ["10.0.0.1:80", "localhost.example.com:8080", "example.com:8443"]
)
def test_grpc_is_not_used_unencrypted_to_another_machine(target, reached):
    client = cpsl.Client(TOKEN, "https://example.com", grpc_target=target)
    with pytest.raises(cpsl.CredentialsError, match="CAPSULE_ALLOW_INSECURE=1"):
        client.list_apps()
    assert reached == []


@pytest.mark.parametrize("source", ["option", "variable"])
def test_allow_insecure_permits_an_unencrypted_connection(source, reached, monkeypatch):
    if source == "variable":
        monkeypatch.setenv("CAPSULE_ALLOW_INSECURE", "1")
    options = {"allow_insecure": True} if source == "option" else {}
    client = cpsl.Client(TOKEN, "http://10.0.0.1:8081", max_retries=0, **options)
    with pytest.raises(cpsl.CannotConnectError):
        client.get_app(APP)
    with pytest.raises(NotImplementedError):
        client.list_apps()
    assert reached == ["10.0.0.1", "10.0.0.1"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8081", "http://127.8.9.1", "http://localhost:81", "http://[::1]:8081"]
)
def test_loopback_needs_no_permission(url, reached):
    client = cpsl.Client(TOKEN, url, max_retries=0)
    with pytest.raises(cpsl.CannotConnectError):
        client.get_app(APP)
    assert len(reached) == 1


@pytest.mark.parametrize(
    ("variable", "host"),
    [
        *((name, "127.0.0.1") for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GRPC_PROXY")),
        *((name, "localhost") for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")),
    ],
)
def test_loopback_bypasses_proxies(gateway, monkeypatch, variable, host):
    with Proxy() as proxy, GrpcGateway().serving() as grpc_gateway:
        monkeypatch.setenv(variable, proxy.url)
        port = grpc_gateway.target.rpartition(":")[2]
        with cpsl.Client(
            TOKEN, f"http://{host}:{gateway.port}", grpc_target=f"{host}:{port}"
        ) as client:
            client.chat("support-ops", "hello")
            list(client.stream(APP, "hello"))
        assert proxy.accepted == 0


# Where the token is not shown.


def test_repr_does_not_show_the_token(gateway):
    client = client_of(gateway)
    stream = client.stream(APP, "hello")
    objects = [client, stream, client._transport, client._transport.settings, client._options]
    objects += [vars(thing) for thing in objects[:4]]
    assert TOKEN not in repr(objects)
    assert "127.0.0.1" in repr(client)


ECHO = f"you sent Bearer {TOKEN}, which is wrong"
LATE_ECHO = "x" * 290 + TOKEN  # where a long message is shortened
FAULTS = {
    "401": failed(401, ECHO),
    "403": failed(403, ECHO),
    "403, shortened": failed(403, LATE_ECHO),
    "404": failed(404, ECHO),
    "422": failed(422, ECHO),
    "422 in plain text": answer(ECHO.encode(), status=422, Content_Type="text/plain"),
    "500": failed(500, ECHO),
    "503": failed(503, ECHO),
    "429": rate_limited(after=61),
    "header": answer(b"x", Content_Type=f"text/{TOKEN}", X_Request_Id=TOKEN),
    "header of 500": answer(b"x", status=500, X_Request_Id=TOKEN),
    "error with status 200": as_json({"error": {"message": ECHO}}),
    "list": as_json([]),
    "broken JSON": answer(ECHO.encode()),
    "redirect": failed(302, ECHO, Location="http://example.com"),
    "no answer": dropped(),
    "reset": dropped(resets=True),
    "not HTTP": Answer((b"hello\r\n\r\n",), closes=True),
    "half a body": cut(as_json({"a": "b"}), after=-3),
    "invalid gzip": answer(b"no gzip", Content_Encoding="gzip"),
    "no byte": stalled(),
    "no byte in the body": stalled(as_json({"a": "b"}), after=-3),
}
STREAM_FAULTS = {
    "error event": streamed(event({"error": ECHO}, "error")),
    "error event, shortened": streamed(event({"text": LATE_ECHO}, "error")),
    "raw error event": streamed(f"event: error\ndata: {ECHO}\n\n".encode()),
    "broken stream": cut(streamed(*words("one"), DONE), after=-9),
    "silent stream": streamed(*words("one"), HOLD),
    "too large": streamed(b"data: " + b"x" * 200_000),
}
SHOWN = [(call, fault, given) for call in ("chat", "stream") for fault, given in FAULTS.items()]
SHOWN += [
    (call, fault, FAULTS[fault])
    for call in ("get_app", "create_checkout")
    for fault in ("401", "header", "broken JSON", "reset", "half a body", "no byte")
]
SHOWN += [("stream", fault, given) for fault, given in STREAM_FAULTS.items()]


@pytest.mark.parametrize(
    ("call", "given"),
    [pytest.param(call, given, id=f"{call}: {fault}") for call, fault, given in SHOWN],
)
def test_errors_logs_and_tracebacks_do_not_show_the_token(gateway, caplog, call, given):
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    gateway.on(call, *[given] * 3)
    read = 0.1 if HOLD in given.parts else TEST_TIMEOUT
    client = client_of(gateway, timeout=(5, read), max_event_bytes=100_000)
    shown, message = failure_of(CALLS[call], client)
    assert TOKEN not in shown
    assert TOKEN[:12] not in message
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert TOKEN not in caplog.text + repr([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    "given",
    [
        *(code for code in grpc.StatusCode if code is not grpc.StatusCode.OK),
        {"ok": False, "err_msg": ECHO},
        {"ok": False, "err_msg": LATE_ECHO},
        HOLD,
    ],
    ids=lambda given: getattr(given, "name", type(given).__name__),
)
def test_grpc_errors_and_tracebacks_do_not_show_the_token(given, caplog):
    caplog.set_level(logging.DEBUG)
    with GrpcGateway([given] * 3, details=ECHO).serving() as grpc_gateway:
        target, read = grpc_gateway.target, 0.1 if given is HOLD else TEST_TIMEOUT
        client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=target, timeout=(0.1, read))
        shown, message = failure_of(cpsl.Client.list_apps, client)
    assert TOKEN not in shown
    assert TOKEN[:12] not in message
    assert TOKEN not in caplog.text


class Stopped(BaseException):
    """An exception that a program's own signal handler may raise."""


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        *((call, KeyboardInterrupt) for call in (*CALLS, "a stream's body", "list_apps")),
        ("chat", SystemExit),
        ("a stream's body", Stopped),
        ("list_apps", Stopped),
    ],
)
def test_traceback_of_an_interrupt_does_not_show_the_token(gateway, call, kind):
    def request_arrived():
        gateway.wait_for(lambda: gateway.count(on))

    def run():
        if call == "list_apps":
            list_apps_without_an_answer()
        else:
            CALLS[on](client_of(gateway))

    def list_apps_without_an_answer():
        grpc_gateway = GrpcGateway([HOLD])
        with grpc_gateway.serving():
            client = client_of(gateway, grpc_target=grpc_gateway.target)
            grpc_gateway.__class__ = type("Hidden", (GrpcGateway,), {"__repr__": object.__repr__})
            client.get_app(APP)  # tells the other thread to interrupt
            client.list_apps()

    on = {"a stream's body": "stream", "list_apps": "get_app"}.get(call, call)
    if call != "list_apps":
        gateway.on(on, streamed(*words("one"), HOLD) if call != on else stalled())
    with pytest.raises(kind) as caught, interrupted_when(request_arrived, kind):
        run()
    assert TOKEN not in all_of(caught.value)


def test_traceback_of_the_constructor_does_not_show_the_token(monkeypatch, tmp_path):
    def shown_by(**arguments):
        with pytest.raises(cpsl.CapsuleError) as caught:
            cpsl.Client(**arguments)
        return all_of(caught.value)

    file = tmp_path / "config.ini"
    monkeypatch.setenv("CONFIG_PATH", str(file))
    file.write_text(f"token = {TOKEN}\n")  # no section
    file.chmod(0o600)
    assert "MissingSectionHeader" in (shown := shown_by()) and TOKEN not in shown
    file.write_text(f"[default]\ntoken = {TOKEN}\ngateway_host = a b\n")
    assert "Invalid gateway address" in (shown := shown_by()) and TOKEN not in shown
    monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
    assert TOKEN not in shown_by(gateway_url="http://10.0.0.1")
    assert TOKEN not in shown_by(gateway_url="nonsense")
    monkeypatch.setenv("CAPSULE_HTTP_URL", "nonsense")
    assert TOKEN not in shown_by()
    monkeypatch.setenv("CAPSULE_HTTP_URL", "http://10.0.0.1")
    assert TOKEN not in shown_by()


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        *itertools.product(["argument"], ["a b", "a\nb", "tökén", "a\x7f", "a\u200b", "a\x00b"]),
        *itertools.product(["variable", "file"], ["a\nb", "tökén"]),
    ],
)
def test_invalid_token_is_refused_and_not_shown(bad, source, monkeypatch, tmp_path):
    if source == "variable":
        monkeypatch.setenv("CAPSULE_TOKEN", bad)
    if source == "file":
        file = tmp_path / "config.ini"
        file.write_text("[default]\ntoken = " + bad.replace("\n", "\n  "), encoding="utf-8")
        file.chmod(0o600)
        monkeypatch.setenv("CONFIG_PATH", str(file))
    with pytest.raises(cpsl.CredentialsError) as caught:
        cpsl.Client(token=bad if source == "argument" else None)
    assert bad not in str(caught.value)


def test_token_of_bytes_is_refused_and_not_shown():
    with pytest.raises(cpsl.CredentialsError, match="decode") as caught:
        cpsl.Client(token=TOKEN.encode())
    assert TOKEN not in all_of(caught.value)


def test_white_space_around_the_token_is_removed(monkeypatch, gateway):
    monkeypatch.setenv("CAPSULE_TOKEN", f" {TOKEN}\n")
    monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
    cpsl.Client().get_app(APP)
    cpsl.Client(f"{TOKEN}\n", gateway.url).get_app(APP)
    assert {r.headers["Authorization"] for r in gateway.requests} == {f"Bearer {TOKEN}"}


# The file.


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_file_that_others_can_read_is_a_warning(monkeypatch, tmp_path, mode):
    file = tmp_path / "config.ini"
    file.write_text(f"[default]\ntoken = {TOKEN}\n")
    file.chmod(mode)
    monkeypatch.setenv("CONFIG_PATH", str(file))
    with pytest.warns(UserWarning, match="chmod 600") as caught:
        cpsl.Client()
    assert caught[0].filename == __file__
    assert TOKEN not in str(caught[0].message)


# Without chmod, because it would fail: on a read-only mount, and on a file of another user.
READ_ONLY = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
SHOW_WARNING = """if True:
    import os, sys, warnings, cpsl
    cpsl.Client, "".encode("utf-8-sig")  # loaded while the interpreter's own files can be read
    if "other user" in sys.argv and os.geteuid() == 0:
        os.setuid(65534)
    with warnings.catch_warnings(record=True) as caught:
        cpsl.Client()
    print(*[warning.message for warning in caught])
"""


@pytest.mark.parametrize("case", ["read-only mount", "other user"])
def test_warning_does_not_advise_a_chmod_that_would_fail(case):
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    (folder / "config.ini").write_text(f"[default]\ntoken = {TOKEN}\n")
    (folder / "config.ini").chmod(0o644)
    command = [sys.executable, "-c", SHOW_WARNING, case]
    if case == "read-only mount":
        command = [*READ_ONLY, MOUNT, "sh", str(folder), *command]
        if shutil.which("unshare") is None or subprocess.run([*READ_ONLY, "true"]).returncode:
            pytest.skip("this user cannot mount")
    elif os.geteuid() != 0:
        pytest.skip("only root can become another user")
    environ = {**os.environ, "CONFIG_PATH": str(folder / "config.ini")}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
    finally:
        shutil.rmtree(folder)
    assert done.stdout == (
        f"Other users can read the token in {folder / 'config.ini'}: restrict its permissions where "
        "it is created or mounted.\n"
    ), done.stderr


@pytest.mark.parametrize(
    ("text", "mode"), [(f"[default]\ntoken = {TOKEN}\n", 0o600), ("[default]\ntoken =\n", 0o644)]
)
def test_file_that_is_private_or_without_a_token_does_not_warn(
    monkeypatch, tmp_path, recwarn, text, mode
):
    file = tmp_path / "config.ini"
    file.write_text(text)
    file.chmod(mode)
    monkeypatch.setenv("CONFIG_PATH", str(file))
    config._read_file(None, token_needed=True)
    assert not recwarn.list


# Pickling.


def test_pickled_client_does_not_contain_the_token(gateway, monkeypatch):
    pickled = pickle.dumps(client_of(gateway, max_retries=7, timeout=(1, 2)))
    assert TOKEN.encode() not in pickled
    monkeypatch.setenv("CAPSULE_TOKEN", "another-token")
    monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
    copied = pickle.loads(pickled)
    copied.chat(APP, "hello")
    assert gateway.requests[0].headers["Authorization"] == "Bearer another-token"
    assert (copied.gateway_url, copied._options.max_retries) == (gateway.url, 7)
    assert copied._options.timeout == Timeout(1, 2)


def test_unpickled_client_without_credentials_fails_when_it_is_used(gateway):
    copied = pickle.loads(
        pickle.dumps(client_of(gateway))
    )  # an error here would break a process pool
    assert gateway.url in repr(copied)
    for use in (
        copied.list_apps,
        lambda: copied.chat(APP, "hello"),
        lambda: copied.stream(APP, "x"),
    ):
        with pytest.raises(cpsl.CredentialsError):
            use()
    assert gateway.requests == []


def test_unpickled_client_refuses_credentials_of_another_gateway(gateway, monkeypatch):
    copied = pickle.loads(pickle.dumps(client_of(gateway)))
    monkeypatch.setenv("CAPSULE_TOKEN", "another-token")
    with pytest.raises(cpsl.CredentialsError, match="belongs to"):
        copied.chat(APP, "hello")
    with Gateway() as other:
        monkeypatch.setenv("CAPSULE_HTTP_URL", other.url)
        with pytest.raises(cpsl.CredentialsError, match="belongs to"):
            copied.chat(APP, "hello")
        assert gateway.requests == other.requests == []


def test_pickle_token_keeps_the_token(gateway):
    with GrpcGateway().serving() as grpc_gateway:
        client = client_of(gateway, pickle_token=True, grpc_target=grpc_gateway.target)
        copied = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(client))))
        assert copied.chat("support-ops", "hello").text
        assert grpc_gateway.tokens == [f"Bearer {TOKEN}"]
    assert gateway.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(vars(copied))


def test_copy_is_the_client_itself(gateway):
    client = client_of(gateway)
    assert copy.copy(client) is client
    assert copy.deepcopy({"client": client})["client"] is client


def test_proxy_does_not_see_the_token(authority, monkeypatch):
    with Gateway(authority) as gateway, Proxy(gateway.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with cpsl.Client(TOKEN, "https://gateway.example") as client:
            client.chat(APP, "hello")
        assert [line.split()[:2] for line in proxy.asked] == [["CONNECT", "gateway.example:443"]]
        assert gateway.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
