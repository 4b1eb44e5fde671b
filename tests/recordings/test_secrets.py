"""A recording can be published: it has no tokens, no secrets and, if asked for, no payers."""

import base64
import json
import random
import string
import time
from urllib.parse import quote

import pytest
from gateway import APP, DONE, TOKEN, as_json, event, failed, streamed

import cpsl
from cpsl_notebook import Client, UserError, recording, replay
from cpsl_notebook.errors import UsageError
from cpsl_notebook.recordings.known_tokens import known_tokens
from cpsl_notebook.recordings.redaction import Redactor
from cpsl_notebook.recordings.replayer import NotRecordedError

SECRETS = 1_000
_random = random.Random(23)


def letters(count, alphabet=string.ascii_letters + string.digits):
    """Return random characters, one of them a digit."""
    return "7" + "".join(_random.choices(alphabet, k=count - 1))


# What each maker returns: the text that is planted, and the secret in it.
MAKERS = [
    lambda: (f"Authorization: Bearer {(s := letters(24))}", s),
    lambda: (f"'authorization': 'Basic {(s := letters(20))}'", s),
    lambda: (f"https://user:{(s := letters(12))}@db.example/x", s),
    lambda: (f"postgres://{(s := letters(9))}:{letters(9)}@db.example", s),
    lambda: (f"https://api.example/?token={(s := letters(16))}&page=2", s),
    lambda: (f"password = {(s := letters(10))}", s),
    lambda: (f'{{"api_key": "{(s := letters(18))}"}}', s),
    lambda: (f"CLIENT_SECRET: '{(s := letters(18))}'", s),
    lambda: ((s := f"eyJ{letters(20)}.{letters(30)}.{letters(20)}"), s),
    lambda: ((s := f"AKIA{letters(16, string.ascii_uppercase + string.digits)}"), s),
    lambda: ((s := f"ghp_{letters(36)}"), s),
    lambda: ((s := f"github_pat_{letters(40)}"), s),
    lambda: ((s := f"glpat-{letters(20)}"), s),
    lambda: ((s := f"xoxb-{letters(12)}-{letters(12)}"), s),
    lambda: ((s := f"sk_live_{letters(24)}"), s),
    lambda: ((s := f"whsec_{letters(32)}"), s),
    lambda: ((s := f"sk-ant-{letters(40)}"), s),
    lambda: ((s := f"AIza{letters(35)}"), s),
    lambda: ((s := f"hf_{letters(34)}"), s),
    lambda: ((s := f"pypi-{letters(60)}"), s),
    lambda: ((s := f"SG.{letters(22)}.{letters(43)}"), s),
    lambda: (
        f"-----BEGIN RSA PRIVATE KEY-----\n{(s := letters(64))}\n-----END RSA PRIVATE KEY-----",
        s,
    ),
    lambda: (f"The token is {TOKEN}.", TOKEN),
    lambda: (f"https://x.example/{quote(TOKEN)}", TOKEN),
    lambda: (TOKEN.upper(), TOKEN.upper()),
    lambda: ((s := base64.b64encode(f"user:{TOKEN}".encode()).decode()), s[8:-6]),
    lambda: ((s := TOKEN.encode().hex()), s),
]


def cut_up(text):
    """Return a text in pieces of one to four characters."""
    pieces = []
    while text:
        size = _random.randint(1, 4)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


# How a secret reaches the recording: in what is sent, and in every kind of answer.


def _in_prompt(gateway, client, text):
    client.chat(APP, f"Explain {text}")


def _in_reply(gateway, client, text):
    reply = {"replies": [{"text": text}, {"block": {"type": "x", "payload": {"y": [text]}}}]}
    gateway.on("chat", as_json(reply | {"session_id": "s-1"}))
    client.chat(APP, "Hello")


def _in_name_of_field(gateway, client, text):
    gateway.on("get_earnings", as_json({text: {"nested": {text: 1}}}))
    client.get_earnings(APP)


def _in_payments(gateway, client, text):
    gateway.on("list_payments", as_json([{"id": 1}, {"id": 2, "note": text}]))
    client.list_payments(APP)


def _in_error(gateway, client, text):
    gateway.on("get_app", failed(503, text))
    with pytest.raises(cpsl.GatewayError):
        client.get_app(APP)


def _in_checkout(gateway, client, text):
    gateway.on("create_checkout", as_json({"checkout_url": f"https://pay.example/?{text}"}))
    client.create_checkout(APP, f"https://shop.example/?{text}")


def _in_stream(gateway, client, text):
    pieces = [event({"text": piece}) for piece in cut_up(f"It is: {text} – so.")]
    gateway.on("stream", streamed(*pieces, DONE))
    list(client.stream(APP, f"Explain {text}"))


