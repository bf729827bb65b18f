"""Orders of some customers, and what pandas says was known of them at a moment and came after it: training_window.json.

    python tests/reference/make_training_window.py

Made with numpy 2.4.6 and pandas 3.1.1.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

CUTOFF, DAYS = pd.Timestamp("2025-06-01", tz="UTC"), 45


def orders(random):
    rows = []
    for customer in range(40):
        first = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=float(random.uniform(0, 560)))
        gaps = random.exponential(random.choice([10.0, 40.0, 120.0]), random.integers(1, 15))
        for at in first + pd.to_timedelta(np.cumsum(np.concatenate([[0.0], gaps])), unit="D"):
            amount = None if random.random() < 0.1 else round(float(random.uniform(1, 100)), 2)
            rows.append((f"c{customer:02}", at.floor("s"), amount))
    return pd.DataFrame(rows, columns=["customer", "at", "amount"])


def number(value):
    return None if pd.isna(value) else float(value)


def expected(rows):
    found = {}
    for customer, all_of in rows.groupby("customer"):
        past = all_of[all_of["at"] < CUTOFF].sort_values("at")
        after = all_of[(all_of["at"] >= CUTOFF) & (all_of["at"] < CUTOFF + pd.Timedelta(days=DAYS))]
        if past.empty:
            continue
        day = pd.Timedelta(days=1)
        gaps = past["at"].diff().dropna() / day
        latest = lambda days: past[past["at"] >= CUTOFF - pd.Timedelta(days=days)]
        found[customer] = [
            (CUTOFF - past["at"].max()) / day,
            (CUTOFF - past["at"].min()) / day,
            len(past), len(latest(30)), len(latest(90)), len(latest(365)),
            number(gaps.mean()), number(gaps.median()), number(gaps.max()),
            number(past["amount"].mean()), number(past["amount"].median()),
            number(past["amount"].sum(min_count=1)), number(latest(365)["amount"].sum(min_count=1)),
            int(not after.empty), len(after), number(after["amount"].sum()),
        ]
    return found


def main():
    rows = orders(np.random.default_rng(42))
    result = {
        "cutoff": str(CUTOFF),
        "days": DAYS,
        "orders": [[row.customer, str(row.at), number(row.amount)] for row in rows.itertuples()],
        "expected": expected(rows),
    }
    Path(__file__).with_name("training_window.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
