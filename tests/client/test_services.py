"""The client in services: the examples of the documentation, and real servers and processes."""

import gc
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager

import pytest
import trustme
from gateway import (
    APP,
    HOLD,
    TEST_TIMEOUT,
    TOKEN,
    Gateway,
    GrpcGateway,
    Proxy,
    as_json,
    event,
    streamed,
    words,
)

import cpsl


@pytest.fixture
def programs(root, tmp_path):
    """A folder with the programs of the page about services."""
    text = (root / "docs" / "how-to" / "services.md").read_text()
    found = re.findall(r"<!-- file: (\w+\.py) -->\n```python\n(.*?)^```", text, re.M | re.S)
    for name, program in found:
        (tmp_path / name).write_text(program)
    return tmp_path


@pytest.fixture
def gateways():
    with Gateway() as gateway, GrpcGateway().serving() as grpc_gateway:
        yield gateway, grpc_gateway


@pytest.fixture
def environ(gateways, root):
    """The environment of a process that uses the gateways."""
    gateway, grpc_gateway = gateways
    return {
        **os.environ,
        "CAPSULE_TOKEN": TOKEN,
        "CAPSULE_GATEWAY_URL": grpc_gateway.target,
        "CAPSULE_HTTP_URL": gateway.url,
        "PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]]),
    }


