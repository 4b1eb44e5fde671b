"""Every fault raises the documented error, and nothing is sent twice."""

import contextlib
import inspect
import itertools
import json
import pickle
import socket
import threading
import time

import grpc
import pytest
from gateway import (
    APP,
    HOLD,
    TEST_TIMEOUT,
    TOKEN,
    Answer,
    Gateway,
    GrpcGateway,
    answer,
    as_json,
    byte_by_byte,
    cut,
    dropped,
    failed,
    normal_answer,
    rate_limited,
    stalled,
)

import cpsl
from cpsl import errors, retry
from cpsl.call import Call
from cpsl.messages import message
from cpsl.responses import parse_retry_after
from cpsl.retry import Failure, with_retries
from cpsl.timeouts import Timeout

pytestmark = pytest.mark.usefixtures("quick_retries")

CALLS = {
    "get_app": lambda client: client.get_app(APP),
    "list_payments": lambda client: client.list_payments(APP),
    "read_payments": lambda client: json.loads(client.read_payments(APP)),
    "create_checkout": lambda client: client.create_checkout(APP),
    "chat": lambda client: client.chat(APP, "hello").text,
    "stream": lambda client: "".join(chunk.text for chunk in client.stream(APP, "hello")),
}
RESULTS = {
    "get_app": {"id": APP, "name": "support-ops", "price_in_cents": 1500},
    "list_payments": [{"id": "p-1", "gross_cents": 1500}],
    "read_payments": [{"id": "p-1", "gross_cents": 1500}],
    "create_checkout": "https://pay.example/1",
    "chat": "You said hello",
    "stream": "You said hello",
}
READS = ("get_app", "list_payments", "read_payments")
KINDS = ("get_app", "chat", "stream")  # one call of each kind: read, message, streamed reply
REQUEST = {call: call for call in CALLS} | {"read_payments": "list_payments"}

