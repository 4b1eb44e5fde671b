"""A recording made with either `cpsl` is replayed with the other."""

import json
import os
import subprocess
import sys

import pytest
from environments import CI, ROOT, SDK, NotInstalledError, environment
from gateway import APP, TOKEN, Gateway, event, failed, rate_limited, streamed, words

# Neither pandas nor IPython is installed beside the official SDK.
SCRIPT = f"""
from cpsl_notebook import recording, replay
import json, sys
import cpsl

def outcome(call):
    try:
        value = call()
        if hasattr(value, "__next__"):
            return [[chunk.event, chunk.data, chunk.text, chunk.done] for chunk in value]
        if hasattr(value, "raw"):
            return [value.text, value.session_id, value.request_id, value.raw]
        return value
    except Exception as error:
        kinds = (ValueError, ConnectionError, TimeoutError, OSError, RuntimeError)
        kind = next(kind.__name__ for kind in kinds if isinstance(error, kind))
        return [type(error).__name__, kind, str(error), getattr(error, "status", None)]

def run(client):
    return [
        outcome(lambda: client.get_app({APP!r})),
        outcome(lambda: client.chat({APP!r}, "Hello")),
        outcome(lambda: client.stream({APP!r}, "Hello", "s-1")),
        outcome(lambda: client.list_payments({APP!r})),
        outcome(lambda: client.get_earnings({APP!r})),
        outcome(lambda: client.create_checkout({APP!r})),
        outcome(lambda: client.chat({APP!r}, "Too many")),
        outcome(lambda: client.stream({APP!r}, "Fails")),
        outcome(lambda: client.stream({APP!r}, "Refused")),
    ]

mode, file = sys.argv[1:3]
if mode == "record":
    with recording(file, cpsl.Client(token={TOKEN!r}, gateway_url=sys.argv[3])) as client:
        outcomes = run(client)
else:
    outcomes = run(replay(file))
assert "pandas" not in sys.modules and "IPython" not in sys.modules
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def pythons():
    """Return the Python of each client."""
    try:
        sdk = environment("sdk-recordings", SDK, ours=(".",))
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))
    return {"official": str(sdk), "cpsl-client": sys.executable}


@pytest.fixture(scope="module")
def run(pythons, tmp_path_factory):
    """Return a function that runs the script with a client, away from the checkout."""
    home = tmp_path_factory.mktemp("home")

    def run(client, *arguments):
        environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
        if client == "cpsl-client":
            environ["PYTHONPATH"] = str(ROOT)
        ran = subprocess.run(
            [pythons[client], "-c", SCRIPT, *map(str, arguments)],
            cwd=home,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def served(request):
    """Answer the messages of the script that go wrong."""
    match request.text:
        case "Too many":
            return rate_limited(after=0)
        case "Fails":
            return streamed(*words("Four "), event({"error": "out of memory"}, "error"))
        case "Refused":
            return failed(503)
    return None


@pytest.fixture(scope="module")
def recordings(run, tmp_path_factory):
    """Record the script with each client: its file, and what it returned."""
    made = {}
    for client in ("official", "cpsl-client"):
        with Gateway() as gateway:
            well = gateway.otherwise
            gateway.otherwise = lambda request, well=well: served(request) or well(request)
            file = tmp_path_factory.mktemp("recordings") / f"{client}.jsonl"
            made[client] = file, run(client, "record", file, gateway.url)
            assert TOKEN not in file.read_text()
    return made


SUCCEEDED, FAILED = slice(0, 6), slice(6, 9)


@pytest.mark.parametrize("recorder", ["official", "cpsl-client"])
@pytest.mark.parametrize("replayer", ["official", "cpsl-client"])
def test_recording_is_replayed_with_either_client(recorder, replayer, recordings, run):
    file, recorded = recordings[recorder]
    replayed = run(replayer, "replay", file)
    assert replayed[SUCCEEDED] == recorded[SUCCEEDED]
    for before, after in zip(recorded[FAILED], replayed[FAILED], strict=True):
        if isinstance(before[0], list):  # the official client does not raise
            assert after == before
        elif recorder == replayer == "cpsl-client":
            assert after == before  # the same class
        else:
            assert after[2] == before[2]  # the same message
    if recorder == "official" and replayer == "cpsl-client":
        # The nearest class, from the HTTP status.
        assert [after[0] for after in replayed[FAILED] if isinstance(after[0], str)] == [
            *("RateLimitedError", "GatewayError"),
        ]
    if replayer == "official":
        kinds = [after[0] for after in replayed[FAILED] if isinstance(after[0], str)]
        bare = ["RuntimeError", "OSError"]  # what the official client raises itself
        assert kinds == (bare if recorder == "official" else ["RuntimeError"] * 3)
