"""The code blocks of the documentation, of both READMEs and of docstrings: all of them run."""

import ast
import inspect
import itertools
import os
import re
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbclient
import nbformat
import polars
import pytest
from environments import ROOT

import cpsl
import cpsl_notebook
from cpsl_notebook import local

PAGES = [
    ROOT / "README.md",
    ROOT / "cpsl" / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md")),
]
SHELLS = ("sh", "bash")
_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>[\w-]*)\n(?P<code>.*?)^(?P=fence)$", re.M | re.S
)
_NOTE = re.compile(
    r"<!-- (?P<kind>not run|output|fails|file)(?:: (?P<text>(?:(?!-->).)*?))? -->\n\Z", re.S
)


@dataclass
class Block:
    """A code block of a page.

    An HTML comment right before it may say how to treat it: ``not run: REASON``, ``fails: MESSAGE``,
    ``file: NAME``, or ``output`` for what the block before it prints.
    """

    language: str
    code: str
    line: int
    note: str = ""
    text: str = ""


def blocks_of(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        note = _NOTE.search(source[: match.start()])
        line = source[: match.start()].count("\n") + 1
        block = Block(match["language"], match["code"], line)
        if note:
            block.note, block.text = note["kind"], " ".join((note["text"] or "").split())
        found.append(block)
    return found


def cell_of(block: Block) -> str:
    if block.note == "file":
        return f"%%writefile {block.text}\n{block.code}"
    if block.language in SHELLS:
        return f"%%bash -e\n{block.code}"
    return block.code


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runs(block: Block) -> bool:
    is_code = block.language in ("python", "ipython", *SHELLS)
    return block.note == "file" or (is_code and block.note in ("", "fails"))


WITH_CODE = [page for page in PAGES if any(map(runs, blocks_of(page)))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_code_block_runs_or_has_a_reason(page):
    for block in blocks_of(page):
        where = f"{name_of(page)}, line {block.line}"
        assert block.language, f"{where}: a block without a language"
        if block.language == "text" or runs(block):
            continue
        assert block.note == "not run" and len(block.text) > 10, f"{where}: why is it not run?"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_of_a_page_are_used(page):
    services = (ROOT / "tests" / "client" / "test_services.py").read_text()
    blocks = blocks_of(page)
    commands = "".join(block.code for block in blocks if block.language in SHELLS)
    for block in blocks:
        if block.note == "file":
            stem = block.text.removesuffix(".py")
            assert block.text in commands or re.search(rf"\b{stem}\b", services), block.text


@pytest.fixture(scope="module")
def ran(request, tmp_path_factory):
    """The cells of each selected page, executed as a notebook in a kernel of its own."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    selected = {each.params.get("page") for each in params if each}
    pages = [page for page in WITH_CODE if page in selected]
    with (
        local.start(tmp_path_factory.mktemp("workspace"), pace=0) as workspace,
        ThreadPoolExecutor(2) as pool,
    ):
        folders = [tmp_path_factory.mktemp("page") for _ in pages]
        environs = itertools.repeat(workspace.environ)
        results = pool.map(execute, pages, folders, environs)
        yield dict(zip(pages, results, strict=True))


def execute(page, folder, environ):
    """Run the blocks of a page; return pairs of a block and its outputs."""
    blocks = [block for block in blocks_of(page) if runs(block)]
    cells = [nbformat.v4.new_code_cell(cell_of(block)) for block in blocks]
    for cell, block in zip(cells, blocks, strict=True):
        cell.metadata.tags = ["raises-exception"] if block.note == "fails" else []
    notebook = nbformat.v4.new_notebook(cells=cells)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CAPSULE_")},
        **environ,
        "CAPSULE_HOME": str(folder / "home"),
        "CONFIG_PATH": str(folder / "config.ini"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }
    client = nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    error = ""
    try:
        try:
            client.execute(env=environ)
        except RuntimeError:  # no kernel: two that started at once chose the same TCP port
            client.execute(env=environ)
    except (nbclient.exceptions.CellExecutionError, RuntimeError, TimeoutError) as failed:
        error = f"{type(failed).__name__}: {failed}"  # of this page only
    return list(zip(blocks, cells, strict=True)), error


def printed(cell) -> str:
    """Return what a cell shows, as text."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts[-1:] = ["".join([*texts[-1:], output.text])]
        elif output.output_type == "error":
            texts.append("\n".join(output.traceback))
        else:
            texts.append(output.data.get("text/plain", ""))
    return "\n".join(texts)


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_code_blocks_run(ran, page):
    pairs, error = ran[page]
    assert not error, f"{name_of(page)}:\n{error}"
    for block, cell in pairs:
        if block.note == "fails":
            shown = printed(cell)
            assert any(each.output_type == "error" for each in cell.outputs), block.code
            assert block.text in " ".join(shown.split()), shown


def matches(shown: str, expected: str) -> bool:
    """Return whether an output is the expected one; ``…`` stands for any text."""
    parts = (" ".join(part.split()) for part in expected.split("…"))
    pattern = ".*".join(map(re.escape, parts))
    return re.search(pattern.replace(r"\ .*", r"\ ?.*"), " ".join(shown.split())) is not None


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_shown_outputs_are_real(ran, page):
    pairs, _ = ran[page]
    before: Block | None = None
    cells = {block.line: cell for block, cell in pairs}
    for block in blocks_of(page):
        if block.note == "output":
            assert before is not None
            shown = printed(cells[before.line])
            assert matches(shown, block.code), f"line {block.line} shows:\n{shown}"
        else:
            before = block


def messages_in(package):
    """Return the texts in the code of a package, with ``…`` for what is filled in."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", "…") for part in node.values]
                yield "".join(part if isinstance(part, str) else "…" for part in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_of_the_page_about_logging_in_are_those_of_the_code():
    page = (ROOT / "docs" / "how-to" / "log-in.md").read_text(encoding="utf-8")
    shown = re.findall(r"^- \*\*`([^`]+)`", page, re.M)
    assert len(shown) > 10
    known = [
        text.replace("`", "")
        for package in ("cpsl", "cpsl_notebook")
        for text in messages_in(package)
    ]
    for message in shown:
        pattern = ".*".join(map(re.escape, message.split("…")))
        assert any(re.search(pattern, text) for text in known), message


def examples():
    """Return the indented examples of the docstrings in the reference, by name; doctests run apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        import generate
    found = {}
    for name in generate.documented():
        if name.startswith("cpsl.login."):
            continue  # they wait for a person, or need a token; tests/client has them
        text = inspect.getdoc(generate.find(name)) or ""
        code = re.search(r"^Examples\n-+\n(?:.*::)?\n\n((?:    .*\n?|\n)+)", text, re.M)
        if code:
            found[name] = textwrap.dedent(code[1])
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_docstrings_run(name, workspace, monkeypatch):
    for variable, value in workspace.environ.items():
        monkeypatch.setenv(variable, value)
    package = cpsl_notebook if name.startswith("cpsl_notebook") else cpsl
    names = {each: getattr(package, each) for each in package.__all__}
    names |= {"cpsl": cpsl, "cpsl_notebook": cpsl_notebook, "polars": polars, "pytest": pytest}
    with cpsl.Client() as client:
        exec(EXAMPLES[name], names | {"client": client, "start": local.start})


def test_most_methods_of_the_client_have_an_example_that_runs():
    assert len(EXAMPLES) > 15
