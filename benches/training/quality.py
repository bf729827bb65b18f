"""What trainings are worth: macro-F1 on rows held out, the same options and rows for both sides, several seeds.

Nothing is timed, so both sides train at once, each on a processor of its own.

Models of both sides are read and asked by `transformers`, so that only the trainings differ.
"""

import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

import torch
from sklearn.metrics import f1_score
from transformers import AutoTokenizer, BertForSequenceClassification

from report import table
from rows import Labelled, Task

OPTIONS = {"num_train_epochs": 3, "per_device_train_batch_size": 16, "eval_fraction": 0, "max_length": 128}
BATCH = 32

Train = Callable[[str, dict, int, int], dict]


def compare_quality(train: Train, sides: tuple[str, str], tasks: list[Task], build: Path, seeds: int) -> str:
    """A table of both sides' macro-F1 in points."""
    rows, kept = [], []
    for task in tasks:
        scores: dict[str, list[float]] = {side: [] for side in sides}
        for seed in range(1, seeds + 1):
            folders = {side: build / f"{side} model" for side in sides}
            texts = [[row.text, row.label] for row in task.train]
            job = {"options": OPTIONS | {"seed": seed}, "rows": texts}
            with ThreadPoolExecutor() as pool:
                runs = []
                for cpu, (side, out) in enumerate(folders.items()):
                    shutil.rmtree(out, ignore_errors=True)
                    runs.append(pool.submit(train, side, job | {"out": str(out)}, 1, cpu))
                for run in runs:
                    run.result()
            for side, out in folders.items():
                scores[side].append(100 * macro_f1(out, task.held_out))
                print(f"{task.name}, seed {seed}: {side} {scores[side][-1]:.2f}", file=sys.stderr, flush=True)
        ours, theirs = (scores[side] for side in sides)
        cells = [f"{mean(of):.2f} ± {stdev(of) if len(of) > 1 else 0:.2f}" for of in (ours, theirs)]
        counts = [str(len(task.train)), str(len(task.held_out))]
        rows.append([task.name, *counts, *cells, f"{mean(ours) - mean(theirs):+.2f}"])
        kept.append({"task": task.name, "scores": scores})
    (build / "quality.json").write_text(json.dumps(kept, indent=1), "utf-8")
    return table(["task", "rows", "held out", "macro-F1, ours", "macro-F1, PyTorch", "difference"], rows)


@torch.inference_mode()
def macro_f1(folder: Path, rows: list[Labelled]) -> float:
    """Of a model in Hugging Face layout."""
    model = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    predicted = []
    for start in range(0, len(rows), BATCH):
        texts = [row.text for row in rows[start : start + BATCH]]
        limit = OPTIONS["max_length"]
        inputs = tokenizer(texts, truncation=True, max_length=limit, padding=True, return_tensors="pt")
        predicted += [model.config.id2label[place] for place in model(**inputs).logits.argmax(1).tolist()]
    return f1_score([row.label for row in rows], predicted, average="macro")
