"""`Client()` in a notebook uses what the notebook is connected to."""

import pytest
from shells import new_shell

import cpsl
from cpsl_notebook import Client, UserError, local
from cpsl_notebook.conversation.context import current_context

NAMES = ["deal-desk", "diet-coach", "support-ops"]


@pytest.fixture
def shell(workspace):
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\nfrom cpsl_notebook import Client")
        yield started


def test_client_uses_the_local_workspace_of_the_notebook(shell, workspace):
    with pytest.raises(cpsl.CredentialsError):
        Client()
    shell.run("%capsule local")
    by_magic = shell.run("table = %capsule payments support-ops\ntable").value
    with Client() as client:
        assert (client.scope, client.core.gateway_url) == (
            current_context().client.scope,
            workspace.http_url,
        )
        table = client.list_payments("support-ops")
    assert table.equals(by_magic) and table.attrs == by_magic.attrs
    assert list(Client().list_apps()["name"]) == NAMES
    with new_shell(), pytest.raises(cpsl.CredentialsError):
        Client()  # another notebook


def test_connection_of_the_notebook_ranks_before_the_environment_as_for_ask(
    shell, workspace, tmp_path, monkeypatch
):
    with local.start(tmp_path / "other", pace=0) as other:
        for name, value in workspace.environ.items():
            monkeypatch.setenv(name, value)
        assert Client().core.gateway_url == workspace.http_url
        shell.run("%capsule local")  # the one that was started last
        assert Client().core.gateway_url == other.http_url
        assert current_context().client.core.gateway_url == other.http_url
        of_arguments = cpsl.Client(token=workspace.token, gateway_url=workspace.http_url)
        assert Client(of_arguments).core is of_arguments
        shell.run("%capsule local stop")
        assert Client().core.gateway_url == workspace.http_url


def test_changed_environment_is_used_from_the_next_magic_on(
    shell, workspace, tmp_path, monkeypatch
):
    with local.start(tmp_path / "other", pace=0) as other:
        for each in (workspace, other):
            for name, value in each.environ.items():
                monkeypatch.setenv(name, value)
            assert len(shell.run("%capsule apps").value) == 3
            assert current_context().client.core.gateway_url == each.http_url
        first = current_context().client
        assert current_context().client is first
        monkeypatch.setenv("CAPSULE_TOKEN", "wrong")
        assert "refused the token" in shell.error("%capsule apps")
        for name in other.environ:
            monkeypatch.delenv(name)
        assert not current_context().is_connected
        assert "No credentials" in shell.error("%capsule apps")
        assert "No credentials" in shell.run("%capsule status").text
        shell.run("%capsule local")
        monkeypatch.setenv("CAPSULE_TOKEN", "wrong")  # the notebook stays with the workspace
        assert len(shell.run("%capsule apps").value) == 3


def test_client_uses_the_recording_that_the_notebook_replays(shell, workspace, tmp_path):
    file = tmp_path / "answers.jsonl"
    shell.run("%capsule local")
    shell.run(f"%capsule record {file}\nlive = Client().get_earnings('support-ops')")
    shell.run(f"%capsule record --stop\n%capsule replay {file}")
    replayed = shell.run("Client().get_earnings('support-ops')").value
    assert replayed.equals(shell.variables["live"])
    assert repr(Client()) == f"<cpsl_notebook.Client of the recording {file}>"
    shell.run("%capsule replay --stop")
    assert Client().core.gateway_url == workspace.http_url


@pytest.mark.parametrize("core", ["x", 5, {}])
def test_client_refuses_what_is_not_a_client(core):
    with pytest.raises(UserError) as caught:
        Client(core)
    assert str(caught.value).startswith(f"core must be a cpsl.Client, not {core!r}. ")


def test_client_refuses_a_client_that_is_wrapped_already(workspace):
    with pytest.raises(UserError, match=r"core must be a cpsl\.Client, not <cpsl_notebook\.Client"):
        Client(workspace.client())


@pytest.mark.parametrize("method", ["list_payments", "get_earnings", "get_app", "create_checkout"])
@pytest.mark.parametrize("app", [5, None, b"support-ops", ["support-ops"]])
def test_client_refuses_apps_of_wrong_types(workspace, method, app):
    with pytest.raises(UserError) as caught:
        getattr(workspace.client(), method)(app)
    takes_several = method in ("list_payments", "get_earnings")
    advice = "Pass a name or id as a string" + ", and several as separate arguments" * takes_several
    assert str(caught.value) == f"Invalid app: {app!r}. {advice}."
