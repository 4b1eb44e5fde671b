"""`%config CapsuleMagics.reproducible = True`: outputs that are the same in every execution."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import stored_notebooks

from cpsl_notebook import local, sweep
from cpsl_notebook.earnings.ledger.masking import masked
from cpsl_notebook.pseudonyms import is_sample_payer
from cpsl_notebook.recordings.payer_masking import Mask
from cpsl_notebook.reproducible import set_reproducible
from cpsl_notebook.sweeps.sweep_progress import SweepProgress

YEAR = 366 * 24 * 3600  # seconds

# Everything that shows times, ids, ports or folders, and what a person would print.
CELLS = """
%load_ext cpsl_notebook
%config CapsuleMagics.reproducible = True
workspace = %capsule local
workspace
---
import json, os, pathlib
from cpsl_notebook import Conversation, ask, local, sweep
from datetime import datetime
facts = {"home": os.path.expanduser("~"), "url": workspace.http_url, "now": datetime.now().isoformat()}
pathlib.Path("facts.json").write_text(json.dumps(facts))
workspace.client(), local.running()
---
%%capsule support-ops -o first
How many threads are waiting for review?
---
%%capsule
Turn that into a two-step triage plan.
---
%%capsule --dry-run
And the oldest of them?
---
%%capsule diet-coach -s lunch --no-stream
two apples
---
%%capsule diet-coach -s lunch --dry-run
and a banana
---
%%capsule --once -o other
How many open threads are there by queue?
---
first.session_id, first.request_id, other.session_id
---
conversation = Conversation("support-ops")
conversation.ask("How many urgent threads are open?", quiet=True)
conversation
---
@workspace.app("mine", price_in_cents=100)
def mine(session, text):
    if text == "fail":
        raise ValueError("out of paper")
    yield session.id
---
%%capsule mine
hello
---
print([ask("same", app="mine", quiet=True).text for _ in range(3)])
---
try:
    ask("fail", app="mine", quiet=True)
except Exception as error:
    print(error)
---
%capsule checkout mine
---
workspace.client().create_checkout("mine", "https://shop.example/paid")
---
%capsule app mine
---
%capsule apps
---
%capsule session
---
%capsule session list --all
---
%capsule session use {{ first.session_id }} support-ops
---
%capsule session new diet-coach
---
%capsule history
---
%capsule history --save history.md
print(pathlib.Path("history.md").read_text())
---
%capsule status
---
answers = sweep([{"n": n} for n in (1, 2, 3)], "hello {{ n }}", app="mine", max_active=3)
answers
---
sweep([{"n": 1}, {"n": 2}], "hello {{ n }}", app="mine", store="a.db")
print(sweep([{"n": 1}, {"n": 3}], "hello {{ n }}", app="mine", store="a.db", dry_run=True))
---
payments = %capsule payments support-ops
payments.capsule.ledger(mask_payers=True)[["payer", "subscription", "paid_at"]].tail()
---
%capsule earnings
---
%capsule record answers.jsonl --mask
---
%%capsule --new
How many threads are waiting for review?
---
masked = %capsule payments support-ops
masked[["payer", "payment_id"]].head()
---
%capsule status
---
%capsule record --stop
---
%capsule replay answers.jsonl
---
%%capsule
How many threads are waiting for review?
---
%capsule status
---
from cpsl_notebook.conversation.context import current_context
current_context().client, current_context().client.core
---
try:
    current_context().client.chat("support-ops", "How many threads are there?")
except Exception as error:
    print(error)
