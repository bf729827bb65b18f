"""The rows of the `reviews` model: one table of texts, each with the stars it has or may have.

    python rows.py --data WORK/data --shared FOLDER --out rows.csv [--leave-out clothing|foods]

`FOLDER` holds the archives named in `SOURCES.md` ("Reviews with true stars"). Columns of the table:

- `text`;
- `stars`: a range of numbers as PostgreSQL writes one. `[4,4]` is four stars, `[3.4,3.4]` lies between two, `[4,5]` is four or five,
  nobody knows which;
- `source`: which set;
- `split`: `train`, `valid` or `test`. Products and hotels are apart, and no text is in two of them.

The evaluation sets of `data.py` and every text of `tests/pg_regress/sql/single_texts_as_people_read_them.sql` are in none of them. The
sentences of the five products of Hu and Liu's first set aren't used at all: the Amazon snippets are the same sentences.
"""

import argparse
import csv
import gzip
import io
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import data as datasets
import synthesis
from synthesis import Row, chance

VALID, TEST = 0.08, 0.12
# Parts of sets that are larger than what they teach. Of the pros and cons, validation and test rows are in it.
SHARES = {"movieReviewSnippets": 0.6, "nytEditorialSnippets": 0.6, "imdb": 0.08, "pros and cons": 0.36, "hotels": 0.25}
# A line of the list: text, sentiment, kind.
SINGLE_TEXT = re.compile(r"^    \('((?:[^']|'')*)', '(?:negative|neutral|positive)', '\w+'\)[,;]$", re.M)
SINGLE_TEXTS = Path(__file__).parents[3] / "tests/pg_regress/sql/single_texts_as_people_read_them.sql"


def side(source: str, product: str) -> str:
    """Where a product's rows go."""
    at = chance("side", source, product)
    return "test" if at < TEST else "valid" if at < TEST + VALID else "train"


def table(path: Path) -> list[dict]:
    """The rows of a compressed CSV file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def member(archive: Path, name: str) -> str:
    """The text of a file in an archive."""
    with tarfile.open(archive) as tar:
        return tar.extractfile(name).read().decode("utf-8", "replace")


def titled(title: str, text: str, source: str, split: str, stars: float) -> list[Row]:
    """A review as shops have them: the text, half of them with the title before it, and some titles alone."""
    title, text = title.strip(), text.strip()
    row = Row(text, stars, stars, source, split)
    if split == "train" and title and chance("title", text) < 0.5:
        end = "" if title[-1] in ".!?" else "."
        row = replace(row, text=f"{title}{end} {text}")
    alone = [replace(row, text=title, source=f"{source}_titles")] if title and chance("alone", text) < 0.2 else []
    return [row] * bool(text) + (alone if split == "train" else [])


def clothing(shared: Path) -> list[Row]:
    """Clothing reviews with true stars."""
    rows = []
    for line in table(shared / "clothing_reviews.csv.gz"):
        split = side("clothing", line["clothing_id"])
        rows += titled(line["title"] or "", line["review_text"] or "", "clothing", split, float(line["rating"]))
    return rows


def foods(shared: Path, data: Path) -> list[Row]:
    """Foods reviews with true stars, then those of which only five stars or fewer is known.

    Products of the two splits of `modeldata` stay on their sides.
    """
    known = {name: datasets.fine_foods(data, name) for name in ("train", "test")}
    products = {name: set(frame["product"]) for name, frame in known.items()}
    texts = {datasets.key(text) for text in known["train"]["review"]}
    lines = table(shared / "fine_foods_stars.csv.gz")
    learned = products["train"] | {line["product_id"] for line in lines if datasets.key(line["text"]) in texts}
    rows = []
    for line in lines:
        product = line["product_id"]
        split = "test" if product in products["test"] else "train" if product in learned else side("foods", product)
        rows += titled(line["summary"] or "", line["text"] or "", "foods", split, float(line["stars"]))
    others = known["train"]
    for product, text, score in zip(others["product"], others["review"], others["score"]):
        rows.append(Row(text, *((5.0, 5.0) if score == "great" else (1.0, 4.0)), "foods_great", "train"))
    return rows


def rated(data: Path) -> list[Row]:
    """Sentences with the mean of twenty raters as pseudo-stars."""
    rows = []
    for name in ("tweets", "movieReviewSnippets", "nytEditorialSnippets"):
        for text, mean in datasets.vader(data, name):
            stars = round(float(datasets.pseudo_stars(mean)), 2)
            if chance("rated", text) < SHARES.get(name, 1.0):
                at = chance("side", name, text)
                rows.append(Row(text, stars, stars, name, "valid" if at < 0.08 else "train"))
    return rows


def films(data: Path, kept_back: set[str]) -> list[Row]:
    """Film reviews that are positive or negative: the beginning of some and the end of the others, where the verdict is. Those that are kept
    back are known by their whole text."""
    rows = []
    for text, label in datasets.imdb(data):
        if chance("film", text) < SHARES["imdb"] and datasets.key(text) not in kept_back:
            cut = text if len(text) < 700 or chance("cut", text) < 0.5 else text[-600:].partition(". ")[2]
            rows.append(Row(cut, *((4.0, 5.0) if label > 0.5 else (1.0, 2.0)), "imdb", "train"))
    return [row for row in rows if row.text]


def pros_and_cons(shared: Path) -> list[Row]:
    """What people liked and disliked of products, in a few words."""
    rows = []
    for name, stars in (("Pros", (4.0, 5.0)), ("Cons", (1.0, 2.0))):
        text = member(shared / "nltk-bingliu.tar.xz", f"nltk-bingliu/pros_cons/Integrated{name}.txt")
        for line in re.findall(rf"<{name}>(.*?)</{name}>", text):
            words = len(line.split())
            nothing = re.search(r"\bnone\b|\bnothing\b|\bn/?a\b|\bno cons\b", line.lower())
            at = chance("pros and cons", line)
            if words >= 2 and not nothing and at < SHARES["pros and cons"]:
                rows.append(Row(line.replace("&#13;&#10;", " ").strip(), *stars, name.lower(), "test" if at < 0.03 else "valid" if at < 0.04 else "train"))
    return rows


def strength(marks: list[int]) -> tuple[float, float] | None:
    """Stars of the strengths of a sentence's aspects, unless they contradict each other."""
    if min(marks) < 0 < max(marks):
        return None
    mean = sum(marks) / len(marks)
    edges = ((-2.5, (1.0, 1.0)), (-1.5, (1.0, 2.0)), (0.0, (2.0, 2.0)), (1.5, (4.0, 4.0)), (2.5, (4.0, 5.0)), (9.0, (5.0, 5.0)))
    return next(stars for edge, stars in edges if mean <= edge)


