"""The local workspace: access, state, apps, logins, and starting it from Python and a shell."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time

import grpc
import pytest
import requests

import cpsl
from cpsl_notebook import UserError, local
from cpsl_notebook.errors import UsageError
from cpsl_notebook.local import messages
from cpsl_notebook.local.pending_logins import PendingLogins


def rpc(workspace, method, **fields):
    with grpc.insecure_channel(workspace.grpc_address) as channel:
        call = channel.unary_unary(
            f"/{messages.SERVICE}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=messages.message(f"{method}Response").FromString,
        )
        return call(messages.message(f"{method}Request")(**fields), timeout=10)


def get(workspace, path, **headers):
    headers = {"Authorization": f"Bearer {workspace.token}"} | headers
    return requests.get(workspace.http_url + path, headers=headers, timeout=10)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/apps/{id}",
        "/api/v1/apps/{id}/payments",
        "/api/v1/apps/{id}/earnings",
        "/api/v1/app/{id}/stream?text=hello",
        "/anything",
    ],
)
@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Bearer"])
def test_http_request_without_token_is_refused(workspace, client, path, authorization):
    path = path.format(id=client.get_app("support-ops")["id"])
    answer = get(workspace, path, Authorization=authorization)
    assert answer.status_code == 401
    assert answer.json() == {"error": "the token of this workspace is required"}


def test_grpc_call_without_token_is_refused(workspace):
    for method in ("ListApps", "Authorize"):
        with pytest.raises(grpc.RpcError) as caught:
            rpc(workspace, method)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "evil.example:{port}", ""])
def test_request_with_foreign_host_is_refused(workspace, host):
    port = workspace.http_url.rpartition(":")[2]
    assert get(workspace, "/api/v1/apps/x", Host=host.format(port=port)).status_code == 403


def test_request_with_foreign_origin_is_refused(workspace):
    assert get(workspace, "/api/v1/apps/x", Origin="https://evil.example").status_code == 403
    assert get(workspace, "/api/v1/apps/x", Origin=workspace.http_url).status_code == 404


def test_servers_listen_on_loopback_only(workspace):
    port = int(workspace.http_url.rpartition(":")[2])
    for tried in (port, port - 1):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.2", tried)) != 0  # an address that is not bound


def test_folder_and_config_are_private(workspace):
    assert stat.S_IMODE(workspace.folder.stat().st_mode) == 0o700
    for path in (workspace.config_path, workspace.folder / "workspace.sqlite"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert workspace.token not in repr(workspace)


def test_only_config_ini_contains_the_token(workspace):
    holding = {
        path.name
        for path in workspace.folder.rglob("*")
        if path.is_file() and workspace.token.encode() in path.read_bytes()
    }
    assert holding == {"config.ini"}


def test_folder_with_other_files_is_refused_and_unchanged(tmp_path):
    (tmp_path / "thesis.tex").touch()
    before = tmp_path.stat().st_mode
    with pytest.raises(UserError, match="not empty and is not a workspace"):
        local.start(tmp_path)
    assert tmp_path.stat().st_mode == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a\0b", "its name contains a null character"), ("~nobody-here/x", "there is no such user")],
)
def test_name_that_no_folder_can_have_is_one_line(name, reason):
    with pytest.raises(
        UserError, match=f"^Cannot use .* for a workspace: {reason}. Use another folder"
    ):
        local.start(name)


def test_folder_with_a_real_login_is_refused_and_unchanged(tmp_path):
    login = "[default]\ntoken = a-real-token\ngateway_host = gateway.capsule.new\n"
    (tmp_path / "config.ini").write_text(login)
    with pytest.raises(UserError, match="not empty and is not a workspace"):
        local.start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.ini"]
    assert (tmp_path / "config.ini").read_text() == login


@pytest.mark.parametrize("text", ["garbage", "[default]\n", "[default]\ntoken = other\n"])
def test_damaged_config_is_reported(tmp_path, text):
    local.start(tmp_path).stop()
    (tmp_path / "config.ini").write_text(text)
    with pytest.raises(UserError, match=r"config\.ini has no token of a local workspace"):
        local.start(tmp_path)


@pytest.mark.parametrize("name", ["config.ini", "login-secret"])
def test_file_that_is_not_text_is_reported(tmp_path, name):
    local.start(tmp_path).stop()
    (tmp_path / name).write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"for a workspace: a file in it is not text\. Use another"):
        local.start(tmp_path)


def test_empty_login_secret_is_replaced(tmp_path):
    local.start(tmp_path).stop()
    (tmp_path / "login-secret").write_text("")
    with local.start(tmp_path) as workspace:
        request = rpc(workspace, "RequestLogin")
        assert requests.post(request.login_url, data={"secret": ""}, timeout=10).status_code == 403
        assert len((tmp_path / "login-secret").read_text()) == 32


def test_default_folder_is_in_capsule_home(tmp_path):
    with local.start() as workspace:  # a fixture sets CAPSULE_HOME
        assert workspace.folder == tmp_path / "capsule" / "local"
        assert local.running() is workspace
    assert local.running() is not workspace


def test_stop_works_after_its_files_are_removed(tmp_path):
    workspace = local.start(tmp_path)
    shutil.rmtree(tmp_path / "serving")
    workspace.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(workspace.http_url.rpartition(":")[2]))) != 0


def test_state_survives_a_restart(tmp_path):
    with local.start(tmp_path / "data", pace=0) as first, first.client() as client:
        token, apps = first.token, first.list_apps()
        session = client.chat("support-ops", "How many urgent threads are there?").session_id
        client.core.create_checkout(client.reference("deal-desk"))
    with local.start(tmp_path / "data", pace=0) as second, second.client() as client:
        assert (second.token, second.list_apps()) == (token, apps)
        reply = client.chat("support-ops", "Turn that into a two-step plan.", session)
        assert reply.session_id == session
        assert "urgent threads" in reply.text.splitlines()[0]


def test_reset_restores_the_initial_state(tmp_path):
    with (
        local.start(tmp_path, pace=0, today="2026-03-01") as workspace,
        local.start(tmp_path, pace=0) as other,
        workspace.client() as client,
    ):
        initial = client.list_apps()
        session = client.chat("diet-coach", "an apple").session_id
        url = client.create_checkout("deal-desk")
        for each in (workspace, other):
            each.app("mine")(lambda session, text: "hello")
            each.app("diet-coach", price_in_cents=100)(lambda session, text: "replaced")
        workspace.today = "2026-04-01"
        scope = workspace.client().scope

        workspace.reset()

        assert client.list_apps().equals(initial)
        assert str(workspace.today) == "2026-03-01"
        assert workspace.client().scope != scope  # stored conversations are not offered
        assert client.core.get_app(client.reference("diet-coach"))["price_in_cents"] == 0
        reply = client.chat("diet-coach", "What is my total?", session)
        assert reply.session_id != session
        assert "**0 kcal**" in reply.text
        with pytest.raises(UserError, match="No app 'mine' in this workspace"):
            workspace.client().chat("mine", "x")
        assert cpsl.Client(token=workspace.token, gateway_url=workspace.http_url).list_payments(
            "deal-desk"
        )
        assert client.create_checkout("deal-desk") != url
        with other.client() as others:
            assert others.chat("mine", "x").text == "hello"


def test_turn_that_ends_after_a_reset_is_not_kept(tmp_path):
    with local.start(tmp_path, pace=0) as workspace, workspace.client() as client:

        @workspace.app("resetting")
        def resetting(session, text):
            yield f"turn {len(session.history)}"
            if text == "reset":
                workspace.reset()

        session = client.chat("resetting", "reset").session_id
        workspace.app("resetting")(resetting)
        assert client.chat("resetting", "x", session).session_id != session


def test_two_workspaces_share_one_folder(tmp_path):
    with local.start(tmp_path, pace=0) as one, local.start(tmp_path, pace=0) as two:
        session = one.client().chat("diet-coach", "an apple").session_id
        assert two.client().chat("diet-coach", "a banana", session).session_id == session
        assert one.config_path != two.config_path


def test_concurrent_first_starts_agree_on_the_token(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: local.start(tmp_path / "data"), range(8)))
    try:
        assert len({workspace.token for workspace in started}) == 1
        assert all(len(workspace.list_apps()) == 3 for workspace in started)
    finally:
        for workspace in started:
            workspace.stop()


def test_damaged_database_is_reported(tmp_path):
    local.start(tmp_path).stop()
    (tmp_path / "workspace.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(
        UserError, match=r"Cannot use the workspace in .* Remove or rename the folder"
    ):
        local.start(tmp_path)


def test_stop_is_idempotent_and_frees_the_port(tmp_path):
    workspace = local.start(tmp_path)
    workspace.stop()
    workspace.stop()
    assert "stopped" in repr(workspace)
    port = int(workspace.grpc_address.rpartition(":")[2])
    local.start(tmp_path, port=port).stop()


def test_stop_does_not_wait_for_a_streaming_reply(tmp_path):
    workspace = local.start(tmp_path, pace=60)
    with workspace.client() as client:
        stream = client.stream("diet-coach", "two eggs")
        next(stream)
        stopped = threading.Thread(target=workspace.stop)
        stopped.start()
        stopped.join(15)
        assert not stopped.is_alive()
        stream.close()


def test_client_derives_http_url_from_grpc_address(workspace, monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", workspace.grpc_address)
    monkeypatch.setenv("CAPSULE_TOKEN", workspace.token)
    assert cpsl.Client().get_app("diet-coach")["name"] == "diet-coach"


def test_login_is_confirmed_only_with_the_secret(workspace):
    request = rpc(workspace, "RequestLogin", email="a@example.com")
    assert request.ok and request.login_url.startswith(workspace.http_url)
    page = requests.get(request.login_url, timeout=10)  # needs no token
    assert page.status_code == 200 and "<button>Confirm login</button>" in page.text

    for secret in ("", "guess", request.login_id):
        refused = requests.post(request.login_url, data={"secret": secret}, timeout=10)
        assert refused.status_code == 403
    pending = rpc(workspace, "ConfirmLogin", login_id=request.login_id)
    assert (pending.ok, pending.err_msg, pending.token) == (False, "pending", "")

    link = workspace.login_link(request.login_id)
    shown = requests.get(link, timeout=10).text
    secret = re.search('name="secret" value="([^"]+)"', shown)[1]
    assert secret == (workspace.folder / "login-secret").read_text()
    assert requests.post(request.login_url, data={"secret": secret}, timeout=10).ok
    confirmed = rpc(workspace, "ConfirmLogin", login_id=request.login_id)
    assert confirmed.ok and confirmed.token == workspace.token and confirmed.workspace_id
    assert not rpc(workspace, "ConfirmLogin", login_id=request.login_id).ok  # once only


def test_unknown_login_is_not_found(workspace):
    for ask in (requests.get, requests.post):
        page = ask(f"{workspace.http_url}/login/none", timeout=10)
        assert page.status_code == 404 and "This login has expired" in page.text
    answer = rpc(workspace, "ConfirmLogin", login_id="none")
    assert not answer.ok and answer.err_msg != "pending"


def test_checkout_page_shows_price_and_escapes_return_url(workspace, client):
    url = client.create_checkout("support-ops", return_url="javascript:alert(1)")
    page = requests.get(url, timeout=10)
    assert "No money is charged." in page.text and "costs $15.00 per month." in page.text
    assert "javascript:" not in page.text
    url = client.create_checkout("deal-desk", return_url='https://example.com/?a="><script>')
    assert "<script>" not in requests.get(url, timeout=10).text


def test_login_requests_expire_and_the_oldest_are_dropped(monkeypatch):
    logins = PendingLogins("secret")
    first, *_, last = [logins.begin() for _ in range(102)]
    assert (logins.known(first), logins.known(last)) == (False, True)
    monkeypatch.setattr("cpsl_notebook.local.pending_logins._LIFETIME", -1.0)
    assert not logins.confirm(last, "secret")
    assert logins.take(last) is None


def test_unknown_checkout_is_not_found(workspace):
    page = requests.get(f"{workspace.http_url}/checkout/none", timeout=10)
    assert page.status_code == 404 and "Checkout not found" in page.text


def test_free_app_has_no_checkout(workspace, client):
    url = f"{workspace.http_url}/api/v1/checkout/{client.get_app('diet-coach')['id']}"
    headers = {"Authorization": f"Bearer {workspace.token}"}
    answer = requests.post(url, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (422, {"error": "diet-coach is free"})


def test_session_of_another_app_is_not_continued(client):
    session = client.chat("diet-coach", "an apple").session_id
    assert client.chat("support-ops", "How many?", session).session_id != session


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 422, "text must be a string"),
        (b'{"text": " "}', 422, "text must not be empty"),
        (b'{"text": 1}', 422, "text must be a string"),
        (b'{"text": "\\ud800"}', 422, "text contains a lone surrogate"),
        (b'{"text": "x", "session_id": 1}', 422, "session_id must be a string"),
        (b'{"text": "x", "session_id": "\\udfff"}', 422, "session_id contains a lone surrogate"),
        (b'{"text": ' + b"[" * 100_000, 400, "the body must be a JSON object"),
        (b"[]", 400, "the body must be a JSON object"),
        (b"{", 400, "the body must be a JSON object"),
    ],
)
def test_invalid_message_is_refused(workspace, client, body, status, error):
    url = f"{workspace.http_url}/api/v1/app/{client.get_app('diet-coach')['id']}/chat"
    headers = {"Authorization": f"Bearer {workspace.token}"}
    answer = requests.post(url, data=body, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


# ------------------------------------------------------------------ from a shell


@pytest.fixture
def shell_workspace(tmp_path):
    """A workspace in a process of its own: the process, its environment file, what it printed."""
    env_file = tmp_path / "env"
    command = [sys.executable, "-m", "cpsl_notebook.local", "--data", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*command, "--env-file", str(env_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    yield process, env_file, "".join(lines)
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_shell_workspace_serves_until_it_is_interrupted(shell_workspace, number):
    process, env_file, printed = shell_workspace
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    settings = subprocess.run(
        ["sh", "-c", f". {env_file} && env"], capture_output=True, text=True, check=True
    ).stdout
    environ = dict(line.split("=", 1) for line in settings.splitlines() if "=" in line)
    for name in ("CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_URL", "CONFIG_PATH"):
        assert environ[name] in printed
    assert environ["CAPSULE_TOKEN"] not in printed
    code = "import cpsl; print(cpsl.Client().chat('support-ops', 'How many are urgent?').text)"
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert "urgent" in asked.stdout

    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert "urgent" not in out  # no prompt is logged
    assert not env_file.exists()


def test_shell_workspace_prints_the_confirmation_link(shell_workspace):
    process, env_file, _ = shell_workspace
    address = re.search("CAPSULE_GATEWAY_URL=(\\S+)", env_file.read_text())[1]
    with grpc.insecure_channel(address) as channel:
        asked = channel.unary_unary(f"/{messages.SERVICE}/RequestLogin")(b"", timeout=10)
    login = messages.message("RequestLoginResponse").FromString(asked)
    line = process.stdout.readline()
    assert login.login_id in line and "?secret=" in line
    assert "secret" not in login.login_url


@pytest.mark.parametrize("offset", [0, 1])
def test_port_in_use_is_one_line_on_stderr(tmp_path, offset):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1] - offset
        command = [sys.executable, "-m", "cpsl_notebook.local", "--port", str(port)]
        ended = subprocess.run(
            [*command, "--data", str(tmp_path / "d")], capture_output=True, text=True, timeout=60
        )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "in use" in ended.stderr


@pytest.mark.parametrize("port", ["8443", "65535", "-1"])
def test_invalid_port_is_refused(tmp_path, port):
    with pytest.raises(UserError, match=rf"[Pp]ort {port}\b"):
        local.start(tmp_path, port=int(port))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data", 5, "data must be a folder, not 5."),
        ("on_login", 5, "on_login must be a function of the link, not 5."),
        ("data", b"x", "data must be a folder, not bytes."),
        ("port", "5000", "port must be an integer, not '5000'."),
        ("port", True, "port must be an integer, not True."),
        ("pace", "fast", "pace must be a number of seconds of at least 0, not 'fast'."),
        ("pace", -1, "pace must be a number of seconds of at least 0, not -1."),
        ("pace", float("nan"), "pace must be a number of seconds of at least 0, not nan."),
    ],
)
def test_argument_of_a_wrong_type_is_refused_before_the_folder_is_used(
    tmp_path, name, value, message
):
    with pytest.raises(UsageError) as caught:
        local.start(**{"data": tmp_path / "data", name: value})
    assert str(caught.value) == message
    assert not (tmp_path / "data").exists()


def test_both_packages_have_the_same_messages(root):
    for name in ("capsule.binpb", "messages.py"):
        ours = (root / "cpsl_notebook" / "local" / name).read_bytes()
        assert ours == (root / "cpsl" / name).read_bytes(), "run `make protos`"


def test_compiled_messages_match_the_proto_file(root, tmp_path):
    compiled = tmp_path / "capsule.binpb"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-Icpsl"),
            *(f"--descriptor_set_out={compiled}", "cpsl/capsule.proto"),
        ],
        check=True,
        cwd=root,
        env=os.environ,
    )
    assert compiled.read_bytes() == (root / "cpsl" / "capsule.binpb").read_bytes()


def test_payments_end_on_the_given_day_and_each_day_keeps_its_own(tmp_path):
    day = date(2026, 3, 1)
    with local.start(tmp_path, today=day) as other, local.start(tmp_path) as usual:
        assert (other.today, usual.today) == (day, date(2026, 10, 31))
        frames = [each.client().list_payments() for each in (other, usual)]
        last = [frame["paid_at"].max().date() for frame in frames]
        assert last == [day, date(2026, 10, 31)]
        assert frames[0].attrs["read_at"] == "2026-03-01T23:59:59Z"
        for each, frame in zip((other, usual), frames, strict=True):
            sums = each.client().get_earnings("support-ops", "deal-desk").set_index("app")
            for name in ("gross_cents", "fee_cents", "net_cents"):
                by_app = frame.groupby("app", observed=True)[name].sum()
                assert by_app.to_dict() == sums[name].to_dict()
        other.today = datetime.combine(usual.today, time(12))
        assert other.today == usual.today
        again = other.client().list_payments()
        assert again.equals(frames[1])
    with local.start(tmp_path, today="2026-03-01") as again:
        assert again.client().list_payments().equals(frames[0])
        with pytest.raises(
            UserError, match="Invalid date 'soon' for today: use a date such as 2026-10-31"
        ):
            again.today = "soon"
