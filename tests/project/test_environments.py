"""Our packages and the official SDK, installed in separate environments in every combination.

Programs run outside the repository, where ``cpsl/`` would hide an installed ``cpsl``.
"""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
import requests
import stored_notebooks
from environments import CI, ROOT, SDK, NotInstalledError, environment, find_python
from fast_gateway import APP, BROKEN, CRASHED, LIMITED, REFUSED, FastGateway
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def environment_or_skip(name, *packages, ours=(), python=None):
    """Create an environment; skip the test if that fails, except in CI."""
    try:
        return environment(name, *packages, ours=ours, python=python)
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))


def run(python, code, tmp_path, **environ):
    """Run a program outside the repository; return what it printed."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)} | environ
    ran = subprocess.run(
        [str(python), "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="session")
def sdk():
    """An environment with only the official SDK."""
    return environment_or_skip("sdk", SDK)


@pytest.fixture(scope="session")
def sdk_and_extension():
    """An environment with the official SDK and the extension, without cpsl-client."""
    return environment_or_skip("sdk-and-extension", SDK, "ipykernel", ".", ours=(".",))


PROGRAM = """
import importlib.metadata, cpsl
assert importlib.metadata.version("cpsl") == "0.3.181"
client = cpsl.Client()
apps = client.list_apps()
print(sorted(app["name"] for app in apps))
print(client.get_app("support-ops")["price_in_cents"])
first = client.chat("support-ops", "How many threads are waiting for review right now?")
second = client.chat("support-ops", "Turn that into a two-step triage plan.",
                     session_id=first.session_id)
assert first.session_id == second.session_id
assert first.request_id.startswith("req_")
print(first.text.partition(",")[0])
print(second.text.splitlines()[0])
chunks = list(client.stream("support-ops", "Summarize the riskiest support threads.",
                            session_id=first.session_id))
print("".join(chunk.text for chunk in chunks).splitlines()[0])
print(chunks[-1].done, len(chunks) > 50)
print(client.create_checkout("deal-desk").rpartition(":")[0])
payments = client.list_payments("support-ops")
print(sum(p["net_cents"] for p in payments) == client.get_earnings("support-ops")["net_cents"])
for wrong in (lambda: client.create_checkout("diet-coach"), lambda: client.chat("nope", "x")):
    try:
        wrong()
    except (RuntimeError, ValueError) as error:
        print(type(error).__name__)
"""


PRINTED = [
    "['deal-desk', 'diet-coach', 'support-ops']",
    "1500",
    "**85 threads** are waiting for review",
    "**Two-step triage plan** for the 85 threads waiting for review:",
    "The **five riskiest** of 203 open threads:",
    "True True",
    "http://127.0.0.1",
    "True",
]


def test_official_sdk_works_with_the_local_workspace(sdk, workspace, tmp_path):
    printed = run(sdk, PROGRAM, tmp_path, **workspace.environ).splitlines()
    assert printed == [*PRINTED, "RuntimeError", "ValueError"]


def test_our_client_runs_the_same_program(workspace, tmp_path):
    program = PROGRAM.replace('assert importlib.metadata.version("cpsl") == "0.3.181"', "")
    printed = run(sys.executable, program, tmp_path, **workspace.environ).splitlines()
    assert printed == [*PRINTED, "InvalidRequestError", "AppNotFoundError"]


EXTENSION = """
import importlib.metadata
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()

def cell(text):
    shell.run_cell(text).raise_error()

