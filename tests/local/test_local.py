"""The local workspace: its door, its state, its three ways to start, apps of one's own."""

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
from datetime import date

import grpc
import pytest
import requests

import cpsl
from cpsl_notebook import UserError, local
from cpsl_notebook.local import messages


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
def test_every_request_needs_the_token(workspace, client, path, authorization):
    path = path.format(id=client.get_app("support-ops")["id"])
    answer = get(workspace, path, Authorization=authorization)
    assert answer.status_code == 401
    assert "token" in answer.json()["error"]


def test_listing_apps_needs_the_token(workspace):
    for method in ("ListApps", "Authorize"):
        with pytest.raises(grpc.RpcError) as caught:
            rpc(workspace, method)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "evil.example:{port}", ""])
def test_a_request_under_another_name_is_refused(workspace, host):
    port = workspace.http_url.rpartition(":")[2]
    assert get(workspace, "/api/v1/apps/x", Host=host.format(port=port)).status_code == 403


def test_a_request_from_another_sites_page_is_refused(workspace):
    assert get(workspace, "/api/v1/apps/x", Origin="https://evil.example").status_code == 403
    assert get(workspace, "/api/v1/apps/x", Origin=workspace.http_url).status_code == 404


def test_it_listens_on_loopback_only(workspace):
    port = int(workspace.http_url.rpartition(":")[2])
    for tried in (port, port - 1):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.2", tried)) != 0  # a server on all would answer


def test_the_folder_and_its_files_are_private(workspace):
    assert stat.S_IMODE(workspace.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(workspace.config_path.stat().st_mode) == 0o600
    assert workspace.token not in repr(workspace)


def test_only_config_ini_holds_the_token(workspace):
    holding = {
        path.name
        for path in workspace.folder.rglob("*")
        if path.is_file() and workspace.token.encode() in path.read_bytes()
    }
    assert holding == {"config.ini"}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    before = tmp_path.stat().st_mode
    with pytest.raises(UserError, match="name another folder"):
        local.start(tmp_path)
    assert tmp_path.stat().st_mode == before


def test_a_folder_with_a_real_login_is_left_alone(tmp_path):
    login = "[default]\ntoken = a-real-token\ngateway_host = gateway.capsule.new\n"
    (tmp_path / "config.ini").write_text(login)
    with pytest.raises(UserError, match="name another folder"):
        local.start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.ini"]
    assert (tmp_path / "config.ini").read_text() == login


@pytest.mark.parametrize("text", ["garbage", "[default]\n", "[default]\ntoken = other\n"])
def test_a_damaged_config_of_a_workspace_is_one_clear_line(tmp_path, text):
    local.start(tmp_path).stop()
    (tmp_path / "config.ini").write_text(text)
    with pytest.raises(UserError, match="no token of a local workspace"):
        local.start(tmp_path)


def test_an_empty_login_secret_is_made_anew(tmp_path):
    local.start(tmp_path).stop()
    (tmp_path / "login-secret").write_text("")
    with local.start(tmp_path) as workspace:
        asked = rpc(workspace, "RequestLogin")
        assert requests.post(asked.login_url, data={"secret": ""}, timeout=10).status_code == 403
        assert (tmp_path / "login-secret").read_text()


def test_it_stops_also_where_its_folder_has_been_cleaned(tmp_path):
    workspace = local.start(tmp_path)
    shutil.rmtree(tmp_path / "serving")
    workspace.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(workspace.http_url.rpartition(":")[2]))) != 0


def test_state_outlives_a_restart(tmp_path):
    with local.start(tmp_path / "data", pace=0) as first, first.client() as client:
        token, apps = first.token, first.list_apps()
        session = client.chat("support-ops", "How many urgent threads are there?").session_id
        client.core.create_checkout(client.reference("deal-desk"))
    with local.start(tmp_path / "data", pace=0) as second, second.client() as client:
        assert (second.token, second.list_apps()) == (token, apps)
        reply = client.chat("support-ops", "Turn that into a two-step plan.", session)
        assert reply.session_id == session
        assert "urgent threads" in reply.text.splitlines()[0]


def test_two_servers_can_share_one_folder(tmp_path):
    with local.start(tmp_path, pace=0) as one, local.start(tmp_path, pace=0) as two:
        session = one.client().chat("diet-coach", "an apple").session_id
        assert two.client().chat("diet-coach", "a banana", session).session_id == session
        assert one.config_path != two.config_path


def test_many_starts_at_once_on_a_new_folder_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: local.start(tmp_path / "data"), range(8)))
    try:
        assert len({workspace.token for workspace in started}) == 1
        assert all(len(workspace.list_apps()) == 3 for workspace in started)
    finally:
        for workspace in started:
            workspace.stop()


