"""``%capsule login`` in JupyterLab, in a real browser."""

import re

import pytest
from environments import CI
from lab import CHROMIUM, Notebook, jupyterlab, write_notebook

from cpsl_notebook import local

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)

OLD = "[default]\ntoken = old-token\n"
CELLS = [
    "%load_ext cpsl_notebook",
    "%capsule login",
    "print('ran after the login')",
    "import cpsl; print([app['name'] for app in cpsl.Client().list_apps()])",
]
LOGIN, AFTER, APPS = 1, 2, 3


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    with local.start(tmp_path_factory.mktemp("office") / "data", pace=0) as started:
        yield started


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.ini"
    file.write_text(OLD)
    file.chmod(0o600)
    return file


@pytest.fixture
def notebook(page, workspace, config, tmp_path):
    """A notebook with the extension, whose kernel can log in to a workspace."""
    write_notebook(tmp_path / "test.ipynb", CELLS)
    address = {"CAPSULE_GATEWAY_URL": workspace.grpc_address, "CONFIG_PATH": str(config)}
    with jupyterlab(tmp_path, CAPSULE_HOME=str(tmp_path / "home"), **address) as url:
        opened = Notebook(page, url, "test.ipynb")
        opened.run(0)
        yield opened


def seconds_left(cell):
    return int(re.search(r"Waiting for confirmation, (\d+) s left", cell.inner_text())[1])


def test_link_and_button_log_in(notebook, page, workspace, config, tmp_path):
    notebook.run(LOGIN, wait=False)
    cell = notebook.cell(LOGIN)
    with page.context.expect_page() as opened:
        cell.get_by_role("link", name="this link").click()
    confirm = opened.value
    confirm.get_by_role("textbox").fill((workspace.folder / "login-secret").read_text())
    confirm.get_by_role("button").click()
    confirm.get_by_text("You are logged in").wait_for()
    confirm.close()

    cell.get_by_text(f"Logged in. The token is stored in {config}.").wait_for()
    notebook.wait_ran()
    link, status = notebook.outputs(LOGIN)
    for shown in (link, status):
        assert set(shown["data"]) == {"text/html", "text/plain"}
    assert f"token = {workspace.token}\n" in config.read_text()
    notebook.save()
    assert workspace.token not in (tmp_path / "test.ipynb").read_text()
    notebook.run(APPS)
    assert "support-ops" in notebook.outputs(APPS)[0]["text"]


def test_login_counts_down_and_can_be_interrupted(notebook, page, config):
    notebook.run(LOGIN, wait=False)
    notebook.run(AFTER, wait=False)
    cell = notebook.cell(LOGIN)
    cell.get_by_text("s left").wait_for()
    link = cell.get_by_role("link", name="this link").element_handle()
    first = seconds_left(cell)
    page.wait_for_function(
        "([cell, first]) => !cell.innerText.includes(`${first} s left`)",
        arg=[cell.element_handle(), first],
    )
    assert seconds_left(cell) < first
    assert link.evaluate("link => link.isConnected"), "a click during an update would be lost"

    notebook.interrupt()
    cell.get_by_text("Earlier credentials are unchanged").wait_for()
    notebook.wait_ran()
    _, status, error = notebook.outputs(LOGIN)
    assert "Stopped." in "".join(status["data"]["text/plain"])
    assert error["output_type"] == "error" and len(error["traceback"]) == 1
    assert notebook.outputs(AFTER) == []
    assert config.read_text() == OLD
