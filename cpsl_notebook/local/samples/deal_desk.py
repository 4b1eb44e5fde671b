"""The app ``deal-desk``: a scripted program that computes quotes in whole cents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction

from cpsl_notebook.local.samples.phrases import (
    NUMBER_WORDS,
    READ_AT_MOST,
    Piece,
    Session,
    counted,
    disclaimer,
    suggestions,
    tell,
    to_number,
)

DEFAULT_PRICE_CENTS = 4_900
"""Price of one seat for one month, where the message names none."""

DEAL_DESK_CLOSING = disclaimer("the numbers in your message")
_WORDS = "|".join(NUMBER_WORDS)
# Possessive repeats (`++`) keep "$50 off" from being read as the price $5.
_AMOUNT = r"(?:\d{1,3}(?:,\d{3})++(?:\.\d{1,2})?+|\d{1,9}+(?:\.\d{1,2})?+)(?!\d)"
_SEATS = re.compile(
    rf"(?<![\d.,-])\b(\d{{1,3}}(?:,\d{{3}})+|\d{{1,9}}|{_WORDS})[ -]?"
    r"(?:seats?|users?|people|licen[cs]es?|members?)\b"
)
_PRICE = re.compile(
    rf"(?:\$ ?({_AMOUNT})|\b({_AMOUNT}) ?(?:dollars?|usd)\b)(?! ?(?:off|discount))"
    rf"|\bat ({_AMOUNT})(?! ?(?:%|percent|seats?|users?|people|months?|years?))"
)
_DISCOUNT = re.compile(
    r"(?<![\d.])(\d{1,3}+(?:\.\d{1,2})?+)(?![\d.]) ?(?:%|percent\b)(?! ?(?:tax|vat|more|up))"
)
_NO_DISCOUNT = re.compile(r"\b(?:no|without(?: the| a| any)?|drop the|remove the) discount\b")
_MONTHS = re.compile(rf"\b(\d{{1,3}}|an?|{_WORDS})[ -]?(month|quarter|year)s?\b")
_LENGTHS = {"month": 1, "quarter": 3, "year": 12}
_TERM_WORDS = {"year and a half": 18, "half a year": 6, "annual": 12, "month to month": 1}
_PER_SEAT_AND_MONTH = re.compile(
    rf"{_AMOUNT}(?: ?(?:dollars?|usd))?"
    r"(?: ?(?:/|per|an?|each|and) ?(?:seat|user|person|month|year)\b){1,2}"
)
_REPLACED = re.compile(
    r"\b(?:instead of|rather than) (?:an? )?\S{1,20}(?: (?:seats?|users?|months?|years?|percent))?"
)
_NOT_DONE = {
    rf"\$ ?{_AMOUNT} ?(?:off|discount)": "Give the discount as a percentage, please.",
    r"[€£¥]|\b(?:euros?|eur|pounds?|gbp|yen)\b": "Every price here is in US dollars.",
    r"\b(?:tax|taxes|vat)\b": "Taxes are not included.",
    rf"\$ ?{_AMOUNT}(?: ?(?:per|/|a) ?seat)? ?(?:per|/|a) ?year": (
        "The price is read as one for a month, not for a year."
    ),
}


@dataclass(frozen=True, slots=True)
class Quote:
    """What a quote is computed from.

    Attributes
    ----------
    seats : int
        How many seats, at least 1.
    price_cents : int
        US cents for one seat and one month.
    discount : int
        Hundredths of a percent, from 0 to 10,000.
    months : int
        The term, at least 1.
    """

    seats: int
    price_cents: int = DEFAULT_PRICE_CENTS
    discount: int = 0
    months: int = 12

    @property
    def list_cents(self) -> int:
        """The price of the whole term before the discount."""
        return self.seats * self.price_cents * self.months

    @property
    def discount_cents(self) -> int:
        """The discount on the whole term, half a cent rounded up."""
        return (self.list_cents * self.discount + 5_000) // 10_000

    @property
    def total_cents(self) -> int:
        """What the whole term costs."""
        return self.list_cents - self.discount_cents


def dollars(cents: int) -> str:
    """Write whole cents as dollars: 1249500 is ``"$12,495.00"``."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def deal_desk(session: Session, text: str) -> Iterator[Piece]:
    """Compute a quote from a sentence, or change one thing in the last quote.

    Parameters
    ----------
    session : Session
        ``state["quote"]`` keeps the last quote.
    text : str
        Such as ``"Quote 25 seats at $49 with 15% off for a year"`` or ``"make it 20% off"``.

    Yields
    ------
    str or dict
        Paragraphs of Markdown, and blocks (`talk.block`).
    """
    yield from tell(session, _quote_pieces(session, text), DEAL_DESK_CLOSING)


