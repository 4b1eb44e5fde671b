"""Requests that a hostile or broken program sends to the local workspace."""

import contextlib
import resource
import socket
from pathlib import Path

import pytest
import requests

from cpsl_notebook.local import http_server


def send(workspace, head, body, pieces):
    """Send a request whose body has many pieces; return the status, or nothing if none came."""
    port = int(workspace.http_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.replace("HOST", f"127.0.0.1:{port}").encode())
        try:
            for _ in range(pieces):
                connection.sendall(body)
        except OSError:
            pass  # the server has closed the connection
        try:
            answer = connection.recv(1_000)
        except ConnectionResetError:
            answer = b""
    return answer.partition(b"\r\n")[0].split(b" ")[1:2]


POST = "POST {} HTTP/1.1\r\nHost: HOST\r\n{}Content-Length: 400000000\r\n\r\n"


@pytest.mark.parametrize("path", ["/login/x", "/login/{login}", "/api/v1/app/x/chat"])
def test_large_body_without_token_is_not_kept_in_memory(workspace, path):
    login = workspace._logins.begin()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = send(workspace, POST.format(path.format(login=login), ""), b"x" * 1_000_000, 400)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # kB
    assert status in ([], [b"401"], [b"404"], [b"413"])


def test_body_above_the_limit_is_refused(workspace, client, monkeypatch):
    monkeypatch.setattr(http_server, "MAX_BODY_BYTES", 1_000)
    url = f"{workspace.http_url}/api/v1/app/{client.get_app('diet-coach')['id']}/chat"
    headers = {"Authorization": f"Bearer {workspace.token}"}
    for size, status in ((1_000, 200), (1_001, 413)):
        body = b'{"text":"%b"}' % (b"x" * (size - len(b'{"text":""}')))
        answer = requests.post(url, data=body, headers=headers, timeout=10)
        assert answer.status_code == status
    assert answer.json() == {"error": "the body has more than 1,000 bytes"}


@pytest.mark.parametrize("url", ["http://[::1", "//[", "javascript:alert(1)", "http://a b"])
def test_checkout_page_is_shown_for_any_return_url(workspace, client, url):
    page = requests.get(client.create_checkout("deal-desk", return_url=url), timeout=10)
    assert page.status_code == 200
    assert "No money is charged." in page.text


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"\xff\xfe",
        b'{"text": "\x00"}',
        b'{"text": "a\\u0000", "session_id": "\\u0000"}',
        b'{"text": ' + b'{"a": ' * 5_000,
        b'{"text": 1e999}',
        b'{"text": ' + b"9" * 6_000 + b"}",
        b'{"text": "\xed\xa0\x80"}',
        b'{"text": "' + b"x" * 10_000_000 + b'"}',
        b"secret=%ED%A0%80&secret=%00",
    ],
    ids=range(10),
)
def test_no_body_makes_the_server_fail(workspace, body):
    headers = {"Authorization": f"Bearer {workspace.token}"}
    ids = [app["id"] for app in workspace.list_apps()]
    paths = [
        f"/api/v1/{call.format(app)}" for call in ("app/{}/chat", "checkout/{}") for app in ids
    ]
    for path in (*paths, f"/login/{workspace._logins.begin()}", "/login/none", "/nothing"):
        answer = requests.post(workspace.http_url + path, data=body, headers=headers, timeout=60)
        assert answer.status_code < 500, path


@pytest.mark.parametrize("query", ["text=%ED%A0%80", "text=%00", "text=x&session_id=%FF", "text"])
def test_no_query_makes_the_server_fail(workspace, query):
    headers = {"Authorization": f"Bearer {workspace.token}"}
    for app in workspace.list_apps():
        url = f"{workspace.http_url}/api/v1/app/{app['id']}/stream?{query}"
        answer = requests.get(url, headers=headers, timeout=60)
        assert answer.status_code in (200, 422)
        assert "event: error" not in answer.text


@pytest.mark.parametrize("value", ['"\\ud800"', "5", "[1]", '{"a": "b"}'])
def test_invalid_return_url_is_refused(workspace, client, value):
    url = f"{workspace.http_url}/api/v1/checkout/{client.get_app('deal-desk')['id']}"
    headers = {"Authorization": f"Bearer {workspace.token}"}
    body = f'{{"return_url": {value}}}'
    answer = requests.post(url, data=body, headers=headers, timeout=10)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("return_url ")


def test_server_connections_send_small_parts_at_once(workspace):
    port = int(workspace.http_url.rpartition(":")[2])
    connected = []
    with requests.Session() as session:
        session.get(workspace.http_url, timeout=10)  # the connection stays open
        for path in Path("/dev/fd").iterdir():
            with (
                contextlib.suppress(OSError),
                socket.fromfd(int(path.name), socket.AF_INET, socket.SOCK_STREAM) as found,
            ):
                address = found.getsockname()
                found.getpeername()  # fails for the listener
                if address == ("127.0.0.1", port):
                    connected.append(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert connected
    assert all(connected)