def sentences(shared: Path) -> list[Row]:
    """Sentences about nine products with the strength of what is said of each aspect, and those that say nothing."""
    archive = shared / "nltk-bingliu.tar.xz"
    words = [member(archive, f"nltk-bingliu/opinion_lexicon/{kind}-words.txt") for kind in ("positive", "negative")]
    lexicon = {word for text in words for word in text.split("\n") if word and not word.startswith(";")}
    rows = []
    with tarfile.open(archive) as tar:
        names = sorted(name for name in tar.getnames() if "product_reviews_2/" in name and "README" not in name)
    for name in names:
        split = "test" if name.endswith("Diaper_Champ.txt") else "train"
        for line in member(archive, name).splitlines():
            marks, mark, text = line.partition("##")
            numbers = [int(mark) for mark in re.findall(r"\[([+-]\d)\]", marks)]
            stars = strength(numbers) if numbers else None
            if not numbers and mark and not marks.strip() and not lexicon & set(re.findall(r"[a-z']+", text.lower())):
                stars = (3.0, 3.0) if len(text.split()) > 5 and chance("says nothing", text) < 0.6 else None
            if stars and text.strip():
                rows.append(Row(text.strip(), *stars, "sentences", split))
    return rows


def hotels(shared: Path) -> list[Row]:
    """The good and the bad that guests wrote of hotels, apart."""
    text = member(shared / "hotel-10k.tar.xz", "hotel-10k/Reviews_sample.csv")
    rows = []
    for line in csv.DictReader(io.StringIO(text)):
        split = side("hotels", line["Hotel_Name"])
        for column, stars in (("Positive_Review", (4.0, 5.0)), ("Negative_Review", (1.0, 2.0))):
            text = line[column].strip()
            nothing = re.fullmatch(r"(no (negative|positive)|nothing.*|none|n a|na|no|all good|everything.*)", text.lower())
            if len(text.split()) >= 3 and not nothing and len(text) < 400 and chance("hotel", text) < SHARES["hotels"]:
                rows.append(Row(text, *stars, "hotels", split))
    return rows


def evaluation_keys(data: Path) -> set[str]:
    """What no row may be a duplicate of: the evaluation sets and the single texts."""
    texts = [row.text for row in datasets.splits(data)["imdb_held_out"]]
    single = [text.replace("''", "'") for text in SINGLE_TEXT.findall(SINGLE_TEXTS.read_text("utf-8"))]
    keys = {datasets.key(text) for text in texts + single} | {synthesis.key(text) for text in single}
    return keys | datasets.evaluation_keys(data)


def distinct(rows: list[Row], seen: set[str], key_of=datasets.key) -> list[Row]:
    """The rows whose text is not known yet. Test rows come first, so that what is in several splits stays out of the training."""
    order = {"test": 0, "valid": 1, "train": 2}
    kept = []
    for row in sorted(rows, key=lambda row: (order[row.split], row.source == "foods_great")):
        key = key_of(row.text)
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def build(data: Path, shared: Path, leave_out: str | None) -> list[Row]:
    """All rows; `leave_out` leaves a kind of goods out of the training."""
    kept_back = evaluation_keys(data)
    rows = clothing(shared) + foods(shared, data) + rated(data) + films(data, kept_back)
    rows = distinct(rows + pros_and_cons(shared) + sentences(shared) + hotels(shared), set(kept_back))
    if leave_out:
        rows = [row for row in rows if row.split != "train" or not row.source.startswith(leave_out)]
    return rows + distinct(synthesis.rows(rows), set(kept_back), synthesis.key)


def main() -> None:
    """Read the command line and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    parser.add_argument("--shared", type=Path, required=True, help="folder with the archives")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--leave-out", choices=("clothing", "foods"))
    args = parser.parse_args()
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "stars", "source", "split"])
        for row in build(args.data, args.shared, args.leave_out):
            writer.writerow([row.text.replace("\0", ""), f"[{row.low:g},{row.high:g}]", row.source, row.split])


if __name__ == "__main__":
    main()
