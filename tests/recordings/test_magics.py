"""`%capsule record`, `%capsule replay` and `CAPSULE_REPLAY` in a notebook."""

import json
import subprocess
import sys
import threading

import nbformat
import pytest
import stored_notebooks
from shells import new_shell

from cpsl_notebook import Client, local, recording, replay, sweep
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.recordings.environment import replay_from_environment
from cpsl_notebook.recordings.running import current_recording

QUESTION = "%%capsule support-ops\nHow many threads are waiting for review?"
PLAN = "%%capsule -o plan\nTurn that into a two-step triage plan."


@pytest.fixture
def shell():
    with new_shell() as made:
        made.run("%load_ext cpsl_notebook")
        yield made
        if current_recording():
            current_recording().stop()
        for workspace in iter(local.running, None):
            workspace.stop()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers.jsonl"


def record(shell, file):
    """Record two turns of a conversation and the payments of an app."""
    assert shell.run(f"%capsule record {file}").text == (
        f"Recording to {file}. Stop with `%capsule record --stop`.\n"
    )
    shell.run("%capsule local")
    shell.run(QUESTION)
    shell.run(PLAN)
    shell.run("payments = %capsule payments support-ops")
    recorded = shell.variables["plan"], shell.variables["payments"]
    assert shell.run("%capsule record --stop").text == f"Recorded 3 calls in {file}.\n"
    shell.run("%capsule local stop")
    return recorded


def test_replayed_cells_show_the_recorded_replies(shell, file):
    plan, payments = record(shell, file)
    day = json.loads(file.read_text().splitlines()[0])["recorded_at"][:10]
    assert shell.run(f"%capsule replay {file} --strict").text == (
        f"Replaying {file}, recorded {day}. Stop with `%capsule replay --stop`.\n"
    )
    first = shell.run(QUESTION)
    shell.run(PLAN)
    replayed = shell.variables["plan"]
    assert (replayed.text, replayed.status) == (plan.text, "complete")
    assert (replayed.session_id, replayed.request_id) == (plan.session_id, plan.request_id)
    assert (replayed.conversation, replayed.turn) == (plan.conversation, 2)
    assert first.text.endswith(f" · turn 1 · recorded {day}]\n")
    shell.run("again = %capsule payments support-ops")
    assert shell.variables["again"].equals(payments)
    assert shell.variables["again"].attrs == payments.attrs
    revenue = payments.capsule.revenue(money=True)
    assert shell.variables["again"].capsule.revenue(money=True).equals(revenue)


def test_cell_that_is_run_again_gets_its_recorded_reply_again(shell, file):
    record(shell, file)
    shell.run(f"%capsule replay {file}")
    first = shell.run(QUESTION).text
    assert shell.run(QUESTION).text.splitlines()[:-1] == first.splitlines()[:-1]


def test_each_of_two_cells_with_the_same_question_gets_its_own_reply_again(tmp_path, file):
    """As in JupyterLab, which sends the ids of the cells, some cells are run again."""
    roll = "%%capsule dice\nroll"
    setup = (
        "%load_ext cpsl_notebook\n%config CapsuleMagics.reproducible = True\n%capsule local\n"
        "from cpsl_notebook import local\nnumbers = iter(range(9))\n"
        "local.running().app('dice')(lambda session, text: str(next(numbers)))"
    )

    def shown(names, **options):
        sources = [setup, *(roll for _ in names)]
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=cells)
        stored_notebooks.execute(notebook, tmp_path, cell_ids=["setup", *names], **options)
        return [cell.outputs[0]["data"]["text/plain"] for cell in notebook.cells[1:]]

    record = f"from cpsl_notebook import recording as _r; _r({str(file)!r}).start()"
    assert shown("abc", startup=[record]) == ["0", "1", "2"]
    again = shown("baacbc", environ={"CAPSULE_REPLAY": str(file)})
    assert again == ["1", "0", "0", "2", "1", "2"]


def test_sweep_gives_each_row_its_own_answer_to_the_same_question(file):
    numbers = iter(range(99))
    lock = threading.Lock()

    def dice(session, text):
        with lock:
            return str(next(numbers))

    with local.start() as workspace:
        workspace.app("dice")(dice)
        with recording(file):
            recorded = sweep(range(20), "roll", app="dice", client=workspace.client(), repeat=2)
    assert sorted(map(int, recorded["reply"])) == list(range(40))
    client = Client(replay(file))
    for _ in range(2):
        replayed = sweep(range(20), "roll", app="dice", client=client, repeat=2)
        assert replayed["reply"].tolist() == recorded["reply"].tolist()


