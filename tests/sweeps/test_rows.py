"""Input rows, variants and sessions: what is sent, and how the answers are arranged."""

import collections
import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from fast_gateway import APP, CRASHED

import cpsl
from cpsl_notebook import sweep
from cpsl_notebook.errors import PromptError, UsageError, UserError

THREADS = pd.DataFrame(
    {"subject": ["Refund", "Login"], "First name": ["Ada", "Ben"], "n": [1, 2]}, index=[7, 3]
)


def test_columns_fill_the_prompt_and_the_index_is_kept(client):
    prompt = "{{ greeting }} {{ row['First name'] }}: {{ subject }} {{ n }}"
    names = {"greeting": "To", "subject": "a variable of the notebook"}
    answers = sweep(THREADS, prompt, APP, client=client, namespace=names)
    assert answers["prompt"].tolist() == ["To Ada: Refund 1", "To Ben: Login 2"]
    assert answers["reply"].tolist() == ["You said To Ada: Refund 1", "You said To Ben: Login 2"]
    assert answers.index.tolist() == [7, 3]
    assert {name: str(dtype) for name, dtype in answers.dtypes.items()} == {
        "prompt": "string",
        "reply": "string",
        "status": "category",
        "error": "string",
        "attempts": "int64",
        "first_text_s": "Float64",
        "total_s": "Float64",
        "session_id": "string",
        "request_id": "string",
    }
    assert answers["status"].tolist() == ["ok", "ok"]
    assert answers["attempts"].tolist() == [1, 1]
    assert answers["error"].isna().all()
    assert (answers["first_text_s"] <= answers["total_s"]).all()
    assert answers["session_id"].nunique() == answers["request_id"].nunique() == 2


Thread = collections.namedtuple("Thread", "subject n")


@pytest.mark.parametrize(
    "data",
    [
        THREADS["subject"],
        pd.Series(["Refund", "Login"]),
        ["Refund", "Login"],
        iter(("Refund", "Login")),
        pl.Series(["Refund", "Login"]),
        pa.chunked_array([["Refund"], ["Login"]]),
    ],
    ids=["named series", "series", "list", "iterator", "polars series", "arrow array"],
)
def test_values_without_columns_are_called_value(client, data):
    answers = sweep(data, "About {{ value }}", APP, client=client)
    assert answers["prompt"].tolist() == ["About Refund", "About Login"]


@pytest.mark.parametrize(
    "data",
    [
        [{"subject": "Refund", "n": 1}, {"subject": "Login", "n": None}],
        [Thread("Refund", 1), Thread("Login", None)],
        (
            dict(zip(("subject", "n"), pair, strict=True))
            for pair in (("Refund", 1), ("Login", None))
        ),
    ],
    ids=["dicts", "named tuples", "generator"],
)
def test_items_with_fields_are_rows_with_their_own_values(client, data):
    answers = sweep(data, "{{ subject }} {{ n!s }} {{ row['n']!s }}", APP, client=client, keep=True)
    assert answers["prompt"].tolist() == ["Refund 1 1", "Login None None"]
    assert answers["subject"].tolist() == ["Refund", "Login"]


def test_an_arrow_stream_keeps_integers_with_missing_values(client):
    frame = pl.DataFrame({"subject": ["Refund", "Login"], "n": [1, None]})
    answers = sweep(frame, "{{ subject }} {{ n!s }}", APP, client=client, keep=True)
    assert answers["prompt"].tolist() == ["Refund 1", "Login <NA>"]
    assert answers["n"].iloc[0] == 1 and pd.isna(answers["n"].iloc[1])


def test_a_series_is_known_by_its_own_name_too(client):
    answers = sweep(THREADS["subject"], "{{ subject }} {{ value }}", APP, client=client)
    assert answers["prompt"].tolist() == ["Refund Refund", "Login Login"]
    assert answers.index.tolist() == [7, 3]


def test_a_column_named_row_wins_over_the_whole_row(client):
    answers = sweep(pd.DataFrame({"row": ["x"]}), "{{ row }}", APP, client=client)
    assert answers["prompt"].tolist() == ["x"]


def test_no_rows_give_an_empty_frame_without_a_request(client, gateway):
    answers = sweep(THREADS.head(0), "{{ subject }}", APP, client=client, keep=True)
    assert len(answers) == 0
    assert answers.columns[:4].tolist() == ["subject", "First name", "n", "prompt"]
    assert not gateway.received


