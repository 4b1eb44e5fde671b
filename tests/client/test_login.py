"""Login with the browser or with a token, logout, and config.ini."""

import configparser
import contextlib
import errno
import io
import os
import queue
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cpsl
from cpsl import config_file, login
from cpsl.__main__ import main
from cpsl.config import config_path
from cpsl.messages import SERVICE, message
from cpsl_notebook import local

OLD = """\
; my contexts, do not lose this line
[default]
# a comment
token = old-token
gateway_host = gateway.example
gateway_port = 8080
color = blue

[staging]
token = staging-token
note = two
    lines
"""


@pytest.fixture(scope="module")
def own_workspace(tmp_path_factory):
    """A workspace that puts the links of its logins into a queue."""
    links = queue.Queue()
    folder = tmp_path_factory.mktemp("own_workspace") / "data"
    with local.start(folder, pace=0, on_login=links.put) as started:
        started.links = links
        yield started


@pytest.fixture
def connected(own_workspace, monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", own_workspace.grpc_address)
    return own_workspace


@pytest.fixture
def old_config():
    path = config_path()
    path.parent.mkdir(parents=True)
    path.write_text(OLD)
    path.chmod(0o600)
    return path


class Gateway:
    """A gRPC gateway with given answers that records its calls."""

    def __init__(self, **answers):
        self.calls = []
        self._answers = {name: iter(given) for name, given in answers.items()}
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers = {name: self._handler(name) for name in answers}
        generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"

    def _handler(self, name):
        def answer(request, context):
            self.calls.append((name, dict(context.invocation_metadata())))
            fields = next(self._answers[name])
            if isinstance(fields, grpc.StatusCode):
                context.abort(fields, "as requested")
            return message(f"{name}Response")(**fields)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=message(f"{name}Request").FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()


BEGUN = {"ok": True, "login_id": "id-1", "login_url": "https://capsule.example/login/id-1"}
PENDING = {"ok": False, "err_msg": "pending"}
CONFIRMED = {"ok": True, "token": "new-token", "workspace_id": "w1"}


def begun(*answers, **login_fields):
    return Gateway(RequestLogin=[BEGUN | login_fields], ConfirmLogin=answers)


def confirm(link):
    """Confirm a login as the button on its page does."""
    page = urllib.request.urlopen(link).read().decode()
    secret = re.search(r'name="secret" value="([^"]+)"', page)[1]
    body = urllib.parse.urlencode({"secret": secret}).encode()
    assert "You are logged in" in urllib.request.urlopen(link, body).read().decode()


@contextlib.contextmanager
def command(*arguments, **options):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = subprocess.Popen(
        [sys.executable, "-m", "cpsl", *arguments], text=True, **(pipes | options)
    )
    with started:
        try:
            yield started
        finally:
            if started.poll() is None:
                started.kill()


def link_shown_by(process):
    return next(line.strip() for line in process.stdout if "://" in line)


def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def contents(parser):
    return {name: dict(section) for name, section in parser.items()}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# Login with the browser.


def test_confirmed_login_lets_the_client_work_without_arguments(connected, monkeypatch):
    with command("login", "--no-browser") as process:
        shown = link_shown_by(process)
        link = connected.links.get(timeout=20)
        assert link.startswith(shown + "?secret=")
        confirm(link)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert str(config_path()) in out
    assert connected.token not in out + err
    monkeypatch.delenv("CAPSULE_GATEWAY_URL")
    with cpsl.Client() as client:
        assert "support-ops" in [app["name"] for app in client.list_apps()]
    if os.name == "posix":
        assert mode(config_path()) == 0o600
        assert mode(config_path().parent) == 0o700


def test_login_opens_the_browser_unless_disabled(connected, tmp_path, monkeypatch):
    opened = tmp_path / "opened"
    os.mkfifo(opened)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with command("login") as process:
        shown = link_shown_by(process)
        assert opened.read_text() == shown
        confirm(connected.links.get(timeout=20))
        assert process.wait(timeout=20) == 0
    opened.unlink()
    with command("login", "--no-browser") as process:
        confirm(connected.links.get(timeout=20))
        assert process.wait(timeout=20) == 0
    assert not opened.exists()


def test_program_can_show_the_link_and_the_time_left(connected):
    waiting = login.begin()
    link = connected.links.get(timeout=20)
    assert link.startswith(waiting.url)
    left = []

    def tick(seconds):
        left.append(seconds)
        if len(left) == 3:
            confirm(link)

    assert waiting.wait(tick, interval=0.01) == config_path()
    assert 299 < left[2] < left[1] < left[0] <= 300
    assert connected.token not in repr(waiting)


def test_login_does_not_send_a_stored_token(monkeypatch, old_config):
    monkeypatch.setenv("CAPSULE_TOKEN", "another-token")
    with begun(PENDING, CONFIRMED) as gateway:
        login.begin(gateway.address).wait(interval=0)
    assert [name for name, _ in gateway.calls] == ["RequestLogin", "ConfirmLogin", "ConfirmLogin"]
    assert "token" not in str(gateway.calls)
    assert not any("authorization" in metadata for _, metadata in gateway.calls)


def test_gateway_option_takes_precedence_over_the_environment(monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", "127.0.0.1:1")
    monkeypatch.setenv("CAPSULE_HTTP_PORT", "7777")
    with begun(CONFIRMED) as gateway:
        login.begin(gateway.address).wait()
        monkeypatch.delenv("CAPSULE_HTTP_PORT")
        monkeypatch.delenv("CAPSULE_GATEWAY_URL")
        with cpsl.Client() as client:
            assert client.gateway_url == f"http://127.0.0.1:{gateway.port + 1}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAPSULE_GATEWAY_URL", "127.0.0.1:99999"),
        ("CAPSULE_HTTP_PORT", "x"),
        ("CAPSULE_HTTP_URL", "a.example"),
    ],
)
def test_invalid_variable_does_not_prevent_a_login_to_another_gateway(
    name, value, monkeypatch, capsys
):
    monkeypatch.setenv(name, value)
    with begun(CONFIRMED) as gateway:
        assert main(["login", "--gateway", gateway.address]) == 0
    if name != "CAPSULE_HTTP_URL":  # a login does not use it
        assert main(["login"]) == 2
        assert f"{value!r} in {name}: use" in capsys.readouterr().err


