"""Trees that Python's xgboost grew, with its margins and contributions: makes trees.json.

Versions: xgboost 1.7.6, numpy 2.4.6. Run beside this file: python make_trees.py
"""

import json
import pathlib

import numpy
import xgboost

ROWS, LEARNED = 400, 340


def features(seed):
    random = numpy.random.default_rng(seed)
    x = random.normal(size=(ROWS, 4)).astype(numpy.float32)
    x[:, 3] = random.integers(0, 3, ROWS)
    x[random.random((ROWS, 4)) < 0.1] = numpy.nan
    return x


def case(name, seed, label, parameters, rounds):
    x = features(seed)
    filled = numpy.nan_to_num(x, nan=0.5)
    y = label(filled, numpy.random.default_rng(seed + 1))
    learned = xgboost.DMatrix(x[:LEARNED], y[:LEARNED])
    booster = xgboost.train({"tree_method": "hist", "nthread": 1, "seed": 1, **parameters}, learned, rounds)
    rest = xgboost.DMatrix(x[LEARNED:])
    contributions = booster.predict(rest, pred_contribs=True)
    return {
        "name": name,
        "model": json.loads(booster.save_raw("json")),
        "rows": [[None if numpy.isnan(v) else float(v) for v in row] for row in x[LEARNED:]],
        "margins": booster.predict(rest, output_margin=True).reshape(ROWS - LEARNED, -1).tolist(),
        "contributions": contributions.reshape(ROWS - LEARNED, -1, 5).tolist(),
    }


def main():
    cases = [
        case("numbers", 1, lambda x, r: 3 * x[:, 0] - x[:, 1] * x[:, 2] + r.normal(size=ROWS),
             {"objective": "reg:squarederror", "max_depth": 4, "base_score": 0.7}, 30),
        case("two classes", 2, lambda x, r: (x[:, 0] + x[:, 3] * x[:, 1] + r.normal(size=ROWS) > 0).astype(int),
             {"objective": "binary:logistic", "max_depth": 5, "base_score": 0.4}, 25),
        case("three classes", 3, lambda x, r: numpy.clip((x[:, 0] + x[:, 3]).round(), 0, 2).astype(int),
             {"objective": "multi:softprob", "num_class": 3, "max_depth": 3}, 12),
        case("deep", 4, lambda x, r: numpy.sin(3 * x[:, 0]) + (x[:, 0] > x[:, 1]),
             {"objective": "reg:squarederror", "max_depth": 9, "min_child_weight": 0, "eta": 0.5}, 6),
    ]
    out = pathlib.Path(__file__).with_name("trees.json")
    out.write_text(json.dumps({"cases": cases}, separators=(",", ":")))


main()
