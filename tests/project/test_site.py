"""The built documentation: complete, without requests to other hosts, readable for everybody."""

import html
import io
import json
import re
import subprocess
import sys

import pytest
from environments import CI, ROOT
from lab import CHROMIUM, browser_page
from PIL import Image

import cpsl
import cpsl_notebook
from cpsl import cli
from cpsl_notebook import local
from cpsl_notebook.earnings.accessor import Earnings
from cpsl_notebook.earnings.plots.plotter import Plots
from cpsl_notebook.magics.capsule_magics import CapsuleMagics
from cpsl_notebook.magics.subcommands import CELL, COMMANDS
from cpsl_notebook.recordings.calls import METHODS

HTML = ROOT / "build" / "docs" / "html"
WIDTHS = (400, 800, 1400)  # pixels
THEMES = ("light", "dark")
# Pages with everything that a page can contain.
SAMPLES = (
    "index",
    "tutorials/first-cell",
    "how-to/log-in",
    "how-to/hosted-notebooks",
    "reference/magics",
    "reference/payments/mrr",
    "explanation/how-a-cell-becomes-a-reply",
)
in_browser = pytest.mark.skipif(
    not CHROMIUM and not CI, reason="Chromium is not installed: install Debian's package chromium"
)


@pytest.fixture(scope="module")
def site():
    """The built site."""
    command = [sys.executable, str(ROOT / "docs" / "build.py")]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "WARNING: " not in built.stderr
    return HTML


