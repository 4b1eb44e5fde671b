"""Check the extension in the kernel of the environment that runs this program.

It needs only jupyter_client and ipykernel, and prints a line for each step. The first failed step
ends it.
"""

import importlib.util
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ipykernel
import IPython
import ipywidgets
from jupyter_client.manager import start_new_kernel

TIMEOUT = 60  # seconds for a cell
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Kernel:
    """A kernel, with a front end that shows updates of outputs."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3", startup_timeout=TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def send(self, code, *, allow_stdin=True):
        """Start a cell; return the id of its message."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        # Otherwise, old kernels skip a cell that comes soon after one that failed.
        content |= {"allow_stdin": allow_stdin, "stop_on_error": False}
        # Notebooks name the cell, which shows that the front end is one.
        message = self.client.session.msg("execute_request", content, metadata={"cellId": "a"})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def messages(self, message_id):
        """Yield the outputs of a cell as they come, until it ends."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the cell did not end within {TIMEOUT} s") from None
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return
            yield message["msg_type"], content

    def try_to_run(self, code, **options):
        """Run a cell; return its outputs."""
        return list(self.messages(self.send(code, **options)))

    def run(self, code):
        """Run a cell that must succeed; return its outputs."""
        outputs = self.try_to_run(code)
        errors = [content for kind, content in outputs if kind == "error"]
        assert not errors, "\n".join(errors[0]["traceback"])
        return outputs

    def value(self, expression):
        """Return the value of an expression in the kernel."""
        outputs = self.run(f"import json; print(json.dumps({expression}))")
        return json.loads(text(outputs))

    def check(self, expression, expected):
        """Check the value of an expression in the kernel."""
        value = self.value(expression)
        assert value == expected, f"{expression} is {value!r} instead of {expected!r}"

    def error(self, code, **options):
        """Run a cell that must fail; return the line that the user sees."""
        outputs = self.try_to_run(code, **options)
        errors = [content for kind, content in outputs if kind == "error"]
        assert len(errors) == 1, outputs
        assert len(errors[0]["traceback"]) == 1, errors[0]["traceback"]
        return errors[0]["traceback"][0]


def text(outputs):
    """Return what a cell printed on stdout."""
    streams = [content for kind, content in outputs if kind == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == "stdout")


def warnings(outputs):
    """Return what a cell printed on stderr."""
    streams = [content for kind, content in outputs if kind == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == "stderr")


def step(function):
    """Run a step and print its name."""
    print(f"  {function.__doc__}", flush=True)
    function()


def check_local(kernel):
    """Use the extension with the local workspace."""

    @step
    def loads():
        """loads, and connects to the local workspace"""
        assert not warnings(kernel.run("%load_ext cpsl_notebook"))
        kernel.run("%capsule local")

    @step
    def streams():
        """streams a reply in widgets, and leaves static HTML and text"""
        outputs = kernel.run(
            "%%capsule support-ops\nHow many threads are waiting for review right now?"
        )
        assert not warnings(outputs), warnings(outputs)
        shown = [content for kind, content in outputs if kind == "display_data"]
        assert [WIDGET_VIEW in content["data"] for content in shown] == [True], shown
        updates = [content for kind, content in outputs if kind == "update_display_data"]
        assert set(updates[-1]["data"]) == {"text/html", "text/plain"}
        assert "85 threads" in updates[-1]["data"]["text/plain"]
        assert "capsule-reply" in updates[-1]["data"]["text/html"]

    @step
    def closes_widgets():
        """keeps no widget open"""
        kernel.run("from cpsl_notebook.compat import live_widgets")
        kernel.check("[type(each).__name__ for each in live_widgets()]", [])

    @step
    def continues():
        """continues the conversation"""
        kernel.run("%%capsule -o plan\nTurn that into a two-step triage plan.")
        kernel.check("plan.turn", 2)
        assert "Two-step triage plan" in kernel.value("plan.text")

    @step
    def stores():
        """stores a Reply"""
        store = "%store plan\ntext = plan.text\ndel plan\n%store -r plan"
        if IPython.version_info >= (8, 24) and importlib.util.find_spec("pickleshare") is None:
            # %store needs pickleshare, which IPython does not install any more.
            store = "import pickle\ntext = plan.text\nplan = pickle.loads(pickle.dumps(plan))"
        kernel.run(store)
        kernel.check("[plan.text == text, plan.turn]", [True, 2])

    @step
    def is_interrupted():
        """stops a silent reply on interrupt, and keeps what arrived"""
        kernel.run(SLOW_APP)
        message_id = kernel.send("%%capsule slow -o stopped\nx")
        outputs = []
        began = 0.0
        for kind, content in kernel.messages(message_id):
            outputs.append((kind, content))
            if kind == "comm_msg" and "Begun." in str(content) and not began:
                began = time.monotonic()
                kernel.manager.interrupt_kernel()
        assert began, outputs
        assert time.monotonic() - began < TIMEOUT / 4, time.monotonic() - began
        errors = [content["traceback"] for kind, content in outputs if kind == "error"]
        assert len(errors) == 1 and errors[0][0].startswith("Stopped: "), errors
        kernel.check("[stopped.text.strip(), stopped.status]", ["Begun.", "stopped"])
        kernel.check("[type(each).__name__ for each in live_widgets()]", [])

    @step
    def fails_in_one_line():
        """shows an error in one line"""
        assert "nope" in kernel.error("%%capsule nope\nx")

    @step
    def reads_payments():
        """reads payments, computes mrr() and draws a plot"""
        kernel.run("%matplotlib inline\npayments = %capsule payments support-ops")
        assert kernel.value("int(payments['net_cents'].sum())") > 0
        assert kernel.value("len(payments.capsule.mrr())") > 1
        outputs = kernel.run("payments.capsule.plot.mrr();")
        assert any("image/png" in c["data"] for kind, c in outputs if kind == "display_data")

    @step
    def completes():
        """completes subcommands on IPython 8.6 and later"""
        line = "%capsule pay"
        reply = kernel.client.complete(line, len(line), reply=True, timeout=TIMEOUT)["content"]
        assert reply["status"] == "ok", reply
        expected = ["payments"] if IPython.version_info >= (8, 6) else []
        assert [match for match in reply["matches"] if "payments" in match] == expected, reply

    @step
    def refuses_login():
        """refuses a login in a run that nobody watches"""
        assert "non-interactive" in kernel.error("%capsule login", allow_stdin=False)


SLOW_APP = """
import threading
from cpsl_notebook import local

