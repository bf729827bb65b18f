"""Write `metrics.json`: what scikit-learn computes for small sets of predictions.

    python make_metrics.py

Probabilities are rounded to F32, as models give them. The predicted class is the last of the likeliest. Two numbers
are not scikit-learn's: the expected calibration error, from its formula, and Pearson's correlation, from scipy.
"""

import json
import warnings

import numpy as np
from scipy.stats import pearsonr
from sklearn import metrics

from common import HERE, SEED, record, versions

PACKAGES = ("numpy", "scikit-learn", "scipy")
BINS = 15


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities."""
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def calibration_error(right: np.ndarray, confidence: np.ndarray) -> float:
    """Guo et al. 2017, equation 3: bins ((i - 1) / 15, i / 15]."""
    bins = np.clip(np.ceil(confidence * BINS), 1, BINS)
    parts = [(bins == b).sum() * abs(right[bins == b].mean() - confidence[bins == b].mean()) for b in set(bins)]
    return float(sum(parts) / len(right))


def by_labels(actual: np.ndarray, predicted: np.ndarray) -> dict:
    """What follows from the labels alone."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(actual, predicted, zero_division=0)
    result = {
        "accuracy": metrics.accuracy_score(actual, predicted),
        "labels": np.unique(np.concatenate([actual, predicted])).tolist(),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.astype(int).tolist(),
        "confusion_matrix": metrics.confusion_matrix(actual, predicted).tolist(),
    }
    for average in ("macro", "weighted"):
        scores = metrics.precision_recall_fscore_support(actual, predicted, average=average, zero_division=0)
        result |= dict(zip((f"{average}_precision", f"{average}_recall", f"{average}_f1"), map(float, scores)))
    return result


def by_scores(actual: np.ndarray, probabilities: np.ndarray) -> dict:
    """What takes the probabilities too."""
    classes = probabilities.shape[1]
    exact = probabilities.astype(np.float64)
    predicted = classes - 1 - exact[:, ::-1].argmax(1)
    # A class that no row is of, or every row, has no curve.
    areas = [
        float(metrics.roc_auc_score(actual == k, exact[:, k])) if 0 < (actual == k).sum() < len(actual) else None
        for k in range(classes)
    ]
    complete = None not in areas
    if complete and classes > 2:
        assert np.isclose(np.mean(areas), metrics.roc_auc_score(actual, exact, multi_class="ovr"), atol=1e-14)
    return by_labels(actual, predicted) | {
        "log_loss": float(metrics.log_loss(actual, exact, labels=range(classes))),
        "calibration_error": calibration_error(predicted == actual, exact.max(1)),
        "roc_auc": areas,
        "macro_roc_auc": float(np.mean(areas)) if complete else None,
    }


def scored(name: str, actual: np.ndarray, probabilities: np.ndarray) -> dict:
    """A case with probabilities."""
    return {
        "name": name,
        "classes": probabilities.shape[1],
        "actual": actual.tolist(),
        "probabilities": probabilities.astype(np.float64).tolist(),
        "expected": by_scores(actual, probabilities),
    }


def scored_cases(rng: np.random.Generator) -> list[dict]:
    """Two classes and more, ties, classes that are missing."""

    def rows(count: int, classes: int, actual: np.ndarray | None = None, tied: bool = False):
        actual = rng.integers(0, classes, count) if actual is None else actual
        values = softmax(rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[actual])
        return actual, (rng.multinomial(10, values) / 10 if tied else values).astype(np.float32)

    never = rows(40, 3)
    never[1][:, 2] /= 100
    never[1][:, 0] += 1 - never[1].sum(1)
    return [
        scored("two classes", *rows(80, 2)),
        scored("five classes", *rows(120, 5)),
        scored("tied scores", *rows(80, 3, tied=True)),
        scored("a class that does not occur", *rows(40, 4, rng.integers(0, 3, 40))),
        scored("a class that is never predicted", *never),
        scored("rows of one class only", *rows(20, 2, np.ones(20, dtype=int))),
        scored("one row", *rows(1, 3)),
    ]


def label_cases(rng: np.random.Generator) -> list[dict]:
    """Labels alone."""
    actual, predicted = rng.integers(0, 6, 200), rng.integers(0, 6, 200)
    pairs = {
        "six classes": (6, actual, np.where(rng.random(200) < 0.6, actual, predicted)),
        "all right": (3, np.array([0, 1, 2, 1]), np.array([0, 1, 2, 1])),
        "all wrong": (4, np.array([0, 0, 1]), np.array([1, 3, 0])),
        "one class": (2, np.array([1, 1]), np.array([1, 1])),
    }
    return [
        {"name": name, "classes": k, "actual": a.tolist(), "predicted": p.tolist(), "expected": by_labels(a, p)}
        for name, (k, a, p) in pairs.items()
    ]


def regression_case(name: str, actual, predicted) -> dict:
    """A case with numbers."""
    actual, predicted = np.asarray(actual, dtype=float), np.asarray(predicted, dtype=float)
    constant = min(np.ptp(actual), np.ptp(predicted)) == 0
    expected = {
        "mae": float(metrics.mean_absolute_error(actual, predicted)),
        "rmse": float(metrics.root_mean_squared_error(actual, predicted)),
        "r2": float(metrics.r2_score(actual, predicted)) if len(actual) > 1 else None,
        "pearson": None if constant else float(pearsonr(actual, predicted).statistic),
    }
    return {"name": name, "actual": actual.tolist(), "predicted": predicted.tolist(), "expected": expected}


def regression_cases(rng: np.random.Generator) -> list[dict]:
    """Near zero, far from it, constant, alone."""
    actual = rng.normal(size=100)
    far = np.round(1e6 + actual, 6)
    return [
        regression_case("near zero", actual, actual + 0.5 * rng.normal(size=100)),
        regression_case("far from zero", far, np.round(far + 0.5 * rng.normal(size=100), 6)),
        regression_case("worse than the mean", [1, 2, 3], [3, 2, 1]),
        regression_case("constant and missed", [2, 2, 2], [1, 2, 3]),
        regression_case("constant and right", [2, 2], [2, 2]),
        regression_case("one row", [1.5], [1]),
    ]


def built_in() -> dict:
    """What `expected/reviews.json` has for some texts, against labels most of which agree."""
    probabilities = np.array(json.loads((HERE / "expected" / "reviews.json").read_text())["probabilities"])
    likeliest = probabilities.argmax(1)
    actual = np.array([i % 5 if i % 3 == 0 else likeliest[i] for i in range(len(likeliest))])
    stars, rating = actual + 1.0, probabilities @ np.arange(1.0, 6.0)
    errors = {
        "mae": float(metrics.mean_absolute_error(stars, rating)),
        "rmse": float(metrics.root_mean_squared_error(stars, rating)),
    }
    return {"name": "reviews", "actual": actual.tolist(), "expected": by_scores(actual, probabilities) | errors}


def main() -> None:
    """Write the file, one case a line."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    cases = {"scored": scored_cases(rng), "labels": label_cases(rng), "regression": regression_cases(rng)}
    cases["built_in"] = [built_in()]
    lines = [f'"versions": {json.dumps(versions(*PACKAGES))}']
    for kind, rows in cases.items():
        lines.append(f'"{kind}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "]")
    (HERE / "metrics.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    record(*PACKAGES)


if __name__ == "__main__":
    main()
