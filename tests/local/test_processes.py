"""The local workspace and its system: forks, other kernels, killed processes, full disks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import grpc
import jupyter_client
import nbclient
import nbformat
import pytest

import cpsl
from cpsl_notebook import UserError, local
from cpsl_notebook.local.__main__ import main
from cpsl_notebook.local.forks import close_sockets

START = """
import os, signal, sys, time
from cpsl_notebook import local
workspace = local.start(sys.argv[1])
ports = [int(address.rpartition(":")[2]) for address in (workspace.grpc_address, workspace.http_url)]
"""


def run(code, *arguments, before="", **environ):
    """Run a program with a workspace in it; return what it printed."""
    ran = subprocess.run(
        [sys.executable, "-c", before + START + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environ,
    )
    assert ran.returncode == 0, ran.stderr
    return ran


FORK = """
import subprocess
sys.stderr.flush()
for _ in range(3):
    if (child := os.fork()) == 0:
        os.write(2, b"child writes\\n")
        os._exit(0)
    os.waitpid(child, 0)
command = ["sh", "-c", "echo command writes >&2"]
subprocess.run(command, preexec_fn=lambda: None, close_fds="keep" not in sys.argv)
os.write(2, b"parent writes\\n")
workspace.stop()
"""


IMPORT = "import grpc\n"  # earlier than the workspace, so with its fork handlers


# With its fork handlers, gRPC starts a thread in each child, which reports that the child closes
# the thread's descriptors; nothing in the process can prevent that.
@pytest.mark.parametrize(("before", "descriptors"), [("", "close"), (IMPORT, "keep")])
def test_forks_print_nothing_although_grpc_runs(tmp_path, before, descriptors):
    lines = ["child writes"] * 3 + ["command writes", "parent writes"]
    assert run(FORK, tmp_path, descriptors, before=before).stderr.splitlines() == lines


WATCH = """
import os
seen = []
os.register_at_fork(before=lambda: seen.append(os.fstat(2).st_ino))  # runs last
"""


@pytest.mark.parametrize(("imports", "is_silent"), [("", False), (IMPORT, True)])
def test_standard_error_is_silenced_only_if_grpc_may_write_to_it(tmp_path, imports, is_silent):
    is_silent |= tuple(map(int, grpc.__version__.split(".")[:2])) < (1, 71)
    code = """
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print(seen != [os.fstat(2).st_ino])
    workspace.stop()
    """
    assert run(code, tmp_path, before=WATCH + imports).stdout == f"{is_silent}\n"


def test_grpc_of_the_workspace_does_nothing_in_forks(tmp_path):
    """With its fork handlers, it aborts 1 to 2 % of the commands that ``!command`` starts."""
    code = FORK + 'assert "GRPC_ENABLE_FORK_SUPPORT" not in os.environ'
    assert "fork_posix" not in run(code, tmp_path, GRPC_VERBOSITY="INFO").stderr
    configured = run(FORK, tmp_path, GRPC_VERBOSITY="INFO", GRPC_ENABLE_FORK_SUPPORT="1")
    assert "fork_posix" in configured.stderr


COMMANDS = """
import contextlib, io
from IPython.utils.process import system
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    statuses = {system("echo shown") for _ in range(100)}
print(statuses, set(printed.getvalue().split()))
workspace.stop()
"""


def test_every_shell_command_of_a_notebook_runs(tmp_path):
    assert run(COMMANDS, tmp_path).stdout.splitlines()[-1] == "{0} {'shown'}"


def test_fork_keeps_the_standard_error_of_both_processes(workspace, capfd):
    os.write(2, b"before ")
    if (child := os.fork()) == 0:
        os.write(2, b"child ")
        os._exit(0)
    os.waitpid(child, 0)
    os.write(2, b"parent")
    assert capfd.readouterr().err == "before child parent"


NO_DESCRIPTORS = """
import resource, threading

def fork():
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)

resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
opened = []
try:
    while True:
        opened.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    os.close(opened.pop())  # one descriptor is free
fork()
other = threading.Thread(target=fork, daemon=True)
other.start()
other.join(20)
for descriptor in opened:
    os.close(descriptor)