@pytest.mark.parametrize("data", ["text", b"text", {"a": 1}, 5, None])
def test_data_without_rows_are_refused(client, data):
    with pytest.raises(UsageError, match="must be a DataFrame, a Series or a list"):
        sweep(data, "x", APP, client=client)


def test_mappings_mixed_with_other_rows_are_refused(client, gateway):
    message = (
        "The rows mix mappings and other values: item 0 is of type dict, item 1 of type int. Pass "
        "rows of one kind."
    )
    with pytest.raises(UsageError) as caught:
        sweep([{"q": 1}, 5], "x {{ q }}", APP, client=client)
    assert str(caught.value) == message
    assert not gateway.received


def test_missing_values_are_refused_before_anything_is_sent(client, gateway, store):
    frame = pd.DataFrame(
        {"subject": ["a", None, None], "n": [float("nan"), 1, 2], "at": [pd.NaT] * 3},
        index=[7, 3, 1],
    )
    for prompt, start in {
        "{{ subject }} {{ n!s }}": "{{ subject }} has no value in 2 of 3 rows; the first is Row 3",
        "{{ n:.1f }} {{ n:.1f }}": "{{ n:.1f }} has no value in 1 of 3 rows; the first is Row 7.",
        "{{ row['at'] }}": "{{ row['at'] }} has no value in 3 of 3 rows; the first is Row 7.",
    }.items():
        with pytest.raises(PromptError) as caught:
            sweep(frame, prompt, APP, client=client, store=store)
        assert str(caught.value).startswith(start)
        assert "add a conversion, as in {{ n!s }}, to send missing values" in str(caught.value)
    assert not gateway.received and not store.exists()
    answers = sweep(frame, "{{ subject!s }}", APP, client=client)
    missing = str(frame["subject"][3])  # "nan", or "None" before pandas 3
    assert answers["prompt"].tolist() == ["a", missing, missing]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (
            "{{ subjekt:>9 }}",
            "{{ subjekt:>9 }} would be sent unchanged, because there is no variable",
        ),
        (
            "{{ subject[ }}",
            "{{ subject[ }} would be sent unchanged, because its braces, brackets or",
        ),
        (
            "{{ subject }",
            "{{ subject } would be sent unchanged, because its braces, brackets or quotes",
        ),
    ],
)
def test_braces_that_would_be_sent_unchanged_are_refused(client, gateway, prompt, message):
    with pytest.raises(PromptError) as caught:
        sweep(THREADS, prompt, APP, client=client)
    assert str(caught.value).startswith(f"Row 7: {message}")
    assert not gateway.received
    answers = sweep(THREADS, prompt, APP, client=client, raw=True)
    assert answers["prompt"].tolist() == [prompt] * 2


@pytest.mark.parametrize("braces", ["{{ }}", "{{}}"])
def test_empty_braces_are_refused(client, gateway, braces):
    with pytest.raises(PromptError, match=r"is empty\. Write an expression"):
        sweep(THREADS, f"{{{{ subject }}}} {braces}", APP, client=client)
    assert not gateway.received


def test_literal_braces_can_be_written_as_the_error_says(client):
    with pytest.raises(PromptError, match="For two literal braces, write") as caught:
        sweep(THREADS, "{{ .Values.x }}", APP, client=client)
    braces = str(caught.value).partition("braces, write ")[2].partition(";")[0]
    answers = sweep(THREADS, f"{braces} .Values.x }}}} {{{{ n }}}}", APP, client=client)
    assert answers["prompt"].tolist() == ["{{ .Values.x }} 1", "{{ .Values.x }} 2"]


def test_two_columns_of_one_name_are_refused(client):
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(UsageError, match="two columns named 'a'"):
        sweep(twice, "{{ a }}", APP, client=client)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{{ subjekt }}", "Row 7: .*subjekt"),
        ("{{ 1 // (n - 2) }}", "Row 3: .*"),
        ("  ", "Row 7: the prompt is empty"),
        ("half a character \ud800", "Row 7: the prompt contains a lone surrogate"),
    ],
)
def test_a_prompt_that_cannot_be_filled_costs_nothing(client, gateway, prompt, message):
    with pytest.raises(UserError, match=message):
        sweep(THREADS, prompt, APP, client=client)
    assert not gateway.received


def test_the_error_of_a_prompt_keeps_its_name(client):
    with pytest.raises(PromptError) as caught:
        sweep(THREADS, "{{ subjekt }}", APP, client=client)
    assert caught.value.label == "NameError"


