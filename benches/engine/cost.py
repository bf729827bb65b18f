"""Draws what a token costs against the length of texts and the size of batches: cost.py ENGINE MODEL docs/cost.svg

Needs matplotlib. Texts are made of words that are one token each, so that lengths are exact; no two are equal. Every point is
the median of three runs, of the int8 and the f32 path in turn, with tokenization, on all cores.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WORDS = "this product is good and the price was right for what you get but it broke after one day so i sent it back".split()
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
TOKENS_OF_A_RUN = 8192
LENGTH_OF_BATCHES = 32
RUNS = 3


class Engine:
    """A process in mode `bench`."""

    def __init__(self, program: str, model: str, precision: str) -> None:
        command = [program, "bench", "--model", model, "--precision", precision]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **command: object) -> dict:
        """The answer to a command."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer


def text(length: int, number: int) -> str:
    """A text of `length` tokens, two of which are special; the number, written in words, makes it different from others."""
    digits = [WORDS[(number // len(WORDS) ** place) % len(WORDS)] for place in range(4)]
    words = digits + [WORDS[(number + place) % len(WORDS)] for place in range(length)]
    return " ".join(words[: length - 2])


def microseconds(engines: list[Engine], length: int, count: int) -> list[float]:
    """Median cost of a token, for each engine."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(text(length, number)) + "\n" for number in range(count))
        file.flush()
        for engine in engines:
            engine.ask(texts=file.name)
        runs = [[engine.ask(throughput=True) for engine in engines] for _ in range(RUNS)]
    costs = [[run["seconds"] / run["tokens"] * 1e6 for run in runs_of_one] for runs_of_one in zip(*runs)]
    return [statistics.median(cost) for cost in costs]


def main() -> None:
    """Measure and draw."""
    program, model, plot = sys.argv[1:]
    names = ["int8", "f32"]
    engines = [Engine(program, model, name) for name in names]
    by_length = [microseconds(engines, length, TOKENS_OF_A_RUN // length) for length in LENGTHS]
    by_batch = [microseconds(engines, LENGTH_OF_BATCHES, count) for count in BATCHES]
    print(f"kernels {engines[0].ask(peak=True)['kernels']}")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for index, name in enumerate(names):
        left.plot(LENGTHS, [costs[index] for costs in by_length], marker="o", label=name)
        right.plot(BATCHES, [costs[index] for costs in by_batch], marker="o", label=name)
    left.set(xscale="log", yscale="log", xlabel=f"tokens of a text ({TOKENS_OF_A_RUN} tokens at once)", ylabel="µs a token")
    right.set(xscale="log", yscale="log", xlabel=f"texts of {LENGTH_OF_BATCHES} tokens at once")
    for axes, ticks in ((left, LENGTHS), (right, BATCHES)):
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(plot, metadata={"Date": None, "Description": platform.machine()})
    for lengths, rows in ((LENGTHS, by_length), (BATCHES, by_batch)):
        print(*(f"{size}: " + ", ".join(f"{name} {cost:.1f}" for name, cost in zip(names, row)) for size, row in zip(lengths, rows)), sep="\n")
    Path(plot).chmod(0o644)


if __name__ == "__main__":
    main()
