"""Sources of the settings, proxies and certificates, and sharing a client."""

import contextlib
import dataclasses
import datetime
import os
import subprocess
import sys
import textwrap
import threading

import pytest
import trustme
from gateway import APP, TEST_TIMEOUT, TOKEN, Gateway, GrpcGateway, Proxy, as_json
from hypothesis import given, settings
from hypothesis import strategies as st

import cpsl
from cpsl.config import config_path, is_loopback, load
from cpsl.login import begin
from cpsl.options import Options
from cpsl.timeouts import Timeout

LIVE = ("https://api.capsule.new", "gateway.capsule.new:443")
HERE, HERE_TOO = "http://127.0.0.1:8081", "http://127.0.0.1:9091"


@pytest.fixture
def found(tmp_path, recwarn):
    """Load settings from arguments, variables and the text of a file."""

    def find(arguments=None, variables=None, file=None):
        path = tmp_path / "config.ini"
        if file is not None:
            path.write_text(file)
            path.chmod(0o600)
        return load(**(arguments or {}), environ={"CONFIG_PATH": str(path), **(variables or {})})

    return find


def ini(**values):
    return "\n".join(["[default]", *(f"{name} = {value}" for name, value in values.items())])


FILE = ini(token="f", gateway_host="127.0.0.1", gateway_port=7070)
FILE_URL = "http://127.0.0.1:7071"
FOUND = {
    "arguments": ({"token": "a", "gateway_url": HERE}, {}, FILE, "a", HERE),
    "arguments before variables": (
        {"token": "a", "gateway_url": HERE},
        {"CAPSULE_TOKEN": "e", "CAPSULE_HTTP_URL": HERE_TOO},
        FILE,
        "a",
        HERE,
    ),
    "variables before the file": (
        {},
        {"CAPSULE_TOKEN": "e", "CAPSULE_HTTP_URL": HERE},
        FILE,
        "e",
        HERE,
    ),
    "the file": ({}, {}, FILE, "f", FILE_URL),
    "token alone belongs to the live service": ({"token": "a"}, {}, None, "a", LIVE[0]),
    "variable alone too": ({}, {"CAPSULE_TOKEN": "e"}, None, "e", LIVE[0]),
    "file alone too": ({}, {}, ini(token="f"), "f", LIVE[0]),
    "empty addresses are not set": (
        {"gateway_url": ""},
        {"CAPSULE_HTTP_URL": "", "CAPSULE_GATEWAY_URL": " ", "CAPSULE_HTTP_PORT": ""},
        ini(token="f", gateway_host="", gateway_http_port=""),
        "f",
        LIVE[0],
    ),
    "the same gateway named twice": (
        {"gateway_url": HERE},
        {"CAPSULE_TOKEN": "e", "CAPSULE_HTTP_URL": HERE},
        None,
        "e",
        HERE,
    ),
}


@pytest.mark.parametrize(
    ("arguments", "variables", "file", "token", "url"), FOUND.values(), ids=FOUND
)
def test_credentials_come_from_the_source_that_takes_precedence(
    found, arguments, variables, file, token, url
):
    settings = found(arguments, variables, file)
    assert (str(settings.token), settings.http_url) == (token, url)


REFUSED = {
    "an argument's gateway, a variable's token": (
        {"gateway_url": HERE},
        {"CAPSULE_TOKEN": "e"},
        None,
    ),
    "an argument's gateway, the file's token": ({"gateway_url": HERE}, {}, FILE),
    "a variable's gateway, the file's token": ({}, {"CAPSULE_HTTP_URL": HERE}, FILE),
    "a variable's port, the file's token": ({}, {"CAPSULE_HTTP_PORT": "9"}, FILE),
    "an argument's token, a variable's gateway": ({"token": "a"}, {"CAPSULE_HTTP_URL": HERE}, None),
    "an argument's token, the file's gateway": ({"token": "a"}, {}, FILE),
    "a variable's token, the file's gateway": ({}, {"CAPSULE_TOKEN": "e"}, FILE),
    "an argument's gRPC, a variable's token": (
        {"gateway_url": HERE, "grpc_target": "127.0.0.1:1"},
        {"CAPSULE_TOKEN": "e", "CAPSULE_HTTP_URL": HERE},
        None,
    ),
    "no token": ({"gateway_url": HERE}, {"CAPSULE_HTTP_URL": HERE}, ini(gateway_host="a")),
    "no token anywhere": ({}, {}, None),
}


