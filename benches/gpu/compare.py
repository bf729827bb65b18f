"""Compares the engine on a GPU with PyTorch, side by side: `make bench-gpu`, which runs `scripts/bench-gpu`.

    python3 benches/gpu/compare.py --engine PATH

Prints the tables, then a line for machines:

    ratios minilm=X base=X latency32=X latency128=X limit_base128=X

All but the last are against the faster of PyTorch eager and compiled, above 1 is faster; limit_base128 is the part of
the card's matrix rate that the engine reaches. All samples are kept in `results.json`. Exits with status 1 if the
engine's probabilities are too far from its own on the CPU, or if it failed.
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import outcome
import shapes
from contest import NATURAL, Contest, Results, Sizes
from mixture import Mixture, TextSet
from shared import ROOT, describe, note
from sides import EAGER, OURS, PEERS, Setup, Side, ask_gpu, processors

NAMES = ("minilm", "base")
# Seconds that a run may take until the rounds of each model end: the session that it was made for is limited to ten
# minutes. At least one round is always measured.
DEADLINES = {"minilm": 190.0, "base": 450.0}
ROUNDS, QUICK_ROUNDS = 3, 1
BUDGETS = [8192, 16384, 32768, 65536, 131072]
FULL = Sizes({"minilm": 60000, "base": 20000}, {32: 16384, 128: 16384, 512: 2048}, 1000, BUDGETS, 8192, 150)
QUICK = Sizes({"minilm": 12000, "base": 6000}, {32: 4096, 128: 4096, 512: 512}, 200, BUDGETS[1:4], 8192, 150)
# Enough to see that all of it works.
CPU = Sizes({"minilm": 96, "base": 8}, {32: 8, 128: 4, 512: 2}, 32, [512, 2048], 512, 900)
# Texts that the head of the random model is fitted with.
FITTED, FITTED_CPU = 128, 32


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ROOT / "target/gpu"
    parser.add_argument("--engine", type=Path, required=True, help="the program ecommerce_ml_engine, with feature cuda")
    parser.add_argument("--build", type=Path, default=default, help="folder for what is made (default: target/gpu)")
    rounds = f"at most; fewer if time runs out (default: {ROUNDS}, or {QUICK_ROUNDS} with --quick)"
    parser.add_argument("--rounds", type=int, help=rounds)
    quick = "fewer texts, no torch.compile unless --only names it: to try it"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:N, or cpu to try the script")
    parser.add_argument("--precision", help="of the engine (default: f16, or f32 on the CPU)")
    parser.add_argument("--threads", type=int, default=processors(), help="of each side (default: all processors)")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", default=[], help="only models (minilm, base) or peers (eager, compile)"
    )
    args = parser.parse_args()
    args.rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    if not args.engine.is_file():
        parser.error(f"{args.engine} is not there")
    return args


def main() -> None:
    """Measure and report."""
    began, args = perf_counter(), arguments()
    precision = args.precision or ("f32" if args.device == "cpu" else "f16")
    setup = Setup(args.engine.resolve(), args.build.resolve(), args.device, precision, args.threads)
    if setup.on_gpu and ask_gpu("name", setup.device) is None:
        raise SystemExit("nvidia-smi knows of no such GPU; --device cpu tries the script without one")
    sizes = FULL if setup.on_gpu and not args.quick else QUICK if setup.on_gpu else CPU
    sides = [OURS, *(side for side in PEERS if wanted(side, args))]
    contests: dict[str, Results] = {}
    for name, (shape, sets) in prepare(setup, sizes, args.only).items():
        note(f"{name}: measuring begins after {perf_counter() - began:.0f} s")
        contests[name] = Contest(setup, sizes, shape, sets).run(sides, args.rounds, began + DEADLINES[name])
        kept = {name: results.kept() for name, results in contests.items()}
        (setup.build / "results.json").write_text(json.dumps(kept, indent=1), "utf-8")
        # For whoever runs out of time before all of it is done.
        note(outcome.last_line(contests))
    print(outcome.markdown(contests, setup, machine(setup)))
    wrong = list(outcome.missed(contests))
    for message in wrong:
        print(f"\nerror: {message}")
        note(f"error: {message}")
    note(f"all of it took {perf_counter() - began:.0f} s")
    print(f"\n{outcome.last_line(contests)}", flush=True)
    sys.exit(1 if wrong else 0)


def wanted(side: Side, args: argparse.Namespace) -> bool:
    """Whether a peer takes part; the eager one always does, since it measures the card too."""
    words = [word for word in args.only if word not in NAMES]
    named = any(word in side.name for word in words)
    # To compile a model takes longer than all else of a quick run.
    return side is EAGER or named or not (words or args.quick)


def prepare(setup: Setup, sizes: Sizes, only: list[str]) -> dict[str, tuple[shapes.Shape, dict[str, TextSet]]]:
    """Models and texts, by the model's name."""
    names = [name for name in NAMES if name in only] or list(NAMES)
    minilm = shapes.minilm(setup.build / "models/minilm")
    folder = setup.build / "texts"
    folder.mkdir(parents=True, exist_ok=True)
    note("putting texts together")
    mixture = Mixture(minilm.folder, folder)
    fixed = {str(tokens): mixture.fixed(tokens, count) for tokens, count in sizes.fixed.items()}
    contests = {}
    for name in names:
        shape = minilm
        if name == "base":
            fitted = mixture.natural("fitted", FITTED if setup.on_gpu else FITTED_CPU)
            note("making the model of BERT-base's shape")
            shape = shapes.base(setup.build / "models/base", minilm, fitted.path)
        contests[name] = (shape, {NATURAL: mixture.natural(f"{NATURAL}-{name}", sizes.natural[name]), **fixed})
    return contests


def machine(setup: Setup) -> str:
    """What it ran on, and with which packages."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "tokenizers"))
    card = ", driver ".join(filter(None, (ask_gpu(what, setup.device) for what in ("name", "driver_version"))))
    precisions = f"the engine in {setup.precision}, PyTorch in {setup.peer_precision}"
    where = f"{card}, {describe()}" if setup.on_gpu else describe()
    return f"{where}; {precisions}, {setup.threads} threads each; {packages}"


if __name__ == "__main__":
    main()
