"""Makes golden.json: simulated customers, and what the package lifetimes says of them.

    python golden.py > golden.json      (lifetimes 0.11.3, numpy 2.4.6, scipy 1.17.1)
"""

import json
import sys

import numpy as np
import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter, ModifiedBetaGeoFitter

random = np.random.default_rng(11)
customers = 400
r, alpha, a, b, p, q, v = 0.6, 8.0, 0.8, 2.4, 6.0, 4.0, 15.0
rows = []
for _ in range(customers):
    age = float(random.uniform(20, 39))
    rate, loss = random.gamma(r) / alpha, random.beta(a, b)
    scale, time, times, worth = random.gamma(q) / v, 0.0, [], []
    while True:
        time += random.exponential(1 / rate)
        if time > age:
            break
        times.append(time)
        worth.append(random.gamma(p) / scale)
        if random.random() < loss:
            break
    rows.append((len(times), times[-1] if times else 0.0, age, float(np.mean(worth)) if worth else 0.0))
data = pd.DataFrame([[round(x, 3) for x in row] for row in rows], columns=["repeats", "recency", "age", "mean_spend"])
purchases = BetaGeoFitter(penalizer_coef=0.0).fit(data["repeats"], data["recency"], data["age"])
modified = ModifiedBetaGeoFitter(penalizer_coef=0.0).fit(data["repeats"], data["recency"], data["age"])
again = data[data["repeats"] > 0]
spend = GammaGammaFitter(penalizer_coef=0.0).fit(again["repeats"], again["mean_spend"])
shown = data.head(25)
json.dump({
    "histories": data.values.tolist(),
    "purchases": dict(purchases.params_),
    "spend": dict(spend.params_),
    "log_likelihood": -float(purchases._negative_log_likelihood(
        np.log([purchases.params_[name] for name in ("r", "alpha", "a", "b")]), data["repeats"], data["recency"], data["age"],
        np.ones(customers), 0.0)) * customers,
    "alive": [float(x) for x in purchases.conditional_probability_alive(shown["repeats"], shown["recency"], shown["age"])],
    "expected": [float(x) for x in purchases.conditional_expected_number_of_purchases_up_to_time(
        39.0, shown["repeats"], shown["recency"], shown["age"])],
    "modified": dict(modified.params_),
    "modified_alive": [float(x) for x in modified.conditional_probability_alive(shown["repeats"], shown["recency"], shown["age"])],
    "modified_expected": [float(x) for x in modified.conditional_expected_number_of_purchases_up_to_time(
        39.0, shown["repeats"], shown["recency"], shown["age"])],
    "mean_spend": [float(x) for x in spend.conditional_expected_average_profit(shown["repeats"], shown["mean_spend"])],
}, sys.stdout)
print()
