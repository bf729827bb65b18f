"""Tests of two samples, and tails of Student's t, as SciPy and statsmodels compute them: two_samples.json.

Made with Python 3.11, SciPy and statsmodels of the versions in the file.
"""

import json
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest


def tails() -> list[dict]:
    degrees = [1.0, 2.5, 8.0, 29.3, 400.0, 99_999.5]
    return [{"t": t, "degrees": d, "tail": stats.t.sf(t, d)} for d in degrees for t in [-3.0, -0.5, 0.0, 0.1, 1.5, 4.0, 12.0]]


def means(rng: np.random.Generator) -> list[dict]:
    cases = []
    for n, m, shift in [(5, 5, 0.0), (12, 7, 1.0), (400, 380, -0.3), (2000, 50, 0.1)]:
        test = np.clip(np.round(rng.normal(4 + shift, 1.1, n)), 1, 5)
        control = np.clip(np.round(rng.normal(4, 0.8, m)), 1, 5)
        found = stats.ttest_ind(test, control, equal_var=False)
        interval = found.confidence_interval(0.95)
        cases.append(
            {
                "test": test.astype(int).tolist(),
                "control": control.astype(int).tolist(),
                "p_value": found.pvalue,
                "lower": interval.low,
                "upper": interval.high,
            }
        )
    return cases


def shares() -> list[dict]:
    cases = []
    for (hits, of), (other_hits, other_of) in [((30, 100), (12, 90)), ((200, 4000), (150, 4100)), ((50, 60), (49, 60))]:
        _, p = proportions_ztest([hits, other_hits], [of, other_of])
        cases.append({"test": [hits, of], "control": [other_hits, other_of], "p_value": p, "by": "two-proportion z-test"})
    for (hits, of), (other_hits, other_of) in [((3, 4), (0, 5)), ((0, 8), (2, 900)), ((1, 10), (1, 10)), ((6, 2000), (0, 1500))]:
        table = [[hits, of - hits], [other_hits, other_of - other_hits]]
        p = stats.fisher_exact(table).pvalue
        cases.append({"test": [hits, of], "control": [other_hits, other_of], "p_value": p, "by": "Fisher's exact test"})
    return cases


def main() -> None:
    made = {
        "versions": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__},
        "tails": tails(),
        "means": means(np.random.default_rng(1)),
        "shares": shares(),
    }
    path = Path(__file__).with_name("two_samples.json")
    lists = [f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, made[name])) + "\n ]" for name in ("tails", "means", "shares")]
    path.write_text("{\n" + ",\n".join([f' "versions": {json.dumps(made["versions"])}', *lists]) + "\n}\n")


if __name__ == "__main__":
    main()
