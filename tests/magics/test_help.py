"""The help of the magics, whose examples work."""

import pytest
from shells import new_shell

from cpsl_notebook.magics.subcommands import CELL, COMMANDS


@pytest.fixture
def shell(workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_subcommand_has_usage_and_examples(shell, name):
    text = shell.run(f"%capsule help {name}").text
    assert text.startswith(f"usage: %capsule {name}") and "examples:" in text
    assert (
        text == shell.run(f"%capsule {name} --help").text == shell.run(f"%capsule {name} -h").text
    )


EXAMPLES = [(name, COMMANDS[name].examples) for name in COMMANDS if name != "login"]


@pytest.mark.parametrize(("name", "examples"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_in_help_work(shell, name, examples):
    for _ in range(2):
        shell.run("%%capsule diet-coach\nan apple")
    shell.run(examples)
    assert len(shell.run("%capsule history").value) == 2


def test_examples_of_cell_magic_work(shell):
    for cell in CELL.examples.split("\n\n"):
        shell.run(cell)
    assert shell.run("%capsule last").value.turn == 2
    assert shell.run("%capsule last").value.prompt.startswith("Shorten this to one sentence: **85")


def test_question_mark_shows_help(shell):
    for name in ("%capsule", "%%capsule"):
        found = shell.shell.object_inspect(name)
        assert "%capsule payments" in found["docstring"] and "--dry-run" in found["docstring"]


def test_every_setting_has_a_description(shell):
    text = shell.run("%config CapsuleMagics").text
    for name in ("app", "timeout", "display", "resume", "remote_images"):
        described = text.partition(f"CapsuleMagics.{name}=")[2].partition("CapsuleMagics.")[0]
        assert len(described.splitlines()) > 1, name
