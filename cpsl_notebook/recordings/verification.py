"""Verifying a recording: the live service is asked again, and what differs is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.recordings.calls import Call, LiveClient
from cpsl_notebook.recordings.file_format import Entry, RecordingFile, answered_session
from cpsl_notebook.recordings.matching import diff
from cpsl_notebook.recordings.payer_masking import without_payers
from cpsl_notebook.recordings.recorder import Log, RecordingClient

__all__ = ["Verification", "verify"]

_DIFF_LINES = 40  # for each call
_NOT_COMPARED = frozenset({"text", "session_id", "request_id"})  # ids are new in every call


@dataclass(frozen=True)
class Verification:
    """How the answers of the live service compare with a recording.

    Attributes
    ----------
    same : int
        Number of calls that were answered as recorded.
    skipped : int
        Number of calls that were not made again: checkouts, and streams that were stopped.
    differences : list of tuple of (Call, list of str)
        The other calls, each with the lines that differ: ``-`` recorded, ``+`` live.
    """

    same: int
    skipped: int
    differences: list[tuple[Call, list[str]]]

    def __str__(self) -> str:
        counts = f"As recorded: {self.same}, different: {len(self.differences)}"
        skipped = f", skipped: {self.skipped}" if self.skipped else ""
        lines = [f"{counts}{skipped}."]
        for call, changed in self.differences:
            text = f": {call.text}" if call.text else ""
            lines += ["", f"{call}{text} (- recorded, + live)", *changed]
        return "\n".join(lines)

    __repr__ = __str__


def verify(file: RecordingFile, live: LiveClient) -> Verification:
    """Make the recorded calls again, in order, and compare the answers.

    A message that continued a recorded conversation continues the new conversation that replaces it.
    Ids and times are not compared.
    """
    entries = file.entries()
    _ = live.core  # raises here if there are no credentials
    now: list[dict[str, Any]] = []
    log = Log(now.append, mask=file.header().get("masked") is True)
    client = RecordingClient(log, live)
    sessions: dict[str, str] = {}
    same, skipped, differences = 0, 0, []
    for entry in entries:
        recorded = entry.fields()
        if entry.call.method == "create_checkout" or recorded.get("stopped"):
            skipped += 1
            continue
        _make(client, _continued(entry, sessions))
        answered = now.pop()
        if entry.session_id:
            sessions[entry.session_id] = answered_session(answered) or entry.session_id
        lines = diff(_comparable(recorded), _comparable(answered), _DIFF_LINES)
        if lines:
            differences.append((entry.call, lines))
        same += not lines
    return Verification(same, skipped, differences)


def _make(client: RecordingClient, call: Call) -> None:
    """Make a call; its outcome is in the log, even if it is an error."""
    try:
        answer = client.answer(call)
        if call.method == "stream":
            for _ in answer:
                pass
    except Exception:  # noqa: S110 - the log has it
        pass


def _continued(entry: Entry, sessions: dict[str, str]) -> Call:
    call = entry.call
    session_id = sessions.get(call.session_id or "", call.session_id)
    return Call.from_fields(call.fields() | {"session_id": session_id})


def _comparable(fields: dict[str, Any]) -> str:
    """Return the answer to a call as lines, without ids and times."""
    if "error" in fields:
        return f"error {fields['error']['type']}: {fields['error']['message']}"
    if "chunks" in fields:
        lines = _reply([chunk["data"] for chunk in fields["chunks"]])
    elif fields["method"] == "chat":
        raw = dict(fields["answer"].get("raw") or {})
        lines = _reply([*raw.pop("replies", [fields["answer"]]), raw])
    else:
        lines = [json.dumps(fields.get("answer"), indent=1, sort_keys=True, ensure_ascii=False)]
    return without_payers("\n".join(filter(None, lines)))


def _reply(parts: list[Any]) -> list[str]:
    """Return the text of a reply and then the other content of its parts, one line each."""
    texts = [str(part.get("text") or "") for part in parts if isinstance(part, dict)]
    return ["".join(texts), *map(_others, parts)]


def _others(part: Any) -> str:
    """Return a part without text and ids as a line of JSON; empty if nothing is left."""
    if isinstance(part, dict):
        part = {key: value for key, value in part.items() if key not in _NOT_COMPARED}
    return json.dumps(part, sort_keys=True, ensure_ascii=False) if part else ""
