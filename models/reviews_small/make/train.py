"""Distil `reviews` into three layers.

    python train.py --reviews ../reviews --texts texts.csv --engine ENGINE --minutes 30 --out FOLDER

`texts.csv` is what `texts.py` wrote. The network begins with embeddings, head and layers `LAYERS` of `reviews`, or goes on from what was learned before (`--begin`, with
`LATER_RATES`), and learns what `reviews` says of each text, or of the first so many (`--first`).
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
    args = parser.parse_args()
    distil.quick()
    with args.texts.open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)][: args.first]
    said = predict_by_engine(args.engine, args.reviews, texts, "int8")
    tokenizer = Tokenizer.from_file(str(args.reviews / "tokenizer.json"))
    examples = distil.encode(tokenizer, list(zip(texts, said.tolist())))
    if args.begin:
        model, rates = BertForSequenceClassification.from_pretrained(args.begin, dtype=torch.float32, attn_implementation="eager"), LATER_RATES
    else:
        model, rates = student(args.reviews), RATES
    learner = distil.Learner(model, tokenizer, rates, MAX_LENGTH)
    learner.learn([distil.Stream(examples, 1.0)], args.minutes, lambda line: print(line, flush=True), lambda step: write(model, args.reviews, args.out))
    write(model, args.reviews, args.out)


if __name__ == "__main__":
    main()
