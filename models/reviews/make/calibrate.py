"""Choose, on validation rows with true stars, how sure the model is and where neutral begins.

    python calibrate.py --rows rows.csv --model FOLDER --out calibration.json

The logits go through a linear map, 5 x 5 and 5 numbers, that `export.py` puts into the head: matrix scaling (Guo et al., "On Calibration of
Modern Neural Networks", 2017), its distance from a mere temperature held down (Kull et al., "Beyond temperature scaling", 2019). A temperature
alone moves probability from the likeliest star to all others, so that the expected stars of the surest reviews go to the middle; the map may
move it to the stars beside. It has the least cross entropy plus `MAE_WEIGHT` times the mean absolute error of the expected stars. `REGULARISER` and
`MAE_WEIGHT` were chosen by five folds of the validation rows, which are also what is printed: every row by a map that didn't see it.

Then a number is added to the logit of three stars. The sentiment is neutral where three stars are likelier than one and two
together, and than four and five together, which would rarely happen: three-star reviews are few. It is the one of the best
macro-F1 of the three sentiments among those that cost no more than `MOST_LOSS` of cross entropy.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import AutoTokenizer, BertForSequenceClassification

from evaluate import forward_logits, predict_by_engine
from own_tests import STARRED, calibration_error, sentiments, table

FOLDS, SEED = 5, 20240511
MAE_WEIGHT, REGULARISER = 0.5, 0.03
MOST_LOSS = 0.01
SHIFTS = np.round(np.arange(0.0, 1.01, 0.1), 2)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, `[rows, 5] -> [rows, 5]`."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def cross_entropy(p: np.ndarray, stars: np.ndarray) -> float:
    """Mean of -ln p of the true star."""
    return float(-np.log(p[np.arange(len(stars)), stars - 1]).mean())


def fit(logits: np.ndarray, stars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The map for these rows: `[5, 5]` and `[5]`, to be read as `matrix @ logits + bias`."""
    inputs, targets = torch.tensor(logits, dtype=torch.float64), torch.tensor(stars)
    same, values = torch.eye(5, dtype=torch.float64), torch.arange(1.0, 6.0, dtype=torch.float64)
    coldness = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    bias, others = (torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in (5, (5, 5)))
    optimizer = torch.optim.LBFGS([coldness, bias, others], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        mapped = inputs @ (coldness * same + others).T + bias
        off = (mapped.softmax(1) @ values - targets).abs().mean()
        held_down = REGULARISER * (others**2).sum() + 1e-3 * (bias**2).sum()
        value = torch.nn.functional.cross_entropy(mapped, targets - 1) + MAE_WEIGHT * off + held_down
        value.backward()
        return value

    optimizer.step(loss)
    return (coldness * same + others).detach().numpy(), bias.detach().numpy()


def mapped(logits: np.ndarray, matrix: np.ndarray, bias: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Probabilities after the map and the shift of three stars."""
    return softmax(logits @ matrix.T + bias + shift * (np.arange(5) == 2))


def across_folds(logits: np.ndarray, stars: np.ndarray, shift: float) -> np.ndarray:
    """Probabilities of each row by a map of the other folds."""
    fold = np.random.default_rng(SEED).integers(0, FOLDS, len(stars))
    result = np.zeros_like(logits)
    for one in range(FOLDS):
        result[fold == one] = mapped(logits[fold == one], *fit(logits[fold != one], stars[fold != one]), shift)
    return result


def worth(p: np.ndarray, stars: np.ndarray) -> dict:
    """What the choice looks at, and what else it changes."""
    groups = sentiments(p).argmax(1) - 1
    rating = p @ np.arange(1.0, 6.0)
    return {
        "cross_entropy": cross_entropy(p, stars),
        "macro_f1": f1_score(np.sign(stars - 3), groups, average="macro"),
        "mae": float(np.abs(rating - stars).mean()),
        "accuracy": float((p.argmax(1) + 1 == stars).mean()),
        "calibration_error": calibration_error(p, stars - 1),
        "one_star_positive": float((groups[stars == 1] == 1).mean()),
        "three_stars_neutral": float((groups[stars == 3] == 0).mean()),
    }


def choose_shift(logits: np.ndarray, stars: np.ndarray) -> float:
    """What is added to three stars."""
    costs = {shift: worth(across_folds(logits, stars, shift), stars) for shift in SHIFTS}
    allowed = [shift for shift in SHIFTS if costs[shift]["cross_entropy"] <= costs[0.0]["cross_entropy"] + MOST_LOSS]
    return float(max(allowed, key=lambda shift: costs[shift]["macro_f1"]))


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
    # What is the same in all five says nothing, and would count in a map.
    logits = logits - logits.mean(1, keepdims=True)
    matrix, bias = fit(logits, stars)
    shift = choose_shift(logits, stars)
    centred = matrix @ (np.eye(5) - 0.2)
    result = {"matrix": centred.round(6).tolist(), "bias": (bias + shift * (np.arange(5) == 2)).round(6).tolist(), "shift": shift,
              "rows": len(stars), "before": worth(softmax(logits), stars), "after": worth(across_folds(logits, stars, shift), stars)}
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
