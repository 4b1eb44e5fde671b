"""Whatever breaks, the caller gets the error that was promised, and nothing is sent twice."""

import contextlib
import inspect
import pickle
import socket
import threading
import time

import grpc
import pytest
import trustme
from gateway import (
    APP,
    HOLD,
    PATIENCE,
    TOKEN,
    Answer,
    Directory,
    Gateway,
    answer,
    as_json,
    cut,
    dropped,
    failed,
    rate_limited,
    slowly,
    stalled,
    well,
)

import cpsl
from cpsl import errors, retry
from cpsl.retry import Failure, with_retries

CALLS = {
    "get_app": lambda client: client.get_app(APP),
    "list_payments": lambda client: client.list_payments(APP),
    "read_payments": lambda client: client.read_payments(APP),
    "create_checkout": lambda client: client.create_checkout(APP),
    "chat": lambda client: client.chat(APP, "hello"),
    "stream": lambda client: list(client.stream(APP, "hello")),
}
READS = ("get_app", "list_payments", "read_payments")
SENT = {call: call for call in CALLS} | {"read_payments": "list_payments"}  # the same request

# Fault: what is answered, the error, and how often a read and a message or checkout are then sent.
EVERYWHERE = {
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
    "503": (failed(503), cpsl.GatewayError, 3, 1),
    "503, wait 0 s": (failed(503, Retry_After="0"), cpsl.GatewayError, 3, 1),
    "503, wait 61 s": (failed(503, Retry_After="61"), cpsl.GatewayError, 1, 1),
    "504": (failed(504), cpsl.GatewayError, 3, 1),
    "an error that is no JSON": (
        answer(b"<h1>Oops", status=500, Content_Type="text/html"),
        cpsl.GatewayError,
        1,
        1,
    ),
    "a redirect": (failed(302, Location="/elsewhere"), cpsl.ProtocolError, 1, 1),
    "a web page": (answer(b"<html>", Content_Type="text/html"), cpsl.ProtocolError, 1, 1),
    "nothing": (answer(status=204), cpsl.ProtocolError, 1, 1),
    "broken JSON": (answer(b'{"replies": ['), cpsl.ProtocolError, 1, 1),
    "endless JSON": (answer(b"[" * 50_000), cpsl.ProtocolError, 1, 1),
    "cut UTF-8": (answer(b'{"text": "\xe2\x82'), cpsl.ProtocolError, 1, 1),
    "JSON of another shape": (as_json(7), cpsl.ProtocolError, 1, 1),
    "an error with status 200": (as_json({"error": "boom"}), cpsl.GatewayError, 1, 1),
    "a nested error with status 200": (
        as_json({"error": {"message": "boom", "code": 7}}),
        cpsl.GatewayError,
        1,
        1,
    ),
    "no answer": (dropped(), cpsl.CannotConnectError, 3, 1),
    "a reset": (dropped(resets=True), cpsl.CannotConnectError, 3, 1),
    "no HTTP": (Answer((b"hello\r\n\r\n",), closes=True), cpsl.CannotConnectError, 3, 1),
    "two lengths": (
        answer(b"{}", Content_Length="2\r\nContent-Length: 1"),
        cpsl.ProtocolError,
        1,
        1,
    ),
    "half the headers": (cut(as_json({}), after=30), cpsl.CannotConnectError, 3, 1),
    "silence": (stalled(), cpsl.TimedOutError, 1, 1),
    "silence within the headers": (stalled(as_json({}), after=30), cpsl.TimedOutError, 1, 1),
}
# The same for answers that are read whole; a stream has its own in test_stream.py.
WHOLE = {
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
    "chunks without an end": (
        cut(as_json({"a": "b"}, framing="chunked"), after=-5),
        cpsl.CannotConnectError,
        3,
        1,
    ),
    "silence within the body": (stalled(as_json({"a": "b"}), after=-3), cpsl.TimedOutError, 1, 1),
    "bad gzip": (answer(b"no gzip", Content_Encoding="gzip"), cpsl.ProtocolError, 1, 1),
    "too much": (answer(b" " * 100_001), cpsl.TooLargeError, 1, 1),
    "an object that lacks all": (as_json([]), cpsl.ProtocolError, 1, 1),
}
TABLE = [
    pytest.param(call, *row, id=f"{call}: {fault}")
    for rows, calls in ((EVERYWHERE, CALLS), (WHOLE, [*READS, "create_checkout", "chat"]))
    for fault, row in rows.items()
    for call in calls
    if not ("payments" in call and fault == "an object that lacks all")  # it is a list
    if not (call == "read_payments" and fault == "JSON of another shape")  # nobody has read it
]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.001)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(params=["TCP", "TLS"])
def gateway(request, authority, monkeypatch, tmp_path):
    if request.param == "TLS":
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with Gateway(authority if request.param == "TLS" else None) as started:
        yield started


