"""Notebooks executed without a front end, as by nbclient, papermill and nbconvert."""

import concurrent.futures
import re
import uuid
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
QUICKSTART = NOTEBOOKS / "quickstart.ipynb"
EXPLORING = NOTEBOOKS / "exploring.ipynb"
KERNEL = ["--IPKernelApp.log_level=ERROR"]


def execute(notebook, folder, **options):
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=KERNEL,
        **options,
    ).execute()
    return notebook


def notebook_of(*cells):
    cells = ("%load_ext cpsl_notebook\n%capsule local", *cells)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The quickstart, executed in a new kernel."""
    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPSULE_HOME", str(folder / "home"))
        notebook = nbformat.read(QUICKSTART, as_version=4)
        return execute(notebook, folder)


def data(notebook, start):
    """Return the data of the last output of the cell whose source starts with *start*."""
    (cell,) = [cell for cell in notebook.cells if cell.source.startswith(start)]
    return cell.outputs[-1]["data"]


def test_quickstart_shows_replies_tables_and_a_plot(quickstart):
    reply = data(quickstart, "%%capsule support-ops")["text/plain"]
    assert reply.startswith("**85 threads** are waiting for review, out of 300.")
    plan = data(quickstart, "%%capsule\nTurn that")["text/plain"]
    assert plan.startswith("**Two-step triage plan** for the 85 threads waiting for review:")
    riskiest = data(quickstart, "%%capsule --new")["text/plain"]
    assert riskiest.startswith("The **five riskiest** of 203 open threads:")
    assert "net_cents" in data(quickstart, "payments =")["text/html"]
    assert "image/png" in data(quickstart, "import matplotlib")
    assert "You said **Hello**" in data(quickstart, "%%capsule echo")["text/plain"]


def test_earnings_notebook_shows_answers_and_plots(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    notebook = execute(nbformat.read(NOTEBOOKS / "earnings.ipynb", as_version=4), tmp_path)
    (findings,) = [cell for cell in notebook.cells if cell.source.startswith("findings =")]
    assert findings.outputs[0]["text"] == "balanced: yes\n"
    assert "provisional" in data(notebook, "mrr =")["text/html"]
    assert "42120.00" in data(notebook, "metrics =")["text/html"]  # the ARR of October
    assert "counted_cents" in data(notebook, "october =")["text/html"]
    pictures = [cell for cell in notebook.cells if ".plot." in cell.source]
    assert len(pictures) == 8
    assert all("image/png" in cell.outputs[-1]["data"] for cell in pictures)
    assert not any("needs_background" in cell.outputs[-1]["metadata"] for cell in pictures)
    assert "Empty DataFrame" in data(notebook, "import tempfile")["text/plain"]  # nothing changed
    assert "@example" not in nbformat.writes(notebook)  # payers are masked


def test_exploring_notebook_keeps_its_conversations(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    notebook = execute(nbformat.read(EXPLORING, as_version=4), tmp_path)
    preview = next(c for c in notebook.cells if "--dry-run" in c.source and "%%" in c.source)
    assert "| Queue | urgent | Threads |" in preview.outputs[0]["text"]
    assert "Not sent: a prompt for support-ops, turn 2" in preview.outputs[0]["text"]
    riskiest = data(notebook, "%%capsule -o riskiest")["text/plain"]
    assert "The **five riskiest** of 16 open urgent billing or integrations threads:" in riskiest
    plan = next(c for c in notebook.cells if "two-step triage plan" in c.source).outputs[-1]["data"]
    assert "plan** for the 5 open threads listed above:" in plan["text/plain"]
    assert "turn 3" in plan["text/html"]
    refunds = data(notebook, "%%capsule -s refunds -o urgent_refunds")
    assert "**2 urgent threads matching “refunds”**" in refunds["text/plain"]
    assert "conversation refunds · turn 2" in refunds["text/html"]
    history = data(notebook, "history =")["text/plain"]
    assert "template" in history and "refunds" in history
    assert "Find threads about refunds." in (tmp_path / "answers.md").read_text()


def test_notebooks_in_the_repository_have_no_outputs_and_no_urls(root):
    paths = sorted((root / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in paths] == ["earnings", "exploring", "quickstart", "sweeps"]
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
            assert "http" not in cell.source


def test_reply_is_saved_as_static_html_and_text_with_metadata(quickstart):
    replies = [
        output
        for cell in quickstart.cells
        if cell.source.startswith("%%capsule")
        for output in cell.outputs
    ]
    assert len(replies) == 4
    for output in replies:
        assert set(output["data"]) == {"text/html", "text/plain"}
        meta = output["metadata"]["capsule"]
        assert meta["complete"] is True and meta["seconds"] > 0
        assert str(uuid.UUID(meta["session_id"])) == meta["session_id"]
        assert re.fullmatch("req_[0-9a-f]{32}", meta["request_id"])
    assert "widgets" not in quickstart.metadata


def test_html_page_of_an_executed_notebook_shows_the_replies(quickstart):
    page, _ = HTMLExporter().from_notebook_node(quickstart)
    assert "<strong>85 threads</strong>" in page
    assert not re.search(r"<script[^>]*>[^<]*capsule", page)


def test_executed_notebook_does_not_contain_the_token(quickstart):
    assert "capsule_local_" not in nbformat.writes(quickstart)


def test_concurrent_notebooks_have_separate_conversations(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    cells = [f"%%capsule diet-coach\n{n} eggs" for n in (1, 2)]
    cells.append("history = %capsule history\nprint(*set(history['session_id']))")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: execute(notebook_of(*cells), tmp_path), range(2)))
    ids = [notebook.cells[-1].outputs[0]["text"].split() for notebook in both]
    assert [len(found) for found in ids] == [1, 1]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%capsule support-ops --nwe\nx", "UsageError: %%capsule: unknown option: --nwe."),
        ("%capsule payments suport-ops", "AppNotFoundError: No app 'suport-ops'"),
        ("%%capsule support-ops\n ", "The prompt is empty"),
    ],
)
def test_error_is_one_line_and_stops_run_all(tmp_path, monkeypatch, cell, message):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    notebook = notebook_of(cell, "print('never')")
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        execute(notebook, tmp_path)
    (error,) = notebook.cells[1].outputs
    assert error["output_type"] == "error"
    assert len(error["traceback"]) == 1 and error["traceback"][0].startswith(message)
    assert notebook.cells[2].outputs == []


def test_interrupted_reply_is_saved_in_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    define = (
        "from cpsl_notebook import local\n"
        "@local.running().app('breaking')\n"
        "def breaking(session, text):\n"
        "    yield 'as far as this'\n"
        "    raise OSError('out of paper')"
    )
    notebook = notebook_of(define, "%%capsule breaking\nx")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="out of paper"):
        execute(notebook, tmp_path)
    shown, error = notebook.cells[2].outputs
    assert "as far as this" in shown["data"]["text/plain"]
    assert "failed" in shown["data"]["text/html"]
    assert shown["metadata"]["capsule"]["complete"] is False
    assert error["output_type"] == "error"
