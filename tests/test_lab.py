"""Replies in a real JupyterLab, in a real browser."""

import json
import shutil

import nbformat
import pytest
from conftest import CI
from lab import CHROMIUM, Notebook, browser_page, jupyterlab

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="no chromium: install Debian's package to test in a browser"
)

DEFINE = """\
import pathlib, time
from cpsl_notebook import local

@local.running().app("stepwise")
def stepwise(session, text):
    yield "**The first part** and "
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    yield "the second part."

@local.running().app("endless")
def endless(session, text):
    while True:
        yield "more "
        time.sleep(0.05)"""
CELLS = [
    "%load_ext cpsl_notebook\n%capsule local",
    DEFINE,
    "%%capsule stepwise\nx",
    "%%capsule endless\nx",
    "print('ran after the stop')",
    "%%capsule support-ops\nSummarize the riskiest support threads.",
]
STEPWISE, ENDLESS, AFTER, RISKIEST = 2, 3, 4, 5


@pytest.fixture(scope="module")
def page():
    with browser_page() as opened:
        yield opened


@pytest.fixture
def notebook(page, tmp_path):
    """A notebook whose kernel is connected to a local workspace."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "test.ipynb")
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home")) as url:
        opened = Notebook(page, url, "test.ipynb")
        opened.run(0)
        opened.run(1)
        yield opened


@pytest.fixture
def pictures(root):
    folder = root / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_reply_is_seen_growing_and_is_static_and_there_when_reopened(
    notebook, page, tmp_path, pictures
):
    notebook.run(STEPWISE, wait=False)
    cell = notebook.cell(STEPWISE)
    cell.get_by_text("The first part").wait_for()  # while the app still waits
    assert "second part" not in cell.inner_text()
    assert cell.locator("strong").inner_text() == "The first part"
    page.screenshot(path=pictures / "streaming.png")

    (tmp_path / "go").touch()
    cell.get_by_text("the second part.").wait_for()
    notebook.wait_idle()
    (shown,) = notebook.outputs(STEPWISE)
    assert set(shown["data"]) == {"text/html", "text/plain"}
    assert "".join(shown["data"]["text/plain"]) == "**The first part** and the second part."

    notebook.run(RISKIEST)
    notebook.save()
    saved = json.loads((tmp_path / "test.ipynb").read_text())
    (output,) = saved["cells"][RISKIEST]["outputs"]
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert output["metadata"]["capsule"]["complete"] is True
    assert "widgets" not in saved["metadata"]
    page.reload()
    notebook.cell(RISKIEST).get_by_text("five riskiest").wait_for(timeout=60_000)
    notebook.cell(RISKIEST).scroll_into_view_if_needed()
    page.screenshot(path=pictures / "reopened.png")


def test_the_quickstart_runs_as_a_person_would_run_it(page, root, tmp_path, pictures):
    shutil.copy(root / "notebooks" / "quickstart.ipynb", tmp_path)
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home")) as url:
        quickstart = Notebook(page, url, "quickstart.ipynb")
        page.evaluate(
            "() => void window.jupyterapp.commands.execute('application:toggle-left-area')"
        )
        cells = nbformat.read(tmp_path / "quickstart.ipynb", 4).cells
        for index, cell in enumerate(cells):
            if cell.cell_type == "code":
                quickstart.run(index)
                outputs = quickstart.outputs(index)
                assert not [o for o in outputs if o["output_type"] == "error"], cell.source
            if cell.source.startswith("%%capsule --new"):
                start = next(i for i, c in enumerate(cells) if c.source.startswith("## Continue"))
                quickstart.cell(start).evaluate("cell => cell.scrollIntoView()")
                page.screenshot(path=pictures / "quickstart.png")


def test_the_interrupt_command_stops_the_reply_and_the_cells_queued_behind_it(notebook):
    notebook.run(ENDLESS, wait=False)
    notebook.run(AFTER, wait=False)
    notebook.cell(ENDLESS).get_by_text("more more").first.wait_for()
    notebook.interrupt()
    notebook.cell(ENDLESS).locator(".capsule-footer").wait_for(timeout=5_000)
    notebook.wait_idle()
    (shown, error) = notebook.outputs(ENDLESS)
    assert "more more" in "".join(shown["data"]["text/plain"])
    assert "stopped" in "".join(shown["data"]["text/html"])
    assert error["output_type"] == "error" and len(error["traceback"]) == 1
    assert notebook.outputs(AFTER) == []
    notebook.run(AFTER)
    assert notebook.outputs(AFTER)[0]["text"] == "ran after the stop\n"
