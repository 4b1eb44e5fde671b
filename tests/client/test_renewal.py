"""A token that has changed at its source is picked up after a 401."""

import pickle
import threading
import traceback

import pytest
from gateway import (
    APP,
    TEST_TIMEOUT,
    TOKEN,
    Answer,
    Gateway,
    GrpcGateway,
    failed,
    normal_answer,
)

import cpsl

OLD, NEW = "tok-OLD", "tok-NEW"
CALLS = {
    "get_app": lambda client: client.get_app(APP)["name"],
    "read_payments": lambda client: bool(client.read_payments(APP)),
    "create_checkout": lambda client: client.create_checkout(APP),
    "chat": lambda client: client.chat(APP, "hello").text,
    "stream": lambda client: "".join(chunk.text for chunk in client.stream(APP, "hello")),
}


@pytest.fixture
def gateway():
    """A gateway that accepts only the new token."""
    with Gateway() as started:
        started.otherwise = lambda request: (
            normal_answer(request)
            if request.headers["Authorization"] == f"Bearer {NEW}"
            else failed(401)
        )
        yield started


@pytest.fixture
def rotate(gateway, monkeypatch, tmp_path):
    """Functions that store a token where a new client finds it."""
    file = tmp_path / "config.ini"

    def in_file(token):
        host = f"gateway_host = 127.0.0.1\ngateway_http_port = {gateway.port}\ngateway_port = 1\n"
        file.write_text(f"[default]\ntoken = {token}\n{host}")
        file.chmod(0o600)
        monkeypatch.setenv("CONFIG_PATH", str(file))

    def in_variable(token):
        monkeypatch.setenv("CAPSULE_TOKEN", token)
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)

    return {"file": in_file, "variable": in_variable}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("source", ["file", "variable"])
def test_changed_token_is_used_after_a_401(gateway, rotate, source, call):
    rotate[source](OLD)
    with cpsl.Client() as client:
        rotate[source](NEW)
        assert CALLS[call](client)
        count = len(gateway.requests)
        assert CALLS[call](client)  # now with the new token at once
    assert count == (3 if call == "create_checkout" else 2)
    assert [r.headers["Authorization"] for r in gateway.requests[count:]] == [f"Bearer {NEW}"] * (
        count - 1
    )


@pytest.mark.parametrize("source", ["file", "variable"])
def test_client_with_other_options_renews_its_token(gateway, rotate, source):
    rotate[source](OLD)
    with cpsl.Client() as client, client.with_options(max_retries=1) as other:
        rotate[source](NEW)
        assert other.chat(APP, "hello").text


def test_token_can_come_from_a_function(gateway):
    tokens = [NEW, OLD]
    with cpsl.Client(token=lambda: tokens.pop(), gateway_url=gateway.url) as client:
        assert client.chat(APP, "hello").text == "You said hello"
    assert tokens == []
    assert gateway.messages["hello"] == 2  # the first was refused


def test_function_is_not_called_while_its_token_is_accepted(gateway):
    calls = []
    client = cpsl.Client(token=lambda: calls.append(1) or NEW, gateway_url=gateway.url)
    for _ in range(3):
        client.chat(APP, "hello")
    assert calls == [1]


