"""The magics in a real IPython shell that uses the local workspace."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from importlib.metadata import version

import pandas as pd
import pytest
import requests
from IPython.utils.capture import capture_output
from shells import new_shell

import cpsl
from cpsl_notebook import Client, Conversation, Reply, ask
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.magics.subcommands import COMMANDS


@pytest.fixture
def shell(workspace):
    """A shell that uses the local workspace."""
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook")
        started.run("%capsule local")
        yield started


def last(shell) -> Reply:
    return shell.run("%capsule last").value


def test_next_cell_continues_the_conversation(shell):
    shown = shell.run("%%capsule support-ops\nHow many threads are waiting for review right now?")
    assert "**85 threads** are waiting for review" in shown.text
    first = last(shell)
    shown = shell.run("%%capsule\nTurn that into a two-step triage plan.")
    assert "85 threads waiting for review" in shown.text
    assert (last(shell).session_id, last(shell).turn) == (first.session_id, 2)
    assert "turn 2" in shown.text


def test_new_starts_a_conversation_that_the_next_cell_continues(shell):
    ids = []
    for line in ("%%capsule diet-coach", "%%capsule --new diet-coach", "%%capsule diet-coach"):
        shell.run(f"{line}\nan apple")
        ids.append(last(shell).session_id)
    assert ids[0] != ids[1] == ids[2]


def test_once_does_not_change_the_conversation(shell):
    shell.run("%%capsule diet-coach\nan apple")
    before = last(shell)
    shell.run("%%capsule diet-coach --once\nan apple")
    assert last(shell).session_id != before.session_id
    shell.run("%%capsule diet-coach\nan apple")
    assert (last(shell).session_id, last(shell).turn) == (before.session_id, 2)


def test_named_session_is_a_separate_conversation(shell):
    shell.run("%%capsule diet-coach\nan apple")
    shell.run("%%capsule diet-coach -s other\nan apple")
    assert (last(shell).conversation, last(shell).turn) == ("other", 1)
    shell.run("%%capsule diet-coach --session other\nan apple")
    assert (last(shell).conversation, last(shell).turn) == ("other", 2)


def test_last_is_the_last_reply_with_content(shell, workspace):
    workspace.app("silent")(lambda session, text: "")
    shell.run("%%capsule diet-coach -o kept\nan apple")
    shell.run("%%capsule silent\nx")
    workspace.app("failing")(lambda session, text: str(1 / 0))
    shell.error("%%capsule failing\nx")
    assert last(shell) is shell.variables["kept"]


def test_out_stores_and_shows_the_reply(shell):
    shown = shell.run("%%capsule diet-coach -o answer\ntwo eggs")
    answer = shell.variables["answer"]
    assert isinstance(answer, Reply)
    assert str(answer) == answer.text and answer.text.strip() in shown.text
    assert (answer.status, answer.app) == ("complete", "diet-coach")


def test_quiet_stores_the_reply_without_showing_it(shell):
    shown = shell.run("%%capsule diet-coach -q -o answer\ntwo eggs")
    assert (shown.text, shown.outputs) == ("", [])
    assert "egg" in shell.variables["answer"].text


def test_reply_without_streaming_is_the_same(shell):
    shell.run("%%capsule support-ops -o a\nSummarize the riskiest support threads.")
    shell.run(
        "%%capsule support-ops --new --no-stream -o b\nSummarize the riskiest support threads."
    )
    a, b = shell.variables["a"], shell.variables["b"]
    assert a.text == b.text
    assert a.blocks == b.blocks and any(block["type"] == "table_preview" for block in a.blocks)


def test_prompt_too_long_for_the_url_is_sent_through_chat(shell, workspace):
    got = []
    workspace.app("lengthy")(lambda session, text: got.append(text) or "ok")
    prompt = "é" * 50_000
    shown = shell.run(f"%%capsule lengthy\n{prompt}").text
    assert got.pop() == prompt and "the reply is not streamed.\n[lengthy" in shown
    shown = shell.run(f"%%capsule lengthy --dry-run\n{prompt}").text
    assert got == [] and "the reply is not streamed.\n\nééé" in shown


def test_prompt_arrives_unchanged_without_its_last_newline(shell, workspace):
    got = []
    workspace.app("verbatim")(lambda session, text: got.append(text) or "ok")
    prompt = '  {"a": [1, {x}]} $HOME {{}}\n\n%s `ls` \\n "quotes" 🎉\ttab \n'
    shell.run(f"%%capsule verbatim\n{prompt}\n")
    assert got == [prompt]


def test_use_sets_the_default_app(shell):
    shell.run("%capsule use diet-coach")
    shell.run("%%capsule\nan apple")
    assert last(shell).app == "diet-coach"
    shell.run("%config CapsuleMagics.app = 'deal-desk'")
    shell.run("%%capsule\n10 seats")
    assert last(shell).app == "deal-desk"


def test_cell_without_an_app_uses_the_app_chosen_last(shell, workspace):
    workspace.app("broken")(lambda session, text: 1 / 0)
    assert shell.error("%%capsule\nhello").startswith("No app is chosen.")
    for choice, app in [
        ("%%capsule diet-coach\nan apple", "diet-coach"),
        ("%%capsule deal-desk --once\n10 seats", "deal-desk"),
        ("%capsule use support-ops", "support-ops"),
        ("%%capsule diet-coach -s other\nan apple", "diet-coach"),
        ("%config CapsuleMagics.app = 'deal-desk'", "deal-desk"),
    ]:
        shell.run(choice)
        shell.run("%%capsule -o reply\nhello")
        assert shell.variables["reply"].app == app
    shell.error("%%capsule broken --no-stream\nx")
    assert shell.run("%%capsule --dry-run\nx").text.startswith("Not sent: a prompt for broken")


def test_ask_dry_run_and_unknown_app_do_not_choose_the_app(shell):
    shell.run("%%capsule diet-coach\nan apple")
    ask("10 seats", app="deal-desk", quiet=True)
    Conversation("deal-desk").ask("10 seats", quiet=True)
    Conversation.current("deal-desk").ask("10 seats", quiet=True)
    shell.run("%%capsule deal-desk --dry-run\nx")
    shell.error("%%capsule diet-coch\nx")
    shell.run("%%capsule -o reply\nan egg")
    assert shell.variables["reply"].app == "diet-coach"


def test_tabular_results_are_dataframes(shell):
    shell.run(
        "apps = %capsule apps\npayments = %capsule payments support-ops\n"
        "both = %capsule payments support-ops deal-desk\nearnings = %capsule earnings\n"
        "one = %capsule app support-ops\nurl = %capsule checkout deal-desk\n"
        "sessions = %capsule session\nhistory = %capsule history\nstatus = %capsule status"
    )
    got = shell.variables
    for name in ("apps", "payments", "both", "earnings", "sessions", "history", "status"):
        assert isinstance(got[name], pd.DataFrame), name
    assert {"deal-desk", "diet-coach", "support-ops"} <= set(got["apps"]["name"])
    assert set(got["payments"]["app"]) == {"support-ops"}
    assert set(got["both"]["app"]) == {"support-ops", "deal-desk"}
    assert list(got["earnings"]["app"]) == list(got["apps"]["name"])
    assert got["one"]["price_in_cents"] == 1500
    assert got["url"].startswith("http://127.0.0.1:")
    assert got["status"].loc["cpsl-client", "value"] == version("cpsl-client")


def test_return_url_is_on_the_checkout_page(shell, workspace):
    line = "url = %capsule checkout deal-desk --return-url https://example.com/thanks"
    shell.run(line)
    page = requests.get(shell.variables["url"], timeout=10).text
    assert 'href="https://example.com/thanks"' in page


def test_history_has_a_row_per_reply(shell):
    shell.run("%%capsule diet-coach\nan apple")
    shell.run("%%capsule diet-coach\na banana")
    history = shell.run("%capsule history").value
    assert list(history["prompt"]) == ["an apple", "a banana"]
    assert list(history["turn"]) == [1, 2]
    assert list(history["status"]) == ["complete", "complete"]
    assert list(history["execution_count"].diff().dropna()) == [1]
    assert (history["total_s"] >= history["first_chunk_s"]).all()
    assert str(history["sent_at"].dtype) == "datetime64[us, UTC]"


def test_session_list_shows_the_current_conversation(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run("%%capsule diet-coach --new\nan apple")
    table = shell.run("%capsule session").value.set_index("id")
    assert not table.loc[first[:8], "current"]
    assert table.loc[last(shell).session_id[:8], "current"]
    shell.run(f"%capsule session use {first} diet-coach")
    shell.run("%%capsule\nan apple")
    assert (last(shell).session_id, last(shell).turn) == (first, 2)
    shell.run("%capsule session new")
    shell.run("%%capsule\nan apple")
    assert last(shell).session_id[:8] not in set(table.index)


def test_unknown_session_id_is_reported(shell):
    shell.run("%capsule session use 00000000-0000-0000-0000-000000000000 diet-coach")
    shown = shell.run("%%capsule diet-coach\nan apple")
    assert "The service did not continue conversation 00000000" in shown.text
    assert last(shell).turn == 1


def test_new_kernel_says_what_can_be_resumed_and_resumes_it(workspace, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/analysis.ipynb")
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook\n%capsule local")
        shell.run("%%capsule support-ops\nHow many urgent threads are there?")
        first = last(shell).session_id
    with new_shell() as shell:
        shown = shell.run("%load_ext cpsl_notebook\n%capsule local")
        assert (
            "To resume it, run `%capsule local` and then `%capsule session resume support-ops`"
            in (shown.text)
        )
        for _ in range(2):
            shown = shell.run("%%capsule support-ops\nHow many threads are there?")
            assert "session resume" not in shown.text
        assert last(shell).session_id != first
        second = last(shell).session_id
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook\n%capsule local")
        shell.run("%capsule session resume support-ops")
        shell.run("%%capsule\nTurn that into a two-step plan.")
        assert (last(shell).session_id, last(shell).turn) == (second, 3)
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook\n%capsule local")
        shell.run("%config CapsuleMagics.resume = True")
        shown = shell.run("%%capsule support-ops\nTurn that into a two-step plan.")
        assert last(shell).session_id == second
        assert f"Resumed conversation {second[:8]} with support-ops (3 turns" in shown.text


def test_notebooks_never_share_a_conversation(workspace, monkeypatch):
    ids = []
    for name in ("/books/one.ipynb", "/books/two.ipynb"):
        monkeypatch.setenv("JPY_SESSION_NAME", name)
        with new_shell() as shell:
            shown = shell.run("%load_ext cpsl_notebook\n%capsule local")
            assert "session resume" not in shown.text
            shell.run("%%capsule diet-coach\nan apple")
            ids.append(last(shell).session_id)
    assert ids[0] != ids[1]


def test_prompt_reply_and_token_are_not_stored_on_disk(shell, workspace, tmp_path):
    shell.run("%%capsule diet-coach\nan apple and something unusual")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "capsule").rglob("*"))
    assert last(shell).session_id.encode() in kept
    for secret in (b"unusual", b"apple", workspace.token.encode()):
        assert secret not in kept


def test_unusable_store_is_a_warning_and_the_cell_works(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="not saved for later kernels"):
        shell.shell.run_cell("%%capsule diet-coach\nan apple")
    assert last(shell).status == "complete"


INVALID = {
    "an empty cell": ("%%capsule support-ops\n  \n", "The prompt is empty"),
    "an unknown option": (
        "%%capsule support-ops --nwe\nx",
        "UsageError: %%capsule: unknown option: --nwe. Did you mean '--new'?",
    ),
    "an option that is close to none": (
        "%%capsule support-ops --o x\nx",
        "UsageError: %%capsule: unknown option: --o. Run `%capsule help`.",
    ),
    "an unexpected argument": (
        "%%capsule support-ops two\nx",
        "UsageError: %%capsule: unknown argument: two. Put the prompt below this line, and quotes "
        "around a value with spaces.",
    ),
    "an unexpected argument of a subcommand": (
        "%capsule app support-ops two",
        "UsageError: %capsule app: unknown argument: two. Put quotes around a value with spaces, or "
        "run `%capsule help app`.",
    ),
    "an invalid variable name": ("%%capsule support-ops -o 1x\nx", "not a valid variable name"),
    "a keyword as a variable": ("%%capsule support-ops -o class\nx", "not a valid variable name"),
    "an app in place of a subcommand": (
        "%capsule support-ops",
        "UsageError: There is no subcommand `%capsule support-ops`. Run `%capsule help`. To send "
        "a prompt to an app, begin a cell with %%capsule APP.",
    ),
    "an option before the subcommand": (
        "%capsule --all session",
        "UsageError: %capsule: put the subcommand before its options. Run `%capsule help`.",
    ),
    "a session of an unknown app": ("%capsule session new nope", "No app 'nope'"),
    "a lone surrogate": ("%%capsule support-ops\n\ud800", "The prompt contains a lone surrogate"),
    "a lone surrogate in a name": (
        "%%capsule support-ops -s \ud800\nx",
        "UsageError: The line contains a lone surrogate. Remove it.",
    ),
    "a table in the line": (
        "%capsule last {{ __import__('pandas').DataFrame({'n': [1]}) }}",
        "UsageError: %capsule last: unknown argument: | n | | --- | | 1 |. Put quotes around a "
        "value with spaces, or run `%capsule help last`.",
    ),
    "invalid seconds": ("%%capsule support-ops --timeout soon\nx", "'soon' is not a number"),
    "an open quote": ("%%capsule 'support-ops\nx", "Check its quotes"),
    "an unknown app": ("%%capsule suport-ops\nx", "Did you mean 'support-ops'?"),
    "an unknown subcommand": (
        "%capsule paymets",
        "UsageError: There is no subcommand `%capsule paymets`. Did you mean 'payments'?",
    ),
    "an unknown app of a table": ("%capsule payments suport-ops", "Did you mean 'support-ops'?"),
    "a free app's checkout": ("%capsule checkout diet-coach", "App 'diet-coach' is free"),
    "a missing argument": ("%capsule use", "required: APP. Run `%capsule help use`."),
    "an invalid choice": ("%capsule local begin", "invalid choice: 'begin'"),
    "no reply yet": ("%capsule last", "There is no reply yet"),
    "nothing to resume": ("%capsule session resume diet-coach", "no earlier conversation"),
    "an unknown subcommand of session": (
        "%capsule session forgte",
        "UsageError: There is no subcommand `%capsule session forgte`. Did you mean 'forget'?",
    ),
    "a session of two apps": ("%capsule session new a b", "unknown argument: b"),
    "forgetting nothing": ("%capsule session forget", "session forget ID_OR_NAME"),
    "forgetting an unknown id": (
        "%capsule session forget 123",
        "No conversation of this notebook has the name '123' or an id that begins with it.",
    ),
    "help for an unknown subcommand": ("%capsule help paymets", "Did you mean 'payments'?"),
    "an unknown file format": ("%capsule history --save x.txt", "ends in .jsonl, .parquet or .md."),
    "a removed subcommand": ("%capsule ask support-ops", "Begin a cell with %%capsule APP."),
    "too many seconds": ("%%capsule support-ops --timeout 1e300\nx", "'1e300' is not a number"),
    "more prompts without a table": (
        "%%capsule support-ops --yes\nx",
        "UsageError: --yes needs --each. Add --each FRAME, or remove --yes.",
    ),
    "a day for a workspace that is stopped": (
        "%capsule local stop --today 2026-03-01",
        "UsageError: --today cannot be used with stop. Remove --today.",
    ),
    "two formats": ("%%capsule support-ops --json --table\nx", "not allowed with argument --json"),
    "a missing variable": ("%capsule app $nothing", "$nothing: there is no variable 'nothing'."),
    "once and new": ("%%capsule diet-coach --once --new\nx", "Cannot combine --once with --new"),
}


@pytest.mark.parametrize(("cell", "message"), INVALID.values(), ids=INVALID)
def test_invalid_input_is_one_line_that_says_what_to_do(shell, cell, message):
    assert message in shell.error(cell)


def test_failing_cell_keeps_earlier_replies_and_the_conversation(shell):
    shell.run("%%capsule diet-coach -o kept\nan apple")
    shell.error("%%capsule diet-coach --nwe\nx")
    shell.error("%%capsule no-such-app\nx")
    assert shell.variables["kept"].text
    shell.run("%%capsule diet-coach\nan apple")
    assert last(shell).turn == 2


def test_misspelled_app_is_not_remembered(workspace, monkeypatch):
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)  # as with a live gateway, no list of apps is known
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        assert "support-ops" in shell.error("%%capsule suport-ops\nx")
        shell.run("%%capsule support-ops\nHow many threads are there?")
        shell.run("%%capsule\nHow many threads are there?")
        assert list(shell.run("%capsule session").value["app"]) == ["support-ops"]


def test_failed_new_conversation_keeps_the_old_one(shell, workspace):
    @workspace.app("moody")
    def moody(session, text):
        if text == "fail":
            raise OSError("not today")
        yield f"turn {len(session.history) + 1}"

    shell.run("%%capsule moody\nx")
    before = last(shell).session_id
    shell.error("%%capsule moody --new --no-stream\nfail")
    shell.run("%%capsule moody\nx")
    assert (last(shell).session_id, last(shell).text) == (before, "turn 2")


def test_status_names_workspace_token_and_versions(workspace, monkeypatch, tmp_path):
    def status(shell):
        frame = shell.run("%capsule status").value
        assert (frame.index.name, str(frame["value"].dtype)) == ("item", "string")
        return frame["value"].to_dict()

    url = workspace.http_url
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        found = status(shell)
        assert found["workspace"].startswith("not connected: No credentials")
        assert pd.isna(found["token from"]) and pd.isna(found["token valid"])
        shell.run("%capsule local")
        shell.run("%%capsule diet-coach\nan apple")
        found = status(shell)
        assert found["workspace"] == f"{url} (local workspace)"
        assert (found["token from"], found["token valid"]) == ("the local workspace", "yes")
        assert (found["app"], found["conversations"], found["replies"]) == ("diet-coach", "1", "1")
        for package in ("cpsl-client", "cpsl-notebook", "ipython", "ipykernel", "pandas"):
            assert found[package] == version(package)
        for name, value in workspace.environ.items():
            monkeypatch.setenv(name, value)
        current_context().connect(None)
        found = status(shell)
        assert (found["workspace"], found["token valid"]) == (url, "yes")
        assert found["token from"] == "the CAPSULE_* variables"
        monkeypatch.setenv("CAPSULE_TOKEN", "wrong")
        current_context().connect(None)
        found = status(shell)
        assert found["token valid"].startswith(f"no: {url} refused the token")
        nowhere = cpsl.Client(token="x", gateway_url="http://127.0.0.1:9", max_retries=0)
        current_context().connect(Client(nowhere))
        found = status(shell)
        assert found["token from"] == "the arguments"
        assert found["token valid"].startswith("unknown: Cannot connect to a gRPC gateway at")
        assert "wrong" not in str(found)


def test_status_prints_values_that_pandas_cuts(shell, monkeypatch):
    path = f"/books/{'long-' * 40}name.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", path)
    shown = shell.run("status = %capsule status").text
    assert shown == f"notebook: {path}\n" and path not in repr(shell.run("status").value)


def test_lines_are_printed_whatever_the_terminal_can_encode(shell, monkeypatch):
    written = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", written)
    shell.shell.run_cell("%%capsule diet-coach --dry-run\ncafé \x1b[31m🎉").raise_error()
    assert written.buffer.getvalue().endswith(b"\ncaf? ?\n")
    monkeypatch.setattr(sys, "stdout", None)
    shell.shell.run_line_magic("capsule", "use diet-coach")


def test_missing_credentials_error_names_login_and_local(workspace):
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        line = shell.error("%capsule apps")
        assert "%capsule login" in line and "%capsule local" in line


def test_wrong_token_and_unreachable_gateway_are_one_line(workspace):
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(
            Client(cpsl.Client(token="wrong", gateway_url=workspace.http_url))
        )
        assert "refused the token" in shell.error("%capsule apps")
        assert "refused the token" in shell.error("%%capsule support-ops\nx")
        nowhere = cpsl.Client(token="x", gateway_url="http://127.0.0.1:9", max_retries=0)
        current_context().connect(Client(nowhere))
        assert "check that it is running" in shell.error("%capsule apps")


def test_traceback_option_shows_the_traceback(shell):
    ran = shell.try_to_run("%%capsule no-such-app --traceback\nx")
    assert "Traceback" in ran.text and "client.py" in ran.text


def test_failure_midway_keeps_partial_reply(shell, workspace):
    @workspace.app("breaking")
    def breaking(session, text):
        yield "as far as this"
        raise OSError("out of paper")

    ran = shell.try_to_run("%%capsule breaking -o partial\nx")
    assert "as far as this" in ran.text and "failed" in ran.text and "out of paper" in ran.text
    assert shell.variables["partial"].text == "as far as this"
    assert list(shell.run("%capsule history").value["status"]) == ["failed"]


def test_interrupt_keeps_partial_reply_and_the_conversation(shell, workspace):
    @workspace.app("endless")
    def endless(session, text):
        if text == "again":
            yield f"turn {len(session.history) + 1}"
            return
        yield "begun"
        while "begun" not in sys.stdout.getvalue():  # until the reader has it
            threading.Event().wait(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        threading.Event().wait(2)
        yield "never read"

    ran = shell.try_to_run("%%capsule endless -o partial\nx")
    assert ran.error._render_traceback_() == ["Stopped: the text received so far is kept."]
    assert "begun" in ran.text and "stopped" in ran.text
    partial = shell.variables["partial"]
    assert (partial.text, partial.status) == ("begun", "stopped")
    shell.run("%%capsule endless\nagain")
    assert last(shell).session_id == partial.session_id


def test_timeout_ends_a_silent_reply(shell, workspace):
    silent = threading.Event()

    @workspace.app("silent")
    def silent_app(session, text):
        yield "one"
        silent.wait(20)
        yield "two"

    try:
        assert "sent nothing for 0.3 s" in shell.error("%%capsule silent --timeout 0.3\nx")
    finally:
        silent.set()


def test_local_returns_the_running_workspace(shell, workspace):
    assert shell.run("%capsule local").value is workspace
    assert shell.run("%capsule local status").value is workspace


def test_today_sets_the_last_day_with_payments(shell, workspace):
    usual = workspace.today
    try:
        shell.run("%capsule local --today 2026-03-01")
        assert shell.run("%capsule payments").value["paid_at"].max().date() == workspace.today
        assert str(workspace.today) == "2026-03-01"
        assert "such as 2026-10-31" in shell.error("%capsule local --today soon")
    finally:
        workspace.today = usual


def test_unloading_removes_the_magics(shell):
    shell.run("%load_ext cpsl_notebook\n%reload_ext cpsl_notebook")
    shell.run("%%capsule diet-coach\nan apple")
    shell.run("%unload_ext cpsl_notebook")
    magics = shell.shell.magics_manager.magics
    assert not any("capsule" in names for names in magics.values())
    assert "not found" in shell.try_to_run("%capsule help").text


def test_line_in_a_function_uses_local_variables_first(shell):
    shell.run(
        "app = 'support-ops'\n"
        "def read(app):\n    table = %capsule payments $app\n    return set(table['app'])\n"
    )
    assert shell.run("read('deal-desk')").value == {"deal-desk"}


@pytest.mark.parametrize("word", ["PAYMENTS", "pay", "paymnets"])
def test_misspelled_subcommand_gets_a_suggestion(shell, word):
    assert shell.error(f"%capsule {word}").endswith("Did you mean 'payments'?")


def test_repr_of_a_reply_shows_its_text(shell):
    shell.run("%%capsule diet-coach -q -o reply\nan apple")
    assert shell.run("[reply]").value
    assert repr(shell.variables["reply"]).startswith("<Reply of diet-coach, complete: '| Food")


def test_refused_setting_does_not_prevent_reloading(shell):
    shell.run("%config CapsuleMagics.display = 'html'")
    shell.run("%config CapsuleMagics.display = 'foo'\n%config CapsuleMagics.timeout = -1")
    with pytest.warns(UserWarning, match="CapsuleMagics were ignored: The 'display' trait"):
        shell.shell.run_cell("%reload_ext cpsl_notebook")
    shell.run("%reload_ext cpsl_notebook")
    assert shell.run("%config CapsuleMagics.display").value == "html"
    names = [type(one).__name__ for one in shell.shell.configurables]
    assert names.count("CapsuleMagics") == 1


@pytest.mark.parametrize("kind", ["widget", "html"])
def test_terminal_shows_text_whatever_display_is_set(shell, kind):
    shell.run(f"%config CapsuleMagics.display = '{kind}'")
    ran = shell.run("%%capsule diet-coach\nan apple")
    assert ran.outputs == [] and ran.text.count("| apple |") == 1
    assert "[diet-coach · conversation " in ran.text


def test_remote_images_setting_applies_to_earlier_replies(shell):
    shell.run("%%capsule diet-coach\nan apple")
    reply = shell.run("%capsule last").value
    reply.add_event({"text": "![a](https://example.com/a.png)"})
    for allowed in (True, False):
        shell.run(f"%config CapsuleMagics.remote_images = {allowed}")
        assert ("<img" in reply._repr_mimebundle_()["text/html"]) == allowed


def test_help_names_every_subcommand_and_option(shell):
    text = shell.run("%capsule help").text
    assert text == shell.run("%capsule").text == shell.run("%capsule --help").text
    for name, command in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(command.summary)}$", text, re.M), name
    for option in ("--new", "--once", "--session", "--out", "--quiet", "--no-stream", "--timeout"):
        assert option in text


def test_help_is_the_same_in_three_forms(shell):
    for command in (*COMMANDS, "session list", "session new", "session use", "session forget"):
        text = shell.run(f"%capsule help {command}").text
        assert text.startswith(f"usage: %capsule {command} [-h]")
        assert "\nexamples:\n  " in text
        assert text == shell.run(f"%capsule {command} -h").text
        assert text == shell.run(f"%capsule {command} --help").text
    assert shell.run("%%capsule -h\nnot sent").text.startswith("usage: %%capsule [-h]")
    assert len(shell.run("%capsule history").value) == 0


def test_ask_prints_the_equivalent_cell(shell, workspace):
    received = []
    workspace.app("recorder")(lambda session, text: received.append(text) or "ok")
    ran = shell.try_to_run("%capsule ask recorder What costs {{ x }},  and $y?  # all")
    cell, _, error = ran.text.partition("\nUsageError: ")
    assert cell == "%%capsule recorder --raw\nWhat costs {{ x }},  and $y?  # all"
    assert error.startswith("There is no `%capsule ask`. Use the cell above")
    assert received == []
    shell.run(cell)
    assert received == ["What costs {{ x }},  and $y?  # all"]


def test_loading_the_extension_does_not_import_heavy_packages():
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S\n"
        "S.instance().run_line_magic('load_ext', 'cpsl_notebook')\n"
        "heavy = 'pandas ipywidgets requests grpc markdown_it starlette pyarrow'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_line_fills_variables_and_expands_nothing_else(shell):
    shell.run("name = 'support-ops'\nnames = ['support-ops', 'deal-desk']")
    assert shell.run("%capsule app $name").value["name"] == "support-ops"
    assert shell.run("%capsule app {{ names[1] }}").value["name"] == "deal-desk"
    both = shell.run("%capsule payments $names").value
    assert set(both["app"]) == {"support-ops", "deal-desk"}
    for word in ("{name}", "x$name", "'~'", "'*'", "'$(ls)'"):
        assert f"No app {word.strip(chr(39))!r}" in shell.error(f"%capsule app {word}")
    assert shell.error("%capsule app $nmae").endswith("Did you mean 'name' or 'names'?")
    assert shell.error("%capsule app {{ nmaes[0] }}").endswith("Did you mean 'names' or 'name'?")


def test_semicolon_is_ignored_on_a_line_and_means_quiet_on_a_cell(shell):
    assert len(shell.run("%capsule apps;  # all of them").value) > 2
    assert len(shell.run("%capsule apps  # all of them;").value) > 2
    shell.run("apps = %capsule apps;")
    assert len(shell.variables["apps"]) > 2
    shown = shell.run("%%capsule diet-coach -o kept;  # quietly\nan apple")
    assert (shown.text, shown.outputs) == ("", []) and shell.variables["kept"].text
    url = shell.run("%capsule checkout deal-desk --return-url https://example.org/#paid").value
    assert url.startswith("http")


def test_ask_works_without_ipython(workspace):
    code = (
        "from cpsl_notebook import Client, ask\n"
        "print(ask('two eggs', app='diet-coach').status)\n"
        "print(len(Client().list_payments('deal-desk')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | workspace.environ,
    )
    assert "diet-coach · conversation" in ran.stdout
    assert ran.stdout.split()[-2:] == ["complete", "612"]


def test_login_shows_a_link_and_stores_the_token(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", workspace.grpc_address)
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "config.ini"))

    def confirm():
        while "Open http" not in sys.stdout.getvalue():  # until the link is shown
            threading.Event().wait(0.01)
        url = re.search(r"Open (\S+) and", sys.stdout.getvalue())[1]
        secret = (workspace.folder / "login-secret").read_text()
        requests.post(url, data={"secret": secret}, timeout=10).raise_for_status()

    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        with capture_output() as captured:
            person = threading.Thread(target=confirm)
            person.start()
            shell.shell.run_cell("%capsule login").raise_error()
            person.join()
        assert "Logged in" in captured.stdout
        assert workspace.token not in captured.stdout
        monkeypatch.delenv("CAPSULE_GATEWAY_URL")
        assert "support-ops" in set(shell.run("%capsule apps").value["name"])


def test_interrupted_login_changes_nothing(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSULE_GATEWAY_URL", workspace.grpc_address)
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "config.ini"))

    def interrupt():
        while "Open http" not in sys.stdout.getvalue():
            threading.Event().wait(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        with capture_output():
            threading.Thread(target=interrupt).start()
            error = shell.shell.run_cell("%capsule login").error_in_exec
    assert error._render_traceback_() == [
        "Stopped: the login was not completed. Earlier credentials are unchanged."
    ]
    assert not (tmp_path / "config.ini").exists()
