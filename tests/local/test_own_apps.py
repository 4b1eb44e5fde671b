"""Apps that a notebook adds to the local workspace with ``@workspace.app``."""

import contextlib
import json
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import IPython
import nbclient
import nbformat
import pytest

import cpsl
from cpsl_notebook import Reply, UserError, local
from cpsl_notebook.local import Turn, database, http_server


def test_added_app_is_streamed_as_it_yields(workspace, client):
    @workspace.app("echo")
    def echo(session, text):
        yield f"You said {text!r}; "
        yield {"type": "activity", "id": "a", "payload": {"label": "counting"}}
        yield f"message {len(session.history) + 1} of this conversation."

    first = client.stream("echo", "héllo\n{}")
    chunks = [chunk for chunk in first if chunk.text or "block" in chunk.data]
    assert [chunk.text for chunk in chunks] == [
        "You said 'héllo\\n{}'; ",
        "",
        "message 1 of this conversation.",
    ]
    assert client.chat("echo", "b", first.session_id).text.endswith(
        "message 2 of this conversation."
    )


@pytest.mark.parametrize(
    ("order", "first_text"),
    [
        ("aTbS", "a"),
        ("TaSb", ""),
        ("Nab", "ab"),
        ("NNaTNb", "a"),
        ("TN", ""),
        ("", ""),
        ("NaT", "a"),
    ],
)
def test_whole_reply_keeps_the_order_of_texts_and_blocks(workspace, client, order, first_text):
    kinds = {"T": "table_preview", "S": "suggestions", "N": "notification"}
    pieces = [
        {"type": kinds[mark], "payload": {"text": mark}} if mark in kinds else mark
        for mark in order
    ]

    @workspace.app("mixed")
    def mixed(session, text):
        yield from pieces

    response = client.chat("mixed", "x")
    assert response.raw["replies"][0]["text"] == first_text  # all that the official client shows
    whole, streamed = Reply("mixed", "x"), Reply("mixed", "x")
    whole.add_response(response)
    for chunk in client.stream("mixed", "x"):
        streamed.add_event(chunk.data)
    assert list(filter(None, whole.parts)) == streamed.parts
    assert len(whole.blocks) == len(streamed.blocks)
    assert whole.text == streamed.text


def test_texts_between_blocks_are_joined_by_a_blank_line(workspace, client):
    block = {"type": "suggestions", "payload": {}}
    workspace.app("mixed")(lambda session, text: ["One.\n", block, "\n\nTwo.", "\n\nThree."])
    assert client.chat("mixed", "x").text == "One.\n\nTwo.\n\nThree."


def test_added_app_can_be_replaced_and_priced(workspace, client):
    workspace.app("priced")(lambda session, text: "one")
    app_id = client.get_app("priced")["id"]
    workspace.app("priced", price_in_cents=250, pricing_type="monthly")(lambda s, t: ["t", "wo"])
    assert client.chat("priced", "x").text == "two"
    assert client.get_app("priced")["price_in_cents"] == 250
    assert client.get_app("priced")["id"] == app_id
    assert client.list_payments("priced") == []


def test_state_is_kept_within_one_conversation(workspace, client):
    @workspace.app("counter")
    def counter(session, text):
        session.data["n"] = session.data.get("n", 0) + 1
        yield str(session.data["n"])

    session = client.chat("counter", "x").session_id
    assert client.chat("counter", "x", session).text == "2"
    assert client.chat("counter", "x").text == "1"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda session, text: 1 / 0, "ZeroDivisionError"),
        (lambda session, text: [5], r"yield text or a block, not int; convert it with str\(\)"),
        (lambda session, text: 5, "must yield text or a block, not int"),
        (lambda session, text: [{"columns": []}], "a block must be a dict with a 'type'"),
        (
            lambda session, text: [{"type": "table_preview", "payload": {"rows": [[1]]}}],
            "has its rows in a dict 'table'",
        ),
        (lambda session, text: session.data.update(x=object()) or "fine", "not JSON serializable"),
        (lambda session, text: None, "returned None instead of a reply; yield text or a block"),
        (lambda session, text: sys.exit(3), "SystemExit"),
        (lambda session, text: ["\ud800"], "surrogates"),
        (lambda session, text: [{"type": "a", "payload": float("nan")}], "JSON"),
    ],
)
def test_error_in_an_app_reaches_chat_and_stream(workspace, client, answer, message):
    workspace.app("failing")(answer)
    workspace.app("healthy")(lambda session, text: "still here")
    with pytest.raises(cpsl.GatewayError, match=message):
        client.chat("failing", "x")
    with pytest.raises(cpsl.GatewayError, match=message):
        list(client.stream("failing", "x"))
    assert client.chat("healthy", "x").text == "still here"


