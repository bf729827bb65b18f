"""Measure the model folder on the evaluation sets, beside VADER on the same rows, and write `metrics.json`.

    python evaluate.py --data DATA --model models/reviews

The weights are the F16 ones of the folder, computed in F32. Long texts are read in windows as the extension does:
`max_length - 2` tokens each, an eighth of them shared with the next, combined by their number of tokens.
"""

import argparse
import hashlib
import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score
from transformers import AutoTokenizer, BertForSequenceClassification
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

import data as datasets

STARS = np.arange(1.0, 6.0)
BATCH = 32
# The thresholds that VADER's documentation gives for its compound score.
VADER_NEUTRAL = 0.05


def windows(tokens: int, width: int) -> list[tuple[int, int]]:
    """Spans of at most `width` tokens that cover a text; the last one ends with the text and is full."""
    if tokens <= width:
        return [(0, tokens)]
    step = width - width // 8
    starts = [*range(0, tokens - width, step), tokens - width]
    return [(start, start + width) for start in starts]


def forward(model, tokenizer, parts: list[list[int]]) -> np.ndarray:
    """Probabilities of each window, in order; batches are of similar length. `-> [windows, 5]`."""
    order = sorted(range(len(parts)), key=lambda i: len(parts[i]))
    result = np.zeros((len(parts), 5))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        ids = [[tokenizer.cls_token_id, *parts[i], tokenizer.sep_token_id] for i in chosen]
        inputs = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        with torch.no_grad():
            result[chosen] = model(**inputs).logits.softmax(1).numpy()
    return result


def forward_logits(model, tokenizer, texts: list[str]) -> np.ndarray:
    """Logits of the first window of each text, `-> [texts, 5]`."""
    room = tokenizer.model_max_length - 2
    contents = tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    order = sorted(range(len(texts)), key=lambda i: len(contents[i]))
    result = np.zeros((len(texts), 5))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        ids = [[tokenizer.cls_token_id, *contents[i][:room], tokenizer.sep_token_id] for i in chosen]
        with torch.no_grad():
            result[chosen] = model(**tokenizer.pad({"input_ids": ids}, return_tensors="pt")).logits.numpy()
    return result


def predict(model, tokenizer, texts: list[str]) -> np.ndarray:
    """Probabilities of one to five stars of each text, `-> [texts, 5]`."""
    width = min(tokenizer.model_max_length, model.config.max_position_embeddings) - 2
    contents = tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    spans = [(i, a, b) for i, ids in enumerate(contents) for a, b in windows(len(ids), width)]
    p = forward(model, tokenizer, [contents[i][a:b] for i, a, b in spans])
    total, weight = np.zeros((len(texts), 5)), np.zeros((len(texts), 1))
    for (i, a, b), row in zip(spans, p):
        total[i] += max(1, b - a) * row
        weight[i] += max(1, b - a)
    return total / weight


def predict_by_engine(engine: str, folder: Path, texts: list[str], precision: str = "f32") -> np.ndarray:
    """Probabilities of one to five stars of each text by the extension's engine, `-> [texts, 5]`: what queries get, and several times as
    fast. Blank texts have none."""
    command = [engine, "predict", "--json", "--model", str(folder), "--precision", precision]
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    output = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    return np.array([list(json.loads(line)["probabilities"].values()) for line in output.splitlines()])


class Reader:
    """What both the model and VADER say of a list of texts: expected stars, score, class -1 / 0 / 1, p(5 stars)."""

    def __init__(self, stars: np.ndarray, classes: np.ndarray, five: np.ndarray):
        self.stars, self.classes, self.five = stars, classes, five
        self.score = (stars - 3) / 2


def read(p: np.ndarray) -> Reader:
    """What probabilities, `[texts, 5]`, say; the class is the likeliest of 1-2, 3 and 4-5 stars."""
    groups = np.stack([p[:, 0] + p[:, 1], p[:, 2], p[:, 3] + p[:, 4]], 1)
    return Reader(p @ STARS, groups.argmax(1) - 1, p[:, 4])


def read_with_vader(texts: list[str]) -> Reader:
    """Read by VADER; its compound score in -1..1 stands for 1..5 stars."""
    analyzer = SentimentIntensityAnalyzer()
    compound = np.array([analyzer.polarity_scores(text)["compound"] for text in texts])
    classes = np.where(compound >= VADER_NEUTRAL, 1, np.where(compound <= -VADER_NEUTRAL, -1, 0))
    return Reader(3 + 2 * compound, classes, compound)


