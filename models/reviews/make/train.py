"""Fine-tune all-MiniLM-L6-v2 into a five-star classifier of reviews.

    python train.py --data DATA --out FOLDER [--limit ROWS]

Writes one Hugging Face folder per epoch (`FOLDER/epoch-N`, F32) and the validation metrics of each; the last epoch is
the model. The recipe is in `Recipe`; `data.py` says what the labels mean.
"""

import argparse
import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import smooth_l1_loss
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

import data as datasets
from data import Row

STAR_VALUES = torch.arange(1.0, 6.0)


@dataclass(frozen=True)
class Recipe:
    """Every number of the training."""

    seed: int = datasets.SEED
    epochs: int = 3
    batch_size: int = 32
    max_length: int = 96
    encoder_rate: float = 7e-5
    pooler_rate: float = 2e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.06
    max_grad_norm: float = 1.0
    distance_weight: float = 1.0
    great_weight: float = 0.5
    polarity_weight: float = 0.5
    head_dropout: float = 0.1
    bfloat16: bool = True


@dataclass
class Example:
    """A tokenized row: content token ids without special tokens."""

    ids: list[int]
    row: Row


def star_targets(stars: torch.Tensor) -> torch.Tensor:
    """Spread each value in 1..5 over its two neighbouring stars; `[n] -> [n, 5]`."""
    return (1.0 - (stars[:, None] - STAR_VALUES[None, :]).abs()).clamp(min=0.0)


def stars_loss(log_p: torch.Tensor, stars: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Cross-entropy with the spread stars plus smooth L1 on the expected stars; one value a row."""
    cross_entropy = -(star_targets(stars) * log_p).sum(1)
    expected = (log_p.exp() * STAR_VALUES).sum(1)
    distance = smooth_l1_loss(expected, stars, reduction="none", beta=0.5)
    return cross_entropy + recipe.distance_weight * distance


def group_loss(log_p: torch.Tensor, label: torch.Tensor, yes: slice, no: slice) -> torch.Tensor:
    """Binary cross-entropy between two groups of stars; one value a row."""
    log_yes = log_p[:, yes].logsumexp(1)
    log_no = log_p[:, no].logsumexp(1)
    total = torch.logaddexp(log_yes, log_no)
    return total - torch.where(label > 0.5, log_yes, log_no)


def row_losses(logits: torch.Tensor, rows: list[Row], recipe: Recipe) -> torch.Tensor:
    """The loss of each row by its kind of label; `[n, 5] -> [n]`."""
    log_p = logits.float().log_softmax(1)
    label = torch.tensor([row.label for row in rows])
    by_kind = {
        "stars": stars_loss(log_p, label, recipe),
        "great": recipe.great_weight * group_loss(log_p, label, slice(4, 5), slice(0, 4)),
        "polarity": recipe.polarity_weight * group_loss(log_p, label, slice(3, 5), slice(0, 2)),
    }
    # A positive film review should also leave little to three stars, which `group_loss` does not see.
    by_kind["polarity"] = by_kind["polarity"] + recipe.polarity_weight * -torch.log1p(-log_p[:, 2].exp() + 1e-6)
    masks = {kind: torch.tensor([row.kind == kind for row in rows]) for kind in by_kind}
    return sum(torch.where(masks[kind], loss, 0.0) for kind, loss in by_kind.items())


def tokenize(rows: list[Row], tokenizer) -> list[Example]:
    """Token ids of the rows, uncut and without special tokens."""
    encoded = tokenizer([row.text for row in rows], add_special_tokens=False, truncation=False)
    return [Example(ids, row) for ids, row in zip(encoded["input_ids"], rows)]


def window(ids: list[int], size: int, rng: random.Random) -> list[int]:
    """The whole text, or its beginning or its end (either with the same chance) where it is too long."""
    if len(ids) <= size:
        return ids
    return ids[:size] if rng.random() < 0.5 else ids[-size:]


def collate(examples: list[Example], tokenizer, recipe: Recipe, rng: random.Random) -> dict[str, torch.Tensor]:
    """Pad a batch to its longest window."""
    cut = [window(example.ids, recipe.max_length - 2, rng) for example in examples]
    width = max(map(len, cut)) + 2
    ids = torch.full((len(cut), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for i, content in enumerate(cut):
        n = len(content) + 2
        ids[i, :n] = torch.tensor([tokenizer.cls_token_id, *content, tokenizer.sep_token_id])
        mask[i, :n] = 1
    return {"input_ids": ids, "attention_mask": mask}


def epoch_examples(examples: list[Example], epoch: int, recipe: Recipe) -> list[Example]:
    """All short rated texts in each epoch; of the long reviews, which cost four times as much, one half."""
    rated = [e for e in examples if e.row.kind == "stars"]
    long = [e for e in examples if e.row.kind != "stars"]
    return rated + long[epoch % 2 :: 2]


def batches(examples: list[Example], recipe: Recipe, rng: random.Random) -> list[list[Example]]:
    """Shuffled batches of texts of similar length: sorted within pools of fifty batches."""
    order = rng.sample(examples, len(examples))
    pool = recipe.batch_size * 50
    result = []
    for start in range(0, len(order), pool):
        part = sorted(order[start : start + pool], key=lambda e: min(len(e.ids), recipe.max_length))
        result += [part[i : i + recipe.batch_size] for i in range(0, len(part), recipe.batch_size)]
    rng.shuffle(result)
    return result


def build_model(base: Path, recipe: Recipe) -> BertForSequenceClassification:
    """The base with a fresh five-star head."""
    torch.manual_seed(recipe.seed)
    config = BertConfig.from_pretrained(base)
    config.id2label = {0: "1 star", **{i: f"{i + 1} stars" for i in range(1, 5)}}
    config.label2id = {label: i for i, label in config.id2label.items()}
    config.problem_type = "single_label_classification"
    config.attention_probs_dropout_prob = config.hidden_dropout_prob = 0.0
    config.classifier_dropout = recipe.head_dropout
    return BertForSequenceClassification.from_pretrained(base, config=config, dtype=torch.float32)


def build_optimizer(model: BertForSequenceClassification, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with a rate each for encoder, pooler and head, and no decay of biases and norms."""
    groups = {}
    for name, parameter in model.named_parameters():
        rate = recipe.encoder_rate
        if name.startswith("classifier"):
            rate = recipe.head_rate
        elif "pooler" in name:
            rate = recipe.pooler_rate
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    settings = [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
    return torch.optim.AdamW(settings, fused=True)


def schedule(optimizer, steps: int, recipe: Recipe):
    """Linear warm-up, then linear decay to zero."""
    warm = max(1, int(steps * recipe.warmup))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))
    )