def test_returned_text_or_block_is_the_last_piece(workspace, client):
    block = {"type": "activity", "payload": {"label": "counting"}}

    @workspace.app("returning")
    def returning(session, text):
        if text == "early":
            return "nothing to do"
        yield "one, "
        return "two"

    @workspace.app("wrong")
    def wrong(session, text):
        yield "one, "
        return 2

    workspace.app("block")(lambda session, text: block)
    for text, expected in [("early", "nothing to do"), ("x", "one, two")]:
        assert client.chat("returning", text).text == expected
    assert client.chat("block", "x").raw["replies"] == [{"text": "", "block": block}]
    with pytest.raises(cpsl.GatewayError, match="must yield text or a block, not int"):
        client.chat("wrong", "x")


def test_function_that_cannot_be_an_app_is_refused(workspace):
    async def later(session, text):
        return text

    async def one_by_one(session, text):
        yield text

    for answer, message in [
        ("hello", r"must be a function \(session, text\), not 'hello'"),
        (lambda text: text, r"must have two parameters.* instead of `def <lambda>\(text\)`"),
        (lambda session, text, more: text, "must have two parameters"),
        (later, "write `def later` instead of `async def later`"),
        (one_by_one, "write `def one_by_one` instead of `async def one_by_one`"),
    ]:
        with pytest.raises(TypeError, match=message):
            workspace.app("refused")(answer)
    workspace.app("flexible")(lambda *message, **options: message[1])
    workspace.app("formatted")("{0.id} {1}".format)  # written in C


def test_stopped_workspace_accepts_no_app(tmp_path):
    workspace = local.start(tmp_path)
    workspace.stop()
    with pytest.raises(UserError, match=r"This workspace is stopped\. Start one"):
        workspace.app("late")


def test_app_belongs_to_the_process_that_adds_it(tmp_path):
    with local.start(tmp_path, pace=0) as one, local.start(tmp_path, pace=0) as two:
        one.app("mine", price_in_cents=100)(lambda session, text: f"turn {len(session.history)}")
        app_id = next(app["id"] for app in one.list_apps() if app["name"] == "mine")
        with one.client() as client:
            session = client.chat("mine", "x").session_id
        with two.client() as client:
            assert client.app_names() == ["deal-desk", "diet-coach", "support-ops"]
            with pytest.raises(
                cpsl.NotFoundError, match=r"added it with @workspace\.app, add it again"
            ):
                client.chat(app_id, "x")
        one.stop()
        two.app("mine")(lambda session, text: f"now turn {len(session.history)}")
        with two.client() as client:  # the conversation continues
            assert client.chat("mine", "x", session).text == "now turn 1"


def test_history_is_a_sequence_of_the_earlier_turns(workspace, client):
    seen = []

    @workspace.app("remember")
    def remember(session, text):
        seen.append(session.history)
        return text.upper()

    session = client.chat("remember", "a").session_id
    for text in ("b", "c", "d"):
        client.chat("remember", text, session)
    turns = [Turn("a", "A"), Turn("b", "B"), Turn("c", "C")]
    assert [len(history) for history in seen] == [0, 1, 2, 3]
    history = seen[3]  # as it was before the last turn
    assert (list(history), list(reversed(history))) == (turns, turns[::-1])
    assert (history[0], history[-1], history[-2:]) == (turns[0], turns[2], turns[1:])
    assert (history[::2], history[::-2], history[5:]) == (turns[::2], turns[::-2], [])
    assert history == turns
    assert repr(history) == repr(turns)
    with pytest.raises(IndexError):
        history[3]


