"""The file of a recording: readable, guarded against damage, and stable across versions."""

import json
import resource
from pathlib import Path

import pytest
from gateway import APP

import cpsl
from cpsl_notebook import UserError, recording, replay

DATA = Path(__file__).parent / "data"
HEADER = '{"capsule_recording": 1, "recorded_at": "2026-11-01T08:00:00Z"}\n'


def test_format_1_is_read():
    client = replay(DATA / "format-1.jsonl")
    assert client.list_apps() == [{"id": APP, "name": "support-ops", "hostname": "support-ops-1"}]
    assert client.get_app(APP)["price_in_cents"] == 1500
    assert client.chat("support-ops", "How many?").text == "4 threads."
    stream = client.stream("support-ops", "Make a plan.", "s-1")
    assert [chunk.text for chunk in stream] == ["First ", "sort.", ""]
    assert client.list_payments("support-ops") == [{"id": "p-1", "gross_cents": 1500}]
    assert client.clock().isoformat() == "2026-10-31T23:59:59+00:00"
    with pytest.raises(cpsl.RateLimitedError) as raised:
        client.get_earnings("support-ops")
    assert (raised.value.status, raised.value.retry_after) == (429, 7.0)


def test_newer_format_is_refused_in_one_line(tmp_path):
    file = tmp_path / "new.jsonl"
    file.write_text('{"capsule_recording": 2, "recorded_at": "2026-11-01T08:00:00Z"}\n{}\n')
    with pytest.raises(UserError) as raised:
        replay(file)
    assert str(raised.value) == (
        f"{file} has recording format 2, and this cpsl-notebook reads up to 1. Run "
        "`pip install --upgrade cpsl-notebook`."
    )


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b"# notes\n", b'["capsule_recording"]\n', b"\xff\xfe", b"[" * 99_999]
)
def test_other_file_is_not_replayed_and_not_overwritten(content, tmp_path, live):
    file = tmp_path / "notes.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError, match="is not a recording"):
        replay(file)
    if content:
        with pytest.raises(UserError, match="is not a recording"), recording(file, live):
            pass
        assert file.read_bytes() == content


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read the recording .* \(No such file"):
        replay(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "line", ['{"call": 1', "null", "{}", '{"method": "chat"}', '{"method": "eval", "at": "now"}']
)
def test_damaged_line_is_named(line, tmp_path):
    file = tmp_path / "damaged.jsonl"
    file.write_text(HEADER + line + "\n")
    with pytest.raises(UserError, match=r"^Line 2 of .* is not a recorded call\."):
        replay(file)


def test_unknown_fields_are_ignored(tmp_path):
    file = tmp_path / "more.jsonl"
    entry = {"method": "get_app", "app": "a", "at": "2026-11-01T08:00:00Z", "answer": {"id": "a"}}
    file.write_text(HEADER + json.dumps(entry | {"comment": "by hand"}) + "\n")
    assert replay(file).get_app("a") == {"id": "a"}


def test_earlier_recording_is_replaced(tmp_path, live):
    file = tmp_path / "answers.jsonl"
    for text in ("Hello", "More"):
        with recording(file, live) as client:
            client.chat(APP, text)
    (entry,) = file.read_text().splitlines()[1:]
    assert json.loads(entry)["text"] == "More"


def test_folder_that_does_not_exist_is_one_line(tmp_path, live):
    started = recording(tmp_path / "none" / "answers.jsonl", live)
    with pytest.raises(UserError, match=r"Cannot write .* \(No such file"):
        started.start()


def test_answer_that_cannot_be_written_still_reaches_the_caller(tmp_path, live):
    file = tmp_path / "answers.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with recording(file, live) as client:
        client.chat(APP, "Hello")
        whole = file.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
        try:
            with pytest.warns(UserWarning, match="The recording is incomplete"):
                assert client.chat(APP, "More").text == "You said More"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert file.read_bytes() == whole  # no part of a line
        client.chat(APP, "Again")
    assert replay(file).chat(APP, "Again").text == "You said Again"


def test_each_line_is_one_line_to_every_tool(tmp_path, live):
    file = tmp_path / "answers.jsonl"
    text = "a\u2028b\u2029c\x85d\n\u00e9 \U0001f600"
    with recording(file, live) as client:
        client.chat(APP, text)
    content = file.read_text(encoding="utf-8")
    assert len(content.splitlines()) == 2
    assert "é 😀" in content  # readable, not escaped
    assert replay(file).chat(APP, text).text == f"You said {text}"