@pytest.mark.parametrize(("arguments", "variables", "file"), REFUSED.values(), ids=REFUSED)
def test_token_is_refused_with_the_gateway_of_another_source(found, arguments, variables, file):
    with pytest.raises(cpsl.CredentialsError):
        found(arguments, variables, file)


# Variables, the HTTP base URL and the gRPC target.
ADDRESSES = [
    ({}, *LIVE),
    ({"CAPSULE_GATEWAY_URL": "gateway.capsule.new"}, *LIVE),
    ({"CAPSULE_GATEWAY_URL": "gateway.capsule.new:443"}, *LIVE),
    ({"CAPSULE_GATEWAY_URL": "example.com"}, "https://example.com", "example.com:443"),
    ({"CAPSULE_GATEWAY_URL": "example.com:443"}, "https://example.com", "example.com:443"),
    ({"CAPSULE_GATEWAY_URL": "example.com:80"}, "http://example.com", "example.com:80"),
    ({"CAPSULE_GATEWAY_URL": "127.0.0.1:8080"}, "http://127.0.0.1:8081", "127.0.0.1:8080"),
    ({"CAPSULE_GATEWAY_URL": "[::1]:8080"}, "http://[::1]:8081", "[::1]:8080"),
    (
        {"CAPSULE_GATEWAY_URL": "example.com:8080", "CAPSULE_HTTP_PORT": "443"},
        "https://example.com",
        "example.com:8080",
    ),
    (
        {"CAPSULE_GATEWAY_URL": "127.0.0.1:8080", "CAPSULE_HTTP_PORT": "9000"},
        "http://127.0.0.1:9000",
        "127.0.0.1:8080",
    ),
    (
        {"CAPSULE_GATEWAY_URL": "127.0.0.1:8080", "CAPSULE_HTTP_URL": "http://127.0.0.1:9/x/"},
        "http://127.0.0.1:9/x",
        "127.0.0.1:8080",
    ),
    ({"CAPSULE_HTTP_URL": "https://api.capsule.new/"}, *LIVE),
    ({"CAPSULE_HTTP_URL": "https://example.com"}, "https://example.com", "example.com:443"),
    ({"CAPSULE_HTTP_URL": "http://127.0.0.1:8081"}, "http://127.0.0.1:8081", "127.0.0.1:8080"),
    ({"CAPSULE_HTTP_URL": "http://[::1]:8081"}, "http://[::1]:8081", "[::1]:8080"),
]


@pytest.mark.parametrize(("variables", "url", "target"), ADDRESSES)
def test_addresses_are_derived_from_variables(found, variables, url, target):
    settings = found({}, {"CAPSULE_TOKEN": "e", **variables})
    assert (settings.http_url, settings.grpc_target) == (url, target)


def test_addresses_are_derived_from_the_official_clis_file(found):
    def both(**values):
        settings = found(file=ini(token="f", **values))
        return settings.http_url, settings.grpc_target

    assert both(gateway_host="gateway.capsule.new", gateway_port=443, gateway_http_port="") == LIVE
    assert both(gateway_host="::1", gateway_port=7070) == ("http://[::1]:7071", "[::1]:7070")
    assert both(gateway_host="a.example", gateway_port=1, gateway_http_port=443) == (
        "https://a.example",
        "a.example:1",
    )


def test_values_of_the_file_are_not_interpolated(found):
    assert str(found(file=ini(token="100%(x)s;#")).token) == "100%(x)s;#"