def test_turn_of_a_long_conversation_reads_only_what_the_app_uses(tmp_path, monkeypatch):
    with local.start(tmp_path, pace=0) as workspace, workspace.client() as client:
        workspace.app("last")(
            lambda session, text: [session.history[-1].reply, " ", *_count(session)]
        )
        session = client.chat("diet-coach", "an apple").session_id
        app_id = next(app["id"] for app in workspace.list_apps() if app["name"] == "last")
        rows = [(session, position, "x", f"reply {position}") for position in range(1, 100_000)]
        with contextlib.closing(sqlite3.connect(tmp_path / "workspace.sqlite")) as connection:
            connection.execute("UPDATE conversations SET app_id = ?", (app_id,))
            connection.executemany("INSERT INTO turns VALUES (?, ?, ?, ?)", rows)
            connection.commit()
        read = []
        monkeypatch.setattr(database, "Turn", lambda *row: read.append(row) or Turn(*row))
        assert client.chat("last", "x", session).text == "reply 99999 100000"
        assert len(read) == 1


def _count(session):
    yield str(len(session.history))


def test_turns_do_not_wait_until_the_disk_is_synced(tmp_path):
    """The write-ahead log stays while the workspace runs, and is merged when it stops."""
    with local.start(tmp_path, pace=0) as workspace, workspace.client() as client:
        log = tmp_path / "workspace.sqlite-wal"
        for _ in range(2):
            client.chat("diet-coach", "two eggs")
            assert log.stat().st_size > 0
    assert not log.exists()


def test_error_in_an_app_leaves_its_data_unchanged(workspace, client):
    @workspace.app("careful")
    def careful(session, text):
        if text == "read":
            return str(session.data)
        session.data["text"] = text
        if text == "fail":
            raise OSError("out of paper")
        if text == "wrong":
            session.data["text"] = {1, 2}
        return text

    session = client.chat("careful", "kept").session_id
    for text in ("fail", "wrong"):
        with pytest.raises(cpsl.GatewayError):
            client.chat("careful", text, session)
    assert client.chat("careful", "read", session).text == "{'text': 'kept'}"


def test_error_in_an_app_names_the_line_of_its_code(workspace, client):
    @workspace.app("dividing")
    def dividing(session, text):
        yield "a number: "
        yield str(1 / int(text))

    @workspace.app("counting")
    def counting(session, text):
        yield 5

    @workspace.app("parsing")
    def parsing(session, text):
        return str(json.loads(text))  # fails in an installed module

    @workspace.app("silent")
    def silent(session, text):
        print(text)

    @workspace.app("storing")
    def storing(session, text):
        session.data["texts"] = {text}
        yield "stored"

    expected = [
        ("silent", "0", "TypeError", '@workspace.app("silent")', "it returned None"),
        ("storing", "0", "TypeError", '@workspace.app("storing")', "session.data can hold only"),
        ("dividing", "0", "ZeroDivisionError", "yield str(1 / int(text))", "division by zero"),
        ("counting", "0", "TypeError", "yield 5", "an app must yield text or a block"),
        ("parsing", "{", "JSONDecodeError", "return str(json.loads(text))", "Expecting property"),
    ]
    lines = Path(__file__).read_text().splitlines()
    for app, text, kind, line, message in expected:
        number = next(n for n, code in enumerate(lines, 1) if line in code)
        place = f"the app '{app}' raised {kind} in test_own_apps.py, line {number} ({line}"
        for ask in (client.chat, lambda *message: list(client.stream(*message))):
            with pytest.raises(cpsl.GatewayError) as caught:
                ask(app, text)
            assert place in str(caught.value)
            assert message in str(caught.value)


