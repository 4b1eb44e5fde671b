"""The subcommands of ``%capsule session``: which conversation the next cell continues."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from cpsl_notebook.conversation.registry import ConversationRecord
from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.printing import print_text
from cpsl_notebook.reproducible import is_reproducible

if TYPE_CHECKING:
    import pandas as pd

    from cpsl_notebook.magics.capsule_magics import CapsuleMagics

__all__ = ["forget", "list_sessions", "new", "resume", "use"]


def list_sessions(magics: CapsuleMagics, options: argparse.Namespace) -> pd.DataFrame:
    """List the conversations."""
    from cpsl_notebook.conversation.session_table import sessions_frame

    context = magics.context
    return sessions_frame(context.listed_conversations, context.replies, everywhere=options.all)


def new(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Start a new conversation with the next cell."""
    app = magics.context.existing_app(options.app)
    magics.context.conversations.start_new(app, options.session)
    print_text(f"The next cell for {_target(app, options)} starts a new conversation.")


def resume(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Resume the last conversation of an earlier kernel."""
    app = magics.context.existing_app(options.app)
    conversations = magics.context.conversations
    earlier = conversations.earlier(app, options.session)
    if earlier is None:
        raise UserError(
            f"This notebook has no earlier conversation with {_target(app, options)}. List the "
            "conversations of all notebooks with `%capsule session list --all`."
        )
    shared = _shared_notice(earlier)
    conversations.resume(earlier)
    print_text(
        f"The next cell for {_target(app, options)} continues {earlier.description}.{shared}"
    )


def use(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Continue the conversation with a given session id."""
    conversations = magics.context.conversations
    session_id, app = options.session_id, options.app
    if not session_id:
        raise UsageError("The session id is empty. List the ids with `%capsule session`.")
    found = conversations.matching(session_id, app)
    named = ["-s", options.session] if options.session else []
    if len({each.session_id for each in found}) > 1:
        raise UserError(
            f"{len(found)} conversations begin with {session_id!r}. Give more characters of the id."
        )
    elsewhere = found[1:] or ([] if found else conversations.matching(session_id))
    if elsewhere:
        other = elsewhere[0]
        call = shlex.join(["%capsule", "session", "use", session_id, other.app, *named])
        problem = (
            f"{len(found)} apps have a conversation {other.session_id}. Name one of them, such as "
            if found
            else f"{other.session_id} is a conversation with {other.app!r}, not {app!r}. Run "
        )
        raise UserError(f"{problem}`{call}`.")
    app = magics.context.existing_app(found[0].app if found else app)
    chosen = found[0] if found else ConversationRecord(app, session_id=session_id)
    shared = _shared_notice(chosen)
    chosen = conversations.use(chosen, options.session)
    unlisted = "" if found else ", which is not in the list"
    title = chosen.title if is_reproducible() else chosen.session_id
    print_text(f"The next cell for {chosen.arguments} continues {title}{unlisted}.{shared}")


def forget(magics: CapsuleMagics, options: argparse.Namespace) -> None:
    """Remove conversations of this notebook from the list."""
    if bool(options.conversations) == options.all:
        raise UsageError(
            "Name the conversations (`%capsule session forget ID_OR_NAME ...`) or forget all of this "
            "notebook (`%capsule session forget --all`)."
        )
    conversations = magics.context.listed_conversations
    chosen = None
    if not options.all:
        known = conversations.all()
        chosen = [each for word in options.conversations for each in _session_ids(word, known)]
    count = conversations.forget(chosen)
    print_text(f"Forgot {count:,} conversation{'' if count == 1 else 's'}.")


def _target(app: str, options: argparse.Namespace) -> str:
    return ConversationRecord(app, options.session).arguments


def _shared_notice(conversation: ConversationRecord) -> str:
    if not conversation.is_used_elsewhere:
        return ""
    return " Another running kernel is using this conversation; both share its context."


def _session_ids(word: str, known: list[ConversationRecord]) -> list[str]:
    """Return the ids of the conversations with a name, or the only id with a beginning."""
    if not word:
        raise UsageError("The session id or name is empty. List them with `%capsule session`.")
    named = [each.session_id for each in known if each.name == word]
    if named:
        return named
    found = list(
        dict.fromkeys(each.session_id for each in known if each.session_id.startswith(word))
    )
    if len(found) == 1:
        return found
    problem = (
        f"{len(found)} conversations of this notebook begin with {word!r}. Give more characters "
        "of the id."
        if found
        else f"No conversation of this notebook has the name {word!r} or an id that begins with it."
    )
    raise UserError(f"{problem} List them with `%capsule session`.")
