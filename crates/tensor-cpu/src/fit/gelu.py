"""Fits the rational approximation of the error function that `cpu/functions.rs` uses, and prints its coefficients.

h(x) = erf(x / sqrt 2) / 2 is odd, so h(x) = x P(t) / Q(t) with t = x²; the maximal absolute error over |x| <= C is
minimised by Lawson's iteration on the linearised problem. Beyond C, 1/2 - h(C) is less than half a unit in the last
place of a float. Needs numpy and scipy (made with numpy 2.4, scipy 1.17).
"""

import numpy as np
from scipy.special import erf

C, P_DEGREE, Q_DEGREE, POINTS = 5.4, 5, 5, 6000


def fit() -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of P and Q by ascending powers of t; the first of Q is 1."""
    scale = C * C
    u = (np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS) + 1) / 2
    x = np.sqrt(u * scale)
    target = 0.5 * erf(x / np.sqrt(2)) / x
    columns = np.concatenate(
        [u[:, None] ** np.arange(P_DEGREE + 1), -target[:, None] * u[:, None] ** np.arange(1, Q_DEGREE + 1)], axis=1
    )
    weights, q, best, least = np.ones(POINTS), np.ones(POINTS), None, np.inf
    for _ in range(300):
        rows = np.sqrt(weights) * x / q
        solution, *_ = np.linalg.lstsq(columns * rows[:, None], target * rows, rcond=None)
        p, b = solution[: P_DEGREE + 1], np.concatenate([[1.0], solution[P_DEGREE + 1 :]])
        q = np.polynomial.polynomial.polyval(u, b)
        error = np.abs((np.polynomial.polynomial.polyval(u, p) / q - target) * x)
        if error.max() < least:
            least, best = error.max(), (p, b)
        weights *= error / error.mean() + 1e-3
        weights /= weights.mean()
    p, b = best
    print(f"largest error of h in exact arithmetic: {least:.2e}")
    return p / scale ** np.arange(P_DEGREE + 1), b / scale ** np.arange(Q_DEGREE + 1)


def check(p: np.ndarray, q: np.ndarray) -> None:
    """Prints the error of GELU in single precision, relative to |x|."""
    x = np.linspace(-12, 12, 2_000_001).astype(np.float32)
    c = np.clip(x, np.float32(-C), np.float32(C))
    t = c * c
    num, den = np.float32(p[-1]), np.float32(q[-1])
    for a, b in zip(p[-2::-1].astype(np.float32), q[-2::-1].astype(np.float32)):
        num, den = num * t + a, den * t + b
    h = c * num / den
    gelu = x * (np.float32(0.5) + h)
    exact = x.astype(np.float64) * 0.5 * (1 + erf(x.astype(np.float64) / np.sqrt(2)))
    print(f"largest error of GELU in single precision: {np.max(np.abs(gelu - exact) / np.maximum(np.abs(x), 1e-3)):.2e} |x|")


if __name__ == "__main__":
    p, q = fit()
    check(p, q)
    for name, values in (("P", p), ("Q", q)):
        print(name, ", ".join(f"{np.float32(value):.9e}" for value in values))
