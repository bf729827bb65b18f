"""Compare the engine's int8 with its f32 on the evaluation sets: agreement of labels, and every metric of `evaluate.py`.

    python precision.py --data DATA --engine ecommerce_ml_engine --model models/reviews

It only reads. Not every figure is independent of how int8 was made: reviews of `fine_foods_test` were looked at when its
groups and its smoothing were designed. The training split led to the same choice when that was repeated on it.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from evaluate import evaluation_sets, predict_by_engine, read, rounded


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that fetch.py made")
    parser.add_argument("--engine", required=True)
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()
    for name, (texts, gold, measure) in evaluation_sets(args.data).items():
        exact, small = (predict_by_engine(args.engine, args.model, texts, precision) for precision in ("f32", "int8"))
        same_stars = (exact.argmax(1) == small.argmax(1)).mean()
        same_sentiment = (read(exact).classes == read(small).classes).mean()
        print(f"{name}: {len(texts)} texts, same stars {same_stars:.4f}, same sentiment {same_sentiment:.4f}, "
              f"probabilities differ by {np.abs(exact - small).mean():.4f}", flush=True)
        for precision, p in (("f32", exact), ("int8", small)):
            print(f"  {precision}", json.dumps(rounded(measure(read(p), gold))), flush=True)


if __name__ == "__main__":
    main()