def test_raw_sends_braces_unchanged(client):
    answers = sweep(["x"], "{{ value }}", APP, client=client, raw=True)
    assert answers["prompt"].tolist() == ["{{ value }}"]


def test_keep_joins_the_answers_to_the_input(client):
    answers = sweep(THREADS, "{{ subject }}", APP, client=client, keep=True)
    assert answers.columns[:5].tolist() == ["subject", "First name", "n", "prompt", "reply"]
    assert answers["First name"].tolist() == ["Ada", "Ben"]
    assert str(answers["n"].dtype) == "int64"


def test_a_clashing_name_is_an_error_before_anything_is_sent(client, gateway):
    frame = pd.DataFrame({"reply": ["Hello"], "status": ["open"]})
    with pytest.raises(UsageError, match=r"already has a column reply, status: pass prefix="):
        sweep(frame, "{{ reply }}", APP, client=client, keep=True)
    assert not gateway.received
    answers = sweep(frame, "{{ reply }}", APP, client=client, keep=True, prefix="answer_")
    assert answers["reply"].tolist() == ["Hello"]
    assert answers["answer_reply"].tolist() == ["You said Hello"]


def test_json_answers_become_typed_columns(client, gateway):
    replies = {
        "a": '{"label": "billing", "n": 1, "share": 0.5, "sure": true, "tags": ["x"]}',
        "b": '```json\n{"label": "mobile", "n": 2}\n```',
        "c": "no JSON at all",
        "d": "[1, 2]",
    }
    gateway.rule = lambda text, number: replies[text]
    answers = sweep(list("abcd"), "{{ value }}", APP, client=client, json=True)
    assert answers["status"].tolist() == ["ok", "ok", "unparsed", "ok"]
    assert answers["reply"].iloc[2] == "no JSON at all"
    assert "JSON" in answers["error"].iloc[2]
    assert answers["label"].tolist()[:2] == ["billing", "mobile"]
    assert answers["label"].isna().tolist() == [False, False, True, True]
    dtypes = {name: str(answers[name].dtype) for name in ("label", "n", "share", "sure", "tags")}
    assert dtypes == {
        "label": "string",
        "n": "Int64",
        "share": "Float64",
        "sure": "boolean",
        "tags": "object",
    }
    assert answers["tags"].iloc[0] == ["x"]
    assert answers["value"].iloc[3] == [1, 2]


def test_json_keys_that_clash_are_renamed_so_that_no_answer_is_lost(client, gateway):
    gateway.rule = lambda text, number: '{"status": "open", "value": 1}'
    answers = sweep(["a"], "{{ value }}", APP, client=client, json=True, keep=True)
    assert answers["status"].tolist() == ["ok"]
    assert answers["status_json"].tolist() == ["open"]
    assert (answers["value"].tolist(), answers["value_json"].tolist()) == (["a"], [1])


def test_an_integer_of_any_size_stays_exact(client, gateway):
    gateway.rule = lambda text, number: '{"n": 123456789012345678901234567890}'
    answers = sweep(["a"], "{{ value }}", APP, client=client, json=True)
    assert answers["n"].tolist() == [123456789012345678901234567890]


def test_tables_become_columns_and_several_rows_become_lists(client, gateway):
    head = "| queue | open |\n| --- | --- |\n"
    gateway.rule = lambda text, number: head + "| billing | 3 |"
    answers = sweep(["a", "b"], "{{ value }}", APP, client=client, table=True)
    assert answers["queue"].tolist() == ["billing", "billing"]
    assert answers["open"].tolist() == [3, 3]
    rows = {"a": "| billing | 3 |\n| mobile | 4 |", "b": "| security | 5 |"}
    gateway.rule = lambda text, number: head + rows[text]
    answers = sweep(["a", "b"], "{{ value }}", APP, client=client, table=True)
    assert answers["queue"].tolist() == [["billing", "mobile"], ["security"]]
    assert answers.explode(["queue", "open"])["open"].tolist() == [3, 4, 5]
    gateway.rule = lambda text, number: head + "| x | 1 |\n\nand\n\n" + head + "| y | 2 |"
    answers = sweep(["a"], "{{ value }}", APP, client=client, table=True)
    assert answers["status"].tolist() == ["unparsed"]
    assert answers["error"].tolist() == [
        "The reply contains 2 tables. Ask the app for exactly one."
    ]