def _in_raw_stream(gateway, client, text):
    line = text.replace("\n", " ")
    gateway.on("stream", streamed(f"data: {line}\n\n".encode(), DONE))
    list(client.stream(APP, "Hello"))


def _in_broken_stream(gateway, client, text):
    pieces = [event({"text": piece}) for piece in cut_up(text)]
    gateway.on("stream", streamed(*pieces, event({"error": text}, "error")))
    with pytest.raises(cpsl.GatewayError):
        list(client.stream(APP, "Hello"))


PLACES = [
    _in_prompt,
    _in_reply,
    _in_name_of_field,
    _in_payments,
    _in_error,
    _in_checkout,
    _in_stream,
    _in_raw_stream,
    _in_broken_stream,
]


def test_no_planted_secret_is_in_the_file(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    planted = [MAKERS[number % len(MAKERS)]() for number in range(SECRETS)]
    with recording(file, live) as client:
        for number, (text, _) in enumerate(planted):
            PLACES[number // len(MAKERS) % len(PLACES)](gateway, client, text)
    content = file.read_bytes().decode()
    decoded = "".join(map(str, map(json.loads, content.splitlines())))
    streams = "".join(
        "".join(str(chunk["data"].get("text", "")) for chunk in entry.get("chunks", []))
        for entry in map(json.loads, content.splitlines())
    )
    found = {
        s for _, s in planted if any(s.lower() in t.lower() for t in (content, decoded, streams))
    }
    assert found == set()
    assert content.count("[redacted]") > SECRETS * 0.8  # the client redacts some itself
    assert "It is: " in streams and " – so." in streams  # the text around a secret stays


def test_every_place_and_every_kind_of_secret_is_planted():
    assert len(MAKERS) * len(PLACES) <= SECRETS


def test_prompt_with_a_secret_is_found_again(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    text = "Which account is ghp_0123456789abcdefghij0123456789abcdef of?"
    with recording(file, live) as client:
        client.chat(APP, text)
    assert replay(file).chat(APP, text).text == "You said Which account is [redacted] of?"
    another = text.replace("ghp_0123", "ghp_9876")
    assert replay(file).chat(APP, another).text == "You said Which account is [redacted] of?"


def test_text_that_is_no_secret_is_recorded_unchanged(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    texts = [
        "Some basic information: the bearer understands the secret: patience.",
        "max_tokens=512, tokens: 12, token = none, password: required",
        "https://docs.example:8443/a@b and mailto:ada@a.example",
        "risk-adjusted-returns-of-2026-and-sk-short",
        "6f1b1d57-6d5c-4a55-9c7e-0c0a1e2b3c4d req_0123456789abcdef0123456789abcdef",
        "/api/v1/apps?page=2&session_id=0123456789abcdef",
    ]
    with recording(file, live) as client:
        for text in texts:
            client.chat(APP, text)
    recorded = [json.loads(line)["text"] for line in file.read_text().splitlines()[1:]]
    assert recorded == texts


def test_further_secrets_are_redacted(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    with recording(file, live, secrets=["Project Falcon"]) as client:
        client.chat(APP, "What is project falcon?")
    assert "falcon" not in file.read_text().lower()
    # The replay does not know the secret.
    assert replay(file).chat(APP, "What is Project Falcon?").text == "You said What is [redacted]?"
    with pytest.raises(NotRecordedError):
        replay(file).chat(APP, "Who is Project Falcon?")


@pytest.mark.parametrize("secrets", ["hunter2-password", " hunter2-password\n"])
def test_string_is_one_secret(secrets, gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    with recording(file, live, secrets=secrets) as client:
        client.chat(APP, "Is it hunter2-password, or word?")
    entry = json.loads(file.read_text().splitlines()[1])
    assert entry["text"] == "Is it [redacted], or word?"


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ([1], "Each of the secrets must be a str, not int."),
        ([b"long enough"], "Each of the secrets must be a str, not bytes."),
        (b"long enough", "Each of the secrets must be a str, not int."),
        (None, "secrets must be a str or an iterable of str, not NoneType."),
        (5, "secrets must be a str or an iterable of str, not int."),
        ("abc", "A secret is too short: each must have at least 4 characters"),
        (["long enough", "   a   "], "A secret is too short: each must have at least 4 characters"),
        ("", "A secret is too short: each must have at least 4 characters"),
    ],
)
def test_invalid_secrets_are_refused_and_not_shown(secrets, message, tmp_path):
    with pytest.raises(UsageError) as raised:
        recording(tmp_path / "answers.jsonl", secrets=secrets)
    assert str(raised.value).startswith(message)


def test_mask_without_a_usable_key_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "capsule").touch()
    with pytest.raises(UserError, match=r"mask-key .* or pass a secret: ") as caught:
        recording("answers.jsonl", mask=True)
    advised = str(caught.value).partition("or pass a secret: ")[2].removesuffix(".")
    assert advised == 'recording("answers.jsonl", mask="a long secret")'
    with eval(advised, {"recording": recording}):
        assert (tmp_path / "answers.jsonl").exists()


def test_tokens_of_the_environment_and_of_the_login_are_known(monkeypatch, tmp_path):
    config = tmp_path / "config.ini"
    config.write_text("[default]\ntoken = first-token\n[work]\ntoken = second-token\n[empty]\n")
    monkeypatch.setenv("CONFIG_PATH", str(config))
    monkeypatch.setenv("CAPSULE_TOKEN", "third-token")
    assert known_tokens() == {"first-token", "second-token", "third-token"}


def test_unreadable_login_file_is_ignored(monkeypatch, tmp_path):
    config = tmp_path / "config.ini"
    config.write_bytes(b"token = \xff\n")
    monkeypatch.setenv("CONFIG_PATH", str(config))
    assert known_tokens() == set()


def test_token_is_found_in_the_client(live):
    """The client has no public attribute for it: this fails when its attributes change."""
    assert TOKEN in known_tokens(live)


# Remote text must not keep the kernel busy.
HOSTILE = {
    "words": "token=" * 200_000,
    "scheme": "a.b+c-" * 200_000,
    "colons": "https://" + ":" * 200_000 + "@",
    "web tokens": "eyJ-" * 200_000,
    "dots": "SG." * 200_000,
    "dashes": "-----BEGIN " * 100_000,
    "addresses": "a." * 200_000 + "@",
    "spaces": "basic" + " " * 500_000,
    "authorization": "authorization:" * 100_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_text_is_redacted_in_reasonable_time(what):
    started = time.process_time()
    Redactor(["token-0123"]).text(HOSTILE[what])
    assert time.process_time() - started < 10


# Payers.


def test_mask_replaces_payers_in_the_file_and_for_the_caller(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    payments = [
        {"id": "p-1", "payer": "ada@a.example", "gross_cents": 1500, "app": "support-ops"},
        {"id": "p-2", "customer": {"id": "cus_77", "name": "Grace Hopper"}, "gross_cents": 2},
        {"id": "p-3", "customerEmail": "ada@a.example", "receipt": "sent to ada@a.example"},
        {"id": "p-4", "payer": None, "buyer_phone": "+44 20 7946 0958"},
    ]
    gateway.on("list_payments", as_json(payments))
    with recording(file, live, mask=True) as client:
        masked = client.list_payments(APP)
        client.chat(APP, "Write to ada@a.example")
    content = file.read_text()
    for private in ("ada@", "cus_77", "Grace", "7946"):
        assert private not in content and private not in str(masked)
    assert replay(file).list_payments(APP) == masked
    ada = masked[0]["payer"]
    assert ada.startswith("payer-") and masked[2]["customerEmail"] == ada
    assert masked[2]["receipt"] == f"sent to {ada}"
    assert (masked[0]["id"], masked[0]["gross_cents"], masked[3]["payer"]) == ("p-1", 1500, None)
    assert replay(file).chat(APP, "Write to ada@a.example").text == f"You said Write to {ada}"


def test_answers_that_are_added_to_a_masked_recording_are_masked(gateway, live, tmp_path):
    file = tmp_path / "answers.jsonl"
    gateway.on("list_payments", as_json([{"payer": "ada@a.example"}]))
    with recording(file, live, mask=True):
        pass
    payments = replay(file, missing="live", client=live).list_payments(APP)
    assert payments[0]["payer"].startswith("payer-")
    assert "ada@" not in file.read_text()


def test_prompts_made_of_masked_payments_are_found_again(workspace, tmp_path):
    file = tmp_path / "answers.jsonl"

    def ask(client):
        payers = client.list_payments("support-ops")["payer"].head(3)
        return client.chat("support-ops", f"Who are {', '.join(payers)}?").text

    with recording(file, mask=True):
        said = ask(workspace.client())
    assert ask(Client(replay(file))) == said
    assert "@example" not in file.read_text()


def test_pseudonyms_are_those_of_the_key(gateway, live, tmp_path):
    from cpsl_notebook.earnings.ledger.masking import masked as pseudonyms

    file = tmp_path / "answers.jsonl"
    payers = {}
    for key in ("a long secret", "another", True):
        gateway.on("list_payments", as_json([{"payer": "ada@a.example"}]))
        with recording(file, live, mask=key) as client:
            payers[key] = client.list_payments(APP)[0]["payer"]
    assert len(set(payers.values())) == 3
    assert payers["a long secret"] == "payer-0ec79c2fe6260e61"  # as payments.capsule has it
    import pandas as pd

    assert pseudonyms(pd.Series(["ada@a.example"], dtype="string"))[0] == payers[True]
