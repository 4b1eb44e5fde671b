"""Driving JupyterLab in a headless Chromium."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright
from servers import wait_until_open

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync""".split()
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_IDLE = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    return panel?.sessionContext?.session?.kernel?.status === "idle";
}"""


@contextlib.contextmanager
def jupyterlab(folder: Path, **environ: str):
    """Run JupyterLab on a folder and yield its address."""
    settings = folder / ".jupyter"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"),
        *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", "--allow-root"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.news_url="),
        f"--ServerApp.root_dir={folder}",
    ]
    news = settings / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    places = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
    )
    server = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {name: str(settings / name.lower()) for name in places} | environ,
    )
    try:
        url = next(filter(None, map(_ADDRESS.search, server.stderr)))[0]
        # The rest of its log must be read, or it blocks when the pipe is full.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        # The address is logged a moment before it is served.
        wait_until_open(url.removeprefix("http://"))
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextlib.contextmanager
def browser_page(**options):
    """Open a page in a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser.new_page(viewport={"width": 1100, "height": 900}, **options)
        finally:
            browser.close()


def write_notebook(path: Path, cells: list[str]) -> None:
    """Write a notebook with these code cells."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=kernel), path)


class Notebook:
    """A notebook open in JupyterLab."""

    def __init__(self, page: Page, url: str, name: str) -> None:
        self.page = page
        page.goto(f"{url}/lab/tree/{name}?reset")
        self.wait_idle()

    def run(self, index: int, *, wait: bool = True) -> None:
        """Run a cell and, by default, wait until it has run."""
        self.page.evaluate(
            """index => {
                const panel = window.jupyterapp.shell.currentWidget;
                panel.content.activeCellIndex = index;
                window.ran = window.jupyterapp.commands.execute("notebook:run-cell");
                return null;
            }""",
            index,
        )
        if wait:
            self.wait_ran()

    def run_from(self, index: int) -> None:
        """Run a cell and all cells below it, without waiting for them."""
        self.page.evaluate(
            """index => {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
                window.ran = window.jupyterapp.commands.execute("notebook:run-all-below");
                return null;
            }""",
            index,
        )

    def interrupt(self) -> None:
        """Interrupt the kernel."""
        self.page.evaluate(
            "() => window.jupyterapp.commands.execute('notebook:interrupt-kernel').then(() => null)"
        )

    def wait_ran(self) -> None:
        """Wait until the last cells that were run have finished or were cancelled."""
        self.page.evaluate("() => window.ran.then(() => null)")

    def wait_idle(self) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(_IDLE, timeout=60_000)

    def outputs(self, index: int) -> list[dict]:
        """Return a cell's outputs as they would be saved."""
        return self.page.evaluate(
            """index => window.jupyterapp.shell.currentWidget.content.widgets[index]
                .model.toJSON().outputs""",
            index,
        )

    def result(self, index: int) -> str:
        """Run a cell and return its value as text."""
        self.run(index)
        return "".join(self.outputs(index)[-1]["data"]["text/plain"])

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme."""
        self.page.evaluate(
            """name => void window.jupyterapp.commands
                .execute("apputils:change-theme", {theme: name})""",
            name,
        )
        light = "true" if "Light" in name else "false"
        self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")

    def cell(self, index: int):
        """Return the locator of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.context.save().then(() => null)"
        )
