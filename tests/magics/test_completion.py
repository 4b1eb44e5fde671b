"""Tab completion on the lines of the magics, in a real shell."""

import pytest
from gateway import Gateway
from shells import new_shell, tab

import cpsl
from cpsl_notebook import Client, compat
from cpsl_notebook.conversation.context import current_context

pytestmark = pytest.mark.skipif(compat.context_matcher is None, reason="IPython is older than 8.6")


@pytest.fixture
def shell(workspace):
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


def test_tab_completes_subcommands_and_choices(shell):
    assert tab(shell, "%capsule pay") == {"payments"}
    assert {"session", "status"} == tab(shell, "%capsule s")
    assert tab(shell, "x = %capsule ea") == {"earnings"}
    assert tab(shell, "%capsule help che") == {"checkout"}
    assert tab(shell, "%capsule local st") == {"stop", "status"}
    assert tab(shell, "%capsule session re") == {"resume"}
    assert len(tab(shell, "%capsule ")) > 10


def test_tab_completes_options(shell):
    assert tab(shell, "%%capsule support-ops --no") == {"--no-stream"}
    assert {"--new", "--once", "--out"} <= tab(shell, "%%capsule --")
    assert tab(shell, "%%capsule --tab") == {"--table"}
    assert tab(shell, "%capsule apps --") == {"--traceback"}
    assert tab(shell, "%capsule session list --a") == {"--all"}
    assert tab(shell, "%capsule history --s") == {"--save"}
    assert tab(shell, "%capsule checkout deal-desk --r") == {"--return-url"}


def test_tab_completes_apps_wherever_an_app_is_expected(shell):
    for line in (
        "%%capsule ",
        "%%capsule --new ",
        "%capsule use ",
        "%capsule payments deal-desk ",
        "%capsule session new ",
        "%capsule session use 123 ",
    ):
        assert tab(shell, f"{line}supp") == {"support-ops"}
    assert {"deal-desk", "diet-coach", "support-ops"} <= tab(shell, "%%capsule ")
    assert tab(shell, "%capsule app support-ops supp") == set()


def test_tab_completes_conversations_and_variables(shell):
    shell.run("%%capsule diet-coach -s comparison -o first_answer\nan apple")
    assert tab(shell, "%%capsule diet-coach -s comp") == {"comparison"}
    assert tab(shell, "%%capsule diet-coach --session ") == {"comparison"}
    assert tab(shell, "%%capsule diet-coach --out first") == {"first_answer"}
    assert "first_answer" in tab(shell, "%%capsule diet-coach -o ")
    assert tab(shell, "%capsule payments $first_") == {"$first_answer"}
    session_id = shell.run("%capsule last").value.session_id
    assert tab(shell, f"%capsule session use {session_id[:6]}") == {session_id}


def test_other_lines_complete_as_without_the_extension(shell):
    shell.run("capsule_count = 1")
    assert tab(shell, "capsule_co") == {"capsule_count"}
    assert "capsule_count" in tab(shell, "%%capsule diet-coach\nHow many? {{ capsule_co")
    assert tab(shell, "%capsule nothing ") & {"support-ops", "--new"} == set()
    assert "%capsule" in tab(shell, "%caps")


def test_tab_makes_no_calls():
    with Gateway() as gateway, new_shell() as shell:
        shell.run("%load_ext cpsl_notebook")
        assert tab(shell, "%%capsule su") == set()  # does not look for credentials either
        assert tab(shell, "%capsule paym") == {"payments"}
        client = Client(cpsl.Client(token="x", gateway_url=gateway.url))
        current_context().connect(client)
        assert tab(shell, "%%capsule supp") == set()
        client._listed = ["support-ops"]
        assert tab(shell, "%%capsule supp") == {"support-ops"}
        assert gateway.accepted == 0


def test_loading_twice_adds_one_completion_and_unloading_removes_it(shell):
    before = len(shell.shell.configurables)
    shell.run("%reload_ext cpsl_notebook\n%reload_ext cpsl_notebook")
    import cpsl_notebook

    cpsl_notebook.load_ipython_extension(shell.shell)
    assert len(shell.shell.Completer.custom_matchers) == 1
    assert len(shell.shell.configurables) == before
    shell.run("%unload_ext cpsl_notebook")
    assert shell.shell.Completer.custom_matchers == []
    assert len(shell.shell.configurables) == before - 1
    manager = shell.shell.input_transformer_manager
    modules = [transform.__module__ for transform in manager.cleanup_transforms]
    assert not [name for name in modules if name.startswith("cpsl_notebook")]
    assert "payments" not in tab(shell, "%capsule paym")
