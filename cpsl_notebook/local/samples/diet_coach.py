"""The app ``diet-coach``: a scripted program that adds up calories and protein of foods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from cpsl_notebook.local.samples.phrases import (
    NUMBER_WORDS,
    READ_AT_MOST,
    Piece,
    Session,
    listed,
    plain,
    stem,
    suggestions,
    tell,
)

DIET_COACH_CLOSING = (
    "*This is a scripted demonstration, arithmetic over a small table of average values: "
    "no model is asked, and it is not medical advice.*"
)


class Food(NamedTuple):
    """One food of the table.

    ``kcal`` and ``protein`` are for 100 g, protein in tenths of a gram. ``grams`` is one portion,
    and ``piece`` one piece of what is eaten by the handful.
    """

    name: str
    kcal: int
    protein: int
    grams: int
    piece: int = 0


FOODS = (
    Food("egg", 143, 126, 50),
    Food("banana", 89, 11, 118),
    Food("apple", 52, 3, 182),
    Food("orange", 47, 9, 131),
    Food("pear", 57, 4, 178),
    Food("strawberry", 32, 7, 80, 12),
    Food("blueberry", 57, 7, 80, 1),
    Food("grape", 69, 7, 80, 5),
    Food("avocado", 160, 20, 150),
    Food("tomato", 18, 9, 123),
    Food("cucumber", 15, 7, 300),
    Food("carrot", 41, 9, 61),
    Food("broccoli", 34, 28, 91),
    Food("spinach", 23, 29, 30),
    Food("onion", 40, 11, 110),
    Food("potato", 87, 19, 170),
    Food("sweet potato", 90, 20, 150),
    Food("rice", 130, 27, 158),
    Food("pasta", 158, 58, 140),
    Food("oatmeal", 71, 25, 234),
    Food("bread", 265, 90, 30),
    Food("bagel", 257, 100, 100),
    Food("quinoa", 120, 44, 185),
    Food("lentil", 116, 90, 198),
    Food("chickpea", 164, 89, 164),
    Food("black bean", 132, 89, 172),
    Food("tofu", 76, 81, 100),
    Food("chicken breast", 165, 310, 120),
    Food("chicken", 165, 310, 120),
    Food("beef", 250, 260, 100),
    Food("salmon", 208, 204, 150),
    Food("tuna", 116, 255, 120),
    Food("milk", 61, 32, 244),
    Food("yogurt", 61, 35, 170),
    Food("cheese", 402, 250, 28),
    Food("butter", 717, 9, 14),
    Food("olive oil", 884, 0, 14),
    Food("peanut butter", 588, 250, 16),
    Food("almond", 579, 212, 28, 1),
    Food("walnut", 654, 152, 28, 4),
    Food("honey", 304, 3, 21),
)
"""Average values of plain foods, cooked where they are eaten cooked."""

MOST_OF_A_FOOD = 100_000
"""A larger number in a message is not read as an amount."""

_ALSO = {"toast": "bread", "oat": "oatmeal", "porridge": "oatmeal", "yoghurt": "yogurt"}
_BY_NAME = {food.name: food for food in FOODS}
_BY_NAME |= {other: _BY_NAME[name] for other, name in _ALSO.items()}
_GRAMS = {"g": 1, "gram": 1, "kg": 1_000, "ml": 1, "tbsp": 15, "tablespoon": 15, "tsp": 5}
_GRAMS |= {"teaspoon": 5}
_PORTION_WORDS = "cup glass bowl slice piece handful portion serving can fillet breast plate"
_PORTIONS = set(_PORTION_WORDS.split())
_FRACTIONS = {"half": Fraction(1, 2), "quarter": Fraction(1, 4)}
_SIGNS = {"½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 "}
_TOKEN = re.compile(r"\d+(?:[.,/]\d+)?|[^\W\d_]+|[,;.+&\n]")
_BREAKS = {*",;.+&\n", "and", "with", "plus", "then"}
_PASSED_OVER = (
    "i me my we the of for in at on to some had have has ate eat eating drank drink add also what "
    "about how many much calories calorie kcal protein is are was today yesterday this that it "
    "breakfast lunch dinner supper snack morning evening now so far total please count up long "
    "boiled fried grilled baked cooked raw steamed scrambled roasted poached plain fresh ripe "
    "small medium large big white brown whole wholemeal greek there start over reset new "
    "day"
)


@dataclass(frozen=True, slots=True)
class Serving:
    """An amount of one food, in grams."""

    food: Food
    grams: Fraction

    @property
    def kcal(self) -> int:
        """Energy, rounded to whole kilocalories."""
        return int(self.grams * self.food.kcal / 100 + Fraction(1, 2))

    @property
    def protein(self) -> int:
        """Protein, rounded to tenths of a gram."""
        return int(self.grams * self.food.protein / 100 + Fraction(1, 2))


def diet_coach(session: Session, text: str) -> Iterator[Piece]:
    """Add up the calories and the protein of the foods that a message names.

    Parameters
    ----------
    session : Session
        ``state["eaten"]`` keeps the conversation's running total.
    text : str
        Such as ``"two eggs, a banana and 200 g rice"``, ``"total"`` or ``"start over"``.

    Yields
    ------
    str or dict
        Paragraphs of Markdown, and blocks (`talk.block`).
    """
    yield from tell(session, _diet_pieces(session, text), DIET_COACH_CLOSING)


def _diet_pieces(session: Session, text: str) -> Iterator[Piece]:
    """Write the table of a message's foods, the running total, and what was not recognised."""
    words = plain(text)
    servings, unknown = read_servings(text)
    started_over = re.search(r"\b(?:reset|start over|new day)\b", words)
    if started_over:
        session.state.pop("eaten", None)
        yield "The total starts again from zero."
    eaten = session.state.get("eaten", {"kcal": 0, "protein": 0})
    if servings:
        eaten = {
            "kcal": eaten["kcal"] + sum(serving.kcal for serving in servings),
            "protein": eaten["protein"] + sum(serving.protein for serving in servings),
        }
        session.state["eaten"] = eaten
        yield _serving_table(servings)
    if servings or re.search(r"\b(?:total|so far)\b", words):
        kcal, protein = eaten["kcal"], _tenths(eaten["protein"])
        yield f"So far in this conversation: **{kcal:,} kcal** and **{protein} of protein**."
    elif not started_over:
        yield from _tell_adding_up()
    if servings and unknown:
        yield f"Not in my table, so not counted: {listed(unknown)}."


