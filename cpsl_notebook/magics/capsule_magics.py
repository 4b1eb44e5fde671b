"""``%capsule`` and ``%%capsule``: they read the line and pass the work on."""

from __future__ import annotations

import argparse
import linecache
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Bool, Enum, Float, Unicode

from cpsl_notebook.errors import StoppedError, UserError, as_user_error
from cpsl_notebook.magics.parser import cell_options, known_command, line_options
from cpsl_notebook.magics.subcommands import CELL, COMMANDS, overview
from cpsl_notebook.settings import LONGEST_SILENCE

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from cpsl_notebook.conversation.context import NotebookContext
    from cpsl_notebook.reply.model import Reply

__all__ = ["CapsuleMagics"]


@magics_class
class CapsuleMagics(Magics):
    """The magics; ``%config CapsuleMagics`` shows the settings."""

    shell: InteractiveShell
    app = Unicode("", help="The app that cells without one talk to.").tag(config=True)
    timeout = Float(
        None,
        allow_none=True,
        min=0.001,
        max=LONGEST_SILENCE,
        help="The longest silence to bear, in seconds; None: the client's.",
    ).tag(config=True)
    display = Enum(
        ["auto", "widget", "html", "text"],
        "auto",
        help="How replies are shown: auto (as the front end allows), widget (with a Stop button "
        "while they stream), html (without widgets) or text.",
    ).tag(config=True)
    resume = Bool(
        False, help="Whether a new kernel goes on with the notebook's last conversations."
    ).tag(config=True)

    remote_images = Bool(
        False,
        help="Whether pictures that must be fetched are shown: who sends one learns of it.",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, **options: Any) -> None:
        super().__init__(shell, **options)
        kept = self._context.settings  # those of an earlier loading, where they were changed
        for name in vars(kept):
            if getattr(self, name) == self.trait_defaults(name):
                setattr(self, name, getattr(kept, name))
            setattr(kept, name, getattr(self, name))
        self.observe(self._share, list(vars(kept)))

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def capsule(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Any:
        """Work with Capsule apps."""
        show_traceback = "--traceback" in line.split()
        names = {**self.shell.user_ns, **(local_ns or {})}  # a line may stand in a function
        try:
            if cell is None:
                return self._line(line, names)
            self._cell(line, cell, names)
            return None
        except Exception as caught:
            if show_traceback:
                if isinstance(caught, UserError):
                    caught.full = True
                raise
            error = as_user_error(caught)
        except KeyboardInterrupt:
            error = StoppedError("interrupted before it was done.")
        # Raised out here, so that the one line has no "during handling of" before it.
        raise error

    capsule.__doc__ = overview()

    def _cell(self, line: str, cell: str, names: dict[str, Any]) -> None:
        options = cell_options(line, names)
        if options.help:
            print(CELL.help, end="")  # noqa: T201
            return
        options.template = options.text = cell.removesuffix("\n")
        left: tuple[str, ...] = ()
        if "{{" in options.text and not options.raw:
            from cpsl_notebook.prompt.template import fill

            filled = fill(options.text, names)
            options.text, left = filled.text, tuple(filled.left)
        self._ask(options, left)

    def _ask(self, options: argparse.Namespace, left: tuple[str, ...] = ()) -> Reply | None:
        from cpsl_notebook.api import place
        from cpsl_notebook.conversation.exchange import preview, send
        from cpsl_notebook.display.displays import choose
        from cpsl_notebook.prompt.request import Request

        named = ("text", "app", "template", "session", "new", "once", "stream", "timeout", "form")
        values = {name: getattr(options, name) for name in named}
        question = Request(**values, left=left, **place())
        if options.dry_run:
            from cpsl_notebook.sanitize import clean

            print(clean(preview(self._context, question)))  # noqa: T201
            return None
        reply = send(self._context, question, choose("quiet" if options.quiet else self.display))
        if options.out:
            self.shell.push({options.out: reply})
        if reply.error is not None:
            raise reply.error
        reply.shown = not options.quiet
        return reply

    def _line(self, line: str, names: dict[str, Any]) -> Any:
        name, options = line_options(line, names)
        run: Callable[[argparse.Namespace], Any] = getattr(self, f"_do_{name}")
        value = run(options)
        shown = name == "ask" or getattr(options, "semicolon", False)
        return None if shown and self._stands_alone() else value

    def _stands_alone(self) -> bool:
        """Say whether the magic is a statement of its own, and not the value of an assignment."""
        frame = sys._getframe()
        while frame.f_globals is not self.shell.user_ns and frame.f_back is not None:
            frame = frame.f_back
        statement = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        return statement.lstrip().startswith("get_ipython().run_line_magic(")

    @property
    def _context(self) -> NotebookContext:
        from cpsl_notebook.conversation.context import current_context

        return current_context()

    def _share(self, change: dict[str, Any]) -> None:
        setattr(self._context.settings, change["name"], change["new"])
        if change["name"] == "remote_images":  # also where a reply is shown again
            for reply in self._context.replies:
                reply.remote_images = change["new"]

    def _do_ask(self, options: argparse.Namespace) -> Reply | None:
        return self._ask(options)

    def _do_help(self, options: argparse.Namespace) -> None:
        name = options.subcommand
        print(COMMANDS[known_command(name)].help if name else overview(), end="")  # noqa: T201

    def _do_use(self, options: argparse.Namespace) -> None:
        self.app = self._context.existing_app(options.app)
        print(f"Cells without an app now talk to {options.app}.")  # noqa: T201

    def _do_apps(self, options: argparse.Namespace) -> pd.DataFrame:
        return self._context.client.list_apps()

    def _do_app(self, options: argparse.Namespace) -> dict[str, Any]:
        return self._context.client.get_app(options.app)

    def _do_payments(self, options: argparse.Namespace) -> pd.DataFrame:
        window = {name: getattr(options, name) for name in ("since", "until", "month", "tz")}
        return self._context.client.list_payments(*options.apps, **window)

    def _do_earnings(self, options: argparse.Namespace) -> pd.DataFrame:
        return self._context.client.get_earnings(*options.apps)

    def _do_checkout(self, options: argparse.Namespace) -> str:
        return self._context.client.create_checkout(options.app, options.return_url)

    def _do_history(self, options: argparse.Namespace) -> pd.DataFrame | None:
        from cpsl_notebook.conversation.history import history_frame, save_history

        frame = history_frame(self._context.replies)
        if options.save is None:
            return frame
        path = save_history(frame, options.save, force=options.force)
        print(f"Saved {len(frame)} turns in {path}.")  # noqa: T201
        return None

    def _do_last(self, options: argparse.Namespace) -> Reply:
        if not self._context.replies:
            raise UserError("There is no reply yet: ask something with %%capsule first.")
        return self._context.replies[-1]

    def _do_login(self, options: argparse.Namespace) -> None:
        from cpsl_notebook.login import log_in

        log_in()
        self._context.connect(None)

    def _do_local(self, options: argparse.Namespace) -> Any:
        from cpsl_notebook import local

        workspace = local.running()
        if options.action == "status":
            if workspace is None:
                print("No local workspace runs in this kernel; `%capsule local` starts one.")  # noqa: T201
            return workspace
        if options.action == "stop":
            if workspace is not None:
                workspace.stop()
                print(f"Stopped; its data stay in {workspace.folder}.")  # noqa: T201
            self._context.connect(None)
            return None
        workspace = workspace or local.start()
        if options.today:
            workspace.today = options.today
        self._context.connect(workspace.client())
        return workspace

    def _do_status(self, options: argparse.Namespace) -> dict[str, Any]:
        from cpsl_notebook.magics.status import status

        return status(self._context)

    def _do_session(self, options: argparse.Namespace) -> Any:
        from cpsl_notebook.magics.session_command import Sessions

        return Sessions(self._context).run(options)
