"""Fits the polynomial for powers of two that `functions.rs` uses, and prints its coefficients.

2^r over |r| <= 1/2, by a polynomial of degree 5; the maximal relative error is minimised by Lawson's iteration.
Needs numpy (made with numpy 2.4).
"""

import numpy as np

DEGREE, POINTS = 5, 4000


def fit() -> np.ndarray:
    """Coefficients by ascending powers of r."""
    r = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS) / 2
    columns = r[:, None] ** np.arange(DEGREE + 1) / np.exp2(r)[:, None]
    weights, best, least = np.ones(POINTS), None, np.inf
    for _ in range(300):
        root = np.sqrt(weights)
        solution, *_ = np.linalg.lstsq(columns * root[:, None], root, rcond=None)
        error = np.abs(columns @ solution - 1)
        if error.max() < least:
            least, best = error.max(), solution
        weights *= error / error.mean() + 1e-3
        weights /= weights.mean()
    print(f"largest relative error in exact arithmetic: {least:.2e}")
    return best


if __name__ == "__main__":
    print(", ".join(f"{np.float32(value):.9e}" for value in fit()[::-1]))
