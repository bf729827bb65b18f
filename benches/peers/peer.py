"""What the Python peers share: the line protocol, tokenization, and batches of texts of like length.

A peer reads a JSON object from each line of standard input and writes one to standard output for each, as mode
`bench` of the engine does:

    {"texts": "texts.jsonl"}        {"texts": 2000}                     texts to work on, a JSON string a line
    {"throughput": true}            {"seconds": 9.1, "tokenizing": 0.4, "texts": 2000, "tokens": 106000}
    {"latency": ["a text", ...]}    {"ms": 5.2}                         median of single texts, one after the other
    {"probabilities": true}         {"probabilities": [[0.1, ...], ...]}    a row for each of the texts
    anything else                   {"error": "..."}

Times include tokenization; the engine doesn't tell which part of them it is. Invariant: standard output holds answers
and nothing else.
"""

import argparse
import json
import os
import statistics
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import TextIO

import numpy as np
from tokenizers import Tokenizer

# Single texts that are run before those that are timed.
WARM_UP = 5

Batch = tuple[np.ndarray, np.ndarray]


class Network(ABC):
    """A loaded model of some library, ready to compute."""

    @abstractmethod
    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Probabilities `[texts, classes]` from int64 token ids and their mask, both `[texts, tokens]`."""

    def run_all(self, batches: Iterable[Batch]) -> list[np.ndarray]:
        """Probabilities of many batches, for libraries that have a better way than one after the other."""
        return [self.run(ids, mask) for ids, mask in batches]


class Texts:
    """Texts to tokens and back to the order in which they came."""

    def __init__(self, model: Path, batch_size: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.batch_size = batch_size

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts)]

    def order(self, rows: list[list[int]]) -> list[int]:
        """Indices of the rows, longest first: the first batch then takes all the memory that later ones need."""
        return sorted(range(len(rows)), key=lambda index: len(rows[index]), reverse=True)

    def batches(self, rows: list[list[int]], order: list[int]) -> Iterable[Batch]:
        """Rows in this order, each batch padded to its longest."""
        for start in range(0, len(order), self.batch_size):
            yield pad([rows[index] for index in order[start : start + self.batch_size]])


def pad(rows: list[list[int]], multiple: int = 1) -> Batch:
    """Rows of token ids as matrices of ids and of a mask, as wide as a multiple; 0 stands for padding in both."""
    width = -(-max(map(len, rows)) // multiple) * multiple
    ids = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


class Peer:
    """Answers commands with a network."""

    def __init__(self, network: Network, texts: Texts) -> None:
        self.network = network
        self.tokens = texts
        self.texts: list[str] = []

    def answer(self, command: dict) -> dict:
        """The answer to one command."""
        match command:
            case {"texts": path}:
                with open(path, encoding="utf-8") as file:
                    self.texts = [json.loads(line) for line in file]
                return {"texts": len(self.texts)}
            case {"throughput": True}:
                return self.throughput()
            case {"latency": texts}:
                return {"ms": self.latency(texts)}
            case {"probabilities": True}:
                rows = self.tokens.encode(self.texts)
                return {"probabilities": [row.tolist() for row in self.probabilities(rows)]}
        return {"error": f"unknown command {list(command)}"}

    def throughput(self) -> dict:
        """Time for all texts, from strings to probabilities in their order."""
        start = perf_counter()
        rows = self.tokens.encode(self.texts)
        tokenizing = perf_counter() - start
        self.probabilities(rows)
        seconds = perf_counter() - start
        return {"seconds": seconds, "tokenizing": tokenizing, "texts": len(rows), "tokens": sum(map(len, rows))}

    def latency(self, texts: list[str]) -> float:
        """Median milliseconds of a text that comes alone."""
        for text in texts[:WARM_UP]:
            self.single(text)
        return statistics.median(map(self.single, texts)) * 1000

    def single(self, text: str) -> float:
        """Seconds that a single text takes."""
        start = perf_counter()
        self.network.run(*pad(self.tokens.encode([text])))
        return perf_counter() - start

    def probabilities(self, rows: list[list[int]]) -> list[np.ndarray]:
        """Probabilities of each text from its token ids."""
        order = self.tokens.order(rows)
        outputs = np.concatenate(self.network.run_all(self.tokens.batches(rows, order)))
        answers: list[np.ndarray] = [outputs[0]] * len(rows)
        for index, output in zip(order, outputs, strict=True):
            answers[index] = output
        return answers


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `[texts, classes]` from logits of that shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def arguments(variants: Iterable[str]) -> argparse.Namespace:
    """The command line that all peers understand."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variant", choices=list(variants), required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder in Hugging Face layout")
    parser.add_argument("--artefacts", type=Path, required=True, help="folder that export.py wrote to")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch-size", type=int, help="texts of a batch, instead of this peer's best")
    return parser.parse_args()


def private_output() -> TextIO:
    """Standard output for the answers alone: whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def serve(load: Callable[[], Network], args: argparse.Namespace, batch_size: int) -> None:
    """Loads the network and answers until standard input ends."""
    answer_lines(lambda: Peer(load(), Texts(args.model, args.batch_size or batch_size)))


def answer_lines(start: Callable[[], Peer]) -> None:
    """Starts a peer, which may print what it likes, and answers until standard input ends."""
    answers = private_output()
    peer = start()
    for line in sys.stdin:
        print(json.dumps(peer.answer(json.loads(line))), file=answers, flush=True)