# Fault: the answer, the error, and how often a read and a message are then sent.
FAULTS = {
    "401": (failed(401), cpsl.AuthenticationError, 1, 1),
    "403": (failed(403), cpsl.PermissionDeniedError, 1, 1),
    "404": (failed(404), cpsl.NotFoundError, 1, 1),
    "409": (failed(409), cpsl.InvalidRequestError, 1, 1),
    "422": (failed(422), cpsl.InvalidRequestError, 1, 1),
    "429": (rate_limited(), cpsl.RateLimitedError, 3, 3),
    "429, wait 0 s": (rate_limited(after=0), cpsl.RateLimitedError, 3, 3),
    "429, wait 61 s": (rate_limited(after=61), cpsl.RateLimitedError, 1, 1),
    "429, wait until 2199": (
        rate_limited(after="Tue, 01 Jan 2199 00:00:00 GMT"),
        cpsl.RateLimitedError,
        1,
        1,
    ),
    "500": (failed(500), cpsl.GatewayError, 1, 1),
    "502": (failed(502), cpsl.GatewayError, 3, 1),
    "429, wait forever": (rate_limited(after="inf"), cpsl.RateLimitedError, 3, 3),
    "503": (failed(503), cpsl.GatewayError, 3, 1),
    "503, wait 0 s": (failed(503, Retry_After="0"), cpsl.GatewayError, 3, 1),
    "503, wait 61 s": (failed(503, Retry_After="61"), cpsl.GatewayError, 1, 1),
    "504": (failed(504), cpsl.GatewayError, 3, 1),
    "error without JSON": (
        answer(b"<h1>Oops", status=500, Content_Type="text/html"),
        cpsl.GatewayError,
        1,
        1,
    ),
    "redirect": (failed(302, Location="/elsewhere"), cpsl.ProtocolError, 1, 1),
    "web page": (answer(b"<html>", Content_Type="text/html"), cpsl.ProtocolError, 1, 1),
    "no content": (answer(status=204), cpsl.ProtocolError, 1, 1),
    "no content, no length": (answer(status=204, framing="none"), cpsl.ProtocolError, 1, 1),
    "broken JSON": (answer(b'{"replies": ['), cpsl.ProtocolError, 1, 1),
    "deeply nested JSON": (answer(b"[" * 50_000), cpsl.ProtocolError, 1, 1),
    "cut UTF-8": (answer(b'{"text": "\xe2\x82'), cpsl.ProtocolError, 1, 1),
    "JSON number": (as_json(7), cpsl.ProtocolError, 1, 1),
    "error with status 200": (as_json({"error": "boom"}), cpsl.GatewayError, 1, 1),
    "nested error with status 200": (
        as_json({"error": {"message": "boom", "code": 7}}),
        cpsl.GatewayError,
        1,
        1,
    ),
    "no answer": (dropped(), cpsl.CannotConnectError, 3, 1),
    "reset": (dropped(resets=True), cpsl.CannotConnectError, 3, 1),
    "not HTTP": (Answer((b"hello\r\n\r\n",), closes=True), cpsl.CannotConnectError, 3, 1),
    "two lengths": (
        answer(b"{}", Content_Length="2\r\nContent-Length: 1"),
        cpsl.ProtocolError,
        1,
        1,
    ),
    "half the headers": (cut(as_json({}), after=30), cpsl.CannotConnectError, 3, 1),
    "no byte": (stalled(), cpsl.TimedOutError, 1, 1),
    "no byte within the headers": (stalled(as_json({}), after=30), cpsl.TimedOutError, 1, 1),
}
# Faults of answers that are read whole; test_stream.py has those of streams.
BODY_FAULTS = {
    "half a body": (cut(as_json({"a": "b"}), after=-3), cpsl.CannotConnectError, 3, 1),
    "half a body, reset": (
        cut(as_json({"a": "b" * 9999}), after=-3, resets=True),
        cpsl.CannotConnectError,
        3,
        1,
    ),
    "half a chunk": (
        cut(as_json({"a": "b"}, framing="chunked"), after=-12),
        cpsl.CannotConnectError,
        3,
        1,
    ),
    "no final chunk": (
        cut(as_json({"a": "b"}, framing="chunked"), after=-5),
        cpsl.CannotConnectError,
        3,
        1,
    ),
    "no byte within the body": (stalled(as_json({"a": "b"}), after=-3), cpsl.TimedOutError, 1, 1),
    "invalid gzip": (answer(b"no gzip", Content_Encoding="gzip"), cpsl.ProtocolError, 1, 1),
    "too large": (answer(b" " * 100_001), cpsl.TooLargeError, 1, 1),
}
TABLE = [
    *((call, fault, "TCP") for call in ("chat", "stream") for fault in FAULTS),
    # Reads differ in what is sent again.
    *(
        ("get_app", fault, "TCP")
        for fault, (_, error, *_) in FAULTS.items()
        if error in (cpsl.RateLimitedError, cpsl.CannotConnectError, cpsl.TimedOutError)
        or fault.startswith("50")
    ),
    *((call, fault, "TCP") for call in ("read_payments", "chat") for fault in BODY_FAULTS),
    # The other calls share their code with these: one fault of every source is enough.
    *(
        (call, fault, "TCP")
        for call in ("list_payments", "read_payments", "create_checkout")
        for fault in ("404", "429", "503", "error with status 200", "no answer", "no byte")
    ),
    # Faults that reach the client in another way over TLS.
    *(
        (call, fault, "TLS")
        for call in KINDS
        for fault in ("503", "no answer", "reset", "half the headers", "no byte")
    ),
    *(("chat", fault, "TLS") for fault in BODY_FAULTS if "body" in fault or "chunk" in fault),
]


def client_of(gateway, **options):
    return cpsl.Client(TOKEN, gateway.url, **options)


@pytest.mark.parametrize(
    ("call", "fault", "layer"),
    TABLE,
    ids=[f"{call}-{fault}-{layer}" for call, fault, layer in TABLE],
)
def test_fault_raises_its_error_and_is_retried_only_if_safe(gateway, call, fault):
    given, error, reads, messages = (FAULTS | BODY_FAULTS)[fault]
    limits = {"max_answer_bytes": 100_000, "max_reply_bytes": 100_000}
    timeout = (5, 0.2 if HOLD in given.parts else 20)
    gateway.otherwise = lambda r: given if r.call == REQUEST[call] else normal_answer(r)
    client = client_of(gateway, timeout=timeout, **limits)
    with client, pytest.raises(error) as caught:
        CALLS[call](client)
    assert gateway.count(REQUEST[call]) == (reads if call in READS else messages)
    gateway.wait_until_disconnected()
    assert isinstance(caught.value, cpsl.CapsuleError)
    assert getattr(caught.value, "sent", True) is True
    assert caught.value.__context__ is None
    assert getattr(caught.value.__cause__, "__traceback__", None) is None  # frames hold the token


