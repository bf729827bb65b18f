"""Weights of ensembles as scipy finds them: makes ensembles.json.

What members say is written down as well, so that nobody has to make the same chance. Versions: see versions.json. Run beside this file:
python make_ensembles.py
"""

import json
from pathlib import Path

import numpy as np
from common import record
from scipy.optimize import lsq_linear, minimize
from scipy.special import log_softmax

ROWS, LEAST = 300, 1e-6
random = np.random.default_rng(7)


def probabilities(truth, classes, sharpness):
    """Of a member that knows the truth more or less, in single precision."""
    logits = random.normal(size=(ROWS, classes))
    logits[np.arange(ROWS), truth] += sharpness
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)


def classes(count, sharpnesses):
    truth = random.choice(count, size=ROWS, p=np.arange(1, count + 1) / np.arange(1, count + 1).sum())
    members = [probabilities(truth, count, sharpness) for sharpness in sharpnesses]
    logs = [np.log(np.maximum(member.astype(np.float64), LEAST)) for member in members]
    base = np.log((np.bincount(truth, minlength=count) + 0.5) / (ROWS + 0.5 * count))
    usual = [np.log(np.exp(log).mean(axis=0)) for log in logs]
    added = np.stack([log - mean for log, mean in zip(logs, usual)])

    def objective(weights):
        sums = base + np.tensordot(weights, added, axes=1)
        logs = log_softmax(sums, axis=1)
        slopes = [(np.exp(logs) * one).sum(axis=1) - one[np.arange(ROWS), truth] for one in added]
        value = -logs[np.arange(ROWS), truth].sum() + 0.5 * (weights**2).sum()
        return value / ROWS, (np.array(slopes).sum(axis=1) + weights) / ROWS

    found = minimize(objective, np.full(len(members), 1 / len(members)), jac=True, method="L-BFGS-B",
                     bounds=[(0, None)] * len(members), options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10000})
    sums = base + np.tensordot(found.x, added, axes=1)
    return {"truth": truth.tolist(), "classes": count, "members": [member.tolist() for member in members],
            "weights": found.x.tolist(), "base": base.tolist(), "usual": [one.tolist() for one in usual],
            "answers": np.exp(log_softmax(sums, axis=1)).tolist()}


def numbers(noises):
    truth = random.normal(100, 20, size=ROWS)
    members = [truth + noise(truth) for noise in noises]
    deviation = truth.std()
    added = np.stack([member - member.mean() for member in members]) / deviation
    wanted = (truth - truth.mean()) / deviation
    # Half the sum of squared weights, in units of what members say, is a row for each weight.
    design = np.concatenate([added.T, np.diag(added.std(axis=1))])
    found = lsq_linear(design, np.concatenate([wanted, np.zeros(len(members))]), bounds=(0, np.inf), method="bvls", tol=1e-15)
    answers = truth.mean() + deviation * (found.x @ added)
    return {"truth": truth.tolist(), "classes": 0, "members": [member.tolist() for member in members],
            "weights": found.x.tolist(), "base": [truth.mean()], "usual": [[member.mean()] for member in members],
            "answers": [[answer] for answer in answers]}


cases = {
    "two classes": classes(2, [1.0, 1.5]),
    "four classes, one who knows nothing": classes(4, [2.0, 0.0, 1.0]),
    "numbers, one who says the contrary": numbers([
        lambda truth: random.normal(0, 10, size=ROWS),
        lambda truth: random.normal(5, 15, size=ROWS),
        lambda truth: -1.5 * truth + random.normal(0, 10, size=ROWS),
        # In another unit, and of nobody else's mind.
        lambda truth: -0.97 * truth + random.normal(0, 0.2, size=ROWS),
    ]),
}
Path(__file__).with_name("ensembles.json").write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
record("numpy", "scipy")
