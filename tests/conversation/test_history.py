"""The history as a file, and the help, whose examples work."""

import json

import pandas as pd
import pytest
from shells import new_shell

from cpsl_notebook import Reply
from cpsl_notebook.magics.subcommands import CELL, COMMANDS
from cpsl_notebook.magics.tables import history_frame
from cpsl_notebook.reply.markdown import code


@pytest.fixture
def shell(workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


@pytest.fixture
def asked(shell):
    """A shell with two turns, one of them with a fence and odd characters."""
    shell.run("n = 2")
    shell.run("%%capsule diet-coach\n{{ n }} eggs")
    shell.run("%%capsule diet-coach\nétrange 🎉\n```\ncode\n```\n| a |")
    return shell


def test_the_history_has_the_columns_that_are_promised(asked):
    history = asked.run("%capsule history").value
    assert list(history.columns) == (
        "sent_at cell_id execution_count app conversation turn template prompt reply status "
        "first_chunk_s total_s session_id request_id".split()
    )
    assert history["template"][0] == "{{ n }} eggs"
    assert history["prompt"][0] == "2 eggs"
    assert history["execution_count"].notna().all()


def test_the_history_is_saved_as_json_lines(asked, tmp_path):
    assert asked.run("%capsule history --save a.jsonl").text == "Saved 2 turns in a.jsonl.\n"
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["turn"] for row in rows] == [1, 2]
    assert rows[1]["prompt"].startswith("étrange 🎉\n```") and rows[0]["template"] == "{{ n }} eggs"
    assert pd.Timestamp(rows[0]["sent_at"]).tzinfo is not None


def test_the_history_is_saved_as_parquet_with_its_types(asked, tmp_path):
    history = asked.run("%capsule history").value
    asked.run("%capsule history --save a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), history)


def test_the_history_is_saved_as_markdown_to_read(asked, tmp_path):
    asked.run("%capsule history --save a.md")
    text = (tmp_path / "a.md").read_text("utf-8")
    assert "## diet-coach, conversation" in text and ", turn 2" in text
    assert (
        "````text\nétrange 🎉\n```\ncode\n```\n| a |\n````" in text
    )  # a fence longer than its own
    assert asked.run("%capsule last").value.text.strip() in text


def test_a_file_that_is_there_is_kept_unless_it_shall_be_replaced(asked, tmp_path):
    (tmp_path / "a.md").write_text("precious")
    assert "--force" in asked.error("%capsule history --save a.md")
    assert (tmp_path / "a.md").read_text() == "precious"
    asked.run("%capsule history --save a.md --force")
    assert "diet-coach" in (tmp_path / "a.md").read_text()
    assert "cannot be written" in asked.error("%capsule history --save none/a.md")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".a")] == []


def test_a_fence_that_a_reply_left_open_does_not_swallow_the_next_turn(shell, workspace, tmp_path):
    workspace.app("coder")(lambda session, text: text)
    for cell in ("````\n```\nx = 1", "~~~\ny = 2\n~~~"):
        shell.run(f"%%capsule coder -q\n{cell}")
    shell.run(f"%capsule history --save {tmp_path / 'kept.md'}")
    kept = (tmp_path / "kept.md").read_text()
    assert code(kept)[1::2] == ["```\nx = 1\n", "y = 2\n"]
    assert kept.count("~~~") == 4


def test_a_name_that_is_too_long_for_a_file_is_one_line(shell, tmp_path):
    assert "cannot be written" in shell.error(f"%capsule history --save {tmp_path}/{'x' * 300}.md")


def test_half_of_a_character_in_a_reply_breaks_no_table():
    reply = Reply(app="x", prompt="y", pieces=["half \ud83d"])
    assert history_frame([reply])["reply"][0] == "half \ufffd"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_subcommand_has_its_usage_and_examples(shell, name):
    text = shell.run(f"%capsule help {name}").text
    assert text.startswith(f"usage: %capsule {name}") and "examples:" in text
    assert (
        text == shell.run(f"%capsule {name} --help").text == shell.run(f"%capsule {name} -h").text
    )


EXAMPLES = [(name, COMMANDS[name].examples) for name in COMMANDS if name != "login"]


@pytest.mark.parametrize(("name", "examples"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_examples_in_the_help_work(asked, name, examples):
    asked.run("%capsule use diet-coach")
    before = len(asked.run("%capsule history").value)
    asked.run(examples)
    assert len(asked.run("%capsule history").value) == before


def test_the_examples_of_the_cell_magic_work(shell):
    for cell in CELL.examples.split("\n\n"):
        shell.run(cell)
    assert shell.run("%capsule last").value.turn == 2
    assert shell.run("%capsule last").value.prompt.startswith("Shorten this to one sentence: **85")


def test_the_question_mark_shows_the_help(shell):
    for name in ("%capsule", "%%capsule"):
        found = shell.shell.object_inspect(name)
        assert "%capsule payments" in found["docstring"] and "--dry-run" in found["docstring"]


def test_every_setting_is_described_in_config(shell):
    text = shell.run("%config CapsuleMagics").text
    for name in ("app", "timeout", "display", "resume", "remote_images"):
        described = text.partition(f"CapsuleMagics.{name}=")[2].partition("CapsuleMagics.")[0]
        assert len(described.splitlines()) > 1, name
