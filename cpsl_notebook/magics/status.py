"""``%capsule status``: what this notebook is connected to."""

from __future__ import annotations

import contextlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from cpsl_notebook.errors import UserError
from cpsl_notebook.recordings.commands import replaying
from cpsl_notebook.recordings.running import current_recording

if TYPE_CHECKING:
    from cpsl_notebook.conversation.context import NotebookContext

__all__ = ["status"]


def status(context: NotebookContext) -> dict[str, Any]:
    """Return what a notebook is connected to.

    Returns
    -------
    dict
        ``workspace`` and ``client`` (str), ``app`` (str or None, the default one), ``notebook``
        (str or None, its path), ``conversations`` and ``replies`` (int, their number), ``replay``
        and ``recording`` (str or None, the file that is replayed or recorded).
    """
    name, is_known = context.notebook
    replayed, running = None, current_recording()
    try:
        replayed = replaying(context.client)
        workspace, conversations = repr(context.client), len(context.conversations.all())
    except UserError as error:
        workspace, conversations = f"not connected: {error}", 0
    return {
        "workspace": workspace,
        "client": _client_distribution(),
        "app": context.settings.app or None,
        "notebook": name if is_known else None,
        "conversations": conversations,
        "replies": len(context.replies),
        "replay": None if replayed is None else str(replayed.file.path),
        "recording": None if running is None else str(running.file.path),
    }


def _client_distribution() -> str:
    """Return which distribution provides ``cpsl``, and its version."""
    for name in ("cpsl-client", "cpsl"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return "none"
