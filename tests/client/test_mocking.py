"""Tools that mock requests or urllib3 intercept every call: vcrpy, responses and requests-mock."""

import os
import subprocess
import sys

import pytest
import requests_mock
import responses
import vcr
import vcr.errors
from gateway import APP, DONE, TOKEN, Gateway, as_json, words

import cpsl

CALLS = {
    "chat": lambda client: client.chat(APP, "hello").text,
    "stream": lambda client: "".join(chunk.text for chunk in client.stream(APP, "hello")),
    "create_checkout": lambda client: client.create_checkout(APP),
    "list_payments": lambda client: client.list_payments(APP),
}
RESULTS = {
    "chat": "You said hello",
    "stream": "You said hello",
    "create_checkout": "https://pay.example/1",
    "list_payments": [{"id": "p-1", "gross_cents": 1500}],
}
URL = "http://127.0.0.1:9"  # where nothing listens
EVENTS = b"".join([*words("You said ", "hello"), DONE])
REPLY = {"replies": [{"text": "You said hello"}], "session_id": "s-1"}


@pytest.fixture
def cassette(tmp_path):
    return tmp_path / "cassette.yaml"


def recorder(cassette, mode):
    return vcr.VCR(filter_headers=["authorization"], record_mode=mode).use_cassette(str(cassette))


# vcrpy.


@pytest.mark.parametrize("call", CALLS)
def test_vcrpy_records_and_replays(cassette, call):
    with Gateway() as gateway:
        client = cpsl.Client(TOKEN, gateway.url)
        CALLS[call](client)  # the pool has a connection already
        before = len(gateway.requests)
        with recorder(cassette, "once"):
            assert CALLS[call](client) == RESULTS[call]
        sent = len(gateway.requests)
        assert sent > before
        with recorder(cassette, "none") as played:
            assert CALLS[call](client) == RESULTS[call]
            assert played.all_played
        assert len(gateway.requests) == sent
        assert CALLS[call](client) == RESULTS[call]  # afterwards, messages are sent again
        assert len(gateway.requests) > sent
        client.close()
    assert TOKEN not in cassette.read_text()
    with recorder(cassette, "none"):  # no gateway is needed
        assert CALLS[call](cpsl.Client(TOKEN, gateway.url)) == RESULTS[call]


@pytest.mark.parametrize("call", CALLS)
def test_vcrpy_sends_nothing_in_record_mode_none(cassette, call):
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        with (
            recorder(cassette, "none"),
            pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException),
        ):
            CALLS[call](client)
        assert gateway.requests == []


def test_cassette_can_be_saved_with_its_headers(cassette):
    with Gateway() as gateway, vcr.use_cassette(str(cassette)):
        cpsl.Client(TOKEN, gateway.url).chat(APP, "hello")
    assert f"Bearer {TOKEN}" in cassette.read_text()


def test_message_is_not_repeated_while_vcrpy_records(cassette):
    with Gateway() as gateway, cpsl.Client(TOKEN, gateway.url) as client:
        gateway.on("chat", as_json({}, 503))
        with recorder(cassette, "once"), pytest.raises(cpsl.GatewayError):
            client.chat(APP, "hello")
        assert gateway.count("chat") == 1


def test_cpsl_may_be_imported_while_a_cassette_is_in_use(cassette):
    script = f"""if True:
        import sys, vcr
        with vcr.use_cassette(sys.argv[1], record_mode="none"):
            import cpsl
            client = cpsl.Client("a-token", sys.argv[2])
            try:
                client.chat({APP!r}, "hello")
            except vcr.errors.CannotOverwriteExistingCassetteException:
                print("intercepted")
        print(client.chat({APP!r}, "hello").text)
        from cpsl import connections
        print(connections.HTTPConnection.__module__, connections.HTTPSConnection.__module__)
    """
    with Gateway() as gateway:
        command = [sys.executable, "-c", script, str(cassette), gateway.url]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        assert done.stdout == "intercepted\nYou said hello\nurllib3.connection urllib3.connection\n"
        assert gateway.messages["hello"] == 1


# responses.


@responses.activate
def test_responses_intercepts_every_call():
    responses.post(f"{URL}/api/v1/app/{APP}/chat", json=REPLY)
    responses.get(f"{URL}/api/v1/app/{APP}/stream", body=EVENTS, content_type="text/event-stream")
    responses.get(f"{URL}/api/v1/apps/{APP}", json={"price_in_cents": 1500})
    responses.post(
        f"{URL}/api/v1/checkout/{APP}", json={"checkout_url": RESULTS["create_checkout"]}
    )
    responses.get(f"{URL}/api/v1/apps/{APP}/payments", json=RESULTS["list_payments"])
    client = cpsl.Client(TOKEN, URL)
    for call, run in CALLS.items():
        assert run(client) == RESULTS[call]
    headers = {type(call.request.headers["Authorization"]) for call in responses.calls}
    assert headers == {str}


@responses.activate
def test_error_names_what_responses_does_not_know():
    with pytest.raises(cpsl.CannotConnectError, match="Connection refused by Responses") as caught:
        cpsl.Client(TOKEN, URL, max_retries=0).chat(APP, "hello")
    assert TOKEN not in repr(vars(caught.value.__cause__))


@responses.activate
def test_responses_can_fail():
    responses.post(f"{URL}/api/v1/app/{APP}/chat", status=503, json={"error": "busy"})
    with pytest.raises(cpsl.GatewayError, match="busy"):
        cpsl.Client(TOKEN, URL).chat(APP, "hello")


# requests-mock.


def test_requests_mock_intercepts_every_call():
    client = cpsl.Client(TOKEN, URL)
    with requests_mock.Mocker() as mock:
        mock.post(f"/api/v1/app/{APP}/chat", json=REPLY)
        headers = {"Content-Type": "text/event-stream"}
        mock.get(f"/api/v1/app/{APP}/stream", content=EVENTS, headers=headers)
        mock.get(f"/api/v1/apps/{APP}", json={"price_in_cents": 1500})
        mock.post(f"/api/v1/checkout/{APP}", json={"checkout_url": RESULTS["create_checkout"]})
        mock.get(f"/api/v1/apps/{APP}/payments", json=RESULTS["list_payments"])
        for call, run in CALLS.items():
            assert run(client) == RESULTS[call]
        assert mock.call_count == len(CALLS) + 1  # a checkout reads the app first


def test_error_names_what_requests_mock_does_not_know():
    with (
        requests_mock.Mocker(),
        pytest.raises(requests_mock.exceptions.NoMockAddress, match="No mock address"),
    ):
        cpsl.Client(TOKEN, URL, max_retries=0).chat(APP, "hello")
