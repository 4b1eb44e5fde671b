"""Errors name the cause of a failed connection, and the log shows retries."""

import logging
import os
import socket
import ssl
import subprocess
import sys
import traceback

import grpc
import pytest
import trustme
from gateway import (
    APP,
    TOKEN,
    Gateway,
    GrpcGateway,
    Proxy,
    SocksProxy,
    answer,
    cut,
    dropped,
    failed,
    rate_limited,
    streamed,
    words,
)

import cpsl

pytestmark = pytest.mark.usefixtures("quick_retries")


def failure(error, url="https://gateway.example", **options):
    """Return the error of a message; nothing about it shows the token."""
    with cpsl.Client(TOKEN, url, **options) as client, pytest.raises(error) as caught:
        client.chat(APP, "hello")
    raised = caught.value
    shown = traceback.TracebackException.from_exception(raised, capture_locals=True)
    assert TOKEN not in "".join(shown.format()) + repr([vars(raised), raised.__cause__])
    if raised.__cause__ is not None:
        assert raised.__cause__.__traceback__ is None
        assert TOKEN not in repr(vars(raised.__cause__))
    return raised


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_refused_connection_is_named():
    error = failure(cpsl.CannotConnectError, f"http://127.0.0.1:{closed_port()}")
    assert "(Connection refused)" in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert error.sent is False


def test_reset_connection_is_the_cause():
    with Gateway() as gateway:
        gateway.on("chat", dropped(resets=True))
        error = failure(cpsl.CannotConnectError, gateway.url)
        assert isinstance(error.__cause__, ConnectionResetError)
        assert error.sent is True


@pytest.mark.parametrize("resets", [False, True])
def test_cause_of_an_interrupted_stream_is_kept(resets):
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        gateway.on("stream", cut(streamed(*words("one", "two")), after=-5, resets=resets))
        with pytest.raises(cpsl.StreamInterrupted) as caught:
            list(client.stream(APP, "hello"))
    cause = caught.value.__cause__
    assert cause.__traceback__ is None
    assert "reset by peer" in str(cause) if resets else type(cause) is Exception


def test_unknown_host_is_named(monkeypatch):
    def getaddrinfo(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = failure(cpsl.CannotConnectError)
    assert "(Name or service not known)" in str(error)
    assert isinstance(error.__cause__, socket.gaierror)


# Proxies.


def test_proxy_that_asks_for_a_password_is_named(monkeypatch):
    with Proxy(status=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure(cpsl.CannotConnectError)
        assert len(proxy.asked) == 1  # another attempt would not help
    assert (error.status, error.detail) == (407, "Proxy Authentication Required")
    assert "HTTPS_PROXY" in str(error)
    assert "407" in str(error.__cause__)


def test_proxy_that_fails_is_named(monkeypatch):
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure(cpsl.CannotConnectError)
        assert len(proxy.asked) == 3
    assert (error.status, error.detail) == (502, "Bad Gateway")
    assert "through the proxy (Tunnel connection failed: 502 Bad Gateway)" in str(error)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_proxy_that_refuses_grpc_is_named(monkeypatch, variable):
    with Proxy(status=407) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        client = cpsl.Client(TOKEN, "https://gateway.example")
        with pytest.raises(cpsl.CannotConnectError, match=f"to {variable}, as in") as caught:
            client.list_apps()
    assert caught.value.status == 407
    assert "407" in caught.value.detail
    assert "407" in str(caught.value.__cause__)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_forwarding_proxy_that_asks_for_a_password_is_named(monkeypatch, variable, call):
    with Gateway() as proxy:  # it receives whole URLs, as a proxy does
        monkeypatch.setenv(variable, proxy.url)
        proxy.on(call, answer(b"<html>", status=407, Content_Type="text/html"))
        client = cpsl.Client(TOKEN, "http://gateway.example", allow_insecure=True)
        with client, pytest.raises(cpsl.CannotConnectError) as caught:
            list(getattr(client, call)(APP, "hello"))
        assert proxy.count(call) == 1
        assert proxy.requests[0].headers["Host"] == "gateway.example"
    error = caught.value
    assert f"user and password to {variable}, as in" in str(error)
    assert (error.status, error.detail) == (407, "Proxy Authentication Required")
    assert str(error.__cause__) == "407 Proxy Authentication Required"
    assert error.sent is False


def test_407_with_a_message_of_the_proxy_repeats_it(monkeypatch):
    with Gateway() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        proxy.on("chat", failed(407, "ask the helpdesk"))
        error = failure(cpsl.CannotConnectError, "http://gateway.example", allow_insecure=True)
    assert error.detail == "ask the helpdesk"
    assert "(407 ask the helpdesk)" in str(error)


def test_socks_proxy_without_pysocks_is_named(monkeypatch):
    def missing(*args, **kwargs):  # what requests puts in place without PySocks
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    import requests.adapters

    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:1080")
    assert "pip install pysocks" in str(failure(cpsl.InvalidRequestError))


def test_socks_proxy_is_used(authority, monkeypatch):
    with Gateway(authority) as gateway, SocksProxy(gateway.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("http", "socks5h"))
        with cpsl.Client(TOKEN, "https://gateway.example") as client:
            for number in range(2):
                assert client.chat(APP, f"{number}").text == f"You said {number}"
                assert len(list(client.stream(APP, f"{number}"))) == 3
        assert proxy.hosts == [b"gateway.example"] * 4


# TLS.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_required_client_certificate_is_named(authority, version):
    with Gateway(authority) as gateway:
        gateway._context.verify_mode = ssl.CERT_REQUIRED
        gateway._context.maximum_version = version
        authority.configure_trust(gateway._context)
        error = failure(cpsl.TLSError, gateway.url)
        assert gateway.requests == []
    assert "client certificate" in str(error)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_required_client_certificate_is_named_for_grpc(authority, monkeypatch, version):
    with Gateway(authority) as gateway, Proxy(gateway.port) as proxy:
        gateway._context.verify_mode = ssl.CERT_REQUIRED
        gateway._context.maximum_version = version
        gateway._context.set_alpn_protocols(["h2"])
        authority.configure_trust(gateway._context)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(cpsl.TLSError, match="client certificate") as caught:
            cpsl.Client(TOKEN, "https://gateway.example").list_apps()
        assert proxy.accepted == 1
    assert caught.value.detail in str(caught.value.__cause__)


def test_untrusted_certificate_is_named_for_grpc(authority, monkeypatch):
    grpc_gateway = GrpcGateway()
    with (
        grpc_gateway.serving(trustme.CA()),
        Proxy(int(grpc_gateway.target.split(":")[1])) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(cpsl.TLSError, match="CERTIFICATE_VERIFY_FAILED"):
            cpsl.Client(TOKEN, "https://gateway.example").list_apps()


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nx\n"])
def test_damaged_ca_file_is_named(monkeypatch, tmp_path, content):
    (tmp_path / "broken.pem").write_text(content)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "broken.pem"))
    error = failure(cpsl.TLSError)
    assert f"SSL_CERT_FILE is set to {tmp_path / 'broken.pem'}, which has no valid cert" in str(
        error
    )
    with pytest.raises(cpsl.TLSError, match="no valid certificates"):
        cpsl.Client(TOKEN, "https://gateway.example").list_apps()


# gRPC and the log.


def test_grpc_error_names_its_cause():
    target = f"127.0.0.1:{closed_port()}"
    client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=target, max_retries=0)
    with pytest.raises(cpsl.CannotConnectError, match="Connection refused") as caught:
        client.list_apps()
    assert "Connection refused" in caught.value.detail
    cause = caught.value.__cause__
    assert isinstance(cause, grpc.RpcError)
    assert str(cause).startswith("UNAVAILABLE: ")
    assert "Connection refused" in str(cause)
    assert cause.__traceback__ is None


