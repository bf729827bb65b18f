"""Write `expected/NAME.json`: what `transformers` computes for each tiny model and for the built-in one.

    python make_probabilities.py --data DATA [--only NAME ...]

DATA is the folder that `models/reviews/make/fetch.py` made; long film reviews come from there, and models that have no
expectations of long texts need none of it. Everything is
computed in F32 from the stored weights, one text at a time, without padding. `README.md` says what the fields hold.
"""

import argparse
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from tokenizers import BertWordPieceTokenizer, Tokenizer

from common import BUILT_IN, HERE, SEED, read_lines, record, versions

TEXTS = 60
PACKAGES = ("tokenizers", "torch", "transformers")
LONG_MODELS = ("reviews", "bert-classification-3")
# Ranges of lines in `texts.jsonl.gz`: English, Chinese, mixed scripts, long words; and how many texts from each.
CANDIDATES = [((0, 4300), 38), ((4300, 5300), 4), ((5300, 9400), 12), ((9500, 9560), 2)]
# Half as many for these.
OTHERS = ("deberta-v2", "modernbert", "electra")
FIXED = ["Good.", "not good", "☕ 5/5, would buy again!!", "I'm <b>not</b> happy [SEP] at all"]


@dataclass
class Reference:
    """One model as `transformers` reads it, with its tokenizer."""

    name: str
    model: torch.nn.Module
    tokenizer: Tokenizer
    max_length: int
    regression: bool

    @property
    def headed(self) -> bool:
        """Whether the model classifies or rates, rather than embeds only."""
        return "ForSequenceClassification" in type(self.model).__name__


@dataclass
class Output:
    """What one window gives: logits and probabilities (empty without head), unnormalised mean of hidden states."""

    logits: torch.Tensor
    probabilities: torch.Tensor
    mean: torch.Tensor


def load_tokenizer(folder: Path) -> Tokenizer:
    """`tokenizer.json`, or lower-casing WordPiece over `vocab.txt`."""
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    return BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)


def load(name: str) -> Reference:
    """Read a model folder; weights become F32."""
    folder = BUILT_IN if name == "reviews" else HERE / "models" / name
    config = json.loads((folder / "config.json").read_text())
    kind = getattr(transformers, config["architectures"][0])
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    positions = config["max_position_embeddings"] - (2 if "roberta" in config["model_type"] else 0)
    limit = min(settings["model_max_length"], positions)
    return Reference(name, model, load_tokenizer(folder), limit, config.get("problem_type") == "regression")


@torch.no_grad()
def run(reference: Reference, ids: list[int]) -> Output:
    """One forward pass over token ids with their special tokens."""
    output = reference.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    mean = output.hidden_states[-1][0].mean(0)
    assert torch.equal(mean, reference.model.base_model(input_ids=torch.tensor([ids]))[0][0].mean(0))
    if not reference.headed:
        return Output(torch.empty(0), torch.empty(0), mean)
    logits = output.logits[0]
    return Output(logits, logits if reference.regression else logits.softmax(0), mean)


