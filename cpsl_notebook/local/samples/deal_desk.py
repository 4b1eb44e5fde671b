"""The sample app ``deal-desk``: computes a quote from the numbers in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cpsl_notebook.local.samples import scripting
from cpsl_notebook.local.samples.scripting import Piece, counted
from cpsl_notebook.local.session import Session

_TERMS = {
    "seats": re.compile(r"(?<![\d,.])(\d{1,6})[ -](?:seat|user|people)", re.ASCII),
    "cents": re.compile(r"\$(\d{1,6}(?:\.\d\d)?)\b(?![,.]?\d)", re.ASCII),
    "percent": re.compile(r"(?<![\d,.])(\d{1,2}|100) ?%", re.ASCII),
    "months": re.compile(r"(?<![\d,.])(\d{1,2})[ -](?:month|year)", re.ASCII),
}
_DEFAULTS = {"cents": 4_900, "percent": 0, "months": 12}


def answer(session: Session, text: str) -> Iterator[Piece]:
    """Quote a price; a later message changes only the terms that it names."""
    yield from scripting.reply(session, _pieces(session, text[:4_000].lower()), "your numbers")


def _pieces(session: Session, text: str) -> Iterator[Piece]:
    matches = {name: match for name, term in _TERMS.items() if (match := term.search(text))}
    factor = {"cents": 100, "months": 12 if re.search(r"\d[ -]year", text) else 1}
    found = {name: round(float(m[1]) * factor.get(name, 1)) for name, m in matches.items()}
    quote = _DEFAULTS | session.state.get("quote", {}) | found
    if not found or "seats" not in quote:
        yield "I compute quotes. Name the seats, and optionally a price, a discount and a term."
        yield scripting.suggestions("Quote 25 seats at $49 with 15% off for a year", "10 seats")
        return
    session.state["quote"] = quote
    seats, cents, percent, months = (quote[name] for name in (*_TERMS,))
    full = seats * cents * months
    discount = (full * percent + 50) // 100
    terms = f"{counted(seats, 'seat')} × {_dollars(cents)} × {counted(months, 'month')}"
    rows = [("List price", terms, _dollars(full))]
    rows.append(("Discount", f"{percent}%", _dollars(-discount)))
    rows.append(("Total", "", _dollars(full - discount)))
    yield f"The quote is **{_dollars(full - discount)}**: {terms}, with a {percent}% discount."
    yield scripting.table("Quote", ("Item", "Terms", "Amount"), rows)
    yield scripting.suggestions("Make it 20% off", "What about 40 seats?", "For 24 months")


def _dollars(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"