def client_of(gateway, **options):
    return cpsl.Client(TOKEN, gateway.url, **options)


@pytest.mark.parametrize(("call", "given", "error", "reads", "messages"), TABLE)
def test_every_fault_of_every_call(gateway, call, given, error, reads, messages):
    gateway.otherwise = lambda r: given if r.call == SENT[call] else well(r)
    limits = {"max_answer_bytes": 100_000, "max_reply_bytes": 100_000}
    silent = HOLD in given.parts
    client = client_of(gateway, timeout=(5, 0.2 if silent else 20), **limits)
    with client, pytest.raises(error) as caught:
        CALLS[call](client)
    assert gateway.count(SENT[call]) == (reads if call in READS else messages)
    assert isinstance(caught.value, cpsl.CapsuleError)
    assert getattr(caught.value, "sent", True)
    assert caught.value.__context__ is caught.value.__cause__ is None
    gateway.wait_until_left()


@pytest.mark.parametrize("call", CALLS)
def test_an_order_is_served_well_after_it_was_refused_for_now(gateway, call):
    gateway.on(SENT[call], rate_limited(after=0), rate_limited())
    with client_of(gateway) as client:
        assert CALLS[call](client)
    assert gateway.count(SENT[call]) == 3


@pytest.mark.parametrize("call", READS)
def test_a_read_survives_faults_that_pass(gateway, call):
    gateway.on(SENT[call], dropped(), failed(503))
    with client_of(gateway) as client:
        assert CALLS[call](client)
    assert gateway.count(SENT[call]) == 3


@pytest.mark.parametrize("call", CALLS)
def test_max_retries_0_means_one_request(gateway, call):
    gateway.otherwise = lambda r: rate_limited(after=0) if r.call == SENT[call] else well(r)
    with client_of(gateway, max_retries=0) as client, pytest.raises(cpsl.RateLimitedError):
        CALLS[call](client)
    assert gateway.count(SENT[call]) == 1


@pytest.mark.parametrize("call", CALLS)
def test_a_slow_answer_is_an_answer(gateway, call):
    gateway.otherwise = lambda request: slowly(well(request))
    with client_of(gateway) as client:
        assert CALLS[call](client)


def test_an_error_carries_what_the_service_said(gateway):
    gateway.on("chat", failed(403, "not \x1b[31myours\u202e\nat all"))
    with client_of(gateway) as client, pytest.raises(cpsl.PermissionDeniedError) as caught:
        client.chat(APP, "hello")
    assert (caught.value.status, caught.value.request_id) == (403, "r-1")
    assert caught.value.detail == "not yours at all"  # one line, nothing but text
    assert caught.value.detail in str(caught.value)