def test_strict_stops_the_cell_that_is_run_again(shell, file):
    record(shell, file)
    shell.run(f"%capsule replay {file} --strict")
    shell.run(QUESTION)
    assert "strict=True" in shell.error(QUESTION)


def test_question_that_was_not_recorded_shows_the_nearest_one(shell, file):
    record(shell, file)
    shell.run(f"%capsule replay {file}")
    failed = shell.try_to_run(QUESTION.replace("review", "payment"))
    assert failed.error is not None
    assert "-text: How many threads are waiting for review?" in failed.text
    assert "+text: How many threads are waiting for payment?" in failed.text


def test_missing_live_asks_the_workspace_that_was_connected(shell, file):
    record(shell, file)
    shell.run("%capsule local")
    shell.run(f"%capsule replay {file} --missing live")
    shown = shell.run("%%capsule --new support-ops\nHow many urgent threads are open?").text
    assert "urgent threads" in shown and "recorded" not in shown
    assert "How many urgent threads are open?" in file.read_text()
    shell.run("%capsule replay --stop")
    copied = file.read_text()
    shell.run(f"%capsule record {file}")  # nothing holds the file
    shell.run("%capsule record --stop")
    file.write_text(copied)
    shell.run("%capsule local stop")
    shell.run(f"%capsule replay {file}")
    shell.run("%%capsule --new support-ops\nHow many urgent threads are open?")


def test_verify_reports_and_leaves_the_notebook_connected(shell, file):
    record(shell, file)
    shell.run("%capsule local")
    shell.run(f"%capsule replay {file}")
    assert shell.run(f"%capsule replay {file} --verify").text == ("As recorded: 3, different: 0.\n")
    assert repr(current_context().client.core).startswith("<replay of ")
    assert shell.run("%capsule replay --stop").text == "Stopped replaying.\n"
    assert "recorded" not in shell.run("%%capsule --new support-ops\nHow many are urgent?").text


def test_recording_is_refused_while_the_notebook_replays(shell, file, tmp_path):
    record(shell, file)
    shell.run(f"%capsule replay {file}")
    other = tmp_path / "other.jsonl"
    assert shell.error(f"%capsule record {other}") == (
        f"This notebook replays {file}. Stop that first, with `%capsule replay --stop`."
    )
    assert not other.exists()
    shell.run("%capsule replay --stop")
    shell.run(f"%capsule record {other}")
    assert shell.error(f"%capsule replay {file}") == (
        f"{other} is being recorded. Stop that first, with `%capsule record --stop`."
    )


def test_recording_in_python_leaves_a_replay_as_it_is(shell, file, tmp_path):
    record(shell, file)
    before = file.read_bytes()
    shell.run("%capsule local")
    shell.run(f"%capsule replay {file}")
    other = tmp_path / "other.jsonl"
    with recording(other):
        assert "recorded" in shell.run(QUESTION).text.splitlines()[-1]
        unknown = "%%capsule --new support-ops\nHow many urgent threads are open?"
        assert shell.try_to_run(unknown).error.label == "NotRecordedError"
        assert shell.run(f"%capsule replay {file} --verify").text == (
            "As recorded: 3, different: 0.\n"
        )
        assert shell.run("%capsule replay --stop").text == "Stopped replaying.\n"
        assert "recorded" not in shell.run(unknown).text
    assert file.read_bytes() == before
    assert len(other.read_text().splitlines()) == 2  # the header, and what was answered live


def test_missing_live_is_the_service_and_not_an_earlier_replay(shell, file):
    record(shell, file)
    shell.run("%capsule local")
    shell.run(f"%capsule replay {file}")
    shell.run(f"%capsule replay {file} --missing live")
    unknown = "%%capsule --new support-ops\nHow many urgent threads are open?"
    assert "urgent threads" in shell.run(unknown).text
    assert "NotRecordedError" not in file.read_text()
    shell.run("%capsule replay --stop")
    assert "recorded" not in shell.run(QUESTION).text