def test_grpc_target_can_be_given(found):
    arguments = {"token": "a", "gateway_url": HERE, "grpc_target": "127.0.0.1:5"}
    assert found(arguments).grpc_target == "127.0.0.1:5"
    alone = found({"token": "a", "grpc_target": "127.0.0.1:5"})
    assert (alone.http_url, alone.grpc_target) == ("http://127.0.0.1:6", "127.0.0.1:5")


@pytest.mark.parametrize(
    "variables",
    [
        {"CAPSULE_HTTP_URL": "api.capsule.new"},
        {"CAPSULE_HTTP_URL": "https://"},
        {"CAPSULE_HTTP_URL": "https://example.com:0"},
        {"CAPSULE_HTTP_URL": "https://example.com:70000"},
        {"CAPSULE_HTTP_URL": "https://example.com:x"},
        {"CAPSULE_HTTP_URL": "https://example.com/?q"},
        {"CAPSULE_HTTP_URL": "https://user@example.com"},
        {"CAPSULE_GATEWAY_URL": "https://example.com"},
        {"CAPSULE_GATEWAY_URL": "user@example.com:443"},
        {"CAPSULE_GATEWAY_URL": "example.com:x"},
        {"CAPSULE_GATEWAY_URL": "unix:/tmp/x"},
        {"CAPSULE_GATEWAY_URL": "dns:///example.com"},
        {"CAPSULE_GATEWAY_URL": "a.example,127.0.0.1:80"},
        {"CAPSULE_HTTP_PORT": "x"},
        {"CAPSULE_HTTP_PORT": "65536"},
        {"CAPSULE_HTTP_PORT": "0"},
        {"CAPSULE_HTTP_URL": "http://[::::]"},
        {"CAPSULE_GATEWAY_URL": "[::::]:80"},
        {"CAPSULE_GATEWAY_URL": "127.0.0.1:0"},
        {"CAPSULE_GATEWAY_URL": "127.0.0.1:99999"},
        {"CAPSULE_GATEWAY_URL": "127.0.0.1:65535"},  # the HTTP port would be 65536
    ],
)
def test_invalid_address_is_refused(found, variables):
    with pytest.raises(cpsl.InvalidRequestError):
        found({}, {"CAPSULE_TOKEN": "e", **variables})


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"CAPSULE_GATEWAY_URL": "127.0.0.1:99999"},
            "Invalid gateway address '127.0.0.1:99999' in CAPSULE_GATEWAY_URL: use host:port with a "
            "port of at most 65535.",
        ),
        (
            {"CAPSULE_GATEWAY_URL": "https://a.example"},
            "Invalid gateway address 'https://a.example' in CAPSULE_GATEWAY_URL: use host:port with "
            "a port of at most 65535.",
        ),
        (
            {"CAPSULE_GATEWAY_URL": "a.example:65535"},
            "Invalid gateway address 'a.example:65535' in CAPSULE_GATEWAY_URL: use a port below "
            "65535, because the HTTP port is one higher.",
        ),
        (
            {"CAPSULE_GATEWAY_URL": "a.example:80", "CAPSULE_HTTP_PORT": "x"},
            "Invalid HTTP port 'x' in CAPSULE_HTTP_PORT: use a number of at most 65535.",
        ),
        (
            {"CAPSULE_HTTP_URL": "a.example"},
            "Invalid gateway URL 'a.example' in CAPSULE_HTTP_URL: use a base URL such as "
            "https://api.capsule.new.",
        ),
    ],
)
@pytest.mark.parametrize("token", [{}, {"CAPSULE_TOKEN": "e"}])
def test_invalid_address_names_its_variable(found, variables, message, token):
    with pytest.raises(cpsl.InvalidRequestError) as caught:
        found({}, token | variables, FILE)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gateway_host": "a b"}, "Invalid gateway address 'a b' in {path}: use host:port"),
        ({"gateway_host": "[::::]"}, "Invalid gateway address '[::::]' in {path}: use host:port"),
        (
            {"gateway_host": "a", "gateway_port": "x"},
            "Invalid gateway address 'a:x' in {path}: use host:port",
        ),
        (
            {"gateway_host": "a", "gateway_http_port": "99999"},
            "Invalid HTTP port '99999' in {path}: use a number",
        ),
    ],
)
def test_invalid_address_names_its_file(found, tmp_path, values, message):
    with pytest.raises(cpsl.InvalidRequestError) as caught:
        found(file=ini(token="f", **values))
    assert str(caught.value).startswith(message.format(path=tmp_path / "config.ini"))