@pytest.fixture(scope="module")
def pages(site):
    """The names of all pages."""
    found = sorted(str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html"))
    return [name for name in found if name.partition("/")[0] not in ("_static", "_modules")]


@pytest.fixture(scope="module")
def text(site):
    """Return the text of a page."""

    def read(name):
        page = (site / f"{name}.html").read_text(encoding="utf-8")
        (article,) = re.findall("<article.*?</article>", page, re.S)
        return html.unescape(re.sub("<[^>]+>", "", article))

    return read


# Completeness.


def commands_of(command):
    yield command
    for each in command.subcommands:
        yield from commands_of(each)


def test_reference_has_every_subcommand_and_option(text):
    magics = text("reference/magics")
    for name, command in COMMANDS.items():
        assert f"%capsule {name}" in magics
        for each in commands_of(command):
            assert f"{each.name}" in magics
            for argument in each.all_arguments:
                assert all(option in magics for option in argument.names if argument.is_option)
    for argument in CELL.all_arguments:
        assert all(option in magics for option in argument.names if argument.is_option)


def test_reference_has_every_setting_and_environment_variable(text):
    shown = text("reference/settings")
    assert CapsuleMagics.class_own_traits(config=True)
    for name in CapsuleMagics.class_own_traits(config=True):
        assert name in shown
    sources = [*(ROOT / "cpsl").rglob("*.py"), *(ROOT / "cpsl_notebook").rglob("*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    for name in {*re.findall(r"\bCAPSULE_[A-Z_]*[A-Z]\b", code), "CONFIG_PATH", "SSL_CERT_DIR"}:
        assert name in shown


def test_reference_has_every_error_with_advice(text):
    shown = text("reference/errors")
    errors = [getattr(cpsl, name) for name in cpsl.__all__ if isinstance(getattr(cpsl, name), type)]
    errors = [error for error in errors if issubclass(error, Exception)]
    assert len(errors) > 15
    for error in errors:
        assert f"exception cpsl.{error.__name__}" in shown
    assert shown.count("What to do.") == len(errors)
    for kind in subclasses(cpsl_notebook.UserError):
        assert kind.__name__ in shown


def subclasses(kind):
    yield kind
    for each in kind.__subclasses__():
        if each.__module__.startswith("cpsl_notebook"):
            yield from subclasses(each)


def test_reference_has_every_answer_with_its_parameters_and_every_plot(text):
    shown = text("reference/payments")
    for name in vars(Plots):
        if not name.startswith("_"):
            assert f"payments.capsule.plot.{name}(" in shown
    assert "payments.capsule.roles" in shown
    for name, value in vars(Earnings).items():
        if name.startswith("_") or isinstance(value, property):
            continue
        page = text(f"reference/payments/{name}")
        assert f"payments.capsule.{name}(" in page
        assert "Returns" in page
        for parameter in value.__annotations__:
            assert parameter in ("self", "return") or re.search(rf"\b{parameter}\b", page)


@pytest.mark.parametrize(
    ("package", "page"),
    [(cpsl, "client"), (cpsl_notebook, "notebook"), (local, "workspace")],
    ids=["cpsl", "cpsl_notebook", "cpsl_notebook.local"],
)
def test_reference_has_every_public_name_and_method(text, package, page):
    shown = text(f"reference/{page}") + text("reference/errors")
    elsewhere = {"local", "load_ipython_extension", "Seconds"}
    for name in {*package.__all__} - elsewhere:
        assert f"{package.__name__}.{name}" in shown
        value = getattr(package, name)
        for method, function in vars(value).items() if isinstance(value, type) else ():
            if not method.startswith("_") and callable(function):
                assert f"{method}(" in shown


def test_reference_has_every_command_of_the_shell_and_its_options(text):
    shown = text("reference/command-line")
    for name, parser in cli.parsers()[1].items():
        assert f"cpsl {name}" in shown
        for action in parser._actions:
            assert all(option in shown for option in action.option_strings)


def test_recording_format_names_every_field():
    page = (ROOT / "docs" / "reference" / "recording-format.md").read_text(encoding="utf-8")
    fields = re.findall(r'"(\w+)":', (ROOT / "tests/recordings/data/format-1.jsonl").read_text())
    outer = {"capsule_recording", "recorded_at", "masked", "call", "at", "read_at", "gateway"}
    outer |= {"method", "app", "seconds", "answer", "chunks", "error", "after", "event", "data"}
    assert outer <= set(fields)
    for name in {*outer, *METHODS, "caller", "stopped", "return_url"}:
        assert f"`{name}`" in page


def test_quotes_in_the_reference_can_be_pasted(pages, text):
    for name in pages:
        if name.startswith("reference/"):
            assert not re.search("[“”‘]", re.sub("“others”", "", text(name))), name


def test_tutorials_have_the_titles_of_the_menu_and_link_to_each_other(site, text):
    menu = re.findall(
        r'toctree-l1[^>]*><a[^>]*href="([\w-]+).html">([^<]+)<',
        (site / "tutorials" / "index.html").read_text(encoding="utf-8"),
    )
    assert len(menu) == 5
    for name, title in dict(menu).items():
        page = (site / "tutorials" / f"{name}.html").read_text(encoding="utf-8")
        (article,) = re.findall("<article.*?</article>", page, re.S)
        heading = html.unescape(re.sub("<[^>]+>", "", re.findall("<h1>(.*?)<a", article, re.S)[0]))
        assert heading.startswith(html.unescape(title))
        assert any(f'href="{other}.html"' in article for other, _ in menu if other != name)


def test_code_fits_beside_the_menus():
    limit = 80  # characters, on a page that is 1,400 pixels wide
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                assert [x for x in "".join(cell["source"]).splitlines() if len(x) > limit] == []
    for path in (ROOT / "docs").rglob("*.md"):
        blocks = re.findall(
            r"^```(?:ipython|python|sh)\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M
        )
        long = [line for block in blocks for line in block.splitlines() if len(line) > limit]
        assert [line for line in long if not line.startswith("*/15 ")] == [], path.name


# Files beside the pages.


def test_every_page_is_plain_markdown_too(site, pages):
    for name in {*pages} - {"genindex", "search"}:
        page = (site / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith("# ") and page.count("\n") > 4
        assert not re.search(r"^:::|^```\{|<!--|<svg", page, re.M), name
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page):
            assert (site / name).parent.joinpath(link).exists(), (name, link)


def test_llms_txt_lists_every_page(site, pages):
    listed = re.findall(r"^- \[.+\]\((.+)\.md\)$", (site / "llms.txt").read_text(), re.M)
    assert {*listed} == {*pages} - {"index", "genindex", "search"}


# In a browser.


@pytest.fixture(scope="module")
def page(site):
    with browser_page() as opened:
        opened.emulate_media(reduced_motion="reduce")
        yield opened


def show(page, name, theme, width=1400):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{(HTML / name).as_uri()}.html")
    page.evaluate("mode => { localStorage.mode = localStorage.theme = mode; }", theme)
    page.reload()
    page.locator(f"html[data-theme={theme}]").wait_for(state="attached")


@in_browser
def test_no_page_loads_anything_from_another_host(page, pages):
    requests, problems = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    for name in pages:
        page.goto(f"{(HTML / name).as_uri()}.html")
    page.wait_for_load_state("networkidle")
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []
    assert len(requests) > 10 * len(pages)  # the listener saw the requests


@in_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(page, pages, width):
    page.set_viewport_size({"width": width, "height": 900})
    for name in pages:
        page.goto(f"{(HTML / name).as_uri()}.html")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels too wide"


CUT_OFF = """() => [...document.querySelectorAll(".bd-article dt, .bd-article .classifier")]
    .filter(each => each.getBoundingClientRect().right > window.innerWidth
        || each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
    .map(each => each.textContent.trim().slice(0, 60))"""


@in_browser
@pytest.mark.parametrize("name", ["reference/payments", "reference/notebook", "reference/errors"])
def test_signatures_fit_on_a_phone(page, name):
    show(page, name, "light", 400)
    assert page.locator("dt.sig").count() > 5
    assert page.evaluate(CUT_OFF) == []


@in_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_messages_and_outputs_wrap(page, width):
    for name in ("how-to/log-in", "how-to/conversations", "tutorials/teach"):
        show(page, name, "light", width)
        blocks = page.locator(".highlight-text pre, .cell_output pre")
        assert blocks.count() > 0
        assert (
            blocks.evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).length") == 0
        )


@in_browser
def test_names_in_tables_are_not_broken(page):
    show(page, "reference/settings", "light", 400)
    lines = page.locator("td:first-child code").evaluate_all(
        "all => all.map(each => each.getClientRects().length)"
    )
    assert len(lines) > 10 and set(lines) == {1}


@in_browser
def test_white_plots_are_dark_on_dark_pages(page):
    for theme, is_dark in (("light", False), ("dark", True)):
        show(page, "tutorials/first-cell", theme)
        corner = page.locator("img.opaque").screenshot()
        assert (
            sum(Image.open(io.BytesIO(corner)).convert("RGB").getpixel((2, 2))) < 200
        ) == is_dark


@in_browser
def test_copy_buttons_are_visible_on_touch_screens(page):
    phone = page.context.browser.new_page(has_touch=True, is_mobile=True)
    phone.goto(f"{(HTML / 'how-to/install').as_uri()}.html")
    button = phone.locator("button.copybtn").first
    button.wait_for(state="attached")
    assert button.evaluate("each => getComputedStyle(each).opacity") == "1"
    phone.close()


# Texts whose contrast with the background behind them is below that of WCAG 2.2, level AA.
LOW_CONTRAST = """() => {
    const numbers = color => {
        const found = color.match(/[\\d.]+/g).map(Number);
        const scale = color.startsWith("color(") ? 255 : 1;
        return {rgb: found.slice(0, 3).map(x => scale * x), alpha: found[3] ?? 1};
    };
    const luminance = rgb => {
        const [r, g, b] = rgb.map(x => x / 255).map(
            x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const over = (front, back) => front.rgb.map(
        (x, i) => x * front.alpha + back[i] * (1 - front.alpha));
    const behind = element => {
        const layers = [];
        for (let each = element; each; each = each.parentElement) {
            const color = numbers(getComputedStyle(each).backgroundColor);
            layers.unshift(color);
            if (color.alpha === 1) break;
        }
        return layers.reduce((back, front) => over(front, back), [255, 255, 255]);
    };
    const found = new Map();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const text = texts.currentNode.data.trim();
        const options = {opacityProperty: true, visibilityProperty: true};
        if (!text || !element.checkVisibility(options)) continue;
        if (element.closest("svg, script, style, .headerlink, .cell_output img")) continue;
        const style = getComputedStyle(element);
        const back = behind(element);
        const [low, high] = [luminance(over(numbers(style.color), back)), luminance(back)].sort(
            (a, b) => a - b);
        const size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
        const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < needed)
            found.set(`${element.tagName}.${element.className} ${style.color}`,
                `${contrast.toFixed(2)}: ${text.slice(0, 30)}`);
    }
    return [...found].map(each => each.join(" "));
}"""


@in_browser
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", SAMPLES)
def test_texts_have_enough_contrast(page, name, theme):
    show(page, name, theme)
    assert page.evaluate(LOW_CONTRAST) == []


@in_browser
def test_page_can_be_used_with_the_keyboard(page):
    show(page, "how-to/log-in", "light")
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                const marked = style.outlineStyle !== "none" || style.boxShadow !== "none"
                    || style.borderBottomWidth !== "0px" || style.textDecorationLine !== "none";
                return [document.activeElement.textContent.trim(), marked];
            }"""
        )
        assert focused[1], f"the focus is not visible: {focused[0]}"
        seen.append(focused[0])
    assert {"Tutorials", "How-to guides", "Reference", "Explanation"} <= {*seen}


@in_browser
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("churn definition", "explanation/definitions"),
        ("resume restart", "how-to/conversations"),
        ("failing login", "how-to/log-in"),
        ("record", "how-to/record"),
        ("StreamTimedOut", "reference/errors"),
    ],
)
def test_search_works_from_the_disk(page, words, expected):
    show(page, "index", "light")
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    page.locator("#search-results li").first.wait_for()
    links = page.locator("#search-results li > a").evaluate_all("all => all.map(a => a.href)")
    assert any(f"{expected}.html" in link for link in links[:8]), links[:8]


@in_browser
@pytest.mark.parametrize(
    ("words", "guide"),
    [
        ("token", "how-to/log-in"),
        ("refused", "how-to/log-in"),
        ("no credentials", "how-to/log-in"),
        ("login", "how-to/log-in"),
        ("stop", "how-to/replies"),
        ("excel", "how-to/payments"),
        ("resume", "how-to/conversations"),
        ("churn", "explanation/definitions"),
    ],
)
def test_guides_come_first_in_the_search(page, words, guide):
    page.goto(f"{(HTML / 'search').as_uri()}.html?q={words.replace(' ', '+')}")
    first = page.locator("#search-results li > a").first
    first.wait_for()
    assert f"/{guide}.html" in first.evaluate("link => link.href")


@in_browser
def test_excerpts_of_the_search_separate_words(page):
    page.goto(f"{(HTML / 'search').as_uri()}.html")
    source = "<main role='main'><dl><dt>Path</dt><dd><p>The file.</p></dd></dl></main>"
    shown = page.evaluate("source => Search.htmlToText(source, '')", source)
    assert shown.split() == ["Path", "The", "file."]
