"""Measure the model folder, beside `reviews`, and write `metrics.json`.

    python measure.py --rows all.csv --data WORK/data --shared ARCHIVES --engine ecommerce_ml_engine --model FOLDER --out metrics.json

Chinese test rows are of blocks of the files that no training row is of (`rows.py`); a logistic regression over TF-IDF of one to three characters,
learned from the same training rows, stands beside. Reviews of restaurants with stars (ASAP) are of a kind that no row is of. English rows
and sets are those that `reviews` is measured by. Sentences of other languages are a handful, and say no more than that.
"""

import argparse
import csv
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline

MODELS = Path(__file__).parents[2]
sys.path.append(str(MODELS / "reviews" / "make"))

from evaluate import evaluation_sets, predict_by_engine, read, rounded  # noqa: E402
from own_tests import calibration_error, measure, reader, sentiments, table  # noqa: E402

# Praise and blame in languages that no training row is in.
OTHERS = {
    "Traditional Chinese": [("質量很好，非常滿意", 1), ("服務態度很差，不會再買了", 0), ("物超所值，推薦購買", 1), ("用了兩天就壞了", 0)],
    "French": [("Très bon produit, je suis ravie", 1), ("Très déçu, il est arrivé cassé", 0), ("Excellent rapport qualité prix", 1), ("Mauvaise qualité, à éviter", 0)],
    "German": [("Sehr gute Qualität, ich bin begeistert", 1), ("Schlechte Qualität, nach zwei Tagen kaputt", 0), ("Super Produkt, klare Empfehlung", 1), ("Leider eine große Enttäuschung", 0)],
    "Spanish": [("Muy buena calidad, lo recomiendo", 1), ("Pésima calidad, no lo compren", 0), ("Excelente producto, me encanta", 1), ("Llegó roto y nadie responde", 0)],
}


def on_chinese(p: np.ndarray, positive: np.ndarray) -> dict:
    """Agreement with praise and blame: the side of three stars decides."""
    score = p @ np.arange(1.0, 6.0)
    found = score > 3
    return {
        "rows": len(positive), "accuracy": (found == positive).mean(), "auc": roc_auc_score(positive, score),
        "macro_f1": f1_score(positive, found, average="macro"), "called_neutral": (sentiments(p).argmax(1) == 1).mean(),
        "calibration_error": calibration_error(sentiments(p), np.where(positive, 2, 0)),
    }


def tfidf_pipeline():
    """A logistic regression over one to three characters."""
    return make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True), LogisticRegression(C=4.0, max_iter=500))


def tfidf(rows, split: str) -> dict:
    """The logistic regression on the Chinese rows of a split."""
    chinese = rows[rows["source"] == "chinese"]
    train, test = (chinese[chinese["split"] == split] for split in ("train", split))
    pipeline = tfidf_pipeline()
    pipeline.fit(train["text"], train["low"] > 3)
    p, positive = pipeline.predict_proba(test["text"])[:, 1], (test["low"] > 3).to_numpy()
    return {"rows": len(test), "accuracy": ((p > 0.5) == positive).mean(), "auc": roc_auc_score(positive, p)}


def restaurants(shared: Path) -> tuple[list[str], np.ndarray]:
    """Texts and stars of the ASAP samples."""
    texts, stars = [], []
    with tarfile.open(shared / "asap-zh-samples.tar.xz") as tar:
        for split in ("train", "dev", "test"):
            table = tar.extractfile(f"asap-zh-samples/data/{split}_sample.csv").read().decode("utf-8-sig")
            for line in csv.DictReader(io.StringIO(table)):
                texts.append(line["reviewbody"])
                stars.append(float(line["star"]))
    return texts, np.array(stars)


def of_reviews() -> dict:
    """What `reviews` has on the English sets, as its own scripts measured it."""
    folder = MODELS / "reviews"
    sets = json.loads((folder / "metrics.json").read_text())["sets"]
    return json.loads((folder / "own_tests.json").read_text())["reviews"] | {name: own["reviews"] for name, own in sets.items()}


def beside(rows: int, **models: dict) -> dict:
    """A set's entry in `metrics.json`: how many rows it has, and what each model is worth on them."""
    return {"rows": int(rows)} | {model: {name: value for name, value in own.items() if name != "rows"} for model, own in models.items()}


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rows", "data", "shared", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--precision", default="f32", choices=("f32", "int8"))
    parser.add_argument("--split", default="test", choices=("test", "valid"), help="valid measures on validation rows alone, to choose by")
    args = parser.parse_args()
    ask = lambda texts: predict_by_engine(args.engine, args.model, texts, args.precision)  # noqa: E731
    rows = table(args.rows)
    chosen = rows[rows["split"] == args.split]
    chinese = chosen[chosen["source"] == "chinese"]
    own = on_chinese(ask(chinese["text"].tolist()), (chinese["low"] > 3).to_numpy())
    sets = {"chinese": beside(len(chinese), reviews_multilingual=own, tfidf=tfidf(rows, args.split))}
    for name, worth in measure(lambda texts: reader(ask(texts)), chosen[chosen["source"] != "chinese"]).items():
        sets[name] = beside(worth["rows"], reviews_multilingual=worth)
    if args.split == "test":
        texts, stars = restaurants(args.shared)
        found = ask(texts) @ np.arange(1.0, 6.0)
        sets["restaurants"] = beside(len(stars), reviews_multilingual={
            "r": np.corrcoef(found, stars)[0, 1], "mae": np.abs(found - stars).mean(), "accuracy": ((found > 3) == (stars > 3))[stars != 3].mean()})
        for language, sentences in OTHERS.items():
            found = ask([text for text, _ in sentences]) @ np.arange(1.0, 6.0)
            right = sum((one > 3) == bool(label) for one, (_, label) in zip(found, sentences))
            sets[language] = beside(len(sentences), reviews_multilingual={"right": int(right)})
        for name, (texts, gold, how) in evaluation_sets(args.data).items():
            sets[name] = beside(len(texts), reviews_multilingual=how(read(ask(texts)), gold))
        for name, worth in of_reviews().items():
            sets[name]["reviews"] = {metric: value for metric, value in worth.items() if metric != "rows"}
    result = {"model_sha256": hashlib.sha256((args.model / "model.safetensors").read_bytes()).hexdigest(), "split": args.split,
              "computed_by": f"ecommerce_ml_engine, {args.precision}", "sets": sets}
    text = json.dumps(rounded(result), indent=1, ensure_ascii=False) + "\n"
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
