"""Choose, on validation rows with true stars, how sure the model is and where neutral begins.

    python calibrate.py --rows rows.csv --model FOLDER --out calibration.json

Two numbers: a temperature, by which the logits are divided (Guo et al., "On Calibration of Modern Neural Networks", 2017; the one of least
cross entropy), and what is added to the logit of three stars. The sentiment is neutral where three stars are likelier than one and two
together, and than four and five together, which would rarely happen: three-star reviews are few. The shift is the one of the best
macro-F1 of the three sentiments among those that cost no more than `MOST_LOSS` of cross entropy. `export.py` puts both into the head.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import AutoTokenizer, BertForSequenceClassification

from evaluate import forward_logits, predict_by_engine
from own_tests import STARRED, calibration_error, table

MOST_LOSS = 0.01
TEMPERATURES = np.round(np.arange(0.7, 2.01, 0.02), 2)
SHIFTS = np.round(np.arange(0.0, 1.51, 0.05), 2)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, `[rows, 5] -> [rows, 5]`."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def cross_entropy(p: np.ndarray, stars: np.ndarray) -> float:
    """Mean of -ln p of the true star."""
    return float(-np.log(p[np.arange(len(stars)), stars - 1]).mean())


def shifted(logits: np.ndarray, temperature: float, shift: float) -> np.ndarray:
    """Probabilities with a temperature, and a shift of three stars."""
    return softmax(logits / temperature + shift * (np.arange(5) == 2))


def worth(p: np.ndarray, stars: np.ndarray) -> dict:
    """What the choice looks at, and what else it changes."""
    groups = np.stack([p[:, :2].sum(1), p[:, 2], p[:, 3:].sum(1)], 1).argmax(1) - 1
    rating = p @ np.arange(1.0, 6.0)
    return {
        "cross_entropy": cross_entropy(p, stars),
        "macro_f1": f1_score(np.sign(stars - 3), groups, average="macro"),
        "mae": float(np.abs(rating - stars).mean()),
        "accuracy": float((p.argmax(1) + 1 == stars).mean()),
        "calibration_error": calibration_error(p, stars),
        "one_star_positive": float((groups[stars == 1] == 1).mean()),
        "three_stars_neutral": float((groups[stars == 3] == 0).mean()),
    }


def choose(logits: np.ndarray, stars: np.ndarray) -> tuple[float, float]:
    """The temperature and the shift."""
    temperature = min(TEMPERATURES, key=lambda t: cross_entropy(shifted(logits, t, 0.0), stars))
    least = cross_entropy(shifted(logits, temperature, 0.0), stars)
    costs = {shift: worth(shifted(logits, temperature, shift), stars) for shift in SHIFTS}
    allowed = [shift for shift in SHIFTS if costs[shift]["cross_entropy"] <= least + MOST_LOSS]
    return float(temperature), float(max(allowed, key=lambda shift: costs[shift]["macro_f1"]))


def main() -> None:
    """Read the command line, choose and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--engine", help="path of ecommerce_ml_engine, to compute by it in F32")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = table(args.rows)
    rows = rows[(rows["split"] == "valid") & rows["source"].isin(STARRED)]
    texts, stars = rows["text"].tolist(), rows["low"].astype(int).to_numpy()
    if args.engine:
        # Logits but for a number that is the same in all five.
        logits = np.log(np.maximum(predict_by_engine(args.engine, args.model, texts), 1e-12))
    else:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        logits = forward_logits(BertForSequenceClassification.from_pretrained(args.model, dtype=torch.float32).eval(), tokenizer, texts)
    temperature, shift = choose(logits, stars)
    result = {"temperature": temperature, "shift": shift, "rows": len(stars), "before": worth(softmax(logits), stars),
              "after": worth(shifted(logits, temperature, shift), stars)}
    for value in SHIFTS[::2]:
        print(value, {name: round(number, 4) for name, number in worth(shifted(logits, temperature, value), stars).items()})
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