def read_servings(text: str) -> tuple[list[Serving], list[str]]:
    """Read the foods of a message, and the words that are in no food's name.

    Examples
    --------
    >>> servings, unknown = read_servings("two eggs, 200 g rice and a samosa")
    >>> [(serving.food.name, int(serving.grams)) for serving in servings], unknown
    ([('egg', 100), ('rice', 200)], ['samosa'])
    """
    lowered = text[:READ_AT_MOST].casefold()
    for sign, written in _SIGNS.items():
        lowered = lowered.replace(sign, written)
    lowered = re.sub(r"\band (?:a )?(half|quarter)\b", r"\1", lowered)
    tokens = _TOKEN.findall(lowered)
    servings: list[Serving] = []
    unknown: list[str] = []
    amount: Fraction | None = None
    unit, place = "", 0
    passed_over = {*_PASSED_OVER.split(), *_BREAKS}
    while place < len(tokens):
        word = tokens[place]
        food, length = _food_at(tokens, place)
        if food:
            servings.append(Serving(food, _grams(food, amount, unit)))
        elif stem(word) in _GRAMS or stem(word) in _PORTIONS:
            unit = stem(word)
        elif (number := _quantity(word, amount)) is not None:
            amount = number
        elif word not in passed_over and word not in unknown:
            unknown.append(word[:30])
        if food or word in _BREAKS:
            amount, unit = None, ""
        place += length
    return servings, unknown[:8]


def _food_at(tokens: Sequence[str], place: int) -> tuple[Food | None, int]:
    """Find the food named at *place*, the longest name first, and how many tokens it takes."""
    for length in (2, 1):
        *before, last = tokens[place : place + length]
        if food := _BY_NAME.get(" ".join([*before, stem(last)])):
            return food, length
    return None, 1


def _quantity(word: str, amount: Fraction | None) -> Fraction | None:
    """Read a word as an amount, together with the *amount* read just before it."""
    if word in ("a", "an"):
        number = amount or Fraction(1)
    elif word in _FRACTIONS:
        number = _FRACTIONS[word] + (amount or 0)
    elif word in NUMBER_WORDS:
        number = NUMBER_WORDS[word] * ((amount or Fraction(1)) if word == "dozen" else Fraction(1))
    elif word[0].isdecimal() and not re.search(r"/0+$", word):
        thousands = re.fullmatch(r"\d{1,3},\d{3}", word)
        number = Fraction(word.replace(",", "" if thousands else "."))
        number += amount or 0 if "/" in word else 0
    else:
        return None
    return number if number <= MOST_OF_A_FOOD else None


def _grams(food: Food, amount: Fraction | None, unit: str) -> Fraction:
    """Weigh an amount of a food: without a unit of weight, it is a number of portions."""
    if amount is None:
        return Fraction(food.grams)
    by_piece = food.piece and unit in ("", "piece")
    return amount * (food.piece if by_piece else _GRAMS.get(unit, food.grams))


def _serving_table(servings: Sequence[Serving]) -> str:
    """Write the foods and their sum as a Markdown table."""
    lines = ["| Food | Amount | Energy | Protein |", "|---|---:|---:|---:|"]
    for serving in servings:
        amount = f"{float(serving.grams):,.10g} g"
        numbers = f"{serving.kcal:,} kcal | {_tenths(serving.protein)}"
        lines.append(f"| {serving.food.name} | {amount} | {numbers} |")
    kcal = sum(serving.kcal for serving in servings)
    protein = _tenths(sum(serving.protein for serving in servings))
    return "\n".join([*lines, f"| **Sum** | | **{kcal:,} kcal** | **{protein}** |"])


def _tenths(amount: int) -> str:
    return f"{amount // 10:,}.{amount % 10} g"


def _tell_adding_up() -> Iterator[Piece]:
    """Say what can be asked, and which foods are in the table."""
    yield (
        "I found no food from my table in that. I add up the **calories** and the **protein** of "
        "foods in a sentence, and keep a total until you say “start over”."
    )
    yield f"The table has {listed([food.name for food in FOODS])}."
    yield suggestions(("Two eggs, a banana and 200 g rice", "What is my total so far?"))
    yield DIET_COACH_CLOSING
