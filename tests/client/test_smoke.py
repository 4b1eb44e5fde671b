"""``cpsl smoke``: its checks and its exit status."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from gateway import (
    DONE,
    TOKEN,
    Gateway,
    cut,
    dripping,
    dropped,
    event,
    failed,
    normal_answer,
    rate_limited,
    stalled,
    streamed,
    words,
)

import cpsl
from cpsl.__main__ import main
from cpsl.smoke import reached_app, smoke
from cpsl_notebook import local

APP_ID = "1b45251f-463a-5b5a-abcb-b13ece653006"


@pytest.fixture(scope="module")
def own_workspace(tmp_path_factory):
    """A workspace with the apps of this module, most of which are broken."""
    with local.start(tmp_path_factory.mktemp("own_workspace") / "data", pace=0) as started:

        @started.app("echo")
        def echo(session, text):
            yield from ("You said ", repr(text), f"; message {len(session.history) + 1}.")

        @started.app("silent")
        def silent(session, text):
            yield "  \n"

        @started.app("forgetful")
        def forgetful(session, text):
            yield "" if session.history else "I know nothing of later."

        @started.app("broken")
        def broken(session, text):
            yield "Well, "
            raise RuntimeError("the database is\x1b[2J gone")

        @started.app("endless")
        def endless(session, text):
            while True:
                yield "and "

        yield started


@pytest.fixture
def connected(own_workspace, monkeypatch):
    for name, value in own_workspace.environ.items():
        monkeypatch.setenv(name, value)
    return own_workspace


@contextlib.contextmanager
def gateway(*events, status=200, lookup=200, sessions=(None, None)):
    """Serve the streams of one app; yield the address and the received messages."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self):
            url = urlsplit(self.path)
            if not url.path.endswith("/stream"):
                return self.answer(lookup, "application/json", json.dumps({"id": APP_ID}))
            asked.append({name: values[0] for name, values in parse_qs(url.query).items()})
            if status != 200:
                return self.answer(status, "application/json", '{"error": "as requested"}')
            session = {"session_id": sessions[len(asked) - 1]}
            lines = [*(json.dumps(event) for event in events), json.dumps(session | {"done": True})]
            body = "".join(f"data: {line}\n\n" for line in lines)
            return self.answer(200, "text/event-stream", body)

        def answer(self, code, kind, body):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            serving.join()


def marks(out):
    """Return the mark of each check in a printed report."""
    return {line[2:15].strip(): line[0] for line in out.splitlines()}


def test_working_app_passes_every_check(connected, capsys):
    assert main(["smoke", "support-ops"]) == 0
    out = capsys.readouterr().out
    assert marks(out) == dict.fromkeys(
        ("first answer", "second answer", "same session", "in time"), "✓"
    )


