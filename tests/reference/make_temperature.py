"""Write `temperature.json`: the temperatures that scipy finds for small sets of probabilities.

    python make_temperature.py

The objective is that of `crates/training/src/temperature.rs`: the log loss of softmax(log(p) / T), summed over the rows,
plus (ln T)^2 / (2 * 0.5^2). Probabilities are rounded to F32, as models give them.
"""

import json

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from common import HERE, SEED, record, versions

PACKAGES = ("numpy", "scipy")
DEVIATION = 0.5


def temperature(probabilities: np.ndarray, actual: np.ndarray) -> float:
    """The minimiser."""
    logits = np.log(probabilities.astype(np.float64))

    def objective(log_t: float) -> float:
        losses = log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(actual)), actual]
        return -losses.sum() + log_t**2 / (2 * DEVIATION**2)

    return float(np.exp(minimize_scalar(objective, bounds=(np.log(0.05), np.log(20)), options={"xatol": 1e-9}).x))


def case(rng: np.random.Generator, rows: int, classes: int, boldness: float) -> dict:
    """Rows drawn with some probabilities, by a model that is bolder or humbler than these."""
    logits = rng.normal(0, 1.5, (rows, classes))
    actual = np.array([rng.choice(classes, p=p) for p in softmax(logits, axis=1)])
    said = softmax(boldness * logits, axis=1).astype(np.float32)
    found = temperature(said, actual)
    return {"actual": actual.tolist(), "probabilities": said.astype(float).tolist(), "temperature": found}


def main() -> None:
    rng = np.random.default_rng(SEED)
    cases = [case(rng, *shape) for shape in ((12, 2, 1.0), (60, 3, 2.5), (150, 5, 1.6), (90, 2, 0.4))]
    text = json.dumps({"versions": versions(*PACKAGES), "cases": cases}, separators=(",", ":"))
    (HERE / "temperature.json").write_text(text + "\n")
    record(*PACKAGES)


if __name__ == "__main__":
    main()