cell("%load_ext cpsl_notebook")
CONNECT
cell("%%capsule support-ops\\nHow many threads are waiting for review right now?")
cell("%%capsule -o plan\\nTurn that into a two-step triage plan.")
assert "85 threads waiting" in shell.user_ns["plan"].text and shell.user_ns["plan"].turn == 2
cell("%%capsule --no-stream -o whole --new\\nSummarize the riskiest support threads.")
assert [b["type"] for b in shell.user_ns["whole"].blocks] == ["notification", "table_preview"]
cell("p = %capsule payments support-ops")
cell("e = %capsule earnings support-ops")
cell("every = %capsule payments")
cell("sums = %capsule earnings")
assert set(shell.user_ns["every"]["app"]) == {"deal-desk", "support-ops"}
assert list(shell.user_ns["sums"]["app"]) == ["deal-desk", "diet-coach", "support-ops"]
cell("a = %capsule apps")
assert shell.user_ns["p"]["net_cents"].sum() == shell.user_ns["e"]["net_cents"][0]
assert set(shell.user_ns["a"]["name"]) == {"deal-desk", "diet-coach", "support-ops"}
cell("u = %capsule checkout deal-desk")
assert shell.user_ns["u"].startswith("http://127.0.0.1:")
error = shell.run_cell("%%capsule nope\\nx").error_in_exec
assert "nope" in error._render_traceback_()[0], error
error = shell.run_cell("%%capsule support-ops --timeout 5\\nx").error_in_exec
assert "cpsl-client" in str(error), error
import cpsl
assert not hasattr(cpsl, "CapsuleError")
print("done")
"""


@pytest.mark.parametrize("connected", ["by %capsule local", "by the environment"])
def test_extension_works_with_the_official_sdk(sdk_and_extension, workspace, tmp_path, connected):
    local = connected == "by %capsule local"
    connect = 'cell("%capsule local")' if local else ""
    environ = {} if local else workspace.environ
    printed = run(sdk_and_extension, EXTENSION.replace("CONNECT", connect), tmp_path, **environ)
    assert printed.endswith("done\n")


SWEEP = """
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import cpsl
from cpsl_notebook import UserError, sweep

if __name__ == "__main__":
    prompt, client = "How many threads are in {{ value }}?", cpsl.Client()
    options = {"app": "support-ops", "client": client, "progress": False}
    answers = sweep(["billing", "security"] * 4, prompt, store="answers.db", **options)
    again = sweep(["billing", "security"] * 4, prompt, store="answers.db", **options)
    assert again.equals(answers) and answers["reply"].str.contains("threads").all()
    print(*answers["status"], answers["session_id"].nunique())
    whole = sweep(["billing"], prompt, stream=False, **options)
    assert whole["reply"][0] == answers["reply"][0] and whole["request_id"][0]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for send_token in (False, True):
            there = sweep(["billing"], prompt, executor=pool, send_token=send_token, **options)
            print(there["status"][0], there["reply"][0] == answers["reply"][0])
    try:
        sweep(["billing"], prompt, timeout=5, **options)
    except UserError as error:
        print(error)
"""


def test_official_sdk_sends_sweeps(sdk_and_extension, workspace, tmp_path):
    main = tmp_path / "main.py"
    main.write_text(SWEEP)
    code = f"import runpy; runpy.run_path({str(main)!r}, run_name='__main__')"
    printed = run(sdk_and_extension, code, tmp_path, **workspace.environ).splitlines()
    assert printed[:3] == ["ok ok ok ok ok ok ok ok 8", "ok True", "ok True"]
    assert printed[3].startswith("The official SDK has no timeout setting.")


FAULTS = """
import cpsl
from cpsl_notebook import sweep
prompts = ["fine", "limited", "broken", "refused", "crashed"]
for stream in (True, False):
    answers = sweep(prompts, f"{{{{ value }}}} {stream}", APP, client=cpsl.Client(), stream=stream,
                    store="answers.db", progress=False)
    print(*answers["status"], *answers["attempts"])
    print("Half" in answers["reply"].dropna().tolist())
"""


def test_sweep_with_official_sdk_tells_what_failures_mean(sdk_and_extension, tmp_path):
    verdicts = {"broken": BROKEN, "refused": REFUSED, "crashed": CRASHED}
    limited = set()

    def rule(text, number):
        word = text.split()[0]
        if word == "limited" and text not in limited:
            limited.add(text)
            return LIMITED
        return verdicts.get(word, "fine")

    with FastGateway(rule) as gateway:
        code = FAULTS.replace("APP", repr(APP))
        printed = run(sdk_and_extension, code, tmp_path, **gateway.environ).splitlines()
    statuses = "ok ok unknown error error 1 2 1 1 1"
    assert printed == [statuses, "True", statuses, "False"]
    assert set(gateway.received.values()) == {1} and gateway.limited.total() == 2


LOAD = """
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance().run_cell("%load_ext cpsl_notebook")
"""


def test_loading_without_cpsl_prints_one_line(tmp_path):
    printed = run(environment_or_skip("extension-alone", ".", ours=(".",)), LOAD, tmp_path)
    assert printed.count("\n") == 1 and "The package cpsl is not installed" in printed


def test_loading_with_both_distributions_prints_one_line(sdk_and_extension, tmp_path):
    beside = tmp_path / "cpsl_client-0.1.0.dist-info"
    beside.mkdir()
    (beside / "METADATA").write_text("Metadata-Version: 2.1\nName: cpsl-client\nVersion: 0.1.0\n")
    printed = run(sdk_and_extension, LOAD, tmp_path)  # its path includes the current folder
    assert printed.count("\n") == 1 and "overwrite each other's files" in printed


REPO2DOCKER = "jupyter-repo2docker==2026.4.0"
READ = """
import json, os, sys
from repo2docker.app import Repo2Docker