def test_both_questions_are_asked_in_one_session(connected, capsys):
    arguments = ["--prompt", "Grüße 👋", "--then", "-5 °C & more?", "--expect", "message 2"]
    assert main(["smoke", "echo", "--json", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    first, second = report["turns"]
    assert first["text"] == "You said 'Grüße 👋'; message 1."
    assert second["text"] == "You said '-5 °C & more?'; message 2."
    assert first["session_id"] == second["session_id"] != ""
    assert first["request_id"] != second["request_id"]
    assert report["ok"] is True
    assert [check["name"] for check in report["checks"]][-1] == "expected text"
    for turn in report["turns"]:
        assert 0 < turn["first_chunk"] <= turn["last_chunk"] < 120


def test_times_of_first_and_last_text_are_measured_separately(own_workspace):
    release = threading.Event()

    @own_workspace.app("slow-to-end")
    def slow_to_end(session, text):
        yield "first"
        release.wait(0.3)
        yield "last"

    with own_workspace.client() as client:
        report = smoke(client.core, "slow-to-end")
    for turn in report.turns:
        assert turn.last_chunk - turn.first_chunk > 0.25
        assert turn.text == "firstlast"


@pytest.mark.parametrize(
    ("app", "failing"),
    [
        ("silent", ["first answer", "second answer"]),
        ("forgetful", ["second answer"]),
        ("broken", ["first answer", "same session"]),
    ],
)
def test_app_without_an_answer_fails(app, failing, connected, capsys):
    assert main(["smoke", app]) == 1
    out = capsys.readouterr().out
    assert [name for name, mark in marks(out).items() if mark == "✗"] == failing


def test_error_of_an_app_is_cleaned_and_on_one_line(connected, capsys):
    assert main(["smoke", "broken"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert "the database is gone" in first
    assert "\x1b" not in first


def test_endless_answer_is_cut_off(connected, capsys):
    assert main(["smoke", "endless", "--max-seconds", "0.3"]) == 1
    out = capsys.readouterr().out
    assert marks(out) == dict.fromkeys(("first answer", "same session", "in time"), "✗")
    assert re.search(r"longer than 0\.3 s; [0-9,]+ characters had arrived", out)
    assert "took longer than 0.3 s" in out


def test_silent_app_is_cut_off(connected, capsys):
    release = threading.Event()

    @connected.app("stuck")
    def stuck(session, text):
        release.wait(20)
        yield "at last"

    try:
        assert main(["smoke", "stuck", "--max-seconds", "0.3"]) == 1
    finally:
        release.set()
    assert marks(capsys.readouterr().out)["in time"] == "✗"


def test_answer_without_the_expected_text_fails(connected, capsys):
    assert main(["smoke", "echo", "--expect", r"message \d{3}"]) == 1
    assert r"no answer contains 'message \\d{3}'" in capsys.readouterr().out


def test_changed_session_fails():
    with gateway({"text": "hello"}, sessions=("one", "two")) as (url, asked):
        report = smoke(cpsl.Client("a-token", url), APP_ID)
    assert [check.name for check in report.checks if not check.ok] == ["same session"]
    assert asked[1]["session_id"] == "one"


def test_missing_session_fails_and_skips_the_second_question():
    with gateway({"text": "hello"}) as (url, asked):
        report = smoke(cpsl.Client("a-token", url), APP_ID)
    assert [check.name for check in report.checks if not check.ok] == ["same session"]
    assert len(asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_gateway_error_after_the_question_is_a_failed_check(status):
    with gateway(status=status) as (url, asked):
        report = smoke(cpsl.Client("a-token", url), APP_ID)
    assert report.ok is False
    assert (
        report.checks[0].detail == f"The gateway failed ({status}): as requested. Try again later."
    )
    assert len(asked) == 1


def test_gateway_error_before_the_question_exits_with_2(monkeypatch, capsys):
    with gateway(lookup=500) as (url, asked):
        monkeypatch.setenv("CAPSULE_TOKEN", "a-token")
        monkeypatch.setenv("CAPSULE_HTTP_URL", url)
        assert main(["smoke", APP_ID]) == 2
    assert asked == []
    assert "(500)" in capsys.readouterr().err


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_refused_question_exits_with_2(status, monkeypatch, capsys):
    with gateway(status=status) as (url, _):
        monkeypatch.setenv("CAPSULE_TOKEN", "a-token")
        monkeypatch.setenv("CAPSULE_HTTP_URL", url)
        assert main(["smoke", APP_ID]) == 2
    assert capsys.readouterr().out == ""


@pytest.fixture
def faulty_gateway(monkeypatch):
    """A gateway with given faults, and the environment in which the command uses it."""
    with Gateway() as started:
        monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
        monkeypatch.setenv("CAPSULE_HTTP_URL", started.url)
        yield started


ANSWERED = streamed(*words("hello"), DONE)
DROPPED = {"before the headers": dropped(), "within the headers": cut(ANSWERED, after=20)}


@pytest.mark.parametrize("given", DROPPED.values(), ids=DROPPED)
@pytest.mark.parametrize("turn", ["first", "second"])
def test_dropped_connection_after_the_question_fails(faulty_gateway, given, turn, capsys):
    faulty_gateway.on("stream", *([ANSWERED] if turn == "second" else []), given)
    assert main(["smoke", APP_ID]) == 1
    assert marks(capsys.readouterr().out)[f"{turn} answer"] == "✗"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_rate_limit_longer_than_the_time_limit_exits_with_2(faulty_gateway, turn, capsys):
    faulty_gateway.on("stream", *([ANSWERED] if turn == "second" else []), rate_limited(after=30))
    assert main(["smoke", APP_ID, "--max-seconds", "0.3", "--expect", "bye"]) == 2
    out, err = capsys.readouterr()
    found = {"first answer": "✓", "in time": "✓"} if turn == "second" else {}
    assert marks(out) == found
    assert err == "cpsl: Too many requests: slow down. Try again in 30 s.\n"


def test_json_has_the_first_answer_if_the_second_question_was_refused(faulty_gateway, capsys):
    faulty_gateway.on("stream", ANSWERED, failed(401))
    assert main(["smoke", APP_ID, "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert [turn["text"] for turn in report["turns"]] == ["hello"]
    assert (report["ok"], "refused the token" in report["error"]) == (False, True)


def test_empty_first_answer_fails_if_the_second_question_was_refused(faulty_gateway, capsys):
    faulty_gateway.on("stream", streamed(DONE), failed(401))
    assert main(["smoke", APP_ID]) == 1
    out, err = capsys.readouterr()
    assert marks(out) == {"first answer": "✗", "in time": "✓"}
    assert "refused the token" in err


@pytest.mark.parametrize(
    "given",
    [
        stalled(),
        dripping(b"HTTP/1.1 103 Wait\r\n", b"A: b\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
    ids=["nothing", "interim response", "body"],
)
def test_lookup_has_the_time_limit_of_an_answer(faulty_gateway, capsys, given):
    faulty_gateway.on("get_app", given)
    assert main(["smoke", APP_ID, "--max-seconds", "0.3"]) == 2
    assert "did not respond completely within 0.3 s" in capsys.readouterr().err


def test_answer_with_slow_headers_is_cut_off(faulty_gateway, capsys):
    faulty_gateway.on("stream", dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "))
    assert main(["smoke", APP_ID, "--max-seconds", "0.3"]) == 1
    assert "within 0.3 s" in capsys.readouterr().out


def test_session_id_may_be_a_number(faulty_gateway):
    faulty_gateway.otherwise = lambda request: (
        streamed(event({"text": "hello", "session_id": 7, "done": True}))
        if request.call == "stream"
        else normal_answer(request)
    )
    assert main(["smoke", APP_ID]) == 0
    assert [r.session_id for r in faulty_gateway.requests if r.call == "stream"] == ["", "7"]


def nowhere():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        ([APP_ID], {"CAPSULE_TOKEN": ""}, "set but empty"),
        ([APP_ID], {"CAPSULE_TOKEN": "wrong"}, "refused the token"),
        (["ecko"], {}, "did you mean 'echo'?"),
        ([], {}, "APP"),
        (["echo", "--max-seconds", "soon"], {}, "--max-seconds"),
        (["echo", "--max-seconds", "0"], {}, "above 0"),
        (["echo", "--max-seconds", "nan"], {}, "above 0"),
        (["echo", "--expect", "("], {}, "invalid regular expression"),
        (["echo", "--prompt", " "], {}, "empty"),
        (["echo", "--then", ""], {}, "empty"),
        (["echo", "--prompt", "a" * 9000], {}, "chat"),
    ],
)
def test_unasked_app_prints_one_line_and_exits_with_2(
    arguments, changes, message, connected, monkeypatch, capsys
):
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv("CONFIG_PATH", os.devnull)
    assert main(["smoke", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_missing_connection_exits_with_2(monkeypatch, capsys):
    monkeypatch.setenv("CAPSULE_TOKEN", "a-token")
    monkeypatch.setenv("CAPSULE_HTTP_URL", nowhere())
    assert main(["smoke", APP_ID, "--json"]) == 2
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["ok"] is False
    assert "Cannot connect to a gateway" in report["error"]
    assert "Cannot connect to a gateway" in shown.err


def test_report_uses_ascii_marks_if_the_output_needs_them(connected):
    done = subprocess.run(
        [sys.executable, "-m", "cpsl", "smoke", "echo", "--expect", "nothing"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(b"ok   first answer")
    assert b"\nFAIL expected text" in done.stdout
    assert done.stderr == b""


def test_network_that_requires_a_login_did_not_reach_the_app():
    assert not reached_app(cpsl.GatewayError("no", status=511))
    assert reached_app(cpsl.GatewayError("no", status=500))
