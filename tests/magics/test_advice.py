"""The advice in messages of the magics works if followed literally, for names with spaces, too."""

import re

import pytest
from conversations import last
from gateway import TOKEN, Gateway, GrpcGateway, as_json, failed
from shells import new_shell

from cpsl.messages import message
from cpsl_notebook import Client

IDS = {
    "support ops": "00000000-0000-4000-8000-000000000001",
    "it's mine": "00000000-0000-4000-8000-000000000002",
}


@pytest.fixture
def service(monkeypatch):
    """A live service whose apps have names with spaces and quotes."""
    apps = [message("App")(id=app_id, name=name) for name, app_id in IDS.items()]
    with Gateway() as gateway, GrpcGateway([{"apps": apps}] * 20).serving() as grpc:
        monkeypatch.setenv("CAPSULE_TOKEN", TOKEN)
        monkeypatch.setenv("CAPSULE_HTTP_URL", gateway.url)
        monkeypatch.setenv("CAPSULE_GATEWAY_URL", grpc.target)
        monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
        yield gateway


@pytest.fixture
def shell(service):
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook")
        yield started


def command(line):
    """Return the first magic in a message."""
    return re.search("`(%capsule .*?)`", line)[1]


FOLLOWED = {
    "a conversation with another app": (
        ["%%capsule 'support ops'\nhi"],
        '%capsule session use s-1 "it\'s mine"',
        "%capsule session use s-1 'support ops'",
    ),
    "a conversation with another app, and a name": (
        ['%%capsule "it\'s mine"\nhi'],
        "%capsule session use s-1 'support ops' -s 'my name'",
        "%capsule session use s-1 'it'\"'\"'s mine' -s 'my name'",
    ),
    "an id of two apps": (
        ["%%capsule 'support ops'\nhi", '%%capsule "it\'s mine"\nhi'],
        "%capsule session use s-1",
        "%capsule session use s-1 'support ops'",
    ),
    "nothing to resume": (
        [],
        "%capsule session resume 'support ops'",
        "%capsule session list --all",
    ),
    "an empty id": ([], "%capsule session use ''", "%capsule session"),
    "nothing to forget": ([], "%capsule session forget 123", "%capsule session"),
    "an empty name": (
        ["%%capsule 'support ops'\nhi"],
        "%capsule session forget ''",
        "%capsule session",
    ),
    "an unexpected argument": ([], "%capsule use support ops", "%capsule help use"),
    "a missing argument": ([], "%capsule session use", "%capsule help session use"),
    "an unknown option": ([], "%capsule payments -x", "%capsule help payments"),
}


@pytest.mark.parametrize(("cells", "failing", "advised"), FOLLOWED.values(), ids=FOLLOWED)
def test_advised_command_runs(shell, cells, failing, advised):
    for cell in cells:
        shell.run(cell)
    assert command(shell.error(failing)) == advised
    shell.run(advised)


def test_an_empty_name_forgets_no_conversation(shell):
    shell.run("%%capsule 'support ops'\nhi")
    shell.variables["name"] = ""
    assert "The session id or name is empty" in shell.error("%capsule session forget $name")
    assert len(shell.run("%capsule session").value) == 1


def test_command_after_an_unknown_session_starts_a_new_one(shell, service):
    shell.run("%%capsule \"it's mine\" -s 'my name'\nhi")
    service.on("stream", failed(404, "no such session"))
    advised = command(shell.error("%%capsule \"it's mine\" -s 'my name'\nagain"))
    assert advised == "%capsule session new 'it'\"'\"'s mine' -s 'my name'"
    shell.run(advised)
    shell.run("%%capsule \"it's mine\" -s 'my name'\nagain")
    assert last(shell).turn == 1
    assert service.requests[-1].session_id == ""


def test_hint_of_a_new_kernel_resumes_the_conversation(shell):
    shell.run("%%capsule 'support ops' -s 'my name'\nhi")
    with new_shell() as later:
        later.run(command(later.run("%load_ext cpsl_notebook").text))
        later.run("%%capsule 'support ops' -s 'my name'\nagain")
        assert last(later).turn == 2


def test_hint_of_a_new_kernel_names_the_local_workspace(shell, workspace):
    shell.run("%capsule local")
    shell.run("%%capsule support-ops\nHow many threads are waiting?")
    with new_shell() as later:  # its credentials are those of another workspace
        hint = later.run("%load_ext cpsl_notebook").text
        advised = re.findall("`(.*?)`", hint)
        assert advised == ["%capsule local", "%capsule session resume support-ops"]
        for each in advised:
            later.run(each)
        later.run("%%capsule support-ops\nTurn that into a plan.")
        assert last(later).turn == 2


def test_suggested_name_works_in_quotes(shell):
    suggested = re.search("did you mean (.*)\\?", shell.error("%capsule use 'suport ops'"))[1]
    assert suggested == "'support ops'"
    shell.run(f"%capsule use {suggested}")


