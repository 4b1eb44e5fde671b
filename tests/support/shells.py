"""A real IPython shell for tests, which captures what cells show."""

import contextlib

from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


class Ran:
    """The result and the output of a cell."""

    def __init__(self, result, captured) -> None:
        self.value = result.result
        self.error = result.error_before_exec or result.error_in_exec
        self.text = captured.stdout + captured.stderr
        self.outputs = captured.outputs

    @property
    def html(self) -> str:
        return "".join(output.data.get("text/html", "") for output in self.outputs)


class Shell:
    """An IPython shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.variables = shell.user_ns

    def run(self, cell: str) -> Ran:
        """Run a cell; raise its error."""
        ran = self.try_to_run(cell)
        if ran.error is not None:
            raise ran.error
        return ran

    def try_to_run(self, cell: str) -> Ran:
        """Run a cell; its error is in the result."""
        with capture_output() as captured:
            result = self.shell.run_cell(cell, store_history=True)
        return Ran(result, captured)

    def error(self, cell: str) -> str:
        """Run a cell that must fail; return the line that the user sees."""
        ran = self.try_to_run(cell)
        assert ran.error is not None, f"the cell succeeded: {ran.value!r}"
        lines = ran.error._render_traceback_()
        assert len(lines) == 1 and "\n" not in lines[0]
        assert lines[0] in ran.text
        return lines[0]


@contextlib.contextmanager
def new_shell():
    """Create the shell of this process, and remove it at the end."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    try:
        yield Shell(shell)
    finally:
        shell.reset(new_session=False)
        InteractiveShell.clear_instance()


def tab(shell, text):
    """Press Tab at the end of a text; return the completions of its last word."""
    completer = shell.shell.Completer
    with provisionalcompleter():
        found = list(completer.completions(text, len(text)))
    return {text[: one.start].rpartition(" ")[2] + one.text for one in found}
