"""``%capsule status``: what this notebook is connected to, and the versions of the packages."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cpsl_notebook.cpsl_package import client_distribution, token_source
from cpsl_notebook.errors import UserError
from cpsl_notebook.recordings.commands import replaying
from cpsl_notebook.recordings.running import current_recording
from cpsl_notebook.reproducible import is_reproducible, shown_path

if TYPE_CHECKING:
    from cpsl_notebook.conversation.context import NotebookContext

__all__ = ["status_frame", "truncated_values"]

_PACKAGES = ("cpsl-notebook", "ipython", "ipykernel", "ipywidgets", "pandas")
_REFUSED = {401, 403}  # HTTP statuses
_LOCAL = "local:"  # prefix of the scope of a local workspace


def status_frame(context: NotebookContext) -> pd.DataFrame:
    """Return what a notebook is connected to. The token is checked by listing the apps.

    Parameters
    ----------
    context : NotebookContext
        The notebook.

    Returns
    -------
    pandas.DataFrame
        One row per item, with the item as the index and the column ``value`` (``string``). The items
        are ``workspace`` (its gateway), ``token from``, ``token valid``, ``app`` (for cells
        without an app name), ``notebook`` (its path), ``conversations`` and ``replies`` (their
        numbers), ``replay`` and ``recording`` (the file that is replayed or recorded), and the
        versions of Python and of packages. A value is missing if it is not known.
    """
    name, is_known = context.notebook
    recording = current_recording()
    values = {
        **_connection(context),
        "app": context.settings.app or None,
        "notebook": shown_path(Path(name)) if is_known else None,
        "conversations": str(len(context.listed_conversations.all())),
        "replies": str(len(context.replies)),
        "recording": None if recording is None else recording.file.shown,
        "python": platform.python_version(),
    }
    for package in filter(None, (client_distribution(), *_PACKAGES)):
        values[package] = _version(package)
    index = pd.Index(list(values), name="item")
    return pd.DataFrame({"value": pd.Series(list(values.values()), index=index, dtype="string")})


def truncated_values(frame: pd.DataFrame) -> pd.Series[str]:
    """Return the values of a status frame that pandas truncates when it shows the frame."""
    shown = pd.get_option("display.max_colwidth") or math.inf
    values = frame["value"].dropna()
    return values[values.str.len() >= shown]


def _connection(context: NotebookContext) -> dict[str, str | None]:
    try:
        client = context.client
    except UserError as error:
        return {
            "workspace": f"not connected: {error}",
            "token from": None,
            "token valid": None,
            "replay": None,
        }
    gateway = getattr(client.core, "gateway_url", None) or client.scope
    replayed = replaying(client)
    if replayed is not None:
        return {
            "workspace": _without_port("recorded; not contacted", gateway),
            "token from": None,
            "token valid": None,
            "replay": replayed.file.shown,
        }
    is_local = client.scope.startswith(_LOCAL)
    source = "the local workspace" if is_local else token_source(client.core)
    return {
        "workspace": _without_port("local workspace", gateway) if is_local else gateway,
        "token from": shown_path(Path(source)) if source else None,
        "token valid": _validity(context),
        "replay": None,
    }


def _without_port(kind: str, gateway: str) -> str:
    return kind if is_reproducible() else f"{gateway} ({kind})"


def _validity(context: NotebookContext) -> str:
    try:
        context.client.app_names()
    except Exception as error:
        problem = " ".join(str(error).split())
        is_refused = getattr(error, "status", None) in _REFUSED
        return f"no: {problem}" if is_refused else f"unknown: {problem}"
    return "yes"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
