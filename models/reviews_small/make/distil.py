"""Teach a model what another one says of texts, on one core.

The loss of a text is the cross entropy with the probabilities of the teacher, or with any of several stars where only praise or blame is
known, plus that of its expected stars, plus the distance from the vector that the teacher's head reads, where it is known. Rates fall with the time, not with the steps, so that a training ends when it should however busy the machine is.

It must not know where texts come from.
"""

import random
import time
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

SEED, BATCH, POOL = 20240511, 32, 1280
DECAY, BETAS, MAX_NORM, WARM_UP, LEAST = 0.01, (0.9, 0.98), 1.0, 0.04, 0.01
VECTOR_WEIGHT = 2.0
STARS = torch.arange(1.0, 6.0)


@dataclass
class Example:
    """A tokenized text: ids without special tokens, and the probability of each star, or 1 for each star that it may have.

    `vector` is what the teacher's pooler says of the whole text; without one, or if the text must be cut, only the stars count.
    """

    ids: list[int]
    stars: list[float]
    any_of: bool
    vector: torch.Tensor | None = None


@dataclass
class Stream:
    """Examples that are learned together, and how many of the batches are theirs."""

    examples: list[Example]
    share: float


class Learner:
    """A model in training. `rates` are of the encoder, of the embeddings, and of pooler and head."""

    def __init__(self, model: BertForSequenceClassification, tokenizer: Tokenizer, rates: tuple[float, float, float], max_length: int):
        self.model, self.max_length = model.train(), max_length
        self.first, self.last = tokenizer.encode("").ids
        self.padding = model.config.pad_token_id
        self.rng = random.Random(SEED)
        self.optimizer = optimizer(model, rates)

    def batches(self, stream: Stream):
        """Batches of texts of like length, for ever."""
        while True:
            order = self.rng.sample(stream.examples, len(stream.examples))
            for start in range(0, len(order), POOL):
                part = sorted(order[start : start + POOL], key=lambda example: len(example.ids))
                own = [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
                self.rng.shuffle(own)
                yield from own

    def cut(self, ids: list[int]) -> list[int]:
        """A text that fits, or one end of it."""
        room = self.max_length - 2
        if len(ids) > room:
            ids = ids[:room] if self.rng.random() < 0.5 else ids[-room:]
        return [self.first, *ids, self.last]

    def loss(self, batch: list[Example]) -> torch.Tensor:
        """Mean loss of a batch."""
        rows = [self.cut(example.ids) for example in batch]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self.padding] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        stars = torch.tensor([example.stars for example in batch])
        with torch.autocast("cpu", torch.bfloat16):
            vectors = self.model.bert(ids, attention_mask=mask).pooler_output
            logits = self.model.classifier(vectors)
        likely = logits.float().log_softmax(1)
        if batch[0].any_of:
            return -likely.masked_fill(stars == 0, -1e9).logsumexp(1).mean()
        off = torch.nn.functional.smooth_l1_loss((likely.exp() - stars) @ STARS, torch.zeros(len(batch)), beta=0.5)
        return -(stars * likely).sum(1).mean() + off + VECTOR_WEIGHT * self.apart(batch, vectors.float())

    def apart(self, batch: list[Example], vectors: torch.Tensor) -> torch.Tensor:
        """Mean square distance, a dimension, from the vectors of the teacher."""
        known = [place for place, example in enumerate(batch) if example.vector is not None and len(example.ids) <= self.max_length - 2]
        if not known:
            return torch.zeros(())
        return torch.nn.functional.mse_loss(vectors[known], torch.stack([batch[place].vector for place in known]).float())

    def learn(self, streams: list[Stream], minutes: float, tell=print, each=None) -> None:
        """Learn for so long; `each` is called every thousand steps."""
        began, step, tokens, means = time.time(), 0, 0, [0.0] * len(streams)
        sources, shares = [self.batches(stream) for stream in streams], [stream.share for stream in streams]
        while (passed := (time.time() - began) / 60 / minutes) < 1:
            rate = max(LEAST, min((step + 1) / 50, passed / WARM_UP, 1.0) * (1 - passed))
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate"] * rate
            chosen = self.rng.choices(range(len(streams)), shares)[0]
            batch = next(sources[chosen])
            loss = self.loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
            self.optimizer.step()
            self.optimizer.zero_grad()
            step, tokens = step + 1, tokens + sum(min(len(example.ids) + 2, self.max_length) for example in batch)
            means[chosen] = loss.item() if means[chosen] == 0 else 0.98 * means[chosen] + 0.02 * loss.item()
            if step % 50 == 0:
                tell(f"{step} steps, {passed:.3f} of the time, {tokens / (time.time() - began):.0f} tokens/s, losses {[round(mean, 4) for mean in means]}")
            if each and step % 1000 == 0:
                each(step)


def optimizer(model: BertForSequenceClassification, rates: tuple[float, float, float]) -> torch.optim.Optimizer:
    """AdamW with a rate for each part."""
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in model.named_parameters():
        part = 1 if "word_embeddings" in name else 2 if "pooler" in name or name.startswith("classifier") else 0
        groups.setdefault((rates[part], DECAY if parameter.ndim > 1 and part != 1 else 0.0), []).append(parameter)
    settings = [{"params": own, "lr": rate, "rate": rate, "weight_decay": decay} for (rate, decay), own in groups.items()]
    return torch.optim.AdamW(settings, betas=BETAS, fused=True)


def quick() -> None:
    """What makes short batches quick on one core."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(SEED)


def encode(tokenizer: Tokenizer, rows: list[tuple[str, list[float]]], any_of: bool = False) -> list[Example]:
    """Tokenize texts that have these stars."""
    encodings = tokenizer.encode_batch([text for text, _ in rows], add_special_tokens=False)
    return [Example(encoding.ids, stars, any_of) for encoding, (_, stars) in zip(encodings, rows)]