def class_metrics(gold: np.ndarray, found: np.ndarray) -> dict:
    """Precision, recall and F1 of positive and negative, and macro-F1 of these two and of all three classes."""
    p, r, f, n = precision_recall_fscore_support(gold, found, labels=[1, -1], zero_division=0)
    result = {
        name: {"precision": p[i], "recall": r[i], "f1": f[i], "rows": int(n[i])}
        for i, name in enumerate(("positive", "negative"))
    }
    result["macro_f1"] = f.mean()
    result["macro_f1_with_neutral"] = f1_score(gold, found, labels=[1, 0, -1], average="macro", zero_division=0)
    return result


def on_snippets(reader: Reader, means: np.ndarray) -> dict:
    """Agreement with rater means: the gold class is the sign of the mean, MAE is in pseudo-stars.

    The class found is the sign of the score, and under `by_sentiment` the sentiment, which may be neutral.
    """
    signed, gold = means != 0, np.sign(means).astype(int)
    return {
        "pearson_r": pearsonr(reader.score, means).statistic,
        "sign_accuracy": (np.sign(reader.score) == np.sign(means))[signed].mean(),
        "mae_stars": np.abs(reader.stars - datasets.pseudo_stars(means)).mean(),
        **class_metrics(gold, np.sign(reader.score).astype(int)),
        "by_sentiment": class_metrics(gold, reader.classes),
    }


def on_polarity(reader: Reader, positive: np.ndarray) -> dict:
    """Agreement with positive / negative: the sign of the score decides, and no score counts as negative."""
    found = reader.score > 0
    f1 = f1_score(positive, found), f1_score(~positive, ~found)
    return {
        "accuracy": (found == positive).mean(),
        "positive_f1": f1[0],
        "negative_f1": f1[1],
        "macro_f1": np.mean(f1),
        "auc": roc_auc_score(positive, reader.score),
        "predicted_neutral": (reader.classes == 0).mean(),
    }


def on_great(reader: Reader, great: np.ndarray) -> dict:
    """How well reviews with five stars are told from those with one to four."""
    return {
        "auc_five_stars": roc_auc_score(great, reader.five),
        "auc_expected_stars": roc_auc_score(great, reader.stars),
    }


def evaluation_sets(data: Path) -> dict:
    """Name -> (texts, gold, measure)."""
    snippets = datasets.vader(data, "amazonReviewSnippets")
    cells = datasets.amazon_cells(data)
    foods = datasets.fine_foods(data, "test")
    films = datasets.splits(data)["imdb_held_out"]
    return {
        "amazon_snippets": ([t for t, _ in snippets], np.array([m for _, m in snippets]), on_snippets),
        "amazon_cells": ([t for t, _ in cells], np.array([p == 1 for _, p in cells]), on_polarity),
        "fine_foods_test": (list(foods["review"]), np.array(foods["score"] == "great"), on_great),
        "imdb_held_out": ([row.text for row in films], np.array([row.label > 0.5 for row in films]), on_polarity),
    }


def rounded(value):
    """The same structure with floats of four decimals."""
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    return round(float(value), 4) if isinstance(value, (float, np.floating)) else value


def evaluate(data: Path, folder: Path | None, engine: str | None) -> dict:
    """Metrics of every set; without a folder those of VADER alone. The engine computes if there is one, else `transformers`."""
    ask = lambda texts: predict_by_engine(engine, folder, texts)  # noqa: E731
    if folder and not engine:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        ask = lambda texts: predict(model, tokenizer, texts)  # noqa: E731
    result = {}
    for name, (texts, gold, measure) in evaluation_sets(data).items():
        result[name] = {"rows": len(texts)}
        if folder:
            result[name][folder.resolve().name] = measure(read(ask(texts)), gold)
        result[name]["vader"] = measure(read_with_vader(texts), gold)
    return rounded(result)


def main() -> None:
    """Evaluate and write `metrics.json` into the model folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    parser.add_argument("--model", type=Path, help="model folder; without it VADER alone is measured and printed")
    parser.add_argument("--engine", help="path of ecommerce_ml_engine, to compute by it in F32")
    args = parser.parse_args()
    metrics = {"versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "vaderSentiment")}}
    if args.model:
        weights = (args.model / "model.safetensors").read_bytes()
        metrics["model_sha256"] = hashlib.sha256(weights).hexdigest()
    metrics["computed_by"] = "ecommerce_ml_engine, f32" if args.engine else "transformers"
    metrics["sets"] = evaluate(args.data, args.model, args.engine)
    text = json.dumps(metrics, indent=2) + "\n"
    print(text)
    if args.model:
        (args.model / "metrics.json").write_text(text)


if __name__ == "__main__":
    main()
