"""Tab on the line of a magic: subcommands, options, apps, conversations, variables.

Nothing here asks a service: apps are those of the last listing, and those that were talked to.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from cpsl_notebook.magics.parser import parser_of
from cpsl_notebook.magics.subcommands import CELL, COMMANDS, Command

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Completion"]

_NAME = "cpsl_notebook"
_LINE = re.compile(r"(?:^|[\s=(])%capsule\s+(.*)$", re.S)
_CELL = re.compile(r"^%%capsule\s+(.*)$", re.S)


class Completion:
    """Completes the lines of the magics in one shell, in a terminal and over the kernel's wire.

    Parameters
    ----------
    shell
        The shell that the magics are registered in.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def install(self) -> None:
        """Let the shell's completer ask here first, on our lines only."""
        matcher: Any = context_matcher(identifier=_NAME)
        self._shell.Completer.custom_matchers.append(matcher(lambda given: self._match(given)))

    @staticmethod
    def remove_from(shell: InteractiveShell) -> None:
        """Take out what was installed."""
        matchers = shell.Completer.custom_matchers
        matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != _NAME]

    def words(self, line: str) -> Iterable[tuple[str, str]]:
        """Return what can stand where a line ends, and of which kind each is."""
        in_cell = _CELL.match(line)
        on_line = None if in_cell else _LINE.search(line)
        found = in_cell or on_line
        if found is None or "{{" in found[1].rpartition("}}")[2]:
            return []
        *words, last = found[1].split(" ")
        words = [word for word in words if word]
        if last.startswith("$"):
            return [(f"${name}", "variable") for name in self._variables()]
        if in_cell:
            return self._of(CELL, words, last)
        if not words:
            return [(name, "subcommand") for name in COMMANDS]
        command = COMMANDS.get(words[0])
        return self._of(command, words[1:], last) if command is not None else []

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        line = context.text_until_cursor
        typed = line.rpartition(" ")[2]
        # The token is what the completer replaces: what stands behind the last delimiter.
        cut = len(typed) - len(context.token)
        completions = [
            SimpleCompletion(word[cut:], type=kind)
            for word, kind in self.words(line)
            if word.startswith(typed)
        ]
        return SimpleMatcherResult(completions=completions, suppress=bool(completions))

    def _of(self, command: Command, words: list[str], last: str) -> Iterator[tuple[str, str]]:
        parser = parser_of(command)
        options = parser._option_string_actions
        before = options.get(words[-1]) if words else None
        if before is not None and before.nargs != 0:
            yield from self._values(before, words)
            return
        if last.startswith("-"):
            yield from ((name, "option") for name in options if name.startswith("--"))
            return
        plain = [word for word in words if not word.startswith("-")]
        positionals = [action for action in parser._actions if not action.option_strings]
        if positionals:
            place = min(len(plain), len(positionals) - 1)
            if len(plain) < len(positionals) or positionals[place].nargs == "*":
                yield from self._values(positionals[place], plain)

    def _values(self, action: argparse.Action, words: list[str]) -> Iterator[tuple[str, str]]:
        known: dict[str, Callable[[], Iterable[str]]] = {
            "app": self._apps,
            "apps": self._apps,
            "session": self._names,
            "out": self._variables,
            "subcommand": lambda: COMMANDS,
            "action": lambda: action.choices or _actions(),
            "words": lambda: self._session_words(words),
        }
        names = known.get(action.dest, list)()
        yield from ((str(name), action.dest) for name in names)

    def _apps(self) -> list[str]:
        context = self._connected()
        if context is None:
            return []
        used = [conversation.app for conversation in context.conversations.all()]
        return list(dict.fromkeys([*context.client.known_apps(), *used]))

    def _names(self) -> list[str]:
        context = self._connected()
        names = (
            [conversation.name for conversation in context.conversations.all()] if context else []
        )
        return list(dict.fromkeys(filter(None, names)))

    def _session_words(self, words: list[str]) -> list[str]:
        context = self._connected()
        if context is None:
            return []
        takes_id = words[0] == "forget" or (words[0] == "use" and len(words) == 1)
        known = [conversation.session_id for conversation in context.conversations.all()]
        return [one for one in known if one] if takes_id else self._apps()

    def _variables(self) -> list[str]:
        hidden = self._shell.user_ns_hidden
        return [
            name for name in self._shell.user_ns if not name.startswith("_") and name not in hidden
        ]

    def _connected(self) -> Any:
        """Return the context, where it has a client: making one may look for credentials."""
        from cpsl_notebook.conversation.context import current_context

        return current_context() if current_context().is_connected else None


def _actions() -> tuple[str, ...]:
    from cpsl_notebook.magics.session_command import ACTIONS

    return ACTIONS
