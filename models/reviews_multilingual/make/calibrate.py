"""Choose, on validation rows, how sure the model is, in Chinese and in English alike.

    python calibrate.py --rows all.csv --model FOLDER --engine ecommerce_ml_engine --out calibration.json

The logits are multiplied by a number and get five others added, which `write.py` puts into the head: vector scaling with one scale (Guo et
al., "On Calibration of Modern Neural Networks", 2017). What is minimised is the cross entropy of the true stars of English reviews plus that
of praise or blame of Chinese ones, each kind as a mean. What is printed is across five folds: every row by numbers that didn't see it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from evaluate import predict_by_engine  # noqa: E402
from own_tests import STARRED, calibration_error, sentiments, table  # noqa: E402

FOLDS, SEED = 5, 20240511


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, `[rows, 5] -> [rows, 5]`."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def allowed(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which stars a row may have, `[rows, 5]`."""
    stars = np.arange(1, 6)
    return (stars >= low[:, None]) & (stars <= high[:, None])


def fit(logits: np.ndarray, stars: np.ndarray, is_chinese: np.ndarray) -> tuple[float, np.ndarray]:
    """The scale and what is added."""
    inputs, outside, kinds = torch.tensor(logits), torch.tensor(~stars), [torch.tensor(kind) for kind in (is_chinese, ~is_chinese)]
    scale, bias = (torch.tensor(start, dtype=torch.float64, requires_grad=True) for start in (1.0, [0.0] * 5))
    optimizer = torch.optim.LBFGS([scale, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        each = -(scale * inputs + bias).log_softmax(1).masked_fill(outside, -1e9).logsumexp(1)
        value = sum(each[kind].mean() for kind in kinds) + 1e-3 * (bias**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return float(scale.detach()), bias.detach().numpy()


def across_folds(logits: np.ndarray, stars: np.ndarray, is_chinese: np.ndarray) -> np.ndarray:
    """Probabilities of each row by numbers of the other folds."""
    fold = np.random.default_rng(SEED).integers(0, FOLDS, len(stars))
    result = np.zeros_like(logits)
    for one in range(FOLDS):
        own = fold == one
        scale, bias = fit(logits[~own], stars[~own], is_chinese[~own])
        result[own] = softmax(scale * logits[own] + bias)
    return result


def worth(p: np.ndarray, stars: np.ndarray, is_chinese: np.ndarray) -> dict:
    """What the choice changes."""
    low, rating = stars.argmax(1) + 1, p @ np.arange(1.0, 6.0)
    english, sides = ~is_chinese, p[is_chinese][:, 3:].sum(1)
    positive = low[is_chinese] > 3
    return {
        "chinese_accuracy": float(((rating[is_chinese] > 3) == positive).mean()),
        "chinese_calibration_error": calibration_error(sentiments(p[is_chinese]), np.where(positive, 2, 0)),
        "chinese_called_neutral": float((sentiments(p[is_chinese]).argmax(1) == 1).mean()),
        "chinese_mean_of_positive": float(sides.mean()),
        "english_mae": float(np.abs(rating - low)[english].mean()),
        "english_calibration_error": calibration_error(p[english], low[english] - 1),
        "english_sentiment_calibration_error": calibration_error(sentiments(p[english]), np.sign(low[english] - 3) + 1),
    }


def main() -> None:
    """Read the command line, choose and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rows", "model", "engine", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    rows = table(args.rows)
    rows = rows[(rows["split"] == "valid") & rows["source"].isin([*STARRED, "chinese"])]
    stars = allowed(rows["low"].to_numpy(), rows["high"].to_numpy())
    is_chinese = (rows["source"] == "chinese").to_numpy()
    # Logits but for a number that is the same in all five.
    logits = np.log(np.maximum(predict_by_engine(str(args.engine), args.model, rows["text"].tolist()), 1e-12))
    logits = logits - logits.mean(1, keepdims=True)
    scale, bias = fit(logits, stars, is_chinese)
    matrix = scale * (np.eye(5) - 0.2)
    result = {"matrix": matrix.round(6).tolist(), "bias": bias.round(6).tolist(), "rows": {"chinese": int(is_chinese.sum()), "english": int((~is_chinese).sum())},
              "before": worth(softmax(logits), stars, is_chinese), "after": worth(across_folds(logits, stars, is_chinese), stars, is_chinese)}
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
