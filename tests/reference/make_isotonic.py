"""What scikit-learn's IsotonicRegression makes of margins and labels: makes isotonic.json.

Versions: see versions.json for numpy; scikit-learn as printed into the file. Run beside this file: python make_isotonic.py
"""

import json
import pathlib

import numpy
import sklearn
from sklearn.isotonic import IsotonicRegression


def case(name, margins, labels, weights):
    model = IsotonicRegression(out_of_bounds="clip").fit(margins, labels, weights)
    asked = numpy.concatenate([numpy.linspace(margins.min() - 1, margins.max() + 1, 41), margins[:20]])
    return {
        "name": name,
        "margins": margins.tolist(),
        "labels": labels.astype(bool).tolist(),
        "weights": weights.tolist(),
        "asked": asked.tolist(),
        "expected": model.predict(asked).tolist(),
    }


def main():
    random = numpy.random.default_rng(7)
    n = 400
    smooth = random.normal(size=n) * 2
    labels = random.random(n) < 1 / (1 + numpy.exp(-smooth**3))
    cases = [
        case("without ties", smooth, labels, numpy.ones(n)),
        case("with ties", smooth.round(1), labels, numpy.ones(n)),
        case("weighted", smooth.round(1), labels, random.integers(1, 4, n).astype(float)),
        case("all alike", numpy.zeros(20), labels[:20], numpy.ones(20)),
        case("falling", numpy.arange(20.0), numpy.arange(20) < 10, numpy.ones(20)),
    ]
    out = pathlib.Path(__file__).with_name("isotonic.json")
    out.write_text(json.dumps({"scikit-learn": sklearn.__version__, "cases": cases}, separators=(",", ":")))


main()
