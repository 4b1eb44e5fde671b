"""Which conversation a cell continues, and the store that many kernels share."""

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from gateway import Gateway, event, failed, streamed, words
from shells import new_shell

import cpsl
from cpsl_notebook import Client, Reply, local
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.conversation.notebook_identity import notebook_name
from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry
from cpsl_notebook.conversation.store import Store


@pytest.fixture
def shell(workspace, monkeypatch):
    """A shell that talks to the local workspace, in a notebook of its own."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


@contextlib.contextmanager
def kernel():
    """Make another kernel of the same notebook, as after a restart."""
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


def last(shell) -> Reply:
    return shell.run("%capsule last").value


def as_cell(shell, cell_id):
    """Let the next cells be the one of this id, as a front end tells it."""
    shell.shell.get_parent = lambda: {"metadata": {"cellId": cell_id}}


# In one kernel.


def test_a_cell_that_runs_again_is_the_next_turn_and_says_so(shell):
    as_cell(shell, "first")
    assert "this cell" not in shell.run("%%capsule diet-coach\nan apple").text
    as_cell(shell, "second")
    shell.run("%%capsule diet-coach\nan egg")
    as_cell(shell, "first")
    assert "turn 3; this cell was turn 1" in shell.run("%%capsule diet-coach\nan apple").text
    assert "this cell" not in shell.run("%%capsule diet-coach --new\nan apple").text
    loop = "from cpsl_notebook import ask\nfor n in '12': ask(f'{n} eggs', app='diet-coach')"
    as_cell(shell, "loop")
    assert "this cell" not in shell.run(loop).text


def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(shell, workspace):
    got = []
    workspace.app("dry")(lambda session, text: got.append(text) or "ok")
    shell.run("n = 4")
    shown = shell.run("%%capsule dry --dry-run -o never\nShow {{ n }} of {{ .x }}.").text
    assert "Not sent: a prompt for dry, a new conversation; 19 characters, 19 bytes." in shown
    assert "Sent unchanged, because it is not a Python expression: {{ .x }}\n" in shown
    assert shown.endswith("\nShow 4 of {{ .x }}.\n")
    assert got == [] and "never" not in shell.variables
    assert len(shell.run("%capsule session").value) == len(shell.run("%capsule history").value) == 0
    shell.run("%%capsule dry\nx")
    shown = shell.run("%%capsule dry --dry-run\né").text
    assert f"turn 2 of conversation {last(shell).conversation}; 1 characters, 2 bytes" in shown
    shown = shell.run("%%capsule dry --dry-run --once\nx").text
    assert "a prompt for dry, a throw-away conversation; 1" in shown
    assert "dry, a new conversation side; 1" in shell.run("%%capsule dry --dry-run -s side\nx").text
    shell.run("%capsule session use unlisted dry")
    assert "of conversation unlisted; 1" in shell.run("%%capsule dry --dry-run\nx").text
    assert "%capsule apps" in shell.error("%%capsule nope --dry-run\nx")


def test_raw_leaves_braces_alone_and_the_history_keeps_the_template(shell, workspace):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "ok")
    shell.run("name = '{{ other }}'")
    shell.run("%%capsule noting\nFill {{ name }}.")
    shell.run("%%capsule noting --raw\nFill {{ name }}.")
    assert got == ["Fill {{ other }}.", "Fill {{ name }}."]
    history = shell.run("%capsule history").value
    assert list(history["template"]) == ["Fill {{ name }}."] * 2
    assert list(history["prompt"]) == got
    assert "Did you mean 'name'?" in shell.error("%%capsule noting\n{{ nmae }}")


def test_a_reply_in_a_prompt_is_its_text(shell, workspace):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "**4** threads")
    shell.run("%%capsule noting -o answer\nx")
    shell.run("%%capsule noting\nShorten: {{ answer }}")
    assert got[-1] == "Shorten: **4** threads"


FORMS = {
    "json": ('Here it is:\n```json\n{"a": [1, "é"]}\n```', "no json at all"),
    "table": ("| a | b |\n| --- | --- |\n| 1 | x |", "no table at all"),
}

AS_TEXT = {"json": '\n{\n  "a": [\n    1,\n    "é"\n  ]\n}\n', "table": "\n a b\n 1 x\n"}


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_is_meant_to_be_of_a_form_is_shown_so_or_fails(shell, workspace, form):
    workspace.app("formal")(lambda session, text: FORMS[form][int(text)])
    shell.run(f"%%capsule formal --{form} -o good -q\n0")
    good = shell.variables["good"]
    shown = good._repr_mimebundle_()["text/html"]
    if form == "json":
        assert (
            good.json() == {"a": [1, "é"]}
            and "Here it is" not in shown.rpartition("<div")[0][-400:]
        )
    else:
        assert list(good.tables[0].columns) == ["a", "b"] and "<table" in shown
    shown = shell.run(f"%%capsule formal --{form}\n0").text
    assert shown.startswith(AS_TEXT[form]) and "```" not in shown and "|" not in shown
    ran = shell.try_to_run(f"%%capsule formal --{form} -o bad\n1")
    assert FORMS[form][1] in ran.text
    assert f"no {form.upper() if form == 'json' else form}" in ran.error._render_traceback_()[0]
    assert shell.variables["bad"].text == FORMS[form][1]


def test_a_conversation_can_be_forgotten_and_named_by_its_first_letters(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run("%%capsule diet-coach -s other\nan apple")
    other = last(shell).session_id
    shell.run(f"%capsule session use {first[:8]}")
    shell.run("%%capsule diet-coach\nan apple")
    assert (last(shell).session_id, last(shell).turn) == (first, 2)
    assert "Forgot 1 conversation." in shell.run(f"%capsule session forget {first[:8]}").text
    assert list(shell.run("%capsule session").value["session_id"]) == [other]
    shell.run("%%capsule diet-coach\nan apple")
    assert last(shell).turn == 1
    assert "Forgot 2 conversations." in shell.run("%capsule session forget --all").text
    assert len(shell.run("%capsule session").value) == 0


def test_a_named_conversation_goes_on_under_its_name(shell):
    shell.run("%%capsule diet-coach -s other\nan apple")
    other = last(shell).session_id
    shown = shell.run(f"%capsule session use {other[:8]}").text
    assert shown == f"The next cell for diet-coach -s other continues {other}.\n"
    shell.run(f"%capsule session use {other[:8]} -s third")
    shell.run("%%capsule diet-coach -s third\nan apple")
    assert (last(shell).session_id, last(shell).turn) == (other, 2)


def test_a_conversation_of_another_notebook_is_known_by_its_first_letters(shell, monkeypatch):
    for _ in range(2):
        shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run("%%capsule diet-coach --new\nan apple")
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/two.ipynb")
    with kernel() as other:
        other.run(f"%capsule session use {first[:8]}")
        other.run("%%capsule\nan apple")
        assert (last(other).session_id, last(other).turn) == (first, 3)
        assert "which is not in the list" in other.run("%capsule session use zzz").text
        assert "The session id is empty" in other.error("%capsule session use ''")


def test_a_service_that_names_no_session_is_said_and_no_turn_is_counted():
    app = "00000000-0000-4000-8000-000000000001"
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(Client(cpsl.Client(token="x", gateway_url=gateway.url)))
        for _ in range(2):
            gateway.on("stream", streamed(*words("yes"), event({}, "done")))
            said = shell.run(f"%%capsule {app}\nx").text
            assert "The service named no session: the next cell starts another" in said
            assert last(shell).turn == 1
        assert [request.session_id for request in gateway.requests] == ["", ""]


def test_a_lost_conversation_is_said_even_where_nothing_is_shown(shell):
    shell.run("%%capsule diet-coach\nan apple")
    shell.run("%capsule session use 00000000-0000-0000-0000-000000000000 diet-coach")
    shown = shell.run("%%capsule diet-coach -q\nan apple")
    assert shown.text.startswith("The service did not go on with conversation 00000000")
    assert len(shown.text.splitlines()) == 1 and shown.outputs == []


def test_the_local_workspace_is_known_by_its_data_and_not_by_its_port(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    ids, ports = [], []
    for folder in ("one", "one", "two"):
        with local.start(tmp_path / folder, pace=0) as started, new_shell() as shell:
            ports.append(started.http_url)
            shell.run("%load_ext cpsl_notebook\n%capsule local")
            shell.run("%config CapsuleMagics.resume = True")
            shell.run("%%capsule diet-coach\nan apple")
            ids.append((last(shell).session_id, last(shell).turn))
    assert ids[1] == (ids[0][0], 2)
    assert ids[2][0] != ids[0][0] and ids[2][1] == 1
    assert ports[0] != ports[1]


def test_notebooks_of_one_name_in_two_folders_are_two(tmp_path, monkeypatch):
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        with new_shell() as shell:
            shell.run("%cd ..")  # afterwards, as a notebook may
            names.append(notebook_name(shell.variables, {"JPY_SESSION_NAME": "b/Untitled.ipynb"}))
    assert names == [(str(tmp_path / folder / "Untitled.ipynb"), True) for folder in ("a", "b")]
    assert notebook_name({}, {"JPY_SESSION_NAME": "/a/b.ipynb"}) == ("/a/b.ipynb", True)


def test_the_list_of_all_tells_the_notebooks_apart(shell, monkeypatch):
    shell.run("%%capsule diet-coach\nan apple")
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/two.ipynb")
    with kernel() as other:
        other.run("%%capsule diet-coach\nan apple")
        assert len(other.run("%capsule session").value) == 1
        table = other.run("%capsule session list --all").value
        assert list(table["notebook"]) == ["/books/two.ipynb", "/books/one.ipynb"]
        assert table["workspace"].str.startswith("local:").all()


def test_a_new_kernel_knows_the_only_app_that_the_notebook_has_used(shell):
    shell.run("%%capsule diet-coach\nan apple")
    with kernel() as again:
        again.run("%%capsule\nan apple")
        assert last(again).app == "diet-coach"


def test_once_is_enough_to_have_used_an_app(shell):
    shell.run("%%capsule diet-coach --once\nan apple")
    shell.run("%%capsule\nan apple")
    assert (last(shell).app, last(shell).turn) == ("diet-coach", 1)


def test_a_named_conversation_says_how_it_is_resumed(shell):
    shell.run("%%capsule diet-coach -s other\nan apple")
    first = last(shell).session_id
    with kernel() as again:
        shown = again.run("%%capsule diet-coach -s other\nan apple").text
        assert "`%capsule session resume diet-coach -s other`" in shown
    with kernel() as again:
        again.run("%capsule session resume diet-coach -s other")
        again.run("%%capsule diet-coach -s other\nan apple")
        assert last(again).session_id != first and last(again).turn == 2


def test_a_session_that_the_service_answers_with_404_is_said():
    app = "00000000-0000-4000-8000-000000000001"
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(Client(cpsl.Client(token="x", gateway_url=gateway.url)))
        shell.run(f"%%capsule {app}\nx")
        gateway.on("stream", failed(404, "no such session"))
        line = shell.error(f"%%capsule {app}\nx")
        assert "may no longer know conversation s-1: `%capsule session new" in line


def test_what_a_service_cut_in_two_or_made_up_as_an_id_breaks_nothing():
    app = "00000000-0000-4000-8000-000000000001"
    ids = {"session_id": "s\udc00\x1b]0;title\x07", "request_id": 7}
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(Client(cpsl.Client(token="x", gateway_url=gateway.url)))
        gateway.on("stream", streamed(*words("Hi \ud83d", "\ude00!"), event(ids, "done")))
        shown = shell.run(f"%%capsule {app}\nx").text
        assert shown.startswith("Hi 😀!") and "\x1b" not in shown
        assert (last(shell).session_id, last(shell).request_id) == ("s\ufffd", "7")
        assert list(shell.run("%capsule session").value["session_id"]) == ["s\ufffd"]


def test_settings_outlive_a_reload(shell):
    shell.run(
        "%capsule use diet-coach\n%config CapsuleMagics.timeout = 30\n%reload_ext cpsl_notebook"
    )
    assert current_context().settings.app == "diet-coach"
    assert shell.run("%config CapsuleMagics.timeout").value == 30


# Several kernels.

ANOTHER = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
with capture_output():
    for cell in ("%load_ext cpsl_notebook", "%config CapsuleMagics.resume = True",
                 "%%capsule diet-coach\\nan apple", "reply = %capsule last"):
        shell.run_cell(cell).raise_error()
print(shell.user_ns["reply"].session_id, *shell.user_ns["reply"].notices, flush=True)
sys.stdin.read()  # lives on until the test is done with it
"""