print("blocked" if other.is_alive() else "forked", flush=True)
os._exit(0)
"""


def test_fork_without_free_descriptors_does_not_block_later_forks(tmp_path):
    assert run(NO_DESCRIPTORS, tmp_path).stdout == "forked\n"


def test_only_sockets_of_the_given_ports_are_closed():
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [server.getsockname()[1] for server in servers]
    close_sockets("127.0.0.1", {ports[0]})
    with socket.socket() as probe, socket.socket() as other:
        assert probe.connect_ex(("127.0.0.1", ports[0])) != 0
        assert other.connect_ex(("127.0.0.1", ports[1])) == 0
    for server in servers:
        server.close()  # the descriptor of the first is still its own


def test_configured_grpc_log_is_kept(tmp_path):
    settings = {"GRPC_VERBOSITY": "INFO", "GRPC_ENABLE_FORK_SUPPORT": "1"}
    assert "fork_posix" in run(FORK, tmp_path, before=IMPORT, **settings).stderr


def test_shell_commands_of_a_notebook_print_only_their_own_output(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel does not show descriptor 2
    cells = [
        "import os\nfrom cpsl_notebook import local\nworkspace = local.start()",
        "!echo shown; echo failed >&2",
        "if (child := os.fork()) == 0:\n    os._exit(0)\nos.waitpid(child, 0)[1]",
        "workspace.stop()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    shell, fork = notebook.cells[1].outputs, notebook.cells[2].outputs
    assert "".join(output.text for output in shell).split() == ["shown", "failed"]
    assert [output.output_type for output in fork] == ["execute_result"]


def test_forked_child_leaves_the_workspace_to_its_parent(tmp_path):
    printed = run(
        """
        import cpsl
        if os.fork() == 0:
            assert local.running() is None
            workspace.stop()
            sys.exit(0)  # runs the functions of atexit
        began = time.monotonic()
        _, status = os.wait()
        assert time.monotonic() - began < 5, "the child waited for servers that it does not have"
        assert workspace.config_path.exists()
        with workspace.client() as client:
            print(status, client.chat("diet-coach", "an apple").text[:10])
        workspace.stop()
        """,
        tmp_path,
    )
    assert printed.stdout == "0 | Food | P\n"


def test_process_ends_although_an_app_blocks(tmp_path):
    printed = run(
        """
        import cpsl, threading
        begun = threading.Event()

        @workspace.app("blocked")
        def blocked(session, text):
            begun.set()
            threading.Event().wait()

        client = workspace.client()
        threading.Thread(target=client.chat, args=("blocked", "x"), daemon=True).start()
        begun.wait()
        print("ends")
        """,
        tmp_path,
    )
    assert printed.stdout == "ends\n"


def test_living_child_does_not_keep_the_ports_open(tmp_path):
    with subprocess.Popen(
        [
            *(sys.executable, "-c"),
            START
            + textwrap.dedent("""
                import requests
                session = requests.Session()
                session.get(workspace.http_url)  # a connection that stays open
                if os.fork() == 0:
                    print(os.getpid(), *ports, flush=True)
                time.sleep(600)
                """),
            str(tmp_path / "data"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        child, *ports = map(int, parent.stdout.readline().split())
        try:
            parent.kill()
            parent.wait(60)
            for port in ports:
                with socket.socket() as probe:
                    assert probe.connect_ex(("127.0.0.1", port)) != 0
            # The child has no lock either, so the next start removes the token.
            local.start(tmp_path / "data").stop()
            assert not list((tmp_path / "data" / "serving").glob("*/config.ini"))
        finally:
            os.kill(child, signal.SIGKILL)


def test_start_removes_the_configuration_of_a_killed_process_only(tmp_path):
    code = START + "print(workspace.config_path, flush=True)\ntime.sleep(600)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second,
    ):
        try:
            killed, alive = (Path(p.stdout.readline().strip()) for p in (first, second))
            first.kill()
            first.wait(60)
            assert killed.exists()
            with local.start(tmp_path) as workspace:
                assert not killed.parent.exists()
                assert alive.exists()
                assert workspace.config_path.exists()
        finally:
            first.kill()
            second.kill()


def test_second_kernel_does_not_disturb_the_first(tmp_path):
    """Two kernels share the default folder; each has its own apps, and one is killed."""
    managers = [jupyter_client.KernelManager(kernel_name="python3") for _ in range(2)]
    clients = []
    try:
        for manager in managers:
            manager.start_kernel(cwd=str(tmp_path))
            clients.append(manager.blocking_client())
            clients[-1].start_channels()
            clients[-1].wait_for_ready(timeout=60)

        def execute(kernel, code):
            texts = []
            reply = clients[kernel].execute_interactive(
                code,
                timeout=60,
                output_hook=lambda message: texts.append(message["content"].get("text", "")),
            )
            assert reply["content"]["status"] == "ok", reply["content"]
            return "".join(texts).strip()

        begin = (
            "from cpsl_notebook import local\n"
            "workspace = local.start()\n"
            "client = workspace.client()\n"
            "@workspace.app('name', price_in_cents={0})\n"
            "def name(session, text): return '{0}'\n"
            "session = client.chat('diet-coach', 'an apple').session_id\n"
            "print(workspace.http_url)"
        )
        addresses = [execute(kernel, begin.format(kernel)) for kernel in range(2)]
        assert len(set(addresses)) == 2
        ask = "print(client.chat('name', 'x').text, client.get_app('name')['price_in_cents'])"
        assert [execute(kernel, ask) for kernel in range(2)] == ["0 0", "1 1"]
        managers[1].shutdown_kernel(now=True)
        assert execute(0, ask) == "0 0"
        again = "print(client.chat('diet-coach', 'the total', session).text)"
        assert execute(0, again) == "Your total in this conversation is **95 kcal**."
        assert execute(0, "print(len(client.app_names()))") == "4"
    finally:
        for channels in clients:
            channels.stop_channels()
        for manager in managers:
            if manager.has_kernel:
                manager.shutdown_kernel(now=True)


FULL = """
import resource, sys
from cpsl_notebook import UserError, local
if sys.argv[2] == "started":
    local.start(sys.argv[1]).stop()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    local.start(sys.argv[1])