def test_login_replaces_an_invalid_gateway_of_the_file(old_config):
    old_config.write_text("[default]\ntoken = old\ngateway_host = a b\ngateway_http_port = x\n")
    with begun(CONFIRMED) as gateway:
        assert main(["login", "--gateway", gateway.address]) == 0
        assert cpsl.Client().gateway_url == f"http://127.0.0.1:{gateway.port + 1}"


def test_separate_http_port_is_stored(monkeypatch):
    with begun(CONFIRMED) as gateway:
        monkeypatch.setenv("CAPSULE_GATEWAY_URL", gateway.address)
        monkeypatch.setenv("CAPSULE_HTTP_PORT", "7777")
        login.begin().wait()
    monkeypatch.delenv("CAPSULE_HTTP_PORT")
    monkeypatch.delenv("CAPSULE_GATEWAY_URL")
    with cpsl.Client() as client:
        assert client.gateway_url == "http://127.0.0.1:7777"


@pytest.mark.parametrize("where", ["http://127.0.0.1:8080", "me@host:1", "host:port", "a b", "h/x"])
def test_invalid_gateway_prints_one_line(where, capsys):
    assert main(["login", "--gateway", where]) == 2
    assert "use host:port" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "javascript://a.example/%0aalert(1)",
        "file:///etc/passwd",
        "file://a.example/etc/passwd",
        "https://",
        "https:relative",
        "",
        "https://a.example/\x1b]0;owned\x07",
        "https://a.example/ --flag",
        "-https://a.example",
        "https://[broken",
    ],
)
def test_invalid_login_link_is_not_opened_or_shown(url, capsys, monkeypatch):
    monkeypatch.setenv("BROWSER", "false")
    with begun(login_url=url) as gateway:
        assert main(["login", "--gateway", gateway.address]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "did not send a web link" in shown.err
    assert not url or url not in shown.err


def test_gateway_that_starts_no_login_shows_the_reason():
    with (
        Gateway(RequestLogin=[{"ok": False, "err_msg": "closed\ntoday"}]) as gateway,
        pytest.raises(cpsl.GatewayError, match="could not start a login: closed today"),
    ):
        login.begin(gateway.address)


def test_login_rejected_by_the_gateway_shows_the_reason():
    with (
        begun(PENDING, {"ok": False, "err_msg": "this login is over\x1b[2J"}) as gateway,
        pytest.raises(cpsl.GatewayError, match=r"this login is over\. Log in again"),
    ):
        login.begin(gateway.address).wait(interval=0)


@pytest.mark.parametrize("token", ["", "two words", "a\n[staging]\ntoken = b", "tökén"])
def test_invalid_token_from_the_gateway_is_not_stored(token, old_config):
    with (
        begun(CONFIRMED | {"token": token}) as gateway,
        pytest.raises(cpsl.ProtocolError, match="did not send a valid token"),
    ):
        login.begin(gateway.address).wait()
    assert old_config.read_text() == OLD


def test_unconfirmed_login_times_out(old_config):
    with Gateway(RequestLogin=[BEGUN], ConfirmLogin=iter(lambda: PENDING, None)) as gateway:
        waiting = login.begin(gateway.address)
        with pytest.raises(cpsl.TimedOutError, match="log in again"):
            waiting.wait(interval=0.01, timeout=0.05)
    assert old_config.read_text() == OLD


def test_login_survives_temporary_network_failures():
    lost = [grpc.StatusCode.UNAVAILABLE] * 4
    with begun(*lost, PENDING, *lost, CONFIRMED) as gateway:
        login.begin(gateway.address).wait(interval=0)
    assert "new-token" in config_path().read_text()


def test_login_ends_when_the_gateway_stops_answering():
    with begun(*[grpc.StatusCode.UNAVAILABLE] * 5) as gateway:
        waiting = login.begin(gateway.address)
        with pytest.raises(cpsl.CannotConnectError):
            waiting.wait(interval=0)


def test_login_without_a_network_prints_one_line(capsys):
    assert main(["login", "--gateway", f"127.0.0.1:{unused_port()}"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "check that it is running" in err


def test_token_is_received_unencrypted_only_from_loopback(capsys, monkeypatch):
    with begun(CONFIRMED) as gateway:
        anywhere = f"0.0.0.0:{gateway.port}"  # this machine, but not a loopback address
        assert main(["login", "--gateway", anywhere]) == 2
        assert "CAPSULE_ALLOW_INSECURE=1" in capsys.readouterr().err
        assert gateway.calls == []
        monkeypatch.setenv("CAPSULE_ALLOW_INSECURE", "1")
        assert main(["login", "--no-browser", "--gateway", anywhere]) == 0


# Interrupted, killed and simultaneous logins.


def test_ctrl_c_ends_a_login_and_keeps_the_old_one(connected, old_config):
    with command("login", "--no-browser") as process:
        link_shown_by(process)
        assert "Waiting" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    connected.links.get(timeout=20)
    assert process.returncode == 130
    assert err == "cpsl: interrupted\n"
    assert old_config.read_text() == OLD


def test_killed_login_keeps_the_old_one(connected, old_config):
    with command("login", "--no-browser") as process:
        link_shown_by(process)
        process.kill()
        process.wait()
    confirm(connected.links.get(timeout=20))
    assert old_config.read_text() == OLD
    assert list(old_config.parent.iterdir()) == [old_config]


def test_killed_write_leaves_a_complete_file(old_config):
    program = """if True:
        from pathlib import Path
        from cpsl import config_file
        path = Path(PATH)
        parsers = [config_file.read(path) for _ in range(2)]
        for letter, parser in zip("ab", parsers):
            parser.read_dict({"default": {"token": letter * 500_000}})
        config_file.write(path, parsers[0])
        print("writing", flush=True)
        while True:
            for parser in parsers:
                config_file.write(path, parser)
    """.replace("PATH", repr(str(old_config)))
    old_config.unlink()
    whole = ["[default]\ntoken = " + letter * 500_000 + "\n\n" for letter in "ab"]
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        with writer:
            assert writer.stdout.readline() == b"writing\n"
            seen = {old_config.read_text() for _ in range(50)}
            writer.kill()
        assert {*seen, old_config.read_text()} <= set(whole)


def test_simultaneous_logins_both_succeed(connected, old_config):
    both = [login.begin(), login.begin()]
    links = [connected.links.get(timeout=20) for _ in both]
    assert both[0].url != both[1].url
    together = threading.Barrier(2)

    def wait(one):
        together.wait()
        return one.wait(interval=0.01)

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(wait, one) for one in both]
        for link in links:
            confirm(link)
        assert [done.result(timeout=20) for done in waiting] == [old_config, old_config]
    parser = configparser.ConfigParser(default_section="default", interpolation=None)
    parser.read(old_config)
    assert parser["default"]["token"] == connected.token
    assert parser["staging"]["token"] == "staging-token"
    assert list(old_config.parent.iterdir()) == [old_config]


# The file config.ini.


def test_login_changes_its_own_keys_and_keeps_others(old_config):
    before = contents(config_file.read(old_config))
    with begun(CONFIRMED) as gateway:
        login.begin(gateway.address).wait()
    own = {
        "token": "new-token",
        "gateway_host": "127.0.0.1",
        "gateway_port": str(gateway.port),
        "gateway_http_port": "",
    }
    assert contents(config_file.read(old_config)) == {
        "default": before["default"] | own,
        "staging": before["staging"] | own | {"token": "staging-token"},
    }
    assert mode(old_config) == 0o600


def test_login_makes_the_file_private(old_config):
    old_config.chmod(0o644)
    old_config.parent.chmod(0o755)
    with begun(CONFIRMED) as gateway:
        login.begin(gateway.address).wait()
    assert mode(old_config) == 0o600
    assert mode(old_config.parent) == 0o755  # the mode of an existing folder is kept


def test_symbolic_link_to_the_file_is_kept(tmp_path, old_config):
    elsewhere = tmp_path / "dotfiles.ini"
    old_config.rename(elsewhere)
    old_config.symlink_to(elsewhere)
    with begun(CONFIRMED) as gateway:
        login.begin(gateway.address).wait()
    assert old_config.is_symlink()
    assert "new-token" in elsewhere.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# only a comment",
        "[default]",
        "[other]\ntoken = kept\n",
        "[default]\nTOKEN: old\n    continued\n\n    and on\ncolor = blue\n",
        "[other]\na = 1\n[default]\nb = [default]\ntoken=\n",
        "[default]\r\ntoken = old\r\n[x]\r\ny = 1\r\n",
        "  [default]\n  token = old\n  [x]\n  y = 1\n",
        "[default]\na = 1\n  token = not a key\n",
        "[default]\na = 1\n[default]\ntoken = old\n",
        "[x]\nurl = https://a.example:80/?token=1%\n",
    ],
)
def test_written_file_has_the_same_values_as_the_parser(text, tmp_path):
    path = tmp_path / "config.ini"
    path.write_text(text)
    parser = config_file.read(path)
    parser["default"].update({"token": "new%()s", "gateway_host": "h", "gateway_http_port": ""})
    assert config_file.write(path, parser) is None
    assert contents(config_file.read(path)) == contents(parser)