@pytest.mark.parametrize("token", [None, b"tok-SECRET", 7, "", " "])
def test_function_must_return_a_token(gateway, token):
    with pytest.raises(cpsl.CredentialsError) as caught:
        cpsl.Client(token=lambda: token, gateway_url=gateway.url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_refused_token_that_has_not_changed_is_an_error(gateway, rotate, call):
    rotate["file"](OLD)
    with cpsl.Client() as client, pytest.raises(cpsl.AuthenticationError) as caught:
        CALLS[call](client)
    assert len(gateway.requests) == 1
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_second_refusal_is_an_error(gateway, rotate):
    rotate["file"](OLD)
    with cpsl.Client() as client:
        rotate["file"]("tok-WRONG")
        with pytest.raises(cpsl.AuthenticationError):
            client.chat(APP, "hello")
    assert len(gateway.requests) == 2


def test_token_of_an_argument_is_not_replaced(gateway, rotate):
    rotate["file"](NEW)
    with cpsl.Client(OLD, gateway.url) as client, pytest.raises(cpsl.AuthenticationError):
        client.chat(APP, "hello")
    assert len(gateway.requests) == 1


def test_token_of_another_gateway_is_not_used(gateway, rotate, monkeypatch):
    rotate["variable"](OLD)
    with Gateway() as other, cpsl.Client() as client:
        monkeypatch.setenv("CAPSULE_TOKEN", NEW)
        monkeypatch.setenv("CAPSULE_HTTP_URL", other.url)
        with pytest.raises(cpsl.AuthenticationError):
            client.chat(APP, "hello")
        assert other.accepted == 0


def test_logout_meanwhile_leaves_the_error_of_the_refusal(gateway, rotate, tmp_path):
    rotate["file"](OLD)
    with cpsl.Client() as client:
        (tmp_path / "config.ini").unlink()
        with pytest.raises(cpsl.AuthenticationError, match="again failed") as caught:
            client.chat(APP, "hello")
    assert isinstance(caught.value.__cause__, cpsl.CredentialsError)


@pytest.mark.parametrize("call", CALLS)
def test_function_that_fails_is_named_in_the_error_of_the_refusal(gateway, call):
    def read_secret():
        if gateway.requests:
            secret = "the vault's own token"  # noqa: F841
            raise LookupError("no new version\nof the secret")
        return OLD

    client = cpsl.Client(read_secret, gateway.url)
    with client, pytest.raises(cpsl.AuthenticationError) as caught:
        CALLS[call](client)
    error = caught.value
    assert "refused the token from the arguments" in str(error)
    reason = "LookupError: no new version of the secret"
    assert str(error).endswith(f" Reading the token again failed ({reason}).")
    assert (error.status, error.detail) == (401, "it is broken")
    assert isinstance(error.__cause__, LookupError)
    assert error.__cause__.__traceback__ is None  # its frames hold secrets
    assert len(gateway.requests) == 1


def test_token_in_the_error_of_the_function_is_not_shown(gateway):
    def read_secret():
        if gateway.requests:
            raise LookupError(f"no version after {OLD}")
        return OLD

    client = cpsl.Client(read_secret, gateway.url)
    with (
        client,
        pytest.raises(cpsl.AuthenticationError, match=r"no version after \[token\]") as caught,
    ):
        client.chat(APP, "hello")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert OLD not in "".join(shown.format())
    assert str(caught.value.__cause__) == "no version after [token]"


def test_interrupt_of_the_function_is_not_replaced(gateway):
    def read_secret():
        if gateway.requests:
            raise KeyboardInterrupt
        return OLD

    with cpsl.Client(read_secret, gateway.url) as client, pytest.raises(KeyboardInterrupt):
        client.chat(APP, "hello")


def test_every_thread_continues_with_the_changed_token(gateway, rotate):
    rotate["file"](OLD)
    replies = []
    with cpsl.Client() as client:
        rotate["file"](NEW)
        talk = lambda number: replies.append(client.chat(APP, f"{number}").text)  # noqa: E731
        talkers = [threading.Thread(target=talk, args=[number]) for number in range(8)]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join(TEST_TIMEOUT)
    assert sorted(replies) == [f"You said {number}" for number in range(8)]


def test_token_that_another_thread_has_renewed_is_not_read_again(gateway):
    calls, replies, released = [], [], threading.Event()

    def read_secret():
        calls.append(1)
        return OLD if len(calls) == 1 else NEW

    with cpsl.Client(read_secret, gateway.url) as client:
        gateway.on("stream", Answer((released, *failed(401).parts)))
        talker = threading.Thread(target=lambda: replies.append(CALLS["stream"](client)))
        talker.start()
        gateway.wait_for(lambda: gateway.count("stream"))
        assert client.chat(APP, "hello").text == "You said hello"
        released.set()
        talker.join(TEST_TIMEOUT)
    assert replies == ["You said hello"]
    assert len(calls) == 2


def test_list_apps_uses_the_changed_token(monkeypatch):
    import grpc

    class Picky(GrpcGateway):
        def list_apps(self, request, context):
            if dict(context.invocation_metadata())["authorization"] != f"Bearer {NEW}":
                self.tokens.append(OLD)
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
            return super().list_apps(request, context)

    tokens = [NEW, OLD]
    with Picky().serving() as grpc_gateway:
        client = cpsl.Client(tokens.pop, "http://127.0.0.1:9", grpc_target=grpc_gateway.target)
        assert [app["name"] for app in client.list_apps()] == ["support-ops"]
    assert grpc_gateway.tokens == [OLD, f"Bearer {NEW}"]


def test_unpickled_client_picks_up_a_changed_token(gateway, rotate):
    rotate["variable"](OLD)
    copied = pickle.loads(pickle.dumps(cpsl.Client()))
    assert copied.gateway_url == gateway.url
    with pytest.raises(cpsl.AuthenticationError):
        copied.chat(APP, "hello")
    rotate["variable"](NEW)
    assert copied.chat(APP, "hello").text == "You said hello"


@pytest.mark.parametrize("source", ["file", "variable"])
def test_client_that_was_pickled_with_its_token_renews_it(gateway, rotate, source):
    rotate[source](OLD)
    client = cpsl.Client(pickle_token=True)
    copied = pickle.loads(pickle.dumps(client))
    assert copied.token_source == client.token_source
    rotate[source](NEW)
    assert copied.chat(APP, "hello").text == "You said hello"
    again = pickle.loads(pickle.dumps(copied))  # contains the changed token
    assert again.chat(APP, "hello").text == "You said hello"
    assert len(gateway.requests) == 3


_tokens = []


def next_token():
    return _tokens.pop()


def test_client_that_was_pickled_with_its_function_calls_it(gateway):
    _tokens[:] = [NEW, OLD]
    copied = pickle.loads(pickle.dumps(cpsl.Client(next_token, gateway.url, pickle_token=True)))
    assert copied.chat(APP, "hello").text == "You said hello"
    assert _tokens == []


def test_function_that_cannot_be_pickled_is_left_out(gateway):
    client = cpsl.Client(lambda: OLD, gateway.url, pickle_token=True)
    copied = pickle.loads(pickle.dumps(client))
    with pytest.raises(cpsl.AuthenticationError):
        copied.chat(APP, "hello")
    assert len(gateway.requests) == 1


def test_token_of_an_argument_is_not_replaced_after_pickling(gateway, rotate):
    rotate["file"](NEW)
    client = cpsl.Client(OLD, gateway.url, pickle_token=True)
    with pytest.raises(cpsl.AuthenticationError):
        pickle.loads(pickle.dumps(client)).chat(APP, "hello")
    assert len(gateway.requests) == 1


def test_pickled_client_without_credentials_names_the_remedy(gateway):
    copied = pickle.loads(pickle.dumps(cpsl.Client(TOKEN, gateway.url)))
    with pytest.raises(cpsl.CredentialsError, match="pickle_token=True") as caught:
        copied.chat(APP, "hello")
    assert caught.value.__context__ is None
