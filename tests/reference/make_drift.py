"""Measures of drift, and the distributions that their thresholds come from, by NumPy and SciPy.

python tests/reference/make_drift.py > tests/reference/drift.json
"""

import json

import numpy
import scipy
from scipy import stats
from scipy.spatial import distance

random = numpy.random.default_rng(1)


def population_stability(baseline, current):
    """Siddiqi's index with half a row added to each cell."""
    p = (baseline + 0.5) / (baseline + 0.5).sum()
    q = (current + 0.5) / (current + 0.5).sum()
    return float(((q - p) * numpy.log(q / p)).sum())


def counts():
    for cells, rows in [(2, 100), (5, 1000), (10, 10000), (4, 60)]:
        shares = random.dirichlet(numpy.ones(cells), 2)
        baseline, current = (random.multinomial(rows, share) for share in shares)
        yield {
            "baseline": baseline.tolist(),
            "current": current.tolist(),
            "population_stability": population_stability(baseline, current),
            "jensen_shannon": float(distance.jensenshannon(baseline / rows, current / rows, base=2)),
        }


def quantiles():
    for degrees in [1, 2, 5, 9, 40, 49]:
        for p in [0.5, 0.01, 1e-5, 1e-9]:
            x = float(stats.chi2.isf(p, degrees))
            yield {"degrees": degrees, "p": p, "chi2": x, "cdf": float(stats.chi2.cdf(x / 3, degrees))}


def energies():
    for n, m, shift in [(10, 12, 0.0), (40, 30, 1.0)]:
        x, y = random.normal(size=n), random.normal(shift, size=m)
        yield {"x": x.tolist(), "y": y.tolist(), "energy_distance": float(stats.energy_distance(x, y))}


def means():
    for n, m, shift in [(30, 50, 0.0), (200, 100, 0.3)]:
        x, y = random.normal(size=n), random.normal(shift, size=m)
        yield {
            "x": x.tolist(),
            "y": y.tolist(),
            "change": float(y.mean() - x.mean()),
            "error": float(numpy.sqrt(x.var(ddof=1) / n + y.var(ddof=1) / m)),
        }


print(
    json.dumps(
        {
            "versions": {"numpy": numpy.__version__, "scipy": scipy.__version__},
            "counts": list(counts()),
            "quantiles": list(quantiles()),
            "energies": list(energies()),
            "means": list(means()),
        },
        indent=1,
    )
)
