"""A hostile app in a real browser: nothing that it sends runs, and nothing is fetched."""

import json
import subprocess
import sys

import pytest
from environments import CI
from lab import CHROMIUM, Notebook, browser_page, jupyterlab, write_notebook

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)

DEFINE = """\
import pathlib, sys, time
sys.path.insert(0, {tests!r})
from attacks import ATTACKS, KINDS, RAN, hostile_block
from cpsl_notebook import Conversation, local

def hostile(session, text):
    yield "Begun.\\n\\n"
    for attack in ATTACKS:
        yield f"{{attack}}\\n\\n> {{attack}}\\n\\n- {{attack}}\\n\\n**{{attack}}**\\n\\n"
    for kind in KINDS:
        for attack in ATTACKS:
            yield hostile_block(attack, kind)
            if kind == "notification":
                time.sleep(0.12)  # each of them is shown as the status
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
        Conversation.current(f"failing-{number}", name=attack).ask(attack)
    except Exception as caught:
        error = caught
raise error"""
UNSAFE = (
    "from IPython.display import HTML\nHTML('<img src=\"https://evil.example/\" onerror=canary()>')"
)
LOAD = "%load_ext cpsl_notebook\n%capsule local\n%config CapsuleMagics.math = True"
CELLS = [LOAD, DEFINE, "%%capsule hostile\nx", FAIL]
CELLS += ["print('in the kernel:', RAN)", UNSAFE]
HOSTILE, FAILING, KERNEL, UNSAFE_CELL = 2, 3, 4, 5


class Watch:
    """Records what ran in a page and what it fetched.

    A page has no ``canary``, so a call of it is an error of the page.
    """

    def __init__(self, page) -> None:
        self.page = page
        self.ran = []
        self.fetched = []
        page.on("pageerror", lambda error: self.ran.append(str(error)))
        page.context.route(lambda url: "evil.example" in url or "ok.example" in url, self._record)

    def _record(self, route, request) -> None:
        self.fetched.append(request.url)
        route.abort()

    def assert_nothing_happened(self) -> None:
        """Trigger event handlers, and check that nothing ran and nothing was fetched."""
        for element in self.page.locator(".capsule-reply a").all()[:40]:
            element.dispatch_event("mouseover")
            element.dispatch_event("focus")
        self.page.evaluate("() => new Promise(requestAnimationFrame)")
        assert not [error for error in self.ran if "canary" in error]
        assert self.fetched == []
        assert len(self.page.frames) == 1


@pytest.fixture
def watched():
    with browser_page() as page:
        yield Watch(page)


def assert_attacks_are_noticed(notebook, watched) -> None:
    """Check that unsafe output is noticed, and remove it again."""
    with notebook.page.expect_event("pageerror", lambda error: "canary" in str(error)):
        notebook.run(UNSAFE_CELL)
    assert "https://evil.example/" in watched.fetched
    notebook.page.evaluate(
        "() => window.jupyterapp.commands.execute('notebook:delete-cell').then(() => null)"
    )
    watched.ran.clear()
    watched.fetched.clear()


def test_attacks_do_not_run_or_fetch(watched, root, tmp_path):
    page = watched.page
    filled = [
        cell.format(tests=str(root / "tests" / "support")) if cell is DEFINE else cell
        for cell in CELLS
    ]
    write_notebook(tmp_path / "bad.ipynb", filled)
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home")) as url:
        notebook = Notebook(page, url, "bad.ipynb")
        notebook.run(0)
        notebook.run(1)
        assert_attacks_are_noticed(notebook, watched)
        notebook.run(HOSTILE, wait=False)
        panel = notebook.cell(HOSTILE)
        panel.get_by_text("All sent.").wait_for(state="attached", timeout=120_000)
        watched.assert_nothing_happened()  # in the live panel

        (tmp_path / "go").touch()
        panel.locator(".capsule-footer").wait_for()
        notebook.wait_ran()
        notebook.run(FAILING)
        assert notebook.cell(FAILING).locator(".capsule-reply").count() > 30
        page.screenshot(path=root / "build" / "screenshots" / "attacks.png")
        watched.assert_nothing_happened()  # in the final output, and in errors
        notebook.run(KERNEL)
        assert notebook.outputs(KERNEL)[0]["text"] == "in the kernel: []\n"

        notebook.save()
        page.goto(f"{url}/lab/tree/bad.ipynb?reset")
        notebook.wait_idle()
        notebook.cell(HOSTILE).get_by_text("Ended.").wait_for(state="attached")
        watched.assert_nothing_happened()  # after reopening, trusted

        saved = json.loads((tmp_path / "bad.ipynb").read_text())
        saved["cells"][1]["source"] = "# changed"
        (tmp_path / "given.ipynb").write_text(json.dumps(saved))
        page.goto(f"{url}/lab/tree/given.ipynb?reset")
        notebook.wait_idle()
        notebook.cell(HOSTILE).get_by_text("Ended.").wait_for(state="attached")
        watched.assert_nothing_happened()  # in a notebook that is not trusted

    command = [sys.executable, "-m", "nbconvert", "--to", "html", "bad.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page.goto((tmp_path / "bad.html").as_uri())
    page.get_by_text("Ended.").first.wait_for(state="attached")
    watched.assert_nothing_happened()  # in nbconvert's page
