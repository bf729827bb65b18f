"""The model to begin with: `reviews`, with Chinese pieces whose embeddings are those of the English words that mean the same.

    python base.py --reviews models/reviews --pieces pieces.json --embeddings embeddings.csv --rows all.csv --out FOLDER

Meanings are compared as words.sql embedded them: each language less its mean, by the cosine less what the nearest ten of both sides have in
common (CSLS; Conneau et al., "Word translation without parallel data", 2018). A piece begins with the mean of the embeddings of the
`NEIGHBOURS` nearest words, weighted by a softmax (after WECHSEL; Minixhofer et al., 2022), and is moved towards words of praise or
blame by how much likelier it is in praising training rows than in the others.

Words, punctuation and signs of English are cut as `reviews` cuts them but for some of the words that it has no piece of. WordPiece's beginnings
of words get SentencePiece's mark, the others lose theirs, and a unigram model with made-up scores takes the fewest and longest ones. Chinese has no mark.
"""

import argparse
import csv
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from vocabulary import RUN, cutter

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
LATIN = re.compile(r"(##)?[a-z0-9\u00df-\u024f]+$")
# English pieces stay that training rows have so often, and the first so many of BERT's vocabulary, which are the most frequent.
LEAST, FREQUENT = 2, 8000
NEIGHBOURS, TEMPERATURE, HUBNESS = 6, 0.08, 10
PULL = 0.3
PRAISE = "excellent great perfect love wonderful good best amazing".split()
BLAME = "terrible awful bad worst horrible poor disappointed garbage".split()
WIDE = dict(zip("，。！？；：（）、【】《》～—．－％＋０１２３４５６７８９", ",.!?;:(),[]\"\"~-.-%+0123456789"))
EMBEDDINGS = "bert.embeddings.word_embeddings.weight"


def english(vocabulary: dict[str, int], used: dict[str, int], signs: set[str]) -> list[tuple[str, int]]:
    """WordPiece's pieces that stay, by their new names, with their ids in `reviews`."""

    def stays(piece: str, id: int) -> bool:
        inner = piece.removeprefix("##")
        if piece in {*SPECIAL, "[MASK]", *signs, *WIDE} or piece.startswith("[unused") or re.search(f"[{HAN}]", piece):
            return False
        if used.get(piece, 0) >= LEAST or (inner.isascii() and len(inner) <= 2):
            return True
        return id < FREQUENT if LATIN.match(piece) else len(inner) == 1 and not inner.isalnum() and inner == piece

    ordered = sorted(vocabulary.items(), key=lambda item: item[1])
    named = [(piece[2:] if piece.startswith("##") and len(piece) > 2 else f"▁{piece}", id) for piece, id in ordered if stays(piece, id)]
    return named + [(f"▁{wide}", vocabulary[narrow]) for wide, narrow in WIDE.items()]


def neighbours(path: Path) -> dict[str, list[tuple[str, float]]]:
    """For each Chinese piece the English words that are nearest in meaning, with weights that sum to 1."""
    words, vectors = {"zh": [], "en": []}, {"zh": [], "en": []}
    with path.open(newline="", encoding="utf-8") as file:
        for language, word, embedding in csv.reader(file):
            words[language].append(word)
            vectors[language].append(np.array(embedding.split(), np.float32))
    centred = {language: np.stack(rows) - np.mean(rows, 0) for language, rows in vectors.items()}
    zh, en = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (centred["zh"], centred["en"]))
    cosine = zh @ en.T
    common = np.partition(cosine, -HUBNESS, 0)[-HUBNESS:].mean(0), np.partition(cosine, -HUBNESS, 1)[:, -HUBNESS:].mean(1)
    likeness = 2 * cosine - common[0][None] - common[1][:, None]
    nearest = np.argsort(-likeness, 1)[:, :NEIGHBOURS]
    result = {}
    for row, word in enumerate(words["zh"]):
        own = likeness[row, nearest[row]]
        weights = np.exp((own - own.max()) / TEMPERATURE)
        result[word] = [(words["en"][place], weight) for place, weight in zip(nearest[row], weights / weights.sum())]
    return result