---
%capsule replay --stop
---
%capsule local reset
---
%%capsule support-ops --new -o again
How many threads are waiting for review?
---
again.session_id == first.session_id
---
import matplotlib.pyplot as plt
plt.plot([1, 3, 2])
plt.title("The same picture")
plt.show()
---
%capsule local stop
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """Return the library that shifts the date of a process."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("this machine has no C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(stored_notebooks.__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def reproducible():
    set_reproducible(True)
    yield
    set_reproducible(None)


def execute(folder, user, **environ):
    """Execute the cells as a user; return the outputs, and what the kernel saw."""
    home = folder / user
    home.mkdir(exist_ok=True)
    sources = [source.strip("\n") for source in CELLS.strip("\n").split("\n---\n")]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    environ |= {"HOME": str(home), "CAPSULE_HOME": str(home / ".capsule"), "COLUMNS": "200"}
    # The kernel knows the path of its notebook, so it would resume conversations.
    environ |= {"JPY_SESSION_NAME": str(folder / "notebook.ipynb")}
    notebook = stored_notebooks.execute(
        nbformat.v4.new_notebook(cells=cells), folder, environ=environ
    )
    outputs = list(zip(sources, stored_notebooks.outputs(notebook), strict=True))
    return outputs, json.loads((folder / "facts.json").read_text())


@pytest.fixture(scope="module")
def both(clock, tmp_path_factory):
    """Execute the cells today, and a year later as another user in another folder."""
    shifted = {"LD_PRELOAD": str(clock), "CLOCK_SHIFT": str(YEAR)}
    one = execute(tmp_path_factory.mktemp("one"), "ada")
    two = execute(tmp_path_factory.mktemp("two"), "bob", **shifted)
    return one, two


def test_outputs_are_the_same_on_two_dates_as_two_users_and_on_two_ports(both):
    (outputs, facts), (others, other_facts) = both
    assert all(facts[name] != other_facts[name] for name in ("home", "url", "now"))
    assert int(other_facts["now"][:4]) - int(facts["now"][:4]) == 1
    for output, other in zip(outputs, others, strict=True):
        assert other == output


def test_outputs_contain_no_times_ports_folders_and_processes(both):
    (outputs, facts), _ = both
    text = "\n".join(output for _, output in outputs)
    for value in (facts["home"], facts["url"].rpartition(":")[2], facts["now"][:10]):
        assert value not in text
    assert "'http://127.0.0.1:…/checkout/" in text
    for pattern in (
        r"127\.0\.0\.1:\d",
        r"first text|total \d",
        r"ipykernel_\d",
        r"/tmp/",
        r"replay:[0-9a-f]",
    ):
        assert not re.search(pattern, text), pattern
    shown = json.loads(next(output for source, output in outputs if "-o first" in source))
    assert shown[0]["metadata"] == {"capsule": {"app": "support-ops", "complete": True}}
    assert ">support-ops · turn 1<" in shown[0]["data"]["text/html"]


def test_executing_again_as_the_same_user_changes_nothing(tmp_path):
    """The conversations of the first execution are neither resumed nor listed."""
    first, _ = execute(tmp_path, "ada")
    for name in ("history.md", "a.db"):  # the answers in a store are used again
        (tmp_path / name).unlink()
    second, _ = execute(tmp_path, "ada")
    assert second == first


def test_ids_follow_from_the_prompt_and_not_from_the_order(reproducible, tmp_path):
    def ids(*prompts):
        with local.start(tmp_path) as workspace, workspace.client() as client:
            return {text: client.chat("diet-coach", text).session_id for text in prompts}

    assert ids("an apple", "a banana") == ids("a banana", "an apple")
    assert len(set(ids("an apple", "a banana").values())) == 2


def test_ids_before_a_reset_are_not_used_again(reproducible, tmp_path):
    def ids(workspace, client):
        session = client.chat("diet-coach", "an apple").session_id
        checkout = client.create_checkout("deal-desk")
        return {session, checkout, workspace.client().scope}

    with local.start(tmp_path) as workspace, workspace.client() as client:
        before = ids(workspace, client)
        workspace.reset()
        assert before.isdisjoint(ids(workspace, client))


def test_reproducible_conversations_are_not_shared_with_other_processes(reproducible, tmp_path):
    with local.start(tmp_path) as one, local.start(tmp_path) as two:
        for workspace in (one, two):
            workspace.app("turns")(lambda session, text: str(len(session.history)))
        with one.client() as client:
            session = client.chat("turns", "x").session_id
            assert client.chat("turns", "y", session).text == "1"
        with two.client() as client:
            first = client.chat("turns", "x")
        assert (first.session_id, first.text) == (session, "0")
        scratch = one._scratch
        assert scratch.exists()
    assert not scratch.exists()
    assert not (tmp_path / "workspace.sqlite").exists()


def test_stored_answers_of_one_reproducible_workspace_are_not_those_of_another(
    reproducible, tmp_path
):
    store = tmp_path / "answers.db"

    def answers(folder, reply):
        with local.start(tmp_path / folder) as workspace, workspace.client() as client:
            workspace.app("mine")(lambda session, text: reply)
            return sweep(["x"], "{{ value }}", "mine", client=client, store=store)["reply"][0]

    assert [answers("one", "1"), answers("two", "2"), answers("one", "3")] == ["1", "2", "1"]


def test_pseudonyms_of_sample_payers_are_the_same_on_every_machine(reproducible):
    payers = ["ada@example.com", "bob@example.org", "ada@a.example.com", "ada@mail.test"]
    assert list(map(is_sample_payer, payers)) == [True, True, False, False]
    set_reproducible(False)
    assert not any(map(is_sample_payer, payers))


def test_pseudonyms_of_real_payers_keep_the_key_of_the_machine(reproducible, tmp_path):
    real = pd.Series(["ada@company.test"], dtype="string")
    names = masked(real)
    assert names.tolist() == masked(real, (tmp_path / "capsule" / "mask-key").read_text()).tolist()


def test_masked_recording_and_ledger_agree_if_sample_and_real_payers_are_mixed(reproducible):
    payers = ["ada@example.com", "ada@company.test", None]
    names = masked(pd.Series(payers, dtype="string")).dropna().tolist()
    records = Mask().records([{"payer": payer} for payer in payers])
    assert [record["payer"] for record in records] == [*names, None]
    assert names[0] == masked(pd.Series(payers[:1]), "sample payers")[0]


def test_environment_variable_makes_a_script_reproducible(tmp_path):
    script = (
        "from cpsl_notebook import ask, local, Conversation\n"
        "from cpsl_notebook.conversation.context import current_context\n"
        "workspace = local.start()\n"
        "current_context().connect(workspace.client())\n"
        "reply = ask('an apple', app='diet-coach', quiet=True)\n"
        "print(workspace, reply.session_id, current_context().settings.reproducible)\n"
    )
    printed = set()
    for user in ("ada", "bob"):
        (tmp_path / user).mkdir()
        environ = {"HOME": str(tmp_path / user), "PYTHONPATH": ":".join(sys.path)}
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env=environ | {"CAPSULE_REPRODUCIBLE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        printed.add(ran.stdout)
    assert len(printed) == 1
    assert printed.pop().endswith(" True\n")


def test_setting_applies_to_the_process_and_can_be_turned_off():
    from shells import new_shell

    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        shell.run("%config CapsuleMagics.reproducible = True")
        shell.run("%capsule local")
        assert shell.run("%%capsule diet-coach\nan apple").text.endswith("[diet-coach · turn 1]\n")
        shell.run("%config CapsuleMagics.reproducible = False")
        footer = shell.run("%%capsule diet-coach\nan apple").text.splitlines()[-1]
        assert re.search(r"conversation [0-9a-f]{8} · turn 2 · .*total \d", footer)
        shell.run("%capsule local stop")


def test_progress_of_a_sweep_has_no_times(reproducible):
    progress = SweepProgress(10, 1, shown=False)
    progress.start()
    progress.finished(True, 0.5, 0.5)
    assert progress.text == "1 failed"
    set_reproducible(False)
    assert progress.text == "1 failed, 2 rows/s, 4 s left"


def test_workspace_shows_neither_port_nor_folder(tmp_path):
    with local.start(tmp_path) as workspace:
        assert repr(workspace) == ("<local workspace, running: deal-desk, diet-coach, support-ops>")
    assert repr(workspace).startswith("<local workspace, stopped: ")
