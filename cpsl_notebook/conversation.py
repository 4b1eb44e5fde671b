"""Which conversation a cell continues: one per notebook, workspace, app and name.

Session ids are kept on disk for a later kernel of the same notebook; prompts and replies are not.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cpsl_notebook.errors import UserError
from cpsl_notebook.store import Store

__all__ = ["Conversation", "Conversations"]

_COLUMNS = "app, name, session_id, turns, started_at, last_at, kernel, notebook, workspace"


@dataclass
class Conversation:
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
        The process that asked last in it, as ``pid@host``.
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


class Conversations:
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
        self._current: dict[tuple[str, str], Conversation] = {}
        self._used: dict[str, None] = {}  # apps, in order

    def current(self, app: str, name: str = "") -> Conversation:
        """Return the conversation to continue; a new one, kept once it is answered, if none is."""
        return self._current.get((app, name)) or Conversation(app, name)

    def has_current(self, app: str, name: str = "") -> bool:
        """Say whether this kernel has begun, or resumed, that conversation."""
        return (app, name) in self._current

    def start_anew(self, app: str, name: str = "") -> None:
        """Let the next cell start another conversation."""
        self._go_on(Conversation(app, name))

    def resume(self, conversation: Conversation) -> None:
        """Let the next cell continue an earlier conversation."""
        self._go_on(conversation)
        self._claim(conversation)

    def resume_unless_held(self, conversation: Conversation) -> bool:
        """Continue an earlier conversation, unless another kernel has it; say whether."""
        if _is_held(conversation) or not self._claim(conversation):
            return False
        self._go_on(conversation)
        return True

    def use(self, conversation: Conversation, name: str = "") -> None:
        """Let the next cell continue a conversation, under another name if one is given."""
        conversation.name = name or conversation.name
        self._go_on(conversation)

    def matching(self, start: str, app: str = "") -> list[Conversation]:
        """Return the conversations whose id begins so: this notebook's, or else any notebook's."""
        here = [c for c in self.everywhere() if c.workspace == self._workspace]
        for known in (self.all(), here):
            found = [c for c in known if c.session_id.startswith(start) and app in ("", c.app)]
            if found:
                exact = [c for c in found if c.session_id == start]
                return list({(c.app, c.session_id): c for c in exact or found}.values())
        return []

    def is_held(self, conversation: Conversation) -> bool:
        """Say whether another kernel of this machine, which still runs, asked last in it."""
        return _is_held(conversation)

    def apps(self) -> list[str]:
        """Return the apps that this kernel has talked to; if none, those the notebook has."""
        return list(self._used) or list(dict.fromkeys(c.app for c in self._stored()))

    def has_used(self, app: str) -> None:
        """Note that an app has answered."""
        self._used[app] = None

    def answered(self, conversation: Conversation, session_id: str) -> bool:
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
        if conversation.session_id:
            self._keep(conversation)
        return restarted

    def earlier(self, app: str, name: str = "") -> Conversation | None:
        """Return the last conversation with an app that is kept for this notebook, if any."""
        return next((c for c in self._stored() if (c.app, c.name) == (app, name)), None)

    def all(self) -> list[Conversation]:
        """Return this notebook's conversations, the latest first, and what is not stored yet."""
        stored = self._stored()
        ids = {conversation.session_id for conversation in stored}
        return [c for c in self._current.values() if c.session_id not in ids] + stored

    def everywhere(self) -> list[Conversation]:
        """Return the conversations of every notebook, the latest first."""
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM conversations ORDER BY last_at DESC, rowid DESC"  # noqa: S608
        )
        return [Conversation(*row) for row in rows]

    def is_current(self, conversation: Conversation) -> bool:
        """Say whether the next cell would continue it."""
        current = self._current.get((conversation.app, conversation.name))
        return current is not None and current.session_id == conversation.session_id

    def forget(self, session_ids: list[str]) -> None:
        """Take conversations of this notebook out of the store, and out of this kernel.

        Raises
        ------
        UserError
            The store cannot be written.
        """
        for session_id in session_ids:
            done = self._store.write(
                "DELETE FROM conversations WHERE session_id = ? AND notebook = ? AND workspace = ?",
                *(session_id, self._notebook, self._workspace),
            )
            if done is None:
                raise UserError(
                    "The store of the conversations cannot be written: see the warning."
                )
        for key in [k for k, c in self._current.items() if c.session_id in session_ids]:
            del self._current[key]

    def _go_on(self, conversation: Conversation) -> None:
        self._current[conversation.app, conversation.name] = conversation
        self.has_used(conversation.app)

    def _stored(self) -> list[Conversation]:
        rows = self._store.read(
            f"""SELECT {_COLUMNS} FROM conversations WHERE notebook = ? AND workspace = ?
            ORDER BY last_at DESC, rowid DESC""",  # noqa: S608
            *(self._notebook, self._workspace),
        )
        return [Conversation(*row) for row in rows]

    def _claim(self, conversation: Conversation) -> bool:
        """Take a conversation for this kernel; of two kernels that try at once, one succeeds."""
        claimed = self._store.write(
            """UPDATE conversations SET kernel = ? WHERE session_id = ? AND notebook = ?
            AND workspace = ? AND app = ? AND kernel = ? RETURNING 1""",
            *(_this_kernel(), conversation.session_id, self._notebook),
            *(self._workspace, conversation.app, conversation.kernel),
        )
        return bool(claimed)

    def _keep(self, kept: Conversation) -> None:
        kept.kernel, kept.notebook, kept.workspace = _this_kernel(), self._notebook, self._workspace
        self._store.write(
            f"""INSERT INTO conversations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET last_at = excluded.last_at, turns = excluded.turns,
            name = excluded.name, kernel = excluded.kernel""",  # noqa: S608
            *(kept.app, kept.name, kept.session_id, kept.turns, kept.started_at, kept.last_at),
            *(kept.kernel, kept.notebook, kept.workspace),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _this_kernel() -> str:
    return f"{os.getpid()}@{socket.gethostname()}"


def _is_held(conversation: Conversation) -> bool:
    """Say whether another process that still runs on this machine asked last in it."""
    pid, _, host = conversation.kernel.partition("@")
    if conversation.kernel == _this_kernel() or host != socket.gethostname() or not pid.isdecimal():
        return False
    return _runs(int(pid))


def _runs(pid: int) -> bool:
    if sys.platform == "win32":  # no signal is harmless there
        import psutil  # it comes with ipykernel

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is somebody else's
    return True
