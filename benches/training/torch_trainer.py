"""Trains a job as those do who use PyTorch and transformers: the counterpart of `client.rs`, and what it prints.

    python torch_trainer.py JOB.json

The same defaults as `train_model`: AdamW with decay of matrices, linear schedule with warm-up, clipping, the model's
own dropout. Rows are tokenized once. Batches are made of rows of similar length, as `group_by_length` of
`transformers.Trainer` does it, and padded to their longest. With `"tuning": "head"` the encoder runs under `no_grad` and
without dropout, which costs most of attention's speed, in every epoch; pooler and classifier are trained.
"""

import json
import math
import resource
import sys
from pathlib import Path
from time import perf_counter

import torch
from transformers import AutoTokenizer, BertForSequenceClassification, get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import get_length_grouped_indices

Ids = list[list[int]]


class Trainer:
    """A model under training."""

    def __init__(self, job: dict) -> None:
        options = job["options"]
        torch.set_num_threads(job["threads"])
        torch.manual_seed(options["seed"])
        self.epochs, self.size = options["num_train_epochs"], options["per_device_train_batch_size"]
        self.head_only = options.get("tuning") == "head"
        labels = sorted({label for _, label in job["rows"]})
        self.model = BertForSequenceClassification.from_pretrained(
            job["base"],
            dtype=torch.float32,
            attn_implementation="sdpa",
            id2label=dict(enumerate(labels)),
            label2id={label: place for place, label in enumerate(labels)},
        )
        self.tokenizer = AutoTokenizer.from_pretrained(job["base"])
        texts = [text for text, _ in job["rows"]]
        limit = min(options.get("max_length") or 1 << 30, self.model.config.max_position_embeddings)
        self.ids: Ids = self.tokenizer(texts, truncation=True, max_length=limit, padding=False)["input_ids"]
        self.targets = torch.tensor([labels.index(label) for _, label in job["rows"]])
        self.steps = math.ceil(len(texts) / self.size) * self.epochs
        self.optimizer, self.schedule = self.prepared(options)

    def prepared(self, options: dict) -> tuple:
        """Optimizer and schedule."""
        encoder = [*self.model.bert.embeddings.parameters(), *self.model.bert.encoder.parameters()]
        for parameter in encoder:
            parameter.requires_grad = not self.head_only
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        matrices, others = ([p for p in trained if (p.dim() > 1) == is_matrix] for is_matrix in (True, False))
        groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        rate = options.get("learning_rate", 1e-3 if self.head_only else 5e-5)
        optimizer = torch.optim.AdamW(groups, lr=rate)
        return optimizer, get_linear_schedule_with_warmup(optimizer, math.ceil(0.1 * self.steps), self.steps)

    def batches(self) -> list[list[int]]:
        """The batches of an epoch."""
        order = get_length_grouped_indices([len(ids) for ids in self.ids], self.size)
        return [order[start : start + self.size] for start in range(0, len(order), self.size)]

    def epoch(self) -> None:
        """All rows once."""
        self.model.train()
        if self.head_only:
            self.model.bert.embeddings.eval()
            self.model.bert.encoder.eval()
        for batch in self.batches():
            ids = {"input_ids": [self.ids[row] for row in batch]}
            inputs = self.tokenizer.pad(ids, return_tensors="pt")
            loss = torch.nn.functional.cross_entropy(self.logits(inputs), self.targets[batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
            loss.item()

    def logits(self, inputs: dict) -> torch.Tensor:
        """The outputs of the head."""
        if not self.head_only:
            return self.model(**inputs).logits
        bert = self.model.bert
        with torch.no_grad():
            states = bert(**inputs).last_hidden_state
        return self.model.classifier(self.model.dropout(bert.pooler(states)))

    def run(self) -> dict:
        """Train; what it took."""
        seconds, began = [], perf_counter()
        for _ in range(self.epochs):
            start = perf_counter()
            self.epoch()
            seconds.append(perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"seconds": seconds, "total": perf_counter() - began, "steps": self.steps, "peak_kib": peak}


def main() -> None:
    """Train what the job says."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    trainer = Trainer(job)
    print(json.dumps(trainer.run()))
    if job["out"]:
        trainer.model.save_pretrained(job["out"])
        trainer.tokenizer.save_pretrained(job["out"])


if __name__ == "__main__":
    main()