NAMES = st.text("abtoken_", min_size=1, max_size=8)
LINES = st.sampled_from(["# a comment", "; another", "", "[default]", "[one]", "[two]"])
PAIRS = st.builds("{}{}{}".format, NAMES, st.sampled_from(["=", ": ", " = "]), st.text("a%[]#; ="))
CONTINUED = st.builds("   {}".format, st.text("token=[default]", min_size=1))


@given(st.lists(LINES | PAIRS | CONTINUED | st.just("token = old")).map("\n".join))
def test_other_values_stay_whatever_the_file_contains(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.ini")
        path.write_text(text)
        try:
            parser = config_file.read(path)
        except cpsl.CredentialsError:
            return
        parser["default"].update({"token": "new", "gateway_port": "1"})
        assert config_file.write(path, parser) is None
        assert contents(config_file.read(path)) == contents(parser)


@pytest.mark.parametrize("text", [b"token = no section\n", b"[default]\n\xff\n", b"[a]\n[a]\n"])
def test_invalid_file_is_refused_before_the_login_starts(text, capsys):
    config_path().parent.mkdir()
    config_path().write_bytes(text)
    with begun(CONFIRMED) as gateway:
        assert main(["login", "--gateway", gateway.address]) == 2
        assert gateway.calls == []
    assert "fix or remove the file" in capsys.readouterr().err
    assert config_path().read_bytes() == text


def test_unwritable_path_is_refused_before_the_login_starts(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "file" / "folder" / "config.ini"))
    with begun(CONFIRMED) as gateway:
        assert main(["login", "--gateway", gateway.address]) == 2
        assert gateway.calls == []
    assert "config.ini (Not a directory)" in capsys.readouterr().err


