"""The teaching notebook in JupyterLab, followed as its text says."""

import json
import shutil

import nbformat
import pytest
import stored_notebooks
from environments import CI
from lab import CHROMIUM, Notebook, browser_page, jupyterlab

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)

SET_SOURCE = """([index, source]) =>
    window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.setSource(source)
"""


@pytest.fixture(scope="module")
def places():
    """The positions of the cells, by their ids."""
    return {cell.id: place for place, cell in enumerate(stored_notebooks.read("teaching").cells)}


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """The notebook, open in JupyterLab."""
    folder = tmp_path_factory.mktemp("lesson")
    shutil.copy(stored_notebooks.FOLDER / "teaching.ipynb", folder)
    home = str(tmp_path_factory.mktemp("home"))
    with jupyterlab(folder, CAPSULE_HOME=home) as url, browser_page() as page:
        yield Notebook(page, url, "teaching.ipynb")


def edited(lesson, place, source):
    """Write a cell and run it; return its outputs as text."""
    lesson.page.evaluate(SET_SOURCE, [place, source])
    lesson.run(place)
    return json.dumps(lesson.outputs(place), ensure_ascii=False)


def test_every_cell_shows_its_stored_output(lesson, places):
    stored = stored_notebooks.read("teaching")
    for cell in stored.cells:
        if cell.cell_type == "code":
            lesson.run(places[cell.id])
            cell.outputs = nbformat.from_dict(lesson.outputs(places[cell.id]))
    stored = nbformat.reads(nbformat.writes(stored), as_version=4)  # joins lines
    expected = stored_notebooks.outputs(stored_notebooks.read("teaching"))
    assert stored_notebooks.outputs(stored) == expected


def test_slow_answer_is_stopped_with_the_button_and_continues(lesson, places):
    place = places["ask-slow"]
    lesson.page.evaluate(SET_SOURCE, [place, "%%capsule countdown\n60"])
    lesson.run(place, wait=False)
    lesson.cell(place).get_by_text("58 …").wait_for()
    lesson.cell(place).get_by_role("button", name="Stop").click()
    lesson.cell(place).get_by_text("Stopped: the text received so far is kept.").wait_for()
    assert "58 …" in json.dumps(lesson.outputs(place), ensure_ascii=False)
    assert "1 … lift-off!" in edited(lesson, place, "%%capsule countdown\n6")


def test_mistake_in_an_exercise_is_shown_and_fixed_in_its_cell(lesson, places):
    place = places["your-shout"]
    app = '@workspace.app("shout")\ndef shout(session, text):\n    yield text.upper() + "!"'
    edited(lesson, place, app.replace("upper", "uper"))
    shown = edited(lesson, places["your-total"], "%%capsule shout\nhello")
    assert "the app 'shout' raised AttributeError in Cell In[" in shown
    assert "line 3 (yield text.uper() + " in shown
    edited(lesson, place, app)
    assert "HELLO!" in edited(lesson, places["your-total"], "%%capsule shout\nhello")