def test_a_damaged_workspace_is_one_clear_line(tmp_path):
    local.start(tmp_path).stop()
    (tmp_path / "workspace.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="move that folder away"):
        local.start(tmp_path)


def test_stopping_twice_is_harmless_and_frees_the_port(tmp_path):
    workspace = local.start(tmp_path)
    workspace.stop()
    workspace.stop()
    assert "stopped" in repr(workspace)
    port = int(workspace.grpc_address.rpartition(":")[2])
    local.start(tmp_path, port=port).stop()


def test_stopping_does_not_wait_for_a_reply_that_is_streaming(tmp_path):
    workspace = local.start(tmp_path, pace=60)
    with workspace.client() as client:
        stream = client.stream("diet-coach", "two eggs")
        next(stream)
        stopped = threading.Thread(target=workspace.stop)
        stopped.start()
        stopped.join(15)
        assert not stopped.is_alive()
        stream.close()


def test_a_client_that_has_only_the_grpc_address_finds_the_http_one(workspace, monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", workspace.grpc_address)
    monkeypatch.setenv("CAPSULE_TOKEN", workspace.token)
    assert cpsl.Client().get_app("diet-coach")["name"] == "diet-coach"


def test_a_login_is_confirmed_only_with_the_secret_of_the_private_folder(workspace):
    asked = rpc(workspace, "RequestLogin", email="a@example.com")
    assert asked.ok and asked.login_url.startswith(workspace.http_url)
    page = requests.get(asked.login_url, timeout=10)  # no token is needed for it
    assert page.status_code == 200 and "<button>" in page.text

    for secret in ("", "guess", asked.login_id):
        refused = requests.post(asked.login_url, data={"secret": secret}, timeout=10)
        assert refused.status_code == 403
    pending = rpc(workspace, "ConfirmLogin", login_id=asked.login_id)
    assert (pending.ok, pending.err_msg, pending.token) == (False, "pending", "")

    link = workspace.login_link(asked.login_id)
    shown = requests.get(link, timeout=10).text
    secret = re.search('name="secret" value="([^"]+)"', shown)[1]
    assert secret == (workspace.folder / "login-secret").read_text()
    assert requests.post(asked.login_url, data={"secret": secret}, timeout=10).ok
    confirmed = rpc(workspace, "ConfirmLogin", login_id=asked.login_id)
    assert confirmed.ok and confirmed.token == workspace.token and confirmed.workspace_id
    assert not rpc(workspace, "ConfirmLogin", login_id=asked.login_id).ok  # once only


def test_a_login_that_nobody_asked_for_is_over(workspace):
    assert requests.get(f"{workspace.http_url}/login/none", timeout=10).status_code == 404
    answer = rpc(workspace, "ConfirmLogin", login_id="none")
    assert not answer.ok and answer.err_msg != "pending"


def test_the_checkout_page_says_that_no_money_moves(workspace, client):
    url = client.create_checkout("support-ops", return_url="javascript:alert(1)")
    page = requests.get(url, timeout=10)
    assert "No money moves" in page.text and "$15.00 a month" in page.text
    assert "javascript:" not in page.text
    url = client.create_checkout("deal-desk", return_url='https://example.com/?a="><script>')
    assert "<script>" not in requests.get(url, timeout=10).text


def test_a_session_of_another_app_is_not_continued(client):
    session = client.chat("diet-coach", "an apple").session_id
    assert client.chat("support-ops", "How many?", session).session_id != session


def test_what_cannot_be_a_message_is_refused(workspace, client):
    url = f"{workspace.http_url}/api/v1/app/{client.get_app('diet-coach')['id']}/chat"
    headers = {"Authorization": f"Bearer {workspace.token}"}
    for body in (b"", b"{}", b"[]", b"{", b'{"text": 1}', b'{"text": "x", "session_id": 1}'):
        answer = requests.post(url, data=body, headers=headers, timeout=10)
        assert 400 <= answer.status_code < 500 and answer.json()["error"]


def test_an_app_of_ones_own_is_streamed_as_it_yields(workspace, client):
    @workspace.app("echo")
    def echo(session, text):
        yield f"You said {text!r}; "
        yield {"type": "activity", "id": "a", "payload": {"label": "counting"}}
        yield f"message {len(session.history) + 1} of this conversation."

    first = client.stream("echo", "héllo\n{}")
    chunks = [chunk for chunk in first if chunk.text or "block" in chunk.data]
    assert [chunk.text for chunk in chunks] == [
        "You said 'héllo\\n{}'; ",
        "",
        "message 1 of this conversation.",
    ]
    assert client.chat("echo", "b", first.session_id).text.endswith(
        "message 2 of this conversation."
    )


def test_an_app_can_be_replaced_and_priced(workspace, client):
    workspace.app("priced")(lambda session, text: "one")
    app_id = client.get_app("priced")["id"]
    workspace.app("priced", price_in_cents=250, pricing_type="monthly")(lambda s, t: ["t", "wo"])
    assert client.chat("priced", "x").text == "two"
    assert client.get_app("priced")["price_in_cents"] == 250
    assert client.get_app("priced")["id"] == app_id
    assert client.list_payments("priced") == []


def test_state_is_kept_between_the_turns_of_one_conversation(workspace, client):
    @workspace.app("counter")
    def counter(session, text):
        session.state["n"] = session.state.get("n", 0) + 1
        yield str(session.state["n"])

    session = client.chat("counter", "x").session_id
    assert client.chat("counter", "x", session).text == "2"
    assert client.chat("counter", "x").text == "1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda session, text: 1 / 0, "ZeroDivisionError"),
        (lambda session, text: [5], "text or a block"),
        (lambda session, text: session.state.update(x=object()) or "fine", "not JSON serializable"),
        (lambda session, text: None, "not iterable"),
        (lambda session, text: sys.exit(3), "SystemExit"),
        (lambda session, text: ["\ud800"], "surrogates"),
        (lambda session, text: [{"type": "a", "payload": float("nan")}], "JSON"),
    ],
)
def test_an_app_that_fails_says_so_to_chat_and_to_stream(workspace, client, answer, said):
    workspace.app("failing")(answer)
    workspace.app("healthy")(lambda session, text: "still here")
    with pytest.raises(cpsl.GatewayError, match=said):
        client.chat("failing", "x")
    with pytest.raises(cpsl.GatewayError, match=said):
        list(client.stream("failing", "x"))
    assert client.chat("healthy", "x").text == "still here"


