"""Make the pictures of the README and the site: ``make pictures``.

JupyterLab runs in Chromium, as in the tests of the browser. A cell asks a sample app, and the frames of
the animation are taken while its reply streams.
"""

# ruff: noqa: T201 - printing is what a script does

import io
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from lab import Notebook, browser_page, jupyterlab  # noqa: E402

FOLDER = ROOT / "docs" / "_static"
CELLS = [
    "%load_ext cpsl_notebook\n%capsule local",
    "%%capsule support-ops\nHow many threads are waiting for review right now?",
    "%%capsule\nTurn that into a two-step triage plan.",
]
SIZE = {"width": 800, "height": 800}
MARGIN = 24  # pixels below the last line
FRAME = 0.12  # seconds between two frames
LAST = 4.0  # seconds for which the last frame is shown
COLORS = 48
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# Only the cells are shown: no menus, no panels, no prompts.
STYLE = """
    #jp-top-panel, #jp-menu-panel, #jp-bottom-panel, .jp-SideBar, .jp-NotebookPanel-toolbar,
    .lm-DockPanel-tabBar, .jp-Notebook-footer, .jp-cell-toolbar, .jp-WindowedPanel-scrollbar {
        display: none !important;
    }
    .jp-Cell { caret-color: transparent; }
"""


def main() -> int:
    """Make an animation for each theme; return the exit status."""
    FOLDER.mkdir(exist_ok=True)
    for name, theme in THEMES.items():
        with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
            frames = record(Path(folder), theme)
        path = FOLDER / f"streamed-reply-{name}.gif"
        write(path, frames)
        size = "x".join(map(str, Image.open(path).size))
        kilobytes = path.stat().st_size // 1000
        print(f"{path.relative_to(ROOT)}: {len(frames)} frames, {size}, {kilobytes} kB")
    return 0


def record(folder: Path, theme: str) -> list[Image.Image]:
    """Run the cells in JupyterLab; return what the page shows while the replies stream."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, folder / "demo.ipynb")
    frames = []
    with (
        jupyterlab(folder, CAPSULE_HOME=str(folder / "home"), PYTHONPATH=str(ROOT)) as url,
        browser_page(device_scale_factor=2) as page,
    ):
        page.set_viewport_size(SIZE)
        lab = Notebook(page, url, "demo.ipynb")
        lab.theme(theme)
        page.evaluate("() => void window.jupyterapp.shell.collapseLeft()")
        page.add_style_tag(content=STYLE)
        lab.run(0)
        area = page.locator(".jp-NotebookPanel-notebook").bounding_box()
        for index in range(1, len(CELLS)):
            lab.run(index, wait=False)
            # The promise of the run is resolved a moment after the reply is complete.
            page.evaluate(
                "() => { window.done = false; window.ran.then(() => { window.done = true; }); }"
            )
            while not page.evaluate("() => window.done"):
                started = time.monotonic()
                frames.append(Image.open(io.BytesIO(page.screenshot(clip=area))).convert("RGB"))
                page.wait_for_timeout(max(1, 1000 * (FRAME + started - time.monotonic())))
            frames.append(Image.open(io.BytesIO(page.screenshot(clip=area))).convert("RGB"))
    return frames


def write(path: Path, frames: list[Image.Image]) -> None:
    """Write an animation that plays once and ends with the complete replies."""
    height = _used_height(frames[-1])
    frames = [frame.crop((0, 0, frame.width, height)) for frame in frames]
    palette = frames[-1].quantize(COLORS)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 * FRAME)] * (len(shown) - 1) + [round(1000 * LAST)]
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=durations, optimize=True)


def _used_height(frame: Image.Image) -> int:
    """Return the height of a frame without the empty page below its content."""
    empty = Image.new("RGB", frame.size, frame.getpixel((0, frame.height - 1)))
    box = ImageChops.difference(frame, empty).getbbox()
    return min(frame.height, box[3] + MARGIN)


if __name__ == "__main__":
    sys.exit(main())
