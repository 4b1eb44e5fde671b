"""What the cells of a notebook share: the client, the settings, the conversations, the replies."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from cpsl_notebook.conversation.notebook_identity import notebook_name
from cpsl_notebook.conversation.registry import ConversationRegistry
from cpsl_notebook.conversation.store import Store, default_path
from cpsl_notebook.errors import ClientError, UserError
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.settings import Settings

if TYPE_CHECKING:
    from cpsl_notebook.client import Client

__all__ = ["NotebookContext", "current_context"]


class NotebookContext:
    """What the cells of one notebook share.

    Parameters
    ----------
    namespace : dict, optional
        The notebook's variables, among which a front end may store the notebook's path.

    Attributes
    ----------
    settings : Settings
        The notebook's settings.
    replies : list of Reply
        The replies of this kernel, oldest first.
    """

    def __init__(self, namespace: dict[str, Any] | None = None) -> None:
        self.settings = Settings()
        self.replies: list[Reply] = []
        self._client: Client | None = None
        self._namespace = namespace if namespace is not None else {}
        self._conversations: dict[str, ConversationRegistry] = {}  # by workspace

    @property
    def client(self) -> Client:
        """The client; the first access creates one with the user's own credentials."""
        if self._client is None:
            from cpsl_notebook.client import Client

            try:
                self._client = Client()
            except RuntimeError as error:  # raised by both clients if there are no credentials
                raise ClientError(
                    f"{error} In a notebook, `%capsule login` logs in and `%capsule local` needs no "
                    "login.",
                    label="CredentialsError",
                ) from None
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether a client exists already; creating one may look for credentials."""
        return self._client is not None

    def connect(self, client: Client | None) -> None:
        """Use another client from now on; ``None`` for one with the user's own credentials."""
        self._client = client

    @property
    def conversations(self) -> ConversationRegistry:
        """The notebook's conversations in the client's workspace."""
        scope = self.client.scope
        if scope not in self._conversations:
            name, _ = self.notebook
            self._conversations[scope] = ConversationRegistry(Store(default_path()), name, scope)
        return self._conversations[scope]

    @property
    def notebook(self) -> tuple[str, bool]:
        """The notebook's path, and whether it is known; see `notebook_name`."""
        return notebook_name(self._namespace)

    def choose_app(self, app: str = "") -> str:
        """Return the given app, or the default one, or the only one that the notebook uses.

        Raises
        ------
        UserError
            There is no default, and the notebook uses no app or several.
        """
        if app or self.settings.app:
            return app or self.settings.app
        used = self.conversations.used_apps()
        if len(used) == 1:
            return used[0]
        if used:
            raise UserError(
                f"Which app? This notebook uses {', '.join(used)}. Name one: %%capsule {used[0]}"
            )
        raise UserError("Which app? Name one (%%capsule APP); `%capsule apps` lists them.")

    def existing_app(self, app: str = "") -> str:
        """Return the same as `choose_app`, after checking that the workspace has the app."""
        app = self.choose_app(app)
        self.client.get_app(app)
        return app


_contexts: weakref.WeakKeyDictionary[Any, NotebookContext] = weakref.WeakKeyDictionary()
_context_without_shell = NotebookContext()


def current_context() -> NotebookContext:
    """Return the context of the running IPython shell, or the process's own without a shell."""
    shell = get_ipython()
    if shell is None:
        return _context_without_shell
    if shell not in _contexts:
        _contexts[shell] = NotebookContext(shell.user_ns)
    return _contexts[shell]
