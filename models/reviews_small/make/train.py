"""Distil `reviews` into three layers.

    python train.py --reviews ../reviews --texts texts.csv --engine ENGINE --minutes 30 --out FOLDER

`texts.csv` is what `texts.py` wrote. The network begins with embeddings, head and layers `LAYERS` of `reviews`, or goes on from what was learned before (`--begin`, with
`LATER_RATES`), and learns what `reviews` says of each text, or of the first so many (`--first`), and with `--vectors` the vector that its head reads. With `--favour`
three of four batches are of texts whose source begins so.
"""

import argparse
import csv
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

import distil

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from evaluate import predict_by_engine  # noqa: E402

LAYERS = (0, 2, 5)
RATES, LATER_RATES, MAX_LENGTH = (1.5e-4, 1.5e-4, 3e-4), (1.2e-4, 1.2e-4, 2e-4), 128
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def student(reviews: Path) -> BertForSequenceClassification:
    """The network to begin with."""
    config = BertConfig.from_pretrained(reviews)
    config.num_hidden_layers = len(LAYERS)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = config.classifier_dropout = 0.0
    weights = {}
    for name, tensor in load_file(reviews / "model.safetensors").items():
        head, mark, tail = name.partition("encoder.layer.")
        number, _, rest = tail.partition(".")
        if not mark:
            weights[name] = tensor.float()
        elif int(number) in LAYERS:
            weights[f"{head}{mark}{LAYERS.index(int(number))}.{rest}"] = tensor.float()
    model = BertForSequenceClassification._from_config(config, dtype=torch.float32, attn_implementation="eager")
    model.load_state_dict(weights)
    return model


@torch.no_grad()
def vectors(reviews: Path, examples: list[distil.Example], tokenizer: Tokenizer) -> None:
    """Give each example the vector that the head of `reviews` reads."""
    model = BertForSequenceClassification.from_pretrained(reviews, dtype=torch.float32, attn_implementation="eager").eval()
    first, last = tokenizer.encode("").ids
    order = sorted((example for example in examples if len(example.ids) <= MAX_LENGTH - 2), key=lambda example: len(example.ids))
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        longest = len(part[-1].ids)
        ids = torch.tensor([[first, *example.ids, last] + [0] * (longest - len(example.ids)) for example in part])
        mask = torch.tensor([[1] * (len(example.ids) + 2) + [0] * (longest - len(example.ids)) for example in part])
        with torch.autocast("cpu", torch.bfloat16):
            pooled = model.bert(ids, attention_mask=mask).pooler_output
        for example, vector in zip(part, pooled.to(torch.float16)):
            example.vector = vector.clone()


def write(model: BertForSequenceClassification, reviews: Path, out: Path) -> None:
    """The model as it is, with the tokenizer of `reviews`."""
    model.save_pretrained(out)
    for name in TOKENIZER:
        shutil.copyfile(reviews / name, out / name)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("reviews", "texts", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--begin", type=Path, help="what this script wrote before")
    parser.add_argument("--first", type=int, help="learn from so many of the texts")
    parser.add_argument("--vectors", action="store_true", help="learn the vectors, too")
    parser.add_argument("--favour", action="append", default=[], help="what the names of sources begin with")
    args = parser.parse_args()
    distil.quick()
    with args.texts.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[: args.first]
    texts = [row["text"] for row in rows]
    said = predict_by_engine(args.engine, args.reviews, texts, "int8")
    tokenizer = Tokenizer.from_file(str(args.reviews / "tokenizer.json"))
    examples = distil.encode(tokenizer, list(zip(texts, said.tolist())))
    if args.vectors:
        vectors(args.reviews, examples, tokenizer)
    favoured, others = [], []
    for row, example in zip(rows, examples):
        (favoured if row["source"].startswith(tuple(args.favour) or "\0") else others).append(example)
    streams = [distil.Stream(favoured, 0.75), distil.Stream(others, 0.25)] if favoured else [distil.Stream(others, 1.0)]
    if args.begin:
        model, rates = BertForSequenceClassification.from_pretrained(args.begin, dtype=torch.float32, attn_implementation="eager"), LATER_RATES
    else:
        model, rates = student(args.reviews), RATES
    learner = distil.Learner(model, tokenizer, rates, MAX_LENGTH)
    learner.learn(streams, args.minutes, lambda line: print(line, flush=True), lambda step: write(model, args.reviews, args.out))
    write(model, args.reviews, args.out)


if __name__ == "__main__":
    main()