def test_recording_and_replay_in_python_use_the_client_of_the_notebook(shell, tmp_path):
    workspace = shell.run("%capsule local").value
    workspace.app("echo")(lambda session, text: f"You said {text}")
    file = tmp_path / "python.jsonl"
    shell.variables["file"] = str(file)
    shell.run("from cpsl_notebook import recording, replay")
    shell.run("with recording(file) as client:\n    client.chat('echo', 'one')")
    shell.run("client = replay(file, missing='live')")
    asked = "[client.chat('echo', text).text for text in ('one', 'two')]"
    assert shell.run(asked).value == ["You said one", "You said two"]
    shell.run("client.close()\n%capsule replay {{ file }}")
    shell.run("client = replay(file, missing='live')")
    assert shell.run("client.chat('echo', 'three').text").value == "You said three"
    workspace.app("echo")(lambda session, text: f"You wrote {text}")
    assert shell.run("str(client.verify())").value.startswith("As recorded: 0, different: 3")


def test_stop_without_a_replay_says_so(shell):
    assert shell.run("%capsule replay --stop").text == "Nothing is being replayed.\n"
    workspace = shell.run("%capsule local").value
    assert shell.run("%capsule replay --stop").text == "Nothing is being replayed.\n"
    assert workspace.http_url in repr(current_context().client)


def test_stop_says_that_the_environment_still_replays(shell, file, tmp_path, monkeypatch):
    record(shell, file)
    still = (
        f"Still replaying {file}, because CAPSULE_REPLAY is set. To stop, restart the kernel "
        "without it.\n"
    )
    monkeypatch.setenv("CAPSULE_REPLAY", str(file))
    assert shell.run("%capsule replay --stop").text == still
    shell.run(QUESTION)
    assert shell.run("%capsule replay --stop").text == still
    other = tmp_path / "other.jsonl"
    other.write_bytes(file.read_bytes())
    shell.run(f"%capsule replay {other}")
    assert shell.run("%capsule replay --stop").text == still
    assert "recorded" in shell.run(QUESTION).text
    monkeypatch.delenv("CAPSULE_REPLAY")
    assert shell.run("%capsule replay --stop").text == "Stopped replaying.\n"


def test_status_shows_what_is_recorded_and_replayed(shell, file):
    shell.run("%capsule local")
    shell.run(f"%capsule record {file}")
    shell.run(QUESTION)
    status = shell.run("%capsule status").value["value"]
    assert status["recording"] == str(file)
    assert status[["replay"]].isna().all()
    shell.run("%capsule record --stop")
    shell.run(f"%capsule replay {file}")
    shell.run(QUESTION)
    status = shell.run("%capsule status").value["value"]
    assert status["replay"] == str(file)
    assert status["workspace"].endswith(" (recorded; not contacted)")
    assert status[["recording", "token from", "token valid"]].isna().all()
    assert status["conversations"] == str(len(shell.run("%capsule session").value)) == "1"


def test_reply_that_was_stopped_is_replayed_as_stopped(shell, file):
    record(shell, file)
    content = [json.loads(line) for line in file.read_text().splitlines()]
    stream = content[1]
    stream |= {"stopped": True, "chunks": stream["chunks"][:1]}
    file.write_text("".join(json.dumps(line) + "\n" for line in content))
    shell.run(f"%capsule replay {file}")
    assert shell.error(QUESTION) == (
        "Stopped: the recorded reply was stopped; the text received so far is kept."
    )
    stopped = current_context().replies[-1]
    assert stopped.status == "stopped"
    assert stopped.text == stream["chunks"][0]["data"].get("text", "")


@pytest.mark.parametrize(
    ("name", "text"), [("record", "file to write"), ("replay", "recording to replay")]
)
def test_help_describes_the_file(shell, name, text):
    assert text in shell.run(f"%capsule help {name}").text


def test_record_cell_can_be_run_again(shell, file):
    shell.run("%capsule local")
    for _ in range(2):
        shell.run(f"%capsule record {file}")
        shell.run("%capsule apps")
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize("line", ["record", "record a.jsonl --stop"])
def test_record_wants_a_file_or_stop(shell, line):
    assert shell.error(f"%capsule {line}").startswith("UsageError: Usage: `%capsule record FILE`")


def test_record_stop_without_a_recording_says_so(shell):
    assert shell.run("%capsule record --stop").text == "No recording is running.\n"


@pytest.mark.parametrize("line", ["replay", "replay a.jsonl --stop", "replay --verify"])
def test_replay_wants_a_file_or_stop(shell, line):
    assert shell.error(f"%capsule {line}").startswith("UsageError: Usage: `%capsule replay FILE`")


