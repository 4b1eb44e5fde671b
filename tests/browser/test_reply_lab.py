"""A long reply in a real JupyterLab: order, scrolling, the place of Stop, narrow windows."""

import itertools

import pytest
from environments import CI
from lab import CHROMIUM, Notebook, jupyterlab, write_notebook

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)

DEFINE = """\
import pathlib, time
from cpsl_notebook import local

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.05)

def section(number):
    yield f"## Section {number}\\n\\n" + "Some **bold** words and `code`. " * (number % 7 * 5 + 3)
    yield f"\\n\\n- one\\n- two of {number}\\n\\n" * (number % 3)
    yield f"\\n\\n```python\\nx = {number}\\n\\ny = 2\\n```\\n\\n" * (number % 2)

@local.running().app("sections")
def sections(session, text):
    for number in range(60):
        yield from section(number)
        if number % 20 == 10:
            yield {"type": "activity", "payload": {"label": f"Looked up {number}"}}
    yield "\\n\\nAll sent."
    wait_for("go")

@local.running().app("lines")
def lines(session, text):
    row, code = "| billing | 33 | waiting |\\n", "    total = sum(open)  # days\\n"
    for head, line in (("| queue | open | state |\\n|---|---|:-:|\\n", row), ("\\n```python\\n", code)):
        yield head
        for _ in range(5):
            yield line * 100
            time.sleep(0.8)
    yield "```\\n\\nAll sent."
    wait_for("go")

@local.running().app("ordered")
def ordered(session, text):
    yield {"type": "notification", "payload": {"text": "Reading a very long name of an archive…"}}
    yield "First text.\\nIts second line.\\n\\n- [x] done\\n- [ ] open\\n\\n"
    yield "A formula: \\\\( x_1 + y_1 \\\\), $5 and $6."
    table = {"rows": [["billing", 33], ["mobile", 15]], "columns": ["queue", "open"]}
    yield {"type": "table_preview", "payload": {"title": "First block", "table": table}}
    yield "Second text.\\n\\n```python\\ndef " + "a_very_long_name" * 12
    yield "():  # a comment\\n    pass\\n```\\n\\n"
    yield {"type": "image", "payload": {"url": "https://pictures.example/cat.png", "alt": "a cat"}}
    found = {"links": [{"label": "the thread", "url": "https://a.example/1"}]}
    found["fields"] = [{"label": "queue", "value": "billing"}]
    yield {"type": "activity", "payload": {"label": "Looked it up", **found}}
    yield {"type": "approval_prompt", "payload": {"title": "Send the refund?"}}
    items = [{"label": "Urgent ones", "value": "Which are urgent?"}]
    items.append({"label": "Why?", "value": "Why?"})
    yield {"type": "suggestions", "payload": {"suggestions": items}}
    yield "Third text, which is the last."
    wait_for("go")"""
CELLS = [
    "%load_ext cpsl_notebook\n%capsule local",
    DEFINE,
    "%%capsule ordered\nx",
    "%%capsule sections\nx",
    "%%capsule lines\nx",
    "%config CapsuleMagics.math = True",
    "print('the end')",
]
ORDERED, SECTIONS, GROWING, MATH = 2, 3, 4, 5
IN_ORDER = ["First text.", "First block", "Second text.", "a cat", "Looked it up", "Third text"]
# The distance that the text under the middle of the notebook moves in a turn of the wheel.
MARK = """() => {
    const box = document.querySelector(".jp-WindowedPanel-outer").getBoundingClientRect();
    window.marked = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    return window.marked.getBoundingClientRect().top;
}"""
SETTLED = """async () => {
    const outer = document.querySelector(".jp-WindowedPanel-outer");
    for (let same = 0, before = -1; same < 10; before = outer.scrollTop) {
        await new Promise(requestAnimationFrame);
        same = outer.scrollTop === before ? same + 1 : 0;
    }
    return window.marked ? window.marked.getBoundingClientRect().top : null;
}"""
TURN = 200  # pixels


@pytest.fixture(scope="module")
def notebook(page, folder):
    write_notebook(folder / "test.ipynb", CELLS)
    with jupyterlab(folder, CAPSULE_HOME=str(folder / "home")) as url:
        opened = Notebook(page, url, "test.ipynb")
        page.evaluate(
            "() => void window.jupyterapp.commands.execute('application:toggle-left-area')"
        )
        opened.run(0)
        opened.run(1)
        yield opened


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("width", [700, 1400])
def test_parts_are_in_order_with_stop_below_them(notebook, page, folder, pictures, theme, width):
    (folder / "go").unlink(missing_ok=True)
    page.set_viewport_size({"width": width, "height": 1100})
    notebook.theme(theme)
    notebook.run(ORDERED, wait=False)
    cell = notebook.cell(ORDERED)
    last = cell.get_by_text("Third text")
    last.wait_for()
    stop = cell.get_by_role("button", name="Stop")
    status = cell.get_by_text("ordered is replying")
    stop.scroll_into_view_if_needed()
    boxes = [cell.get_by_text(text).first.bounding_box() for text in IN_ORDER]
    tops = [box["y"] for box in [*boxes, stop.bounding_box()]]
    assert tops == sorted(tops)
    assert stop.bounding_box()["width"] >= 50 and status.is_visible()
    assert stop.evaluate("button => button.scrollWidth <= button.clientWidth + 1")
    assert_fits(cell)
    page.screenshot(path=pictures / f"parts-streaming-{theme}-{width}.png")
    (folder / "go").touch()
    cell.locator(".capsule-footer").wait_for()
    notebook.wait_ran()
    tops = [cell.get_by_text(text).first.bounding_box()["y"] for text in IN_ORDER]
    assert tops == sorted(tops)
    assert_fits(cell)
    assert cell.locator("mjx-container").count() == 0
    cell.locator(".capsule-footer").scroll_into_view_if_needed()
    page.screenshot(path=pictures / f"parts-done-{theme}-{width}.png")


