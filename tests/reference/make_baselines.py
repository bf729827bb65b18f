"""Write `baselines.json`: what scikit-learn's dummies, which know nothing but the labels, are worth on rows held out.

    python make_baselines.py
"""

import json
import warnings

import numpy as np
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from common import HERE, SEED, record, versions

PACKAGES = ("numpy", "scikit-learn")


def classes(name: str, count: int, learned, held_out) -> dict:
    """The most frequent class, with how frequent each is as probabilities."""
    learned, held_out = np.asarray(learned), np.asarray(held_out)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(learned), 1)), learned)
    rows = np.zeros((len(held_out), 1))
    predicted = dummy.predict(rows)
    expected = {
        "class": int(predicted[0]),
        "accuracy": float(metrics.accuracy_score(held_out, predicted)),
        "macro_f1": float(metrics.f1_score(held_out, predicted, average="macro", zero_division=0)),
        "log_loss": float(metrics.log_loss(held_out, dummy.predict_proba(rows), labels=dummy.classes_)),
    }
    assert len(dummy.classes_) == count
    return {
        "name": name,
        "classes": count,
        "learned": learned.tolist(),
        "held_out": held_out.tolist(),
        "expected": expected,
    }


def numbers(name: str, learned, held_out) -> dict:
    """The mean for squares, the median for distances."""
    learned, held_out = np.asarray(learned, dtype=float), np.asarray(held_out, dtype=float)

    def dummy(strategy: str) -> np.ndarray:
        fitted = DummyRegressor(strategy=strategy).fit(np.zeros((len(learned), 1)), learned)
        return fitted.predict(np.zeros((len(held_out), 1)))

    mean, median = dummy("mean"), dummy("median")
    expected = {
        "mean": float(mean[0]),
        "median": float(median[0]),
        "mae": float(metrics.mean_absolute_error(held_out, median)),
        "rmse": float(metrics.root_mean_squared_error(held_out, mean)),
    }
    return {"name": name, "learned": learned.tolist(), "held_out": held_out.tolist(), "expected": expected}


def main() -> None:
    """Write the file, one case a line."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    five = rng.choice(5, 300, p=[0.05, 0.05, 0.1, 0.2, 0.6])
    cases = {
        "classes": [
            classes("two classes", 2, rng.choice(2, 80, p=[0.7, 0.3]), rng.choice(2, 20, p=[0.7, 0.3])),
            classes("five classes", 5, five[:240], five[240:]),
            classes("as many of each", 2, [0, 1] * 10, [0, 1, 1, 1]),
            classes("another class is more frequent here", 3, [2, 2, 0, 1], [0, 0, 1]),
            classes("one row", 3, [0, 1, 1, 2], [2]),
        ],
        "numbers": [
            numbers("an odd number of rows", rng.lognormal(3, 1, 81), rng.lognormal(3, 1, 20)),
            numbers("an even number of rows", rng.normal(100, 20, 80), rng.normal(100, 20, 20)),
            numbers("stars", five[:240] + 1, five[240:] + 1),
            numbers("one row", [1.5], [2.5]),
        ],
    }
    lines = [f'"versions": {json.dumps(versions(*PACKAGES))}']
    for kind, rows in cases.items():
        lines.append(f'"{kind}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "]")
    (HERE / "baselines.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    record(*PACKAGES)


if __name__ == "__main__":
    main()