@pytest.mark.parametrize("call", KINDS)
def test_request_is_sent_again_after_429(gateway, call):
    gateway.on(call, rate_limited(after=0), rate_limited())
    with client_of(gateway) as client:
        assert CALLS[call](client) == RESULTS[call]
    assert gateway.count(call) == 3


@pytest.mark.parametrize("call", READS)
def test_read_survives_temporary_faults(gateway, call):
    gateway.on(REQUEST[call], dropped(), failed(503))
    with client_of(gateway) as client:
        assert CALLS[call](client) == RESULTS[call]
    assert gateway.count(REQUEST[call]) == 3


@pytest.mark.parametrize("call", KINDS)
def test_max_retries_0_sends_one_request(gateway, call):
    gateway.otherwise = lambda request: rate_limited(after=0)
    with client_of(gateway, max_retries=0) as client, pytest.raises(cpsl.RateLimitedError):
        CALLS[call](client)
    assert gateway.count(call) == 1


@pytest.mark.parametrize("call", KINDS)
def test_answer_may_arrive_byte_by_byte(gateway, call):
    gateway.otherwise = lambda request: byte_by_byte(normal_answer(request))
    with client_of(gateway) as client:
        assert CALLS[call](client) == RESULTS[call]


def test_handled_timeout_of_the_caller_does_not_change_the_error(gateway):
    gateway.on("chat", dropped())
    with client_of(gateway) as client:
        try:
            raise TimeoutError
        except TimeoutError:
            with pytest.raises(cpsl.CannotConnectError, match="broke before"):
                client.chat(APP, "hello")


def test_error_contains_the_message_of_the_service(gateway):
    gateway.on("chat", failed(403, "not \x1b[31myours\u202e\nat all"))
    with client_of(gateway) as client, pytest.raises(cpsl.PermissionDeniedError) as caught:
        client.chat(APP, "hello")
    assert (caught.value.status, caught.value.request_id) == (403, "r-1")
    assert caught.value.detail == "not yours at all"
    assert caught.value.detail in str(caught.value)


WITH_IDS = {
    "no replies": as_json({"a": 1}, X_Request_Id="r-7"),
    "no object": as_json([], X_Request_Id="r-7"),
    "no JSON": answer(b"<html>", X_Request_Id="r-7"),
    "too large": as_json({"a": "b" * 1000}, X_Request_Id="r-7"),
    "half a body": cut(as_json({"a": "b"}, X_Request_Id="r-7"), after=-3),
    "error with status 200": as_json({"error": "boom"}, X_Request_Id="r-7"),
    "id in the body": as_json({"error": "boom", "request_id": "r-7"}, 200),
    "id in the body of 500": as_json({"error": "boom", "request_id": "r-7"}, 500),
    "two ids": as_json({"error": "boom", "request_id": "r-8"}, 500, X_Request_Id="r-7"),
}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        *(("chat", fault) for fault in WITH_IDS),
        *(("stream", fault) for fault in ("no object", "no JSON", "half a body", "id in the body")),
    ],
)
def test_error_has_the_status_and_request_id_of_its_answer(gateway, call, fault):
    gateway.on(call, WITH_IDS[fault])
    client = client_of(gateway, max_reply_bytes=1000, max_retries=0)
    with client, pytest.raises(cpsl.CapsuleError) as caught:
        CALLS[call](client)
    assert caught.value.status in (200, 500)
    assert caught.value.request_id == "r-7"


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ([{"loc": ["body", "text"], "msg": "too long"}], "too long"),
        ([{"msg": "too long"}, {"loc": []}, {"msg": "too late"}, 7], "too long; too late"),
        ([], None),
    ],
)
def test_validation_errors_are_joined(gateway, detail, message):
    gateway.on("chat", as_json({"detail": detail}, 422))
    with client_of(gateway) as client, pytest.raises(cpsl.InvalidRequestError) as caught:
        client.chat(APP, "hello")
    assert caught.value.detail == message


