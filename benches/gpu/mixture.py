"""Many texts of natural lengths out of a thousand: sentences of different reviews put together at random.

A GPU reads the demo's reviews in a blink, and an engine that computes equal texts once would gain by repeating them.
So each text here takes the token count of a real review, one review after the other, over and over: the lengths are
distributed as those of the reviews are. It is filled with sentences drawn from all reviews, the last one cut at the end
of a word so that the count is met exactly. Words are joined by blanks, at which BERT's tokenizer splits anyway, so that
the tokens of a text are those of its sentences.

Invariant: no two texts of a mixture are equal, and the same seed gives the same texts on every machine.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from shared import SEED, Lengths, distinct, reviews_of_foods, write

# The built-in model's positions, and BERT-base's: longer reviews are left out, so that every side reads all of a text.
LONGEST = 512
# [CLS] and [SEP].
SPECIAL = 2


@dataclass(frozen=True)
class TextSet:
    """What throughput is measured with."""

    texts: list[str]
    tokens: list[int]
    """Token counts, special tokens included."""
    path: Path
    """The texts, a JSON string a line."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of some review."""

    text: str
    tokens: int
    ends: dict[int, int]
    """After how many tokens a word ends, and at which character."""


class Mixture:
    """The source of texts."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.counter = Lengths(model)
        self.folder = folder
        self.random = random.Random(SEED)
        self.seen: set[str] = set()
        reviews = list(distinct(reviews_of_foods(), set()))
        self.lengths = [tokens for tokens in map(self.counter.of, reviews) if tokens <= LONGEST]
        self.sentences = [sentence for review in reviews for sentence in self.split(review)]

    def split(self, review: str) -> Iterator[Sentence]:
        """The sentences of a review, as far as blanks after punctuation tell."""
        for text in re.split(r"(?<=[.!?])\s+", review):
            encoding = self.counter.tokenizer.encode(text, add_special_tokens=False)
            words = [*encoding.word_ids, None]
            places = [place for place in range(len(words) - 1) if words[place] != words[place + 1]]
            if places:
                yield Sentence(text, len(encoding.ids), {place + 1: encoding.offsets[place][1] for place in places})

    def natural(self, name: str, count: int) -> TextSet:
        """So many texts, distributed in length as the reviews, in a file of this name."""
        source = cycle(self.lengths)
        tokens = [next(source) for _ in range(count)]
        self.random.shuffle(tokens)
        return self.of_lengths(name, tokens)

    def fixed(self, tokens: int, count: int) -> TextSet:
        """So many texts of this length."""
        return self.of_lengths(str(tokens), [tokens] * count)

    def of_lengths(self, name: str, tokens: list[int]) -> TextSet:
        """Texts of these lengths in this order."""
        texts = [self.unseen(length) for length in tokens]
        counted = [len(encoding.ids) for encoding in self.counter.tokenizer.encode_batch_fast(texts)]
        if counted != tokens:
            raise SystemExit("texts have other lengths than their sentences: does the tokenizer split at blanks?")
        return TextSet(texts, tokens, write(texts, self.folder / f"{name}.jsonl"))

    def unseen(self, tokens: int) -> str:
        """A text of this length that was not drawn before."""
        while True:
            for text in distinct([self.draw(tokens)], self.seen):
                return text

    def draw(self, tokens: int) -> str:
        """A text of this length."""
        left, parts = tokens - SPECIAL, []
        while left > 0:
            sentence = self.random.choice(self.sentences)
            if sentence.tokens <= left:
                parts.append(sentence.text)
                left -= sentence.tokens
            elif left in sentence.ends:
                parts.append(sentence.text[: sentence.ends[left]])
                left = 0
        return " ".join(parts)
