"""Write `paired.json`: probabilities that paired tests give.

    python make_paired.py

Those of McNemar's test are summed with 60 digits, because scipy's `binomtest` itself errs by more than 1e-12 where counts
are large; it is compared with here. Those of the bootstrap come from `scipy.stats.bootstrap` of the shifted differences,
with ten times the resamples.
"""

import json

import numpy as np
from mpmath import log, loggamma, mp, mpf
from scipy.stats import binomtest, bootstrap

from common import HERE, SEED, record, versions

PACKAGES = ("mpmath", "numpy", "scipy")
RESAMPLES = 100_000

COUNTS = [
    (0, 0), (1, 0), (1, 1), (0, 2), (3, 3), (5, 0), (0, 1000), (1, 1000), (2, 1), (8, 3), (15, 16), (15, 17), (16, 40),
    (121, 59), (300, 301), (1010, 990), (1000, 3100), (1300, 3300), (5000, 5200), (100_000, 101_000),
    (500_000, 515_000), (5_000_000, 5_000_100), (2_000_000_000, 2_000_400_000),
]  # fmt: skip


def exact(wins: int, losses: int) -> float:
    """Twice the lower tail of a binomial distribution."""
    k, n = min(wins, losses), wins + losses
    if abs(wins - losses) <= 1:
        return 1.0
    term = sum_ = mpf(1)
    for i in range(k):
        term *= mpf(k - i) / (n - k + 1 + i)
        sum_ += term
        if term < sum_ * mpf(10) ** -30:
            break
    logarithm = loggamma(n + 1) - loggamma(k + 1) - loggamma(n - k + 1) - n * log(2)
    return float(min(mpf(1), 2 * sum_ * mp.exp(logarithm)))


def mcnemar(wins: int, losses: int) -> dict:
    """A case of counts."""
    p_value = exact(wins, losses)
    scipy = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert np.isclose(p_value, scipy, rtol=1e-7, atol=0), (wins, losses, p_value, scipy)
    return {"wins": wins, "losses": losses, "p_value": p_value}


def shifted(name: str, differences: np.ndarray) -> dict:
    """A case of differences."""

    def t(sample: np.ndarray, axis: int) -> np.ndarray:
        return sample.mean(axis) / sample.std(axis) * np.sqrt(sample.shape[axis])

    centred = differences - differences.mean()
    drawn = bootstrap(
        (centred,), t, n_resamples=RESAMPLES, batch=1000, method="percentile", rng=np.random.default_rng(SEED)
    ).bootstrap_distribution
    p_value = float(np.mean(np.abs(drawn) >= abs(t(differences, 0))))
    return {"name": name, "differences": differences.tolist(), "p_value": p_value}


def differences(rng: np.random.Generator) -> list[dict]:
    """Few and many, skewed, far from 1."""
    return [
        shifted("normal, no difference", np.round(rng.normal(size=200), 4)),
        shifted("normal, some difference", np.round(rng.normal(0.05, 1, size=200), 4)),
        shifted("few", np.round(rng.normal(0.5, 1, size=20), 4)),
        shifted("skewed", np.round(rng.exponential(size=80) - 0.8, 4)),
        shifted("mostly zero", np.where(rng.random(400) < 0.9, 0.0, rng.choice([-1.0, 1.0, 2.0], 400))),
        shifted("huge", np.round(rng.normal(0.1, 1, size=200), 4) * 1e150),
        shifted("plain", np.round(rng.normal(1, 1, size=100), 4)),
    ]


def main() -> None:
    """Write the file, one case a line."""
    mp.dps = 60
    cases = {"mcnemar": [mcnemar(*counts) for counts in COUNTS]}
    cases["bootstrap"] = differences(np.random.default_rng(SEED))
    lines = [f'"versions": {json.dumps(versions(*PACKAGES))}']
    for kind, rows in cases.items():
        lines.append(f'"{kind}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "]")
    (HERE / "paired.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    record(*PACKAGES)


if __name__ == "__main__":
    main()
