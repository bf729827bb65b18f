"""Train as `train.sql` does, without the reviews of one kind of goods, to learn how the recipe carries to goods that it never saw.

    python leave_out.py --rows rows.csv --base WORK/base --without clothing --out WORK/no_clothing

The settings are those of `train.sql`, but for the epochs (`--epochs`); PyTorch computes on one thread in bfloat16, one epoch in 20 to 25 minutes. Rows of every
source whose name begins so are left out. `calibrate.py`, with the rows that are left in the same folder, and `own_tests.py` read the folder that it writes.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

from own_tests import table

SEED, BATCH, POOL, MAX_LENGTH = 20240511, 32, 1280, 128
RATE, WARM_UP, DECAY, DROPOUT = 8e-5, 0.06, 0.01, 0.1


def target(low: float, high: float) -> tuple[list[float], bool]:
    """The probability of each star, or 1 for each star that it may be; and which of the two."""
    if low != high:
        return [float(low <= star <= high) for star in range(1, 6)], True
    return [max(0.0, 1.0 - abs(star - low)) for star in range(1, 6)], False


def loss(logits: torch.Tensor, stars: torch.Tensor, any_of: torch.Tensor) -> torch.Tensor:
    """Cross entropy, of a range of stars that of the sum of its probabilities."""
    likely = logits.float().log_softmax(1)
    ranges = -likely.masked_fill(stars == 0, -1e9).logsumexp(1)
    return torch.where(any_of, ranges, -(stars * likely).sum(1)).mean()


def batches(rows: list[tuple], rng: random.Random) -> list[list[tuple]]:
    """An epoch: batches of texts of like length, in an order by chance."""
    order, result = rng.sample(rows, len(rows)), []
    for start in range(0, len(order), POOL):
        part = sorted(order[start : start + POOL], key=lambda row: len(row[0]))
        result += [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
    rng.shuffle(result)
    return result


def optimizer(model: BertForSequenceClassification) -> torch.optim.AdamW:
    """AdamW; biases and the weights of layer norms don't decay."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], lr=RATE, fused=True)


def train(model: BertForSequenceClassification, rows: list[tuple], epochs: int, padding: int) -> None:
    """All epochs."""
    rng, adam, began, step = random.Random(SEED), optimizer(model), time.time(), 0
    steps = epochs * sum(-(-min(POOL, len(rows) - start) // BATCH) for start in range(0, len(rows), POOL))
    for epoch in range(epochs):
        mean = 0.0
        for batch in batches(rows, rng):
            rate = RATE * min((step + 1) / (WARM_UP * steps), (steps - step) / ((1 - WARM_UP) * steps))
            for group in adam.param_groups:
                group["lr"] = rate
            longest = max(len(ids) for ids, _, _ in batch)
            ids = torch.tensor([own + [padding] * (longest - len(own)) for own, _, _ in batch])
            mask = torch.tensor([[1] * len(own) + [0] * (longest - len(own)) for own, _, _ in batch])
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(ids, attention_mask=mask).logits
            value = loss(logits, torch.tensor([stars for _, stars, _ in batch]), torch.tensor([any_of for _, _, any_of in batch]))
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            adam.zero_grad()
            step += 1
            mean += (value.item() - mean) / min(step, 200)
            if step % 100 == 0:
                print(f"epoch {epoch + 1}, step {step} of {steps}, {time.time() - began:.0f} s, loss {mean:.4f}", flush=True)


def main() -> None:
    """Read the command line, train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rows", "base", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--without", required=True, help="what the names of the sources left out begin with")
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(SEED)
    rows = table(args.rows)
    rows = rows[~rows["source"].str.startswith(args.without)]
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "rows.csv"
    rows.drop(columns=["low", "high"]).to_csv(kept, index=False)
    print(f"{kept}: {len(rows)} rows", flush=True)
    learned = rows[rows["split"] == "train"]
    tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(learned["text"].tolist())]
    examples = [(own, *target(low, high)) for own, low, high in zip(ids, learned["low"], learned["high"])]
    model = BertForSequenceClassification.from_pretrained(
        args.base, dtype=torch.float32, attn_implementation="eager", hidden_dropout_prob=DROPOUT, attention_probs_dropout_prob=0.0)
    train(model.train(), examples, args.epochs, tokenizer.token_to_id("[PAD]"))
    model.save_pretrained(args.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (args.out / name).write_bytes((args.base / name).read_bytes())


if __name__ == "__main__":
    main()
