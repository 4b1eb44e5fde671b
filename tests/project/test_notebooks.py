"""Notebooks executed without a front end, as by nbclient, papermill and nbconvert."""

import concurrent.futures
import contextlib
import functools
import importlib.metadata
import re
import subprocess
import textwrap
import uuid

import nbclient
import nbformat
import pytest
import stored_notebooks
from nbconvert import HTMLExporter
from packaging.requirements import Requirement
from stored_notebooks import NAMES

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
def executed(tmp_path_factory):
    """Return a function that executes a notebook once and records it: notebook, recording."""

    @functools.cache
    def run(name):
        folder = tmp_path_factory.mktemp(name)
        file = folder / "recording.jsonl"
        record = f"from cpsl_notebook import recording as _r; _r({str(file)!r}).start()"
        return stored_notebooks.execute(stored_notebooks.read(name), folder, startup=[record]), file

    return run


@pytest.fixture
def quickstart(executed):
    """The quickstart, executed in a new kernel."""
    return executed("quickstart")[0]


def data(notebook, start):
    """Return the data of the last output of the cell whose source starts with *start*."""
    (cell,) = [cell for cell in notebook.cells if cell.source.startswith(start)]
    return cell.outputs[-1]["data"]


def differing_versions(root):
    """Return the installed packages whose versions are not the pinned ones."""
    found = []
    for line in (root / "requirements.lock").read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate():
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                    version = importlib.metadata.version(requirement.name)
                    if version not in requirement.specifier:
                        found.append(f"{requirement.name} {version}")
    return found


def test_notebooks_of_the_project_are_known(root):
    assert sorted(path.stem for path in (root / "notebooks").glob("*.ipynb")) == sorted(NAMES)
    for name in NAMES:
        nbformat.validate(stored_notebooks.read(name))
        assert not any("http:" in cell.source for cell in stored_notebooks.read(name).cells)


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_are_those_of_a_fresh_execution(name, executed, root):
    if differing := differing_versions(root):
        pytest.skip(f"the outputs are stored for the pinned versions, not for {differing}")
    fresh, _ = executed(name)
    stored = stored_notebooks.read(name)
    both = map(stored_notebooks.outputs, (stored, fresh))
    for before, after, cell in zip(*both, code_cells(stored), strict=True):
        assert after == before, f"{name}: {cell.id}. Renew the outputs with `make notebooks`."
    counts = [cell.execution_count for cell in code_cells(stored)]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_from_a_recording_without_a_network(name, executed, tmp_path):
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not permit network namespaces")
    recorded, file = executed(name)
    offline = stored_notebooks.read(name)
    offline.cells.append(nbformat.v4.new_code_cell(NETWORK))
    environ = {"CAPSULE_REPLAY": str(file)}
    stored_notebooks.execute(offline, tmp_path, prefix=unshare, environ=environ)
    assert offline.cells.pop().outputs[0].text == "[Errno 101] Network is unreachable\n"
    workspace = "<local workspace, running: deal-desk, diet-coach, support-ops>"
    replayed = [
        output.replace(" · recorded", "").replace(
            "<recorded workspace, recording.jsonl>", workspace
        )
        for output in stored_notebooks.outputs(offline)
    ]
    assert replayed == stored_notebooks.outputs(recorded)
    assert " · recorded" in str(stored_notebooks.outputs(offline)) or name in ("earnings", "sweeps")


@pytest.mark.parametrize("name", ["exploring", "sweeps"])  # they write files
def test_notebook_can_be_executed_again_in_its_folder(name, executed, tmp_path):
    first, _ = executed(name)
    for _ in range(2):
        again = stored_notebooks.execute(stored_notebooks.read(name), tmp_path)
    assert stored_notebooks.outputs(again) == stored_notebooks.outputs(first)


# Even connections to this machine fail.
NETWORK = """
import socket

try:
    socket.create_connection(("127.0.0.1", 80), timeout=5)
except OSError as error:
    print(error)
"""


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


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


def test_earnings_notebook_shows_answers_and_plots(executed):
    notebook, _ = executed("earnings")
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


