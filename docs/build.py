"""Build the documentation offline: ``make docs`` writes ``build/docs/html``.

The pages come from three places: this folder, the notebooks, and the code (see `generate`). They are
put together in ``build/docs/source``, so that the site has one tree of addresses.
"""

# ruff: noqa: T201 - printing is what a script does

import json
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
SOURCE = ROOT / "build" / "docs" / "source"
HTML = ROOT / "build" / "docs" / "html"


def assemble(folder: Path = SOURCE) -> None:
    """Put all pages into one folder."""
    from generate import NOTEBOOKS, pages

    def add(name: str, content: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    docs = ROOT / "docs"
    for path in docs.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".toml"):
            add(str(path.relative_to(docs)), path.read_bytes())
    for name, (page, *_) in NOTEBOOKS.items():
        if (path := ROOT / "notebooks" / f"{name}.ipynb").exists():
            text = path.read_text(encoding="utf-8")
            for other, (target, *_) in NOTEBOOKS.items():
                text = text.replace(f"]({other}.ipynb)", f"]({target}.ipynb)")
            notebook = json.loads(text)
            # With the lexer of Python, cells with magics would be errors.
            notebook["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
            for cell in notebook["cells"]:
                if "plt.show()" in "".join(cell["source"]):  # with a white background
                    cell["metadata"]["mystnb"] = {"image": {"classes": "opaque"}}
            add(f"tutorials/{page}.ipynb", json.dumps(notebook).encode())
    for name, text in pages().items():
        add(name, text.encode())


def main() -> int:
    """Build the site; return the exit status."""
    from sphinx.cmd.build import main as sphinx

    started = time.monotonic()
    shutil.rmtree(SOURCE.parent, ignore_errors=True)
    assemble()
    options = ["-b", "html", "-W", "--keep-going", "-j", "2", "-q"]
    folders = ["-c", str(ROOT / "docs"), "-d", str(HTML.parent / "doctrees")]
    status = sphinx([*options, *folders, str(SOURCE), str(HTML)])
    if status == 0:
        print(f"{HTML.relative_to(ROOT)}/index.html, in {time.monotonic() - started:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
