"""Write `columns.json`: what scikit-learn makes of tables, for the linear models of `crates/tabular`.

    python make_columns.py

Numbers, booleans and timestamps (in seconds) go through `StandardScaler` and `SimpleImputer(add_indicator=True)`, texts through
`OneHotEncoder`; then come `LogisticRegression` and `Ridge`. Coefficients are in the order of the columns: of a number, its own and
that of a missing one; of a text, those of its categories, of a missing one and of all others.
"""

import json
import warnings

import numpy as np
from scipy.special import log_softmax
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from common import HERE, SEED, record, versions

PACKAGES = ("numpy", "scikit-learn", "scipy")
ROWS, TEST = 240, 40


def missing(rng, values: list, share: float) -> list:
    """The same with some of them missing."""
    return [None if rng.random() < share else value for value in values]


def columns(rng, share: float, unseen: bool) -> list[dict]:
    """Columns of all types; some values are missing, and some categories occur in the test rows only."""
    count = ROWS + TEST
    countries = rng.choice(["AT", "DE", "FR", "IT", "ü", ""], count, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05]).tolist()
    if unseen:
        countries[ROWS:] = rng.choice(["AT", "DE", "XX", "de"], TEST).tolist()
    price = np.round(rng.lognormal(3, 1, count), 2)
    far = 1.6e9 + np.round(rng.normal(0, 1e6, count))
    return [
        {"name": "price", "type": "number", "values": missing(rng, price.tolist(), share)},
        {"name": "country", "type": "text", "values": missing(rng, countries, share)},
        {"name": "constant", "type": "number", "values": [7.0] * count},
        {"name": "newsletter", "type": "boolean", "values": missing(rng, (rng.random(count) < 0.3).tolist(), share)},
        {"name": "since", "type": "timestamp", "values": [int(second) * 1_000_000 for second in far]},
        {"name": "visits", "type": "number", "values": rng.poisson(4, count).astype(float).tolist()},
    ]


def truth(rng, table: list[dict]) -> np.ndarray:
    """Something that depends on the columns."""
    of = {column["name"]: column["values"] for column in table}
    price = np.array([2.0 if one is None else np.log(one) for one in of["price"]])
    country = np.array([{"AT": 0.5, "DE": -1.0, None: 1.5}.get(one, 0.0) for one in of["country"]])
    letters = np.array([0.0 if one is None else float(one) for one in of["newsletter"]])
    return 0.8 * (price - 3) + country + letters + 0.1 * np.array(of["visits"]) - 0.4 + rng.logistic(0, 0.7, len(price))


def encode(column: dict, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Features of the rows to learn from, and of those to test with."""
    values = column["values"]
    if column["type"] == "text":
        cells = np.array(values, dtype=object).reshape(-1, 1)
        unknown = "ignore" if most is None else "infrequent_if_exist"
        encoder = OneHotEncoder(handle_unknown=unknown, max_categories=most, sparse_output=False)
    else:
        unit = 1e-6 if column["type"] == "timestamp" else 1.0
        cells = np.array([np.nan if one is None else one * unit for one in values], dtype=float).reshape(-1, 1)
        encoder = make_pipeline(StandardScaler(), SimpleImputer(add_indicator=True, keep_empty_features=True))
    return encoder.fit(cells[:ROWS]).transform(cells[:ROWS]), encoder.transform(cells[ROWS:])


def logistic(features, target, weights, c) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients `[equations, features]`, intercepts and classes, to the last digits."""
    solver = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    model = solver.fit(features, target, sample_weight=weights)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) > 2:
        intercepts = intercepts - intercepts.mean()
        scores = features @ coefficients.T + intercepts
        residuals = np.exp(log_softmax(scores, axis=1)) - (target[:, None] == model.classes_)
        gradient = (residuals * weights[:, None]).T @ features + coefficients / c
    else:
        residuals = 1 / (1 + np.exp(-(features @ coefficients[0] + intercepts))) - (target == model.classes_[1])
        gradient = (residuals * weights) @ features + coefficients[0] / c
    assert np.abs(gradient).max() < 1e-9, np.abs(gradient).max()
    return coefficients, intercepts, model.classes_


def case(name, table, labels, task, options, test) -> dict:
    """A case as it is written."""
    return {
        "name": name,
        "task": task,
        "options": options,
        "columns": [
            {"name": column["name"], "type": column["type"], "values": column["values"]} for column in table
        ],
        "labels": labels,
        "learned": ROWS,
        "expected": test,
    }


