"""Run All: every shipped notebook twice in one kernel, and again in a new kernel."""

import copy
import uuid
from pathlib import Path

import nbclient
import nbformat
import pytest

WITHOUT_PAUSES = "from cpsl_notebook import local\nlocal.start(pace=0)"
NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def run_all(path, folder, *, times):
    """Run the cells of a notebook in a new kernel; return a list of the cells of each run."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:  # without it, conversations are kept for the next kernel
        cell.source = cell.source.replace("%config CapsuleMagics.reproducible = True\n", "")
    runs = [copy.deepcopy(notebook.cells) for _ in range(times)]
    notebook.cells = [nbformat.v4.new_code_cell(WITHOUT_PAUSES), *(c for run in runs for c in run)]
    for cell in notebook.cells:
        cell["id"] = uuid.uuid4().hex[:8]
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    ).execute()
    return runs


def apps(cells):
    """Return the app that replied to each cell."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    replies = [output["metadata"].get("capsule") for output in outputs if "metadata" in output]
    return [reply["app"] for reply in replies if reply]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebook_runs_twice_and_again_in_a_new_kernel(path, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / path.name))
    first, second = run_all(path, tmp_path, times=2)
    (again,) = run_all(path, tmp_path, times=1)
    assert apps(first) == apps(second) == apps(again)
    code = [[cell for cell in run if cell.cell_type == "code"] for run in (first, second, again)]
    loading = ["".join(output.get("text", "") for output in run[0].outputs) for run in code]
    hints = [
        "To resume it, run `%capsule local` and then `%capsule session resume" in text
        for text in loading
    ]
    assert hints == [False, False, bool(apps(first))]
