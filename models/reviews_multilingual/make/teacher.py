"""What `reviews` says of the English training rows, from which `train.py` learns.

    python teacher.py --rows all.csv --engine ecommerce_ml_engine --reviews models/reviews --out teacher.json
"""

import argparse
import csv
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from evaluate import predict_by_engine  # noqa: E402

WORDS = 85


def main() -> None:
    """Ask and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rows", "engine", "reviews", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    with args.rows.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train" and row["source"] != "chinese"]
    texts = [" ".join(row["text"].split()[:WORDS]) for row in rows]
    probabilities = predict_by_engine(str(args.engine), args.reviews, texts, "int8")
    args.out.write_text(json.dumps(list(zip(texts, probabilities.tolist()))))


if __name__ == "__main__":
    main()