def praise(chinese: dict[str, float], rows: Path) -> dict[str, float]:
    """How much likelier a praising training row has each piece than another one, as the logarithm of the ratio."""
    tokenizer = cutter(chinese)
    counts, texts = {True: Counter(), False: Counter()}, Counter()
    with rows.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["source"] == "chinese" and row["split"] == "train":
                positive = row["stars"].startswith("[4")
                texts[positive] += 1
                counts[positive].update({token for run in RUN.findall(row["text"]) for token in tokenizer.encode(run).tokens})
    return {piece: math.log((counts[True][piece] + 2) / (texts[True] + 4)) - math.log((counts[False][piece] + 2) / (texts[False] + 4))
            for piece in chinese}


def tokenizer_of(pieces: list[tuple[str, float]], signs: list[str]) -> Tokenizer:
    """The tokenizer: pieces have ids in their order, after the special ones, and then the signs."""
    tokenizer = Tokenizer(models.Unigram([*((name, 0.0) for name in SPECIAL), *pieces], unk_id=1, byte_fallback=False))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=None, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False),
        pre_tokenizers.Split(Regex(f"▁(?=[{HAN}])"), "removed")])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    tokenizer.add_tokens([AddedToken(sign, normalized=False) for sign in signs])
    return tokenizer


def made_up(piece: str) -> float:
    """A score that makes fewer pieces likelier, then longer beginnings."""
    return -10.0 + (0.1 if piece.startswith("▁") else 0.005) * len(piece)


def write_files(reviews: Path, out: Path, tokenizer: Tokenizer) -> None:
    """Tokenizer and configuration."""
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    config = json.loads((reviews / "config.json").read_text())
    config |= {"_name_or_path": "reviews", "vocab_size": tokenizer.get_vocab_size(), "torch_dtype": "float32"}
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256, **names}
    for name, value in (("config", config), ("tokenizer_config", settings), ("special_tokens_map", names)):
        (out / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    """Read the command line and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("reviews", "pieces", "embeddings", "rows", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    old = json.loads((args.reviews / "tokenizer.json").read_text("utf-8"))
    vocabulary = old["model"]["vocab"]
    signs = [token["content"] for token in old["added_tokens"] if token["content"] not in {*SPECIAL, "[MASK]"}]
    found = json.loads(args.pieces.read_text("utf-8"))
    kept, chinese = english(vocabulary, found["english"], set(signs)), found["chinese"]
    weights = {name: tensor.astype(np.float32) for name, tensor in load_file(args.reviews / "model.safetensors").items()}
    old_rows = weights[EMBEDDINGS]
    direction = np.mean([old_rows[vocabulary[word]] for word in PRAISE], 0) - np.mean([old_rows[vocabulary[word]] for word in BLAME], 0)
    meaning, pull = neighbours(args.embeddings), praise(chinese, args.rows)
    new_rows = [sum(weight * old_rows[vocabulary[word]] for word, weight in meaning[piece]) + PULL * pull[piece] * direction for piece in chinese]
    old_ids = [vocabulary[name] for name in SPECIAL] + [id for _, id in kept]
    weights[EMBEDDINGS] = np.concatenate([old_rows[old_ids], new_rows, old_rows[[vocabulary[sign] for sign in signs]]]).astype(np.float32)
    tokenizer = tokenizer_of([(piece, made_up(piece)) for piece, _ in kept] + list(chinese.items()), signs)
    args.out.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}, args.out / "model.safetensors", {"format": "pt"})
    write_files(args.reviews, args.out, tokenizer)
    print(tokenizer.get_vocab_size(), "pieces,", len(chinese), "of them Chinese,", len(signs), "signs")


if __name__ == "__main__":
    main()
