"""Every answer reaches its own caller, whatever a gateway sends around it."""

import contextlib
import socket
import threading

import pytest
from gateway import (
    APP,
    DONE,
    TEST_TIMEOUT,
    TOKEN,
    Answer,
    Gateway,
    Relay,
    answer,
    as_json,
    byte_by_byte,
    followed,
    interim,
    normal_answer,
    streamed,
    words,
)

import cpsl
from cpsl import connections
from cpsl.connections import MAX_INTERIM_RESPONSES


def reply(text):
    return as_json({"replies": [{"text": text}], "session_id": "s-9"})


STOLEN = b"".join(reply("of another app").parts)


@pytest.fixture(params=["TCP", "TLS"])
def layer(request):
    return request.param


@pytest.fixture
def client(gateway):
    with cpsl.Client(TOKEN, gateway.url, timeout=(5, TEST_TIMEOUT)) as connected:
        yield connected


def ask(client, call, text):
    """Send a message and return the text of the reply."""
    if call == "chat":
        return client.chat(APP, text).text
    return "".join(chunk.text for chunk in client.stream(APP, text))


# Interim responses.


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize("statuses", [(103,), (100, 102, 103, 104, 199), (103,) * 20])
def test_interim_responses_are_skipped(gateway, client, call, statuses):
    gateway.otherwise = lambda request: interim(normal_answer(request), *statuses)
    for number in range(4):
        assert ask(client, call, f"hello {number}") == f"You said hello {number}"
    assert gateway.accepted == 1


def test_interim_responses_may_arrive_byte_by_byte(gateway, client):
    gateway.otherwise = lambda request: byte_by_byte(interim(normal_answer(request), 103, 102))
    for number in range(2):
        assert ask(client, "chat", f"hello {number}") == f"You said hello {number}"


@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize("statuses", [(101,), (103,) * (MAX_INTERIM_RESPONSES + 1)])
def test_answer_after_a_switch_or_too_many_interim_responses_is_an_error(
    gateway, client, call, statuses
):
    gateway.on(call, interim(normal_answer_to(call), *statuses))
    with pytest.raises(cpsl.CannotConnectError):
        ask(client, call, "hello")
    assert ask(client, call, "again") == "You said again"
    assert gateway.accepted == 2
    assert gateway.messages["hello"] == 1


def normal_answer_to(call):
    return reply("You said hello") if call == "chat" else streamed(*words("You said hello"), DONE)


def test_connection_that_ends_after_an_interim_response_is_an_error(gateway, client):
    gateway.on("chat", Answer(interim(Answer(()), 103).parts, closes=True))
    with pytest.raises(cpsl.CannotConnectError, match="broke before"):
        ask(client, "chat", "hello")
    assert gateway.messages["hello"] == 1


# Bytes that belong to no request.


class Held(threading.Event):
    """Never set; knows when the gateway has sent everything before it."""

    def __init__(self):
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout=None):
        self.reached.set()
        return super().wait(timeout)


@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize("split", [0, 1, 20, len(STOLEN) // 2, len(STOLEN)])
def test_bytes_after_an_answer_do_not_reach_the_next_call(gateway, client, call, split):
    answered, held = threading.Event(), Held()

    def behave(request):
        given = normal_answer(request)
        if request.text == "first":
            return followed(given, STOLEN[:split], answered, STOLEN[split:], held)
        return given

    gateway.otherwise = behave
    assert ask(client, call, "first") == "You said first"
    answered.set()
    if not split:  # in the other cases the connection is closed already
        assert held.reached.wait(TEST_TIMEOUT)
    for number in range(3):
        assert ask(client, call, f"hello {number}") == f"You said hello {number}"
    assert set(gateway.messages.values()) == {1}


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_one_answer_too_many_closes_the_connection(gateway, client, framing):
    body = b'{"replies": [{"text": "mine"}]}'
    gateway.on("chat", followed(answer(body, framing=framing), STOLEN))
    assert ask(client, "chat", "first") == "mine"
    assert ask(client, "chat", "second") == "You said second"
    assert gateway.accepted == 2


@pytest.mark.parametrize(
    "given",
    [
        answer(b'{"replies": []}', status=201),
        answer(status=204),
        as_json({"replies": None}),
        as_json({"error": "boom"}),
        answer(b"<html>"),
        answer(b'{"replies": []}', status=500),
        answer(status=304),
        answer(b'{"replies": []}', framing="chunked", Content_Length="2"),
    ],
    ids=["201", "204", "invalid", "error", "no JSON", "500", "304", "two lengths"],
)
def test_connection_is_reused_only_after_a_valid_200(gateway, client, given):
    gateway.on("chat", given)
    with contextlib.suppress(cpsl.CapsuleError):
        ask(client, "chat", "hello")
    assert ask(client, "chat", "again") == "You said again"
    assert [request.connection for request in gateway.requests] == [1, 2]


@pytest.mark.usefixtures("slow_machine")
def test_connection_is_reused_after_valid_answers(gateway, client):
    for number in range(3):
        ask(client, "chat", f"{number}")
        ask(client, "stream", f"{number}")
    assert gateway.accepted == 1


def test_connection_is_not_reused_before_its_answer_is_checked(gateway, client):
    def ask_meanwhile(received, total):
        if received == total:
            assert ask(client, "chat", "meanwhile") == "You said meanwhile"

    gateway.on("list_payments", answer(b"[1, 2"))
    with pytest.raises(cpsl.ProtocolError):
        client.read_payments(APP, progress=ask_meanwhile)
    assert [request.connection for request in gateway.requests] == [1, 2]


@pytest.mark.parametrize("call", ["chat", "stream"])
def test_answer_without_content_is_a_protocol_error(gateway, client, call):
    gateway.on(call, answer(status=204, framing="none"))
    with pytest.raises(cpsl.ProtocolError, match="204"):
        ask(client, call, "hello")
    assert gateway.messages["hello"] == 1


# Idle connections.


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_message_does_not_use_a_connection_that_was_idle_too_long(monkeypatch, call):
    with Gateway() as gateway, Relay(gateway.port) as relay:
        with cpsl.Client(TOKEN, relay.url, timeout=(5, 5)) as client:
            assert ask(client, call, "first") == "You said first"
            assert ask(client, call, "second") == "You said second"
            assert relay.accepted == 1
            relay.forget()
            monkeypatch.setattr(connections, "MAX_IDLE", 0)
            assert ask(client, call, "third") == "You said third"
        assert relay.accepted == 2
    assert set(gateway.messages.values()) == {1}


def test_connections_are_kept_alive(client, monkeypatch):
    options = []

    class Recorded(socket.socket):
        def setsockopt(self, *option):
            options.append(option)
            super().setsockopt(*option)

    monkeypatch.setattr(connections.socket, "socket", Recorded)
    ask(client, "chat", "hello")
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in options
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30) in options
