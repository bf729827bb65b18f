"""Write the orange juice data of R's bayesm as lines of brand, store, microseconds since 1970, quantity, price, deal and feature, and
print what statsmodels says of the elasticity, clustered by store and brand.

    apt-get download r-cran-bayesm && dpkg-deb -x r-cran-bayesm*.deb bayesm
    python orange_juice.py bayesm/usr/lib/R/site-library/bayesm/data/orangeJuice.rda FILE      (rdata 1.1.0, statsmodels 0.15.0)
"""

import sys

import numpy as np
import pandas as pd
import rdata
import statsmodels.api as sm

WEEK = 7 * 86_400_000_000
# 1990-06-11, a Monday.
BEGIN = 645_062_400_000_000

rows = rdata.read_rda(sys.argv[1])["orangeJuice"]["yx"]
rows["price"] = rows.filter(regex=r"^price\d+$").to_numpy()[np.arange(len(rows)), rows["brand"].astype(int) - 1]
rows["time"] = BEGIN + rows["week"].astype(int) * WEEK
rows["quantity"] = np.exp(rows["logmove"])
columns = ["brand", "store", "time", "quantity", "price", "deal", "feat"]
rows[columns].astype({"brand": int, "store": int}).to_csv(sys.argv[2], header=False, index=False)

series = rows["store"].astype(str) + " " + rows["brand"].astype(str)
within = lambda values: values - values.groupby(series).transform("mean")
quantity = within(rows["logmove"])


def fit(which: pd.Series, controls: list[str], weeks: bool) -> str:
    """Without dummies of series, whose place the means take: the correction counts them."""
    design = pd.concat([within(np.log(rows["price"])).rename("price"), *(within(rows[name]) for name in controls)], axis=1)
    if weeks:
        dummies = pd.get_dummies(rows["week"], dtype=float, prefix="w").iloc[:, 1:]
        design = pd.concat([design, dummies.apply(within)], axis=1)
    codes = pd.factorize(series[which])[0]
    result = sm.OLS(quantity[which], design[which]).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False})
    n, count, k = which.sum(), codes.max() + 1, design.shape[1] + codes.max() + 1
    error = result.bse["price"] * np.sqrt(count / (count - 1) * (n - 1) / (n - k))
    return f"{result.params['price']:.3f} ({error:.3f})"


every = pd.Series(True, index=rows.index)
for controls in ([], ["deal", "feat"]):
    print(controls, fit(every, controls, False), "with weeks", fit(every, controls, True))
    print("   ", ", ".join(f"{brand:.0f}: {fit(rows['brand'] == brand, controls, False)}" for brand in sorted(rows["brand"].unique())))