def test_large_error_is_not_read_to_its_end(gateway):
    large = (b"x" * (1 << 20),) * 200
    gateway.on("chat", answer(*large, status=500, Content_Type="text/plain"))
    with client_of(gateway) as client, pytest.raises(cpsl.GatewayError) as caught:
        client.chat(APP, "hello")
    assert len(str(caught.value)) < 500


def test_redirect_to_an_invalid_address_is_not_prepared(gateway):
    gateway.on("chat", answer(b"x", HOLD, status=302, framing="close", Location="http://[bad"))
    with client_of(gateway, timeout=(5, 0.2)) as client, pytest.raises(cpsl.ProtocolError):
        client.chat(APP, "hello")


def test_answer_of_200_mb_ends_at_the_limit(gateway):
    gateway.on("chat", answer(*(b"x" * (1 << 20),) * 200))
    with client_of(gateway) as client, pytest.raises(cpsl.TooLargeError, match="67,108,864"):
        client.chat(APP, "hello")


@pytest.mark.parametrize("replies", [None, 7, "x", {}])
def test_replies_must_be_a_list(gateway, replies):
    gateway.on("chat", as_json({"replies": replies}))
    with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="replies"):
        client.chat(APP, "hello")


@pytest.mark.parametrize("call", ["get_app", "create_checkout"])
def test_answer_must_be_an_object(gateway, call):
    gateway.on(call, as_json([]))
    with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="not a JSON object"):
        CALLS[call](client)


def test_payments_must_be_an_object_or_a_list(gateway):
    gateway.on("list_payments", as_json(7))
    with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="payments response"):
        client.list_payments(APP)


def test_checkout_must_have_a_url(gateway):
    gateway.on("create_checkout", as_json({"checkout_url": None}))
    with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="checkout_url"):
        client.create_checkout(APP)


def test_free_app_has_no_checkout(gateway):
    gateway.on("get_app", as_json({"id": APP, "price_in_cents": 0}))
    with client_of(gateway) as client, pytest.raises(cpsl.InvalidRequestError, match="free"):
        client.create_checkout(APP)
    assert gateway.count("create_checkout") == 0


# Connections that are not made.


@pytest.fixture
def refusals(monkeypatch):
    """Make connections fail with the exceptions that a test puts into this list."""
    pending: list[Exception] = []
    real = socket.getaddrinfo

    def getaddrinfo(*args, **kwargs):
        if pending:
            raise pending.pop()
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return pending


@pytest.mark.parametrize("refusal", [ConnectionRefusedError, TimeoutError, socket.gaierror])
@pytest.mark.parametrize("call", ["get_app", "stream"])
def test_request_is_sent_once_the_third_connection_succeeds(gateway, refusals, call, refusal):
    refusals += [refusal("no"), refusal("no")]
    with client_of(gateway) as client:
        assert CALLS[call](client) == RESULTS[call]
    assert gateway.count(call) == 1


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (ConnectionRefusedError, cpsl.CannotConnectError),
        (socket.gaierror, cpsl.CannotConnectError),
        (UnicodeError, cpsl.CannotConnectError),
        (TimeoutError, cpsl.TimedOutError),
    ],
)
@pytest.mark.parametrize("call", ["get_app", "stream"])
def test_fourth_connection_is_not_tried(gateway, refusals, call, refusal, error):
    refusals += [refusal("no")] * 4
    with client_of(gateway) as client, pytest.raises(error) as caught:
        CALLS[call](client)
    assert len(refusals) == 1
    assert gateway.requests == []
    assert caught.value.sent is False


