"""The conversations of a notebook: one per notebook, workspace, app and name.

Session ids are stored on disk for later kernels of the same notebook; prompts and replies are not. The
1,000 most recently used conversations of a notebook are stored, across all its workspaces. Runs whose
notebook is not known, such as those of nbclient, count as one notebook. The service still has the
conversations that are removed from the store.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cpsl_notebook.conversation.kernels import is_running_elsewhere, this_kernel
from cpsl_notebook.conversation.notebook_identity import PROCESS_NAMES
from cpsl_notebook.conversation.store import Store, is_valid
from cpsl_notebook.errors import UserError
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["MAX_STORED", "ConversationRecord", "ConversationRegistry"]

MAX_STORED = 1_000
"""The number of stored conversations of a notebook; older ones are removed."""

_COLUMNS = "app, name, session_id, turns, started_at, last_at, kernel, notebook, workspace"


@dataclass
class ConversationRecord:
    """One conversation with one app.

    Attributes
    ----------
    app : str
        The app's name or id.
    name : str
        The name given with ``--session``; empty for the notebook's default conversation.
    session_id : str
        The service's id; empty before the first reply.
    turns : int
        The number of replies.
    started_at, last_at : str
        Times in ISO 8601, in UTC; *last_at* is empty before the first reply.
    kernel : str
        The kernel that used the conversation last; see `cpsl_notebook.conversation.kernels`.
    notebook, workspace : str
        Where the conversation belongs.
    """

    app: str
    name: str = ""
    session_id: str = ""
    turns: int = 0
    started_at: str = field(default_factory=lambda: _now())
    last_at: str = ""
    kernel: str = ""
    notebook: str = ""
    workspace: str = ""

    @property
    def label(self) -> str:
        """The name in a footer: the conversation's name, or the start of its session id.

        Empty for a conversation without a name if outputs are reproducible.
        """
        return self.name or ("" if is_reproducible() else self.session_id[:8])

    @property
    def title(self) -> str:
        """The conversation in a sentence: ``"conversation 0ec79c2f"``, ``"the conversation"``."""
        return f"conversation {self.label}" if self.label else "the conversation"

    @property
    def description(self) -> str:
        """A description for a message: the start of the id, the name, the app, the last use."""
        turns = f"{self.turns} turn{'' if self.turns == 1 else 's'}"
        name = f" named {self.name}" if self.name else ""
        if is_reproducible():
            return f"conversation{name} with {self.app} ({turns})"
        last = f", last used {self.last_at.replace('T', ' ')[:16]} UTC" if self.last_at else ""
        return f"conversation {self.session_id[:8]}{name} with {self.app} ({turns}{last})"

    @property
    def arguments(self) -> str:
        """The arguments that select it in a subcommand: the app and any name, quoted if necessary."""
        return shlex.join([self.app, "-s", self.name] if self.name else [self.app])

    @property
    def is_local(self) -> bool:
        """Whether it belongs to a local workspace."""
        return self.workspace.startswith("local:")

    @property
    def is_used_elsewhere(self) -> bool:
        """Whether another running kernel of this machine used it last."""
        return is_running_elsewhere(self.kernel)

    def add_turn(self, session_id: str) -> bool:
        """Count a reply; return whether the service replied in a different session."""
        was_replaced = bool(self.session_id and session_id and session_id != self.session_id)
        if was_replaced:
            self.turns, self.started_at = 0, _now()
        self.session_id = session_id or self.session_id
        self.turns += 1
        self.last_at = _now()
        return was_replaced


class ConversationRegistry:
    """The conversations of one notebook with the apps of one workspace.

    Parameters
    ----------
    store : Store
        The file that keeps conversations for later kernels.
    notebook : str
        The name of the notebook, such as its path.
    workspace : str, optional
        The name of the workspace; ``None`` for all workspaces, if it is not known.

    Attributes
    ----------
    workspace : str or None
        The workspace.
    """

    def __init__(self, store: Store, notebook: str, workspace: str | None = None) -> None:
        self.workspace = workspace
        self._store = store
        self._notebook = notebook
        self._current: dict[tuple[str, str], ConversationRecord] = {}
        self._started: set[str] = set()  # session ids that began in this kernel
        self._resumed: set[str] = set()

    def current(self, app: str, name: str = "") -> ConversationRecord | None:
        """Return the conversation that the next cell continues, if this kernel has one."""
        return self._current.get((app, name))

    def is_current(self, conversation: ConversationRecord) -> bool:
        """Return whether the next cell continues a conversation."""
        current = self.current(conversation.app, conversation.name)
        return current is not None and current.session_id == conversation.session_id

    def earlier(self, app: str, name: str = "") -> ConversationRecord | None:
        """Return the conversation with an app to resume, which began in another kernel.

        A conversation that this kernel has already resumed comes first, then the latest that no
        other kernel is using, then the latest.
        """
        stored = self._stored("app = ? AND name = ?", app, name)
        others = [c for c in stored if c.session_id not in self._started]
        candidates = [c for c in others if c.session_id in self._resumed] or others
        kernels = dict.fromkeys(c.kernel for c in candidates)  # each is looked up at most once
        free = next((kernel for kernel in kernels if not is_running_elsewhere(kernel)), None)
        return next((c for c in candidates if c.kernel == free or free is None), None)

    def matching(self, prefix: str, app: str = "") -> list[ConversationRecord]:
        """Return the conversations whose session id starts with a prefix.

        This notebook is searched first, then all notebooks.
        """
        start = "workspace = ? AND substr(session_id, 1, ?) = ?"
        everywhere = self._select(start, self.workspace, len(prefix), prefix)
        for known in (self.all(), everywhere):
            found = [c for c in known if c.session_id.startswith(prefix) and app in ("", c.app)]
            if found:
                exact = [c for c in found if c.session_id == prefix]
                return list({(c.app, c.session_id): c for c in exact or found}.values())
        return []

    def all(self) -> list[ConversationRecord]:
        """Return this notebook's conversations, latest first, after those not stored yet."""
        stored = self._stored()
        ids = {conversation.session_id for conversation in stored}
        return [c for c in self._current.values() if c.session_id not in ids] + stored

    def everywhere(self) -> list[ConversationRecord]:
        """Return the stored conversations of all notebooks, latest first."""
        return self._select(limit=-1)

    def used_apps(self) -> list[str]:
        """Return the apps of this kernel's conversations, or else of the stored ones."""
        return list(dict.fromkeys(c.app for c in [*self._current.values()] or self._stored()))

    def start_new(self, app: str, name: str = "") -> None:
        """Make the next cell start a new conversation."""
        self._make_current(ConversationRecord(app, name))

    def resume(self, conversation: ConversationRecord) -> None:
        """Make the next cell continue an earlier conversation."""
        self._resumed.add(conversation.session_id)
        self._claim(self._make_current(conversation))

    def resume_if_free(self, conversation: ConversationRecord) -> bool:
        """Resume a conversation unless another kernel uses it; return whether it was resumed."""
        if conversation.is_used_elsewhere or not self._claim(conversation):
            return False
        self._resumed.add(conversation.session_id)
        self._make_current(conversation)
        return True

    def use(self, conversation: ConversationRecord, name: str = "") -> ConversationRecord:
        """Make the next cell continue a conversation, under a new name if one is given."""
        conversation = self._make_current(conversation, name)
        if conversation.last_at:
            self.save(conversation)  # its new name
        return conversation

    def record_turn(self, conversation: ConversationRecord, session_id: str) -> bool:
        """Count a reply; return whether the service replied in a different session."""
        self._make_current(conversation)
        if session_id != conversation.session_id:
            self._started.add(session_id)
        return conversation.add_turn(session_id)

    def save(self, conversation: ConversationRecord) -> None:
        """Write a conversation to the store, for later kernels; not if outputs are reproducible."""
        if is_reproducible():
            return
        conversation.kernel = this_kernel()
        conversation.notebook, conversation.workspace = self._notebook, self.workspace or ""
        values = vars(conversation)
        self._store.write(
            f"""INSERT INTO conversations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET last_at = excluded.last_at, turns = excluded.turns,
            name = excluded.name, kernel = excluded.kernel""",  # noqa: S608
            *(values[column] for column in _COLUMNS.split(", ")),
        )
        if conversation.turns <= 1:
            self._remove_oldest()

    def forget(self, session_ids: list[str] | None = None) -> int:
        """Remove conversations of this notebook from this kernel and from the store.

        Parameters
        ----------
        session_ids : list of str, optional
            Their ids; by default, all of the notebook in this workspace.

        Returns
        -------
        int
            The number of removed conversations.

        Raises
        ------
        UserError
            The store cannot be written.
        """
        chosen, values = "", list[str]()
        if session_ids is not None:
            chosen = "AND session_id IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(session_ids))
        scope, scope_values = self._scope()
        stored = self._store.write(
            f"DELETE FROM conversations WHERE {scope} {chosen} RETURNING session_id, app",  # noqa: S608
            *scope_values,
            *values,
        )
        forgotten = {
            (c.session_id, c.app): key
            for key, c in self._current.items()
            if session_ids is None or c.session_id in session_ids
        }
        for key in forgotten.values():
            del self._current[key]
        if stored is None:
            raise UserError(f"Cannot remove the stored conversations: {self._store.problem}")
        return len({*map(tuple, stored), *forgotten})

    def _make_current(self, conversation: ConversationRecord, name: str = "") -> ConversationRecord:
        """Make a conversation the current one under a single name."""
        key = (conversation.app, conversation.name)
        if self._current.get(key) is conversation:  # the usual case, in constant time
            del self._current[key]
        elif conversation.session_id:
            for key, known in list(self._current.items()):
                if (known.app, known.session_id) == (conversation.app, conversation.session_id):
                    conversation = self._current.pop(key)  # the record that counts the turns
        conversation.name = name or conversation.name
        self._current[conversation.app, conversation.name] = conversation
        return conversation

    def _stored(self, condition: str = "TRUE", *values: Any) -> list[ConversationRecord]:
        scope, scope_values = self._scope()
        return self._select(f"{scope} AND {condition}", *scope_values, *values)

    def _scope(self) -> tuple[str, tuple[str, ...]]:
        """Return the condition on the rows of this notebook and workspace, and its values."""
        if self.workspace is None:
            return "notebook = ?", (self._notebook,)
        return "notebook = ? AND workspace = ?", (self._notebook, self.workspace)

    def _select(
        self, condition: str = "TRUE", *values: Any, limit: int = MAX_STORED
    ) -> list[ConversationRecord]:
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM conversations WHERE {condition} "  # noqa: S608
            "ORDER BY last_at DESC, rowid DESC LIMIT ?",
            *values,
            limit,
        )
        return [ConversationRecord(*row) for row in rows if is_valid(row)]

    def _remove_oldest(self) -> None:
        """Remove the stored conversations of this notebook except the latest `MAX_STORED`."""
        scope, values = "notebook = ?", list[Any]([self._notebook])
        if self._notebook.startswith(PROCESS_NAMES):
            scope, values = "substr(notebook, 1, ?) = ?", [len(PROCESS_NAMES), PROCESS_NAMES]
        self._store.write(
            f"""DELETE FROM conversations WHERE rowid IN (SELECT rowid FROM conversations
            WHERE {scope} ORDER BY last_at DESC, rowid DESC LIMIT -1 OFFSET ?)""",  # noqa: S608
            *values,
            MAX_STORED,
        )

    def _claim(self, conversation: ConversationRecord) -> bool:
        """Assign a conversation to this kernel; of two kernels that try at once, one succeeds."""
        claimed = self._store.write(
            """UPDATE conversations SET kernel = ? WHERE session_id = ? AND notebook = ?
            AND workspace = ? AND app = ? AND kernel = ? RETURNING 1""",
            *(this_kernel(), conversation.session_id, self._notebook),
            *(self.workspace, conversation.app, conversation.kernel),
        )
        return bool(claimed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