def test_several_prompts_and_apps_give_a_row_for_each_combination(client):
    other = APP.replace("1", "2")
    answers = sweep(
        THREADS, ["A {{ n }}", "B {{ n }}"], [APP, other], client=client, repeat=2, keep=True
    )
    assert len(answers) == 16
    assert answers.index.tolist() == [7] * 8 + [3] * 8
    assert answers["variant"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 2
    assert answers["app"].tolist() == [APP, APP, other, other] * 4
    assert answers["repeat"].tolist() == [0, 1] * 8
    assert answers["prompt"].tolist() == ["A 1"] * 4 + ["B 1"] * 4 + ["A 2"] * 4 + ["B 2"] * 4
    assert answers["n"].tolist() == [1] * 8 + [2] * 8


def test_prompts_by_name_are_variants_of_that_name(client):
    answers = sweep(["x"], {"short": "A {{ value }}", "long": "B {{ value }}"}, APP, client=client)
    assert answers["variant"].tolist() == ["short", "long"]
    assert "app" not in answers and "repeat" not in answers


def test_one_prompt_in_a_list_is_a_variant(client):
    assert sweep(["x"], ["A"], [APP], client=client)[["variant", "app"]].values.tolist() == [
        [0, APP]
    ]


def test_a_session_column_groups_rows_in_order(client, gateway):
    frame = pd.DataFrame({"who": ["a", "b", "a", None, "a", None], "n": range(6)})
    answers = sweep(frame, "{{ n }}", APP, client=client, session="who")
    ids = answers["session_id"].tolist()
    assert ids[0] == ids[2] == ids[4]
    assert len(set(ids)) == 4
    turns = [text for session, text in gateway.sessions if session == ids[0]]
    assert turns == ["2", "4"]  # the first turn starts the conversation
    assert [text for session, text in gateway.sessions if not session and text in "024"] == ["0"]


def test_a_turn_that_fails_ends_its_session_only(client, gateway):
    gateway.rule = lambda text, number: CRASHED if text == "2" else f"You said {text}"
    frame = pd.DataFrame({"who": ["a", "b", "a", "b", "a"], "n": range(5)})
    answers = sweep(frame, "{{ n }}", APP, client=client, session="who")
    assert answers["status"].tolist() == ["ok", "ok", "error", "ok", "stopped"]
    assert answers["error"].iloc[4] == "An earlier row of this session was not answered."
    assert answers["attempts"].tolist() == [1, 1, 1, 1, 0]
    assert gateway.received["4"] == 0


def test_an_unknown_session_column_names_the_nearest(client):
    with pytest.raises(UsageError, match=r"no column 'whom' for session=\. Did you mean 'who'"):
        sweep(pd.DataFrame({"who": ["a"]}), "x", APP, client=client, session="whom")


def test_a_long_prompt_is_sent_with_chat(client, gateway):
    answers = sweep(["x" * 20_000], "{{ value }}", APP, client=client)
    assert answers["reply"].iloc[0] == "You said " + "x" * 20_000
    assert answers["first_text_s"].iloc[0] == answers["total_s"].iloc[0]


def test_without_streaming_the_answers_are_the_same(client):
    streamed = sweep(["a", "b"], "{{ value }}", APP, client=client)
    whole = sweep(["a", "b"], "{{ value }}", APP, client=client, stream=False)
    assert whole["reply"].tolist() == streamed["reply"].tolist()
    assert whole["status"].tolist() == ["ok", "ok"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeat": 0}, "repeat must be an integer of at least 1, not 0"),
        ({"repeat": True}, "repeat must be an integer of at least 1, not True"),
        ({"timeout": 0}, "Invalid timeout: 0. Use a number of seconds above 0, up to 1,000,000."),
        ({"timeout": "5"}, "Invalid timeout: '5'. Use a number of seconds above 0"),
        ({"timeout": True}, "Invalid timeout: True. Use"),
        ({"timeout": float("nan")}, "Invalid timeout: nan. Use"),
        (
            {"prompt": None},
            "prompt must be a string, a list or a dict of strings, not None",
        ),
        ({"namespace": 5}, "namespace must be a mapping of names to values, not 5"),
        ({"client": "x"}, "client must be a cpsl_notebook.Client or cpsl.Client, not 'x'"),
        (
            {"client": cpsl.Client},
            "client must be a cpsl_notebook.Client or cpsl.Client, not <class",
        ),
        ({"prefix": 5}, "prefix must be a string, not 5"),
        ({"session": ["value"]}, r"session must be a column's name, not \['value'\]"),
        ({"session": 5}, "There is no column 5 for session="),
        ({"app": 5}, "app must be the name or id of an app, or a list of different ones, not 5"),
        ({"app": ["a", ""]}, "app must be the name or id of an app"),
        ({"app": [1]}, "app must be the name or id of an app"),
        ({"json": "yes"}, "json must be True or False, not 'yes'"),
        ({"rpm": True}, "rpm must be a number above 0, not True"),
        ({"max_active": 0}, "max_active must be an integer of at least 1"),
        ({"max_failures": 0}, "max_failures must be an integer of at least 1"),
        ({"rpm": 0}, "rpm must be a number above 0, not 0"),
        ({"on_error": "ignore"}, "on_error must be 'continue' or 'raise'"),
        ({"json": True, "table": True}, "json= and table= cannot be combined"),
        ({"app": []}, "a list of different ones"),
        ({"app": [APP, APP]}, "a list of different ones"),
        ({"prompt": []}, "There is no prompt to send"),
        ({"prompt": [1]}, "Prompt 0 must be a string, not 1"),
        ({"executor": object()}, "executor must be a concurrent.futures.Executor, not <object"),
        (
            {"executor": ThreadPoolExecutor},
            "executor must be a concurrent.futures.Executor, not <cl",
        ),
        ({"prompt": b"x"}, "prompt must be a string, a list or a dict of strings, not bytes"),
        ({"on_error": pd.DataFrame({"a": [1, 2]})}, "'continue' or 'raise', not DataFrame"),
        ({"session": "value", "resend_unparsed": True}, "cannot be combined with session="),
    ],
)
def test_an_invalid_argument_is_one_line_before_anything_is_sent(
    client, gateway, store, options, message
):
    options = {"prompt": "{{ value }}", "app": APP, "client": client, "store": store} | options
    with pytest.raises(UsageError, match=message):
        sweep(["x"], **options)
    assert not gateway.received and not store.exists()