ABOUT = {
    "no replies": as_json({"a": 1}, X_Request_Id="r-7"),
    "no object": as_json([], X_Request_Id="r-7"),
    "no JSON": answer(b"<html>", X_Request_Id="r-7"),
    "too much": as_json({"a": "b" * 1000}, X_Request_Id="r-7"),
    "half a body": cut(as_json({"a": "b"}, X_Request_Id="r-7"), after=-3),
    "an error with status 200": as_json({"error": "boom"}, X_Request_Id="r-7"),
    "an id in the body": as_json({"error": "boom", "request_id": "r-7"}, 200),
    "an id in the body of 500": as_json({"error": "boom", "request_id": "r-7"}, 500),
    "two ids": as_json({"error": "boom", "request_id": "r-8"}, 500, X_Request_Id="r-7"),
}


@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize("given", ABOUT.values(), ids=ABOUT)
def test_an_error_carries_the_ids_of_the_answer_that_it_is_about(gateway, call, given):
    gateway.on(call, given)
    client = client_of(gateway, max_reply_bytes=1000, max_retries=0)
    with client, pytest.raises(cpsl.CapsuleError) as caught:
        CALLS[call](client)
    assert caught.value.status in (200, 500)
    assert caught.value.request_id == "r-7"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ([{"loc": ["body", "text"], "msg": "too long"}], "too long"),
        ([{"msg": "too long"}, {"loc": []}, {"msg": "too late"}, 7], "too long; too late"),
        ([], None),
    ],
)
def test_what_is_wrong_with_each_field_is_said(gateway, detail, said):
    gateway.on("chat", as_json({"detail": detail}, 422))
    with client_of(gateway) as client, pytest.raises(cpsl.InvalidRequestError) as caught:
        client.chat(APP, "hello")
    assert caught.value.detail == said


def test_an_error_of_the_size_of_a_film_is_not_read(gateway):
    film = (b"x" * (1 << 20),) * 200
    gateway.on("chat", answer(*film, status=500, Content_Type="text/plain"))
    with client_of(gateway) as client, pytest.raises(cpsl.GatewayError) as caught:
        client.chat(APP, "hello")
    assert len(str(caught.value)) < 500


def test_a_redirect_is_not_even_prepared(gateway):
    gateway.on("chat", answer(b"x", HOLD, status=302, framing="close", Location="http://[bad"))
    with client_of(gateway, timeout=(5, 0.2)) as client, pytest.raises(cpsl.ProtocolError):
        client.chat(APP, "hello")


def test_an_answer_of_200_mb_ends_at_the_limit(gateway):
    gateway.on("chat", answer(*(b"x" * (1 << 20),) * 200))
    with client_of(gateway) as client, pytest.raises(cpsl.TooLargeError, match="67,108,864"):
        client.chat(APP, "hello")


@pytest.mark.parametrize(
    "replies", [None, 7, "x", {}], ids=["null", "a number", "a string", "an object"]
)
def test_replies_that_are_no_list_are_an_error(gateway, replies):
    gateway.on("chat", as_json({"replies": replies}))
    with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="replies"):
        client.chat(APP, "hello")


def test_a_checkout_without_a_link_is_an_error(gateway):
    gateway.on("create_checkout", as_json({"checkout_url": None}))
    with client_of(gateway) as client, pytest.raises(cpsl.ProtocolError, match="checkout_url"):
        client.create_checkout(APP)


def test_a_free_app_has_no_checkout(gateway):
    gateway.on("get_app", as_json({"id": APP, "price_in_cents": 0}))
    with client_of(gateway) as client, pytest.raises(cpsl.InvalidRequestError, match="free"):
        client.create_checkout(APP)
    assert gateway.count("create_checkout") == 0


# Connections that are never made.


@pytest.fixture
def refusals(monkeypatch):
    """Refuse the connections to come: the exceptions that are put into the list."""
    orders: list[Exception] = []
    real = socket.getaddrinfo

    def getaddrinfo(*args, **kwargs):
        if orders:
            raise orders.pop()
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return orders


@pytest.mark.parametrize("refusal", [ConnectionRefusedError, socket.timeout, socket.gaierror])
@pytest.mark.parametrize("call", CALLS)
def test_a_message_is_sent_when_the_third_connection_is_made(gateway, refusals, call, refusal):
    refusals += [refusal("no"), refusal("no")]
    with client_of(gateway) as client:
        assert CALLS[call](client)
    assert gateway.count(SENT[call]) == 1


