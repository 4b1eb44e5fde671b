"""pandas is imported when the first table is made, and `payments.capsule` exists from then on."""

import os

import pytest
from front_ends import Frontend
from jupyter_client.manager import start_new_kernel
from shells import new_shell

WITHOUT_TABLES = [
    "%load_ext cpsl_notebook",
    "%capsule local",
    "%%capsule support-ops -o reply\nHow many threads are waiting for review?",
    "%%capsule\nTurn {{ reply.turn }} of them into a plan.",
    "%%capsule --once --json -q support-ops --dry-run\nx",
    "%%capsule\n| a | b |\n| --- | --- |\n| 1 | 2 |",
    "%capsule use support-ops\n%capsule last",
    "%capsule session new support-ops\n%capsule local status",
    "from cpsl_notebook import Conversation, ask\nask('How many are open?', app='support-ops')",
    "Conversation('support-ops').ask('How many are open?')",
    "%capsule record answers.jsonl\n%capsule record --stop",
]


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A notebook in a kernel of its own."""
    monkeypatch.chdir(tmp_path)
    environ = {"IPYTHONDIR": str(tmp_path), "JPY_SESSION_NAME": str(tmp_path / "a.ipynb")}
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | environ)
    try:
        yield Frontend(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def imported(kernel, *packages):
    """Return which packages the kernel has imported."""
    messages = kernel.run(f"import sys; print([n for n in {packages} if n in sys.modules])")
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream").strip()


def test_cells_without_tables_do_not_import_pandas(kernel):
    for cell in WITHOUT_TABLES:
        errors = [m["content"] for m in kernel.run(cell, cellId="a") if m["msg_type"] == "error"]
        assert errors == [], cell
        assert imported(kernel, "pandas", "pyarrow") == "[]", cell
    kernel.run("apps = %capsule apps")
    assert imported(kernel, "pandas", "pyarrow") == "['pandas', 'pyarrow']"


def test_frame_of_the_user_has_the_analyses_after_loading(kernel):
    kernel.run("%load_ext cpsl_notebook")
    kernel.run(
        "import pandas as pd\nframe = pd.DataFrame({'app': ['shop'], 'amount_cents': [1500]})"
    )
    kernel.run("frame['created'] = pd.to_datetime(['2026-01-31 12:00'], utc=True)")
    messages = kernel.run("print(frame.capsule.ledger()['gross_cents'].tolist())")
    assert [m["content"]["text"] for m in messages if m["msg_type"] == "stream"] == ["[1500]\n"]


def test_cell_that_imports_pandas_itself_has_the_analyses(kernel):
    kernel.run("%load_ext cpsl_notebook")
    messages = kernel.run("import pandas as pd\nprint(pd.DataFrame().capsule)")
    assert [m["msg_type"] for m in messages if m["msg_type"] in ("stream", "error")] == ["stream"]


def test_reloading_registers_one_callback_and_unloading_removes_it():
    with new_shell() as shell:
        before = list(shell.shell.events.callbacks["pre_run_cell"])
        shell.run("%load_ext cpsl_notebook\n%reload_ext cpsl_notebook")
        assert len(shell.shell.events.callbacks["pre_run_cell"]) == len(before) + 1
        shell.run("%unload_ext cpsl_notebook")
        assert shell.shell.events.callbacks["pre_run_cell"] == before
