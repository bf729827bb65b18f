"""Write `planning.json`: what scipy and pymannkendall say of trends, tests, and the normal distribution.

    python make_planning.py

Quantiles and tails come from mpmath with 50 digits, since scipy's own err in the last ones.
"""

import json

import numpy as np
import pymannkendall
from mpmath import erfc, findroot, mp, mpf, sqrt
from scipy.stats import chi2_contingency, false_discovery_control, kendalltau, norm, theilslopes

from common import HERE, SEED, record, versions

PACKAGES = ("mpmath", "numpy", "pymannkendall", "scipy")


def normal() -> list[dict]:
    """Upper tails, and the quantiles of some probabilities."""
    points = [-37, -12.5, -6, -3, -2.0001, -2, -1.9999, -1, -0.3, -1e-9, 0, 1e-300, 0.1, 0.7, 1.5, 2, 2.0001, 3.3, 5, 8, 20, 37]
    tails = [{"z": float(z), "tail": float(erfc(mpf(z) / sqrt(2)) / 2)} for z in points]
    return tails


def quantiles() -> list[dict]:
    """Quantiles, by the root of the tail."""
    cases = []
    for p in [1e-300, 1e-100, 1e-20, 1e-10, 1e-5, 0.001, 0.02425, 0.1, 0.3, 0.49999, 0.5, 0.50001, 0.8, 0.9, 0.95, 0.975, 0.999, 1 - 1e-9]:
        start = norm.ppf(p)
        root = findroot(lambda z, p=p: erfc(-z / sqrt(2)) / 2 / mpf(p) - 1, start) if p != 0.5 else mpf(0)
        assert np.isclose(float(root), start, rtol=1e-9, atol=1e-9)
        cases.append({"p": p, "z": float(root)})
    return cases


def tails(z: float) -> float:
    """Both tails; pymannkendall's own 2 (1 - cdf) has few digits left of a small one."""
    return float(2 * norm.sf(abs(z)))


def trend(name: str, times: np.ndarray, values: np.ndarray, season: int = 1, level: float = 0.95) -> dict:
    """One series: Theil-Sen's slope with its interval, S, its variance and probability."""
    times, values = np.asarray(times), np.asarray(values, dtype=float)
    case = {"name": name, "times": times.tolist(), "values": values.tolist(), "season": season, "level": level}
    if season > 1:
        dense = np.full(times[-1] + 1, np.nan)
        dense[times] = values
        found = pymannkendall.seasonal_test(dense, period=season)
        slope, _ = pymannkendall.seasonal_sens_slope(dense, period=season)
        return case | {"slope": slope / season, "score": int(found.s), "variance": found.var_s, "p_value": tails(found.z)}
    slope, _, lower, upper = theilslopes(values, times, alpha=level)
    plain = pymannkendall.original_test(values)
    tau = kendalltau(times, values).statistic
    sign = 0 if np.isnan(tau) else np.sign(tau)
    assert np.sign(plain.s) == sign, name
    rao = pymannkendall.hamed_rao_modification_test(values)
    # Serial correlation only ever makes a trend less certain.
    inflated = rao.var_s > plain.var_s * (1 + 1e-9)
    case |= {"slope": slope, "score": int(plain.s), "inflated": bool(inflated)}
    if inflated:
        return case | {"variance": rao.var_s, "p_value": tails(rao.z)}
    return case | {"lower": lower, "upper": upper, "variance": plain.var_s, "p_value": tails(plain.z)}


def trends(rng: np.random.Generator) -> list[dict]:
    """Short and long, with ties, gaps, outliers, a season."""
    t = np.arange
    season = 10 * np.sin(2 * np.pi * t(60) / 12)
    walk = np.cumsum(rng.normal(size=80))
    return [
        trend("four", t(4), [1, 2, 3, 5]),
        trend("falls", t(30), np.round(-0.3 * t(30) + rng.normal(size=30), 3)),
        trend("noise", t(50), np.round(rng.normal(size=50), 3)),
        trend("ties", t(40), rng.poisson(2, 40)),
        trend("few values", t(25), [0] * 20 + [1, 0, 2, 0, 3]),
        trend("outlier", t(20), [*range(19), 1e6]),
        trend("huge", t(12), np.round(rng.normal(size=12), 3) * 1e150),
        trend("90 percent", t(35), np.round(0.05 * t(35) + rng.normal(size=35), 3), level=0.9),
        trend("walk", t(80), np.round(walk, 4)),
        trend("season", t(60), np.round(season + 0.1 * t(60) + rng.normal(size=60), 3), season=12),
        trend("season of counts", t(56), rng.poisson(3 + 2 * (t(56) % 7)), season=7),
    ]


def discoveries(rng: np.random.Generator) -> list[dict]:
    """q values."""
    lists = [[0.5], [0.01, 0.02, 0.03, 0.04], [0.04, 0.001, 1.0, 0.04, 0.0], rng.uniform(size=40).tolist(), (rng.uniform(size=30) ** 4).tolist()]
    return [{"p_values": list(p), "q_values": false_discovery_control(p).tolist()} for p in lists]


def drivers() -> list[dict]:
    """Rows of a segment and of the rest in two groups: counts, whose test is Pearson's."""
    tables = [[[30, 50], [400, 420]], [[7, 90], [100, 1200]], [[500, 480], [510, 490]]]
    return [{"table": table, "p_value": float(chi2_contingency(table, correction=False).pvalue)} for table in tables]


def main() -> None:
    """Write the file, one case a line."""
    mp.dps = 50
    rng = np.random.default_rng(SEED)
    cases = {"tails": normal(), "quantiles": quantiles(), "trends": trends(rng), "discoveries": discoveries(rng), "drivers": drivers()}
    lines = [f'"versions": {json.dumps(versions(*PACKAGES))}']
    for kind, rows in cases.items():
        lines.append(f'"{kind}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "]")
    (HERE / "planning.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    record(*PACKAGES)


if __name__ == "__main__":
    main()
