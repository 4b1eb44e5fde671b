"""A marimo app with two visitors at once, who are threads of one process."""

import json
import os
import re
import subprocess
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import websocket
from environments import CI, NotInstalledError, environment
from servers import wait_until_open

APP = """
import marimo

app = marimo.App()

@app.cell
def _():
    from cpsl_notebook import Conversation, UserError, ask
    return Conversation, UserError, ask

@app.cell
def _(Conversation):
    conversation = Conversation("memory")
    for number in ("one", "two"):
        conversation.ask(number)
    return (conversation,)

@app.cell
def _(ask, conversation):
    ask(f"alone after {conversation.turns}", app="memory")

@app.cell
def _(Conversation, UserError):
    try:
        Conversation.current("memory")
    except UserError as error:
        problem = str(error)
    problem
"""
VISITORS = ("s_anna", "s_bert")


@pytest.fixture(scope="module")
def python():
    """An environment with marimo and our packages."""
    try:
        return environment("marimo", "marimo==0.25.2", "./cpsl", ".", ours=("./cpsl", "."))
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))


@pytest.fixture
def server(python, workspace, tmp_path):
    """The address of the running app, without a scheme."""
    (tmp_path / "app.py").write_text(APP)
    command = [python, "-m", "marimo", "run", "--headless", "--no-token", "--port", "0", "app.py"]
    environ = os.environ | workspace.environ | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            found = (re.search(r"http://([\w.]+:\d+)", line) for line in process.stdout)
            address = next(match[1] for match in found if match)
            wait_until_open(address)  # marimo prints the address before it listens
            yield address
        finally:
            process.terminate()


def visit(server, visitor):
    """Open the app; yield its messages about cells until it has run."""
    connection = websocket.create_connection(f"ws://{server}/ws?session_id={visitor}", timeout=60)
    try:
        while (message := json.loads(connection.recv()))["op"] != "completed-run":
            if message["op"] == "cell-op":
                yield message["data"]
    finally:
        connection.close()


def text(output):
    """Return the visible text of an output."""
    data = output["data"]
    page = data["text/html"] if isinstance(data, dict) else data
    return re.sub("<style.*?</style>|<[^>]+>", " ", page, flags=re.S)


def test_visitors_share_no_conversation_and_see_each_reply_once(server, workspace):
    both_wait, seen = threading.Barrier(2), {visitor: threading.Event() for visitor in VISITORS}

    @workspace.app("memory")
    def memory(session, text):
        prompts = [*(turn.prompt for turn in session.history), text]
        yield f"begun {text}, "
        if text == "one":
            both_wait.wait(60)
            assert all(event.wait(60) for event in seen.values())  # the text so far is shown
        yield f"prompts: {', '.join(prompts)}."

    def outputs(visitor):
        shown, console = {}, []
        for cell in visit(server, visitor):
            console += cell.get("console") or []
            if cell.get("output"):
                shown[cell["cell_id"]] = text(cell["output"])
                if "begun one" in shown[cell["cell_id"]]:
                    seen[visitor].set()
        return [*filter(str.strip, shown.values())], console

    assert urllib.request.urlopen(f"http://{server}/").status == 200
    with ThreadPoolExecutor(2) as pool:
        for shown, console in pool.map(outputs, VISITORS):
            conversation, alone, problem = shown
            prompts = re.findall(r"begun \w+, prompts: ([\w, ]+)\.", conversation)
            assert prompts == ["one", "one, two"]
            assert re.findall(r"prompts: ([\w, ]+)\.", alone) == ["alone after 2"]
            assert "This is not a Jupyter notebook, so it has no conversation." in problem
            assert console == []
