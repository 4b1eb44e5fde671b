"""Which conversation a cell continues: one per notebook, workspace, app and name.

Session ids are kept on disk for a later kernel of the same notebook; prompts and replies are not.
"""

from __future__ import annotations

import functools
import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cpsl_notebook.conversation.store import Store
from cpsl_notebook.errors import UserError

__all__ = ["ConversationRecord", "ConversationRegistry"]

_SAME_START = 60  # seconds by which two readings of a process's start may differ
_COLUMNS = "app, name, session_id, turns, started_at, last_at, kernel, notebook, workspace"


@dataclass
class ConversationRecord:
    """One conversation with one app.

    Attributes
    ----------
    name
        What ``--session`` called it; empty for the notebook's own.
    session_id
        The service's id; empty before the first reply.
    turns
        How many replies it has had.
    started_at, last_at
        ISO 8601, in UTC; the latter empty before the first reply.
    kernel
        The process that asked last in it: its id, its host, and when it started.
    notebook, workspace
        Where it belongs.
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
        """How it is called in a footer: its name, or the start of its session id."""
        return self.name or self.session_id[:8]

    @property
    def described(self) -> str:
        """What it is, for a sentence about it."""
        turns = f"{self.turns} turn{'' if self.turns == 1 else 's'}"
        last = f", last on {self.last_at.replace('T', ' ')[:16]} UTC" if self.last_at else ""
        named = f" named {self.name}" if self.name else ""
        return f"an earlier conversation{named} with {self.app} ({turns}{last})"

    @property
    def words(self) -> str:
        """How a subcommand names it: its app, and its name if it has one."""
        return f"{self.app} -s {self.name}" if self.name else self.app


class ConversationRegistry:
    """The conversations of one notebook with the apps of one workspace.

    Parameters
    ----------
    store
        What outlives the kernel.
    notebook, workspace
        What tells this notebook and this workspace from others.
    """

    def __init__(self, store: Store, notebook: str, workspace: str) -> None:
        self._store = store
        self._notebook = notebook
        self._workspace = workspace
        self._current: dict[tuple[str, str], ConversationRecord] = {}
        self._used: dict[str, None] = {}  # apps, in order

    def current(self, app: str, name: str = "") -> ConversationRecord:
        """Return the conversation to continue; a new one, kept once it is answered, if none is."""
        return self._current.get((app, name)) or ConversationRecord(app, name)

    def has_current(self, app: str, name: str = "") -> bool:
        """Say whether this kernel has begun, or resumed, that conversation."""
        return (app, name) in self._current

    def start_anew(self, app: str, name: str = "") -> None:
        """Let the next cell start another conversation."""
        self._go_on(ConversationRecord(app, name))

    def resume(self, conversation: ConversationRecord) -> None:
        """Let the next cell continue an earlier conversation."""
        self._claim(self._go_on(conversation))

    def resume_unless_held(self, conversation: ConversationRecord) -> bool:
        """Continue an earlier conversation, unless another kernel has it; say whether."""
        if _is_held(conversation) or not self._claim(conversation):
            return False
        self._go_on(conversation)
        return True

    def use(self, conversation: ConversationRecord, name: str = "") -> ConversationRecord:
        """Let the next cell continue a conversation, under another name if one is given."""
        conversation = self._go_on(conversation, name)
        if conversation.last_at:
            self.keep(conversation)  # its name, for the table
        return conversation

    def matching(self, start: str, app: str = "") -> list[ConversationRecord]:
        """Return the conversations whose id begins so: this notebook's, or else any notebook's."""
        here = [c for c in self.everywhere() if c.workspace == self._workspace]
        for known in (self.all(), here):
            found = [c for c in known if c.session_id.startswith(start) and app in ("", c.app)]
            if found:
                exact = [c for c in found if c.session_id == start]
                return list({(c.app, c.session_id): c for c in exact or found}.values())
        return []

    def is_held(self, conversation: ConversationRecord) -> bool:
        """Say whether another kernel of this machine, which still runs, asked last in it."""
        return _is_held(conversation)

    def apps(self) -> list[str]:
        """Return the apps that this kernel has talked to; if none, those the notebook has."""
        return list(self._used) or list(dict.fromkeys(c.app for c in self._stored()))

    def has_used(self, app: str) -> None:
        """Note that an app has answered."""
        self._used[app] = None

    def answered(self, conversation: ConversationRecord, session_id: str) -> bool:
        """Count a reply; return whether the service went on with another session than asked."""
        self._go_on(conversation)
        restarted = bool(
            conversation.session_id and session_id and session_id != conversation.session_id
        )
        if restarted:
            conversation.turns, conversation.started_at = 0, _now()
        conversation.session_id = session_id or conversation.session_id
        conversation.turns += 1
        conversation.last_at = _now()
        return restarted

    def keep(self, conversation: ConversationRecord) -> None:
        """Write a conversation to the store, for a later kernel."""
        conversation.kernel = _this_kernel()
        conversation.notebook, conversation.workspace = self._notebook, self._workspace
        kept = vars(conversation)
        self._store.write(
            f"""INSERT INTO conversations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET last_at = excluded.last_at, turns = excluded.turns,
            name = excluded.name, kernel = excluded.kernel""",  # noqa: S608
            *(kept[column] for column in _COLUMNS.split(", ")),
        )

    def earlier(self, app: str, name: str = "") -> ConversationRecord | None:
        """Return the last conversation with an app, but for the current one, if any is kept.

        One that another kernel has comes after all that are free.
        """
        known = [c for c in self._stored() if (c.app, c.name) == (app, name)]
        return min((c for c in known if not self.is_current(c)), key=_is_held, default=None)

    def all(self) -> list[ConversationRecord]:
        """Return this notebook's conversations, the latest first, and what is not stored yet."""
        stored = self._stored()
        ids = {conversation.session_id for conversation in stored}
        return [c for c in self._current.values() if c.session_id not in ids] + stored

    def everywhere(self) -> list[ConversationRecord]:
        """Return the conversations of every notebook, the latest first."""
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM conversations ORDER BY last_at DESC, rowid DESC"  # noqa: S608
        )
        return [ConversationRecord(*row) for row in rows]

    def is_current(self, conversation: ConversationRecord) -> bool:
        """Say whether the next cell would continue it."""
        current = self._current.get((conversation.app, conversation.name))
        return current is not None and current.session_id == conversation.session_id

    def forget(self, session_ids: list[str]) -> None:
        """Take conversations of this notebook out of this kernel, and out of the store.

        Raises
        ------
        UserError
            The store cannot be written.
        """
        for key in [k for k, c in self._current.items() if c.session_id in session_ids]:
            del self._current[key]
        for session_id in session_ids:
            done = self._store.write(
                "DELETE FROM conversations WHERE session_id = ? AND notebook = ? AND workspace = ?",
                *(session_id, self._notebook, self._workspace),
            )
            if done is None:
                raise UserError(
                    "The store of the conversations cannot be written: see the warning."
                )

    def _go_on(self, conversation: ConversationRecord, name: str = "") -> ConversationRecord:
        """Make a conversation the current one of its name, and of no other."""
        for key, known in list(self._current.items()):
            if known.app == conversation.app and known.session_id == conversation.session_id != "":
                conversation = self._current.pop(key)  # the one that counts its turns
        conversation.name = name or conversation.name
        self._current[conversation.app, conversation.name] = conversation
        self.has_used(conversation.app)
        return conversation

    def _stored(self) -> list[ConversationRecord]:
        rows = self._store.read(
            f"""SELECT {_COLUMNS} FROM conversations WHERE notebook = ? AND workspace = ?
            ORDER BY last_at DESC, rowid DESC""",  # noqa: S608
            *(self._notebook, self._workspace),
        )
        return [ConversationRecord(*row) for row in rows]

    def _claim(self, conversation: ConversationRecord) -> bool:
        """Take a conversation for this kernel; of two kernels that try at once, one succeeds."""
        claimed = self._store.write(
            """UPDATE conversations SET kernel = ? WHERE session_id = ? AND notebook = ?
            AND workspace = ? AND app = ? AND kernel = ? RETURNING 1""",
            *(_this_kernel(), conversation.session_id, self._notebook),
            *(self._workspace, conversation.app, conversation.kernel),
        )
        return bool(claimed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _this_kernel() -> str:
    return _kernel(os.getpid())


@functools.cache
def _kernel(pid: int) -> str:
    return f"{pid}@{socket.gethostname()} {_started(pid) or 0:.0f}"


def _is_held(conversation: ConversationRecord) -> bool:
    """Say whether another process that still runs on this machine asked last in it."""
    process, _, start = conversation.kernel.rpartition(" ")
    pid, _, host = process.partition("@")
    if conversation.kernel == _this_kernel() or host != socket.gethostname():
        return False
    started = _started(int(pid))  # another one, if its id was given away again
    return started is not None and abs(started - float(start)) < _SAME_START


def _started(pid: int) -> float | None:
    """Return when a process started, in seconds since 1970; ``None`` where there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