def test_untrusted_certificate_is_an_error_without_retries(authority, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with Gateway(authority) as gateway, client_of(gateway) as client:
        with pytest.raises(cpsl.TLSError, match="REQUESTS_CA_BUNDLE"):
            client.chat(APP, "hello")
        assert gateway.accepted == 1
        assert gateway.requests == []


@pytest.mark.parametrize(
    ("reply", "error", "message", "attempts"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", cpsl.TLSError, "does not use TLS", 1),
        (b"", cpsl.CannotConnectError, "closed the connection", 3),
    ],
    ids=["plain HTTP", "end of the connection"],
)
def test_gateway_without_tls_is_an_error(reply, error, message, attempts):
    def serve():
        for _ in range(attempts):
            sock, _ = listener.accept()
            with sock, contextlib.suppress(ConnectionResetError):
                sock.recv(1 << 16)
                sock.sendall(reply)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        client = cpsl.Client(TOKEN, f"https://127.0.0.1:{listener.getsockname()[1]}")
        with client, pytest.raises(error, match=message):
            client.get_app(APP)
        server.join(TEST_TIMEOUT)
        assert not server.is_alive()


@pytest.mark.parametrize("call", ["get_app", "chat"])
def test_handshake_without_an_answer_is_a_connect_timeout(call):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        client = cpsl.Client(TOKEN, url, timeout=(0.1, 20))
        with client, pytest.raises(cpsl.TimedOutError, match="did not accept a connection"):
            CALLS[call](client)


@pytest.mark.parametrize("layer", ["TCP", "TLS"])
def test_connection_that_the_gateway_closed_is_replaced(gateway):
    gateway.otherwise = lambda request: Answer(normal_answer(request).parts, closes=True)
    with client_of(gateway) as client:
        for number in range(3):
            client.chat(APP, f"hello {number}")
            gateway.wait_until_disconnected()
    assert set(gateway.messages.values()) == {1}


# Waiting.


class RecordedCall(Call):
    """A call that does not wait."""

    def __init__(self):
        super().__init__(Timeout())
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)
        return False


def test_client_waits_for_retry_after():
    call = RecordedCall()
    call.repeatable = False
    outcome = iter([Failure(cpsl.RateLimitedError("no", status=429), False, 7.0), "done"])
    assert with_retries(lambda: next(outcome), 1, call) == "done"
    assert call.waits == [7.0]


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), (" 1.5 ", 1.5), ("0", 0)])
def test_retry_after_in_seconds(value, seconds):
    assert parse_retry_after(value) == seconds


def test_without_retry_after_random_waits_have_doubling_limits(monkeypatch):
    monkeypatch.undo()
    limits, call = [], RecordedCall()
    monkeypatch.setattr(retry.random, "uniform", lambda a, b: limits.append((a, b)) or b)
    failure = Failure(cpsl.GatewayError("no", status=503))
    with pytest.raises(cpsl.GatewayError):
        with_retries(lambda: failure, 3, call)
    assert limits == [(0, 0.5), (0, 1.0), (0, 2.0)]
    assert call.waits == [0.5, 1.0, 2.0]


def test_long_retry_after_is_in_the_error(gateway):
    gateway.on("chat", rate_limited(after=61))
    with client_of(gateway) as client, pytest.raises(cpsl.RateLimitedError) as caught:
        client.chat(APP, "hello")
    assert caught.value.retry_after == 61
    assert "Try again in 61 s." in str(caught.value)


@pytest.mark.parametrize(
    "value", ["soon", "", "-5", "nan", "inf", "-inf", "1e3", "1_0", "0x10", "1" * 400]
)
def test_invalid_retry_after_is_ignored(gateway, value):
    gateway.on("chat", rate_limited(after=value))
    with client_of(gateway) as client:
        assert client.chat(APP, "hello").text == "You said hello"
    assert gateway.count("chat") == 2


@pytest.mark.parametrize("call", CALLS)
def test_single_call_takes_a_timeout(gateway, call):
    gateway.on(REQUEST[call], stalled())
    arguments = (APP, "hello") if call in ("chat", "stream") else (APP,)
    with client_of(gateway) as client, pytest.raises(TimeoutError):
        list(getattr(client, call)(*arguments, timeout=(5, 0.1)))


# gRPC.

