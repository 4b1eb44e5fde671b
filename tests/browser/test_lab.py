"""Replies in a real JupyterLab, in a real browser."""

import json
import shutil

import nbformat
import pytest
from environments import CI
from lab import CHROMIUM, Notebook, jupyterlab, write_notebook

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)

DEFINE = """\
import pathlib, time
from cpsl_notebook import local

@local.running().app("stepwise")
def stepwise(session, text):
    yield {"type": "notification", "payload": {"text": "Reading the archive…"}}
    while not pathlib.Path("started").exists():
        time.sleep(0.05)
    yield "## Two parts\\n\\n**The first part**, `code`, [a link](https://example.com).\\n\\n"
    yield "```python\\ndef first():  # a comment\\n    return 'text', 12\\n```\\n\\n"
    yield "| a |\\n|---|\\n| one |\\n\\n"
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    yield {"type": "activity", "payload": {"label": "Looked it up"}}
    yield "> the second part."

@local.running().app("endless")
def endless(session, text):
    while "silent" in text:
        time.sleep(0.05)
        yield {"type": "notification", "payload": {"text": "Thinking…"}}
    while True:
        yield "more "
        time.sleep(0.05)"""
CELLS = [
    "%load_ext cpsl_notebook\n%capsule local",
    DEFINE,
    "%%capsule stepwise\nx",
    "%%capsule endless\nx",
    "%%capsule endless --new\nsilent",
    "print('ran after the stop')",
    "%%capsule support-ops\nSummarize the riskiest support threads.",
    "import ipywidgets; len(ipywidgets.widgets.widget._instances)",
]
STEPWISE, ENDLESS, SILENT, AFTER, RISKIEST, WIDGETS = range(2, 8)
THEMES = ["JupyterLab Light", "JupyterLab Dark"]

