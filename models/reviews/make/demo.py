"""Write the demonstration table: the 1000 reviews of the Amazon fine foods test split, which the model never saw.

    python demo.py --data DATA --out demo/reviews.csv

Load it with `COPY ... FROM ... (FORMAT csv, HEADER)`; columns `product_id`, `review`, `great` (true for 5 stars).
"""

import argparse
import csv
from pathlib import Path

import data as datasets


def write(data: Path, out: Path) -> int:
    """Write the test split as CSV and return the number of rows."""
    frame = datasets.fine_foods(data, "test")
    with open(out, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["product_id", "review", "great"])
        for product, review, score in zip(frame["product"], frame["review"], frame["score"]):
            writer.writerow([product, review.strip(), "true" if score == "great" else "false"])
    return len(frame)


def main() -> None:
    """Read the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    print(write(args.data, args.out), "rows")


if __name__ == "__main__":
    main()