def test_a_name_or_price_that_is_none_is_refused(workspace):
    for name in ("", "Echo", "a b", "x" * 64, "-a"):
        with pytest.raises(ValueError, match="Invalid app name"):
            workspace.app(name)(lambda session, text: "")
    for price in (-1, 1.5, "5", True, 2**70):
        with pytest.raises(ValueError, match="price_in_cents"):
            workspace.app("cheap", price_in_cents=price)(lambda session, text: "")
    with pytest.raises(TypeError, match="decorator takes"):
        workspace.app(lambda session, text: "")


def test_a_reader_who_leaves_early_is_remembered_with_what_was_sent(workspace, client):
    left = threading.Event()

    @workspace.app("slow")
    def slow(session, text):
        if text == "again":
            yield session.history[0].reply
            return
        yield "first "
        left.wait(10)
        for _ in range(1000):
            yield "x" * 100_000

    with client.stream("slow", "begin") as stream:
        while not stream.text:
            next(stream)
        session = stream.session_id
    left.set()
    for _ in range(100):
        try:
            again = client.chat("slow", "again", session).text
            break
        except cpsl.GatewayError:  # the first turn has not been put down yet
            threading.Event().wait(0.05)
    assert again.startswith("first ")


# ------------------------------------------------------------------ from a shell


@pytest.fixture
def shell_workspace(tmp_path):
    """The workspace as a process of its own; yields it and its environment file."""
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
def test_the_shell_form_is_ready_when_it_says_so_and_ends_cleanly(shell_workspace, number):
    process, env_file, said = shell_workspace
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    settings = subprocess.run(
        ["sh", "-c", f". {env_file} && env"], capture_output=True, text=True, check=True
    ).stdout
    environ = dict(line.split("=", 1) for line in settings.splitlines() if "=" in line)
    for name in ("CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_URL", "CONFIG_PATH"):
        assert environ[name] in said
    assert environ["CAPSULE_TOKEN"] not in said
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


def test_the_shell_form_shows_its_owner_the_link_that_confirms_a_login(shell_workspace):
    process, env_file, _ = shell_workspace
    address = re.search("CAPSULE_GATEWAY_URL=(\\S+)", env_file.read_text())[1]
    with grpc.insecure_channel(address) as channel:
        asked = channel.unary_unary(f"/{messages.SERVICE}/RequestLogin")(b"", timeout=10)
    login = messages.message("RequestLoginResponse").FromString(asked)
    line = process.stdout.readline()
    assert login.login_id in line and "?secret=" in line
    assert "secret" not in login.login_url


@pytest.mark.parametrize("offset", [0, 1])
def test_a_port_in_use_is_one_clear_line(tmp_path, offset):
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
def test_a_port_that_cannot_serve_is_one_clear_line(tmp_path, port):
    with pytest.raises(UserError, match=f"Port {port}"):
        local.start(tmp_path, port=int(port))


def test_both_packages_carry_the_same_messages(root):
    for name in ("capsule.binpb", "messages.py"):
        ours = (root / "cpsl_notebook" / "local" / name).read_bytes()
        assert ours == (root / "cpsl" / name).read_bytes(), "run `make protos`"


def test_the_compiled_messages_are_those_of_the_proto_file(root, tmp_path):
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


def test_the_history_ends_on_the_day_that_is_given_and_each_day_keeps_its_payments(tmp_path):
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
        other.today = usual.today
        again = other.client().list_payments()
        assert again.equals(frames[1])
    with local.start(tmp_path, today="2026-03-01") as again:
        assert again.client().list_payments().equals(frames[0])
        with pytest.raises(UserError, match="today= is a day such as '2026-10-31', not 'soon'"):
            again.today = "soon"
