"""Sending a prompt in the notebook's conversation, and what the reply says about it."""

import signal
import threading

import pytest
from conversations import another_kernel, last
from gateway import Gateway, event, failed, streamed, words
from shells import new_shell

import cpsl
from cpsl_notebook import Client
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.errors import StoppedError


def as_cell(shell, cell_id):
    """Give the next cells an id, as a front end does."""
    shell.shell.get_parent = lambda: {"metadata": {"cellId": cell_id}}


def test_footer_names_the_turn_of_the_cells_earlier_run(shell):
    as_cell(shell, "first")
    assert "this cell" not in shell.run("%%capsule diet-coach\nan apple").text
    as_cell(shell, "second")
    shell.run("%%capsule diet-coach\nan egg")
    as_cell(shell, "first")
    assert "turn 3 (earlier run: turn 1)" in shell.run("%%capsule diet-coach\nan apple").text
    assert "this cell" not in shell.run("%%capsule diet-coach --new\nan apple").text
    loop = (
        "from cpsl_notebook import Conversation\n"
        "for n in '12': Conversation.current('diet-coach').ask(f'{n} eggs')"
    )
    as_cell(shell, "loop")
    assert "this cell" not in shell.run(loop).text


def test_dry_run_shows_prompt_and_conversation_and_sends_nothing(shell, workspace):
    got = []
    workspace.app("dry")(lambda session, text: got.append(text) or "ok")
    shell.run("n = 4")
    shown = shell.run("%%capsule dry --dry-run -o never\nShow {{ n }} of {{ .x }}.").text
    assert "Not sent: a prompt for dry, a new conversation; 19 characters, 19 bytes." in shown
    assert "Sent unchanged: {{ .x }} (it is not a Python expression).\n" in shown
    assert shown.endswith("\nShow 4 of {{ .x }}.\n")
    assert got == [] and "never" not in shell.variables
    assert len(shell.run("%capsule session").value) == len(shell.run("%capsule history").value) == 0
    shell.run("%%capsule dry\nx")
    shown = shell.run("%%capsule dry --dry-run\né").text
    assert f"turn 2 of conversation {last(shell).conversation}; 1 characters, 2 bytes" in shown
    shown = shell.run("%%capsule dry --dry-run --once\nx").text
    assert "a prompt for dry, a temporary conversation; 1" in shown
    assert "dry, a new conversation side; 1" in shell.run("%%capsule dry --dry-run -s side\nx").text
    shell.run("%capsule session use 0000-unlisted dry")
    assert "of conversation 0000-unl; 1" in shell.run("%%capsule dry --dry-run\nx").text
    assert "%capsule apps" in shell.error("%%capsule nope --dry-run\nx")


def test_raw_sends_braces_unchanged_and_history_keeps_template(shell, workspace):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "ok")
    shell.run("name = '{{ other }}'")
    shell.run("%%capsule noting\nFill {{ name }}.")
    shell.run("%%capsule noting --raw\nFill {{ name }}.")
    assert got == ["Fill {{ other }}.", "Fill {{ name }}."]
    history = shell.run("%capsule history").value
    assert list(history["template"]) == ["Fill {{ name }}."] * 2
    assert list(history["prompt"]) == got
    assert "Did you mean 'name'?" in shell.error("%%capsule noting\n{{ nmae }}")


def test_reply_in_a_prompt_is_its_text(shell, workspace):
    got = []
    workspace.app("noting")(lambda session, text: got.append(text) or "**4** threads")
    shell.run("%%capsule noting -o answer\nx")
    shell.run("%%capsule noting\nShorten: {{ answer }}")
    assert got[-1] == "Shorten: **4** threads"


