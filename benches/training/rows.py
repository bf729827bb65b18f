"""What is trained on: rows that the built-in model was trained on too, and held-out rows of the same kinds.

They come from `models/reviews/make`; none is a duplicate of a row of another set (`data.py` there sees to it).
"""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models/reviews/make"))
import data  # noqa: E402

SEED = 20240511
# Words from which on a text surely has 64 tokens.
LONG = 70


@dataclass(frozen=True)
class Labelled:
    """A text and its class."""

    text: str
    label: str


@dataclass(frozen=True)
class Task:
    """What to learn, and what to be asked afterwards."""

    name: str
    train: list[Labelled]
    held_out: list[Labelled]


class Rows:
    """All rows of a folder that `fetch.py` filled."""

    def __init__(self, work: Path) -> None:
        self.splits = data.splits(work / "data")

    def of_kind(self, split: str, kind: str) -> list[Labelled]:
        """Rows with one kind of label, as a class."""
        rows = [row for row in self.splits[split] if row.kind == kind]
        random.Random(SEED).shuffle(rows)
        name = {"stars": lambda label: f"{round(label)}"}.get(kind, lambda label: "yes" if label else "no")
        return [Labelled(row.text, name(row.label)) for row in rows]

    def timed(self, fixed: bool, count: int) -> list[Labelled]:
        """Rows to measure time with: long film reviews, to be cut to one length, or reviews of foods as they are."""
        if fixed:
            return [row for row in self.of_kind("train", "polarity") if len(row.text.split()) > LONG][:count]
        return self.of_kind("train", "great")[:count]

    def tasks(self) -> list[Task]:
        """Film reviews in two classes, and sentences of film reviews, editorials and tweets in five."""
        held_out = self.of_kind("imdb_held_out", "polarity")[:1000]
        return [
            Task("IMDB, two classes", self.of_kind("train", "polarity")[:2000], held_out),
            Task("sentences, five classes", self.of_kind("train", "stars")[:4000], self.of_kind("valid", "stars")),
        ]