def choose(reference: Reference, texts: list[str]) -> list[str]:
    """Texts that fit the model's window, sixty or thirty: some of each kind, and a few fixed ones."""
    rng = random.Random(SEED)
    part = 2 if reference.model.config.model_type in OTHERS else 1
    chosen = [text for text in FIXED if len(reference.tokenizer.encode(text).ids) <= reference.max_length]
    for (start, end), count in CANDIDATES:
        candidates = rng.sample(texts[start:end], 1000 if end - start > 1000 else end - start)
        fitting = (t for t in candidates if fits(reference, t))
        chosen += [text for _, text in zip(range(count // part), fitting)]
    return chosen


def fits(reference: Reference, text: str) -> bool:
    """Whether the text fits one window and has at least one token of its own."""
    ids = reference.tokenizer.encode(text).ids
    return 2 < len(ids) <= reference.max_length


def windows(tokens: int, width: int) -> list[tuple[int, int]]:
    """Spans of `width` tokens, an eighth shared with the next; the last one ends with the text and is full."""
    if tokens <= width:
        return [(0, tokens)]
    starts, step = [0], width - width // 8
    while starts[-1] + width < tokens:
        starts.append(min(starts[-1] + step, tokens - width))
    return [(start, start + width) for start in starts]


def run_long(reference: Reference, text: str) -> tuple[list[tuple[int, int]], Output]:
    """All the windows of a text, and the mean of their outputs weighted by their content tokens."""
    special = reference.tokenizer.encode("").ids
    content = reference.tokenizer.encode(text, add_special_tokens=False).ids
    spans = windows(len(content), reference.max_length - len(special))
    outputs = [run(reference, [special[0], *content[a:b], special[1]]) for a, b in spans]
    weights = torch.tensor([float(b - a) for a, b in spans])

    def combine(values: list[torch.Tensor]) -> torch.Tensor:
        return (torch.stack(values) * weights[:, None]).sum(0) / weights.sum()

    fields = ("logits", "probabilities", "mean")
    return spans, Output(*(combine([getattr(output, field) for output in outputs]) for field in fields))


def cut_to(reference: Reference, text: str, tokens: int) -> str | None:
    """The beginning of the text, in whole words, that has exactly this many content tokens; None if there is none."""
    words = text.split()
    low, high = 0, len(words)
    while low < high:
        middle = (low + high) // 2
        count = len(reference.tokenizer.encode(" ".join(words[:middle]), add_special_tokens=False).ids)
        low, high = (middle + 1, high) if count < tokens else (low, middle)
    found = " ".join(words[:low])
    count = len(reference.tokenizer.encode(found, add_special_tokens=False).ids)
    return found if count == tokens else None


def long_texts(reference: Reference, films: list[str]) -> list[str]:
    """Texts of W, W + 1, 2W - O (two windows, no more overlap than usual), about 2.6W and about 4.3W tokens."""
    width = reference.max_length - 2
    sizes = [width, width + 1, 2 * width - width // 8, int(2.6 * width), int(4.3 * width)]
    remaining = iter(films)
    return [next(cut for film in remaining if (cut := cut_to(reference, film, size))) for size in sizes]


def long_films(folder: Path) -> list[str]:
    """Long film reviews in ASCII."""
    sys.path.insert(0, str(BUILT_IN / "make"))
    import data

    return [text for text, _ in data.imdb(folder) if text.isascii() and len(text) > 5500]


def digits(tensor: torch.Tensor) -> list[float]:
    """Values with eight significant digits, enough for F32."""
    return [float(f"{value:.8g}") for value in tensor.tolist()]


def normalised(mean: torch.Tensor) -> torch.Tensor:
    """The same direction with length 1."""
    return mean / mean.norm()


def expected(reference: Reference, texts: list[str], films: list[str]) -> dict:
    """The content of one file."""
    chosen = choose(reference, texts)
    ids = [reference.tokenizer.encode(text).ids for text in chosen]
    outputs = [run(reference, row) for row in ids]
    result = {"versions": versions(*PACKAGES), "max_length": reference.max_length, "texts": chosen, "token_ids": ids}
    result["logits"] = [digits(output.logits) for output in outputs] if reference.headed else []
    result["probabilities"] = [digits(output.probabilities) for output in outputs] if reference.headed else []
    result["embeddings"] = [digits(normalised(output.mean)) for output in outputs]
    if reference.name in LONG_MODELS:
        result["long"] = expected_long(reference, long_texts(reference, films))
    return result


def expected_long(reference: Reference, texts: list[str]) -> dict:
    """The same for texts of several windows."""
    outputs = [run_long(reference, text) for text in texts]
    return {
        "texts": texts,
        "windows": [spans for spans, _ in outputs],
        "probabilities": [digits(output.probabilities) for _, output in outputs],
        "embeddings": [digits(normalised(output.mean)) for _, output in outputs],
    }


def write(path: Path, content: dict) -> None:
    """JSON with one line per text and field, so that changes are readable."""

    def rows(values: list) -> str:
        return "[\n" + ",\n".join("  " + json.dumps(row) for row in values) + "]" if values else "[]"

    def fields(values: dict) -> str:
        parts = [f"{json.dumps(k)}: {rows(v) if isinstance(v, list) else nested(v)}" for k, v in values.items()]
        return "{\n" + ",\n".join(parts) + "\n}"

    def nested(value) -> str:
        return fields(value) if isinstance(value, dict) and "texts" in value else json.dumps(value)

    path.write_text(fields(content) + "\n")


def main() -> None:
    """Write a file per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that fetch.py made")
    parser.add_argument("--only", nargs="*", help="names of models; `reviews` is the built-in one")
    args = parser.parse_args()
    names = args.only or ["reviews", *sorted(path.name for path in (HERE / "models").iterdir())]
    texts = read_lines(HERE / "texts.jsonl.gz")
    films = []
    if any(name in LONG_MODELS for name in names):
        films = long_films(args.data)
    (HERE / "expected").mkdir(exist_ok=True)
    for name in names:
        write(HERE / "expected" / f"{name}.json", expected(load(name), texts, films))
    record(*PACKAGES)


if __name__ == "__main__":
    main()