GRPC_FAULTS = {
    "UNAVAILABLE": ([grpc.StatusCode.UNAVAILABLE] * 9, cpsl.CannotConnectError, 3),
    "DEADLINE_EXCEEDED": ([grpc.StatusCode.DEADLINE_EXCEEDED], cpsl.TimedOutError, 1),
    "no answer": ([HOLD], cpsl.TimedOutError, 1),
    "INVALID_ARGUMENT": ([grpc.StatusCode.INVALID_ARGUMENT], cpsl.InvalidRequestError, 1),
    "NOT_FOUND": ([grpc.StatusCode.NOT_FOUND], cpsl.NotFoundError, 1),
    "ABORTED": ([grpc.StatusCode.ABORTED], cpsl.InvalidRequestError, 1),
    "UNAUTHENTICATED": ([grpc.StatusCode.UNAUTHENTICATED], cpsl.AuthenticationError, 1),
    "PERMISSION_DENIED": ([grpc.StatusCode.PERMISSION_DENIED], cpsl.PermissionDeniedError, 1),
    "RESOURCE_EXHAUSTED": ([grpc.StatusCode.RESOURCE_EXHAUSTED] * 9, cpsl.RateLimitedError, 3),
    "UNIMPLEMENTED": ([grpc.StatusCode.UNIMPLEMENTED], cpsl.ProtocolError, 1),
    "INTERNAL": ([grpc.StatusCode.INTERNAL], cpsl.GatewayError, 1),
    "not ok": ([{"ok": False, "err_msg": "closed today"}], cpsl.GatewayError, 1),
    "too large": ([{"err_msg": "x" * 100_000}], cpsl.TooLargeError, 1),
}


def list_apps(grpc_gateway, **options):
    client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=grpc_gateway.target, **options)
    return client.list_apps()


@pytest.mark.parametrize(("answers", "error", "count"), GRPC_FAULTS.values(), ids=GRPC_FAULTS)
def test_fault_of_list_apps_raises_its_error(answers, error, count):
    timeout = (1, 0.2 if HOLD in answers else 20)
    with GrpcGateway([*answers]).serving() as grpc_gateway, pytest.raises(error) as caught:
        list_apps(grpc_gateway, timeout=timeout, max_answer_bytes=50_000)
    assert grpc_gateway.count == count
    assert caught.value.__context__ is None
    assert getattr(caught.value.__cause__, "__traceback__", None) is None  # frames hold the token
    if isinstance(answers[0], dict) and not answers[0].get("ok", True):
        assert "closed today" in str(caught.value)
    if isinstance(answers[0], grpc.StatusCode):
        assert caught.value.detail == "it is broken"


def test_grpc_error_has_the_corresponding_http_status():
    with (
        GrpcGateway([grpc.StatusCode.NOT_FOUND]).serving() as grpc_gateway,
        pytest.raises(cpsl.NotFoundError, match="it is broken") as caught,
    ):
        list_apps(grpc_gateway)
    assert caught.value.status == 404


def test_list_apps_survives_temporary_faults():
    answers = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
    with GrpcGateway(answers, retry_after="0").serving() as grpc_gateway:
        assert list_apps(grpc_gateway) == [
            {"id": APP, "name": "support-ops", "hostname": "support-ops-1"}
        ]
    assert grpc_gateway.count == 3


def test_list_apps_does_not_wait_for_a_long_retry_after():
    answers = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    with (
        GrpcGateway(answers, retry_after="61").serving() as grpc_gateway,
        pytest.raises(cpsl.RateLimitedError) as caught,
    ):
        list_apps(grpc_gateway)
    assert (grpc_gateway.count, caught.value.retry_after) == (1, 61)


def test_list_apps_without_a_gateway_is_a_connection_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(cpsl.CannotConnectError) as caught:
        cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=target).list_apps()
    assert caught.value.sent is False


@pytest.mark.parametrize("backlog", [0, 9], ids=["full", "silent"])
def test_list_apps_respects_the_connect_timeout(backlog):
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as silent:
        address = silent.getsockname()
        with socket.create_connection(address):  # fills a backlog of 0
            target = f"127.0.0.1:{address[1]}"
            client = cpsl.Client(
                TOKEN, "http://127.0.0.1:9", grpc_target=target, timeout=(0.2, TEST_TIMEOUT * 9)
            )
            began = time.monotonic()
            with pytest.raises(cpsl.TimedOutError, match="accept a connection") as caught:
                client.list_apps()
    assert time.monotonic() - began < 15  # gRPC itself waits 20 s for each attempt
    assert caught.value.sent is False


# Names.


@pytest.fixture
def named():
    """A client that looks names up, its HTTP gateway and its gRPC gateway."""
    with (
        Gateway() as gateway,
        GrpcGateway().serving() as grpc_gateway,
        client_of(gateway, grpc_target=grpc_gateway.target) as client,
    ):
        yield client, gateway, grpc_gateway


