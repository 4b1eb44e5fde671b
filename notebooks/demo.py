"""Run the quickstart in a new kernel and print the outputs of its cells: ``make demo``."""

import os
import shutil
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import nbclient
import nbformat
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "notebooks" / "quickstart.ipynb"
BUILD = ROOT / "build"


def main() -> int:
    """Run the demo in a temporary folder; return the exit status."""
    BUILD.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="demo-", dir=BUILD))
    try:
        return run(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run(home: Path) -> int:
    """Execute the notebook in a folder, print it, and write it with its HTML page."""
    os.environ["CAPSULE_HOME"] = str(home)  # a new workspace outside the user's home
    notebook = nbformat.read(QUICKSTART, as_version=4)
    started = time.perf_counter()
    try:
        nbclient.NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": str(home)}},
            extra_arguments=[
                "--IPKernelApp.log_level=ERROR"
            ],  # no warning about unencrypted sockets
        ).execute()
    except nbclient.exceptions.CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        written = write(notebook)
    show(notebook)
    print(f"\nThe quickstart ran in {time.perf_counter() - started:.1f} s. Files:")
    for path in written:
        print(f"  {path.relative_to(ROOT)}")
    print("Run `make lab` to open it in JupyterLab.")
    return 0


def write(notebook: nbformat.NotebookNode) -> list[Path]:
    """Write the executed notebook and its HTML page."""
    executed = BUILD / QUICKSTART.name
    nbformat.write(notebook, executed)
    page = executed.with_suffix(".html")
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return [executed, page]


def show(notebook: nbformat.NotebookNode) -> None:
    """Print the cells with the tag ``demo`` and their outputs as text."""
    for cell in notebook.cells:
        if "demo" not in cell.metadata.get("tags", []):
            continue
        print()
        print(textwrap.indent(cell.source, "› ", lambda line: True))
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            print(textwrap.indent(text.rstrip(), "    "))


if __name__ == "__main__":
    sys.exit(main())