def _quote_pieces(session: Session, text: str) -> Iterator[Piece]:
    """Write the quote that a message asks for, or say what is missing."""
    lowered = " ".join(text[:READ_AT_MOST].casefold().split())
    found = read_terms(lowered)
    earlier: dict[str, int] | None = session.state.get("quote")
    if "seats" in found and lowered.startswith(("quote", "new quote")):
        earlier = None
    remarks = [remark for pattern, remark in _NOT_DONE.items() if re.search(pattern, lowered)]
    if not found and earlier is not None and remarks:
        yield from remarks
    elif "seats" not in found and (earlier is None or not found):
        yield from _tell_quoting(found, earlier)
    else:
        quote = Quote(**((earlier or {}) | found))
        if problem := _problem(quote):
            yield f"{problem} Nothing was changed."
            return
        session.state["quote"] = asdict(quote)
        yield _quote_table(quote)
        yield from remarks


def read_terms(lowered: str) -> dict[str, int]:
    """Read the fields of a `Quote` that a lower-case sentence names.

    Examples
    --------
    >>> read_terms("25 seats at $49 with 15% off")
    {'seats': 25, 'price_cents': 4900, 'discount': 1500}
    """
    wanted = _REPLACED.sub(" ", lowered)
    found: dict[str, int] = {}
    if seats := _SEATS.search(wanted):
        found["seats"] = to_number(seats[1].replace(",", ""))
    if price := _PRICE.search(wanted):
        found["price_cents"] = _hundredths(price[1] or price[2] or price[3])
    if discount := _DISCOUNT.search(wanted):
        found["discount"] = _hundredths(discount[1])
    elif _NO_DISCOUNT.search(wanted):
        found["discount"] = 0
    if months := _months(_PER_SEAT_AND_MONTH.sub(" ", wanted)):
        found["months"] = months
    return found


def _hundredths(amount: str) -> int:
    """Read an amount exactly, in hundredths: ``"1,200.5"`` is 120050."""
    return int(Fraction(amount.replace(",", "")) * 100)


def _months(wanted: str) -> int:
    """Add up the lengths of time in a sentence, in months."""
    for words, months in _TERM_WORDS.items():
        if words in wanted:
            return months
    terms = _MONTHS.findall(wanted)[:4]
    return sum((1 if n in ("a", "an") else to_number(n)) * _LENGTHS[unit] for n, unit in terms)


def _problem(quote: Quote) -> str | None:
    """Say why a quote cannot be made."""
    if not 1 <= quote.seats <= 1_000_000:
        return "A quote is for 1 to 1,000,000 seats."
    if quote.price_cents > 100_000_000:
        return "A seat costs $1,000,000.00 a month at most."
    if quote.discount > 10_000:
        return "A discount is from 0% to 100%."
    return "A term is 120 months at most." if quote.months > 120 else None


def _quote_table(quote: Quote) -> str:
    """Write the arithmetic as a Markdown table."""
    factors = (
        f"{counted(quote.seats, 'seat')} × {dollars(quote.price_cents)} × "
        f"{counted(quote.months, 'month')}"
    )
    lines = [
        "| | How | Amount |",
        "|---|---|---:|",
        f"| List price | {factors} | {dollars(quote.list_cents)} |",
    ]
    if quote.discount:
        share = f"{quote.discount / 100:g}% of {dollars(quote.list_cents)}"
        lines.append(f"| Discount | {share} | −{dollars(quote.discount_cents)} |")
    lines.append(f"| **Total** | | **{dollars(quote.total_cents)}** |")
    term = counted(quote.months, "month")
    head = f"**{dollars(quote.total_cents)}** for {counted(quote.seats, 'seat')} over {term}."
    return "\n".join([head, "", *lines])


def _tell_quoting(found: dict[str, int], earlier: dict[str, int] | None) -> Iterator[Piece]:
    """Ask for what is missing, or say what can be asked."""
    examples = ["Quote 25 seats at $49 with 15% off for a year", "Quote 8 seats for 6 months"]
    if found:
        yield "How many seats should the quote be for?"
    elif earlier:
        yield (
            "I found nothing to change in that. Name the number of seats, the price, the discount "
            "or the term, and the last quote changes with it."
        )
        examples = ["Make it 20% off", "What about 40 seats?", "For two years instead"]
    else:
        yield (
            "I compute a **quote** from a sentence: the number of seats, the price of a seat for a "
            f"month ({dollars(DEFAULT_PRICE_CENTS)} if you name none), a discount in percent, and "
            "a term in months or years (a year if you name none). Afterwards you can change one "
            "thing at a time."
        )
    yield suggestions(examples, "Try one of these")
    yield DEAL_DESK_CLOSING
