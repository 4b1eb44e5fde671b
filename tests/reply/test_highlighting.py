"""Syntax highlighting: which languages, in what time, in which colours."""

import re
import time

import pytest

from cpsl_notebook.reply.markdown import to_html
from cpsl_notebook.reply.style import DARK, LIGHT

SLOW_CODE = {  # pieces whose repetition a lexer takes quadratic time for
    "java": "a b ",
    "csharp": "a\n ",
    "c": "\n",
    "javascript": "a.",
    "autoit": " ",
    "fan": "a",
    "python": "  \n",
}


@pytest.mark.parametrize(("language", "piece"), SLOW_CODE.items())
def test_slow_code_is_cut_off_and_kept_completely(language, piece):
    code = (piece * 20_000)[:19_999]
    started = time.monotonic()
    shown = to_html(f"~~~{language}\n{code}\n~~~")
    assert time.monotonic() - started < 5  # 10 to 70 without the limit
    assert "".join(re.findall("<[^>]*>|([^<]*)", shown)) == f"{code}\n\n"


@pytest.mark.parametrize("language", ["python", "Py3", "json", "r", "c++", "bash", "yaml"])
def test_common_languages_are_highlighted(language):
    assert "<span class=" in to_html(f'```{language}\nif x: "text" # 1\n```')


def test_keyword_has_its_own_class():
    assert '<span class="k">def</span>' in to_html("```python\ndef f(): pass\n```")


@pytest.mark.parametrize(
    "code", ["```nonesuch\ndef f(): pass\n```", f"```python\n{'x = 1;' * 4_000}\n```"]
)
def test_unknown_language_and_very_long_code_stay_plain(code):
    assert "<span" not in to_html(code)


def luminance(colour):
    """Return the relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colours", "backgrounds"),
    [(LIGHT, ["#ffffff", "#f5f5f5", "#f7f7f7"]), (DARK, ["#111111", "#212121", "#1e1e1e"])],
    ids=["light", "dark"],
)
def test_colours_have_enough_contrast(colours, backgrounds):
    for colour in colours.values():
        for background in backgrounds:
            darker, lighter = sorted([luminance(colour), luminance(background)])
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (colour, background)