def test_folder_without_permission_is_refused_before_the_login_starts():
    folder = Path(tempfile.mkdtemp(), "locked")
    folder.mkdir()
    for path, mode in ((folder, 0o555), (folder.parent, 0o755)):
        path.chmod(mode)
    code = (
        "import os, sys; from cpsl import cli, commands\n"
        "cli.parse(['login'])\n"  # imports what it needs while the interpreter's files can be read
        "if os.getuid() == 0: os.setuid(65534)\n"  # root can write everywhere
        "sys.exit(cli.run(['login']))"
    )
    environ = os.environ | {"CONFIG_PATH": str(folder / "new" / "config.ini")}
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True
        )
    finally:
        shutil.rmtree(folder.parent)
    assert ran.returncode == 2
    assert "config.ini (Permission denied)" in ran.stderr


def test_failed_write_keeps_the_old_file(old_config, monkeypatch):
    def fail(handle):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(cpsl.CredentialsError, match=r"Cannot write .* \(No space left on device\)"):
        login.forget()
    assert old_config.read_text() == OLD
    assert list(old_config.parent.iterdir()) == [old_config]


def test_write_error_does_not_show_the_token(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with begun(CONFIRMED) as gateway:
        waiting = login.begin(gateway.address)
        monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "file" / "folder" / "config.ini"))
        try:
            waiting.wait()
        except cpsl.CredentialsError as error:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert "Cannot write" in str(shown)
    assert "new-token" not in "".join(shown.format())