@pytest.mark.parametrize(
    ("refusal", "error"),
    [(ConnectionRefusedError, cpsl.CannotConnectError), (socket.timeout, cpsl.TimedOutError)],
)
@pytest.mark.parametrize("call", CALLS)
def test_the_fourth_connection_is_not_tried(gateway, refusals, call, refusal, error):
    refusals += [refusal("no")] * 4
    with client_of(gateway) as client, pytest.raises(error) as caught:
        CALLS[call](client)
    assert len(refusals) == 1
    assert gateway.requests == []
    assert not caught.value.sent


def test_a_certificate_that_nobody_vouches_for_is_an_error_at_once(authority, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with Gateway(authority) as gateway, client_of(gateway) as client:
        with pytest.raises(cpsl.TLSError, match="REQUESTS_CA_BUNDLE"):
            client.chat(APP, "hello")
        assert gateway.accepted == 1
        assert gateway.requests == []


def test_a_gateway_that_speaks_no_tls_is_an_error_of_tls():
    def serve():
        sock, _ = listener.accept()
        with sock, contextlib.suppress(ConnectionResetError):
            sock.recv(1 << 16)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            sock.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        client = cpsl.Client(TOKEN, f"https://127.0.0.1:{listener.getsockname()[1]}")
        with client, pytest.raises(cpsl.TLSError):
            client.get_app(APP)
        server.join()


@pytest.mark.parametrize("call", (*READS, "chat"))
def test_a_silent_handshake_is_a_timeout(call):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        client = cpsl.Client(TOKEN, url, timeout=(0.1, 20))
        with client, pytest.raises(cpsl.TimedOutError, match="did not accept a connection"):
            CALLS[call](client)


def test_a_connection_that_the_gateway_closed_meanwhile_is_replaced(gateway):
    gateway.otherwise = lambda request: Answer(well(request).parts, closes=True)
    with client_of(gateway) as client:
        for number in range(3):
            client.chat(APP, f"hello {number}")
            gateway.wait_until_left()
    assert set(gateway.messages.values()) == {1}


# Waiting.


def test_retry_after_is_waited_for():
    waits = []
    outcome = iter([Failure(cpsl.RateLimitedError("no", status=429), False, 7.0), "done"])
    assert with_retries(lambda: next(outcome), 1, repeatable=False, wait=waits.append) == "done"
    assert waits == [7.0]


def test_without_retry_after_the_waits_double_and_are_random(monkeypatch):
    monkeypatch.undo()
    chosen, waits = [], []
    monkeypatch.setattr(retry.random, "uniform", lambda a, b: chosen.append((a, b)) or b)
    failure = Failure(cpsl.GatewayError("no", status=503))
    with pytest.raises(cpsl.GatewayError):
        with_retries(lambda: failure, 3, repeatable=True, wait=waits.append)
    assert chosen == [(0, 0.5), (0, 1.0), (0, 2.0)]
    assert waits == [0.5, 1.0, 2.0]


def test_retry_after_is_what_the_caller_is_told(gateway):
    gateway.on("chat", rate_limited(after=61))
    with client_of(gateway) as client, pytest.raises(cpsl.RateLimitedError) as caught:
        client.chat(APP, "hello")
    assert caught.value.retry_after == 61
    assert "61 s" in str(caught.value)


@pytest.mark.parametrize("value", ["soon", "", "-5", "nan"])
def test_a_retry_after_that_says_nothing_does_no_harm(gateway, value):
    gateway.on("chat", rate_limited(after=value))
    with client_of(gateway) as client:
        assert client.chat(APP, "hello").text
    assert gateway.count("chat") == 2


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), (5, 0), (0, 5)])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(ValueError, match="above 0"):
        cpsl.Client(TOKEN, "http://127.0.0.1:9", timeout=timeout)


