"""2,000 messages from 16 threads, one in ten with a fault, one in five with bytes around its answer."""

import gc
import itertools
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from gateway import (
    APP,
    DONE,
    HOLD,
    TEST_TIMEOUT,
    TOKEN,
    Gateway,
    answer,
    as_json,
    cut,
    dropped,
    event,
    failed,
    followed,
    interim,
    normal_answer,
    rate_limited,
    stalled,
    streamed,
    words,
)

import cpsl

SEED, MESSAGES, THREADS = 20_260_101, 2_000, 16
FAULTS = {
    "chat": [
        dropped(),
        dropped(resets=True),
        failed(500),
        failed(503),
        failed(302, Location="/"),
        stalled(),
        answer(b"<html>", Content_Type="text/html"),
        as_json({"error": "boom"}),
        cut(as_json({"replies": [{"text": "half"}]}), after=-9),
        stalled(as_json({"replies": [{"text": "half"}]}), after=-9),
    ],
    "stream": [
        dropped(),
        dropped(resets=True),
        failed(500),
        failed(504),
        stalled(),
        answer(b"<html>", Content_Type="text/html"),
        cut(streamed(*words("half", "lost"), DONE), after=-40),
        cut(streamed(*words("half", "lost"), DONE), after=-50, resets=True),
        streamed(*words("half"), framing="close"),
        streamed(*words("half"), HOLD),
        streamed(*words("half"), event({"message": "boom"}, "error")),
    ],
}
STRAY = b"".join(as_json({"replies": [{"text": "of another app"}]}).parts)
# What surrounds an answer without changing it.
AROUND = [
    lambda given: interim(given, 103),
    lambda given: interim(given, 100, 102, 103, 103),
    lambda given: followed(given, STRAY),
    lambda given: followed(given, STRAY[:30], STRAY[30:]),
    lambda given: followed(interim(given, 103), STRAY, STRAY),
]
REFUSED = "refused at first"
OPEN = Path("/dev/fd")  # the open files of this process


def fault_of(call, text):
    """Return the fault of a message; nine in ten have none."""
    chance = random.Random(f"{SEED} {text}")
    if chance.random() >= 0.1:
        return None
    return chance.choice([*FAULTS[call], REFUSED])


def surround(text, given):
    """Put other bytes around one in five answers."""
    chance = random.Random(f"around {SEED} {text}")
    return chance.choice(AROUND)(given) if chance.random() < 0.2 else given


def call_of(text):
    return "chat" if int(text) % 2 else "stream"


def resources():
    return len(list(OPEN.iterdir())), set(threading.enumerate())


@pytest.mark.skipif(not OPEN.is_dir(), reason="no list of open files here")
def test_no_message_is_sent_twice_or_lost_and_nothing_leaks():
    outcomes, numbers = {}, itertools.count()
    refused = Counter()

    def behave(request):
        fault = fault_of(request.call, request.text)
        if fault is not REFUSED:
            return fault or surround(request.text, normal_answer(request))
        refused[request.text] += 1
        return rate_limited(after=0) if refused[request.text] == 1 else normal_answer(request)

    def talk():
        while (number := next(numbers)) < MESSAGES:
            text = str(number)
            try:
                outcomes[text] = ask(text)
            except BaseException as error:
                outcomes[text] = error

    def ask(text):
        if call_of(text) == "chat":
            return client.chat(APP, text).text
        with client.stream(APP, text) as stream:
            for _ in stream:
                if text.endswith("8"):  # some streams are not read to their end
                    return stream.text
            return stream.text

    with Gateway() as gateway:
        gateway.otherwise = behave
        with cpsl.Client(TOKEN, gateway.url) as client:
            client.get_app(APP)  # loads what is loaded only once
        gateway.wait_until_disconnected()
        for thread in threading.enumerate():
            if thread.name == "cpsl deadlines":  # of an earlier test
                thread.join(TEST_TIMEOUT)
        gc.collect()
        files, threads = resources()

        with cpsl.Client(TOKEN, gateway.url, timeout=(20, 3)) as client:
            talkers = [threading.Thread(target=talk) for _ in range(THREADS)]
            for talker in talkers:
                talker.start()
            for talker in talkers:
                talker.join(4 * TEST_TIMEOUT)
        gateway.wait_until_disconnected()
        for thread in set(threading.enumerate()) - threads:
            thread.join(TEST_TIMEOUT)
        gc.collect()
        assert resources() == (files, threads)

    assert len(outcomes) == MESSAGES
    faults = {text: fault_of(call_of(text), text) for text in outcomes}
    assert 150 < sum(fault is not None for fault in faults.values()) < 250
    for text, outcome in outcomes.items():
        fault = faults[text]
        assert gateway.messages[text] == (2 if fault is REFUSED else 1), text
        if fault is None or fault is REFUSED:
            whole = f"You said {text}"
            assert outcome == ("You said " if text.endswith("8") else whole), text
        elif not (text.endswith("8") and outcome == "half"):
            assert isinstance(outcome, cpsl.CapsuleError), (text, outcome)