except UserError as error:
    print(error)
assert local.running() is None
"""


def test_unwritable_part_of_the_folder_is_reported_and_frees_the_ports(tmp_path):
    with local.start(tmp_path) as workspace:
        port = int(workspace.grpc_address.rpartition(":")[2])
    shutil.rmtree(tmp_path / "serving")
    (tmp_path / "serving").touch()
    with pytest.raises(UserError, match=r"Cannot use .* for a workspace: File exists"):
        local.start(tmp_path, port=port)
    (tmp_path / "serving").unlink()
    local.start(tmp_path, port=port).stop()


@pytest.mark.parametrize("state", ["new", "started"])
@pytest.mark.parametrize("size", [0, 10, 200])
def test_full_disk_is_reported_in_one_line(tmp_path, state, size):
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "data"), state, str(size)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("\n") == 1
    assert str(tmp_path / "data") in ran.stdout


def test_turn_that_cannot_be_stored_is_an_error_and_not_a_broken_stream(tmp_path):
    printed = run(
        """
        import cpsl, resource, sqlite3
        client = cpsl.Client(token=workspace.token, gateway_url=workspace.http_url)
        app = workspace.app("long")(lambda session, text: "x" * int(text))
        session = client.chat("long", "1").session_id
        size = (workspace.folder / "workspace.sqlite").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, size + 100_000))
        for ask in (client.chat, lambda *message: list(client.stream(*message))):
            try:
                ask("long", "2000000", session)
            except cpsl.GatewayError as error:
                print(error)
        print(client.get_app("long")["name"])
        os._exit(0)
        """,
        tmp_path,
    )
    first, second, last = printed.stdout.splitlines()
    assert "cannot read or write the workspace: " in first
    assert "cannot read or write the workspace: " in second
    assert last == "long"


def test_file_that_is_damaged_meanwhile_is_reported(tmp_path):
    with local.start(tmp_path) as workspace, workspace.client() as client:

        @workspace.app("damaging")
        def damaging(session, text):
            yield "all"
            for path in tmp_path.glob("workspace.sqlite*"):
                path.write_bytes(b"not a database" * 1000)

        stream = client.stream("damaging", "x")
        with pytest.raises(cpsl.GatewayError, match="cannot read or write the workspace"):
            list(stream)
        with pytest.raises(cpsl.GatewayError, match="cannot read or write the workspace"):
            client.chat("diet-coach", "an apple")
        assert client.get_app("diet-coach")["name"] == "diet-coach"
        with pytest.raises(
            UserError, match=r"Cannot reset the workspace in .*: file is not a data"
        ):
            workspace.reset()


def test_date_that_is_invalid_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["local", "--today", "x"])
    with pytest.raises(SystemExit):
        main()
    assert "argument --today: invalid date 'x': use 2026-10-31" in capsys.readouterr().err