@pytest.mark.parametrize("call", CALLS)
def test_a_timeout_can_be_given_for_one_call(gateway, call):
    gateway.otherwise = lambda request: stalled() if request.call == SENT[call] else well(request)
    arguments = (APP, "hello") if call in ("chat", "stream") else (APP,)
    with client_of(gateway) as client, pytest.raises(TimeoutError):
        outcome = getattr(client, call)(*arguments, timeout=(5, 0.1))
        list(outcome)


# gRPC.

LISTING = {
    "UNAVAILABLE": ([grpc.StatusCode.UNAVAILABLE] * 9, cpsl.CannotConnectError, 3),
    "DEADLINE_EXCEEDED": ([grpc.StatusCode.DEADLINE_EXCEEDED], cpsl.TimedOutError, 1),
    "silence": ([HOLD], cpsl.TimedOutError, 1),
    "INVALID_ARGUMENT": ([grpc.StatusCode.INVALID_ARGUMENT], cpsl.InvalidRequestError, 1),
    "NOT_FOUND": ([grpc.StatusCode.NOT_FOUND], cpsl.NotFoundError, 1),
    "ABORTED": ([grpc.StatusCode.ABORTED], cpsl.InvalidRequestError, 1),
    "UNAUTHENTICATED": ([grpc.StatusCode.UNAUTHENTICATED], cpsl.AuthenticationError, 1),
    "PERMISSION_DENIED": ([grpc.StatusCode.PERMISSION_DENIED], cpsl.PermissionDeniedError, 1),
    "RESOURCE_EXHAUSTED": ([grpc.StatusCode.RESOURCE_EXHAUSTED] * 9, cpsl.RateLimitedError, 3),
    "UNIMPLEMENTED": ([grpc.StatusCode.UNIMPLEMENTED], cpsl.ProtocolError, 1),
    "INTERNAL": ([grpc.StatusCode.INTERNAL], cpsl.GatewayError, 1),
    "not ok": ([{"ok": False, "err_msg": "closed today"}], cpsl.GatewayError, 1),
    "too much": ([{"err_msg": "x" * 100_000}], cpsl.TooLargeError, 1),
}


@pytest.mark.parametrize(("orders", "error", "count"), LISTING.values(), ids=LISTING)
def test_every_fault_of_list_apps(orders, error, count):
    with Directory([*orders]).serving() as directory:
        options = {"timeout": (1, 0.2 if HOLD in orders else 20), "max_answer_bytes": 50_000}
        client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=directory.target, **options)
        with pytest.raises(error) as caught:
            client.list_apps()
    assert directory.count == count
    assert caught.value.__context__ is caught.value.__cause__ is None
    if {"ok": False, "err_msg": "closed today"} in orders:
        assert "closed today" in str(caught.value)
    if isinstance(orders[0], grpc.StatusCode):
        assert caught.value.detail == "it is broken"


def test_an_error_of_grpc_has_the_status_that_http_has_for_it():
    with Directory([grpc.StatusCode.NOT_FOUND]).serving() as directory:
        client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=directory.target)
        with pytest.raises(cpsl.NotFoundError, match="it is broken") as caught:
            client.list_apps()
    assert caught.value.status == 404


def test_list_apps_survives_faults_that_pass():
    orders = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
    with Directory([*orders], retry_after="0").serving() as directory:
        client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=directory.target)
        assert client.list_apps() == [
            {"id": APP, "name": "support-ops", "hostname": "support-ops-1"}
        ]
    assert directory.count == 3


def test_list_apps_raises_a_long_retry_after_at_once():
    orders = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    with Directory([*orders], retry_after="61").serving() as directory:
        client = cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=directory.target)
        with pytest.raises(cpsl.RateLimitedError) as caught:
            client.list_apps()
    assert (directory.count, caught.value.retry_after) == (1, 61)


def test_list_apps_of_nobody_is_no_connection():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(cpsl.CannotConnectError) as caught:
        cpsl.Client(TOKEN, "http://127.0.0.1:9", grpc_target=target).list_apps()
    assert not caught.value.sent