def test_name_is_looked_up_once(named):
    client, gateway, grpc_gateway = named
    for _ in range(3):
        client.chat("support-ops", "hello")
    assert grpc_gateway.count == 1
    assert gateway.requests[0].path == f"/api/v1/app/{APP}/chat"


def test_unknown_name_is_a_value_error_with_near_matches(named):
    client, gateway, _ = named
    with pytest.raises(ValueError, match="did you mean 'support-ops'") as caught:
        client.chat("suport-ops", "hello")
    assert caught.value.matches == ("support-ops",)
    assert gateway.requests == []


def test_unknown_name_without_near_matches_lists_the_apps(named):
    client, _, grpc_gateway = named
    with pytest.raises(cpsl.AppNotFoundError, match="it has 'support-ops'"):
        client.get_app("zzz")
    grpc_gateway.answers.append({"apps": []})
    with pytest.raises(cpsl.AppNotFoundError, match="it has no apps"):
        client.get_app("zzz")


def test_names_of_apps_are_cleaned_in_errors(named):
    client, _, grpc_gateway = named
    names = ["support\x1b[31m-ops\u202e", "sup\u200bport\u2028ops"]
    grpc_gateway.answers += [{"apps": [message("App")(id=APP, name=name) for name in names]}] * 2
    with pytest.raises(cpsl.AppNotFoundError) as caught:
        client.get_app("suport-ops\x9b\u3164")
    shown = "No app 'suport-ops' in this workspace: did you mean 'support-ops' or 'support ops'?"
    assert str(caught.value) == shown
    assert caught.value.matches == ("support-ops", "support ops")
    with pytest.raises(cpsl.AppNotFoundError, match="it has 'support ops', 'support-ops'"):
        client.get_app("zzz")


def listed(*apps):
    return {"apps": [message("App")(id=app_id, name=name) for name, app_id in apps]}


def test_name_of_two_apps_is_an_error_with_their_ids(named):
    client, gateway, grpc_gateway = named
    grpc_gateway.answers += [listed(("twin", "id-1"), ("twin", "id-2"), ("other", APP))] * 2
    with pytest.raises(cpsl.InvalidRequestError, match="one of id-1, id-2"):
        client.chat("twin", "hello")
    assert client.chat("other", "hello").text == "You said hello"
    with pytest.warns(UserWarning, match="'twin'") as warned:
        assert len(client.list_apps()) == 3
    assert warned[0].filename == __file__
    assert gateway.count("chat") == 1


@pytest.mark.parametrize("app_id", ["", ".", ".."])
def test_invalid_id_of_an_app_is_an_error(named, app_id):
    client, gateway, grpc_gateway = named
    grpc_gateway.answers += [listed(("odd", app_id))] * 2
    with pytest.raises(cpsl.ProtocolError, match="'odd' with the invalid id"):
        client.get_app("odd")
    with pytest.warns(UserWarning, match="'odd'"):
        client.list_apps()
    assert gateway.requests == []


# Arguments.

NOT_TEXT = [b"hello", ["hello"], {}, 7, float("nan"), True, "\ud800"]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *itertools.product(["app", "text"], [None, *NOT_TEXT]),
        *itertools.product(["session_id"], NOT_TEXT),
    ],
)
def test_chat_and_stream_raise_the_same_error_for_an_invalid_argument(gateway, argument, value):
    arguments = {"app": APP, "text": "hello", "session_id": "s-1", argument: value}
    errors = []
    with client_of(gateway) as client:
        for method in (client.chat, client.stream):
            with pytest.raises(cpsl.InvalidRequestError, match=f"Invalid {argument}") as caught:
                method(**arguments)
            errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert gateway.accepted == 0


@pytest.mark.parametrize("value", [None, *NOT_TEXT])
def test_other_methods_refuse_invalid_arguments(gateway, value):
    with client_of(gateway) as client:
        for method in (client.get_app, client.list_payments, client.read_payments):
            with pytest.raises(cpsl.InvalidRequestError, match="Invalid app"):
                method(value)
        with pytest.raises(cpsl.InvalidRequestError, match="Invalid return_url"):
            client.create_checkout(APP, value)
    assert gateway.accepted == 0


