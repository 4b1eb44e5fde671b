"""``%capsule session``: which conversation the next cell continues."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cpsl_notebook.conversation.registry import ConversationRecord
from cpsl_notebook.errors import UsageError, UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from cpsl_notebook.conversation.context import NotebookContext

__all__ = ["ACTIONS", "Sessions"]

ACTIONS = ("list", "new", "resume", "use", "forget")


class Sessions:
    """What ``%capsule session`` does on a context."""

    def __init__(self, context: NotebookContext) -> None:
        self._context = context

    def run(self, options: argparse.Namespace) -> Any:
        """Do what the words say.

        Raises
        ------
        UserError
            They say nothing that there is, or it cannot be done.
        """
        if options.action not in ACTIONS:
            hint = did_you_mean(options.action, ACTIONS, f"there are {', '.join(ACTIONS)}.")
            raise UsageError(f"There is no `%capsule session {options.action}`: {hint}")
        action = getattr(self, f"_{options.action}")
        most = {"list": 0, "new": 1, "resume": 1, "use": 2}.get(options.action, 1_000)
        least = 1 if options.action == "use" else 0
        if not least <= len(options.words) <= most:
            raise UsageError(
                "It is `%capsule session [list]`, `session new [APP]`, `session resume [APP]`, "
                "`session use ID [APP]` or `session forget ID ...`."
            )
        return action(options, *options.words)

    def _list(self, options: argparse.Namespace) -> pd.DataFrame:
        from cpsl_notebook.conversation.session_table import sessions_frame

        known = self._context.conversations
        return sessions_frame(known, everywhere=options.all)

    def _new(self, options: argparse.Namespace, app: str = "") -> None:
        app = self._context.existing_app(app)
        self._context.conversations.start_anew(app, options.session)
        print(f"The next cell for {_named(app, options)} starts a new conversation.")  # noqa: T201

    def _resume(self, options: argparse.Namespace, app: str = "") -> None:
        app = self._context.existing_app(app)
        earlier = self._context.conversations.earlier(app, options.session)
        if earlier is None:
            raise UserError(
                f"This notebook has no earlier conversation with {_named(app, options)}: "
                "`%capsule session list --all` shows those of every notebook."
            )
        held = self._said_if_held(earlier)
        self._context.conversations.resume(earlier)
        print(f"The next cell for {_named(app, options)} continues {earlier.description}.{held}")  # noqa: T201

    def _use(self, options: argparse.Namespace, session_id: str, app: str = "") -> None:
        if not session_id:
            raise UsageError("Which conversation? `%capsule session` lists their ids.")
        known = self._context.conversations
        found = known.matching(session_id, app)
        if len(found) > 1:
            raise UserError(f"{len(found)} conversations begin with {session_id}: give more of it.")
        for other in [] if found else known.matching(session_id):
            raise UserError(f"{other.session_id} is a conversation with {other.app}, not {app}.")
        app = self._context.existing_app(found[0].app if found else app)
        chosen = found[0] if found else ConversationRecord(app, session_id=session_id)
        held = self._said_if_held(chosen)
        chosen = known.use(chosen, options.session)
        which = f"{chosen.session_id}{'' if found else ', which is not in the table'}"
        print(f"The next cell for {chosen.arguments} continues {which}.{held}")  # noqa: T201

    def _forget(self, options: argparse.Namespace, *words: str) -> None:
        known = [c.session_id for c in self._context.conversations.all()]
        if bool(words) == options.all:
            raise UsageError(
                "It is `%capsule session forget ID ...`, or `session forget --all` for every "
                "conversation of this notebook."
            )
        chosen = known if options.all else [_only(word, known) for word in words]
        self._context.conversations.forget(chosen)
        print(f"Forgot {len(chosen)} conversation{'' if len(chosen) == 1 else 's'}.")  # noqa: T201

    def _said_if_held(self, conversation: ConversationRecord) -> str:
        if not conversation.is_held:
            return ""
        return " Another kernel speaks in it too: what is said there is heard here."


def _only(start: str, known: list[str]) -> str:
    found = [one for one in known if one.startswith(start)]
    if len(found) == 1:
        return found[0]
    how_many = f"{len(found)} conversations of this notebook begin" if found else "None begins"
    raise UserError(f"{how_many} with {start}: `%capsule session` lists them.")


def _named(app: str, options: argparse.Namespace) -> str:
    return f"{app} -s {options.session}" if options.session else app
