"""Executing notebooks in a kernel of their own; as a program, it renews the stored outputs.

``python tests/support/stored_notebooks.py`` executes every notebook of the project and stores its
outputs in its file. The notebooks turn reproducible outputs on, so only real changes change the files.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ("quickstart", "exploring", "teaching", "earnings", "sweeps")
TIMEOUT = 180  # seconds for a cell


def read(name):
    """Read a notebook of the project."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute(
    notebook,
    folder,
    *,
    prefix=(),
    environ=(),
    startup=(),
    python=sys.executable,
    cell_ids=(),
):
    """Execute a notebook in place, in a folder, over sockets of the file system.

    Parameters
    ----------
    notebook
        The notebook; it is returned.
    folder
        The working folder of the kernel, and where its kernel specification is written.
    prefix
        The beginning of the kernel's command, such as ``("unshare", "--net")``.
    environ
        Further environment variables of the kernel.
    startup
        Lines of code that the kernel executes first; they are not cells.
    python
        The Python of the kernel.
    cell_ids
        The ids of the cells that the kernel is told, as by JupyterLab; by default, none.
    """
    environ = {"CAPSULE_HOME": str(folder / "capsule")} | dict(environ)
    specification = folder / "kernels" / "python3"
    specification.mkdir(parents=True, exist_ok=True)
    command = [*prefix, str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (specification / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "Python 3", "env": environ})
    )
    specifications = KernelSpecManager(
        kernel_dirs=[str(specification.parent)], ensure_native_kernel=False
    )
    lines = [f"--IPKernelApp.exec_lines={line}" for line in startup]
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="nb-") as sockets:
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=specifications,
            connection_file=f"{sockets}/k.json",
            config=Config(KernelManager={"transport": "ipc"}),
        )
        client = nbclient.NotebookClient(
            notebook,
            km=manager,
            timeout=TIMEOUT,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--IPKernelApp.log_level=ERROR", *lines],
        )
        if cell_ids:
            client.on_cell_execute = lambda cell, cell_index: client.kc.session.metadata.update(
                cellId=cell_ids[cell_index]
            )
        client.execute()
    return notebook


def outputs(notebook):
    """Return the outputs of a notebook's cells as text, in order."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        json.dumps(cell.outputs, indent=1, sort_keys=True, ensure_ascii=False) for cell in cells
    ]


def renew(name):
    """Execute a notebook and store its outputs in its file."""
    notebook = read(name)
    metadata = dict(notebook.metadata)
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
    notebook.metadata = metadata  # without the version of Python
    nbformat.write(notebook, FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    os.environ.pop("CAPSULE_REPLAY", None)
    for name in sys.argv[1:] or NAMES:
        renew(name)
        print(f"Renewed the outputs of {FOLDER.name}/{name}.ipynb.")
