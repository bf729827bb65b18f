"""Compares our training with PyTorch's, side by side: `make bench-training`, which runs `scripts/bench-training`.

Prints a table, then a line for machines, against PyTorch, above 1 is better:

    ratios full=X head=X memory=X

All samples are kept in `results.json`. With `--quality` it compares what the trainings are worth instead.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))

from machine import cpus, describe, kernels  # noqa: E402
from quality import compare_quality  # noqa: E402
from report import number, table, wrapped  # noqa: E402
from rounds import note, threads_text  # noqa: E402
from rows import Labelled, Rows  # noqa: E402

HERE = Path(__file__).resolve().parent
SEED = 42
SIDES = ("ecommerce_ml", "PyTorch")


@dataclass(frozen=True)
class Setting:
    """What is trained."""

    name: str
    tuning: str
    fixed: bool
    """Whether all rows have 64 tokens."""
    rows: int
    epochs: int

    def options(self) -> dict:
        """As of `train_model`."""
        length = {"max_length": 64} if self.fixed else {"max_length": 256}
        common = {"num_train_epochs": self.epochs, "per_device_train_batch_size": 16, "seed": SEED, "eval_fraction": 0}
        return common | length | {"tuning": self.tuning}


# The last epoch of full tuning is measured; the one before warms up.
FULL = (
    Setting("full, 16 x 64 tokens", "full", True, 160, 2),
    Setting("full, natural lengths", "full", False, 320, 2),
)
HEAD = Setting("head, natural lengths", "head", False, 480, 3)
SETTINGS = (*FULL, HEAD)
THREADS = (1, 2)
QUICK_PART = 2


@dataclass(frozen=True)
class Sides:
    """How each side is started."""

    build: Path
    client: Path
    engine: Path
    base: Path

    def train(self, side: str, job: dict, threads: int, first_cpu: int = 0) -> dict:
        """Have one side do a job, on so many processors from this one on."""
        path = self.build / f"{side}.json"
        path.write_text(json.dumps(job | {"threads": threads, "engine": str(self.engine), "base": str(self.base)}))
        program = [self.client] if side == SIDES[0] else [sys.executable, HERE / "torch_trainer.py"]
        pinned = ["taskset", "-c", ",".join(map(str, cpus(first_cpu + threads)[first_cpu:]))]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
        with open(self.build / "log.txt", "a", encoding="utf-8") as log:
            command = [*pinned, *map(str, program), str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, env=environment, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{side} has failed: see {self.build / 'log.txt'}")
        return json.loads(done.stdout)


Samples = dict[tuple[str, int, str], list[dict]]


def job_of(setting: Setting, rows: list[Labelled]) -> dict:
    """What both sides read."""
    return {"options": setting.options(), "rows": [[row.text, row.label] for row in rows], "out": None}


def measure(sides: Sides, rows: Rows, rounds: int, quick: bool) -> Samples:
    """Every setting with each number of threads in each round, both sides one after the other, the first in turns."""
    part = QUICK_PART if quick else 1
    jobs = {setting: job_of(setting, rows.timed(setting.fixed, setting.rows // part)) for setting in SETTINGS}
    samples: Samples = defaultdict(list)
    for round_ in range(rounds):
        for setting, job in jobs.items():
            for threads in THREADS:
                for side in SIDES if round_ % 2 == 0 else reversed(SIDES):
                    sample = sides.train(side, job, threads)
                    samples[setting.name, threads, side].append(sample)
                    where = f"round {round_ + 1}: {setting.name}, {threads_text(threads)}"
                    note(f"{where}: {side:13}{seconds(setting, sample):8.3f} s {sample['peak_kib'] / 1024:6.0f} MiB")
    return samples


def seconds(setting: Setting, sample: dict) -> float:
    """A step of full tuning, or a whole tuning of the head."""
    if setting is HEAD:
        return sample["total"]
    return sample["seconds"][-1] / (sample["steps"] / setting.epochs)


def ratio(samples: Samples, setting: Setting, threads: int, value) -> float:
    """Median of the ratios within a round: how many times as much PyTorch takes."""
    ours, theirs = (samples[setting.name, threads, side] for side in SIDES)
    return median(value(setting, b) / value(setting, a) for a, b in zip(ours, theirs, strict=True))


def memory(_: Setting, sample: dict) -> float:
    """The most memory of the process."""
    return sample["peak_kib"]


def mean_ratio(samples: Samples, settings: tuple[Setting, ...], value) -> float:
    """Geometric mean over settings and threads."""
    ratios = [ratio(samples, setting, threads, value) for setting in settings for threads in THREADS]
    return prod(ratios) ** (1 / len(ratios))


def report(samples: Samples, computed_with: str) -> str:
    """The table: medians, and the ratios; with the kernels of our engine."""
    rows = []
    for setting in SETTINGS:
        for threads in THREADS:
            cells = [setting.name, str(threads)]
            for value, factor, digits in ((seconds, 1, 3), (memory, 1 / 1024, 0)):
                sides = (samples[setting.name, threads, side] for side in SIDES)
                cells += [number(median(value(setting, s) * factor for s in side), digits) for side in sides]
                cells.append(number(ratio(samples, setting, threads, value), 2))
            rows.append(cells)
    head = ["training", "threads", "s, ours", "s, PyTorch", "ratio", "MiB, ours", "MiB, PyTorch", "ratio"]
    introduction = (
        f"Measured on {describe()}, kernels {computed_with}, load average {os.getloadavg()[0]:.1f} at the end: "
        "seconds of a step of full "
        "tuning, and of a whole tuning of the head; the most memory of the process. Medians; ratios are medians of "
        "those within a round."
    )
    return f"{wrapped(introduction)}\n\n{table(head, rows)}"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--work", type=Path, required=True, help="folder that fetch.py has filled")
    parser.add_argument("--engine", type=Path, required=True, help="the program ecommerce_ml_engine")
    parser.add_argument("--client", type=Path, required=True, help="the program training_client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PART} times fewer rows: to try it")
    parser.add_argument("--quality", action="store_true", help="compare macro-F1 of several seeds: takes an hour")
    parser.add_argument("--seeds", type=int, default=3, help="how many, with --quality")
    return parser.parse_args()


def main() -> None:
    """Measure and report."""
    args = arguments()
    args.build.mkdir(parents=True, exist_ok=True)
    sides = Sides(args.build, args.client, args.engine, args.work / "data/base")
    rows = Rows(args.work)
    if args.quality:
        print(compare_quality(sides.train, SIDES, rows.tasks(), args.build, args.seeds))
        return
    samples = measure(sides, rows, args.rounds, args.quick)
    kept = [{"setting": key[0], "threads": key[1], "side": key[2], "samples": of} for key, of in samples.items()]
    (args.build / "results.json").write_text(json.dumps(kept, indent=1), "utf-8")
    print(report(samples, kernels(args.engine, sides.base)))
    full, head = mean_ratio(samples, FULL, seconds), mean_ratio(samples, (HEAD,), seconds)
    print(f"\nratios full={full:.2f} head={head:.2f} memory={mean_ratio(samples, FULL, memory):.2f}")


if __name__ == "__main__":
    main()
