"""The ``%capsule`` and ``%%capsule`` magics: they parse the line and call a handler."""

from __future__ import annotations

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
from cpsl_notebook.magics.handlers import send_cell
from cpsl_notebook.magics.parser import help_text, parse_cell_line, parse_line
from cpsl_notebook.printing import print_text
from cpsl_notebook.reproducible import set_reproducible
from cpsl_notebook.settings import MAX_TIMEOUT

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpsl_notebook.conversation.context import NotebookContext

__all__ = ["CapsuleMagics"]


@magics_class
class CapsuleMagics(Magics):
    """The magics; ``%config CapsuleMagics`` shows the settings."""

    shell: InteractiveShell
    app = Unicode(
        "",
        help="The app for cells without an app name; `%capsule use` and cells with an app set it.",
    ).tag(config=True)
    timeout = Float(
        None,
        allow_none=True,
        min=0.001,
        max=MAX_TIMEOUT,
        help="Read timeout, in seconds: stop if an app sends nothing for this long. None uses the "
        "client's timeout.",
    ).tag(config=True)
    display = Enum(
        ["auto", "widget", "html", "text"],
        "auto",
        help="How replies are shown: auto (the best that the front end supports), widget (with a "
        "Stop button while streaming), html (without widgets) or text.",
    ).tag(config=True)
    resume = Bool(
        False, help="Whether a new kernel resumes the notebook's last conversations."
    ).tag(config=True)
    remote_images = Bool(
        False,
        help="Whether to load remote images in replies. The image's server learns that you view it.",
    ).tag(config=True)
    reproducible = Bool(
        False,
        help="Whether outputs leave out times, ids, ports and folders, so that they are the same in "
        "every execution. Set it before `%capsule local`, whose ids then come from a seed. "
        "Conversations are not kept for later kernels. CAPSULE_REPRODUCIBLE=1 turns it on, too.",
    ).tag(config=True)
    math = Bool(False, help=r"Whether to typeset $$…$$, \[…\] and \(…\) in replies.").tag(
        config=True
    )

    def __init__(self, shell: InteractiveShell, **options: Any) -> None:
        super().__init__(shell, **options)
        # If the extension is loaded again, keep the settings that were changed before.
        settings = self.context.settings
        for name in vars(settings):
            if getattr(self, name) == self.trait_defaults(name):
                setattr(self, name, getattr(settings, name))
            setattr(settings, name, getattr(self, name))
        set_reproducible(self.reproducible)
        self.observe(self._apply_setting, list(vars(settings)))

    @property
    def context(self) -> NotebookContext:
        """The state that the cells of this notebook share."""
        from cpsl_notebook.conversation.context import current_context

        return current_context()

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def capsule(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Any:
        """Work with Capsule apps."""
        show_traceback = "--traceback" in line.split()
        namespace = {**self.shell.user_ns, **(local_ns or {})}  # the magic may be in a function
        try:
            return self._run(line, cell, namespace)
        except Exception as caught:
            if show_traceback:
                if isinstance(caught, UserError):
                    caught.show_traceback = True
                raise
            error = as_user_error(caught)
        except KeyboardInterrupt:
            error = StoppedError("the command was interrupted.")
        # Raised outside the `except` block, so that the original exception is not shown too.
        raise error

    capsule.__doc__ = help_text()

    def _run(self, line: str, cell: str | None, namespace: dict[str, Any]) -> Any:
        parse = parse_line if cell is None else parse_cell_line
        options = parse(line, namespace)
        if options is None:  # the line asked for help
            return None
        if cell is None:
            return options.run(self, options)
        return send_cell(self, options, cell, namespace)

    def _apply_setting(self, change: dict[str, Any]) -> None:
        setattr(self.context.settings, change["name"], change["new"])
        set_reproducible(self.reproducible)
        if change["name"] in ("remote_images", "math"):  # also for replies that are shown again
            for reply in self.context.replies:
                setattr(reply, change["name"], change["new"])
        is_corrected = change["name"] == "resume" and not self.context.replies
        if is_corrected and (hint := self.context.pop_resume_hint(again=True)):
            print_text(hint)