def test_invalid_address_argument_names_no_variable():
    with pytest.raises(
        cpsl.InvalidRequestError, match="Invalid gateway URL 'a_example': use a base URL"
    ):
        load("a-token", "a_example", environ={})
    with pytest.raises(cpsl.InvalidRequestError, match="Invalid gateway address 'a:x': use host"):
        load("a-token", grpc_target="a:x", environ={})


def test_highest_port_needs_an_http_port(found):
    variables = {"CAPSULE_GATEWAY_URL": "127.0.0.1:65535", "CAPSULE_HTTP_PORT": "65534"}
    settings = found({}, {"CAPSULE_TOKEN": "e", **variables})
    assert settings.http_url == "http://127.0.0.1:65534"
    with pytest.raises(cpsl.InvalidRequestError, match="65535"):
        found({"token": "a", "grpc_target": "127.0.0.1:65536"})


@settings(max_examples=300, deadline=None)
@given(st.text("a.-_:[]09fFx%/~@ é", max_size=12))
def test_any_address_is_accepted_by_the_network_libraries_or_refused(address):
    for arguments in ({"gateway_url": f"https://{address}"}, {"grpc_target": address}):
        with contextlib.suppress(cpsl.InvalidRequestError):
            cpsl.Client("a-token", **arguments, allow_insecure=True)


def test_address_in_a_message_hides_what_precedes_an_at_sign(found):
    for variable, value in (("URL", "user:secret@a.example"), ("URL", "https://u:secret@b")):
        with pytest.raises(cpsl.InvalidRequestError) as caught:
            found({}, {"CAPSULE_TOKEN": "e", f"CAPSULE_GATEWAY_{variable}": value})
        assert "secret" not in str(caught.value)


# Empty, quoted and padded values.


@pytest.mark.parametrize("empty", ["", "  ", "\n", "''", '" "'])
def test_empty_token_does_not_use_another_login(found, empty):
    with pytest.raises(cpsl.CredentialsError, match="argument token is empty"):
        found({"token": empty}, {"CAPSULE_TOKEN": "e"}, FILE)
    with pytest.raises(cpsl.CredentialsError, match="CAPSULE_TOKEN is set but empty"):
        found({}, {"CAPSULE_TOKEN": empty}, FILE)
    arguments = {"token": "a", "gateway_url": HERE}
    assert str(found(arguments, {"CAPSULE_TOKEN": empty}, FILE).token) == "a"


@pytest.mark.parametrize("value", ["'t-1'", '"t-1"', " t-1\r\n", " ' t-1 ' "])
def test_quotes_and_white_space_around_a_token_are_removed(found, value):
    assert str(found({"token": value}).token) == "t-1"
    assert str(found({}, {"CAPSULE_TOKEN": value}).token) == "t-1"
    assert str(found(file=ini(token=value.strip())).token) == "t-1"


def test_white_space_around_addresses_is_removed(found):
    assert found({"token": "a", "gateway_url": f" {HERE}/\n"}).http_url == HERE
    variables = {"CAPSULE_GATEWAY_URL": " 127.0.0.1:8080\n", "CAPSULE_HTTP_PORT": " 9 "}
    assert found({}, {"CAPSULE_TOKEN": "e", **variables}).http_url == "http://127.0.0.1:9"


# Files that cannot be read.


