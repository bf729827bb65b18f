"""Item-item weights by numpy and factors by `implicit`, for made interactions: recommend.json. Versions are in it.

    pip install numpy scipy implicit==0.7.3 && python tests/reference/make_recommend.py
"""
import json
import pathlib

import implicit
import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares

random = np.random.default_rng(7)
customers, items = 40, 23
taste = random.normal(size=(customers, 3)) @ random.normal(size=(3, items))
has = taste + random.normal(size=taste.shape) > 1.0
counts = np.where(has, random.integers(1, 6, size=taste.shape), 0)
counts[0] = 0
counts[0, 4] = 1
x = counts / counts[counts > 0].mean()


def ease(regularization, dropout, power):
    owned = (x > 0).sum(1)
    weight = np.maximum(owned, 1.0) ** -power
    weight *= owned.sum() / (weight * owned).sum()
    gram = (x * weight[:, None]).T @ x
    penalty = regularization + dropout / (1 - dropout) * np.diag(gram)
    inverse = np.linalg.inv(gram + np.diag(penalty))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return {"regularization": regularization, "dropout": dropout, "power": power, "weights": weights.ravel().tolist()}


def initial(rows, width, seed):
    mask = (1 << 64) - 1
    numbers = []
    for at in range(rows * width):
        mixed = (seed + (at + 1) * 0x9E3779B97F4A7C15) & mask
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        numbers.append((((mixed ^ (mixed >> 31)) >> 40) / (1 << 24) - 0.5) * 0.02)
    return np.array(numbers).reshape(rows, width)


def als(factors, regularization, alpha, iterations, seed):
    confidence = sp.csr_matrix(np.where(counts > 0, 1 + alpha * x, 0.0))
    model = AlternatingLeastSquares(factors, regularization=regularization, alpha=1.0, dtype=np.float64, use_cg=True,
                                    iterations=iterations, num_threads=1)
    model.item_factors = initial(items, factors, seed)
    model.user_factors = np.zeros((customers, factors))
    model.fit(confidence, show_progress=False)
    # Customers' factors of the last items' ones, which is how ours are computed.
    scores = model.recalculate_user(np.arange(customers), confidence) @ model.item_factors.T
    return {"factors": factors, "regularization": regularization, "alpha": alpha, "iterations": iterations, "seed": seed,
            "scores": np.asarray(scores).ravel().tolist()}


json.dump({
    "versions": {"numpy": np.__version__, "implicit": implicit.__version__},
    "customers": customers, "items": items, "counts": counts.ravel().tolist(),
    "ease": [ease(5.0, 0.0, 0.0), ease(2.0, 0.4, 0.5)],
    "als": [als(4, 0.5, 3.0, 5, 42), als(8, 2.0, 1.0, 3, 1)],
}, open(pathlib.Path(__file__).with_name("recommend.json"), "w"))
