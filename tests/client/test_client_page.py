"""The examples of the documentation page "Client", word for word, on the local workspace."""

import cpsl


def test_documented_chats_share_one_session(workspace, monkeypatch):
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)

    client = cpsl.Client()

    first = client.chat(
        "support-ops",
        "How many threads are waiting for review right now?",
    )
    second = client.chat(
        "support-ops",
        "Turn that into a two-step triage plan.",
        session_id=first.session_id,
    )

    assert first.text.strip()
    assert second.text.strip()
    assert first.session_id == second.session_id
    assert "85 threads waiting for review" in second.text  # the session was really continued


def test_client_finds_its_credentials_or_takes_a_token(workspace, monkeypatch):
    monkeypatch.setenv("CONFIG_PATH", str(workspace.config_path))
    client = cpsl.Client(token=workspace.token, gateway_url=workspace.http_url)
    assert client.list_apps() == cpsl.Client().list_apps()


def test_chat_returns_the_whole_response(client):
    reply = client.chat("support-ops", "How many support threads are waiting for review right now?")
    print(reply.text)
    assert "85 threads" in reply.text
    assert reply.session_id and reply.request_id
    assert reply.raw["session_id"] == reply.session_id


def test_streaming_prints_the_reply_chunk_by_chunk(client, capsys):
    for chunk in client.stream("support-ops", "Summarize the riskiest support threads."):
        print(chunk.text, end="")
    printed = capsys.readouterr().out
    assert printed.startswith("The **five riskiest**")
    assert printed == client.chat("support-ops", "Summarize the riskiest support threads.").text


def test_chunk_has_event_data_text_and_done(client):
    chunks = list(client.stream("diet-coach", "two eggs"))
    assert all(isinstance(chunk.event, str) and isinstance(chunk.data, dict) for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks).strip()
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_documented_session_example_keeps_its_session(client):
    first = client.chat(
        "support-ops",
        "How many threads are waiting for review, and which queue looks busiest?",
    )
    second = client.chat(
        "support-ops",
        "Turn that into a two-step triage plan.",
        session_id=first.session_id,
    )
    assert "billing" in first.text
    assert second.session_id == first.session_id


def test_call_without_a_session_id_starts_a_new_session(client):
    ids = {client.chat("diet-coach", "an apple").session_id for _ in range(3)}
    assert len(ids) == 3


def test_documented_smoke_test_runs(workspace, monkeypatch, capsys):
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)

    client = cpsl.Client()
    reply = client.chat(
        "support-ops", "Give me a one-sentence triage plan for the current support queue."
    )

    assert reply.text.strip()
    assert reply.session_id
    print("smoke test passed")
    assert capsys.readouterr().out == "smoke test passed\n"


def test_app_is_found_by_name_and_by_id(client, workspace):
    apps = client.list_apps()
    assert [app["name"] for app in apps] == ["deal-desk", "diet-coach", "support-ops"]
    by_name = client.get_app("support-ops")
    assert by_name == client.get_app(by_name["id"])
    assert (by_name["price_in_cents"], by_name["pricing_type"]) == (1500, "monthly")
    url = client.create_checkout("deal-desk", return_url="https://example.com/thanks")
    assert url.startswith(f"{workspace.http_url}/checkout/")
    payments = client.list_payments("support-ops")
    assert len(payments) > 1000
    assert (
        sum(payment["net_cents"] for payment in payments)
        == (client.get_earnings("support-ops")["net_cents"])
    )