# A token on standard input.


def given_on_stdin(text, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_token_on_standard_input_is_stored_and_not_shown(connected, monkeypatch, capsys):
    given_on_stdin(f"  {connected.token}\n", monkeypatch)
    assert main(["login", "--token-stdin"]) == 0
    shown = capsys.readouterr()
    assert connected.token not in shown.out + shown.err
    with cpsl.Client() as client:
        assert client.list_apps() == connected.list_apps()


def test_refused_token_is_not_stored(connected, monkeypatch, capsys, old_config):
    given_on_stdin("a-wrong-token", monkeypatch)
    assert main(["login", "--token-stdin"]) == 2
    shown = capsys.readouterr()
    assert "refused the token from standard input" in shown.err
    assert "a-wrong-token" not in shown.out + shown.err
    assert old_config.read_text() == OLD


@pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines", "tökén", "a\x1b[2Jb"])
def test_invalid_token_is_refused_and_not_shown(text, connected, monkeypatch, capsys, old_config):
    given_on_stdin(text, monkeypatch)
    assert main(["login", "--token-stdin"]) == 2
    err = capsys.readouterr().err
    assert err == (
        "cpsl: The token is invalid: it must be one line of printable ASCII without spaces. Copy it "
        "again.\n"
    )
    assert old_config.read_text() == OLD


def test_traceback_of_a_refused_token_does_not_show_it(connected):
    def fail():
        login.store_token("".join(["a-wrong", "-token"]))

    try:
        fail()
    except cpsl.AuthenticationError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert "a-wrong-token" not in "".join(shown.format())


@pytest.mark.parametrize("where", [[], ["login"], ["login", "--token-stdin"], ["apps"]])
@pytest.mark.parametrize("given", [["--token", "sesame"], ["--token=sesame"]])
def test_token_argument_is_refused(where, given, capsys):
    assert main([*where, *given]) == 2
    err = capsys.readouterr().err
    assert "--token-stdin" in err
    assert err.count("\n") == 1
    assert "sesame" not in err


@pytest.mark.parametrize(
    "given", [["sesame"], ["--tokn=sesame"], ["--tokn", "sesame"], ["--tok=sesame"]]
)
def test_command_line_error_does_not_repeat_a_possible_secret(given, capsys):
    assert main(["login", *given]) == 2
    assert "sesame" not in capsys.readouterr().err


# Status and logout.


def test_status_shows_the_workspace_and_the_source_of_the_token(connected, monkeypatch, capsys):
    login.store_token(connected.token)
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert connected.grpc_address in out
    assert str(config_path()) in out
    assert connected.token not in out
    monkeypatch.setenv("CAPSULE_TOKEN", "a-wrong-token")
    assert main(["status"]) == 2
    assert "refused the token from the CAPSULE_* variables" in capsys.readouterr().err


def test_login_warns_that_the_environment_takes_precedence(connected, monkeypatch, capsys):
    monkeypatch.setenv("CAPSULE_TOKEN", "another-token")
    given_on_stdin(connected.token, monkeypatch)
    assert main(["login", "--token-stdin"]) == 0
    assert "CAPSULE_TOKEN is set and takes precedence" in capsys.readouterr().err


def test_logout_removes_the_login_and_keeps_other_values(old_config, monkeypatch, capsys):
    assert main(["logout"]) == 0
    assert contents(config_file.read(old_config))["default"] == {
        "token": "",
        "gateway_host": "",  # a gateway that stayed would contradict CAPSULE_TOKEN
        "gateway_port": "",
        "gateway_http_port": "",
        "color": "blue",
    }
    assert config_file.read(old_config)["staging"]["token"] == "staging-token"
    assert config_file.read(old_config)["staging"]["note"] == "two\nlines"
    assert main(["logout"]) == 0
    assert "No token is stored" in capsys.readouterr().out
    assert main(["status"]) == 2
    assert "run `cpsl login`, or set CAPSULE_TOKEN." in capsys.readouterr().err
    monkeypatch.setenv("CAPSULE_TOKEN", "a-token")
    assert cpsl.Client().gateway_url == "https://api.capsule.new"


def test_logout_without_a_file_creates_none(capsys):
    assert main(["logout"]) == 0
    assert not Path(config_path()).exists()