def test_exploring_notebook_keeps_its_conversations(executed):
    notebook, file = executed("exploring")
    preview = next(c for c in notebook.cells if "--dry-run" in c.source and "%%" in c.source)
    assert "| Queue | urgent | Threads |" in preview.outputs[0]["text"]
    assert preview.outputs[0]["text"].startswith(
        "Not sent: a prompt for support-ops, turn 2 of the conversation; "
    )
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
    assert "Find threads about refunds." in (file.parent / "answers.md").read_text()


def test_teaching_notebook_shows_what_its_apps_send(executed):
    notebook, _ = executed("teaching")
    assert "<b>Good morning!</b>" in data(notebook, "%%capsule echo")["text/html"]
    poem = data(notebook, "%%capsule poem")["text/html"]
    assert "The ball is round,<br>the ball is red,<br>and" in poem  # single line breaks
    assert "*I like tea.*" in data(notebook, "%%capsule parrot\nAnd")["text/plain"]
    assert "2 on your list: bread" in data(notebook, "%%capsule shopping\ntwo")["text/plain"]
    assert "1 on your list: a pencil" in data(notebook, "%%capsule shopping --new")["text/plain"]
    assert "data:image/png;base64," in data(notebook, "%%capsule bars")["text/html"]
    assert data(notebook, "%%capsule countdown")["text/plain"].endswith("1 … lift-off!")
    failed = next(c for c in notebook.cells if "raises-exception" in c.metadata.get("tags", []))
    reply, error = failed.outputs
    assert reply["data"]["text/plain"] == "1 / 0 ="
    assert re.search(
        r"'divide' raised ZeroDivisionError in Cell In\[\d+\], line 5 \(yield str\(int\(first\)",
        error["evalue"],
    )
    assert code_cells(notebook)[-1].outputs[0]["text"] == "All exercises are solved.\n"


EXERCISES = ("shout", "total", "squares", "titled", "slowly", "polite")


def test_exercises_are_checked_one_by_one(tmp_path):
    """Without its solution, each exercise fails in the cell that checks them, and only there."""
    notebook = stored_notebooks.read("teaching")
    solutions = {name: f"solution-{name}" for name in EXERCISES}
    cells = {cell.id: cell for cell in notebook.cells}
    setup = [cells[name] for name in ("connect", "echo", "image", "slow")]
    whole = cells["check"].source
    checks = [cells["check"]]
    for name, solution in solutions.items():
        assert f'@workspace.app("{name}")' in cells[solution].source
        checks.append(nbformat.v4.new_code_cell(f"{name}_app = workspace.app('{name}')"))
        checks[-1].source += "(lambda session, text: 'unsolved')"
        tried = textwrap.indent(whole, "    ")
        failing = f"try:\n{tried}\nexcept Exception as error:\n    print(type(error).__name__)"
        checks += [nbformat.v4.new_code_cell(failing), cells[solution]]
    notebook.cells = [*setup, *(cells[solution] for solution in solutions.values()), *checks]
    stored_notebooks.execute(notebook, tmp_path)
    printed = ["".join(o["text"] for o in c.outputs) for c in checks if "assert" in c.source]
    assert printed[0] == "All exercises are solved.\n"
    assert len(printed) == len(EXERCISES) + 1
    assert not any("solved" in text for text in printed[1:])


def test_reply_is_saved_as_static_html_and_text_with_metadata(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    notebook = execute(notebook_of("%%capsule diet-coach\nan apple"), tmp_path)
    (output,) = notebook.cells[1].outputs
    assert set(output["data"]) == {"text/html", "text/plain"}
    meta = output["metadata"]["capsule"]
    assert meta["complete"] is True and meta["seconds"] > 0
    assert str(uuid.UUID(meta["session_id"])) == meta["session_id"]
    assert re.fullmatch("req_[0-9a-f]{32}", meta["request_id"])
    assert "widgets" not in notebook.metadata


def test_html_page_of_an_executed_notebook_shows_the_replies(quickstart):
    page, _ = HTMLExporter().from_notebook_node(quickstart)
    assert "<b>85 threads</b>" in page
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
