"""Errors that users see: one line, fixed classes, and suggestions of close names only."""

import copy
import pickle

import pytest

from cpsl_notebook.errors import (
    ClientError,
    PromptError,
    StoppedError,
    UsageError,
    UserError,
    as_user_error,
    did_you_mean,
)

ERRORS = [
    UserError("No reply yet."),
    UserError("No reply yet.", label="Custom"),
    UsageError("Unknown option."),
    UsageError("The text must be a string.", label="TypeError"),
    StoppedError("The reply is incomplete."),
    PromptError("There is no variable 'x'.", label="NameError"),
    ClientError("No such app.", label="AppNotFoundError"),
]
LINES = [
    "No reply yet.",
    "Custom: No reply yet.",
    "UsageError: Unknown option.",
    "TypeError: The text must be a string.",
    "Stopped: The reply is incomplete.",
    "NameError: There is no variable 'x'.",
    "AppNotFoundError: No such app.",
]


@pytest.mark.parametrize(("error", "line"), list(zip(ERRORS, LINES, strict=True)), ids=LINES)
def test_error_is_shown_as_one_line_with_its_label(error, line):
    assert error._render_traceback_() == [line]


@pytest.mark.parametrize(
    "duplicate",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize("error", ERRORS, ids=LINES)
def test_error_can_be_pickled_and_copied(error, duplicate):
    again = duplicate(error)
    assert type(again) is type(error)
    assert (str(again), again.label) == (str(error), error.label)
    assert again._render_traceback_() == error._render_traceback_()


def test_message_cannot_control_a_terminal():
    assert str(UserError("\x1b[31mred\x1b[0m\u202e")) == "red"


def test_other_errors_become_one_line_with_their_class():
    error = as_user_error(ValueError("two\nlines"))
    assert error._render_traceback_() == ["ValueError: two lines (use --traceback to see where)"]
    assert as_user_error(error) is error


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("--nwe", ["--new", "--once"], "Did you mean '--new'?"),
        ("--o", ["--once", "--out", "-o"], ""),
        ("-x", ["-o", "-n"], ""),
        ("PAYMENTS", ["payments"], "Did you mean 'payments'?"),
        ("pay", ["payments", "apps"], "Did you mean 'payments'?"),
        ("nope", ["ne", "pop", "note_text"], ""),
        ("tabel", ["table", "tables", "_tabel", 3], "Did you mean 'table' or 'tables'?"),
        ("suport-op", ["support-ops", "deal-desk"], "Did you mean 'support-ops'?"),
        ("nwe", ["new", "use"], "Did you mean 'new'?"),
        ("", ["payments"], ""),
    ],
)
def test_only_close_names_are_suggested(word, known, expected):
    assert did_you_mean(word, known) == expected