@local.running().app("slow")
def slow(session, text):
    yield "Begun.\\n\\n"
    threading.Event().wait(120)
"""

SET_TOKEN = "import os\nos.environ.update({environ})"
LOAD = "%load_ext cpsl_notebook"


def check_gateway(environ):
    """Use a gateway whose token is set in a cell, before or after loading the extension."""
    set_token = SET_TOKEN.format(environ=environ)

    @step
    def token_before():
        """uses a token that a cell sets before loading the extension"""
        with Kernel() as kernel:
            use_gateway(kernel, set_token, LOAD)

    @step
    def token_after():
        """uses a token that a cell sets after loading the extension, and after an error"""
        with Kernel() as kernel:
            kernel.run(LOAD)
            assert "CAPSULE_TOKEN" in kernel.error("%capsule apps")
            use_gateway(kernel, set_token)


def use_gateway(kernel, *cells):
    for cell in cells:
        kernel.run(cell)
    kernel.run("%%capsule support-ops -o reply\nHow many threads are waiting for review right now?")
    assert "85 threads" in kernel.value("reply.text")
    kernel.run("apps = %capsule apps")
    kernel.check("sorted(apps['name'])", ["deal-desk", "diet-coach", "support-ops"])


def gateway(folder):
    """Start a workspace in another process; return the process and the variables that name it."""
    file = folder / "workspace.env"
    command = [sys.executable, "-m", "cpsl_notebook.local", "--data", str(folder / "data")]
    process = subprocess.Popen([*command, "--env-file", str(file)], stdout=subprocess.PIPE)
    deadline = time.monotonic() + TIMEOUT
    while not (file.exists() and file.read_text().endswith("\n")):
        assert process.poll() is None and time.monotonic() < deadline, "no gateway"
        time.sleep(0.1)
    lines = [line.removeprefix("export ") for line in file.read_text().splitlines() if "=" in line]
    names = ("CAPSULE_TOKEN", "CAPSULE_HTTP_URL", "CAPSULE_GATEWAY_URL")
    variables = dict(line.split("=", 1) for line in lines)
    return process, {name: variables[name].strip("'\"") for name in names}


def main():
    """Run every step."""
    import pandas

    versions = {
        "IPython": IPython,
        "ipykernel": ipykernel,
        "ipywidgets": ipywidgets,
        "pandas": pandas,
    }
    listed = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    print(f"  Python {sys.version.partition(' ')[0]}, {listed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = {"HOME": name, "IPYTHONDIR": f"{name}/ipython", "CAPSULE_HOME": f"{name}/capsule"}
        own["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # debugpy warns in old kernels
        for inherited in [each for each in os.environ if each.startswith("CAPSULE_")]:
            del os.environ[inherited]
        # Jupyter Server sets the notebook's path.
        os.environ.update(own | {"JPY_SESSION_NAME": str(folder / "notebook.ipynb")})
        with Kernel() as kernel:
            check_local(kernel)
        process, environ = gateway(folder)
        try:
            check_gateway(environ)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