def test_file_may_begin_with_a_byte_order_mark(found, tmp_path):
    (tmp_path / "config.ini").write_text("\ufeff" + FILE, encoding="utf-8")
    (tmp_path / "config.ini").chmod(0o600)
    assert found().http_url == FILE_URL


@pytest.mark.parametrize("kind", ["folder", "below a file", "no permission"])
def test_unreadable_file_counts_as_absent_if_there_is_a_token(found, tmp_path, monkeypatch, kind):
    path = tmp_path / "config.ini"
    if kind == "folder":
        path.mkdir()
    elif kind == "below a file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "file" / "config.ini"))
    else:

        def refuse(*args, **kwargs):
            raise PermissionError

        monkeypatch.setattr("pathlib.Path.read_text", refuse)  # root may read every file
    assert found({"token": "a"}).http_url == LIVE[0]
    assert found({}, {"CAPSULE_TOKEN": "e"}).http_url == LIVE[0]
    if kind != "below a file":
        with pytest.raises(cpsl.CredentialsError, match=r"Cannot read .*config\.ini"):
            found()


def test_home_of_another_user_does_not_matter_with_a_token(tmp_path):
    home = tmp_path / "home"
    (home / ".capsule").mkdir(parents=True)
    (home / ".capsule" / "config.ini").write_text(FILE)
    home.chmod(0o700)
    tmp_path.chmod(0o755)
    script = """if True:
        import os, cpsl
        cpsl.Client  # imported while the interpreter's own files can be read
        if os.geteuid() == 0:
            os.setgid(65534), os.setuid(65534)  # HOME stays that of root
        print(cpsl.Client(token="a").gateway_url)
    """
    environ = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    del environ["CONFIG_PATH"]
    if os.geteuid() != 0:
        home.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], env=environ, capture_output=True, text=True
        )
    finally:
        home.chmod(0o700)
    assert (done.stdout.strip(), done.stderr) == (LIVE[0], "")


def test_invalid_file_is_an_error_with_its_path(found, tmp_path):
    with pytest.raises(cpsl.CredentialsError, match=r"Cannot read .*config\.ini"):
        found(file="[default\n")
    (tmp_path / "config.ini").write_bytes(b"[default]\ntoken = \xff\n")
    with pytest.raises(cpsl.CredentialsError, match=r"Cannot read .*config\.ini"):
        found()


def test_file_that_is_not_needed_is_not_read(found):
    assert found({"token": "a", "gateway_url": HERE}, {}, "[default\n").http_url == HERE


def test_config_path_variable_sets_the_file(monkeypatch, tmp_path):
    assert config_path({"CONFIG_PATH": "/x/y.ini"}).as_posix() == "/x/y.ini"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path({}) == tmp_path / ".capsule" / "config.ini"
    assert config_path({"CONFIG_PATH": "~/y.ini"}) == tmp_path / "y.ini"


@pytest.fixture
def homeless(monkeypatch):
    """A process whose user has no home folder, as in some containers."""
    for name in ("HOME", "CONFIG_PATH"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


def test_missing_home_folder_is_not_an_error_with_a_token(homeless, monkeypatch):
    with pytest.raises(cpsl.CredentialsError, match="No credentials"):
        cpsl.Client()
    monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
    assert cpsl.Client().gateway_url == LIVE[0]


def test_login_without_a_home_folder_asks_for_config_path(homeless):
    with pytest.raises(cpsl.CredentialsError, match="set CONFIG_PATH"):
        begin("127.0.0.1:9")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST.", "::1", "[::1]"]
)
def test_loopback_hosts_are_recognized(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "localhost.example.com", "127.0.0.1.", "0.0.0.0", "10.0.0.1", "::", "127.1", "1"],
)
def test_other_hosts_are_not_loopback(host):
    assert not is_loopback(host)


