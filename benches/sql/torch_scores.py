"""Scores of reviews with PyTorch, written as one would write them today without the extension.

Both ways that the extension is compared with use this: the client script, and functions in PL/Python. It knows nothing
of a database. Invariant: the scores mean what `predict_sentiment_score` means.
"""

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

# Measured best of 8, 16, 32 and 64 (benches/peers): a small batch wastes less on padding, a large one less on calls.
BATCH_SIZE = 16
WINDOW = 256


class Scorer:
    """A loaded model of five classes, one star to five stars."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model = AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32).eval()
        self.values = torch.linspace(-1, 1, self.model.config.num_labels)

    @torch.inference_mode()
    def scores(self, texts: list[str]) -> list[float]:
        """From -1 to 1, in the order of the texts. Sorted by length meanwhile, so that a batch has little padding."""
        rows = self.tokenizer(texts, truncation=True, max_length=WINDOW)["input_ids"]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]), reverse=True)
        scores = [0.0] * len(rows)
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            for index, score in zip(batch, self.run([rows[index] for index in batch]), strict=True):
                scores[index] = score
        return scores

    def run(self, rows: list[list[int]]) -> list[float]:
        """Scores of a batch of token ids."""
        inputs = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        probabilities = self.model(**inputs).logits.softmax(-1)
        return (probabilities @ self.values).tolist()
