"""Write the rows of the `reviews` model as labels for `train_model`.

    python labels.py --data DATA --out rows.csv

Columns: `text`, `kind` (as in `data.py`), `stars` (1 to 5, between two stars where the raters' mean is) and `split` (`train` or `valid`). `train_model`
takes one kind of label, so those that name a group of stars become a number between the stars of the group: the loss of
`train.py` for groups has no counterpart there.
"""

import argparse
import csv
from pathlib import Path

import data as datasets
from data import Row

# Half of the target for each of the two outer stars; "one to four stars" is the middle of them.
GROUPS = {("polarity", 1.0): 4.5, ("polarity", 0.0): 1.5, ("great", 1.0): 5.0, ("great", 0.0): 2.5}


def stars(row: Row) -> float:
    """The label as a number of stars."""
    return GROUPS.get((row.kind, row.label), row.label)


def main() -> None:
    """Read the command line and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    splits = datasets.splits(args.data)
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "kind", "stars", "split"])
        for split in ("train", "valid"):
            writer.writerows([row.text.replace("\0", ""), row.kind, stars(row), split] for row in splits[split])


if __name__ == "__main__":
    main()