# Proxies and certificates.


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_ca_certificates_come_from_the_environment(authority, monkeypatch, tmp_path, variable):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with Gateway(authority) as gateway:
        with cpsl.Client(TOKEN, gateway.url) as client, pytest.raises(cpsl.TLSError):
            client.chat(APP, "hello")
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        with cpsl.Client(TOKEN, gateway.url) as client:
            assert client.chat(APP, "hello").text == "You said hello"


def test_missing_ca_file_is_a_tls_error(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    client = cpsl.Client(TOKEN, "https://127.0.0.1:9", grpc_target="127.0.0.1:443")
    with pytest.raises(cpsl.TLSError, match=r"none\.pem"):
        client.chat(APP, "hello")
    with pytest.raises(cpsl.TLSError, match=r"none\.pem"):
        client.list_apps()


def test_invalid_ca_file_is_a_tls_error(authority, monkeypatch, tmp_path):
    (tmp_path / "none.pem").write_text("nonsense")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with Gateway(authority) as gateway, pytest.raises(cpsl.TLSError, match="REQUESTS_CA_BUNDLE"):
        cpsl.Client(TOKEN, gateway.url).chat(APP, "hello")
    grpc_gateway = GrpcGateway()
    with (
        grpc_gateway.serving(authority),
        Proxy(int(grpc_gateway.target.rpartition(":")[2])) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(cpsl.TLSError, match="REQUESTS_CA_BUNDLE"):
            cpsl.Client(TOKEN, "https://gateway.example").list_apps()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_is_used_for_http_and_grpc(authority, monkeypatch, variable):
    grpc_gateway = GrpcGateway()
    with Gateway(authority) as gateway, grpc_gateway.serving(authority):
        with Proxy(gateway.port) as proxy:
            monkeypatch.setenv(variable, proxy.url)
            with cpsl.Client(TOKEN, "https://gateway.example") as client:
                assert client.chat(APP, "hello").text == "You said hello"
                assert [c.text for c in client.stream(APP, "hello")] == ["You said ", "hello", ""]
        with Proxy(int(grpc_gateway.target.rpartition(":")[2])) as grpc_proxy:
            monkeypatch.setenv(variable, grpc_proxy.url)
            apps = cpsl.Client(TOKEN, "https://gateway.example").list_apps()
    assert [app["id"] for app in apps] == [APP]
    assert proxy.asked[0].startswith("CONNECT gateway.example:443 ")
    assert grpc_proxy.asked[0].startswith("CONNECT gateway.example:443 ")


UNTRUSTED = {
    "unknown authority": (trustme.CA, {}),
    "expired": (None, {"not_after": datetime.datetime(2020, 1, 1)}),
    "other host": (None, {"names": ["other.example"]}),
}


@pytest.mark.parametrize(("signer", "cert"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_untrusted_grpc_certificate_is_not_retried(authority, monkeypatch, signer, cert):
    grpc_gateway = GrpcGateway()
    with (
        grpc_gateway.serving(signer() if signer else authority, **cert),
        Proxy(int(grpc_gateway.target.rpartition(":")[2])) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(cpsl.TLSError, match="REQUESTS_CA_BUNDLE"):
            cpsl.Client(TOKEN, "https://gateway.example").list_apps()
        assert proxy.accepted == 1
    assert grpc_gateway.count == 0


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_no_proxy_is_respected(monkeypatch, case):
    with Proxy() as proxy:
        monkeypatch.setenv(case("HTTPS_PROXY"), proxy.url)
        monkeypatch.setenv("NO_PROXY", "gateway.invalid")
        client = cpsl.Client(TOKEN, "https://gateway.invalid", max_retries=0, timeout=(5, 5))
        with pytest.raises(cpsl.CapsuleError):
            client.chat(APP, "hello")
        with pytest.raises(cpsl.CapsuleError):
            client.list_apps()
        assert proxy.accepted == 0


def test_refusing_proxy_is_a_connection_error(monkeypatch):
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = cpsl.Client(TOKEN, "https://gateway.example", max_retries=0)
        with pytest.raises(cpsl.CannotConnectError, match="proxy"):
            client.chat(APP, "hello")


# Sharing a client.


def test_options_have_the_documented_defaults():
    documented = Options(
        timeout=Timeout(connect=5, read=120),
        max_retries=2,
        max_answer_bytes=1024**3,
        max_reply_bytes=64 * 1024**2,
        max_event_bytes=16 * 1024**2,
        max_url_bytes=8192,
        allow_insecure=False,
        pickle_token=False,
    )
    with cpsl.Client(TOKEN) as client:
        assert client._options == documented
    given = dataclasses.asdict(documented) | {"timeout": (1, 2), "max_retries": 7}
    with cpsl.Client(TOKEN, **given) as client:
        assert client._options == dataclasses.replace(
            documented, timeout=Timeout(connect=1, read=2), max_retries=7
        )
        assert client._transport.options is client._options


def test_connections_are_reused():
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        for number in range(10):
            client.chat(APP, f"{number}")
            client.get_app(APP)
        assert gateway.accepted == 1


def test_threads_may_share_a_client():
    def talk(name):
        for number in range(20):
            text = f"{name}, {number}"
            assert client.chat(APP, text).text == f"You said {text}"
            assert "".join(chunk.text for chunk in client.stream(APP, text)) == f"You said {text}"
        finished.append(name)

    finished: list[int] = []
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        threads = [threading.Thread(target=talk, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TEST_TIMEOUT)
        assert sorted(finished) == list(range(8))
        assert set(gateway.messages.values()) == {2}
        assert (
            gateway.accepted < 80
        )  # of 320 requests; a stream whose end arrives late is not reused
        gateway.wait_until_disconnected()  # a thread's connections end with it


def test_closed_client_connects_again():
    with Gateway() as gateway:
        client = cpsl.Client(TOKEN, gateway.url)
        for _ in range(2):
            client.chat(APP, "hello")
            client.close()
            gateway.wait_until_disconnected()
        assert gateway.accepted == 2


def test_dropped_client_closes_its_connections():
    with Gateway() as gateway:
        client = cpsl.Client(TOKEN, gateway.url)
        client.chat(APP, "hello")
        del client  # without a garbage collection: there is no cycle
        gateway.wait_until_disconnected()


def test_kept_error_does_not_keep_a_connection_of_an_ended_thread():
    def ask():
        try:
            list(client.stream(APP, "hello"))
        except cpsl.ProtocolError as error:
            kept.append(error)

    kept: list[Exception] = []
    with Gateway() as gateway:
        gateway.on("stream", as_json([]))
        client = cpsl.Client(TOKEN, gateway.url)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(TEST_TIMEOUT)
        assert len(kept) == 1
        gateway.wait_until_disconnected()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_process_opens_its_own_connections():
    script = """
        import os, sys, cpsl
        client = cpsl.Client(sys.argv[1], sys.argv[2], grpc_target=sys.argv[3])
        client.chat("support-ops", "parent, before")
        child = os.fork()
        if not child:
            for number in range(20):
                assert client.chat("support-ops", f"child {number}").text == f"You said child {number}"
            assert len(client.list_apps()) == 1
            os._exit(7)
        for number in range(20):
            assert client.chat("support-ops", f"parent {number}").text == f"You said parent {number}"
        assert len(client.list_apps()) == 1
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    """
    with Gateway() as gateway, GrpcGateway().serving() as grpc_gateway:
        gateway.otherwise = lambda r: as_json({"replies": [{"text": f"You said {r.text}"}]})
        arguments = [TOKEN, gateway.url, grpc_gateway.target]
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *arguments],
            check=True,
            timeout=TEST_TIMEOUT * 2,
        )
    used = {
        name: {r.connection for r in gateway.requests if r.text.startswith(name)}
        for name in ("parent", "child")
    }
    assert len(gateway.requests) == 41
    assert {name: len(numbers) for name, numbers in used.items()} == {"parent": 1, "child": 1}
    assert used["parent"] != used["child"]
