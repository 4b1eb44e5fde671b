"""The sample app ``deal-desk``: computes a quote from the numbers in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cpsl_notebook.local.samples import scripting
from cpsl_notebook.local.samples.scripting import Piece, counted
from cpsl_notebook.local.session import Session

_TERMS = (  # name, factor, pattern
    ("seats", 1, r"([0-9]{1,6})[ -](?:seat|user|people)"),
    ("cents", 100, r"\$([0-9]{1,6}(?:\.[0-9]{2})?)(?![0-9]|[.,][0-9])"),
    ("percent", 1, r"([0-9]{1,2}|100) ?%"),
    ("months", 1, r"([0-9]{1,2})[ -]month"),
    ("months", 12, r"([0-9]{1,2})[ -]year"),
)
_DEFAULTS = {"cents": 4_900, "percent": 0, "months": 12}


def answer(session: Session, text: str) -> Iterator[Piece]:
    """Quote a price; a later message changes only the terms that it mentions."""
    yield from scripting.reply(session, _pieces(session, text[:4_000].lower()), "your numbers")


def _pieces(session: Session, text: str) -> Iterator[Piece]:
    found = {
        name: round(float(match[1]) * factor)
        for name, factor, pattern in _TERMS
        if (match := re.search(rf"(?<![0-9.,]){pattern}", text))
    }
    quote = _DEFAULTS | session.data.get("quote", {}) | found
    if not found or "seats" not in quote:
        yield (
            "I compute quotes. Tell me the number of seats, and optionally a price, a discount and "
            "a term."
        )
        yield scripting.suggestions("Quote 25 seats at $49 with 15% off for a year", "10 seats")
        return
    session.data["quote"] = quote
    full = quote["seats"] * quote["cents"] * quote["months"]
    discount = (full * quote["percent"] + 50) // 100
    term = counted(quote["months"], "month")
    terms = f"{counted(quote['seats'], 'seat')} × {_dollars(quote['cents'])} × {term}"
    rows = [
        ("List price", terms, _dollars(full)),
        ("Discount", f"{quote['percent']}%", _dollars(-discount)),
        ("Total", "", _dollars(full - discount)),
    ]
    yield f"The quote is **{_dollars(full - discount)}** for {term}."
    yield scripting.table("Quote", ("Item", "Terms", "Amount"), rows)
    yield scripting.suggestions("Make it 20% off", "What about 40 seats?", "For 24 months")


def _dollars(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"