@contextmanager
def serving(command, folder, environ):
    """Run a server with an open socket as its file descriptor; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(descriptor) for part in command)],
            cwd=folder,
            env=environ,
            pass_fds=[descriptor],
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(TEST_TIMEOUT)


def get(url):
    return urllib.request.urlopen(url, timeout=TEST_TIMEOUT).read().decode()


UVICORN = ["uvicorn", "--fd", "{}", "--log-level", "warning", "service:app"]


def test_fastapi_endpoint_streams(programs, environ, gateways):
    seen = threading.Event()
    gateways[0].on(
        "stream", streamed(*words("one "), seen, *words("two"), b"event: done\ndata: {}\n\n")
    )
    with (
        serving(UVICORN, programs, environ) as url,
        urllib.request.urlopen(f"{url}/ask?text=hello", timeout=TEST_TIMEOUT) as reply,
    ):
        assert reply.read1() == b"one "  # the second chunk has not been sent
        seen.set()
        assert reply.read() == b"two"


def test_fastapi_endpoint_closes_the_stream_when_the_visitor_leaves(programs, environ, gateways):
    gateway, _ = gateways
    gateway.on("stream", streamed(*words("one "), HOLD))
    with serving(UVICORN, programs, environ) as url:
        with urllib.request.urlopen(f"{url}/ask?text=hello", timeout=TEST_TIMEOUT) as reply:
            assert reply.read1() == b"one "
            assert len(gateway.open) == 1
        gateway.wait_until_disconnected()  # although the app is silent
        assert get(f"{url}/ask?text=again") == "You said again"


def test_example_of_a_test_passes(programs, environ):
    clean = {name: value for name, value in environ.items() if not name.startswith("CAPSULE_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_service.py"]
    done = subprocess.run(command, cwd=programs, env=clean, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout


def test_gunicorn_with_preload_serves_from_every_worker(programs, environ, gateways):
    gateway, _ = gateways
    command = ["gunicorn", "--preload", "--workers", "2", "--bind", "fd://{}", "wsgi:app"]
    with serving([*command, "--log-level", "error"], programs, environ) as url:
        texts = [get(f"{url}/?m{number}") for number in range(20)]
    assert texts == [f"You said m{number}" for number in range(20)]
    assert set(gateway.messages.values()) == {1}


def test_lambda_handler_reads_the_secret_and_respects_the_time_left(
    programs, environ, gateways, tmp_path
):
    gateway, _ = gateways
    secret = tmp_path / "capsule-token"
    secret.write_text(f"{TOKEN}\n")
    program = (
        (programs / "handler.py").read_text().replace("/run/secrets/capsule-token", str(secret))
    )
    assert str(secret) in program
    (programs / "handler.py").write_text(program)
    script = f"""if True:
        import cpsl, handler
        class Context:
            def get_remaining_time_in_millis(self):
                return milliseconds
        handler.client = cpsl.Client(
            token=handler.Path({str(secret)!r}).read_text, gateway_url={gateway.url!r},
            grpc_target={environ["CAPSULE_GATEWAY_URL"]!r},
        )
        milliseconds = 30_000
        print(handler.handler({{"text": "hello"}}, Context()))
        milliseconds = 1300
        try:
            handler.handler({{"text": "slow"}}, Context())
        except cpsl.TimedOutError:
            print("in time")
    """
    gateway.on("chat", as_json({"replies": [{"text": "hi"}]}), streamed(HOLD))
    bare = {"PYTHONPATH": environ["PYTHONPATH"], "HOME": "/nonexistent"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=programs, env=bare, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{'text': 'hi'}\nin time\n", "")


def test_crontab_line_mails_only_failures(root, tmp_path, environ, gateways):
    text = (root / "docs" / "how-to" / "smoke-test.md").read_text()
    (line,) = re.findall(r"^\*/15 .*", text, re.M)
    command = line.split(" ", 5)[5]
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script = tmp_path / "venv" / "bin" / "cpsl"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cpsl "$@"\n')
    script.chmod(0o755)
    host, port = gateways[1].target.split(":")
    (tmp_path / ".capsule").mkdir()
    (tmp_path / ".capsule" / "config.ini").write_text(
        f"[default]\ntoken = {TOKEN}\ngateway_host = {host}\ngateway_port = {port}\n"
        f"gateway_http_port = {gateways[0].port}\n"
    )
    (tmp_path / ".capsule" / "config.ini").chmod(0o600)
    cron = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": environ["PYTHONPATH"]}

    def mail():
        return subprocess.run(["/bin/sh", "-c", command], env=cron, capture_output=True, text=True)

    assert mail().stdout + mail().stderr == ""
    gateways[0].on("stream", as_json({"error": "the app is down"}, 500))
    assert "the app is down" in mail().stdout


# Processes.


def ask(client, text):
    return client.chat(APP, text).text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_pool_shares_a_client_whose_connection_is_open(gateways):
    gateway, _ = gateways
    with cpsl.Client(TOKEN, gateway.url, pickle_token=True) as client:
        ask(client, "parent")
        context = multiprocessing.get_context("fork")
        with context.Pool(2) as pool:
            texts = [f"child {number}" for number in range(20)]
            replies = pool.starmap(ask, [(client, text) for text in texts])
        assert replies == [f"You said {text}" for text in texts]
        assert ask(client, "parent again") == "You said parent again"
    assert set(gateway.messages.values()) == {1}
    parents = {r.connection for r in gateway.requests if r.text.startswith("parent")}
    assert parents.isdisjoint(r.connection for r in gateway.requests if "child" in r.text)


@pytest.mark.parametrize("layer", ["TCP", "TLS"])
@pytest.mark.parametrize(
    "use", ["chat", "stream", "error", "refused", "interrupted", "in a thread that lives on"]
)
def test_discarded_client_closes_its_sockets_without_the_garbage_collector(gateway, use):
    asked, done = threading.Event(), threading.Event()

    def use_client():
        client = cpsl.Client(TOKEN, gateway.url)
        if use == "stream":
            list(client.stream(APP, "hello"))
        elif use == "error":
            gateway.on("chat", as_json({}, 500))
            with pytest.raises(cpsl.GatewayError):
                client.chat(APP, "hello")
        else:
            client.chat(APP, "hello")
        if use in failures:
            other = threading.Thread(target=failures[use], args=[client])
            other.start()
            other.join(TEST_TIMEOUT)

    def refuse(client):
        gateway.on("get_app", as_json({}, 404), as_json({}, 401))
        with pytest.raises(cpsl.AppNotFoundError):
            client.get_app(APP)
        with pytest.raises(cpsl.AuthenticationError):
            client.get_app(APP)

    def interrupt(client):
        given = (
            streamed(*words("one"), framing="close"),
            streamed(event({"text": "no"}, "error")),
        )
        gateway.on("stream", *given)
        for error in (cpsl.StreamInterrupted, cpsl.GatewayError):
            with pytest.raises(error):
                list(client.stream(APP, "hello"))

    failures = {"refused": refuse, "interrupted": interrupt}

    def use_and_wait():
        use_client()
        asked.set()
        done.wait(TEST_TIMEOUT)

    gc.disable()
    try:
        if use == "in a thread that lives on":
            threading.Thread(target=use_and_wait, daemon=True).start()
            assert asked.wait(TEST_TIMEOUT)
        else:
            use_client()
        gateway.wait_until_disconnected()
    finally:
        gc.enable()
        done.set()


# Identification and certificates.


def test_user_agent_names_the_service(gateways):
    gateway, _ = gateways
    with cpsl.Client(TOKEN, gateway.url, user_agent="my-service/1.2") as client:
        ask(client, "hello")
        list(client.stream(APP, "hello"))
    with cpsl.Client(TOKEN, gateway.url) as client:
        ask(client, "hello")
    agents = [request.headers["User-Agent"] for request in gateway.requests]
    own = agents[2]
    assert re.fullmatch(r"cpsl-client/[0-9.]+", own)
    assert agents[:2] == [f"my-service/1.2 {own}"] * 2


def test_user_agent_names_the_service_in_grpc_too():
    class Recording(GrpcGateway):
        def list_apps(self, request, context):
            agents.append(dict(context.invocation_metadata())["user-agent"])
            return super().list_apps(request, context)

    agents = []
    with Recording().serving() as gateway:
        for options in ({"user_agent": "my-service/1.2"}, {}):
            url = "http://127.0.0.1:9"
            cpsl.Client(TOKEN, url, grpc_target=gateway.target, **options).list_apps()
    assert agents[0].startswith(f"my-service/1.2 cpsl-client/{cpsl.__version__} grpc-python")
    assert agents[1].startswith(f"cpsl-client/{cpsl.__version__} grpc-python")


@pytest.mark.parametrize("agent", ["a\nb", "a\r\nX-Evil: 1", "é", None, b"a"])
def test_invalid_user_agent_is_refused(agent):
    with pytest.raises(cpsl.InvalidRequestError, match="user_agent"):
        cpsl.Client(TOKEN, user_agent=agent)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_certificates_may_come_from_a_folder(monkeypatch, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    (tmp_path / "notes").mkdir()
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with Gateway(authority) as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        assert ask(client, "hello") == "You said hello"
    grpc_gateway = GrpcGateway()
    with grpc_gateway.serving(authority), Proxy(int(grpc_gateway.target.split(":")[1])) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert len(cpsl.Client(TOKEN, "https://gateway.example").list_apps()) == 1
