"""The command ``cpsl``: its output to a pipe and to a terminal, and its errors."""

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from gateway import Gateway, answer, dropped, failed
from terminal import Terminal

import cpsl
from cpsl import smoke
from cpsl.__main__ import main
from cpsl.cli import parse
from cpsl.cli_output import _width, print_table
from cpsl_notebook import local

APP_ID = "1b45251f-463a-5b5a-abcb-b13ece653006"
COMMANDS = ("login", "logout", "status", "apps", "chat", "payments", "earnings", "smoke", "help")
COMMANDS += ("completion",)
FULL = Path("/dev/full")
HOSTILE = "red\x1b[31m \x1b]0;title\x07bell\x9b2J\rover\x7f \u202eevil\ttab\nend 👋"
CLEAN = "red bell2J\nover evil\ttab\nend 👋"
CONTROLS = set("\x1b\x9b\x07\r\x7f\u202e")


@pytest.fixture(scope="module")
def own_workspace(tmp_path_factory):
    """A workspace with the apps of this module."""
    with local.start(tmp_path_factory.mktemp("own_workspace") / "data", pace=0) as started:

        @started.app("echo")
        def echo(session, text):
            yield f"{text} ({len(session.history) + 1})"

        @started.app("hostile")
        def hostile(session, text):
            yield from HOSTILE  # one character per event, so that sequences are cut

        @started.app("broken")
        def broken(session, text):
            yield "Well, "
            raise RuntimeError("the database is gone")

        yield started


@pytest.fixture(autouse=True)
def connected(own_workspace, monkeypatch):
    for name, value in own_workspace.environ.items():
        monkeypatch.setenv(name, value)
    return own_workspace


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "cpsl", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        **options,
    )


def answering(answer):
    """Serve one JSON answer for every request."""

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self):
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    @contextlib.contextmanager
    def serve():
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            serving = threading.Thread(target=server.serve_forever)
            serving.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                serving.join()

    return serve()


@pytest.fixture
def answered(monkeypatch, capsys):
    """Run a command against a service that sends one answer; return its status and output."""

    def ask(answer, *arguments):
        with answering(answer) as url:
            monkeypatch.delenv("CAPSULE_GATEWAY_URL")
            monkeypatch.setenv("CAPSULE_HTTP_URL", url)
            status = main(arguments)
        return status, *capsys.readouterr()

    return ask


def portal():
    return answer(b"<html>Please log in", Content_Type="text/html; charset=utf-8")


# The command line.


