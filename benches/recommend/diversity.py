"""What diversity costs and brings on MovieLens 100k: NDCG of ten places, how alike the films of a list are, and the part of all films that is shown.

    python benches/recommend/diversity.py recbole/dataset_example/ml-100k

The formula of crates/recommend/src/diversity.rs in numpy, over item-item weights with one setting (λ 200, dropout .4, power .5). As `compare.py`
splits: a quarter of the rows is left out altogether. Of the rest a quarter is held out, which the figures are of, so what is chosen by them was
chosen on validation rows. Alike by genres, and by who has them: mean cosines of all pairs of a list.
"""
import sys

import numpy as np
import scipy.sparse as sp

folder = sys.argv[1]
rows = [line.split("\t") for line in open(f"{folder}/ml-100k.inter").read().splitlines()[1:]]
genres = {line.split("\t")[0]: line.split("\t")[3].split() for line in open(f"{folder}/ml-100k.item").read().splitlines()[1:]}
names, items = np.unique([row[1] for row in rows], return_inverse=True)
users = np.unique([row[0] for row in rows], return_inverse=True)[1]
shape = (users.max() + 1, len(names))
DISCOUNTS = 1 / np.log2(np.arange(2, 12))
IDEAL = np.r_[0, np.cumsum(DISCOUNTS)]


def cosines(vectors):
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors @ vectors.T


kinds = sorted({genre for own in genres.values() for genre in own})
by_genre = cosines(np.array([[float(kind in genres.get(name, ())) for kind in kinds] for name in names]))


def matrix(part):
    return sp.csr_matrix((np.ones(len(part)), (users[part], items[part])), shape).toarray()


def weights(had):
    counts = had.sum(1)
    of_users = np.maximum(counts, 1) ** -0.5
    of_users *= counts.sum() / (of_users * counts).sum()
    gram = (had * of_users[:, None]).T @ had
    gram[np.diag_indices(len(gram))] += 200 + 0.4 / 0.6 * np.diag(gram)
    inverse = np.linalg.inv(gram)
    found = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(found, 0)
    return found


def diversified(pool, scores, likeness, diversity):
    relevance = (scores - scores[-1]) / (scores[0] - scores[-1])
    likest, left, chosen = np.zeros(len(pool)), np.ones(len(pool), bool), []
    for _ in range(10):
        worth = np.where(left, (1 - diversity) * relevance - diversity * likest, -np.inf)
        at = int(worth.argmax())
        left[at] = False
        chosen.append(pool[at])
        likest = np.maximum(likest, likeness[pool[at], pool])
    return chosen


def measure(had, came, scores, likeness, diversity):
    found, shown = [], set()
    together = cosines(had.T)
    for user in np.flatnonzero(came.sum(1) > 0):
        pool = np.argsort(-scores[user], kind="stable")[:100]
        chosen = diversified(pool, scores[user, pool], likeness, diversity)
        pairs = [(like[np.ix_(chosen, chosen)].sum() - np.trace(like[np.ix_(chosen, chosen)])) / 90 for like in (by_genre, together)]
        found.append([(came[user, chosen] * DISCOUNTS).sum() / IDEAL[min(10, int(came[user].sum()))], *pairs])
        shown.update(chosen)
    return [*np.mean(found, 0), len(shown) / len(names)]


figures = {}
for seed in range(3):
    order = np.random.default_rng(seed).permutation(len(rows))
    training = np.random.default_rng(seed + 100).permutation(order[len(rows) // 4:])
    had, came = matrix(training[len(training) // 4:]), matrix(training[:len(training) // 4])
    own = weights(had)
    scores = np.where(had > 0, -1e9, had @ own)
    for diversity in (0, 0.1, 0.3, 0.5, 0.6, 0.7):
        figures.setdefault(diversity, []).append(measure(had, came, scores, cosines(own), diversity))
print("diversity, NDCG@10, alike by genres, by who has them, coverage")
for diversity, found in figures.items():
    print(diversity, np.round(np.mean(found, 0), 3))