app = Repo2Docker()
os.chdir(sys.argv[1])
packs = (kind(app.base_image) for kind in app.buildpacks)
pack = next(pack for pack in packs if pack.detect())
commands = [command.partition("/bin/")[2] for _, command in pack.get_assemble_scripts()]
print(json.dumps({
    "kind": type(pack).__name__,
    "folder": pack.binder_dir,
    "python": pack.python_version,
    "copies the repository before it installs": not pack.get_preassemble_scripts(),
    "installs": commands,
    "then runs": pack.get_post_build_scripts(),
    "starts with": pack.get_start_script(),
}))
"""


def test_repo2docker_reads_the_binder_folder(tmp_path):
    python = environment_or_skip("repo2docker", REPO2DOCKER)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = subprocess.run(
        [python, "-c", READ, ROOT], env=environ, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "kind": "PythonBuildPack",
        "folder": "binder",
        "python": PYTHON_OF_BINDER,
        "copies the repository before it installs": True,
        "installs": ['pip install --no-cache-dir -r "binder/requirements.txt"'],
        "then runs": ["binder/postBuild"],
        "starts with": "${REPO_DIR}/binder/start",
    }
    assert all(os.access(ROOT / "binder" / name, os.X_OK) for name in ("postBuild", "start"))


PYTHON_OF_BINDER = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")


@pytest.fixture(scope="module")
def binder():
    """An environment with exactly what Binder installs, after its build; returns its Python."""
    python = environment_or_skip(
        "binder",
        *("-r", "binder/requirements.txt"),
        ours=("./cpsl", "."),
        python=find_python(PYTHON_OF_BINDER),
    )
    path = f"{python.parent}:{os.environ['PATH']}"
    subprocess.run(["binder/postBuild"], check=True, cwd=ROOT, env=os.environ | {"PATH": path})
    return python


@pytest.mark.parametrize("name", stored_notebooks.NAMES)
def test_binder_environment_executes_the_notebook(name, binder, tmp_path):
    notebook = stored_notebooks.read(name)
    stored = stored_notebooks.outputs(notebook)
    environ = {"PYTHONPATH": ""}  # what is installed, not the checkout
    stored_notebooks.execute(notebook, tmp_path, python=binder, environ=environ)
    fresh = stored_notebooks.outputs(notebook)
    assert [bool(output) for output in fresh] == [bool(output) for output in stored]


def test_binder_opens_the_quickstart(binder, tmp_path):
    home = {"HOME": str(tmp_path), "PATH": f"{binder.parent}:{os.environ['PATH']}"}
    options = ["--allow-root", "--no-browser", "--ip=127.0.0.1", "--port=0"]
    server = subprocess.Popen(
        [ROOT / "binder" / "start", "jupyter-lab", *options],
        cwd=ROOT,
        env=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        found = (re.search(r"(http://127\.0\.0\.1:\d+)(/\S*)", line) for line in server.stdout)
        url = next(filter(None, found))
        assert url[2].startswith("/lab/tree/notebooks/quickstart.ipynb")
        retries = Retry(total=None, connect=100, backoff_factor=0.1, backoff_max=0.5)
        with requests.Session() as session:
            session.mount(url[1], HTTPAdapter(max_retries=retries))  # it does not listen yet
            session.get(url[0])  # with the token
            opened = session.get(url[1])
        assert opened.url == f"{url[1]}/lab/tree/notebooks/quickstart.ipynb"
        assert opened.status_code == 200
    finally:
        server.terminate()
        server.wait(60)
