"""Reconciled forecasts by the formula itself: python make_reconciled.py > reconciled.json (numpy 2.4.6)

y = S (S' W^-1 S)^-1 S' W^-1 y^ with W the diagonal of variances (weighted least squares; Wickramasuriya, Athanasopoulos and Hyndman 2019,
equation 8 with W as in section 2.4).
"""

import json

import numpy as np

random = np.random.default_rng(7)


def case(keys):
    keys = sorted(keys)
    leaves = [k for k in keys if not any(o != k and o[: len(k)] == k for o in keys)]
    S = np.array([[float(leaf[: len(key)] == key) for leaf in leaves] for key in keys])
    forecasts = S @ random.gamma(2.0, 20.0, len(leaves)) * random.uniform(0.7, 1.3, len(keys))
    variances = random.gamma(1.0, 30.0, len(keys)) + 1.0
    weight = np.diag(1.0 / variances)
    agreed = S @ np.linalg.solve(S.T @ weight @ S, S.T @ weight @ forecasts)
    return {"keys": keys, "forecasts": forecasts.tolist(), "variances": variances.tolist(), "agreed": agreed.tolist()}


two = [[], *[[c] for c in "abc"], *[[c, p] for c, n in zip("abc", (1, 4, 7)) for p in "pqrstuv"[:n]]]
three = [*two, *[[*k, s] for k in two if len(k) == 2 for s in "xy"]]
flat = [[], *[[f"{n:02}"] for n in range(30)]]
print(json.dumps({"cases": [case(two), case(three), case(flat)]}, indent=1))
