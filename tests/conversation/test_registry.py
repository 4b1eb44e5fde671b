"""Which conversation a cell continues, in one kernel and across kernels."""

import re

from conversations import another_kernel, last, save
from shells import new_shell

from cpsl_notebook import local
from cpsl_notebook.conversation.context import current_context
from cpsl_notebook.conversation.registry import ConversationRecord


def test_conversation_is_used_and_forgotten_by_id_prefix(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run("%%capsule diet-coach -s other\nan apple")
    other = last(shell).session_id
    shell.run(f"%capsule session use {first[:8]}")
    shell.run("%%capsule diet-coach\nan apple")
    assert (last(shell).session_id, last(shell).turn) == (first, 2)
    assert "Forgot 1 conversation." in shell.run(f"%capsule session forget {first[:8]}").text
    assert list(shell.run("%capsule session list --all").value["session_id"]) == [other]
    shell.run("%%capsule diet-coach\nan apple")
    assert last(shell).turn == 1
    assert "Forgot 2 conversations." in shell.run("%capsule session forget --all").text
    assert len(shell.run("%capsule session").value) == 0


def test_named_conversation_is_continued_under_its_name(shell):
    shell.run("%%capsule diet-coach -s other\nan apple")
    other = last(shell).session_id
    shown = shell.run(f"%capsule session use {other[:8]}").text
    assert shown == f"The next cell for diet-coach -s other continues {other}.\n"
    shell.run(f"%capsule session use {other[:8]} -s third")
    shell.run("%%capsule diet-coach -s third\nan apple")
    assert (last(shell).session_id, last(shell).turn) == (other, 2)


def test_conversation_of_another_notebook_is_used_by_id_prefix(shell, monkeypatch):
    for _ in range(2):
        shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run("%%capsule diet-coach --new\nan apple")
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/two.ipynb")
    with another_kernel() as other:
        other.run(f"%capsule session use {first[:8]}")
        other.run("%%capsule\nan apple")
        assert (last(other).session_id, last(other).turn) == (first, 3)
        assert "which is not in the list" in other.run("%capsule session use zzz").text
        assert "The session id is empty" in other.error("%capsule session use ''")


def test_local_workspace_is_identified_by_its_data(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/one.ipynb")
    ids, ports = [], []
    for folder in ("one", "one", "two"):
        with local.start(tmp_path / folder, pace=0) as started, new_shell() as shell:
            ports.append(started.http_url)
            shell.run("%load_ext cpsl_notebook\n%capsule local")
            shell.run("%config CapsuleMagics.resume = True")
            shell.run("%%capsule diet-coach\nan apple")
            ids.append((last(shell).session_id, last(shell).turn))
    assert ids[1] == (ids[0][0], 2)
    assert ids[2][0] != ids[0][0] and ids[2][1] == 1
    assert ports[0] != ports[1]


def test_list_of_all_names_notebook_and_workspace(shell, monkeypatch):
    shell.run("%%capsule diet-coach\nan apple")
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/two.ipynb")
    with another_kernel() as other:
        other.run("%%capsule diet-coach\nan apple")
        assert len(other.run("%capsule session").value) == 1
        table = other.run("%capsule session list --all").value
        assert list(table["notebook"]) == ["/books/two.ipynb", "/books/one.ipynb"]
        assert table["workspace"].str.startswith("local:").all()


def test_new_kernel_uses_the_only_stored_app_of_the_notebook(shell):
    shell.run("%%capsule diet-coach\nan apple")
    with another_kernel() as again:
        again.run("%%capsule\nan apple")
        assert last(again).app == "diet-coach"


def test_app_of_temporary_conversation_becomes_the_default(shell):
    shell.run("%%capsule diet-coach --once\nan apple")
    shell.run("%%capsule\nan apple")
    assert (last(shell).app, last(shell).turn) == ("diet-coach", 1)


def test_loading_says_which_conversation_can_be_resumed(shell):
    for _ in range(3):
        shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    with new_shell() as again:
        line = again.run("%load_ext cpsl_notebook").text
        assert re.fullmatch(
            rf"Earlier in this notebook: conversation {first[:8]} with diet-coach \(3 turns, last used "
            r"\d{4}-\d\d-\d\d \d\d:\d\d UTC\)\. To resume it, run "
            r"`%capsule local` and then `%capsule session resume diet-coach`\.\n",
            line,
        )
        assert again.run("%reload_ext cpsl_notebook").text == ""
        again.run("%capsule local")
        shown = again.run("%%capsule diet-coach\nan apple").text
        assert "resume" not in shown and last(again).turn == 1
        again.run("%capsule session resume diet-coach")
        again.run("%%capsule diet-coach\nan apple")
        assert (last(again).session_id, last(again).turn) == (first, 4)


def test_loading_names_the_latest_and_counts_the_others(shell, monkeypatch):
    shell.run("%%capsule diet-coach\nan apple")
    shell.run("%%capsule diet-coach -s other\nan apple")
    with new_shell() as again:
        line = again.run("%load_ext cpsl_notebook").text
        assert "named other with diet-coach (1 turn, last used" in line
        assert line.endswith(
            "then `%capsule session resume diet-coach -s other`. `%capsule session` lists all 2.\n"
        )
    monkeypatch.setenv("JPY_SESSION_NAME", "/books/two.ipynb")
    with new_shell() as other:
        assert other.run("%load_ext cpsl_notebook").text == ""


def test_suggested_command_quotes_a_name_with_spaces(shell):
    shell.run('%%capsule diet-coach -s "light lunch"\nan apple')
    with new_shell() as again:
        line = again.run("%load_ext cpsl_notebook").text
        local, command = re.findall("`(.*?)`", line)
        again.run(local)
        assert "continues conversation" in again.run(command).text


def test_resuming_again_resumes_the_same_conversation(shell):
    for _ in range(2):
        shell.run("%%capsule diet-coach --new\nan apple")
    latest = last(shell).session_id
    with another_kernel() as again:
        again.run("%%capsule diet-coach\nan apple")
        shown = [again.run("%capsule session resume diet-coach").text for _ in range(3)]
        assert shown[0].startswith(
            f"The next cell for diet-coach continues conversation {latest[:8]} with diet-coach "
            "(1 turn, last used 20"
        )
        assert shown[1:] == shown[:1] * 2
        again.run("%%capsule diet-coach\nan apple")
        assert (last(again).session_id, last(again).turn) == (latest, 2)
        again.run("%%capsule diet-coach --new\nan apple")
        again.run("%capsule session resume diet-coach")
        again.run("%%capsule diet-coach\nan apple")
        assert (last(again).session_id, last(again).turn) == (latest, 3)


def test_conversation_of_this_kernel_is_not_resumed(shell):
    for _ in range(2):
        shell.run("%%capsule diet-coach --new\nan apple")
    assert "no earlier conversation" in shell.error("%capsule session resume diet-coach")


def test_renamed_conversation_keeps_name_and_turns(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shell.run(f"%capsule session use {first} -s fruit")
    table = shell.run("%capsule session").value
    assert table[["name", "turns", "current"]].values.tolist() == [["fruit", 1, True]]
    assert "no earlier conversation" in shell.error("%capsule session resume diet-coach")
    for turn in (2, 3):
        shell.run("%%capsule diet-coach -s fruit\nan apple")
        assert (last(shell).session_id, last(shell).turn) == (first, turn)


def test_ambiguous_id_prefix_is_an_error(shell):
    shell.run("%capsule apps;")
    for session_id in ("abc1", "abc2"):
        save(current_context().conversations, ConversationRecord("diet-coach"), session_id)
    assert "2 conversations begin with 'abc'" in shell.error("%capsule session use abc")


def test_conversation_has_one_name_and_one_count_of_turns(shell):
    shell.run("%%capsule diet-coach\nan apple")
    first = last(shell).session_id
    shown = shell.run(f"%capsule session use {first[:8]} -s fruit").text
    assert "The next cell for diet-coach -s fruit continues" in shown
    shell.run("%%capsule diet-coach -s fruit\nan apple")
    assert (last(shell).session_id, last(shell).turn, last(shell).conversation) == (
        *(first, 2),
        "fruit",
    )
    shell.run("%%capsule diet-coach\nan apple")
    assert last(shell).session_id != first and last(shell).turn == 1
    table = shell.run("%capsule session").value
    assert sorted(zip(table["name"], table["turns"], strict=True)) == [("", 1), ("fruit", 2)]
    line = shell.error(f"%capsule session use {first} support-ops")
    assert line.endswith(
        f"{first} is a conversation with 'diet-coach', not 'support-ops'. "
        f"Run `%capsule session use {first} diet-coach`."
    )


def test_suggested_app_with_a_space_is_quoted(shell):
    shell.run("%capsule apps;")
    save(current_context().conversations, ConversationRecord("my app"), "abc1")
    line = shell.error("%capsule session use abc diet-coach")
    assert line.endswith("Run `%capsule session use abc 'my app'`.")


def test_list_has_short_ids_and_titles_within_a_hundred_columns(shell):
    shell.run("%%capsule support-ops\nHow many threads are waiting for review\nright now?")
    shell.run("%%capsule support-ops\nTurn that into a plan.")
    shell.run("%%capsule diet-coach -s comparison\nan apple")
    table = shell.run("%capsule session").value
    assert list(table.columns) == "id app name title turns last_at current".split()
    assert set(table["title"]) == {"an apple", "How many threads…"} and max(table["turns"]) == 2
    assert list(table["id"].str.len()) == [8, 8]
    assert max(map(len, table.to_string().splitlines())) <= 100
    with another_kernel() as again:
        table = again.run("%capsule session").value
        assert table["title"].isna().all()
        again.run(f"%capsule session use {table['id'][0]}")
        again.run("%%capsule diet-coach -s comparison\na banana")
        assert last(again).turn == 2
        assert again.run("%capsule session").value["title"][0] == "a banana"
        everywhere = again.run("%capsule session list --all").value
        assert everywhere["session_id"].str.len().eq(36).all()


def test_ids_that_begin_alike_are_longer(shell):
    shell.run("%capsule apps;")
    for session_id in ("abcdefgh-1-x", "abcdefgh-2-y"):
        save(current_context().conversations, ConversationRecord("diet-coach"), session_id)
    assert set(shell.run("%capsule session").value["id"]) == {"abcdefgh-1", "abcdefgh-2"}