@pytest.mark.parametrize("name", ["first name", "it is", "2nd"])
def test_column_that_is_not_a_name_gets_the_code_that_works(client, name):
    rows = [{name: "Ada"}]
    with pytest.raises(UserError) as raised:
        sweep(rows, f"Hello {{{{ {name} }}}}", APP, client=client)
    placeholder = re.search(r"Write (\{\{ .*? \}\})\. ", str(raised.value))[1]
    answers = sweep(rows, f"Hello {placeholder}", APP, client=client)
    assert answers["prompt"].tolist() == ["Hello Ada"]


def test_apps_may_be_any_iterable_of_names(client):
    answers = sweep(["x"], "{{ value }}", pd.Series([APP]), client=client)
    assert answers["app"].tolist() == [APP]


def test_session_values_that_are_not_hashable_are_refused(client, gateway):
    frame = pd.DataFrame({"who": [["a"], ["b"]]})
    with pytest.raises(UsageError, match="values that cannot be compared, such as lists"):
        sweep(frame, "x", APP, client=client, session="who")
    assert not gateway.received


def test_an_unknown_app_costs_nothing(workspace):
    with workspace.client() as connected, pytest.raises(UserError, match="No app 'suport-ops'"):
        sweep(["x"], "{{ value }}", "suport-ops", client=connected)


def test_a_dry_run_shows_prompts_size_and_duration(client, gateway, capsys):
    rows = ["short", "a longer one", "x", "y"]
    assert sweep(rows, "Say {{ value }}", APP, client=client, dry_run=True) is None
    assert capsys.readouterr().out.splitlines() == [
        f"Not sent: 4 requests to {APP}.",
        "About 2 s with 8 at a time, assuming 5 s per reply.",
        "The largest prompt is in row number 1: 16 characters, 16 bytes.",
        "",
        "--- row number 0",
        "Say short",
        "",
        "--- row number 1",
        "Say a longer one",
        "",
        "--- row number 2",
        "Say x",
    ]
    sweep(["éé", "abc"], "{{ value }}", APP, client=client, dry_run=True)
    largest = "The largest prompt is in row number 0: 2 characters, 4 bytes."
    assert largest in capsys.readouterr().out
    sweep(rows, "Say {{ value }}", APP, client=client, dry_run=True, rpm=2)
    assert "About 2 min 0 s" in capsys.readouterr().out
    assert not gateway.received