def test_editing_a_cell_replaces_the_app_in_the_running_kernel(tmp_path):
    define = "@workspace.app('calc')\ndef calc(session, text):\n    return str(1 / 0)"
    cells = [
        "from cpsl_notebook import local, ask\nworkspace = local.start()\n"
        "client = workspace.client()",
        define,
        "try:\n    client.chat('calc', 'x')\nexcept Exception as error:\n    print(error)",
        define.replace("1 / 0", "6 / 3"),
        "print(client.chat('calc', 'x').text)\nworkspace.stop()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    failed, answered = notebook.cells[2].outputs[0].text, notebook.cells[4].outputs[0].text
    cell = "Cell In[2]" if IPython.version_info >= (8,) else "a cell"
    assert (
        f"the app 'calc' raised ZeroDivisionError in {cell}, line 3 (return str(1 / 0)): "
        "division by zero" in failed
    )
    assert answered == "2.0\n"


def test_app_runs_in_one_thread(workspace, client):
    @workspace.app("threads")
    def threads(session, text):
        for _ in range(20):
            yield f"{threading.get_ident()} "

    used = {chunk.text for chunk in client.stream("threads", "x")} - {""}
    assert len(used) == 1


def test_waiting_apps_do_not_block_other_requests(workspace, client):
    count = 60  # more than the threads of the server's pool
    waiting, proceed = threading.Semaphore(0), threading.Event()

    @workspace.app("waiting")
    def wait(session, text):
        waiting.release()
        proceed.wait(60)
        return "done"

    with ThreadPoolExecutor(count) as pool:
        replies = [pool.submit(client.chat, "waiting", "x") for _ in range(count)]
        try:
            for _ in range(count):
                assert waiting.acquire(timeout=60)
            assert client.get_app("diet-coach")["name"] == "diet-coach"
            assert "| apple | 1 | 95 kcal |" in client.chat("diet-coach", "an apple").text
            assert len(client.list_payments("support-ops")) > 1000
        finally:
            proceed.set()
        assert [reply.result().text for reply in replies] == ["done"] * count


def test_stop_does_not_wait_for_an_app_that_blocks(tmp_path):
    begun, proceed = threading.Event(), threading.Event()
    workspace = local.start(tmp_path)

    @workspace.app("blocked")
    def blocked(session, text):
        begun.set()
        proceed.wait()
        return "done"

    with workspace.client() as client, ThreadPoolExecutor(1) as pool:
        reply = pool.submit(client.chat, "blocked", "x")
        assert begun.wait(30)
        stopped = threading.Thread(target=workspace.stop)
        stopped.start()
        stopped.join(60)
        assert not stopped.is_alive()
        assert not workspace._thread.is_alive()
        assert isinstance(reply.exception(60), cpsl.CapsuleError)
    proceed.set()


def test_messages_above_the_limit_wait_for_an_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(http_server, "MAX_ANSWERS", 2)
    running, most = [], []

    with local.start(tmp_path) as workspace, workspace.client() as client:

        @workspace.app("busy")
        def busy(session, text):
            running.append(text)
            most.append(len(running))
            time.sleep(0.05)
            running.remove(text)
            return text

        with ThreadPoolExecutor(6) as pool:
            texts = [str(number) for number in range(6)]
            assert [r.text for r in pool.map(lambda t: client.chat("busy", t), texts)] == texts
    assert max(most) == 2


def test_invalid_app_name_or_price_is_refused(workspace):
    for name in ("", "Echo", "a b", "x" * 64, "-a", "x" * 36, 5):
        with pytest.raises(ValueError, match="Invalid app name"):
            workspace.app(name)(lambda session, text: "")
    for price in (-1, 1.5, "5", True, 2**70):
        with pytest.raises(ValueError, match="price_in_cents"):
            workspace.app("cheap", price_in_cents=price)(lambda session, text: "")
    with pytest.raises(ValueError, match="Invalid pricing_type 'daily': pass 'one_time'"):
        workspace.app("cheap", pricing_type="daily")(lambda session, text: "")
    with pytest.raises(TypeError, match="decorator needs the app's name"):
        workspace.app(lambda session, text: "")


def test_turn_is_recorded_when_the_reader_disconnects(workspace, client):
    left = threading.Event()

    @workspace.app("slow")
    def slow(session, text):
        if text == "again":
            yield session.history[0].reply
            return
        yield "first "
        left.wait(10)
        for _ in range(1000):
            yield "x" * 100_000

    with client.stream("slow", "begin") as stream:
        while not stream.text:
            next(stream)
        session = stream.session_id
    left.set()
    for _ in range(100):
        try:
            again = client.chat("slow", "again", session).text
            break
        except cpsl.GatewayError:  # the first turn is not recorded yet
            threading.Event().wait(0.05)
    assert again.startswith("first ")
