"""Sweeps on threads, processes and Dask: the same frame, tokens only on request, killed workers."""

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading

import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster
from fast_gateway import APP, LIMITED, TOKEN

import cpsl
from cpsl_notebook import sweep
from cpsl_notebook.sweeps.executors import client_for

VARYING = ["first_text_s", "total_s", "session_id", "request_id"]
ROWS = pd.DataFrame({"who": list("abab"), "n": [3, 4, 5, 6]}, index=[4, 3, 2, 1])


@pytest.fixture(scope="module", autouse=True)
def main_module():
    """Undo a change by the IPython shell of another test that prevents starting processes."""
    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(sys.modules["__main__"], "__spec__"):
            patch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
        yield


def processes(count=2):
    return concurrent.futures.ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn")
    )


@pytest.fixture(scope="module")
def cluster(main_module):
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with LocalCluster(
        n_workers=2, threads_per_worker=4, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as started:
        yield started


@pytest.fixture
def dask(cluster, gateway):
    """A Dask client whose workers have the credentials in their environment."""
    with Client(cluster) as client:
        set_environ(client, gateway)
        yield client


def set_environ(dask, gateway):
    # Nested functions are sent by value; those of a test module cannot be imported by workers.
    dask.run(lambda environ: os.environ.update(environ), gateway.environ)


def test_threads_processes_and_dask_give_the_same_frame(client, gateway, dask):
    options = {"client": client, "session": "who", "json": True, "repeat": 2, "keep": True}
    gateway.rule = lambda text, number: "no JSON" if text == "5" else f'{{"n": {text}}}'
    frames = [sweep(ROWS, "{{ n }}", APP, **options)]
    with processes() as pool:
        frames.append(sweep(ROWS, "{{ n }}", APP, **options, executor=pool))
    frames.append(sweep(ROWS, "{{ n }}", APP, **options, executor=dask.get_executor()))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        frames.append(sweep(ROWS, "{{ n }}", APP, **options, executor=pool))
        assert pool.submit(int).result() == 0  # it is not shut down
    for frame in frames[1:]:
        left, right = (one.drop(columns=[*VARYING, "n_json"]) for one in (frames[0], frame))
        pd.testing.assert_frame_equal(left, right)
        assert frame["session_id"].nunique() == 4
    assert frames[0]["status"].tolist() == ["ok"] * 4 + ["unparsed"] * 2 + ["ok"] * 2


def test_a_second_sweep_on_dask_is_sent_again(client, gateway, dask):
    for executor in (dask.get_executor(), dask.get_executor(pure=False)):
        for _ in range(2):
            sweep(["a"], "{{ value }}", APP, client=client, executor=executor)
    assert gateway.received["a"] == 4


def test_a_limited_row_is_sent_again_on_dask(client, gateway, dask):
    gateway.rule = lambda text, number: LIMITED if number == 1 else "fine"
    answers = sweep(["a", "b"], "{{ value }}", APP, client=client, executor=dask.get_executor())
    assert answers["status"].tolist() == ["ok", "ok"]
    assert sorted(answers["attempts"]) == [1, 2]


def test_a_dask_worker_that_is_killed_sends_no_row_twice(client, gateway, dask, cluster, tmp_path):
    gateway.delay = 0.02
    victim = next(iter(dask.run(os.getpid).values()))

    def kill():
        gateway.wait_for(lambda: len(gateway.received) >= 100)
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    store = tmp_path / "answers.db"
    answers = sweep(
        range(300),
        "{{ value }}",
        APP,
        client=client,
        executor=dask.get_executor(),
        max_active=16,
        store=store,
    )
    thread.join()
    assert set(gateway.received.values()) == {1}
    assert set(answers["status"]) == {"ok", "unknown"}
    unknown = answers.index[answers["status"] == "unknown"]
    assert 1 <= len(unknown) <= 16
    assert set(answers["error"].dropna()) == {
        "This row was on a worker that died; it may have been sent."
    }
    dask.wait_for_workers(2)
    set_environ(dask, gateway)
    again = sweep(
        range(300),
        "{{ value }}",
        APP,
        client=client,
        executor=dask.get_executor(),
        store=store,
        resend_unknown=True,
    )
    assert (again["status"] == "ok").all()
    twice = {text for text, times in gateway.received.items() if times == 2}
    assert twice <= set(map(str, unknown)) and max(gateway.received.values()) <= 2


def test_claims_on_the_scheduler_are_deleted_when_the_sweep_ends(client, gateway, dask):
    sweep(range(20), "{{ value }}", APP, client=client, executor=dask.get_executor())

    async def wait_for_no_claims(dask_scheduler):
        while any(dask_scheduler.task_metadata["capsule-sweeps"].values()):
            await asyncio.sleep(0.01)

    dask.run_on_scheduler(wait_for_no_claims)


def test_a_process_that_is_killed_leaves_unknown_rows_and_stops_the_sweep(
    client, gateway, tmp_path
):
    gateway.delay = 0.1
    store = tmp_path / "answers.db"
    with processes() as pool:
        victim = pool.submit(os.getpid).result()

        def kill():
            gateway.wait_for(lambda: len(gateway.received) >= 10)
            os.kill(victim, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.warns(UserWarning, match="The executor is broken"):
            answers = sweep(
                range(60),
                "{{ value }}",
                APP,
                client=client,
                executor=pool,
                max_active=4,
                store=store,
            )
        thread.join()
    counts = answers["status"].value_counts()
    assert counts["ok"] >= 6 and 1 <= counts["unknown"] <= 4 and counts["stopped"] > 10
    answers = sweep(range(60), "{{ value }}", APP, client=client, store=store)
    assert (answers["status"] == "unknown").sum() == counts["unknown"]
    assert set(gateway.received.values()) == {1}


def test_an_interrupt_of_the_whole_process_group_lets_worker_processes_finish(gateway, tmp_path):
    gateway.delay = 0.3
    code = tmp_path / "main.py"
    code.write_text(GROUP)
    process = subprocess.Popen(
        [sys.executable, str(code), APP],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    gateway.wait_for(lambda: len(gateway.received) >= 6)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    counts = {name: int(number) for name, number in map(str.split, out.splitlines())}
    assert counts["ok"] == len(gateway.received)
    assert counts["unknown"] == counts["error"] == 0


GROUP = """
import multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor
import cpsl
from cpsl_notebook import sweep

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = sweep(range(200), "{{ value }}", sys.argv[1], client=cpsl.Client(),
                        executor=pool, max_active=4, progress=False)
        pool.submit(int).result()
    print(answers.status.value_counts().to_string(header=False))
"""


def test_workers_get_the_token_only_with_send_token(client):
    sent = client_for(client, in_process=False, send_token=False)
    assert TOKEN.encode() not in sent
    assert TOKEN.encode() in client_for(client, in_process=False, send_token=True)
    assert client_for(object(), in_process=False, send_token=False) is None
    same = client_for(client, in_process=True, send_token=False)
    assert same.gateway_url == client.gateway_url


def test_a_worker_without_credentials_sends_nothing_without_send_token(
    client, gateway, monkeypatch
):
    monkeypatch.delenv("CAPSULE_TOKEN")
    monkeypatch.delenv("CAPSULE_HTTP_URL")
    with processes(1) as pool:
        answers = sweep(["a"], "{{ value }}", APP, client=client, executor=pool)
        assert answers["status"].tolist() == ["error"]
        assert answers["error"].iloc[0].startswith("CredentialsError: ")
        assert "pass send_token=True to sweep()" in answers["error"].iloc[0]
        assert not gateway.received
        answers = sweep(["a"], "{{ value }}", APP, client=client, executor=pool, send_token=True)
        assert answers["status"].tolist() == ["ok"]


def test_a_worker_with_credentials_of_another_gateway_sends_nothing(client, gateway, monkeypatch):
    with type(gateway)() as elsewhere, processes(1) as pool:
        monkeypatch.setenv("CAPSULE_HTTP_URL", elsewhere.url)
        answers = sweep(["a"], "{{ value }}", APP, client=client, executor=pool)
        assert answers["error"].iloc[0].startswith("CredentialsError: ")
        assert not gateway.received and not elsewhere.received


def test_names_of_apps_are_looked_up_here_and_not_by_workers(workspace, monkeypatch):
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    with workspace.client() as connected, processes(1) as pool:
        answers = sweep(
            ["billing"],
            "How many threads are in {{ value }}?",
            "support-ops",
            client=connected,
            executor=pool,
        )
    assert answers["status"].tolist() == ["ok"]


def test_workers_import_neither_ipython_nor_pandas():
    code = (
        "import sys, cpsl_notebook.sweeps.worker\n"
        "print({'IPython', 'pandas', 'numpy', 'grpc', 'distributed'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_a_client_with_other_options_keeps_its_token_and_gateway(client, gateway):
    class Own(cpsl.Client):
        pass

    own = Own(token=TOKEN, gateway_url=gateway.url, timeout=7)
    own.label = "mine"
    other = own.with_options(max_retries=0)
    assert type(other) is Own and other.label == "mine"
    assert other.chat(APP, "x").text == "You said x"
    gateway.rule = lambda text, number: LIMITED
    with pytest.raises(cpsl.RateLimitedError):
        other.chat(APP, "y")
    assert gateway.limited["y"] == 1
    with pytest.raises(cpsl.RateLimitedError):
        own.chat(APP, "z")
    assert gateway.limited["z"] == 3
    assert TOKEN not in repr(other) and TOKEN.encode() not in pickle.dumps(client.with_options())
    with pytest.raises(TypeError):
        own.with_options(colour="red")
