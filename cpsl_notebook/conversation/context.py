"""The state that cells share: the client, the settings, the conversations and the replies."""

from __future__ import annotations

import contextlib
import os
import shlex
import weakref
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from cpsl_notebook.connected import use_in_notebook
from cpsl_notebook.conversation.notebook_identity import notebook_name
from cpsl_notebook.conversation.registry import ConversationRegistry
from cpsl_notebook.conversation.store import Store, default_path
from cpsl_notebook.errors import ClientError, UserError, as_user_error
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.settings import Settings

if TYPE_CHECKING:
    from cpsl_notebook.client import Client

__all__ = ["NotebookContext", "current_context"]

# A client takes the token and the gateway from these variables.
_VARIABLES = (
    *("CAPSULE_TOKEN", "CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_URL", "CAPSULE_HTTP_PORT"),
    "CONFIG_PATH",
)


class NotebookContext:
    """The state that the cells of one notebook share.

    Parameters
    ----------
    namespace : dict, optional
        The notebook's variables; some front ends store the notebook's path in one of them.

    Attributes
    ----------
    settings : Settings
        The notebook's settings.
    replies : list of Reply
        The replies of this kernel, oldest first; empty outside IPython, see `add_reply`.
    """

    def __init__(self, namespace: dict[str, Any] | None = None) -> None:
        self.settings = Settings()
        self.replies: list[Reply] = []
        self.is_notebook = namespace is not None
        self._client: Client | None = None
        self._environment: int | None = None  # of a client with the user's own credentials
        self._namespace = namespace if namespace is not None else {}
        self._conversations: dict[str, ConversationRegistry] = {}  # by workspace
        self._runs: dict[tuple[str, str], dict[int | None, int]] = {}  # see `earlier_turn`
        self._has_hinted = False

    @property
    def client(self) -> Client:
        """The client; the first access creates one with the user's own credentials.

        So does the next access after a cell has changed the environment variables of these credentials.
        """
        client = self._current_client()
        if client is None:
            from cpsl_notebook.client import Client

            environment = _environment()
            try:
                client = Client()
            except RuntimeError as error:  # raised by both clients
                raise _explain_no_client(error) from None
            self._client, self._environment = client, environment
        return client

    @property
    def is_connected(self) -> bool:
        """Whether a client exists already; creating one may look for credentials."""
        return self._current_client() is not None

    def _current_client(self) -> Client | None:
        """Return the client, unless the variables that it was made from have changed since."""
        is_stale = self._environment not in (None, _environment())
        return None if is_stale else self._client

    def connect(self, client: Client | None) -> None:
        """Use another client from now on; ``None`` for one with the user's own credentials.

        In a notebook, ``Client()`` uses its workspace or recording too.
        """
        self._client, self._environment = client, None
        if self.is_notebook:
            use_in_notebook(client)

    @property
    def conversations(self) -> ConversationRegistry:
        """The notebook's conversations in the client's workspace."""
        scope = self.client.scope
        if scope not in self._conversations:
            name, _ = self.notebook
            self._conversations[scope] = ConversationRegistry(Store(default_path()), name, scope)
        return self._conversations[scope]

    @property
    def listed_conversations(self) -> ConversationRegistry:
        """The notebook's conversations; without credentials, those of all workspaces."""
        with contextlib.suppress(Exception):  # stored conversations can be listed without a client
            return self.conversations
        name, _ = self.notebook
        return ConversationRegistry(Store(default_path()), name)

    @property
    def notebook(self) -> tuple[str, bool]:
        """The notebook's path, and whether it is known; see `notebook_name`."""
        return notebook_name(self._namespace)

    def add_reply(self, reply: Reply) -> None:
        """Add a reply to the history, which only notebooks have.

        Otherwise a web service would keep the prompts of all its users while it runs.
        """
        if not self.is_notebook:
            return
        self.replies.append(reply)
        if reply.cell_id:
            runs = self._runs.setdefault((reply.cell_id, reply.session_id), {})
            runs.pop(reply.execution_count, None)
            runs[reply.execution_count] = reply.turn
            if len(runs) > 2:  # only the previous run is needed
                del runs[next(iter(runs))]

    def earlier_turn(self, reply: Reply) -> int | None:
        """Return the turn of the cell's previous run in the conversation of the reply, if any."""
        runs = self._runs.get((reply.cell_id, reply.session_id), {})
        earlier = [turn for count, turn in runs.items() if count != reply.execution_count]
        return earlier[-1] if earlier else None

    def pop_resume_hint(self, *, again: bool = False) -> str:
        """Return a line about earlier kernels' conversations; empty if it was returned before.

        With *again*, it is returned again: the setting *resume*, which it depends on, has changed.

        Only the store is read. No client is created, so all workspaces are included.
        """
        name, is_known = self.notebook
        if (self._has_hinted and not again) or not is_known:
            return ""
        self._has_hinted = True
        stored = ConversationRegistry(Store(default_path()), name).all()
        if not stored:
            return ""
        latest = stored[0]
        line = f"Earlier in this notebook: {latest.description}."
        if self.settings.resume and not latest.is_used_elsewhere:
            line += f" The next cell for {latest.arguments} resumes it."
        else:
            # The notebook may be connected to another workspace, or to none.
            local = "" if self.is_connected or not latest.is_local else "`%capsule local` and then "
            line += f" To resume it, run {local}`%capsule session resume {latest.arguments}`."
        count = sum(each.workspace == latest.workspace for each in stored)
        return line if count == 1 else f"{line} `%capsule session` lists all {count:,}."

    def choose_app(self, app: str = "") -> str:
        """Return the given app, or the one chosen last, or the only one that the notebook uses.

        Raises
        ------
        UserError
            No app was chosen, and the notebook uses no app or several.
        """
        if app or self.settings.app:
            return app or self.settings.app
        used = self.conversations.used_apps() if self.is_notebook else []
        if len(used) == 1:
            return used[0]
        names = f" This notebook uses {', '.join(map(shlex.quote, used))}." if used else ""
        raise UserError(
            f"No app is chosen.{names} Name one: %%capsule APP in a cell, app='APP' in a function call."
        )

    def existing_app(self, app: str = "") -> str:
        """Return the app of `choose_app`; raise an error if the workspace does not have it."""
        app = self.choose_app(app)
        self.client.get_app(app)
        return app


def _environment() -> int:
    """Return a number that changes with the variables; a copy would show the token in tracebacks."""
    return hash(tuple(map(os.environ.get, _VARIABLES)))


def _explain_no_client(error: RuntimeError) -> UserError:
    """Return the error of a client that cannot be created; advise a login only if that helps."""
    explained = as_user_error(error)
    is_ours = explained.label != RuntimeError.__name__  # the official SDK has no classes of its own
    if is_ours and "`cpsl login`" not in str(error):
        return explained
    return ClientError(
        f"{error} In a notebook, `%capsule login` logs in and `%capsule local` needs no login.",
        label="CredentialsError",
    )


_contexts: weakref.WeakKeyDictionary[Any, NotebookContext] = weakref.WeakKeyDictionary()
_context_without_shell = NotebookContext()


def current_context() -> NotebookContext:
    """Return the context of the running IPython shell.

    Without a shell, return one context for the whole process. It has no conversations, because the
    users of a web service, or the visitors of a marimo app, must not share any.
    """
    shell = get_ipython()
    if shell is None:
        return _context_without_shell
    if shell not in _contexts:
        _contexts[shell] = NotebookContext(shell.user_ns)
    return _contexts[shell]
