"""Training, validation and evaluation sets of the `reviews` model, without duplicates between any two of them.

A row is a `Row`: text, kind of label and label. Three kinds of label exist, because no English set with all five
stars is at hand (each has its own loss in `train.py`):

- `stars`: mean of 20 raters in -4..4, mapped to pseudo-stars in 1..5 (`pseudo_stars`);
- `great`: 1.0 for a review with 5 stars, 0.0 for one with 1 to 4;
- `polarity`: 1.0 for a positive review, 0.0 for a negative one.

The evaluation sets (`amazon_snippets`, `fine_foods("test")`, `amazon_cells`, the held-out IMDB rows) are never
trained on and never used to choose anything.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rdb import read_object

SEED = 20240511
VADER_TRAINING = ("movieReviewSnippets", "nytEditorialSnippets", "tweets")
IMDB_TRAIN, IMDB_VALID, IMDB_HELD_OUT = 2000, 300, 2000
# Bin edges of the rater mean (-2, -0.5, 0.5, 2) lie half way between two stars; beyond +-3 a text is a clear 1 or 5.
MEANS = (-3.0, -2.0, -0.5, 0.5, 2.0, 3.0)
STARS = (1.0, 1.5, 2.5, 3.5, 4.5, 5.0)


@dataclass(frozen=True)
class Row:
    """One labelled text."""

    text: str
    kind: str
    label: float
    source: str


def pseudo_stars(mean) -> np.ndarray:
    """Map rater means (-4..4) to stars (1..5), piecewise linear between the bin edges."""
    return np.interp(mean, MEANS, STARS)


def key(text: str) -> str:
    """What two texts share when they are duplicates: their letters and digits, without case."""
    return re.sub(r"[\W_]+", "", text.lower())


def vader(data: Path, name: str) -> list[tuple[str, float]]:
    """Texts and rater means (-4..4) of one VADER ground-truth file."""
    rows = []
    for line in (data / f"{name}_GroundTruth.txt").read_text("utf-8", "replace").splitlines():
        parts = line.split("\t", 2)
        if len(parts) == 3:
            rows.append((parts[2].strip(), float(parts[1])))
    return rows


def fine_foods(data: Path, split: str) -> pd.DataFrame:
    """Amazon fine foods: columns `product`, `review`, `score` (`great` or `other`); `split` is `train` or `test`."""
    frame = read_object(data / "modeldata", {"train": "training_data", "test": "testing_data"}[split])
    return frame.astype(str)


def imdb(data: Path) -> list[tuple[str, float]]:
    """IMDB reviews without their line-break tags, 1.0 for positive."""
    frame = pd.read_csv(data / "a1_IMDB_Dataset.csv")
    texts = frame["review"].str.replace(r"<br\s*/?>", " ", regex=True).str.strip()
    return list(zip(texts, (frame["sentiment"] == "positive").astype(float)))


def amazon_cells(data: Path) -> list[tuple[str, int]]:
    """Sentences about mobile phones, 1 for positive."""
    lines = (data / "amazon_cells_labelled.txt").read_text("utf-8").split("\n")
    pairs = (line.rsplit("\t", 1) for line in lines if "\t" in line)
    return [(text.strip(), int(label)) for text, label in pairs]


def evaluation_keys(data: Path) -> set[str]:
    """Duplicate keys of every evaluation text."""
    texts = [text for text, _ in vader(data, "amazonReviewSnippets") + amazon_cells(data)]
    return {key(text) for text in texts + list(fine_foods(data, "test")["review"])}


def _drop_seen(rows: list[Row], seen: set[str]) -> list[Row]:
    """Keep the first row of each key that is not in `seen`, and add its key there."""
    kept = []
    for row in rows:
        name = key(row.text)
        if name and name not in seen:
            seen.add(name)
            kept.append(row)
    return kept


def _rated(data: Path) -> list[Row]:
    """Every row with a rater mean."""
    return [
        Row(text, "stars", float(pseudo_stars(mean)), name)
        for name in VADER_TRAINING
        for text, mean in vader(data, name)
    ]


def splits(data: Path) -> dict[str, list[Row]]:
    """The `train`, `valid` and `imdb_held_out` rows, shuffled with `SEED` and free of duplicates."""
    rng = random.Random(SEED)
    seen = evaluation_keys(data)
    foods = fine_foods(data, "train")
    great = [Row(t, "great", float(s == "great"), "fine_foods") for t, s in zip(foods["review"], foods["score"])]
    groups = {"stars": _rated(data), "great": great}
    groups["polarity"] = [Row(text, "polarity", label, "imdb") for text, label in imdb(data)]
    groups = {kind: _drop_seen(rows, seen) for kind, rows in groups.items()}
    for rows in groups.values():
        rng.shuffle(rows)
    stars, foods, movies = groups["stars"], groups["great"], groups["polarity"]
    valid = stars[:1000] + foods[:300] + movies[:IMDB_VALID]
    movies = movies[IMDB_VALID:]
    train = stars[1000:] + foods[300:] + movies[IMDB_HELD_OUT : IMDB_HELD_OUT + IMDB_TRAIN]
    return {"train": train, "valid": valid, "imdb_held_out": movies[:IMDB_HELD_OUT]}