@contextlib.contextmanager
def running_kernel(workspace):
    environ = os.environ | workspace.environ | {"JPY_SESSION_NAME": "/books/one.ipynb"}
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process, process.stdout.readline().partition(" ")
        finally:
            process.kill()


def test_two_kernels_of_one_notebook_never_share_a_conversation_by_accident(workspace):
    with running_kernel(workspace) as (first, (one, _, _)):
        with running_kernel(workspace) as (_, (two, _, said)):
            assert two != one
            assert "another kernel has it" in said
        first.kill()
        first.wait()
    # The latest conversation was the second kernel's, which is gone: it is free.
    with running_kernel(workspace) as (_, (three, _, said)):
        assert three == two and "Resumed" in said
        # And while a third one has that, the first one's is.
        with running_kernel(workspace) as (_, (four, _, said)):
            assert four == one.strip() and "Resumed" in said


def test_a_conversation_is_free_where_the_id_of_its_kernel_was_given_to_another(tmp_path):
    known = conversations(tmp_path / "conversations.sqlite")
    keep(known, ConversationRecord("app"), "kept")
    kept = conversations(tmp_path / "conversations.sqlite").earlier("app")
    assert not known.is_held(kept)
    kernel, started = kept.kernel.split(" ")
    assert abs(float(started) - time.time()) < 86_400
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = kernel.replace(str(os.getpid()), str(process.pid))
    with process:
        kept.kernel = f"{other} {time.time():.0f}"
        assert known.is_held(kept)
        kept.kernel = f"{other} {float(started) - 3600:.0f}"
        assert not known.is_held(kept)
        process.kill()