def test_replayed_conversations_are_not_kept_for_a_later_kernel(shell, file):
    record(shell, file)
    shell.run(f"%capsule replay {file}")
    shell.run(QUESTION)
    assert len(current_context().conversations.all()) == 1
    shell.run("%capsule local")
    shell.run(f"%capsule replay {file} --missing live")
    shell.run("%%capsule --new support-ops\nHow many urgent threads are open?")
    scopes = {c.workspace for c in current_context().conversations.everywhere()}
    assert not any(scope.startswith("replay") for scope in scopes)


NOTEBOOK = r"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()

def cell(text):
    shell.run_cell(text, store_history=True).raise_error()

cell("%load_ext cpsl_notebook")
cell("%capsule record FILE")
cell("workspace = %capsule local")
cell('''
@workspace.app("echo")
def echo(session, text):
    yield f"You said {text}; turn {len(session.history) + 1}."
''')
cell("%%capsule echo -o first\nHello")
cell("%%capsule -o second --no-stream\nMore")
cell('''
from cpsl_notebook import Client, ask, local
assert local.running() is workspace
third = ask("How many threads are waiting for review?", app="support-ops", quiet=True)
payments = workspace.client().list_payments()
replies = [reply.text for reply in (first, second, third)]
print("RESULT", replies, len(payments), payments["net_cents"].sum(), payments.attrs)
''')
cell("workspace.stop()")
"""


def run_notebook(file, root, *prefix, **environ):
    """Run the notebook in a process of its own, and return the line with its results."""
    environ |= {"PYTHONPATH": str(root), "HOME": str(file.parent)}
    ran = subprocess.run(
        [*prefix, sys.executable, "-c", NOTEBOOK.replace("FILE", str(file))],
        capture_output=True,
        text=True,
        env=environ,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (result,) = [line for line in ran.stdout.splitlines() if line.startswith("RESULT")]
    return result


def can_drop_the_network():
    unshare = ["unshare", "--map-root-user", "--net", "true"]
    try:
        return subprocess.run(unshare, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_drop_the_network(), reason="no network namespaces here")
def test_unedited_notebook_is_replayed_without_any_network_interface(root, file):
    recorded = run_notebook(file, root)
    assert recorded.startswith("RESULT ['You said Hello; turn 1.', 'You said More; turn 2.', ")
    unshare = ("unshare", "--map-root-user", "--net")
    assert run_notebook(file, root, *unshare, CAPSULE_REPLAY=str(file)) == recorded


def test_recording_is_not_overwritten_while_it_is_replayed(shell, file, monkeypatch):
    record(shell, file)
    before = file.read_bytes()
    monkeypatch.setenv("CAPSULE_REPLAY", str(file))
    assert shell.run(f"%capsule record {file}").text == (
        f"Not recording: CAPSULE_REPLAY replays {file}.\n"
    )
    assert shell.run("%capsule local").value.list_apps is not None
    with recording(file) as client:
        assert client is replay_from_environment()
    recording(file).start()
    assert current_recording() is None
    assert file.read_bytes() == before


def test_recorded_workspace_is_used_like_a_local_one(shell, file, monkeypatch):
    with_servers = shell.run("%capsule local").value
    public = {name for name in dir(with_servers) if not name.startswith("_")}
    shell.run("%capsule local stop")
    record(shell, file)
    monkeypatch.setenv("CAPSULE_REPLAY", str(file))
    recorded = shell.run("%capsule local").value
    assert public <= set(dir(recorded))
    assert shell.run("%capsule local reset").value is recorded
    assert shell.run("%capsule local status").value is recorded
    assert shell.run("%capsule local stop").text == "Stopped the local workspace.\n"
    assert shell.run("%capsule local status").text.startswith("No local workspace is running.")


def test_login_is_not_needed_while_a_recording_is_replayed(shell, file, monkeypatch):
    record(shell, file)
    monkeypatch.setenv("CAPSULE_REPLAY", str(file))
    shell.run("%capsule login")
    shell.run(QUESTION)


def test_replay_of_a_missing_file_is_one_line(shell, monkeypatch, tmp_path):
    monkeypatch.setenv("CAPSULE_REPLAY", str(tmp_path / "none.jsonl"))
    assert "Cannot read the recording" in shell.error("%capsule apps")
