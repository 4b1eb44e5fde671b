"""Syntax highlighting: which languages, in what time, in which colours."""

import re
import time

import pytest
from replies import reply_with

from cpsl_notebook.reply.limits import Budget
from cpsl_notebook.reply.markdown import to_html
from cpsl_notebook.reply.rendering import html
from cpsl_notebook.reply.style import COLOURS, TEXT_SHARE

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
    shown = to_html(f"~~~{language}\n{code}\n~~~", budget=Budget(lines=1 << 60))
    assert time.monotonic() - started < 5  # 10 to 70 without the limit
    shown = "".join(re.findall("<[^>]*>|([^<]*)", shown)).replace("&#10;", "\n")
    assert shown.removeprefix("\n" if code.startswith("\n") else "") == f"{code}\n"


@pytest.mark.parametrize("language", ["python", "Py3", "json", "r", "c++", "bash", "yaml"])
def test_common_languages_are_highlighted(language):
    assert "<span s>" in to_html(f'```{language}\nif x: "text" # 1\nif y: 2\n```')


def test_colours_of_tokens():
    shown = html(reply_with("```python\ndef f():\n    pass\n```"))
    assert "<span style=color:var(--k)>def</span>" in shown
    assert "--k:color-mix(in srgb,currentColor 40%,#e54);" in shown and "--s:" not in shown


@pytest.mark.parametrize(
    "code",
    [
        "```python\ndef f(): pass\n```",
        "```nonesuch\ndef f():\n    pass\n```",
        "```python\n" + "x = 1\n" * 4_000 + "```",
    ],
)
def test_single_lines_unknown_languages_and_very_long_code_stay_plain(code):
    assert "<span" not in to_html(code)


def luminance(channels):
    """Return the relative luminance as WCAG 2.2 defines it."""
    parts = [channel / 255 for channel in channels]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("text", "background"),
    [
        (0x21, 0xFF),
        (0x21, 0xE8),
        (0xE0, 0x11),
        (0xCC, 0x2B),
    ],
    ids=["light", "light code", "dark", "dark code"],
)
def test_colours_have_enough_contrast(text, background):
    share = TEXT_SHARE / 100
    for colour in COLOURS.values():
        own = [int(digit * 2, 16) for digit in colour[1:]]
        mixed = [text * share + channel * (1 - share) for channel in own]
        darker, lighter = sorted([luminance(mixed), luminance([background] * 3)])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (colour, background)