def test_help_describes_commands_variables_and_exit_status(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for word in (*COMMANDS, "CAPSULE_TOKEN", "CONFIG_PATH", "exit status", "examples"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_own_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: cpsl {command}")


def test_help_command_shows_the_same_as_the_option(capsys):
    assert main(["--help"]) == 0
    general = capsys.readouterr().out
    assert main(["help"]) == 0
    assert capsys.readouterr().out == general
    assert main(["help", "smoke"]) == 0
    assert capsys.readouterr().out.startswith("usage: cpsl smoke")
    assert main(["help", "shout"]) == 2
    assert "invalid choice" in capsys.readouterr().err


SHELLS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
IN_SHELL = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
# Functions in place of the command, which write its arguments to a file.
WRITE = "cpsl() { printf '%s\\n' \"$@\" > {file}; printf 'do%s' ne; }"
WRITE_IN_FISH = "function cpsl; printf '%s\\n' $argv > {file}; printf 'do%s' ne; end"


@pytest.fixture(params=SHELLS)
def complete(request, tmp_path, capsys):
    """Type a line in a real shell, with Tab for ``\\t``, and return the arguments of the command."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert main(["completion", shell]) == 0
    script, written = tmp_path / "completion", tmp_path / "arguments"
    script.write_text(capsys.readouterr().out)
    function = (WRITE_IN_FISH if shell == "fish" else WRITE).replace("{file}", str(written))

    def run(line):
        with Terminal("-c", IN_SHELL, *SHELLS[shell], HOME=str(tmp_path), TERM="dumb") as terminal:
            terminal.type(f"source {script}; {function}; printf 'rea%s' dy\n")
            terminal.read_until("ready")
            terminal.type(f"{line}\n")
            terminal.read_until("done")
        return written.read_text().splitlines()

    return run


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("cpsl smo\t support-ops --max\t 5", ["smoke", "support-ops", "--max-seconds", "5"]),
        ("cpsl --verbose pay\t a --c\t", ["--verbose", "payments", "a", "--csv"]),
        ("cpsl help ear\t", ["help", "earnings"]),
        ("cpsl completion fi\t", ["completion", "fish"]),
    ],
)
def test_shell_completes_commands_options_and_values(complete, line, arguments):
    assert complete(line) == arguments


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_script_has_every_command(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "max-seconds" in script


def test_module_prints_its_version(root):
    project = tomllib.loads((root / "cpsl" / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout.decode() == f"cpsl-client {project['version']}\n"
    assert cpsl.__version__ == project["version"]


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["smoke", "--help"], ["chat"], ["shout"], ["help"]]
)
def test_command_line_is_parsed_before_slow_imports(arguments):
    script = """if True:
        import sys
        from cpsl.launcher import main
        main(sys.argv[1:])
        print("modules:", *sys.modules)
    """
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    loaded = set(done.stdout.rpartition("modules:")[2].split())
    assert "cpsl.cli" in loaded
    slow = {"grpc", "google.protobuf", "requests", "urllib3", "msgspec", "logging", "typing"}
    assert loaded & slow == set()


def test_path_entries_that_are_not_folders_are_skipped(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "file"), str(tmp_path / "none"), *sys.path])
    assert main(["--version"]) == 0
    (tmp_path / "cpsl-0.3.181.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert main(["--version"]) == 2
    assert "are both installed" in capsys.readouterr().err


def test_import_of_the_package_imports_nothing_slow():
    script = "import sys, cpsl; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert [name for name in done.stdout.split() if name.startswith("cpsl")] == ["cpsl"]
    assert not {"grpc", "requests", "typing"} & set(done.stdout.split())


def test_help_names_the_default_of_the_smoke_test(capsys):
    assert main(["smoke", "--help"]) == 0
    assert f"(default: {smoke.MAX_SECONDS:g})" in " ".join(capsys.readouterr().out.split())


def test_console_script_is_cpsl_and_not_capsule(root):
    text = (root / "cpsl" / "pyproject.toml").read_text()
    assert 'cpsl = "cpsl.launcher:main"' in text
    assert "capsule =" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no command given"),
        (["shout"], "invalid choice"),
        (["chat"], "APP, TEXT"),
        (["chat", "echo"], "TEXT"),
        (["chat", "echo", "two", "words"], "put the message in quotes"),
        (["chat", "echo", ""], "empty"),
        (["chat", "echo", " \n"], "empty"),
        (["chat", "echo", "\udcff"], "UTF-8"),
        (["chat", "echo", "hi", "--sesion=x"], "unknown option --sesion"),
        (["chat", "echo", "hi", "--sess", "x"], "unknown option --sess"),
        (["payments", "echo", "--csv", "--json"], "not allowed with"),
        (["pay\x1b[2Jments"], "invalid choice"),
    ],
)
def test_invalid_command_line_prints_one_line_and_exits_with_2(arguments, message, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert "\x1b" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("changes", "arguments", "status", "message"),
    [
        ({"CAPSULE_TOKEN": ""}, ["apps"], 2, "CAPSULE_TOKEN is set but empty"),
        ({"CAPSULE_TOKEN": "wrong"}, ["apps"], 2, "set CAPSULE_TOKEN to another token"),
        ({"CAPSULE_TOKEN": "wrong"}, ["earnings", APP_ID], 2, "set CAPSULE_TOKEN to"),
        ({}, ["chat", "ecco", "hi"], 2, "did you mean 'echo'?"),
        ({}, ["payments", APP_ID.replace("1", "2")], 2, "No app"),
        ({}, ["chat", "broken", "hi"], 1, "the database is gone"),
        ({"CAPSULE_GATEWAY_URL": "127.0.0.1:1"}, ["apps"], 2, "check that it is running"),
        (
            {"CAPSULE_HTTP_URL": "http://127.0.0.1:1"},
            ["payments", APP_ID],
            2,
            "Cannot connect to a gateway",
        ),
        ({"CAPSULE_HTTP_URL": "http://example.com"}, ["apps"], 2, "CAPSULE_ALLOW_INSECURE=1"),
    ],
)
def test_error_prints_one_line_with_advice(
    changes, arguments, status, message, monkeypatch, capsys
):
    monkeypatch.setenv("CONFIG_PATH", os.devnull)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == status
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (dropped(), 1, "broke before the response was complete"),
        (failed(401), 2, "refused the token"),
    ],
)
def test_exit_status_depends_on_the_error(given, status, message, monkeypatch, capsys):
    with Gateway() as gateway:
        monkeypatch.delenv("CAPSULE_GATEWAY_URL")
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        gateway.on("chat", given)
        assert main(["chat", APP_ID, "hi"]) == status
    assert message in capsys.readouterr().err


def test_warning_is_one_line(connected, tmp_path, monkeypatch, capsys):
    config = tmp_path / "config.ini"
    config.write_bytes(connected.config_path.read_bytes())
    config.chmod(0o644)
    monkeypatch.setenv("CONFIG_PATH", str(config))
    monkeypatch.delenv("CAPSULE_TOKEN")
    assert main(["apps"]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"run `chmod 600 {config}`" in err


def test_warnings_as_errors_do_not_raise(connected, tmp_path):
    config = tmp_path / "config.ini"
    config.write_bytes(connected.config_path.read_bytes())
    config.chmod(0o644)
    environ = {**os.environ, "CONFIG_PATH": str(config), "PYTHONWARNINGS": "error"}
    del environ["CAPSULE_TOKEN"]
    done = run("apps", env=environ)
    assert done.returncode == 0
    assert done.stderr.decode().startswith("cpsl: warning: Other users can read")


def test_verbose_reports_retries(capsys, monkeypatch):
    with Gateway() as gateway:
        monkeypatch.delenv("CAPSULE_GATEWAY_URL")
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        for arguments in (["--verbose", "earnings", APP_ID], ["earnings", APP_ID, "--verbose"]):
            gateway.on("get_earnings", failed(503))
            assert main(arguments) == 0
            err = capsys.readouterr().err
            assert re.fullmatch(r"cpsl: retry 1 of 2 in 0\.\d\d s: The gateway failed .*\n", err)
        gateway.on("get_earnings", failed(503))
        assert main(["earnings", APP_ID]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("given", [failed(302, Location="https://login.example"), portal()])
@pytest.mark.parametrize("command", ["smoke", "chat", "earnings"])
def test_login_page_of_the_network_exits_with_2(given, command, capsys, monkeypatch):
    with Gateway() as gateway:
        gateway.otherwise = lambda request: given
        monkeypatch.delenv("CAPSULE_GATEWAY_URL")
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        assert main([command, APP_ID, *(["hi"] if command == "chat" else [])]) == 2
    assert "check the gateway's address" in capsys.readouterr().err


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("target", ["full", "closed"])
@pytest.mark.parametrize(("arguments", "status"), [(["apps"], 2), (["earnings", APP_ID], 2)])
def test_exit_status_does_not_depend_on_standard_error(arguments, status, target):
    environ = {**os.environ, "CAPSULE_TOKEN": "wrong"}
    redirection = "2>/dev/full" if target == "full" else "2>&-"
    command = f"{shlex.quote(sys.executable)} -m cpsl {shlex.join(arguments)} {redirection}"
    assert subprocess.run(command, shell=True, env=environ).returncode == status


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}])
def test_argument_is_utf8_whatever_the_locale_is(locale):
    environ = {**os.environ, **locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = run("chat", "echo", "Grüße 👋", "--json", env=environ)
    assert json.loads(done.stdout)["text"].startswith("Grüße 👋")
    done = run("chat", "echo", b"\xff", env=environ)
    assert (done.returncode, b"not valid UTF-8" in done.stderr) == (2, True)


# Output to a pipe and to a file.


def test_apps_are_listed(connected, capsys):
    assert main(["apps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "hostname", "id"]
    assert [line.split()[0] for line in lines[1:]] == [a["name"] for a in connected.list_apps()]
    assert main(["apps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == connected.list_apps()


@pytest.mark.parametrize(
    "text", ["hello", "👋🏽 Grüße", "-5 °C today?", "a" * 20_000, "two\nlines"]
)
def test_pipe_receives_only_the_text_of_the_reply(text, capsys):
    assert main(["chat", "echo", text]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{text} (1)\n"
    assert shown.err == ""


def test_message_can_come_from_standard_input():
    done = run("chat", "echo", "-", input="Grüße 👋\n".encode())
    assert done.stdout.decode() == "Grüße 👋\n (1)\n"


@pytest.mark.parametrize(
    ("given", "message"), [(b"", b"empty"), (b" \n", b"empty"), (b"\xff", b"UTF-8")]
)
def test_standard_input_without_a_message_is_an_error(given, message):
    done = run("chat", "echo", "-", input=given)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_session_option_continues_a_session(client, capsys):
    assert main(["chat", "echo", "one", "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert sorted(reply) == ["raw", "request_id", "session_id", "text"]
    assert main(["chat", "echo", "two", "--session", reply["session_id"]]) == 0
    shown = capsys.readouterr()
    assert shown.out == "two (2)\n"
    assert shown.err == ""


def test_session_that_was_not_continued_prints_a_note(capsys):
    assert main(["chat", "echo", "two", "--session", "long gone"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "two (1)\n"
    assert "started a new one" in shown.err


def test_text_is_cleaned_and_json_is_exact(capsys):
    assert main(["chat", "hostile", "hi"]) == 0
    assert capsys.readouterr().out == CLEAN + "\n"
    assert main(["chat", "hostile", "hi", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["text"] == HOSTILE
    assert not set(out) & CONTROLS
    assert "👋" in out


def test_ascii_output_has_valid_json_and_readable_text():
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run("chat", "echo", "Grüße 👋", "--json", env=ascii_only)
    assert json.loads(done.stdout)["text"] == "Grüße 👋 (1)"
    done = run("chat", "echo", "Grüße 👋", env=ascii_only)
    assert done.stdout == b"Gr??e ? (1)\n"


def test_csv_has_every_field_of_every_payment(client, capsys):
    assert main(["payments", "support-ops", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    payments = client.list_payments("support-ops")
    assert rows == [
        {name: "" if value is None else str(value) for name, value in payment.items()}
        for payment in payments
    ]


RECORDS = [
    {"id": "p1", "payer": {"name": 'Ada, "the" first', "tags": ["a", "b"]}, "cents": 1500},
    {
        "id": "p2",
        "payer": {"name": "渡辺 👋", "more": {}},
        "cents": -4,
        "paid": True,
        "payer.name": 1,
    },
    {"id": "p3\x1b[2J", "note": "two\nlines", "rate": 0.1, "big": 2**70, "paid": None},
]


def test_csv_flattens_nested_fields_and_has_the_union_of_all(answered):
    _, out, _ = answered(RECORDS, "payments", APP_ID, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == [
        *("id", "payer.name", "payer.tags", "cents", "payer.more", "paid", "payer.name_"),
        *("note", "rate", "big"),
    ]
    filled = [{name: value for name, value in row.items() if value} for row in rows]
    assert filled == [
        {"id": "p1", "payer.name": 'Ada, "the" first', "payer.tags": '["a", "b"]', "cents": "1500"},
        {"id": "p2", "payer.name": "渡辺 👋", "cents": "-4", "payer.more": "{}"}
        | {"paid": "true", "payer.name_": "1"},
        {"id": "p3", "note": "two\nlines", "rate": "0.1", "big": str(2**70)},
    ]


def test_table_is_aligned_with_wide_characters(answered):
    _, out, _ = answered(RECORDS, "payments", APP_ID)
    header, *rows = out.splitlines()
    assert header.split()[:4] == ["id", "payer.name", "payer.tags", "cents"]
    assert len(rows) == 3
    cents = header.index("cents") + len("cents")
    assert [rows[0][:cents][-4:], rows[2][:cents].strip()] == ["1500", "p3"]
    wide = rows[1][:cents]  # three characters of two columns each
    assert wide.rstrip().endswith("paid") is False
    assert rows[1][: cents - 3].endswith("-4")


@pytest.mark.parametrize("envelope", [{"payments": RECORDS}, {"data": RECORDS, "count": 3}])
def test_payments_inside_an_object_are_found(envelope, answered):
    status, out, _ = answered(envelope, "payments", APP_ID, "--csv")
    assert status == 0
    assert out.count("\n") == 5


@pytest.mark.parametrize(
    "answer", [{"payments": RECORDS, "has_more": True}, {"a": [], "b": []}, {"a": 1}, "text", 7]
)
def test_incomplete_or_unknown_payments_are_an_error(answer, answered):
    status, out, err = answered(answer, "payments", APP_ID)
    assert (status, out) == (1, "")
    assert err.startswith("cpsl: ")
    assert "payments" in err


def test_no_payments_print_a_note_and_an_empty_file(capsys):
    assert main(["payments", "diet-coach"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "cpsl: There are no payments.\n")
    assert main(["payments", "diet-coach", "--csv"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["payments", "diet-coach", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_earnings_are_printed_in_cents(client, capsys):
    assert main(["earnings", "support-ops"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    earnings = client.get_earnings("support-ops")
    assert int(shown["net_cents"]) == earnings["net_cents"]
    assert main(["earnings", "support-ops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == earnings


def test_closed_pipe_is_not_an_error():
    line = f"{shlex.quote(sys.executable)} -m cpsl payments support-ops --csv"
    for command in (f"{line} | head -1", f"{line} | true"):
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        assert done.stderr == b""
    helped = subprocess.run(["sh", "-c", f"{line} --help | true"], capture_output=True, check=False)
    assert helped.stderr == b""


@pytest.mark.parametrize(
    ("line", "status", "out", "err"),
    [
        ("chat echo hi >&-", 0, "", ""),
        ("chat echo hi --session gone >&-", 0, "", "started a new one"),
        ("chat echo hi --session gone 2>&-", 0, "hi (1)\n", ""),
        ("chat echo hi <&- >&- 2>&-", 0, "", ""),
        ("chat echo - <&-", 2, "", "from standard input is empty"),
        ("chat ecko hi 2>&-", 2, "", ""),
        ("login --token-stdin <&-", 2, "", "The token is invalid"),
        ("shout 2>&-", 2, "", ""),
        ("--help >&-", 0, "", ""),
    ],
)
def test_closed_standard_stream_acts_as_the_null_device(line, status, out, err):
    command = f"{shlex.quote(sys.executable)} -m cpsl {line}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, out), done.stderr
    assert err in done.stderr
    assert done.stderr.count("\n") == bool(err)


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
def test_full_disk_prints_one_line():
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cpsl", "apps"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1


# Output to a terminal.


def test_terminal_shows_the_reply_while_it_arrives(connected):
    release = threading.Event()

    @connected.app("gradual")
    def gradual(session, text):
        yield "first words"
        release.wait(30)
        yield ", last words"

    with Terminal("-m", "cpsl", "chat", "gradual", "hi") as terminal:
        shown = terminal.read_until("first words")
        assert "last words" not in shown
        release.set()
        shown = terminal.end()
    assert shown.startswith("first words, last words\r\n")
    assert terminal.status == 0


def test_terminal_shows_a_working_command_to_continue():
    with Terminal("-m", "cpsl", "chat", "echo", "one", columns=200) as terminal:
        shown = terminal.end()
    again = re.search(r"To continue: cpsl (chat echo --session \S+) TEXT", shown)[1]
    with Terminal("-m", "cpsl", *again.split(), "two") as terminal:
        assert terminal.end().startswith("two (2)\r\n")


def test_escape_sequences_never_reach_a_terminal():
    with Terminal("-m", "cpsl", "chat", "hostile", "hi") as terminal:
        shown = terminal.end()
    assert shown.startswith(CLEAN.replace("\n", "\r\n") + "\r\n")
    assert not set(shown.replace("\r\n", "")) & CONTROLS
    with Terminal("-m", "cpsl", "chat", "hostile", "hi", "--json") as terminal:
        shown = terminal.end()
    assert not set(shown.replace("\r\n", "")) & CONTROLS


def test_interrupted_reply_keeps_its_text_and_ends_with_a_line_feed():
    with Terminal("-m", "cpsl", "chat", "broken", "hi") as terminal:
        shown = terminal.end()
    assert terminal.status == 1
    first, second = shown.splitlines()
    assert first.rstrip() == "Well,"
    assert second.startswith("cpsl: ")
    assert "the database is gone" in second


def test_ctrl_c_during_start_prints_one_line(tmp_path):
    slow = "print('loading', flush=True)\nimport time\ntime.sleep(600)"
    (tmp_path / "requests.py").write_text(slow)
    process = subprocess.Popen(
        [sys.executable, "-m", "cpsl", "apps"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"loading\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"cpsl: interrupted\n")
    assert process.returncode == 130


def test_ctrl_c_during_a_reply_prints_one_line(connected):
    release = threading.Event()

    @connected.app("thinker")
    def thinker(session, text):
        yield "Let me think"
        release.wait(30)

    try:
        with Terminal("-m", "cpsl", "chat", "thinker", "hi") as terminal:
            terminal.read_until("Let me think")
            terminal.type("\x03")
            shown = terminal.end()
    finally:
        release.set()
    assert terminal.status == 130
    assert shown.splitlines()[-1] == "cpsl: interrupted"
    assert "Traceback" not in shown


def test_message_too_long_for_a_stream_is_sent_with_chat():
    with Terminal("-m", "cpsl", "chat", "echo", "long " * 4000, columns=1000) as terminal:
        shown = terminal.end()
    assert terminal.status == 0
    assert "long  (1)" in shown


@pytest.mark.parametrize("columns", [20, 40, 80, 100])
def test_terminal_shows_the_first_columns_that_fit(columns, client):
    fields = list(client.list_payments("deal-desk")[0])
    with Terminal("-m", "cpsl", "payments", "deal-desk", columns=columns) as terminal:
        table, _, note = terminal.end().partition("cpsl: ")
    header, *rows = table.splitlines()
    shown = header.split()
    assert shown == fields[: len(shown)]
    assert max(map(len, [header, *rows])) <= (columns if len(shown) > 1 else 40)
    assert len(rows) > 500
    assert note.startswith(f"{len(fields) - len(shown)} of {len(fields)} columns do not fit:")


@pytest.mark.parametrize(("columns", "shown"), [("3", 1), ("4", 1), ("6", 2), ("200", 3)])
def test_table_is_fitted_to_the_terminal(columns, shown, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table([{"aa": "渡", "b": 12, "c": "x" * 50}], "rows")
    out, err = capsys.readouterr()
    cells = [["aa", "渡"], [" b", "12"], ["c", "x" * 39 + "…"]]
    assert out.splitlines() == ["  ".join(row) for row in zip(*cells[:shown], strict=True)]
    assert err == (
        f"cpsl: {3 - shown} of 3 columns do not fit: redirect the output to a file or a pipe to "
        "get all of them.\n"
        if shown < 3
        else ""
    )


def test_terminal_that_is_wide_enough_shows_all_columns(client):
    with Terminal("-m", "cpsl", "payments", "deal-desk", columns=1000) as terminal:
        shown = terminal.end()
    assert shown.splitlines()[0].split() == list(client.list_payments("deal-desk")[0])
    assert "do not fit" not in shown


def test_token_typed_in_a_terminal_is_not_shown(connected, tmp_path):
    config = tmp_path / "private" / "config.ini"
    with Terminal("-m", "cpsl", "login", "--token-stdin", CONFIG_PATH=str(config)) as terminal:
        terminal.read_until("Token (not shown): ")
        terminal.type(connected.token + "\r")
        shown = terminal.end()
    assert terminal.status == 0, shown
    assert connected.token not in shown
    assert connected.token in config.read_text()


def test_terminal_counts_down_during_a_login_until_ctrl_c(tmp_path):
    with Terminal(
        "-m", "cpsl", "login", "--no-browser", CONFIG_PATH=str(tmp_path / "config.ini")
    ) as terminal:
        terminal.read_until("Waiting for confirmation, 4:5")
        terminal.type("\x03")
        shown = terminal.end()
    assert terminal.status == 130
    assert shown.splitlines()[-1] == "cpsl: interrupted"
    assert not (tmp_path / "config.ini").exists()


# The documentation.


@pytest.fixture
def guides(root):
    """The pages about the command line."""
    pages = ("scripts", "smoke-test", "log-in")
    return "\n".join((root / "docs" / "how-to" / f"{page}.md").read_text() for page in pages)


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_documented_commands_are_valid(guides):
    shell = "\n".join(blocks(guides, "sh") + blocks(guides, "yaml"))
    commands = re.findall(r"\bcpsl ((?:" + "|".join(COMMANDS) + r")\b[^|<>\n#]*)", shell)
    assert {command.split()[0] for command in commands} == set(COMMANDS)
    for command in commands:
        parse(shlex.split(command))


def test_documented_workflow_takes_the_token_from_a_secret(guides):
    (workflow,) = (yaml.safe_load(block) for block in blocks(guides, "yaml"))
    (job,) = workflow["jobs"].values()
    (step,) = (step for step in job["steps"] if "cpsl smoke" in step.get("run", ""))
    assert step["env"]["CAPSULE_TOKEN"] == "${{ secrets.CAPSULE_TOKEN }}"


def test_width_counts_terminal_columns():
    assert [_width(text) for text in ("ab", "渡辺", "e\u0301", "")] == [2, 4, 1, 0]
