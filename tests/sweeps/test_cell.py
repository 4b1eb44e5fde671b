"""``%%capsule --each``, and the notebook of the sweeps."""

from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest
from IPython.utils.capture import capture_output
from shells import new_shell


@pytest.fixture
def shell(workspace, monkeypatch):
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook")
        from cpsl_notebook.conversation.context import current_context

        with workspace.client() as client:
            current_context().connect(client)
            started.variables["threads"] = pd.DataFrame({"subject": ["Refund", "Login"]}, [7, 3])
            yield started


@pytest.fixture(autouse=True)
def echo(workspace):
    got = []

    @workspace.app("echo")
    def answer(session, text):
        got.append(text)
        yield f'{{"label": "{text}"}}'

    return got


def test_each_row_is_sent_and_the_answers_are_stored_and_shown(shell):
    shown = shell.run("%%capsule echo --each threads -o answers\nThread {{ subject }}")
    answers = shell.variables["answers"]
    assert answers["prompt"].tolist() == ["Thread Refund", "Thread Login"]
    assert answers.index.tolist() == [7, 3]
    assert shown.value is answers


def test_options_of_the_cell_apply_to_the_sweep(shell, echo):
    shell.run("%capsule use echo")
    shown = shell.run("%%capsule --each threads.head(1) --json --no-stream -q -o a\n{{ subject }}")
    assert shell.variables["a"]["label"].tolist() == ["Refund"]
    assert (shown.value, shown.text) == (None, "")
    shown = shell.run("%%capsule echo --each threads --dry-run\n{{ subject }}!")
    assert "Not sent: 2 requests to echo." in shown.text and "Refund!" in shown.text
    assert echo == ["Refund"]
    shell.run("%%capsule echo --each threads --raw -q -o a\n{{ subject }}")
    assert echo[1:] == ["{{ subject }}"] * 2


def test_a_session_option_names_a_column(shell):
    shell.variables["threads"]["who"] = "Ada"
    shell.run("%%capsule echo --each threads --session who -o a\n{{ subject }}")
    assert shell.variables["a"]["session_id"].nunique() == 1


def test_more_than_a_hundred_rows_need_a_confirmation(shell, echo):
    shell.variables["numbers"] = iter(range(101))
    error = shell.error("%%capsule echo --each numbers\n{{ value }}")
    assert error == (
        "UsageError: This cell sends 101 prompts. Add --yes to send them, or --dry-run to see what "
        "would be sent."
    )
    assert echo == []
    shell.run("%%capsule echo --each range(101) --yes -o a\n{{ value }}")
    assert len(shell.variables["a"]) == 101
    shell.run("%%capsule echo --each range(100) -o a\n{{ value }}")


QUOTED = 'Put quotes around an expression with spaces, as in --each "df[df.n > 2]".'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--each thread",
            "NameError: --each thread: variable 'thread' does not exist. Did you mean",
        ),
        ("--each threads.hed()", "AttributeError: --each threads.hed(): "),
        ("--each 5", "TypeError: A sweep cannot iterate over the rows of a int"),
        ("--each threads --new", "UsageError: --new cannot be used with --each"),
        ("--each threads --once", "UsageError: --once cannot be used with --each"),
        (
            "--each {{ threads }}",
            "UsageError: --each takes the name of a variable, not its value. Write --each threads.",
        ),
        (
            "--each={{threads[threads.subject > 'M']}}",
            "UsageError: --each takes the name of a variable, not its value. Write --each "
            "\"threads[threads.subject > 'M']\".",
        ),
        (
            "--each $threads",
            "UsageError: --each takes the name of a variable, not its value. Write",
        ),
        ("--each threads[threads.n > 2]", f"UsageError: %%capsule: unknown argument: >. {QUOTED}"),
        (
            "--once --each threads[threads.n >2]",
            "UsageError: %%capsule: unknown argument: >2]. " + QUOTED,
        ),
        ("--store x.csv --each threads", "UsageError: Invalid store: 'x.csv'."),
        ("--store x.db", "UsageError: --store needs --each. Add --each FRAME, or remove --store."),
    ],
)
def test_an_error_is_one_line(shell, echo, line, message):
    assert shell.error(f"%%capsule echo {line}\n{{{{ subject }}}}").startswith(message)
    assert echo == []


