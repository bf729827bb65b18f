"""Measure models on the test rows of `rows.py`, which are of products that no training row is of, and write `own_tests.json`.

    python own_tests.py --rows rows.csv --model reviews=models/reviews --model before=FOLDER --out models/reviews/own_tests.json

Beside the models stand VADER and a logistic regression over TF-IDF of words and pairs of words, learned from the training rows whose stars
are known. `--split valid` measures on the validation rows instead, to choose by.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from transformers import AutoTokenizer, BertForSequenceClassification

from evaluate import Reader, predict, predict_by_engine, read_with_vader, rounded
from evaluate import read as read_probabilities

SEED = 20240511
# Sets with true stars, and sets of which only praise or blame is known.
STARRED, POLAR = ("clothing", "foods"), ("pros", "cons", "hotels")


def table(path: Path) -> pd.DataFrame:
    """The rows, with the lowest and highest stars of each."""
    rows = pd.read_csv(path, keep_default_na=False)
    bounds = rows["stars"].str.strip("[]").str.split(",", expand=True).astype(float)
    return rows.assign(low=bounds[0], high=bounds[1])


def reader(p: np.ndarray) -> Reader:
    """What probabilities of one to five stars say, as the extension reads them."""
    found = read_probabilities(p)
    found.star, found.p = p.argmax(1) + 1, p
    return found


def model(folder: Path, engine: str | None):
    """A model as a function of texts to a reader; the engine computes if there is one, else `transformers`."""
    if engine:
        return lambda texts: reader(predict_by_engine(engine, folder, texts))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    return lambda texts: reader(predict(network, tokenizer, texts))


def logistic(rows: pd.DataFrame):
    """A logistic regression over TF-IDF, learned from the training rows that have stars, as a function of texts to a reader."""
    learned = rows[(rows["split"] == "train") & (rows["low"] == rows["high"])]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    pipeline = make_pipeline(words, LogisticRegression(C=2.0, max_iter=600, random_state=SEED))
    pipeline.fit(learned["text"], learned["low"].round().astype(int))
    return lambda texts: reader(pipeline.predict_proba(texts))


def vader(texts: list[str]) -> Reader:
    """VADER, its compound score stretched to one to five stars."""
    found = read_with_vader(texts)
    found.star, found.p = np.clip(found.stars.round(), 1, 5).astype(int), None
    return found


def sentiments(p: np.ndarray) -> np.ndarray:
    """Probabilities of negative, neutral and positive, `[rows, 5] -> [rows, 3]`."""
    return np.stack([p[:, :2].sum(1), p[:, 2], p[:, 3:].sum(1)], 1)


def calibration_error(p: np.ndarray, actual: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the likeliest class, over bins of equal width; `actual` are classes from 0."""
    sure, right = p.max(1), p.argmax(1) == actual
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return sum(abs(sure[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in range(bins) if (place == b).any())


def at_coverage(p: np.ndarray, actual: np.ndarray) -> dict:
    """Accuracy of the surest parts of the rows."""
    right = (p.argmax(1) == actual)[np.argsort(-p.max(1), kind="stable")]
    return {f"{part:g}": right[: int(len(right) * part)].mean() for part in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}


def on_stars(found: Reader, stars: np.ndarray) -> dict:
    """Agreement with true stars; 1 and 2 are negative, 3 neutral, 4 and 5 positive."""
    gold = np.sign(stars - 3)
    shares = {f"{n}": {name: (found.classes[stars == n] == value).mean() for name, value in (("negative", -1), ("neutral", 0), ("positive", 1))}
              for n in range(1, 6)}
    return {
        "rows": len(stars),
        "mae": np.abs(found.stars - stars).mean(),
        "accuracy": (found.star == stars).mean(),
        "rounded_rating_accuracy": (np.clip(np.floor(found.stars + 0.5), 1, 5) == stars).mean(),
        "r": np.corrcoef(found.stars, stars)[0, 1],
        "sentiment_macro_f1": f1_score(gold, found.classes, average="macro"),
        "sentiment_accuracy": (gold == found.classes).mean(),
        "sentiment_by_star": shares,
        "confusion": [[int(((stars == n) & (found.star == m)).sum()) for m in range(1, 6)] for n in range(1, 6)],
    } | ({} if found.p is None else on_confidence(found.p, stars.astype(int)))


def on_confidence(p: np.ndarray, stars: np.ndarray) -> dict:
    """How much the probabilities of stars and of sentiments are worth."""
    gold, groups = np.sign(stars - 3) + 1, sentiments(p)
    return {
        "calibration_error": calibration_error(p, stars - 1),
        "sentiment_calibration_error": calibration_error(groups, gold),
        "accuracy_at_coverage": at_coverage(p, stars - 1),
        "sentiment_accuracy_at_coverage": at_coverage(groups, gold),
    }


def on_polarity(found: Reader, positive: np.ndarray) -> dict:
    """Agreement with praise and blame: the side of three stars decides."""
    return {"rows": len(positive), "accuracy": ((found.stars > 3) == positive).mean(), "called_neutral": (found.classes == 0).mean()}


def measure(read, rows: pd.DataFrame) -> dict:
    """All that a reader is worth."""
    result = {}
    found = read(rows["text"].tolist())
    for name, sources in [(name, (name,)) for name in STARRED] + [("both", STARRED), ("polarity", POLAR)]:
        chosen = rows["source"].isin(sources).to_numpy()
        if not chosen.any():
            continue
        part = Reader(found.stars[chosen], found.classes[chosen], found.five[chosen])
        part.star, part.p = found.star[chosen], None if found.p is None else found.p[chosen]
        low = rows["low"].to_numpy()[chosen]
        result[name] = on_polarity(part, low > 3) if name == "polarity" else on_stars(part, low)
    return rounded(result)


def main() -> None:
    """Read the command line, measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="name=folder")
    parser.add_argument("--split", default="test", choices=("test", "valid"))
    parser.add_argument("--baselines", action="store_true", help="VADER and TF-IDF too")
    parser.add_argument("--engine", help="path of ecommerce_ml_engine, to compute by it in F32")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = table(args.rows)
    chosen = rows[rows["split"] == args.split]
    readers = {name: model(Path(folder), args.engine) for name, folder in (one.split("=", 1) for one in args.model)}
    if args.baselines:
        readers |= {"tfidf": logistic(rows), "vader": vader}
    result = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    for name, read in readers.items():
        result[name] = measure(read, chosen)
        print(name, json.dumps(result[name]), flush=True)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