ALIGNMENT = "cell => getComputedStyle(cell).textAlign"
# The texts in an element whose contrast with their background is below WCAG AA.
LOW_CONTRAST = """node => {
    // Mixed colours are written as color(srgb …), with channels from 0 to 1.
    const channels = colour => {
        const parts = colour.match(/[\\d.]+/g).map(Number);
        return colour.startsWith("color(") ? parts.map((v, i) => i < 3 ? v * 255 : v) : parts;
    };
    const over = (top, below) => {
        const alpha = top[3] ?? 1;
        return [0, 1, 2].map(i => top[i] * alpha + below[i] * (1 - alpha));
    };
    const luminance = colour => {
        const [r, g, b] = colour.map(v => {
            v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement)
            layers.push(channels(getComputedStyle(e).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const found = [];
    const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || element.closest("style")) continue;
        const ground = behind(element), colour = channels(getComputedStyle(element).color);
        for (let e = element; e; e = e.parentElement)
            colour[3] = (colour[3] ?? 1) * getComputedStyle(e).opacity;
        const [low, high] = [luminance(over(colour, ground)), luminance(ground)].sort((a, b) => a - b);
        if ((high + 0.05) / (low + 0.05) < 4.5) found.push(texts.currentNode.data);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def lab(page, folder):
    """A notebook whose kernel uses a local workspace, and the address of JupyterLab."""
    write_notebook(folder / "test.ipynb", CELLS)
    with jupyterlab(folder, CAPSULE_HOME=str(folder / "home")) as url:
        opened = Notebook(page, url, "test.ipynb")
        opened.run(0)
        opened.run(1)
        yield opened, url


@pytest.fixture
def notebook(lab):
    return lab[0]


@pytest.mark.parametrize("theme", THEMES)
def test_reply_grows_with_enough_contrast_and_becomes_static(
    notebook, page, folder, pictures, theme
):
    for name in ("started", "go"):
        (folder / name).unlink(missing_ok=True)
    notebook.theme(theme)
    notebook.run(STEPWISE, wait=False)
    cell = notebook.cell(STEPWISE)
    status = cell.locator("[role=status]").filter(has_text="Reading the archive…")
    status.wait_for()
    assert cell.get_by_role("button", name="Stop").is_visible()
    (folder / "started").touch()
    cell.get_by_text("The first part").wait_for()  # while the app still waits
    cell.locator("td").get_by_text("one").wait_for()
    assert "second part" not in cell.inner_text()
    assert cell.locator("b").inner_text() == "The first part"
    assert cell.locator("[role=status]").filter(has_text="The first part").count() == 1
    assert cell.locator("pre i").nth(1).inner_text() == "first"
    assert cell.locator(".jp-Cell-outputWrapper").evaluate(LOW_CONTRAST) == []
    assert cell.locator("td").evaluate(ALIGNMENT) == "start"
    page.screenshot(path=pictures / f"streaming-{theme}.png")

    (folder / "go").touch()
    cell.locator(".capsule-footer").wait_for()
    notebook.wait_ran()
    assert cell.get_by_role("button", name="Stop").count() == 0
    assert cell.locator(".jp-Cell-outputWrapper").evaluate(LOW_CONTRAST) == []
    assert cell.locator("td").evaluate(ALIGNMENT) == "start"
    page.screenshot(path=pictures / f"done-{theme}.png")
    (shown,) = notebook.outputs(STEPWISE)
    assert set(shown["data"]) == {"text/html", "text/plain"}
    assert "".join(shown["data"]["text/plain"]).startswith("## Two parts")
    assert notebook.result(WIDGETS) == "0"


def test_saved_reply_is_shown_without_a_kernel(lab, page, folder, pictures):
    notebook, url = lab
    notebook.run(RISKIEST)
    notebook.save()
    saved = json.loads((folder / "test.ipynb").read_text())
    (output,) = saved["cells"][RISKIEST]["outputs"]
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert output["metadata"]["capsule"]["complete"] is True
    assert "widgets" not in saved["metadata"]

    saved["metadata"] = {}
    (folder / "reopened.ipynb").write_text(json.dumps(saved))
    page.goto(f"{url}/lab/tree/reopened.ipynb?reset")
    page.get_by_text("Select Kernel", exact=True).wait_for()
    reply = notebook.cell(RISKIEST).get_by_text("five riskiest")
    reply.wait_for(state="attached")
    page.get_by_role("dialog").get_by_role("button", name="No Kernel").click()
    reply.scroll_into_view_if_needed()
    page.screenshot(path=pictures / "reopened.png")
    page.goto(f"{url}/lab/tree/test.ipynb?reset")
    notebook.wait_idle()
    notebook.cell(RISKIEST).get_by_text("five riskiest").wait_for()


def wait_until_stopped(notebook, index):
    """Wait until a cell's reply is stopped, check the cells after it, and return its text."""
    notebook.cell(index).locator(".capsule-footer").wait_for(timeout=5_000)
    notebook.wait_ran()
    (shown, error) = notebook.outputs(index)
    assert "stopped" in "".join(shown["data"]["text/html"])
    assert error["output_type"] == "error" and len(error["traceback"]) == 1
    assert notebook.outputs(AFTER) == []
    assert notebook.result(WIDGETS) == "0"
    return "".join(shown["data"]["text/plain"])


@pytest.mark.parametrize("clicks", [1, 2])
def test_stop_button_stops_reply_and_queued_cells(notebook, clicks):
    notebook.run(ENDLESS, wait=False)
    notebook.run(AFTER, wait=False)
    notebook.cell(ENDLESS).get_by_text("more more").first.wait_for()
    notebook.cell(ENDLESS).get_by_role("button", name="Stop").click(click_count=clicks)
    assert "more more" in wait_until_stopped(notebook, ENDLESS)


def test_stop_button_works_by_keyboard_and_before_the_first_text(notebook, page):
    notebook.run(SILENT, wait=False)
    notebook.run(AFTER, wait=False)
    notebook.cell(SILENT).get_by_text("Thinking…").wait_for()
    notebook.cell(SILENT).get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    assert wait_until_stopped(notebook, SILENT) == ""


def test_interrupt_stops_reply_and_queued_cells(notebook):
    notebook.run(ENDLESS, wait=False)
    notebook.run(AFTER, wait=False)
    notebook.cell(ENDLESS).get_by_text("more more").first.wait_for()
    notebook.interrupt()
    assert "more more" in wait_until_stopped(notebook, ENDLESS)


def test_next_cell_runs_after_a_stop(notebook):
    notebook.run(AFTER)
    assert notebook.outputs(AFTER)[0]["text"] == "ran after the stop\n"


def test_quickstart_runs_cell_by_cell(page, root, tmp_path, pictures):
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
