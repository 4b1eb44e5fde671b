"""Sending a prompt with a client, and reading its answer."""

from types import SimpleNamespace

import pytest

from cpsl_notebook import Client, Reply, UserError
from cpsl_notebook.conversation.transmission import receive, sender
from cpsl_notebook.display.displays import choose
from cpsl_notebook.display.interrupt import Stopper


class DocumentedClient:
    """A client with the documented methods only, which have no timeout."""

    def chat(self, app, text, session_id=None):
        return SimpleNamespace(
            text="whole",
            session_id="s-1",
            request_id="r-1",
            raw={"replies": [{"text": "one"}, {"text": "two"}, {"type": "x", "payload": {}}, 5]},
        )

    def stream(self, app, text, session_id=None):
        yield chunk("message", text="first ")
        yield chunk("message", text=f"session {session_id}")
        if "incomplete" not in text:
            yield chunk("done", done=True)


def chunk(event, done=False, **data):
    return SimpleNamespace(text=data.get("text", ""), event=event, data=data, done=done)


def reply_to(prompt, session_id="", *, stream=True, core=None):
    reply = Reply("shop", prompt)
    client = Client(core or DocumentedClient())
    send = sender(client, reply, session_id, stream=stream, timeout=None)
    with Stopper() as stopper:
        receive(reply, choose("quiet"), send, stopper)
    return reply


@pytest.mark.parametrize(("prompt", "status"), [("x", "complete"), ("incomplete", "incomplete")])
def test_stream_is_read_to_its_end(prompt, status):
    reply = reply_to(prompt, "s-1")
    assert (reply.text, reply.status) == ("first session s-1", status)
    assert 0 <= reply.first_chunk_s <= reply.total_s


def test_first_text_is_text_and_not_a_block():
    core = DocumentedClient()
    block = {"type": "x", "payload": {}}
    core.stream = lambda *_: iter([chunk("block", **block), chunk("done", done=True)])
    assert reply_to("x", core=core).first_chunk_s is None


def test_display_that_fails_does_not_end_the_reading():
    reply, client = Reply("shop", "x"), Client(DocumentedClient())
    display = choose("quiet")
    display._start = display._update = display._finish = None
    with Stopper() as stopper:
        receive(reply, display, sender(client, reply, "", stream=True, timeout=None), stopper)
        display.finish(reply)
    assert (reply.text, reply.status, reply.error) == ("first session None", "complete", None)


def test_whole_response_has_every_text_and_block():
    reply = reply_to("x", stream=False)
    assert (reply.text, reply.status, reply.first_chunk_s) == ("one\n\ntwo", "complete", None)
    assert (reply.session_id, reply.request_id) == ("s-1", "r-1")
    assert reply.blocks == [{"type": "x", "payload": {}}]


def test_response_without_raw_data_has_its_text():
    core = DocumentedClient()
    core.chat = lambda *_: SimpleNamespace(text="whole", session_id=None, request_id=None, raw=None)
    assert reply_to("x", stream=False, core=core).text == "whole"


def test_prompt_too_long_for_a_url_is_sent_with_chat():
    reply = reply_to("é" * 2_000)
    assert reply.text == "one\n\ntwo"
    assert reply.notices == ["The prompt is too long for streaming, so the reply is not streamed."]


def test_error_is_kept_in_the_reply_with_the_text():
    def stream(app, text, session_id=None):
        yield chunk("message", text="first part")
        raise RuntimeError("the archive is closed")

    core = DocumentedClient()
    core.stream = stream
    reply = reply_to("x", core=core)
    assert (reply.text, reply.status) == ("first part", "failed")
    assert str(reply.error) == "the archive is closed"


def test_stopped_stream_is_closed():
    class Stream:
        closed = False

        def __iter__(self):
            yield chunk("message", text="first part")
            raise KeyboardInterrupt

        def close(self):
            self.closed = True

    core, stream = DocumentedClient(), Stream()
    core.stream = lambda *_: stream
    reply = reply_to("x", core=core)
    assert (reply.text, reply.status, stream.closed) == ("first part", "stopped", True)
    assert str(reply.error) == "the text received so far is kept."


def test_timeout_needs_a_client_that_supports_it():
    with pytest.raises(UserError, match=r"^The official SDK has no timeout setting\."):
        sender(Client(DocumentedClient()), Reply("shop", "x"), "", stream=True, timeout=5)
