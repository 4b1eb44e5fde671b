"""Conversations for tests: kernels of one notebook, and registries without a kernel."""

import contextlib

from shells import new_shell

from cpsl_notebook.conversation.registry import ConversationRegistry
from cpsl_notebook.conversation.store import Store


@contextlib.contextmanager
def another_kernel():
    """Start another kernel of the same notebook, as after a restart."""
    with new_shell() as started:
        started.run("%load_ext cpsl_notebook\n%capsule local")
        yield started


def last(shell):
    """Return the last reply of a shell."""
    return shell.run("%capsule last").value


def registry(path, notebook="/books/one.ipynb"):
    """Return the conversations of a notebook in a file."""
    return ConversationRegistry(Store(path), notebook, "workspace")


def save(known, conversation, session_id):
    """Record a turn of a conversation and save it."""
    known.record_turn(conversation, session_id)
    known.save(conversation)
