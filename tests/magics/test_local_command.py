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
            assert shell.run("%capsule local stop").text == "No local workspace is running.\n"
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
            reset = shell.run("%capsule local reset")
            assert reset.value is workspace
            assert reset.text.startswith(
                "Restored the sample apps of the local workspace, and deleted its conversations.\n"
            )
            assert set(shell.run("%capsule apps").value["name"]) == {
                *("deal-desk", "diet-coach", "support-ops")
            }
            shell.run("%%capsule support-ops\nHow many threads are open?")
            second = shell.run("%capsule last").value
            assert (second.turn, second.session_id != first.session_id) == (1, True)
        finally:
            workspace.stop()


def test_stopping_does_not_name_data_that_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path))
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook\n%config CapsuleMagics.reproducible = True")
        workspace = shell.run("%capsule local").value
        try:
            shell.run("%config CapsuleMagics.reproducible = False")
            assert shell.run("%capsule local stop").text == "Stopped the local workspace.\n"
        finally:
            workspace.stop()


def test_stopping_the_workspace_does_not_end_a_replay(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path))
    file = tmp_path / "answers.jsonl"
    question = "%%capsule support-ops\nHow many threads are open?"
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        workspace = shell.run("%capsule local").value
        try:
            shell.run(f"%capsule record {file}")
            shell.run(question)
            shell.run(f"%capsule record --stop\n%capsule replay {file}")
            assert shell.run("%capsule local stop").text == (
                f"Stopped the local workspace. Its data is kept in {workspace.folder}.\n"
                f"Still replaying {file}. Stop with `%capsule replay --stop`.\n"
            )
            assert "recorded" in shell.run(question).text
            assert shell.run("%capsule replay --stop").text == "Stopped replaying.\n"
            assert "No credentials" in shell.error("%capsule apps")  # not the stopped workspace
        finally:
            workspace.stop()


def test_starting_the_workspace_says_that_it_ends_a_replay(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path))
    file = tmp_path / "answers.jsonl"
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        workspace = shell.run("%capsule local").value
        try:
            shell.run(f"%capsule record {file}\n%capsule apps\n%capsule record --stop")
            shell.run(f"%capsule replay {file}")
            assert shell.run("%capsule local").text.startswith(f"Stopped replaying {file}.\n")
            assert "recorded" not in shell.run("%%capsule support-ops\nHow many are open?").text
            assert "replaying" not in shell.run("%capsule local").text
            monkeypatch.setenv("CAPSULE_REPLAY", str(file))
            for cell in ("%capsule local", "%capsule local stop", "%capsule login"):
                assert "replaying" not in shell.run(cell).text, cell
        finally:
            workspace.stop()
