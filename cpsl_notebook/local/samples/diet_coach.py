"""The sample app ``diet-coach``: adds up the calories of foods."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cpsl_notebook.local.samples import scripting
from cpsl_notebook.local.samples.scripting import NUMBER, Piece, listed, plain, to_number
from cpsl_notebook.local.session import Session

FOODS = {  # kilocalories of one piece or portion
    "egg": 72,
    "apple": 95,
    "banana": 105,
    "orange": 62,
    "carrot": 25,
    "tomato": 22,
    "potato": 148,
    "bagel": 257,
    "yogurt": 104,
    "rice": 205,
}
_SERVING = re.compile(rf"(?:\b({NUMBER}) )?\b({'|'.join(FOODS)})(?:e?s)?\b", re.ASCII)


def answer(session: Session, text: str) -> Iterator[Piece]:
    """List the foods of a message with their calories, and the conversation's total so far."""
    yield from scripting.reply(session, _pieces(session, plain(text)), "average calories")


def _pieces(session: Session, words: str) -> Iterator[Piece]:
    servings = [(food, to_number(number or "1")) for number, food in _SERVING.findall(words)]
    energy = sum(number * FOODS[food] for food, number in servings)
    total = session.data["kcal"] = session.data.get("kcal", 0) + energy
    if servings:
        lines = [f"| {food} | {n:,} | {n * FOODS[food]:,} kcal |" for food, n in servings]
        yield "\n".join(["| Food | Portions | Energy |", "|---|---:|---:|", *lines])
    if servings or "total" in words:
        yield f"Your total in this conversation is **{total:,} kcal**."
    else:
        yield f"I add up calories. I know these foods: {listed([*FOODS])}."
        yield scripting.suggestions("Two eggs and a banana", "What is my total so far?")