@pytest.mark.parametrize("quote", ["'", '"'])
def test_suggested_cell_of_a_removed_subcommand_works(shell, service, quote):
    ran = shell.try_to_run(f"%capsule ask {quote}support ops{quote} What does {{{{ x }}}} mean?;")
    assert "Use the cell above" in str(ran.error)
    shell.run(ran.text.partition("\nUsageError")[0])
    assert service.requests[-1].text == "What does {{ x }} mean?;"


def test_quotes_around_a_name_and_the_prompt_below_work(shell, service):
    line = shell.error("%%capsule support ops\nhi")
    assert line.endswith("Put the prompt below this line, and quotes around a value with spaces.")
    shell.run("%%capsule 'support ops'\nhi")
    assert service.requests[-1].text == "hi"


def test_force_replaces_a_file_whose_name_has_a_space(shell, tmp_path):
    shell.run("%%capsule 'support ops'\nhi")
    path = tmp_path / "my answers.md"
    assert shell.run(f"%capsule history --save '{path}'").text == f"Saved 1 turn in {path}.\n"
    assert "replace it with --force" in shell.error(f"%capsule history --save '{path}'")
    shell.run(f"%capsule history --save '{path}' --force")


@pytest.mark.parametrize("name", ["x", "", "~nobody-of-this-name/answers"])
def test_name_without_a_known_ending_is_quoted(shell, name):
    assert shell.error(f"%capsule history --save '{name}'") == (
        f"Cannot save '{name}': use a name that ends in .jsonl, .parquet or .md."
    )


def test_home_of_an_unknown_user_is_a_folder_that_does_not_exist(shell):
    assert shell.error("%capsule history --save ~nobody-of-this-name/a.md") == (
        "Cannot write ~nobody-of-this-name/a.md: No such file or directory. Choose another file or "
        "folder."
    )


@pytest.mark.parametrize(
    ("name", "value", "label", "has_login"),
    [
        ("CAPSULE_TOKEN", None, "CredentialsError", True),
        ("CAPSULE_TOKEN", "two words", "CredentialsError", False),
        ("CAPSULE_TOKEN", "", "CredentialsError", False),
        ("CAPSULE_HTTP_URL", "a.example", "InvalidRequestError", False),
    ],
)
def test_a_login_is_advised_only_if_it_helps(shell, monkeypatch, name, value, label, has_login):
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    line = shell.error("%capsule apps")
    assert line.startswith(f"{label}: ")
    assert ("`%capsule login`" in line) is has_login


def test_file_of_conversations_that_cannot_be_used_is_replaced_by_another_folder(
    shell, monkeypatch, tmp_path
):
    home = tmp_path / "a folder"
    monkeypatch.setenv("CAPSULE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with new_shell() as other:
        other.run("%load_ext cpsl_notebook")
        with pytest.warns(UserWarning, match="set CAPSULE_HOME to another folder and restart"):
            other.run("%%capsule 'support ops'\nhi")
        line = other.error("%capsule session forget --all")
    path = tmp_path / "file" / "conversations.sqlite"
    assert line.startswith(f"Cannot remove the stored conversations: cannot use {path} (")
    monkeypatch.setenv("CAPSULE_HOME", str(home))
    with new_shell() as restarted:
        restarted.run("%load_ext cpsl_notebook")
        restarted.run("%%capsule 'support ops'\nhi")
        assert restarted.run("%capsule session forget --all").text == "Forgot 1 conversation.\n"


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{ nope }}", "there is no variable 'nope'. Use --raw to send braces unchanged."),
        ("{{ (5).real_ }}", "an int has no attribute 'real_'. Did you mean 'real'?"),
        ("{{ [].size }}", "a list has no attribute 'size'."),
    ],
)
def test_problem_of_a_placeholder_is_plain(shell, template, line):
    assert shell.error(f"%%capsule 'support ops'\n{template}").endswith(f"{template}: {line}")


def test_speed_that_is_not_a_number_is_plain(shell):
    assert "--speed: 'fast' is not a number. Run" in shell.error("%capsule replay a --speed fast")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: Client(directory=5), "Invalid directory: 5. It must be a function."),
        (lambda: Client(clock=5), "Invalid clock: 5. It must be a function."),
        (lambda: Client(scope=5), "Invalid scope: 5. It must be a string."),
        (lambda: Client().get_app(5), "Invalid app: 5. Pass a name or id as a string."),
        (
            lambda: Client().chat(["a", "b"], "hi"),
            "Invalid app: ['a', 'b']. Pass a name or id as a string.",
        ),
        (
            lambda: Client().list_payments(["a", "b"]),
            "Invalid app: ['a', 'b']. Pass a name or id as a string, and several as separate "
            "arguments.",
        ),
    ],
)
def test_wrong_types_are_one_line(service, shell, call, line):
    shell.variables["call"] = call
    assert shell.error("call()") == f"TypeError: {line}"


def test_several_apps_are_separate_arguments(service, shell):
    service.otherwise = lambda request: as_json([])
    assert Client().list_payments(*IDS).empty
