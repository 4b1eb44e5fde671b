"""Tab completion on the line of a magic, made from the table of subcommands.

Completion sends no requests: it suggests the apps of the last listing and of known conversations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from IPython.core import completer

from cpsl_notebook.compat import context_matcher
from cpsl_notebook.magics.subcommands import CELL, COMMANDS, LINE, Argument, Command

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpsl_notebook.conversation.context import NotebookContext

__all__ = ["install", "remove"]

_IDENTIFIER = "cpsl_notebook"
_LINE = re.compile(r"(?:^|[\s=(])%capsule\s+(.*)$", re.S)
_CELL = re.compile(r"^%%capsule\s+(.*)$", re.S)

Suggestions = Iterable[tuple[str, str]]  # each with its kind


def install(shell: InteractiveShell) -> None:
    """Add the completion of the magics to a shell's completer, where IPython supports it."""
    if context_matcher is None:
        return
    magics = _Completer(shell)
    matcher = context_matcher(identifier=_IDENTIFIER)
    # IPython sets attributes on the matcher, which a bound method does not have.
    shell.Completer.custom_matchers.append(matcher(lambda context: magics.match(context)))


def remove(shell: InteractiveShell) -> None:
    """Remove the completion of the magics from a shell's completer."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != _IDENTIFIER]


class _Completer:
    """Completes the lines of the magics in one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def match(self, context: completer.CompletionContext) -> completer.SimpleMatcherResult:
        """Return the completions of the last word of a line."""
        line = context.text_until_cursor
        typed = line.rpartition(" ")[2]
        # IPython replaces the token: the part of the word after its last delimiter.
        cut = len(typed) - len(context.token)
        completions = [
            completer.SimpleCompletion(word[cut:], type=kind)
            for word, kind in self._suggestions(line)
            if word.startswith(typed)
        ]
        return completer.SimpleMatcherResult(completions=completions, suppress=bool(completions))

    def _suggestions(self, line: str) -> Suggestions:
        in_cell = _CELL.match(line)
        found = in_cell or _LINE.search(line)
        if found is None or "{{" in found[1].rpartition("}}")[2]:
            return []
        *words, last = found[1].split(" ")
        words = [word for word in words if word]
        if last.startswith("$"):
            return [(f"${name}", "variable") for name in self._variables()]
        command = CELL if in_cell else LINE
        while command.subcommands:
            known = {each.name: each for each in command.subcommands}
            if not words:
                return [(name, "subcommand") for name in known]
            name, *words = words
            if name not in known:
                return []
            command = known[name]
        return self._for_arguments(command, words, last)

    def _for_arguments(self, command: Command, words: list[str], last: str) -> Suggestions:
        options = {name: a for a in command.all_arguments if a.is_option for name in a.names}
        before = options.get(words[-1]) if words else None
        if before is not None and before.takes_value:
            return self._values(before)
        if last.startswith("-"):
            return [(name, "option") for name in options if name.startswith("--")]
        count = sum(not word.startswith("-") for word in words)
        positional = [argument for argument in command.arguments if not argument.is_option]
        if count >= len(positional) and positional:
            # Only a last argument that takes several words can have another one.
            positional = [a for a in positional[-1:] if a.settings.get("nargs") == "*"]
            count = 0
        return self._values(positional[count]) if positional else []

    def _values(self, argument: Argument) -> Suggestions:
        values: Iterable[str] = argument.settings.get("choices", ())
        context = self._connected_context()
        match argument.completes:
            case "app":
                values = _apps(context)
            case "conversation" if context is not None:
                values = (each.name for each in context.conversations.all())
            case "session" if context is not None:
                known = context.conversations.all()
                values = [*(each.session_id for each in known), *(each.name for each in known)]
            case "subcommand":
                values = COMMANDS
            case "variable":
                values = self._variables()
        return [(value, argument.completes) for value in dict.fromkeys(values) if value]

    def _variables(self) -> list[str]:
        hidden = self._shell.user_ns_hidden
        return [
            name for name in self._shell.user_ns if not name.startswith("_") and name not in hidden
        ]

    def _connected_context(self) -> NotebookContext | None:
        """Return the context if it has a client; creating one may look for credentials."""
        from cpsl_notebook.conversation.context import current_context

        context = current_context()
        return context if context.is_connected else None


def _apps(context: NotebookContext | None) -> list[str]:
    if context is None:
        return []
    return [*context.client.known_apps(), *(each.app for each in context.conversations.all())]
