"""The first of two trainings: all twelve layers of multilingual-e5-small, which have read Chinese, learn the Chinese rows alone.

    python chinese.py --base WORK/e5 --rows all.csv --passes 1 --out FOLDER

`WORK/e5` is what `e5.py` wrote. Rates fall to nothing over `PLANNED` passes, so a training that ends before has not settled. Prints, of the validation rows, how many are on
the right side of three stars, and of those that were read again how many are on the side that was read; writes their logits to `FOLDER/valid.npy`. `train.py` goes on
from here.
"""

import argparse
import csv
import random
import shutil
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

SEED, MAX_LENGTH, BATCH, POOL, PLANNED = 1, 128, 32, 1280, 2
RATE, EMBEDDINGS, POOLER, HEAD = 1e-4, 2, 3, 12
# What was read in so many of the validation rows, drawn with this seed, with nothing but the text in sight: for, against, or neither.
READ_SEED = 7
READ = ("++--+0-+--+-+++--+++--00++--+---+0+--0-+0+-+-0+0----+-0+-+----0-0---+-+--+-"
        "+--+0+-+-+++0-+-+--+--0----00+---++-0----+---++-++-0-+--+++-+000++0-+--+-++")
DROPOUT, DECAY, WARM_UP, BETAS = 0.1, 0.01, 0.06, (0.9, 0.98)


def rows(path: Path, tokenizer: Tokenizer, split: str) -> list[tuple[list[int], float]]:
    """Token ids and whether it is praise."""
    with path.open(newline="", encoding="utf-8") as file:
        chosen = [row for row in csv.DictReader(file) if row["source"] == "chinese" and row["split"] == split]
    encodings = tokenizer.encode_batch([row["text"] for row in chosen], add_special_tokens=False)
    return [(encoding.ids, float(row["stars"].startswith("[4"))) for encoding, row in zip(encodings, chosen)]


def optimizer(model: BertForSequenceClassification) -> torch.optim.Optimizer:
    """AdamW; new parts and embeddings have further to go."""
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in model.named_parameters():
        times = HEAD if name.startswith("classifier") else POOLER if "pooler" in name else EMBEDDINGS if "word_emb" in name else 1
        groups.setdefault((RATE * times, DECAY if parameter.ndim > 1 and "emb" not in name else 0.0), []).append(parameter)
    settings = [{"params": own, "lr": rate, "rate": rate, "weight_decay": decay} for (rate, decay), own in groups.items()]
    return torch.optim.AdamW(settings, betas=BETAS, fused=True)


def sides(model: BertForSequenceClassification, batch: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log probabilities of four or five stars, and of one or two."""
    longest, padding = max(map(len, batch)) + 2, model.config.pad_token_id
    ids = torch.tensor([[0, *row, 2] + [padding] * (longest - len(row) - 2) for row in batch])
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids, attention_mask=(ids != padding).long()).logits
    likely = logits.float().log_softmax(1)
    return likely[:, 3:].logsumexp(1), likely[:, :2].logsumexp(1)


def batches(examples: list, rng: random.Random) -> list[list]:
    """Batches of rows of like length."""
    order, result = rng.sample(examples, len(examples)), []
    for start in range(0, len(order), POOL):
        part = sorted(order[start : start + POOL], key=lambda example: len(example[0]))
        result += [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
    rng.shuffle(result)
    return result


@torch.no_grad()
def logits(model: BertForSequenceClassification, examples: list) -> np.ndarray:
    """Of each row, how much likelier praise is, as a logarithm; of long rows their beginning and end."""
    model.eval()
    half, result = (MAX_LENGTH - 2) // 2, np.zeros(len(examples))
    cut = [ids if len(ids) <= 2 * half else ids[:half] + ids[-half:] for ids, _ in examples]
    order = sorted(range(len(cut)), key=lambda row: len(cut[row]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        praise, blame = sides(model, [cut[row] for row in chosen])
        result[chosen] = (praise - blame).numpy()
    return result


def agreement(found: np.ndarray, labels: np.ndarray) -> str:
    """How often logits and labels are on the side that was read."""
    chosen = random.Random(READ_SEED).sample(range(len(labels)), len(READ))
    read = np.array([{"+": 1, "-": -1, "0": 0}[sign] for sign in READ])
    says = read != 0
    right = [((own[chosen] > edge) == (read > 0))[says].mean() for own, edge in ((found, 0), (labels, 0.5))]
    return f"of {says.sum()} rows that were read again, as read: model {right[0]:.4f}, labels {right[1]:.4f}"


def main() -> None:
    """Read the command line, train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "rows", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--passes", type=float, default=1.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(SEED)
    rng, room = random.Random(SEED), MAX_LENGTH - 2
    config = BertConfig.from_pretrained(args.base, num_labels=5, hidden_dropout_prob=DROPOUT, attention_probs_dropout_prob=0.0, classifier_dropout=DROPOUT)
    model = BertForSequenceClassification.from_pretrained(args.base, config=config, dtype=torch.float32, attn_implementation="eager").train()
    tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
    train, valid = (rows(args.rows, tokenizer, split) for split in ("train", "valid"))
    steps = PLANNED * -(-len(train) // BATCH)
    order = [batch for _ in range(PLANNED) for batch in batches(train, rng)][: int(steps * args.passes / PLANNED)]
    learner = optimizer(model)
    for step, batch in enumerate(order):
        for group in learner.param_groups:
            group["lr"] = group["rate"] * min((step + 1) / (steps * WARM_UP), (steps - step) / (steps * (1 - WARM_UP)))
        praise, blame = sides(model, [ids if len(ids) <= room else ids[:room] if rng.random() < 0.5 else ids[-room:] for ids, _ in batch])
        loss = -torch.where(torch.tensor([label for _, label in batch]) > 0.5, praise, blame).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        learner.step()
        learner.zero_grad()
    found, labels = logits(model, valid), np.array([label for _, label in valid])
    print("right side of three stars:", ((found > 0) == (labels > 0.5)).mean())
    print(agreement(found, labels))
    args.out.mkdir(parents=True, exist_ok=True)
    np.save(args.out / "valid.npy", found)
    model.save_pretrained(args.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(args.base / name, args.out / name)


if __name__ == "__main__":
    main()
