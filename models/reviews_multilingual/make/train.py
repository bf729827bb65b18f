"""Teach the model of `base.py` Chinese, and let it keep its English.

    python train.py --base FOLDER --rows all.csv --teacher teacher.json --minutes 46 --out FOLDER

Chinese rows are praise or blame: the loss is the cross entropy of four or five stars together, or of one or two. English
rows are there so that nothing is forgotten: their loss is the cross entropy with what `reviews` says of them (`teacher.py`).

`WORKERS` processes of one thread each learn from rows of their own, and take the mean of their weights every `TOGETHER` steps: on a machine
with other work none waits long for another. The rates fall with the time, not with the steps, so that a training ends when it
should however busy the machine is. Every `CHECKPOINT` minutes the weights are written to `FOLDER/checkpoint-N`, in the end to `FOLDER/final`.
"""

import argparse
import csv
import json
import random
import shutil
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as together
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

WORKERS, TOGETHER, CHECKPOINT = 2, 10, 8
SEED, MAX_LENGTH, BATCH, BUCKET = 100, 96, 32, 320
BODY_RATE, EMBEDDING_RATE, LEAST_RATE, WARM_UP = 6e-5, 6e-4, 0.02, 40
DECAY, BETAS, MAX_NORM = 0.01, (0.9, 0.99), 1.0
ENGLISH = 0.2
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def chinese(path: Path) -> list[tuple[str, list[float]]]:
    """Training rows, with the stars that they may have."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "chinese" and row["split"] == "train"]
    return [(row["text"], [0.0, 0.0, 0.0, 1.0, 1.0] if row["stars"].startswith("[4") else [1.0, 1.0, 0.0, 0.0, 0.0]) for row in rows]


def batches(rows: list, tokenizer: Tokenizer, rng: random.Random):
    """Batches of rows of like length, for ever: token ids and stars."""
    encodings = tokenizer.encode_batch([text for text, _ in rows])
    rows = [(encoding.ids, stars) for encoding, (_, stars) in zip(encodings, rows)]
    while True:
        rng.shuffle(rows)
        for start in range(0, len(rows), BUCKET):
            part = sorted(rows[start : start + BUCKET], key=lambda row: len(row[0]))
            own = [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
            rng.shuffle(own)
            yield from own


def optimizer_of(model: BertForSequenceClassification) -> torch.optim.Optimizer:
    """New embeddings have further to go than the encoder."""
    embeddings = model.bert.embeddings.word_embeddings.weight
    others = [parameter for parameter in model.parameters() if parameter is not embeddings]
    groups = [([p for p in others if p.ndim > 1], BODY_RATE, DECAY), ([p for p in others if p.ndim == 1], BODY_RATE, 0.0), ([embeddings], EMBEDDING_RATE, 0.0)]
    return torch.optim.AdamW([{"params": own, "lr": rate, "rate": rate, "weight_decay": decay} for own, rate, decay in groups], betas=BETAS, fused=True)


def loss_of(model: BertForSequenceClassification, batch: list, english: bool) -> torch.Tensor:
    """Mean loss of a batch."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([own + [0] * (longest - len(own)) for own, _ in batch])
    stars = torch.tensor([own for _, own in batch])
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids, attention_mask=(ids != 0).long()).logits
    likely = logits.float().log_softmax(1)
    if english:
        return -(stars * likely).sum(1).mean()
    return -likely.masked_fill(stars == 0, -1e9).logsumexp(1).mean()


def write(model: BertForSequenceClassification, base: Path, out: Path) -> None:
    """The model as it is, with the base's tokenizer."""
    model.save_pretrained(out)
    for name in TOKENIZER_FILES:
        shutil.copyfile(base / name, out / name)


def learn(worker: int, args: argparse.Namespace, meeting: str, began: float) -> None:
    """One worker's training."""
    torch.set_num_threads(1)
    torch.manual_seed(worker)
    rng = random.Random(SEED + worker)
    together.init_process_group("gloo", init_method=f"file://{meeting}", rank=worker, world_size=WORKERS)
    model = BertForSequenceClassification.from_pretrained(args.base, dtype=torch.float32, attn_implementation="sdpa").train()
    tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    english = [tuple(row) for row in json.loads(args.teacher.read_text())]
    streams = {kind: batches(rows[worker::WORKERS], tokenizer, rng) for kind, rows in ((False, chinese(args.rows)), (True, english))}
    optimizer, parameters = optimizer_of(model), list(model.parameters())
    losses, written, ended, step = {}, 0, torch.zeros(1), 0
    while not ended:
        passed = (time.time() - began) / 60 / args.minutes
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * max(min(1.0, (step + 1) / WARM_UP) * (1 - passed), LEAST_RATE)
        kind = rng.random() < ENGLISH
        loss = loss_of(model, next(streams[kind]), kind)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses[kind] = 0.95 * losses.get(kind, loss.item()) + 0.05 * loss.item()
        step += 1
        if step % TOGETHER:
            continue
        with torch.no_grad():
            for parameter in parameters:
                together.all_reduce(parameter.data)
                parameter.data /= WORKERS
        ended[0] = passed >= 1
        together.all_reduce(ended)
        if worker == 0:
            print(step, f"{passed:.3f}", {("english" if kind else "chinese"): round(value, 4) for kind, value in losses.items()}, flush=True)
            if passed * args.minutes // CHECKPOINT > written:
                written = int(passed * args.minutes // CHECKPOINT)
                write(model, args.base, args.out / f"checkpoint-{written}")
    if worker == 0:
        write(model, args.base, args.out / "final")


def main() -> None:
    """Read the command line and start the workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "rows", "teacher", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(learn, (args, f"{folder}/meeting", time.time()), WORKERS)


if __name__ == "__main__":
    main()
