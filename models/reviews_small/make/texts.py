"""The texts that `reviews_small` learns from: those of `reviews`, and more of the same sets without any labels.

    python texts.py --data WORK/data --shared ARCHIVES --rows rows.csv --out texts.csv

Columns are `text`, `source`. `rows.csv` is what `models/reviews/make/rows.py` wrote: its training rows come first. Then come all the pros and cons,
hotel reviews and rated sentences of which it takes a part, and a piece of some of the film reviews. Texts of more than `PIECE` words are cut to their
beginning or their end. A text that is a validation or test row, or in an evaluation set, stays out, and so does any piece of a film review that is kept back.
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

import data as datasets  # noqa: E402
import rows as recipe  # noqa: E402
from synthesis import chance  # noqa: E402

# Words of a piece, and how many of the film reviews one is taken of.
PIECE, FILMS = 85, 0.15


def pieces(data: Path, kept_back: set[str]) -> list[tuple[str, str]]:
    """A piece of some of the film reviews, from its beginning, its end or between."""
    found = []
    for text, _ in datasets.imdb(data):
        if datasets.key(text) in kept_back or chance("piece of film", text) >= FILMS:
            continue
        words = text.split()
        start = int(chance("where", text) * 1.5 * max(0, len(words) - PIECE))
        found.append((" ".join(words[min(start, max(0, len(words) - PIECE)) :][:PIECE]), "imdb"))
    return found


def cut(text: str) -> str:
    """A text that is not too long, or one end of it."""
    words = text.split()
    if len(words) <= PIECE:
        return text
    return " ".join(words[:PIECE] if chance("end", text) < 0.5 else words[-PIECE:])


def more(data: Path, shared: Path, kept_back: set[str]) -> list[tuple[str, str]]:
    """Texts of which no label is used."""
    recipe.SHARES = {name: 1.0 for name in recipe.SHARES}
    others = recipe.pros_and_cons(shared) + recipe.hotels(shared) + recipe.rated(data)
    return [(row.text, row.source) for row in others if row.split == "train"] + pieces(data, kept_back)


def main() -> None:
    """Read the command line and write the texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "shared", "rows", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    with args.rows.open(newline="", encoding="utf-8") as file:
        known = [row for row in csv.DictReader(file) if row["source"] != "chinese"]
    kept_back = recipe.evaluation_keys(args.data)
    seen = kept_back | {datasets.key(row["text"]) for row in known}
    texts = [(row["text"], row["source"]) for row in known if row["split"] == "train"]
    for text, source in more(args.data, args.shared, kept_back):
        key = datasets.key(text)
        if key and key not in seen:
            seen.add(key)
            texts.append((text, source))
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "source"])
        writer.writerows((cut(text.replace("\0", "")), source) for text, source in texts)
    print(len(texts), "texts")


if __name__ == "__main__":
    main()
