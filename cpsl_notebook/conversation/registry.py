"""The conversations of a notebook: one per notebook, workspace, app and name.

Session ids are stored on disk for later kernels of the same notebook; prompts and replies are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cpsl_notebook.conversation.kernels import is_running_elsewhere, this_kernel
from cpsl_notebook.conversation.store import Store, is_valid
from cpsl_notebook.errors import UserError
from cpsl_notebook.reproducible import is_reproducible

__all__ = ["ConversationRecord", "ConversationRegistry"]

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
        """The arguments that select it in a subcommand: the app, and the name if it has one."""
        return f"{self.app} -s {self.name}" if self.name else self.app

    @property
    def is_held(self) -> bool:
        """Whether another running kernel of this machine used it last."""
        return is_running_elsewhere(self.kernel)

    def add_turn(self, session_id: str) -> bool:
        """Count a reply; return whether the service replied in another session than requested."""
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
        What outlives the kernel.
    notebook, workspace : str
        What distinguishes this notebook and this workspace from others.
    """

    def __init__(self, store: Store, notebook: str, workspace: str) -> None:
        self._store = store
        self._notebook = notebook
        self._workspace = workspace
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

        It is the one that was resumed before, so that resuming twice is the same as once; otherwise
        the latest that no other kernel is using; otherwise the latest.
        """
        stored = [c for c in self._stored() if (c.app, c.name) == (app, name)]
        others = [c for c in stored if c.session_id not in self._started]
        candidates = [c for c in others if c.session_id in self._resumed] or others
        free = (c for c in candidates if not c.is_held)
        return next(free, candidates[0] if candidates else None)

    def matching(self, prefix: str, app: str = "") -> list[ConversationRecord]:
        """Return the conversations whose session id starts with a prefix.

        This notebook is searched first, then all notebooks.
        """
        everywhere = [c for c in self.everywhere() if c.workspace == self._workspace]
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
        return self._select("")

    def in_all_workspaces(self) -> list[ConversationRecord]:
        """Return this notebook's stored conversations in all workspaces, latest first."""
        return self._select("WHERE notebook = ?", self._notebook)

    def used_apps(self) -> list[str]:
        """Return the apps of this kernel's conversations, or else of the stored ones."""
        return list(dict.fromkeys(c.app for c in [*self._current.values()] or self._stored()))

    def start_new(self, app: str, name: str = "") -> None:
        """Let the next cell start a new conversation."""
        self._make_current(ConversationRecord(app, name))

    def resume(self, conversation: ConversationRecord) -> None:
        """Let the next cell continue an earlier conversation."""
        self._resumed.add(conversation.session_id)
        self._claim(self._make_current(conversation))

    def resume_if_free(self, conversation: ConversationRecord) -> bool:
        """Resume a conversation unless another kernel uses it; return whether it was resumed."""
        if conversation.is_held or not self._claim(conversation):
            return False
        self._resumed.add(conversation.session_id)
        self._make_current(conversation)
        return True

    def use(self, conversation: ConversationRecord, name: str = "") -> ConversationRecord:
        """Let the next cell continue a conversation, under a new name if one is given."""
        conversation = self._make_current(conversation, name)
        if conversation.last_at:
            self.save(conversation)  # its new name
        return conversation

    def record_turn(self, conversation: ConversationRecord, session_id: str) -> bool:
        """Count a reply; return whether the service replied in another session than requested."""
        self._make_current(conversation)
        if session_id != conversation.session_id:
            self._started.add(session_id)
        return conversation.add_turn(session_id)

    def save(self, conversation: ConversationRecord) -> None:
        """Write a conversation to the store, for later kernels; not if outputs are reproducible."""
        if is_reproducible():
            return
        conversation.kernel = this_kernel()
        conversation.notebook, conversation.workspace = self._notebook, self._workspace
        values = vars(conversation)
        self._store.write(
            f"""INSERT INTO conversations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET last_at = excluded.last_at, turns = excluded.turns,
            name = excluded.name, kernel = excluded.kernel""",  # noqa: S608
            *(values[column] for column in _COLUMNS.split(", ")),
        )

    def forget(self, session_ids: list[str]) -> None:
        """Remove conversations of this notebook from this kernel and from the store.

        Raises
        ------
        UserError
            The store cannot be written.
        """
        for key in [k for k, c in self._current.items() if c.session_id in session_ids]:
            del self._current[key]
        for session_id in session_ids:
            rows = self._store.write(
                "DELETE FROM conversations WHERE session_id = ? AND notebook = ? AND workspace = ?",
                *(session_id, self._notebook, self._workspace),
            )
            if rows is None:
                raise UserError(
                    f"Cannot remove {session_id} from the stored conversations: see the warning."
                )

    def _make_current(self, conversation: ConversationRecord, name: str = "") -> ConversationRecord:
        """Make a conversation the current one under a single name."""
        for key, known in list(self._current.items()):
            if known.app == conversation.app and known.session_id == conversation.session_id != "":
                conversation = self._current.pop(key)  # the record that counts the turns
        conversation.name = name or conversation.name
        self._current[conversation.app, conversation.name] = conversation
        return conversation

    def _stored(self) -> list[ConversationRecord]:
        return self._select("WHERE notebook = ? AND workspace = ?", self._notebook, self._workspace)

    def _select(self, condition: str, *values: str) -> list[ConversationRecord]:
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM conversations {condition} ORDER BY last_at DESC, rowid DESC",  # noqa: S608
            *values,
        )
        return [ConversationRecord(*row) for row in rows if is_valid(row)]

    def _claim(self, conversation: ConversationRecord) -> bool:
        """Assign a conversation to this kernel; of two kernels that try at once, one succeeds."""
        claimed = self._store.write(
            """UPDATE conversations SET kernel = ? WHERE session_id = ? AND notebook = ?
            AND workspace = ? AND app = ? AND kernel = ? RETURNING 1""",
            *(this_kernel(), conversation.session_id, self._notebook),
            *(self._workspace, conversation.app, conversation.kernel),
        )
        return bool(claimed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
