"""What a hostile app sends, in a real browser: nothing of it runs, and nothing is fetched."""

import json
import subprocess
import sys

import nbformat
import pytest
from environments import CI
from lab import CHROMIUM, Notebook, browser_page, jupyterlab

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="no chromium: install Debian's package to test in a browser"
)

DEFINE = """\
import pathlib, sys, time
sys.path.insert(0, {tests!r})
from attacks import ATTACKS, KINDS, RAN, hostile_block
from cpsl_notebook import local, ask

def hostile(session, text):
    yield "Begun.\\n\\n"
    for attack in ATTACKS:
        yield f"{{attack}}\\n\\n> {{attack}}\\n\\n- {{attack}}\\n\\n**{{attack}}**\\n\\n"
    for kind in KINDS:
        for attack in ATTACKS:
            yield hostile_block(attack, kind)
            if kind == "notification":
                time.sleep(0.12)  # each is the status for a moment
    for attack in ATTACKS:
        yield {{"id": attack, "type": attack, "payload": {{"label": attack}}}}
    yield "All sent."
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    yield "\\n\\nEnded."

local.running().app("hostile")(hostile)
for number, attack in enumerate(ATTACKS):
    def failing(session, text, attack=attack):
        yield attack
        raise ValueError(attack)
    local.running().app(f"failing-{{number}}")(failing)
"""
FAIL = """\
for number, attack in enumerate(ATTACKS):
    try:
        ask(attack, f"failing-{number}", session=attack)
    except Exception as caught:
        error = caught
raise error"""
SING = (
    "from IPython.display import HTML\nHTML('<img src=\"https://evil.example/\" onerror=canary()>')"
)
CELLS = ["%load_ext cpsl_notebook\n%capsule local", DEFINE, "%%capsule hostile\nx", FAIL]
CELLS += ["print('in the kernel:', RAN)", SING]
HOSTILE, FAILING, KERNEL, SINGING = 2, 3, 4, 5


class Watch:
    """Notes what ran in a page, which has no ``canary`` to call, and what it asked evil for."""

    def __init__(self, page) -> None:
        self.page = page
        self.ran = []
        self.fetched = []
        page.on("pageerror", lambda error: self.ran.append(str(error)))
        page.context.route(lambda url: "evil.example" in url or "ok.example" in url, self._note)

    def _note(self, route, request) -> None:
        self.fetched.append(request.url)
        route.abort()

    def saw_nothing(self) -> bool:
        """Touch what might react, and say whether nothing ran and nothing was fetched."""
        for element in self.page.locator(".capsule-reply a").all()[:40]:
            element.dispatch_event("mouseover")
            element.dispatch_event("focus")
        self.page.evaluate("() => new Promise(requestAnimationFrame)")
        assert not [said for said in self.ran if "canary" in said]
        assert self.fetched == []
        assert len(self.page.frames) == 1
        return True


@pytest.fixture
def watched():
    with browser_page() as page:
        yield Watch(page)


def sings(notebook, watched) -> None:
    """Say that what is let through is noticed, and take it away again."""
    with notebook.page.expect_event("pageerror", lambda error: "canary" in str(error)):
        notebook.run(SINGING)
    assert "https://evil.example/" in watched.fetched
    notebook.page.evaluate(
        "() => window.jupyterapp.commands.execute('notebook:delete-cell').then(() => null)"
    )
    watched.ran.clear()
    watched.fetched.clear()


def test_nothing_that_an_app_sends_runs_or_is_fetched(watched, root, tmp_path):
    page = watched.page
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    filled = [cell.format(tests=str(root / "tests")) if cell is DEFINE else cell for cell in CELLS]
    cells = [nbformat.v4.new_code_cell(cell) for cell in filled]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "bad.ipynb")
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home")) as url:
        notebook = Notebook(page, url, "bad.ipynb")
        notebook.run(0)
        notebook.run(1)
        sings(notebook, watched)
        notebook.run(HOSTILE, wait=False)
        panel = notebook.cell(HOSTILE)
        panel.get_by_text("All sent.").wait_for(state="attached", timeout=120_000)
        assert watched.saw_nothing()  # in the live panel

        (tmp_path / "go").touch()
        panel.locator(".capsule-footer").wait_for()
        notebook.wait_ran()
        notebook.run(FAILING)
        assert notebook.cell(FAILING).locator(".capsule-reply").count() > 30
        page.screenshot(path=root / "build" / "screenshots" / "attacks.png")
        assert watched.saw_nothing()  # in the final output, and in errors
        notebook.run(KERNEL)
        assert notebook.outputs(KERNEL)[0]["text"] == "in the kernel: []\n"

        notebook.save()
        page.goto(f"{url}/lab/tree/bad.ipynb?reset")
        notebook.wait_idle()
        notebook.cell(HOSTILE).get_by_text("Ended.").wait_for(state="attached")
        assert watched.saw_nothing()  # opened again, trusted

        saved = json.loads((tmp_path / "bad.ipynb").read_text())
        saved["cells"][1]["source"] = "# somebody else's"
        (tmp_path / "given.ipynb").write_text(json.dumps(saved))
        page.goto(f"{url}/lab/tree/given.ipynb?reset")
        notebook.wait_idle()
        notebook.cell(HOSTILE).get_by_text("Ended.").wait_for(state="attached")
        assert watched.saw_nothing()  # in another's notebook, not trusted

    command = [sys.executable, "-m", "nbconvert", "--to", "html", "bad.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page.goto((tmp_path / "bad.html").as_uri())
    page.get_by_text("Ended.").first.wait_for(state="attached")
    assert watched.saw_nothing()  # in nbconvert's page