def test_an_unfinished_expression_is_named_with_advice(shell, echo):
    error = shell.error("%%capsule --each threads[threads.n echo\n{{ subject }}")
    assert error == (
        "SyntaxError: --each threads[threads.n is not a Python expression. Write a variable, or an "
        'expression in quotes, as in --each "df[df.n > 2]".'
    )
    shell.run('%%capsule echo --each "threads[threads.index > 5]" -q -o a\n{{ subject }}')
    assert shell.variables["a"]["prompt"].tolist() == echo == ["Refund"]


def test_the_name_of_a_table_may_be_inserted_into_the_line(shell, echo):
    shell.variables["which"] = "threads"
    shell.run("%%capsule echo --each {{ which }} -q\n{{ subject }}")
    shell.run("%%capsule echo --each $which -q\n{{ subject }}")
    assert sorted(echo) == ["Login", "Login", "Refund", "Refund"]


def test_a_store_keeps_the_answers_of_a_cell(shell, echo, tmp_path):
    for _ in range(2):
        shell.run(
            f"%%capsule echo --each threads --store {tmp_path}/a.db -q -o a\n{{{{ subject }}}}"
        )
        assert shell.variables["a"]["status"].tolist() == ["ok", "ok"]
    assert sorted(echo) == ["Login", "Refund"]


def test_a_notice_about_unchanged_braces_is_on_stderr_despite_quiet(shell, echo):
    with capture_output() as captured:
        shell.shell.run_cell("%%capsule echo -q\n{{ total:,.2f }} {{ empty[ }}")
    assert (captured.stdout, captured.outputs) == ("", [])
    assert captured.stderr.splitlines() == [
        "Sent unchanged: {{ total:,.2f }} (there is no variable 'total'); {{ empty[ }} (its braces, "
        "brackets or quotes are not closed)."
    ]
    assert echo == ["{{ total:,.2f }} {{ empty[ }}"]


def test_an_interrupted_sweep_in_a_kernel_returns_what_is_done(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "home"))
    cells = [
        "%load_ext cpsl_notebook\n%capsule local",
        "import os, signal\nfrom cpsl_notebook import local, sweep\n"
        "@local.running().app('slow')\ndef slow(session, text):\n"
        "    if text == '5':\n        os.kill(os.getpid(), signal.SIGINT)\n    yield text",
        "answers = sweep(range(50), '{{ value }}', 'slow', max_active=2)\n"
        "print(answers.status.iloc[5], answers.status.iloc[-1], len(answers))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    execute(notebook, tmp_path)
    texts = [
        output["text"] for output in notebook.cells[2].outputs if output.get("name") == "stdout"
    ]
    assert texts == ["ok stopped 50\n"]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    path = Path(__file__).resolve().parents[2] / "notebooks" / "sweeps.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPSULE_HOME", str(folder / "home"))
        return execute(nbformat.read(path, as_version=4), folder)


def test_the_notebook_classifies_compares_plots_and_resumes(executed):
    assert "Not sent: 10 requests to classifier." in cell(executed, "--dry-run").outputs[0]["text"]
    assert "label" in data(executed, "--json -o answers")["text/html"]
    assert "billing     4" in data(executed, 'answers["label"]')["text/plain"]
    assert "careful" in data(executed, 'pd.crosstab(compared["variant"]')["text/plain"]
    disagreements = data(executed, "disagreements = ")["text/plain"]
    assert "T-1003" in disagreements and "mobile: urgent" in disagreements
    assert "T-1004" not in disagreements
    assert "image/png" in data(executed, "import matplotlib")
    assert "stopped     6" in data(executed, "max_failures=1")["text/plain"]
    resumed = data(executed, "resend_unknown=True)")["text/plain"]
    assert resumed.count("ok") == 10 and resumed.count(" 2 ") == 1


def execute(notebook, folder):
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    ).execute()
    return notebook


def cell(notebook, text):
    (found,) = [one for one in notebook.cells if one.cell_type == "code" and text in one.source]
    return found


def data(notebook, text):
    return cell(notebook, text).outputs[-1]["data"]
