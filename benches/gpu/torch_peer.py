"""The peer PyTorch on a GPU: `transformers`, SDPA attention, eager or compiled.

It answers the line protocol of `benches/peers/peer.py`, and besides:

    {"tune": [8192, ...]}   {"batch_tokens": 8192, "seconds": {"8192": 0.3, ...}}   the best batches for these texts
    {"rate": 8192}          {"tflops": 790.1}       of a product of square matrices, as precise as the model

Texts are sorted by tokens. A batch takes as many as fit into a number of tokens, padding included.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from transformers import BertForSequenceClassification

from shared import peer

COMPILED = "compiled"
DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
# Tokens of a batch until it is tuned.
BATCH_TOKENS = 16384
# Batch sizes are compared on one of so many texts.
TUNING_PART = 8
# How often matrices are multiplied for one time, and how many times are taken.
PRODUCTS, TIMES = 10, 10
# The kernels for matrices of masks and products want multiples of 8; a compiled model is compiled for them once.
COMPILED_MULTIPLE = 8


class Pytorch(peer.Network):
    """A model on a device."""

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        self.model, self.device = model, device

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.run_all([(ids, mask)])[0]

    @torch.inference_mode()
    def run_all(self, batches: Iterable[peer.Batch]) -> list[np.ndarray]:
        # Nothing is asked back before all batches are under way.
        logits = [self.logits(*batch) for batch in batches]
        probabilities = torch.cat(logits).float().softmax(-1).cpu().numpy()
        return np.split(probabilities, np.cumsum([len(rows) for rows in logits])[:-1])

    def logits(self, ids: np.ndarray, mask: np.ndarray) -> torch.Tensor:
        """Logits `[texts, classes]`, still on the device."""
        # Without a mask the fastest kernel of attention can be taken.
        attended = None if mask.all() else self.moved(mask)
        return self.model(input_ids=self.moved(ids), attention_mask=attended).logits

    def moved(self, array: np.ndarray) -> torch.Tensor:
        """The array on the device, without waiting for it."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


class Budgeted(peer.Texts):
    """Batches by tokens."""

    def __init__(self, model: Path, multiple: int) -> None:
        super().__init__(model, batch_size=0)
        self.batch_tokens, self.multiple = BATCH_TOKENS, multiple

    def batches(self, rows: list[list[int]], order: list[int]) -> Iterable[peer.Batch]:
        start = 0
        while start < len(order):
            end = start + max(2, self.batch_tokens // len(rows[order[start]]))
            # For a single row at the end a model would be compiled anew.
            end += end == len(order) - 1
            yield peer.pad([rows[index] for index in order[start:end]], self.multiple)
            start = end


class Card(peer.Peer):
    """A peer that can also be tuned, and measures what its device can do."""

    def __init__(self, network: Pytorch, texts: Budgeted, dtype: torch.dtype) -> None:
        super().__init__(network, texts)
        self.device, self.dtype = network.device, dtype
        self.budgeted = texts
        self.path = ""
        self.best: dict[str, int] = {}

    def answer(self, command: dict) -> dict:
        match command:
            case {"tune": budgets}:
                return self.tune(budgets)
            case {"rate": size}:
                return {"tflops": self.rate(size)}
            case {"texts": path}:
                self.path = path
                self.budgeted.batch_tokens = self.best.get(path, BATCH_TOKENS)
        return super().answer(command)

    def tune(self, budgets: list[int]) -> dict:
        """Find the best batch size for the present texts, and keep to it whenever they come again."""
        rows = self.tokens.encode(self.texts[::TUNING_PART])
        seconds = {}
        for budget in budgets:
            self.budgeted.batch_tokens = budget
            # The first time takes memory and chooses kernels.
            self.probabilities(rows)
            start = perf_counter()
            self.probabilities(rows)
            seconds[budget] = perf_counter() - start
        best = min(seconds, key=seconds.__getitem__)
        self.best[self.path] = self.budgeted.batch_tokens = best
        return {"batch_tokens": best, "seconds": seconds}

    def rate(self, size: int) -> float:
        """Median TFLOP/s of products of random matrices of this size, the first time left out."""
        left, right = (torch.randn(size, size, device=self.device, dtype=self.dtype) for _ in range(2))
        seconds = [self.products(left, right) for _ in range(TIMES + 1)][1:]
        return 2 * size**3 / median(seconds) / 1e12

    @torch.inference_mode()
    def products(self, left: torch.Tensor, right: torch.Tensor) -> float:
        """Seconds of one product, of several in a row."""
        start = perf_counter()
        for _ in range(PRODUCTS):
            left @ right
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return (perf_counter() - start) / PRODUCTS


def load(args: argparse.Namespace) -> Card:
    """The peer of a variant."""
    device, dtype = torch.device(args.device), DTYPES[args.precision]
    torch.set_num_threads(args.threads)
    model = BertForSequenceClassification.from_pretrained(args.model, dtype=dtype, attn_implementation="sdpa")
    model = model.eval().to(device)
    multiple = 1
    if args.variant == COMPILED:
        model, multiple = torch.compile(model, dynamic=True), COMPILED_MULTIPLE
    return Card(Pytorch(model, device), Budgeted(args.model, multiple), dtype)


def main() -> None:
    """Read the command line and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=["eager", COMPILED], required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder in Hugging Face layout")
    parser.add_argument("--device", required=True, help="as torch.device takes it")
    parser.add_argument("--precision", choices=DTYPES, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    peer.answer_lines(lambda: load(args))


if __name__ == "__main__":
    main()
