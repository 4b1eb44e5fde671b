"""``%capsule`` and ``%%capsule``: they read the line and pass the work on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Float, Unicode, observe

from cpsl_notebook.errors import UserError, told
from cpsl_notebook.options import CELL_HELP, LINE_HELP, cell_options, line_options

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from cpsl_notebook.asking import Desk
    from cpsl_notebook.reply import Reply

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

    @no_var_expand
    @line_cell_magic
    def capsule(self, line: str, cell: str | None = None) -> Any:
        """Work with Capsule apps; ``%capsule help`` shows how."""
        show_traceback = "--traceback" in line.split()
        try:
            if cell is None:
                return self._line(line)
            self._cell(line, cell)
            return None
        except Exception as caught:
            if show_traceback:
                if isinstance(caught, UserError):
                    caught.full = True
                raise
            error = told(caught)
        # Raised out here, so that the one line has no "during handling of" before it.
        raise error

    def _cell(self, line: str, cell: str) -> None:
        options = cell_options(line)
        if options.help:
            print(CELL_HELP, end="")  # noqa: T201
            return
        from cpsl_notebook.display import choose

        reply = self._desk.ask(
            cell.removesuffix("\n"),
            options.app,
            display=choose("quiet" if options.quiet else self.display),
            session=options.session,
            new=options.new,
            once=options.once,
            resume=self.resume,
            stream=options.stream,
            timeout=options.timeout or self.timeout,
            remote_images=self.remote_images,
            **self._place(),
        )
        if options.out:
            self.shell.push({options.out: reply})
        if reply.error is not None:
            raise reply.error

    def _line(self, line: str) -> Any:
        name, options = line_options(line)
        run: Callable[[argparse.Namespace], Any] = getattr(self, f"_do_{name}")
        return run(options)

    @property
    def _desk(self) -> Desk:
        from cpsl_notebook.asking import desk

        return desk()

    @observe("app")
    def _share_app(self, change: dict[str, Any]) -> None:
        self._desk.default_app = change["new"]

    def _place(self) -> dict[str, Any]:
        """Return which cell runs, as far as the front end says."""
        shell: Any = self.shell
        parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
        return {
            "cell_id": (parent or {}).get("metadata", {}).get("cellId", ""),
            "execution_count": shell.execution_count,
        }

    def _do_help(self, options: argparse.Namespace) -> None:
        print(f"{LINE_HELP}\n{CELL_HELP}", end="")  # noqa: T201

    def _do_use(self, options: argparse.Namespace) -> None:
        self.app = self._existing([options.app])
        print(f"Cells without an app now talk to {options.app}.")  # noqa: T201

    def _do_apps(self, options: argparse.Namespace) -> pd.DataFrame:
        return self._desk.client.list_apps()

    def _do_app(self, options: argparse.Namespace) -> dict[str, Any]:
        return self._desk.client.get_app(options.app)

    def _do_payments(self, options: argparse.Namespace) -> pd.DataFrame:
        return self._desk.client.list_payments(*options.apps)

    def _do_earnings(self, options: argparse.Namespace) -> pd.DataFrame:
        return self._desk.client.get_earnings(*options.apps)

    def _do_checkout(self, options: argparse.Namespace) -> str:
        return self._desk.client.create_checkout(options.app, options.return_url)

    def _do_history(self, options: argparse.Namespace) -> pd.DataFrame:
        from cpsl_notebook.tables import history_frame

        return history_frame(self._desk.replies)

    def _do_last(self, options: argparse.Namespace) -> Reply:
        if not self._desk.replies:
            raise UserError("There is no reply yet: ask something with %%capsule first.")
        return self._desk.replies[-1]

    def _do_login(self, options: argparse.Namespace) -> None:
        from cpsl_notebook.login import log_in

        log_in()
        self._desk.connect(None)

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
            self._desk.connect(None)
            return None
        workspace = workspace or local.start()
        if options.today:
            workspace.today = options.today
        self._desk.connect(workspace.client())
        return workspace

    def _do_status(self, options: argparse.Namespace) -> dict[str, Any]:
        from cpsl_notebook.tables import status

        return status(self._desk)

    def _do_session(self, options: argparse.Namespace) -> Any:
        from cpsl_notebook.tables import sessions_frame

        action, *words = options.words or ["list"]
        known = self._desk.conversations
        if action == "list" and not words:
            return sessions_frame(known)
        if action == "use" and 1 <= len(words) <= 2:
            app = self._existing(words[1:])
            known.use(app, words[0])
            print(f"The next cell for {app} continues {words[0]}.")  # noqa: T201
            return None
        if action in ("new", "resume") and len(words) <= 1:
            app = self._existing(words)
            return self._begin(app) if action == "new" else self._resume(app)
        raise UserError(
            "It is `%capsule session [list]`, `session new [APP]`, `session resume [APP]` or "
            "`session use ID [APP]`.",
            "UsageError",
        )

    def _existing(self, words: list[str]) -> str:
        """Return the app named, or the one in use; a misspelt name is noticed now."""
        app = self._desk.choose_app(words[0] if words else "")
        self._desk.client.get_app(app)
        return app

    def _begin(self, app: str) -> None:
        self._desk.conversations.start_anew(app)
        print(f"The next cell for {app} starts a new conversation.")  # noqa: T201

    def _resume(self, app: str) -> None:
        earlier = self._desk.conversations.earlier(app)
        if earlier is None:
            raise UserError(f"This notebook has no earlier conversation with {app}.")
        self._desk.conversations.use(app, earlier.session_id)
        print(f"The next cell for {app} continues {earlier.described}.")  # noqa: T201
