"""Choosing the app, and the client of a notebook."""

import pytest

from cpsl_notebook import UserError
from cpsl_notebook.conversation.context import NotebookContext, current_context


def test_app_is_named_or_chosen_or_the_only_one_in_use(workspace):
    context = NotebookContext({})
    context.connect(workspace.client())
    advice = "Name one: %%capsule APP in a cell, app='APP' in a function call."
    with pytest.raises(UserError) as caught:
        context.choose_app()
    assert str(caught.value) == f"No app is chosen. {advice}"
    context.conversations.start_new("diet-coach")
    assert context.choose_app() == "diet-coach"
    context.conversations.start_new("support-ops")
    with pytest.raises(UserError) as caught:
        context.choose_app()
    assert (
        str(caught.value)
        == f"No app is chosen. This notebook uses diet-coach, support-ops. {advice}"
    )
    context.settings.app = "deal-desk"
    assert context.choose_app() == "deal-desk"
    assert context.choose_app("support-ops") == "support-ops"


def test_existing_app_checks_the_workspace(workspace):
    context = NotebookContext()
    context.connect(workspace.client())
    assert context.existing_app("support-ops") == "support-ops"
    with pytest.raises(UserError, match="nonesuch"):
        context.existing_app("nonesuch")


def test_missing_credentials_are_explained():
    with pytest.raises(UserError) as caught:
        _ = NotebookContext().client
    assert caught.value.label == "CredentialsError"
    assert "`%capsule login` logs in and `%capsule local` needs no login." in str(caught.value)


def test_plain_python_has_one_context():
    assert current_context() is current_context()
    assert not current_context().is_connected