@pytest.mark.parametrize("backlog", [0, 9], ids=["full", "mute"])
def test_list_apps_waits_no_longer_for_a_connection_than_it_may(backlog):
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as silent:
        address = silent.getsockname()
        with socket.create_connection(address):  # takes the one place that a backlog of 0 has
            target = f"127.0.0.1:{address[1]}"
            client = cpsl.Client(
                TOKEN, "http://127.0.0.1:9", grpc_target=target, timeout=(0.2, PATIENCE * 9)
            )
            began = time.monotonic()
            with pytest.raises(cpsl.TimedOutError, match="accept a connection") as caught:
                client.list_apps()
    assert time.monotonic() - began < 15  # gRPC's own patience is 20 s for each attempt
    assert not caught.value.sent


# Names.


@pytest.fixture
def named():
    """A client that looks names up, its gateway and its directory."""
    with Gateway() as gateway, Directory().serving() as directory:
        client = client_of(gateway, grpc_target=directory.target)
        with client:
            yield client, gateway, directory


def test_a_name_is_looked_up_once(named):
    client, gateway, directory = named
    for _ in range(3):
        client.chat("support-ops", "hello")
    assert directory.count == 1
    assert gateway.requests[0].path == f"/api/v1/app/{APP}/chat"


def test_an_unknown_name_is_a_value_error_with_near_matches(named):
    client, gateway, _ = named
    with pytest.raises(ValueError, match="did you mean support-ops") as caught:
        client.chat("suport-ops", "hello")
    assert caught.value.matches == ("support-ops",)
    assert gateway.requests == []


def test_an_unknown_id_is_a_value_error(named):
    client, gateway, _ = named
    gateway.on("get_app", failed(404))
    with pytest.raises(ValueError, match="list its apps"):
        client.get_app(APP)


@pytest.mark.parametrize("call", CALLS)
def test_a_name_is_looked_up_again_after_nothing_was_found(named, call):
    client, gateway, directory = named
    on = "get_app" if call == "create_checkout" else SENT[call]
    gateway.on(on, failed(404))
    arguments = ("support-ops", "hi") if call in ("chat", "stream") else ("support-ops",)
    with pytest.raises(cpsl.NotFoundError):
        list(getattr(client, call)(*arguments))
    getattr(client, call)(*arguments)
    assert directory.count == 2


def test_an_id_cannot_lead_to_another_path(named):
    client, gateway, _ = named
    client.get_app(f"{'../../v2/x?a=b#-c-d-e-':g<36}")
    assert gateway.requests[0].path.startswith("/api/v1/apps/..%2F..%2Fv2%2Fx%3Fa")


# The classes.

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_there_is_one_tree():
    promised = {
        cpsl.AppNotFoundError: ValueError,
        cpsl.CannotConnectError: ConnectionError,
        cpsl.TimedOutError: TimeoutError,
        cpsl.StreamTimedOut: TimeoutError,
        cpsl.CapsuleError: RuntimeError,
    }
    assert all(issubclass(kind, cpsl.CapsuleError) for kind in CLASSES)
    assert all(issubclass(kind, other) for kind, other in promised.items())
    for kind in CLASSES:
        assert getattr(cpsl, kind.__name__) is kind
        assert kind.__name__ in (cpsl.CapsuleError.__doc__ or "")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_pickling(kind):
    error = kind("what happened")
    error.status, error.request_id, error.detail = 429, "r-1", "slow down"
    error.retry_after, error.text, error.matches, error.sent = 61.0, "so far", ("a",), True
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == "what happened"
    assert vars(copy) == vars(error)


def test_a_raised_error_survives_pickling(gateway):
    gateway.on("chat", rate_limited(after=61))
    with client_of(gateway) as client, pytest.raises(cpsl.RateLimitedError) as caught:
        client.chat(APP, "hello")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.status, copy.retry_after) == (str(caught.value), 429, 61)
