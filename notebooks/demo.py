"""Run the quickstart from a clean kernel and show what its cells produced: ``make demo``."""

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
    """Execute the notebook, show it, write it and its HTML page; return the exit status."""
    BUILD.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="demo-", dir=BUILD))
    try:
        return demonstrate(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def demonstrate(home: Path) -> int:
    """Do it in a folder that serves as the kernel's own."""
    os.environ["CAPSULE_HOME"] = str(home)  # a fresh workspace, and nothing in the user's own home
    notebook = nbformat.read(QUICKSTART, as_version=4)
    started = time.perf_counter()
    try:
        nbclient.NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": str(home)}},
            extra_arguments=["--IPKernelApp.log_level=ERROR"],  # not how its sockets are encrypted
        ).execute()
    except nbclient.exceptions.CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        written = write(notebook)
    show(notebook)
    print(f"\nThe quickstart ran in {time.perf_counter() - started:.1f} s. Written:")
    for path in written:
        print(f"  {path.relative_to(ROOT)}")
    print("`make lab` opens it in JupyterLab.")
    return 0


def write(notebook: nbformat.NotebookNode) -> list[Path]:
    """Write the executed notebook and its HTML page."""
    executed = BUILD / QUICKSTART.name
    nbformat.write(notebook, executed)
    page = executed.with_suffix(".html")
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return [executed, page]


def show(notebook: nbformat.NotebookNode) -> None:
    """Print the cells that are tagged for it, with their outputs as text."""
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
