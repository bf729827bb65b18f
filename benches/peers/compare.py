"""Compares the engine with others, side by side: `make bench-peers`, which runs `scripts/bench-peers`.

Prints the tables, then a line for machines:

    ratios int8=X f32_1t=X f32_2t=X latency32=X latency128=X limit=X

int8 and the latencies are against the best int8 peer with 2 threads, f32 against PyTorch's better one, and above 1 is
faster; limit is the part of the measured peak that int8 reaches. All samples are kept in `results.json`.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import machine
import masked
import report
from engines import ENGINES, REFERENCE, Engine, Setup
from rounds import THREADS, Comparison, Results
from texts import ROOT, TIMED, prepare

QUICK_TEXTS, QUICK_ROUNDS = 300, 2


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="folder for what is downloaded and exported")
    parser.add_argument("--engine", type=Path, required=True, help="the program ecommerce_ml_engine")
    parser.add_argument("--candle", type=Path, required=True, help="the program ecommerce_ml_peer_candle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=TIMED, help=f"how many, at most {TIMED}")
    parser.add_argument("--only", metavar="WORD", help="only peers whose name contains it, and the reference")
    parser.add_argument("--avx2", action="store_true", help="all with AVX2 at most, whatever the processor has")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TEXTS} texts, {QUICK_ROUNDS} rounds: to try it")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    args = parser.parse_args()
    if args.write and (args.only or args.quick or args.avx2):
        parser.error("--write is for whole runs: without all peers nobody knows which is best")
    if args.quick:
        args.texts, args.rounds = QUICK_TEXTS, QUICK_ROUNDS
    return args


def main() -> None:
    """Measure and report."""
    args = arguments()
    args.build.mkdir(parents=True, exist_ok=True)
    if args.avx2:
        os.environ |= {"ECOMMERCE_ML_KERNELS": "avx2"}
    avx2 = masked.environment(args.build) if args.avx2 else {}
    setup = Setup(sys.executable, args.engine, args.candle, ROOT / "models/reviews", args.build, avx2)
    engines = [engine for engine in ENGINES if takes_part(engine, args.only)]
    texts = prepare(setup.model, args.build / "packages", args.texts)
    load = f"load average {os.getloadavg()[0]:.1f}"
    print(f"{len(texts.timed)} texts, {sum(texts.tokens)} tokens; {load}", file=sys.stderr)
    results = Comparison(setup, texts, machine.cpus(max(THREADS)), args.rounds).run(engines)
    keep(results, args.build / "results.json")
    text = report.markdown(results, engines, texts, machine.describe(), machine.versions(ROOT / "Cargo.lock"))
    if args.write:
        report.write_tables(text)
    print(text)
    print(f"\n{report.last_line(results)}")


def takes_part(engine: Engine, only: str | None) -> bool:
    """Whether an engine is wanted."""
    return only is None or only in engine.name or engine.ours or engine.name == REFERENCE


def keep(results: Results, path: Path) -> None:
    """Write all samples, for whoever wants to see how they scatter."""
    rows = [
        {"engine": name, "threads": threads, "samples": [sample and asdict(sample) for sample in samples]}
        for (name, threads), samples in results.samples.items()
    ]
    path.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