def classification(name: str, rng, table, classes: list[str], options: dict | None = None) -> dict:
    """A logistic regression of as many classes."""
    options = options or {}
    parts = [encode(column, options.get("max_categories")) for column in table]
    features, test = (np.hstack([part[side] for part in parts]) for side in (0, 1))
    raw = truth(rng, table)
    borders = np.quantile(raw, np.arange(1, len(classes)) / len(classes) + 0.1)
    labels = [classes[place] for place in np.searchsorted(borders, raw)][:ROWS]
    target = np.array(labels)
    weighting = options.get("class_weights") or options.get("class_weight")
    counts = {label: labels.count(label) for label in classes}
    if weighting == "balanced":
        of_class = {label: ROWS / (len(classes) * counts[label]) for label in classes}
    else:
        of_class = {label: (weighting or {}).get(label, 1.0) for label in classes}
    weights = np.array([of_class[label] for label in labels])
    coefficients, intercepts, order = logistic(features, target, weights, options.get("C", 1.0))
    assert list(order) == classes
    scores = test @ coefficients.T + intercepts
    if len(classes) == 2:
        scores = np.hstack([np.zeros_like(scores), scores])
    expected = {
        "intercepts": intercepts.tolist(),
        "coefficients": coefficients.T.tolist(),
        "probabilities": np.exp(log_softmax(scores, axis=1)).tolist(),
    }
    return case(name, table, labels, "classification", options, expected)


def rating(name: str, rng, table) -> dict:
    """Stars, some between two: those rows count for both, in part. Nobody gives two."""
    features, test = (np.hstack([encode(column, None)[side] for column in table]) for side in (0, 1))
    stars = np.clip(np.round(2 * (3.5 + truth(rng, table))) / 2, 1, 5)
    stars[(stars > 1) & (stars < 3)] = 3.0
    stars = stars[:ROWS]
    lower = np.floor(stars)
    rows = np.concatenate([np.arange(ROWS), np.flatnonzero(stars > lower)])
    target = np.concatenate([lower, lower[stars > lower] + 1]).astype(int)
    weights = np.concatenate([1 - (stars - lower), (stars - lower)[stars > lower]])
    coefficients, intercepts, order = logistic(features[rows], target, weights, 1.0)
    assert list(order) == [1, 3, 4, 5]
    scores = test @ coefficients.T + intercepts
    probabilities = np.insert(np.exp(log_softmax(scores, axis=1)), 1, 0.0, axis=1)
    expected = {
        "intercepts": [*intercepts[:1].tolist(), None, *intercepts[1:].tolist()],
        "coefficients": np.insert(coefficients, 1, 0.0, axis=0).T.tolist(),
        "probabilities": probabilities.tolist(),
    }
    return case(name, table, stars.tolist(), "rating", {}, expected)


def regression(name: str, rng, table, alpha: float) -> dict:
    """A ridge regression."""
    features, test = (np.hstack([encode(column, None)[side] for column in table]) for side in (0, 1))
    labels = np.round(1000 + 50 * truth(rng, table)[:ROWS], 3)
    model = Ridge(alpha=alpha, solver="cholesky").fit(features, labels)
    expected = {
        "intercepts": [float(model.intercept_)],
        "coefficients": [[one] for one in model.coef_.tolist()],
        "values": model.predict(test).tolist(),
    }
    return case(name, table, labels.tolist(), "regression", {} if alpha == 1.0 else {"alpha": alpha}, expected)


def main() -> None:
    """Write the file, one case a line."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    two, three = ["leaves", "stays"], ["high", "low", "middle"]
    whole, gaps = columns(rng, 0.0, False), columns(rng, 0.15, True)
    many = columns(rng, 0.0, True)
    many[1]["values"] = [f"c{int(one)}" for one in rng.geometric(0.15, ROWS + TEST)]
    cases = [
        classification("two classes", rng, whole, two),
        classification("two classes, values missing, categories unseen", rng, gaps, two),
        classification("two classes with weights", rng, gaps, two, {"C": 0.3, "class_weights": {"leaves": 2.5}}),
        classification("two balanced classes", rng, gaps, two, {"C": 20.0, "class_weight": "balanced"}),
        classification("three classes", rng, whole, three),
        classification("three classes, values missing, categories unseen", rng, gaps, three),
        classification("three balanced classes", rng, gaps, three, {"class_weights": "balanced"}),
        classification("many categories", rng, many, two, {"max_categories": 6}),
        rating("stars", rng, gaps),
        regression("numbers", rng, whole, 1.0),
        regression("numbers, values missing, categories unseen", rng, gaps, 1.0),
        regression("numbers with a large alpha", rng, gaps, 25.0),
    ]
    lines = ",\n".join("  " + json.dumps(one, separators=(",", ":")) for one in cases)
    head = f'"versions": {json.dumps(versions(*PACKAGES))}'
    (HERE / "columns.json").write_text(f'{{\n{head},\n"cases": [\n{lines}]\n}}\n')
    record(*PACKAGES)


if __name__ == "__main__":
    main()
