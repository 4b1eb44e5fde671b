"""The history of a kernel as a table and as a file."""

import json

import pandas as pd
import pytest
from shells import new_shell

from cpsl_notebook import Reply
from cpsl_notebook.conversation.history import history_frame
from cpsl_notebook.reply.markdown import code_blocks


@pytest.fixture
def shell(workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


@pytest.fixture
def asked(shell):
    """A shell with two turns, the second with a fence and characters beyond ASCII."""
    shell.run("n = 2")
    shell.run("%%capsule diet-coach\n{{ n }} eggs")
    shell.run("%%capsule diet-coach\nétrange 🎉\n```\ncode\n```\n| a |")
    return shell


def test_history_has_documented_columns(asked):
    history = asked.run("%capsule history").value
    assert list(history.columns) == (
        "sent_at app prompt reply status total_s first_chunk_s conversation turn template cell_id "
        "execution_count session_id request_id".split()
    )
    assert history["template"][0] == "{{ n }} eggs"
    assert history["prompt"][0] == "2 eggs"
    assert history["execution_count"].notna().all()


def test_history_is_saved_as_json_lines(asked, tmp_path):
    assert asked.run("%capsule history --save a.jsonl").text == "Saved 2 turns in a.jsonl.\n"
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["turn"] for row in rows] == [1, 2]
    assert rows[1]["prompt"].startswith("étrange 🎉\n```") and rows[0]["template"] == "{{ n }} eggs"
    assert pd.Timestamp(rows[0]["sent_at"]).tzinfo is not None


def test_history_is_saved_as_parquet_with_dtypes(asked, tmp_path):
    history = asked.run("%capsule history").value
    asked.run("%capsule history --save a.parquet")
    saved = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(saved, pd.DataFrame(history))


def test_history_is_saved_as_markdown(asked, tmp_path):
    asked.run("%capsule history --save a.md")
    text = (tmp_path / "a.md").read_text("utf-8")
    assert "## diet-coach, conversation" in text and ", turn 2" in text
    assert (
        "````text\nétrange 🎉\n```\ncode\n```\n| a |\n````" in text
    )  # a fence longer than its own
    assert asked.run("%capsule last").value.text.strip() in text


def test_existing_file_is_only_replaced_with_force(asked, tmp_path):
    (tmp_path / "a.md").write_text("precious")
    assert asked.error("%capsule history --save a.md") == (
        "a.md already exists. Use another name, or replace it with --force."
    )
    assert (tmp_path / "a.md").read_text() == "precious"
    asked.run("%capsule history --save a.md --force")
    assert "diet-coach" in (tmp_path / "a.md").read_text()
    for name in ("none/a.md", "none/a.jsonl", "none/a.parquet"):
        assert f"Cannot write {name}: " in asked.error(f"%capsule history --save {name}")
    assert "ends in .jsonl, .parquet or .md." in asked.error("%capsule history --save a.txt")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.md"]


def test_open_fence_of_a_reply_is_closed(shell, workspace, tmp_path):
    workspace.app("coder")(lambda session, text: text)
    for cell in ("````\n```\nx = 1", "~~~\ny = 2\n~~~"):
        shell.run(f"%%capsule coder -q\n{cell}")
    shell.run(f"%capsule history --save {tmp_path / 'kept.md'}")
    kept = (tmp_path / "kept.md").read_text()
    assert code_blocks(kept)[1::2] == ["```\nx = 1\n", "y = 2\n"]
    assert kept.count("~~~") == 4


def test_name_too_long_for_a_file_is_one_line(shell, tmp_path):
    line = shell.error(f"%capsule history --save {tmp_path}/{'x' * 300}.md")
    assert line.startswith("Cannot write ") and line.endswith(
        ": File name too long. Choose another file or folder."
    )


def test_lone_surrogate_is_replaced_in_history():
    reply = Reply(app="x", prompt="y", pieces=["half \ud83d"])
    assert history_frame([reply])["reply"][0] == "half \ufffd"
