"""Several kernels that use conversations of the same notebook."""

import contextlib
import os
import subprocess
import sys
import time

from conversations import last, registry, save
from shells import new_shell

from cpsl_notebook.conversation.registry import ConversationRecord

ANOTHER = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
with capture_output():
    for cell in ("%load_ext cpsl_notebook", "%config CapsuleMagics.resume = True",
                 "%%capsule diet-coach\\nan apple", "reply = %capsule last"):
        shell.run_cell(cell).raise_error()
print(shell.user_ns["reply"].session_id, *shell.user_ns["reply"].notices, flush=True)
sys.stdin.read()  # keeps running until the test kills it
"""


@contextlib.contextmanager
def running_kernel(workspace):
    environ = os.environ | workspace.environ | {"JPY_SESSION_NAME": "/books/one.ipynb"}
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process, process.stdout.readline().partition(" ")
        finally:
            process.kill()


def test_running_kernels_never_share_a_conversation_by_accident(workspace):
    with running_kernel(workspace) as (first, (one, _, _)):
        with running_kernel(workspace) as (_, (two, _, shown)):
            assert two != one
            assert "Not resumed, because another kernel is using it: conversation" in shown
        first.kill()
        first.wait()
    # The second kernel has ended, so its conversation, the latest one, is free.
    with running_kernel(workspace) as (_, (three, _, shown)):
        assert three == two and "Resumed" in shown
        # While the third kernel uses it, the first kernel's conversation is next.
        with running_kernel(workspace) as (_, (four, _, shown)):
            assert four == one.strip() and "Resumed" in shown


def test_line_on_loading_does_not_promise_a_conversation_in_use(workspace, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    cell = "%load_ext cpsl_notebook\n%config CapsuleMagics.resume = True"
    with running_kernel(workspace) as (first, _), new_shell() as shell:
        shown = shell.run(cell).text
        assert "Earlier in this notebook: " in shown and "resumes it" not in shown
        first.kill()
        first.wait()
        with new_shell() as later:
            assert later.run(cell).text.endswith("The next cell for diet-coach resumes it.\n")


def test_conversation_is_free_if_its_kernels_process_id_was_reused(tmp_path):
    known = registry(tmp_path / "conversations.sqlite")
    save(known, ConversationRecord("app"), "kept")
    kept = registry(tmp_path / "conversations.sqlite").earlier("app")
    assert not kept.is_used_elsewhere
    kernel, started = kept.kernel.split(" ")
    assert abs(float(started) - time.time()) < 86_400
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = kernel.replace(str(os.getpid()), str(process.pid))
    with process:
        kept.kernel = f"{other} {time.time():.0f}"
        assert kept.is_used_elsewhere
        kept.kernel = f"{other} {float(started) - 3600:.0f}"
        assert not kept.is_used_elsewhere
        process.kill()


def test_conversation_of_another_kernel_can_be_shared_on_purpose(workspace, monkeypatch):
    for name, value in {**workspace.environ, "JPY_SESSION_NAME": "/books/one.ipynb"}.items():
        monkeypatch.setenv(name, value)
    with running_kernel(workspace) as (_, (one, _, _)), new_shell() as other:
        other.run("%load_ext cpsl_notebook")
        shown = other.run("%capsule session resume diet-coach").text
        assert "Another running kernel is using this conversation" in shown
        other.run("%%capsule diet-coach\nan apple")
        assert (last(other).session_id, last(other).turn) == (one.strip(), 2)
