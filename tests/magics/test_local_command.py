"""``%capsule local`` without a workspace that runs already."""

from shells import new_shell

from cpsl_notebook import local


def test_local_workspace_is_started_shown_and_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path))
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        status = shell.run("%capsule local status")
        assert status.value is None
        assert status.text == "No local workspace is running. Start one with `%capsule local`.\n"
        workspace = shell.run("%capsule local").value
        try:
            assert workspace is local.running()
            assert shell.run("%capsule local status").value is workspace
            assert "support-ops" in set(shell.run("%capsule apps").value["name"])
            stopped = shell.run("%capsule local stop").text
            assert (
                stopped == f"Stopped the local workspace. Its data is kept in {workspace.folder}.\n"
            )
            assert local.running() is None
            assert "No credentials" in shell.error("%capsule apps")
        finally:
            workspace.stop()


def test_local_reset_restores_the_sample_apps_and_starts_new_conversations(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path))
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        workspace = shell.run("%capsule local").value
        try:
            shell.run("%%capsule support-ops\nHow many threads are open?")
            first = shell.run("%capsule last").value
            workspace.app("echo")(lambda session, text: text)
            assert shell.run("%capsule local reset").value is workspace
            assert set(shell.run("%capsule apps").value["name"]) == {
                *("deal-desk", "diet-coach", "support-ops")
            }
            shell.run("%%capsule support-ops\nHow many threads are open?")
            second = shell.run("%capsule last").value
            assert (second.turn, second.session_id != first.session_id) == (1, True)
        finally:
            workspace.stop()