def test_cause_of_a_grpc_error_does_not_show_the_token():
    answers = GrpcGateway([grpc.StatusCode.UNAVAILABLE], details=f"bad token {TOKEN}")
    with answers.serving() as gateway:
        client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=gateway.target, max_retries=0)
        with pytest.raises(cpsl.CannotConnectError) as caught:
            client.list_apps()
    assert str(caught.value.__cause__) == "UNAVAILABLE: bad token [token]"


@pytest.mark.parametrize("verbosity", [None, "DEBUG"])
def test_grpc_writes_no_log_lines_unless_asked(authority, verbosity):
    script = """if True:
        import os, sys, cpsl
        before = dict(os.environ)
        try:
            cpsl.Client(sys.argv[1], "https://gateway.example", max_retries=0).list_apps()
        except cpsl.TLSError as error:
            print(type(error).__name__, os.environ == before)
    """
    environ = {**os.environ, **({"GRPC_VERBOSITY": verbosity} if verbosity else {})}
    del environ["REQUESTS_CA_BUNDLE"]  # the certificate is not trusted
    grpc_gateway = GrpcGateway()
    with grpc_gateway.serving(authority), Proxy(int(grpc_gateway.target.split(":")[1])) as proxy:
        command = [sys.executable, "-c", script, TOKEN]
        environ["HTTPS_PROXY"] = proxy.url
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.stdout == "TLSError True\n"
    assert bool(done.stderr) is bool(verbosity)


def test_log_reports_retries_with_reason_and_delay(caplog):
    caplog.set_level(logging.INFO, logger="cpsl")
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        gateway.on("get_app", dropped(), rate_limited(after=0))
        client.get_app(APP)
    first, second = (record.getMessage() for record in caplog.records if record.name == "cpsl")
    assert first.startswith("retry 1 of 2 in 0.00 s: The connection to http://127.0.0.1")
    assert second.startswith("retry 2 of 2 in 0.00 s: Too many requests: slow down")
    assert TOKEN not in caplog.text


def test_log_is_silent_without_handlers():
    script = """if True:
        import sys, cpsl
        try:
            cpsl.Client("a-token", sys.argv[1]).get_app(sys.argv[2])
        except cpsl.CannotConnectError:
            print("failed")
    """
    command = [sys.executable, "-c", script, f"http://127.0.0.1:{closed_port()}", APP]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("failed\n", "")