FORMATS = {  # a reply in the format, how it is shown, a reply in another format, its error
    "json": (
        'Here it is:\n```json\n{"a": [1, "é"]}\n```',
        '{\n  "a": [\n    1,\n    "é"\n  ]\n}\n',
        "only text",
        "The reply is not JSON. Ask for a single JSON value; see `text` for the whole reply.",
    ),
    "table": (
        "Here it is:\n\n| a | b |\n| --- | --- |\n| 1 | x |",
        "a  b\n1  x\n",
        "only text",
        "The reply contains no table. Ask for a table explicitly.",
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_expected_format_is_shown_or_fails(shell, workspace, form):
    matching, shown_as, other, message = FORMATS[form]
    workspace.app("formal")(lambda session, text: {"yes": matching, "no": other}[text])
    ran = shell.run(f"%%capsule formal --{form} -o good\nyes")
    good = shell.variables["good"]
    assert ran.text.startswith(shown_as) and "```" not in ran.text and "|" not in ran.text
    page = good._repr_mimebundle_()["text/html"]
    assert "Here it is" not in page and ("<pre " if form == "json" else "<table ") in page
    if form == "json":
        assert good.json() == {"a": [1, "é"]}
    else:
        assert list(good.tables[0].columns) == ["a", "b"]
    ran = shell.try_to_run(f"%%capsule formal --{form} -o bad\nno")
    assert other in ran.text and ran.error._render_traceback_() == [message]
    assert shell.variables["bad"].text == other


def test_missing_session_id_shows_a_notice_and_starts_a_new_conversation():
    app = "00000000-0000-4000-8000-000000000001"
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(Client(cpsl.Client(token="x", gateway_url=gateway.url)))
        for _ in range(2):
            gateway.on("stream", streamed(*words("yes"), event({}, "done")))
            shown = shell.run(f"%%capsule {app}\nx").text
            assert "The service returned no session id, so the next prompt starts a new" in shown
            assert last(shell).turn == 1
        assert [request.session_id for request in gateway.requests] == ["", ""]


def test_lost_conversation_is_shown_despite_quiet(shell):
    shell.run("%%capsule diet-coach\nan apple")
    shell.run("%capsule session use 00000000-0000-0000-0000-000000000000 diet-coach")
    shown = shell.run("%%capsule diet-coach -q\nan apple")
    assert shown.text.startswith("The service did not continue conversation 00000000")
    assert len(shown.text.splitlines()) == 1 and shown.outputs == []


def test_unknown_session_is_explained():
    app = "00000000-0000-4000-8000-000000000001"
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(Client(cpsl.Client(token="x", gateway_url=gateway.url)))
        shell.run(f"%%capsule {app}\nx")
        gateway.on("stream", failed(404, "no such session"))
        line = shell.error(f"%%capsule {app}\nx")
        assert "may no longer have conversation s-1. To start a new one, run `%capsule" in line


def test_split_emoji_and_invalid_ids_are_repaired():
    app = "00000000-0000-4000-8000-000000000001"
    ids = {"session_id": "s\udc00\x1b]0;title\x07", "request_id": 7}
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        current_context().connect(Client(cpsl.Client(token="x", gateway_url=gateway.url)))
        gateway.on("stream", streamed(*words("Hi \ud83d", "\ude00!"), event(ids, "done")))
        shown = shell.run(f"%%capsule {app}\nx").text
        assert shown.startswith("Hi 😀!") and "\x1b" not in shown
        assert (last(shell).session_id, last(shell).request_id) == ("s\ufffd", "7")
        assert list(shell.run("%capsule session").value["id"]) == ["s\ufffd"]


def test_settings_survive_reloading_the_extension(shell):
    shell.run(
        "%capsule use diet-coach\n%config CapsuleMagics.timeout = 30\n%reload_ext cpsl_notebook"
    )
    assert current_context().settings.app == "diet-coach"
    assert shell.run("%config CapsuleMagics.timeout").value == 30


def test_stopped_reply_is_stored_and_restored_with_store(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    finished = threading.Event()

    @workspace.app("interrupted")
    def interrupted(session, text):
        yield "first part"
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        finished.wait(60)

    with another_kernel() as shell:
        try:
            ran = shell.try_to_run("%%capsule interrupted -o reply\nx")
        finally:
            finished.set()
        stored = shell.variables["reply"]
        assert type(ran.error) is StoppedError and ran.error is stored.error
        shell.run("%load_ext storemagic\n%store reply")
    with new_shell() as later:
        later.run("%load_ext storemagic\n%store -r reply")
        restored = later.variables["reply"]
    assert (restored.status, restored.text) == ("stopped", stored.text)
    assert type(restored.error) is StoppedError and str(restored.error) == str(stored.error)
    assert restored._repr_mimebundle_() == stored._repr_mimebundle_()
