"""Write `elasticity.json`: sales, and what statsmodels says of their price elasticities with dummies and clustered errors.

    python make_elasticity.py

Every number is of ordinary least squares with a dummy for each series (and each period), and `cov_type="cluster"`. Clusters are series, or of
fewer than ten series runs of time, cut as the model cuts them.
"""

import json

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.optimize import brentq

from common import HERE, SEED, record

PACKAGES = ("numpy", "pandas", "scipy", "statsmodels")
CLUSTERS = 10


def sales() -> pd.DataFrame:
    """Four brands in twelve stores, and one of them in three; 30 weeks, some of which are missing."""
    random = np.random.default_rng(SEED)
    rows = []
    for brand, elasticity in enumerate([-2.0, -3.0, -1.2, -2.5]):
        for store in range(3 if brand == 3 else 12):
            level, price = random.normal(4, 0.6), random.uniform(1.5, 4)
            carry = 0.0
            for week in range(30):
                carry = 0.6 * carry + random.normal(0, 0.25)
                deal = float(random.random() < 0.2)
                paid = round(price * np.exp(random.normal(0, 0.08) - 0.2 * deal), 2)
                season = 0.4 * np.sin(week / 5) + (0.5 if week == 20 else 0)
                log = level + elasticity * np.log(paid) + 0.3 * deal + season + carry
                if random.random() > 0.1:
                    rows.append((f"b{brand}", f"s{store:02}", week, paid, deal, round(np.exp(log), 3)))
    return pd.DataFrame(rows, columns=["brand", "store", "week", "price", "deal", "quantity"])


def clusters(rows: pd.DataFrame, groups: pd.Series) -> np.ndarray:
    """As `Group::clusters` cuts them: series, or of fewer than ten in a group runs of time of each."""
    found = np.empty(len(rows), dtype=object)
    for group in groups.unique():
        own = rows[groups == group]
        series = own.groupby(["brand", "store"], sort=True).groups
        runs = -(-CLUSTERS // len(series))
        for name, index in series.items():
            count = min(runs, len(index))
            for run in range(count):
                at = index[run * len(index) // count : (run + 1) * len(index) // count]
                found[[rows.index.get_loc(one) for one in at]] = f"{name}{run}"
    return found


def fit(rows: pd.DataFrame, groups: pd.Series, controls: bool, effects: bool) -> list[dict]:
    """Slopes of all groups in one regression, which is what they are to each other with effects of periods."""
    series = pd.get_dummies(rows["brand"] + rows["store"], dtype=float)
    parts = [series]
    for group in sorted(groups.unique()):
        own = (groups == group).astype(float)
        parts.append((own * np.log(rows["price"])).rename(f"price {group}"))
        if controls:
            parts.append((own * rows["deal"]).rename(f"deal {group}"))
    if effects:
        parts.append(pd.get_dummies(rows["week"], prefix="week", dtype=float).iloc[:, 1:])
    design = pd.concat(parts, axis=1)
    own = clusters(rows, groups)
    codes = pd.factorize(own)[0]
    result = sm.OLS(np.log(rows["quantity"]), design).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False})
    found = []
    for group in sorted(groups.unique()):
        mine = (groups == group).to_numpy()
        n, count = mine.sum(), len(set(own[mine]))
        # Parameters of the group, and its share of those of periods.
        k = rows[mine].groupby(["brand", "store"]).ngroups + 1 + controls
        k += (rows["week"].nunique() - 1) * n / len(rows) if effects else 0
        correction = count / (count - 1) * (n - 1) / (n - k)
        found.append({
            "value": result.params[f"price {group}"],
            "std_error": result.bse[f"price {group}"] * np.sqrt(correction),
            "clusters": count,
            "observations": int(n),
        })
    if len(found) == 1:
        # One group: statsmodels' own correction.
        same = sm.OLS(np.log(rows["quantity"]), design).fit(cov_type="cluster", cov_kwds={"groups": codes})
        assert np.isclose(same.bse[f"price {sorted(groups.unique())[0]}"], found[0]["std_error"], rtol=1e-9)
    return found


def shrunk(keys: list[dict], common: dict) -> dict:
    """Paule and Mandel's variance between keys, and each key drawn towards the common estimate."""
    values = np.array([key["value"] for key in keys])
    errors = np.array([key["std_error"] for key in keys])
    excess = lambda between: np.sum((values - common["value"]) ** 2 / (errors**2 + between)) - (len(values) - 1)
    between = brentq(excess, 0, 100, xtol=1e-14) if excess(0) > 0 else 0.0
    weights = between / (between + errors**2)
    return {
        "between": np.sqrt(between),
        "value": list(common["value"] + weights * (values - common["value"])),
        "std_error": list(np.sqrt(weights * errors**2 + ((1 - weights) * common["std_error"]) ** 2)),
    }


rows = sales()
one = pd.Series("all", index=rows.index)
series = rows["brand"] + rows["store"]
cases = []
for controls in (False, True):
    for effects in (False, True):
        levels = {"all": fit(rows, one, controls, effects), "brand": fit(rows, rows["brand"], controls, effects),
                  "series": fit(rows, series, controls, effects)}
        cases.append({"controls": controls, "effects": effects, **levels,
                      "shrunk": {"brand": shrunk(levels["brand"], levels["all"][0]),
                                 "series": shrunk(levels["series"], levels["all"][0])}})
content = {"sales": rows.to_dict("list"), "cases": cases}
(HERE / "elasticity.json").write_text(json.dumps(content) + "\n")
record(*PACKAGES)