@torch.no_grad()
def validate(model, examples: list[Example], tokenizer, recipe: Recipe) -> dict[str, float]:
    """Mean loss, and the correlation of expected with pseudo stars, on the validation rows."""
    model.eval()
    rng = random.Random(0)
    losses, expected, stars = [], [], []
    for part in batches(examples, recipe, rng):
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits = model(**collate(part, tokenizer, recipe, rng)).logits.float()
        losses += row_losses(logits, [e.row for e in part], recipe).tolist()
        values = (logits.softmax(1) * STAR_VALUES).sum(1).tolist()
        rated = [(v, e.row.label) for v, e in zip(values, part) if e.row.kind == "stars"]
        expected += [v for v, _ in rated]
        stars += [s for _, s in rated]
    model.train()
    return {"loss": float(np.mean(losses)), "r": float(np.corrcoef(expected, stars)[0, 1])}


def train_epoch(model, optimizer, scheduler, parts, tokenizer, recipe: Recipe, rng: random.Random) -> None:
    """One pass over the batches, with a line of progress every fifty steps."""
    began, total, tokens = time.time(), 0.0, 0
    for step, part in enumerate(parts, 1):
        inputs = collate(part, tokenizer, recipe, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits = model(**inputs).logits
        loss = row_losses(logits, [e.row for e in part], recipe).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        total, tokens = total + loss.item(), tokens + inputs["input_ids"].numel()
        if step % 50 == 0:
            rate = tokens / (time.time() - began)
            print(f"step {step}/{len(parts)} loss {total / step:.4f} {rate:.0f} tokens/s", flush=True)


def train(data: Path, out: Path, recipe: Recipe, limit: int | None) -> None:
    """Train; validate and save after each epoch."""
    splits = datasets.splits(data)
    tokenizer = AutoTokenizer.from_pretrained(data / "base", model_max_length=10**9)
    rng = random.Random(recipe.seed)
    rows = rng.sample(splits["train"], limit or len(splits["train"]))
    train_set, valid_set = tokenize(rows, tokenizer), tokenize(splits["valid"][-(limit or 0) :], tokenizer)
    model = build_model(data / "base", recipe).train()
    optimizer = build_optimizer(model, recipe)
    epochs = [batches(epoch_examples(train_set, n + 1, recipe), recipe, rng) for n in range(recipe.epochs)]
    scheduler = schedule(optimizer, sum(map(len, epochs)), recipe)
    history = []
    for epoch, parts in enumerate(epochs, 1):
        train_epoch(model, optimizer, scheduler, parts, tokenizer, recipe, rng)
        history.append({"epoch": epoch, **validate(model, valid_set, tokenizer, recipe)})
        print(history[-1], flush=True)
        model.save_pretrained(out / f"epoch-{epoch}")
    record = {"recipe": asdict(recipe), "rows": len(train_set), "valid_rows": len(valid_set), "history": history}
    (out / "training.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--limit", type=int, help="train on this many rows only, to test the script")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="no bfloat16 autocast")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.data, args.out, Recipe(bfloat16=not args.float32), args.limit)


if __name__ == "__main__":
    main()
