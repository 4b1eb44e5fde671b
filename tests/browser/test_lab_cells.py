"""Cells in a real JupyterLab: completion, running a cell again, an error that stops Run All."""

import shutil

import nbformat
import pytest
from environments import CI
from lab import CHROMIUM, Notebook, jupyterlab, write_notebook

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)

CELLS = [
    "%load_ext cpsl_notebook\n%capsule local",
    "%%capsule supp",
    "%capsule pay",
    "%%capsule diet-coach\nan apple",
    "%%capsule diet-coach --nwe\nx",
    "print('ran after the error')",
]
LOAD, APP, SUBCOMMAND, APPLE, WRONG, AFTER = range(6)
EDITED = """index => window.jupyterapp.shell.currentWidget.content.widgets[index]
    .model.sharedModel.getSource()"""


def press_tab(notebook, index):
    """Press Tab at the end of a cell."""
    notebook.cell(index).locator(".cm-content").click()
    notebook.page.keyboard.press("Control+End")
    notebook.page.keyboard.press("Tab")


def test_lab_completes_names_and_shows_earlier_turns_and_one_line_errors(page, tmp_path, pictures):
    write_notebook(tmp_path / "test.ipynb", CELLS)
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home")) as url:
        notebook = Notebook(page, url, "test.ipynb")
        notebook.run(LOAD)

        item = page.locator(".jp-Completer-item")
        press_tab(notebook, APP)
        item.get_by_text("support-ops").wait_for()
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => ({EDITED})({APP}) === '%%capsule support-ops'")
        page.keyboard.type(" --o")
        page.keyboard.press("Tab")
        item.get_by_text("--once").wait_for()
        page.screenshot(path=pictures / "completion.png")
        page.keyboard.press("Escape")
        press_tab(notebook, SUBCOMMAND)
        item.get_by_text("payments").wait_for()
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => ({EDITED})({SUBCOMMAND}) === '%capsule payments'")

        notebook.run(APPLE)
        notebook.run(APPLE)
        (shown,) = notebook.outputs(APPLE)
        assert "turn 2 (earlier run: turn 1)" in "".join(shown["data"]["text/html"])

        # From the cell above, so that all cells have reached the kernel when the error occurs.
        notebook.run_from(APPLE)
        notebook.wait_ran()
        (error,) = notebook.outputs(WRONG)
        assert error["traceback"] == [
            "UsageError: %%capsule: unknown option: --nwe. Did you mean '--new'?"
        ]
        assert notebook.outputs(AFTER) == []
        page.screenshot(path=pictures / "cells.png")


def test_exploring_runs_cell_by_cell(page, root, tmp_path, pictures):
    shutil.copy(root / "notebooks" / "exploring.ipynb", tmp_path)
    cells = nbformat.read(tmp_path / "exploring.ipynb", 4).cells
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home")) as url:
        notebook = Notebook(page, url, "exploring.ipynb")
        page.evaluate(
            "() => void window.jupyterapp.commands.execute('application:toggle-left-area')"
        )
        for index, cell in enumerate(cells):
            if cell.cell_type == "code":
                notebook.run(index)
                outputs = notebook.outputs(index)
                assert not [o for o in outputs if o["output_type"] == "error"], cell.source
                notebook.cell(index).evaluate("cell => cell.scrollIntoView()")
                page.screenshot(path=pictures / f"exploring-{index:02}.png")