def assert_fits(cell):
    """Check that text is wrapped and code scrolls, so that nothing is cut off."""
    outputs = cell.locator(".jp-Cell-outputWrapper").bounding_box()
    for reply in cell.locator(".capsule-reply").all():
        box = reply.bounding_box()
        assert box is None or box["x"] + box["width"] <= outputs["x"] + outputs["width"]
    code = cell.locator("pre").first
    assert code.evaluate("pre => pre.scrollWidth > pre.clientWidth && pre.clientHeight < 80")


def wheel(page, notebook, turns, distance):
    """Turn the wheel, and return how far the text moved in each turn."""
    moved = []
    for _ in range(turns):
        before = page.evaluate(MARK)
        page.mouse.wheel(0, distance)
        moved.append(page.evaluate(SETTLED) - before)
    return moved


def test_long_reply_scrolls_evenly_and_stays_in_place(notebook, page, folder):
    (folder / "go").unlink(missing_ok=True)
    page.set_viewport_size({"width": 1100, "height": 900})
    notebook.run(SECTIONS, wait=False)
    cell = notebook.cell(SECTIONS)
    cell.get_by_text("All sent.").wait_for(state="attached")
    heading = cell.get_by_role("heading", name="Section 30", exact=True)
    heading.evaluate("heading => heading.scrollIntoView({block: 'center'})")
    page.evaluate(SETTLED)
    before = heading.bounding_box()["y"]
    (folder / "go").touch()
    cell.locator(".capsule-footer").wait_for(state="attached")
    notebook.wait_ran()
    page.evaluate(SETTLED)
    assert abs(heading.bounding_box()["y"] - before) < 30  # less than two lines

    cell.locator(".capsule-footer").evaluate("footer => footer.scrollIntoView({block: 'end'})")
    page.evaluate(SETTLED)
    box = page.locator(".jp-WindowedPanel-outer").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for distance in (-TURN, TURN):
        for moved in wheel(page, notebook, 20, distance):
            assert abs(moved + distance) <= TURN / 10


# The top and height of each element, and how it aligns its text.
BOXES = """elements => elements.map(element => {
    const {top, height} = element.getBoundingClientRect();
    return [top, height, getComputedStyle(element).textAlign];
})"""


def test_parts_of_a_growing_fence_or_table_join_without_a_gap(notebook, page, folder, pictures):
    (folder / "go").unlink(missing_ok=True)
    page.set_viewport_size({"width": 1100, "height": 900})
    notebook.run(GROWING, wait=False)
    cell = notebook.cell(GROWING)
    cell.get_by_text("All sent.").wait_for(state="attached")
    for name in ("table", "pre"):
        parts = cell.locator(name).evaluate_all(BOXES)
        assert len(parts) > 2
        for (top, height, _), (below, *_) in itertools.pairwise(parts):
            assert abs(top + height - below) <= 1
    end, _, _ = cell.get_by_text("All sent.").evaluate_all(BOXES)[0]
    stop, _, _ = cell.get_by_role("button", name="Stop").evaluate_all(BOXES)[0]
    assert 0 < stop - end < 60
    row = "tr:nth-child(2) td"
    for part in cell.locator("table").all():
        cells = part.locator(row).evaluate_all(BOXES)
        assert [alignment for *_, alignment in cells] == ["start", "right", "center"]
    cell.locator("pre").first.scroll_into_view_if_needed()
    page.screenshot(path=pictures / "lines-streaming.png")
    (folder / "go").touch()
    cell.locator(".capsule-footer").wait_for(state="attached")
    notebook.wait_ran()
    cells = cell.locator(row).evaluate_all(BOXES)
    assert [alignment for *_, alignment in cells] == ["start", "right", "center"]
    cell.locator("pre").first.scroll_into_view_if_needed()
    page.screenshot(path=pictures / "lines-done.png")


def test_formulas_are_typeset_when_wanted(notebook, page, folder, pictures):
    (folder / "go").touch()
    notebook.run(MATH)
    notebook.run(ORDERED)
    cell = notebook.cell(ORDERED)
    cell.locator("mjx-container").first.wait_for()
    assert cell.locator("mjx-container").count() == 1
    assert cell.get_by_text("$5 and $6").count() == 1
    cell.locator("mjx-container").scroll_into_view_if_needed()
    page.screenshot(path=pictures / "math.png")