def test_what_a_notice_says_about_resuming_does_so(shell):
    for _ in range(3):
        shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    with kernel() as again:
        shown = again.run("%%capsule diet-coach\nan apple").text
        assert "(3 turns" in shown and "`%capsule session resume diet-coach`" in shown
        assert last(again).turn == 1
        assert "(3 turns" in again.run("%capsule session resume diet-coach").text
        again.run("%%capsule diet-coach\nan apple")
        assert (last(again).session_id, last(again).turn) == (first, 4)


def test_resuming_a_conversation_that_was_renamed_keeps_its_name_and_its_count(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run(f"%capsule session use {first} -s fruit")
    table = shell.run("%capsule session").value
    assert table[["name", "turns", "current"]].values.tolist() == [["fruit", 1, True]]
    assert "no earlier conversation" in shell.error("%capsule session resume diet-coach")
    for turn in (2, 3):
        shell.run("%%capsule diet-coach -s fruit\nan apple")
        assert (last(shell).session_id, last(shell).turn) == (first, turn)


def test_letters_that_begin_several_conversations_choose_none(shell):
    shell.run("%capsule apps;")
    for session_id in ("abc1", "abc2"):
        keep(current_context().conversations, ConversationRecord("diet-coach"), session_id)
    assert "2 conversations begin with abc" in shell.error("%capsule session use abc")


def test_a_store_stays_where_it_was_wherever_the_kernel_goes(shell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPSULE_HOME", "here")
    current_context().connect(current_context().client)
    current_context()._conversations.clear()
    shell.run("%%capsule diet-coach\nan apple")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shell.run("%%capsule diet-coach\nan apple")
    assert shell.run("%capsule session").value["turns"].tolist() == [2]
    assert [path.parent.parent for path in tmp_path.rglob("conversations.sqlite")] == [tmp_path]


def test_a_conversation_has_one_name_and_one_count_of_turns(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    said = shell.run(f"%capsule session use {first[:8]} -s fruit").text
    assert "The next cell for diet-coach -s fruit continues" in said
    shell.run("%%capsule diet-coach -s fruit\nan apple")
    assert (last(shell).session_id, last(shell).turn, last(shell).conversation) == (
        *(first, 2),
        "fruit",
    )
    shell.run("%%capsule diet-coach\nan apple")
    assert last(shell).session_id != first and last(shell).turn == 1
    table = shell.run("%capsule session").value
    assert sorted(zip(table["name"], table["turns"], strict=True)) == [("", 1), ("fruit", 2)]
    line = shell.error(f"%capsule session use {first} support-ops")
    assert line.endswith(f"{first} is a conversation with diet-coach, not support-ops.")


def test_a_conversation_that_another_kernel_has_can_be_shared_on_purpose(workspace, monkeypatch):
    for name, value in {**workspace.environ, "JPY_SESSION_NAME": "/books/one.ipynb"}.items():
        monkeypatch.setenv(name, value)
    with running_kernel(workspace) as (_, (one, _, _)), new_shell() as other:
        other.run("%load_ext cpsl_notebook")
        shown = other.run("%capsule session resume diet-coach").text
        assert "Another running kernel is using this conversation" in shown
        other.run("%%capsule diet-coach\nan apple")
        assert (last(other).session_id, last(other).turn) == (one.strip(), 2)


# The store.

WRITER = """
import sys
from pathlib import Path
from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry
from cpsl_notebook.conversation.store import Store
path, name, count = sys.argv[1:]
known = ConversationRegistry(Store(Path(path)), name, "workspace")
for number in range(int(count)):
    spoken = known.current("app")
    known.answered(spoken, f"{name}-session")
    known.keep(spoken)
    print(number, flush=True)
"""


def writer(path, name, count, **options):
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def turns(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(database.execute("SELECT notebook, turns FROM conversations"))


def test_fifty_kernels_write_at_once_and_some_are_killed_and_nothing_is_lost(tmp_path):
    path = tmp_path / "store" / "conversations.sqlite"
    to_end = {f"n{n}": writer(path, f"n{n}", 4) for n in range(40)}
    to_kill = {f"k{n}": writer(path, f"k{n}", 200) for n in range(10)}
    written = {}
    for name, process in to_kill.items():
        written[name] = int(process.stdout.readline()) + 1
        process.send_signal(signal.SIGKILL)
    for process in [*to_end.values(), *to_kill.values()]:
        process.communicate()
    assert {process.returncode for process in to_end.values()} == {0}
    kept = turns(path)
    assert {name: kept[name] for name in to_end} == dict.fromkeys(to_end, 4)
    assert all(kept[name] >= written[name] for name in to_kill)


def conversations(path, notebook="/books/one.ipynb"):
    return ConversationRegistry(Store(path), notebook, "workspace")


def keep(known, conversation, session_id):
    known.answered(conversation, session_id)
    known.keep(conversation)


def test_a_full_disk_is_a_warning_and_what_was_there_is_kept(tmp_path):
    path = tmp_path / "conversations.sqlite"
    keep(conversations(path), ConversationRecord("app"), "kept")
    full = path.stat().st_size

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))

    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "x" * 10_000, "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    said, warned = process.communicate()
    assert (process.returncode, said) == (0, "0\n1\n2\n")
    assert warned.count("Conversations are not kept for later") == 1
    assert turns(path) == {"/books/one.ipynb": 1}


def test_a_store_that_may_only_be_read_is_read(tmp_path):
    # A folder of another owner, which a process that is not root cannot write in.
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "conversations.sqlite"
        keep(conversations(path), ConversationRecord("app"), "kept")
        before = path.read_bytes()
        folder.chmod(0o555)
        path.chmod(0o444)
        code = (
            "import os, psutil, sys, warnings; from pathlib import Path\n"
            "from cpsl_notebook.conversation.registry import ConversationRecord, ConversationRegistry\n"
            "from cpsl_notebook.conversation.store import Store\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "known = ConversationRegistry(Store(Path(sys.argv[1])), '/books/one.ipynb', 'workspace')\n"
            "print(known.earlier('app').session_id)\n"
            "print(known.resume_unless_held(known.earlier('app')))\n"
            "new = ConversationRecord('app')\n"
            "known.answered(new, 'new')\n"
            "known.keep(new)\n"
            "print(known.current('app').session_id)"
        )
        command = [sys.executable, "-c", code, str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ran.stdout.split() == ["kept", "False", "new"]
        assert ran.stderr.count("Conversations are not kept for later") == 1
        assert path.read_bytes() == before
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def damaged(path):
    path.write_bytes(b"this is no database at all" * 100)


def half(path):
    keep(conversations(path), ConversationRecord("app"), "kept")
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def locked(path):
    keep(conversations(path), ConversationRecord("app"), "kept")
    database = sqlite3.connect(path)
    database.execute("BEGIN EXCLUSIVE")
    return database


@pytest.mark.parametrize("spoil", [damaged, half, locked])
def test_a_store_that_is_spoilt_is_a_warning_and_the_cell_works(
    shell, tmp_path, monkeypatch, spoil
):
    monkeypatch.setattr("cpsl_notebook.conversation.store._WAIT", 0.1)
    path = tmp_path / "capsule" / "conversations.sqlite"
    path.parent.mkdir(exist_ok=True)
    lock = spoil(path)
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="not kept for later"):
        shell.shell.run_cell("%%capsule diet-coach\nan apple")
        shell.shell.run_cell("%%capsule diet-coach\nan apple")
    assert (last(shell).status, last(shell).turn) == ("complete", 2)
    assert path.read_bytes() == before
    if lock is not None:
        lock.close()
        assert turns(path) == {"/books/one.ipynb": 1}


@pytest.mark.parametrize("begun", [False, True])
def test_waiting_for_a_store_that_another_kernel_holds_can_be_interrupted(shell, tmp_path, begun):
    path = tmp_path / "capsule" / "conversations.sqlite"
    path.parent.mkdir(exist_ok=True)
    if begun:
        shell.run("%%capsule diet-coach\nan apple")
    with contextlib.closing(locked(path)):
        main = threading.main_thread().ident

        def interrupt():
            while begun and len(current_context().replies) < 2:  # the second one is whole
                time.sleep(0.01)
            time.sleep(0.3)
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        started = time.monotonic()
        thread.start()
        line = shell.error("%%capsule diet-coach -o kept\nan apple")
        assert time.monotonic() - started < 8  # where the store has ten seconds
        thread.join()
    if begun:
        assert line == (
            "Stopped: the reply is whole, but its conversation is not kept for a later kernel."
        )
        assert shell.variables["kept"].status == "complete"
    else:
        assert line == "Stopped: the command was interrupted."


def test_a_store_of_the_first_layout_is_brought_up_to_date(tmp_path):
    path = tmp_path / "conversations.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(
            """CREATE TABLE conversations (session_id TEXT, notebook TEXT, workspace TEXT, app TEXT,
            name TEXT, started_at TEXT, last_at TEXT, turns INTEGER,
            PRIMARY KEY (session_id, notebook, workspace, app))"""
        )
        row = ("kept", "/books/one.ipynb", "workspace", "app", "", "2026-01-01", "2026-01-01", 7)
        database.execute("INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    assert conversations(path).earlier("app").turns == 7


def test_the_store_can_be_read_by_its_owner_alone(tmp_path):
    path = tmp_path / "home" / "conversations.sqlite"
    keep(conversations(path), ConversationRecord("app"), "kept")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