@pytest.mark.parametrize("app", ["", " ", ".", "..", " .. "])
def test_app_without_a_name_is_refused_before_anything_is_sent(named, app):
    client, gateway, grpc_gateway = named
    calls = [(client.chat, "hi"), (client.stream, "hi"), (client.get_app,), (client.get_earnings,)]
    calls += [(client.list_payments,), (client.read_payments,), (client.create_checkout,)]
    for method, *text in calls:
        with pytest.raises(cpsl.InvalidRequestError, match=f"Invalid app {app.strip()!r}: use the"):
            method(app, *text)
    assert (gateway.accepted, grpc_gateway.count) == (0, 0)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_message_without_characters_is_sent(gateway, text):
    with client_of(gateway) as client:
        assert client.chat(APP, text).text == f"You said {text}"
        assert len(list(client.stream(APP, text))) == 3
    bodies = [request.text for request in gateway.requests]
    assert bodies == [text, text]


@pytest.mark.parametrize(
    "option", ["max_retries", "max_answer_bytes", "max_reply_bytes", "max_event_bytes"]
)
@pytest.mark.parametrize("value", [-1, 1.5, "2", True, None, float("nan")])
def test_invalid_option_is_refused(option, value):
    with pytest.raises(cpsl.InvalidRequestError, match=f"Invalid {option} .*: use a whole number"):
        cpsl.Client(TOKEN, "http://127.0.0.1:9", **{option: value})


def test_invalid_option_of_a_copy_is_refused(gateway):
    with client_of(gateway) as client, pytest.raises(cpsl.InvalidRequestError, match="max_retries"):
        client.with_options(max_retries=-1)


@pytest.mark.parametrize("option", ["gateway_url", "grpc_target"])
@pytest.mark.parametrize("value", [b"http://127.0.0.1:9", 9, ["a"], "http://\ud800"])
def test_invalid_address_argument_is_refused(option, value):
    with pytest.raises(cpsl.InvalidRequestError, match=f"Invalid {option}"):
        cpsl.Client(TOKEN, **{option: value})


def test_unknown_id_is_a_value_error(named):
    client, gateway, _ = named
    gateway.on("get_app", failed(404))
    with pytest.raises(ValueError, match="list its apps"):
        client.get_app(APP)


@pytest.mark.parametrize("call", CALLS)
def test_name_is_looked_up_again_after_404(named, call):
    client, gateway, grpc_gateway = named
    on = "get_app" if call == "create_checkout" else REQUEST[call]
    gateway.on(on, failed(404))
    arguments = ("support-ops", "hi") if call in ("chat", "stream") else ("support-ops",)
    with pytest.raises(cpsl.NotFoundError):
        list(getattr(client, call)(*arguments))
    getattr(client, call)(*arguments)
    assert grpc_gateway.count == 2


def test_id_cannot_lead_to_another_path(named):
    client, gateway, _ = named
    client.get_app(f"{'../../v2/x?a=b#-c-d-e-':g<36}")
    assert gateway.requests[0].path.startswith("/api/v1/apps/..%2F..%2Fv2%2Fx%3Fa")


# The classes.

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_errors_are_one_documented_tree():
    bases = {
        cpsl.AppNotFoundError: ValueError,
        cpsl.InvalidRequestError: ValueError,
        cpsl.CannotConnectError: ConnectionError,
        cpsl.TimedOutError: TimeoutError,
        cpsl.StreamTimedOut: TimeoutError,
        cpsl.CapsuleError: RuntimeError,
    }
    assert all(issubclass(kind, cpsl.CapsuleError) for kind in CLASSES)
    assert all(issubclass(kind, base) for kind, base in bases.items())
    for kind in CLASSES:
        assert getattr(cpsl, kind.__name__) is kind
        assert kind.__name__ in (cpsl.CapsuleError.__doc__ or "")


def test_errors_survive_pickling():
    for kind in CLASSES:
        error = kind("what happened")
        error.status, error.request_id, error.detail = 429, "r-1", "slow down"
        error.retry_after, error.text, error.matches, error.sent = 61.0, "so far", ("a",), True
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert str(copy) == "what happened"
        assert vars(copy) == vars(error)


def test_raised_error_survives_pickling(gateway):
    gateway.on("chat", rate_limited(after=61))
    with client_of(gateway) as client, pytest.raises(cpsl.RateLimitedError) as caught:
        client.chat(APP, "hello")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.status, copy.retry_after) == (str(caught.value), 429, 61)
