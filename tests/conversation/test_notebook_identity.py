"""Detecting which notebook a kernel belongs to."""

from shells import new_shell

from cpsl_notebook.conversation.notebook_identity import notebook_name


def test_notebooks_with_the_same_name_in_two_folders_differ(tmp_path, monkeypatch):
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        with new_shell() as shell:
            shell.run("%cd ..")  # afterwards, as a notebook may
            names.append(notebook_name(shell.variables, {"JPY_SESSION_NAME": "b/Untitled.ipynb"}))
    assert names == [(str(tmp_path / folder / "Untitled.ipynb"), True) for folder in ("a", "b")]
    assert notebook_name({}, {"JPY_SESSION_NAME": "/a/b.ipynb"}) == ("/a/b.ipynb", True)
